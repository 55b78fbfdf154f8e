"""What was measured on the way to a verdict, kept for whoever wants to look at it.

The decision behind it: nothing here is measured for the sake of being shown. A trace holds the numbers of a line that
was gone along anyway, and the elements of a large tensor are kept as a map of the worst one of each block and a
sample, so that what is kept is bounded whatever the size of a model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A map has at most so many rows and as many columns of blocks.
BLOCKS = 64
#: Elements kept beside the map: the worst, and others spread evenly over the rest.
WORST, SPREAD = 200, 400


@dataclass(frozen=True, slots=True)
class Trace:
    """One line through the point as it was measured.

    Along the line the residual psi(t) = cost(t) - cost(0) - claimed . displacement was seen at both sides of each step.
    It is the remainder of the first-order Taylor polynomial with the claimed gradient.

    Attributes:
        tensors: the tensors that moved.
        steps: the steps, ascending, relative to the parameters.
        plus: psi at each step.
        minus: psi at each step to the other side.
        noise: what rounding may do to the central difference at each step.
        slope: claimed gradient along the line.
        mismatch: claimed minus measured gradient along the line; NaN where nothing could be measured.
        bar: how far the mismatch may be off.
        step: the step that was chosen.
        rounding: the part of the bar that is rounding.
        truncation: the part of the bar that is curvature and kinks.
        sigma: standard deviation of the error of one evaluation.
        single: whether a single element moved.
    """

    tensors: tuple[str, ...]
    steps: tuple[float, ...]
    plus: tuple[float, ...]
    minus: tuple[float, ...]
    noise: tuple[float, ...]
    slope: float
    mismatch: float
    bar: float
    step: float
    rounding: float
    truncation: float
    sigma: float
    single: bool = False

    @property
    def mismatches(self) -> tuple[float, ...]:
        """Claimed minus central difference at each step."""
        return tuple((m - p) / (2.0 * h) for h, p, m in zip(self.steps, self.plus, self.minus, strict=True))

    @property
    def reference(self) -> float:
        """The measured derivative along the line."""
        return self.slope - self.mismatch


class Source(StrEnum):
    """How the reference of single elements is known."""

    MEASURED = "measured"  # each by itself
    REPAIRED = "repaired"  # the claim with the proven fix, to within the proof's bound
    SAMPLED = "sampled"  # some were measured
    NOTES = "notes"  # by the course notes' quotient, which knows no error bar


@dataclass(frozen=True, slots=True)
class Points:
    """Elements of one tensor.

    Attributes:
        positions: row-major positions within the tensor; -1 where there is none.
        claimed: the claimed derivatives.
        reference: the measured ones.
        bars: how far these may be off; NaN where unknown.
    """

    positions: NDArray[np.int64]
    claimed: NDArray[Any]
    reference: NDArray[Any]
    bars: NDArray[np.float64]

    def taken(self, chosen: NDArray[np.int64]) -> "Points":
        """Some of them, by their place here, in the shape of ``chosen``; -1 for none."""
        none = chosen < 0
        if not self.positions.size:
            nothing = np.full(chosen.shape, np.nan)
            return Points(np.full(chosen.shape, -1, dtype=np.int64), nothing, nothing, nothing)
        return Points(
            np.where(none, -1, self.positions.reshape(-1)[chosen]),
            np.where(none, np.nan, self.claimed.reshape(-1)[chosen]),
            np.where(none, np.nan, self.reference.reshape(-1)[chosen]),
            np.where(none, np.nan, self.bars.reshape(-1)[chosen]),
        )


@dataclass(frozen=True, slots=True)
class Elements:
    """What is known of one tensor element by element.

    Attributes:
        name: the tensor.
        shape: its shape.
        offset: where it starts in the user's flat vector, in elements.
        source: how the reference is known.
        measured: of how many elements it is known.
        total: how many there are.
        allowed: the mismatch of an element if all had the same and the tensor were just within its tolerance.
        view: rows and columns of the matrix that the map shows; position = row x columns + column.
        cells: one element for each block of that matrix, in the map's shape: the one with the highest level.
        sample: the worst elements, and others spread over the rest.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    source: Source
    measured: int
    total: int
    allowed: float
    view: tuple[int, int]
    cells: Points
    sample: Points

    @property
    def complete(self) -> bool:
        """Whether every element is known."""
        return self.measured == self.total

    def levels(self, points: Points) -> NDArray[np.float64]:
        """log10 of the mismatch of elements in units of what is allowed: above 0 it is out of bounds.

        Allowed is the error bar or an even share of the tensor's tolerance, whichever is larger. -inf where there is no
        mismatch at all, NaN where nothing was measured.
        """
        return levels(points, self.allowed)

    def coarser(self, rows: int, columns: int) -> Points:
        """The map with at most so many rows and columns."""
        return self.cells.taken(highest(self.levels(self.cells), rows, columns))


def levels(points: Points, allowed: float) -> NDArray[np.float64]:
    """log10 of |mismatch| / max(error bar, allowed); NaN where there is no element."""
    with np.errstate(all="ignore"):
        limit = np.maximum(np.where(np.isfinite(points.bars), points.bars, 0.0), allowed)
        mismatch = np.abs(points.claimed - points.reference)
        found = np.log10(mismatch / limit)
        found = np.where(mismatch == 0.0, -np.inf, found)
    return np.where(points.positions < 0, np.nan, np.where(np.isfinite(mismatch), found, np.inf))


def highest(matrix: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.int64]:
    """Where each block of a matrix is highest.

    Args:
        matrix: numbers; NaN stands for nothing.
        rows: how many rows of blocks at most.
        columns: how many columns of blocks at most.

    Returns:
        Row-major positions in the matrix, -1 where a block holds nothing, in the shape of the blocks.
    """
    high, wide = (max(1, math.ceil(n / most)) for n, most in zip(matrix.shape, (rows, columns), strict=True))
    down, across = (math.ceil(n / size) for n, size in zip(matrix.shape, (high, wide), strict=True))
    padded = np.full((down * high, across * wide), np.nan)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    nothing = np.isnan(padded)
    ranked = np.where(nothing, -np.inf, padded)
    ranked[~nothing & (ranked == -np.inf)] = -np.finfo(float).max  # no mismatch is still more than no element
    blocks = ranked.reshape(down, high, across, wide).transpose(0, 2, 1, 3).reshape(down, across, high * wide)
    best = np.argmax(blocks, axis=2)
    row = np.arange(down)[:, None] * high + best // wide
    column = np.arange(across)[None, :] * wide + best % wide
    empty = np.all(blocks == -np.inf, axis=2)
    return np.where(empty, -1, row * matrix.shape[1] + column)


@dataclass(frozen=True)
class Evidence:
    """What a check has measured.

    Attributes:
        traces: tensor to lines along which it moved, alone or with the fewest others, in the order of measurement.
        elements: tensor to what is known of its elements one by one.
    """

    traces: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)
    elements: Mapping[str, Elements] = field(default_factory=dict)
