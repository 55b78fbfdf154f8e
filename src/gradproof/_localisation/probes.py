"""One tensor seen through one fixed random direction.

The decision behind it: the mismatch along a fixed Gaussian direction is additive over disjoint regions, so that what is
measured on a part tells the rest as well, and half of every split is free. A region without a wrong element gives
nothing along any direction; one with some gives nothing only by an accident of probability bar / mismatch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gradproof._records import Box, Direction, Estimate, Part, Region, Tensor, Weighting, spacing
from gradproof._reference import Reference, next_step

#: A mismatch counts once it exceeds its bar this many times.
CLEAR = 3.0
#: A region may be called clean only where its bar is below this share of the whole mismatch.
SHARP = 0.01
#: The same for single elements, in units of what an average wrong one would show.
SHARP_ELEMENT = 0.05
#: Error bar to aim at, relative to scale x norm of the claim.
AIM = 2e-9
#: And relative to the mismatch, where that is large.
FINE = 2e-8
#: Where kinks or noise keep the bars above that, this share of the mismatch will do.
ENOUGH = 1e-6
#: Rounding of a claim in lower precision, in units of that precision.
ROUNDING = 64.0
#: Cost evaluations to expect of one probe.
EACH = 4


class LimitReachedError(Exception):
    """The search has used the evaluations it may use; caught where it started."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A mismatch on a region with its error bar; readings of nested regions may be subtracted.

    Attributes:
        value: the mismatch.
        bar: how far it may be off.
        sharp: the largest bar at which nothing seen means that nothing is there.
        floor: mismatches up to this are rounding of the claim.
    """

    value: float
    bar: float
    sharp: float
    floor: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether something is wrong there."""
        return bool(abs(self.value) > CLEAR * self.bar + self.floor)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong there; neither of both where the bar is too wide."""
        return self.bar <= self.sharp and not self.bad

    def __sub__(self, part: "Reading") -> "Reading":
        return Reading(self.value - part.value, self.bar + part.bar, self.sharp, self.floor)


@dataclass(frozen=True, slots=True)
class Sight:
    """How finely to look, once it is known what there is to see.

    Attributes:
        total: size of the whole tensor's mismatch along random directions; 0 while unknown.
        target: error bar to aim at.
    """

    total: float
    target: float


@dataclass(frozen=True)
class Probes:
    """Measures regions and elements of one tensor.

    Attributes:
        reference: where slopes come from.
        tensor: the tensor's place in the problem.
        scale: step scale.
        claim: norm of its claimed gradient.
        seed: of the directions.
        limit: evaluations that the search may use.
        began: evaluations of the check when the search began.
        sight: how finely to look.
        bins: (label, root mean square) of its magnitude bins, each of which moves on its own scale.
        steps: where the ladders of regions and of elements should start.
        prices: what a probe of either kind took last, in evaluations.
        fixed: seed of the fixed direction, where it is another one.
    """

    reference: Reference
    tensor: int
    scale: float
    claim: float
    seed: int
    limit: int
    began: int
    sight: Sight
    bins: tuple[tuple[int, float], ...]
    steps: dict[str, float | None] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    fixed: int | None = None

    @property
    def record(self) -> Tensor:
        """The tensor's record."""
        return self.reference.evaluator.problem.tensors[self.tensor]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.record.shape

    @property
    def size(self) -> int:
        """Number of its elements."""
        return self.record.size // self.width

    @property
    def width(self) -> int:
        """Coordinates of one element."""
        return 2 if self.record.complex else 1

    @property
    def whole(self) -> Box:
        """All of it."""
        return tuple((0, length, 1) for length in self.shape)

    @property
    def spent(self) -> int:
        """Evaluations used by this search."""
        return self.reference.spent - self.began

    def price(self, kind: str) -> float:
        """Evaluations to expect of a probe of ``"regions"`` or ``"elements"``."""
        return self.prices.get(kind, EACH)

    def regions(self, regions: Sequence[Region], another: int = 0) -> list[Reading]:
        """The mismatch on regions along the fixed direction, or along another one."""
        seed = self.seed + another if another or self.fixed is None else self.fixed
        directions = [Direction((seed,), self._parts(region)) for region in regions]
        found = self._measure("regions", directions, self.sight.target)
        sharp = self.sharp(self.sight.total)
        return [Reading(e.mismatch, e.bar, sharp, self._floor(1.0)) for e in found]

    def seen(self, found: Estimate) -> Reading:
        """What was measured of the whole tensor along a direction, as a reading; the ladders start where it ended."""
        self.steps["regions"] = next_step(found)
        return Reading(found.mismatch, found.bar, self.sharp(self.sight.total), self._floor(1.0))

    def sharp(self, total: float) -> float:
        """The largest bar at which a region may be called clean."""
        return SHARP * total or math.inf

    def elements(self, elements: Sequence[int]) -> list[tuple[Reading, bool]]:
        """The mismatch on single elements, by flat index, and whether each one's claim is exactly zero.

        A complex element is moved along a random direction of its plane.
        """
        weighting = Weighting.PLAIN if self.width == 2 else Weighting.UNIT
        seeds = (self.seed + 3,) if self.width == 2 else ()
        directions = []
        for element in elements:
            start = element * self.width
            directions.append(Direction(seeds, self._bins(weighting, start, start + self.width, None)))
        average = abs(self.sight.total) / self.size**0.5
        target = max(AIM * self._unit, 1e-5 * average) if self.sight.total else self.sight.target
        found = self._measure("elements", directions, target)
        floor = self._floor(self.size**-0.5)
        sharp = SHARP_ELEMENT * average or math.inf
        return [(Reading(e.mismatch, e.bar, sharp, floor), e.slope == 0.0) for e in found]

    @property
    def _unit(self) -> float:
        return max(self.scale * self.claim, abs(self.sight.total))

    def _floor(self, share: float) -> float:
        """Rounding of a claim in lower precision."""
        epsilon = spacing(self.record.dtype)
        return share * ROUNDING * epsilon * self.scale * self.claim if epsilon > 1e-12 else 0.0

    def _measure(self, kind: str, directions: Sequence[Direction], target: float) -> list[Estimate]:
        if self.spent + self.price(kind) * len(directions) > self.limit:
            raise LimitReachedError
        found = self.reference.measure(directions, target, self.steps.get(kind))
        if found:
            self.prices[kind] = sum(e.evaluations for e in found) / len(found)
        measured = [e for e in found if e.measured]
        if measured:
            self.steps[kind] = next_step(min(measured, key=lambda e: e.evaluations))
        return found

    def _parts(self, region: Region) -> tuple[Part, ...]:
        start, stop = _extent(region, self.shape)
        return self._bins(Weighting.PLAIN, start * self.width, stop * self.width, region)

    def _bins(self, weighting: Weighting, start: int, stop: int, region: Region | None) -> tuple[Part, ...]:
        return tuple(Part(self.tensor, size, weighting, label, start, stop, region) for label, size in self.bins)


def _extent(region: Region, shape: tuple[int, ...]) -> tuple[int, int]:
    """First and last flat index that a region can hold."""
    if region.outside or not region.boxes:
        return 0, int(np.prod(shape))
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    ends = []
    for box in region.boxes:
        last = [start + (stop - 1 - start) // step * step for start, stop, step in box]
        ends.append((int(np.dot(strides, [axis[0] for axis in box])), int(np.dot(strides, last)) + 1))
    return min(a for a, _ in ends), max(b for _, b in ends)


def volume(box: Box) -> int:
    """Number of elements of a box."""
    return int(np.prod([len(range(*axis)) for axis in box]))
