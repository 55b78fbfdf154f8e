"""A part of a tensor in a few numbers: boxes of slices, and what is left of them by a pattern.

The decision behind it: where a search looks must be as small to send as the rest of a direction, and must mean the same
wherever it is made into numbers; so a region is slices and the name of a pattern, and never a stored mask.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

#: (start, stop, step) for each axis.
Box = tuple[tuple[int, int, int], ...]


class Pattern(StrEnum):
    """Which elements of its boxes a region keeps, by their index in the whole tensor."""

    FULL = "full"
    DIAGONAL = "diagonal"  # i == j, of the last two axes
    OFF_DIAGONAL = "off-diagonal"
    STRICTLY_UPPER = "strictly upper"  # i < j
    STRICTLY_LOWER = "strictly lower"  # i > j
    UPPER = "upper"  # i <= j
    LOWER = "lower"  # i >= j
    EVEN = "even"  # the sum of all indices is even
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class Region:
    """Some elements of a tensor, and how they are weighed.

    Attributes:
        boxes: the region is what lies in any of them.
        pattern: and in this.
        outside: take everything else instead.
        ramp: axis along which element i of n is weighed by (i + 1) / n; -1 for none.
        rise: (first, n) of the elements that the ramp rises over, counted from the first; all of the axis where None.
    """

    boxes: tuple[Box, ...]
    pattern: Pattern = Pattern.FULL
    outside: bool = False
    ramp: int = -1
    rise: tuple[int, int] | None = None

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The elements as a boolean array of the tensor's shape."""
        inside = np.zeros(shape, dtype=bool)
        for box in self.boxes:
            inside[tuple(slice(*axis) for axis in box)] = True
        if self.pattern is not Pattern.FULL:
            inside &= _kept(self.pattern, shape)
        return ~inside if self.outside else inside

    def weights(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """What each element is multiplied by, 0 outside of the region."""
        found = self.mask(shape).astype(np.float64)
        if self.ramp >= 0:
            first, length = self.rise or (0, shape[self.ramp])
            ramp = np.arange(1 - first, shape[self.ramp] - first + 1) / length
            found *= ramp.reshape([-1 if axis == self.ramp else 1 for axis in range(len(shape))])
        return found


def _kept(pattern: Pattern, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    grid = np.ogrid[tuple(slice(length) for length in shape)]
    if pattern in (Pattern.EVEN, Pattern.ODD):
        total = sum(grid[1:], start=grid[0])
        even = np.broadcast_to(total % 2 == 0, shape)
        return even if pattern is Pattern.EVEN else ~even
    i, j = grid[-2], grid[-1]
    kept = {
        Pattern.DIAGONAL: np.equal,
        Pattern.OFF_DIAGONAL: np.not_equal,
        Pattern.STRICTLY_UPPER: np.less,
        Pattern.STRICTLY_LOWER: np.greater,
        Pattern.UPPER: np.less_equal,
        Pattern.LOWER: np.greater_equal,
    }[pattern](i, j)
    return np.broadcast_to(kept, shape)
