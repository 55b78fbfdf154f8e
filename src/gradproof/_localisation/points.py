"""Coordinates at which the cost has no derivative on both sides: jumps at the point, and the edge of the domain.

The decision behind it: a few such coordinates must not keep a whole tensor from being judged. They are found by
halving, held where they are while the rest is probed, and named; those at an edge are measured from the inside.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gradproof._problem import Problem
from gradproof._records import Direction, Noise, Part, Ray, Weighting
from gradproof._reference import Reference, residuals

#: Relative step at which the search looks: that of the noise measurement.
NEAR = 1e-7
#: Most coordinates of one tensor that are told apart; a tensor with more is given up.
MOST = 32
#: A gap must exceed the noise this many times to be a jump, and stay when looked at this much closer.
GAP, CLOSER = 100.0, 64.0


@dataclass(frozen=True)
class Search:
    """Looks for coordinates that show something when they are moved a little.

    Attributes:
        reference: where costs come from.
        scales: step scale of each tensor.
        seed: of the directions.
        noise: what the cost's last digits are worth.
        near: relative step at which to look.
    """

    reference: Reference
    scales: Sequence[float]
    seed: int
    noise: Noise
    near: float = NEAR

    def coordinates(self, shows: Callable[["Search", Direction], bool]) -> dict[int, list[int] | None]:
        """The coordinates of each tensor that show it; None for a tensor with too many."""
        found: dict[int, list[int] | None] = {}
        for i, tensor in enumerate(self.reference.evaluator.problem.tensors):
            if tensor.size and shows(self, self._range(i, 0, tensor.size)):
                found[i] = self._halve(shows, i, tensor.size)
        return found

    def _halve(self, shows: Callable[["Search", Direction], bool], tensor: int, size: int) -> list[int] | None:
        single: list[int] = []
        waiting = [(0, size)]
        while waiting:
            start, stop = waiting.pop()
            if stop - start == 1:
                single.append(start)
                continue
            middle = (start + stop) // 2
            waiting += [(a, b) for a, b in ((middle, stop), (start, middle)) if shows(self, self._range(tensor, a, b))]
            if len(single) + len(waiting) > MOST:
                return None
        return single

    def _range(self, tensor: int, start: int, stop: int) -> Direction:
        return Direction((self.seed,), (Part(tensor, self.scales[tensor], start=start, stop=stop),))

    def residuals(self, direction: Direction, steps: Sequence[float]) -> list[float]:
        """Psi at some steps relative to the point."""
        samples = self.reference.evaluator.lines([Ray(direction, tuple(steps))])[0]
        return residuals(samples, self.noise.cost)


def leaves_domain(search: Search, direction: Direction) -> bool:
    """Whether the cost cannot be evaluated a little along a direction, to either side.

    Moved by random numbers and by equal ones: chance may leave a coordinate almost where it is.
    """
    even = replace(direction, parts=tuple(replace(p, weighting=Weighting.UNIT) for p in direction.parts))
    steps = (search.near, -search.near)
    return not all(math.isfinite(value) for way in (even, direction) for value in search.residuals(way, steps))


def jumps(search: Search, direction: Direction) -> bool:
    """Whether the cost has limits along a direction that are not its value at the point."""
    gap = _gap(search, direction, NEAR)
    return gap > GAP * search.noise.sigma and _gap(search, direction, NEAR / CLOSER) > 0.5 * gap


def _gap(search: Search, direction: Direction, step: float) -> float:
    right, further, left, beyond = search.residuals(direction, (step, 2 * step, -step, -2 * step))
    gaps = [abs(2 * right - further), abs(2 * left - beyond)]
    return max((gap for gap in gaps if math.isfinite(gap)), default=0.0)


def from_inside(search: Search, tensor: int, coordinate: int, own: float, target: float) -> tuple[float, float]:
    """The mismatch at a coordinate on the edge of the domain, measured on the sides where the cost exists.

    The coordinate is moved relative to its own size; where rounding hides the mismatch then, also relative to the size
    of its tensor, which counts only if it agrees: what happens at the coordinate's own size could be stepped over.

    Args:
        search: where costs come from.
        tensor: the tensor's place in the problem.
        coordinate: the coordinate.
        own: its size; 0 where it is none.
        target: error bar that is good enough.

    Returns:
        (claimed - reference, error bar); the bar is infinite where neither side could be evaluated.
    """
    usual = search.scales[tensor]
    near = _sides(search, tensor, coordinate, own or usual)
    if near[1] <= target or not own:
        return near
    far = _sides(search, tensor, coordinate, usual)
    agreed = far[1] < near[1] and (abs(far[0] - near[0]) <= far[1] + near[1] or not math.isfinite(near[1]))
    return far if agreed else near


def _sides(search: Search, tensor: int, coordinate: int, scale: float) -> tuple[float, float]:
    """The better of both sides; its bar grows by what the other contradicts it."""
    part = Part(tensor, scale, Weighting.UNIT, start=coordinate, stop=coordinate + 1)
    found = search.reference.one_sided(Direction((), (part,)))
    if not found:
        return math.nan, math.inf
    mismatch, bar = min(found, key=lambda side: side[1])
    apart = max(abs(mismatch - other) - off - bar for other, off in found)
    return mismatch / scale, (bar + max(0.0, apart)) / scale


def named(problem: Problem, tensor: int, coordinates: Sequence[int]) -> str:
    """The coordinates by the user's name: ``y[3]``, or how many of how many."""
    record = problem.tensors[tensor]
    if len(coordinates) > 4:
        return f"{len(coordinates)} elements of {record.name}"
    places = []
    for coordinate in coordinates:
        left = coordinate // 2 if record.complex else coordinate
        index: list[int] = []
        for length in reversed(record.shape):
            left, position = divmod(left, length)
            index.insert(0, position)
        places.append(f"{record.name}[{', '.join(map(str, index))}]" if index else record.name)
    return ", ".join(dict.fromkeys(places))
