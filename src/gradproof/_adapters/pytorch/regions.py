"""Which coordinates of a chunk lie in a region, and in which magnitude bin: worked out where the tensor lives."""

import math
from dataclasses import dataclass

import torch

from gradproof._records import Part, Pattern

#: The same limits as for arrays of NumPy: magnitudes further apart than the first between the 1% and 99% quantile
#: cannot share one step, a single small element needs a bin of its own beyond the second, decades that share a bin.
SPAN, LONE, DECADES = 1e4, 1e5, 3
#: Binary exponents of float64, from the smallest subnormal number on.
LOWEST, EXPONENTS = -1074, 2100


@dataclass(frozen=True, slots=True)
class Bins:
    """How a tensor's magnitudes are told into bins.

    Attributes:
        top: decimal logarithm of the root mean square of its parameters.
        first: the lowest bin.
        middle: the bin of the median, where zeros go.
    """

    top: float
    first: int
    middle: int

    def labels(self, theta: torch.Tensor) -> torch.Tensor:
        """The bin of each coordinate, counted from 0."""
        size = theta.abs()
        known = (size > 0) & torch.isfinite(size)
        decade = torch.floor((torch.log10(torch.where(known, size, 1.0)) - self.top - 1.0) / DECADES)
        return (torch.where(known, decade, float(self.middle)) - self.first).clamp(0, 120)


def exponents(size: torch.Tensor) -> torch.Tensor:
    """How many positive finite numbers there are of each binary exponent."""
    return torch.bincount(torch.frexp(size).exponent.to(torch.int64) - LOWEST, minlength=EXPONENTS)


def quantile(counts: torch.Tensor, share: float) -> float:
    """A quantile of magnitudes, to within a factor of two, from how many there are of each binary exponent."""
    running = torch.cumsum(counts, 0)
    total = int(running[-1])
    place = int(torch.searchsorted(running, max(1, math.ceil(share * total))))
    return math.ldexp(1.0, max(place + LOWEST, -1073) - 1)


def region_weights(part: Part, shape: tuple[int, ...], places: torch.Tensor, width: int) -> torch.Tensor:
    """What a part's region multiplies coordinates by, 0 outside of it; both of a complex element alike.

    Args:
        part: has a region.
        shape: of the whole tensor.
        places: of the coordinates in it.
        width: coordinates an element.
    """
    region = part.region
    assert region is not None
    index: list[torch.Tensor] = []
    left = places // width
    for length in shape[::-1]:
        index.insert(0, left % length)
        left = left // length
    inside = torch.zeros(places.shape, dtype=torch.bool, device=places.device)
    for box in region.boxes:
        here = torch.ones_like(inside)
        for axis, (start, stop, step) in zip(index, box, strict=True):
            here &= (axis >= start) & (axis < stop) & ((axis - start) % step == 0)
        inside |= here
    if region.pattern is not Pattern.FULL:
        inside &= _kept(region.pattern, index)
    weights = (~inside if region.outside else inside).to(torch.float64)
    if region.ramp >= 0:
        first, length = region.rise or (0, shape[region.ramp])
        weights *= (index[region.ramp] - first + 1).to(torch.float64) / length
    return weights


def _kept(pattern: Pattern, index: list[torch.Tensor]) -> torch.Tensor:
    if pattern in (Pattern.EVEN, Pattern.ODD):
        even = sum(index[1:], start=index[0]) % 2 == 0
        return even if pattern is Pattern.EVEN else ~even
    i, j = index[-2], index[-1]
    match pattern:
        case Pattern.DIAGONAL:
            return i == j
        case Pattern.OFF_DIAGONAL:
            return i != j
        case Pattern.STRICTLY_UPPER:
            return i < j
        case Pattern.STRICTLY_LOWER:
            return i > j
        case Pattern.UPPER:
            return i <= j
        case _:
            return i >= j
