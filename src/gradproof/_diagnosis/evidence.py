"""What was measured of one wrong tensor, and which claims would agree with it.

The decision behind it: a cause is never argued, it is tried. Whoever suspects one says what the gradient would be if
it were mended, and that is held against projections of the measured derivative that carry error bars of about 1e-9.
A wrong explanation that agrees with all of them by accident is out of the question unless the tensor has hardly more
elements than the explanation has free numbers, and those are told apart here (``thin``).

Nearly all candidates fail on the first projections, which the verdict has measured already. So the others are measured
when something asks for them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._problem import Problem
from gradproof._records import Direction, Estimate, Part, Stats, Tensor, Weighting
from gradproof._reference import Reference, next_step

#: Tensors up to this many coordinates are measured one by one.
SMALL = 10
#: Projections of a larger tensor.
PROBES = 8
#: Projections that must be known for the others to wait until they are asked for.
FEWEST = 2
#: Elements on which a candidate is tried first, and the chance that a true one may fail there.
SAMPLED, RARE = 4096, 1e-7
#: An explanation may leave this many error bars.
BARS = 3.0
#: A mismatch must exceed the error bars this many times for one explanation to be told from another.
CLEAR = 20.0
#: Share of a bar aimed at, relative to the norm of claim or reference.
TARGET = 5e-9
#: A fitted number must be known to this share of itself.
BLUNT = 0.02
#: Projections beyond the free numbers of an explanation that it takes to believe it.
SPARE = 3
#: Claims in lower precision may be off by this many times their unit roundoff without being wrong in the formula.
ROUNDING = 32.0


@dataclass(frozen=True)
class Fit:
    """The measured derivative as a combination of candidates.

    Attributes:
        coefficients: one number a candidate.
        errors: how far each may be off.
        thin: whether there were hardly more measurements than numbers to fit, so that agreement proves little.
    """

    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    thin: bool

    @property
    def pairs(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Numbers and errors."""
        return self.coefficients, self.errors


@dataclass(frozen=True)
class Projections:
    """What was measured along some directions.

    Attributes:
        directions: what was probed.
        measured: the measured derivative along each direction.
        mismatch: claimed minus measured along each direction.
        bars: how far each may be off.
    """

    directions: tuple[Direction, ...]
    measured: NDArray[np.float64]
    mismatch: NDArray[np.float64]
    bars: NDArray[np.float64]

    @classmethod
    def of(cls, directions: Sequence[Direction], found: Sequence[Estimate]) -> "Projections":
        """Those of which something finite was seen."""
        usable = [(d, e) for d, e in zip(directions, found, strict=True) if e.measured]
        numbers = np.array([(e.slope, e.mismatch, e.bar) for _, e in usable], dtype=np.float64).reshape(-1, 3)
        slopes, mismatch, bars = (np.ascontiguousarray(column) for column in numbers.T)
        return cls(tuple(d for d, _ in usable), slopes - mismatch, mismatch, bars)

    def with_(self, other: "Projections") -> "Projections":
        """These and others."""
        return Projections(
            (*self.directions, *other.directions),
            np.concatenate([self.measured, other.measured]),
            np.concatenate([self.mismatch, other.mismatch]),
            np.concatenate([self.bars, other.bars]),
        )


@dataclass(frozen=True)
class Suspect:
    """One wrong tensor with what was measured of it.

    Attributes:
        index: its place in ``Problem.tensors``.
        tensor: its record.
        stats: its norms.
        theta: its parameters, in its shape.
        claim: its claimed gradient, in its shape.
        first: what is measured already.
        more: measures the other projections.
        source: where it was measured.
        single: whether each direction is one coordinate.
        roundoff: unit roundoff of the claim where that is lower than float64, else 0.
    """

    index: int
    tensor: Tensor
    stats: Stats
    theta: NDArray[Any]
    claim: NDArray[Any]
    first: Projections
    more: Callable[[], Projections]
    source: Reference
    single: bool
    roundoff: float = 0.0

    @cached_property
    def every(self) -> Projections:
        """All that there is to measure."""
        return self.first.with_(self.more())

    @property
    def directions(self) -> tuple[Direction, ...]:
        """What was probed."""
        return self.every.directions

    @property
    def measured(self) -> NDArray[np.float64]:
        """The measured derivative along each direction."""
        return self.every.measured

    @property
    def mismatch(self) -> NDArray[np.float64]:
        """Claimed minus measured along each direction."""
        return self.every.mismatch

    @property
    def bars(self) -> NDArray[np.float64]:
        """How far each may be off."""
        return self.every.bars

    @property
    def problem(self) -> Problem:
        """Where it lives."""
        return self.source.evaluator.problem

    @property
    def name(self) -> str:
        """The user's name for it."""
        return self.tensor.name

    @cached_property
    def clear(self) -> bool:
        """Whether the mismatch stands out of the error bars enough for explanations to be told apart."""
        if self._amply(self.first.mismatch):
            return True
        return rms(self.mismatch) > CLEAR * rms(self.bars + self.rounded(self.measured) / BARS)

    @property
    def moves(self) -> bool:
        """Whether the measured derivative itself stands out of the error bars."""
        return self._amply(self.first.measured) or rms(self.measured) > CLEAR * rms(self.bars)

    def _amply(self, values: NDArray[np.float64]) -> bool:
        """Whether first values stand out of their bars, and would if the others were none, with bars twice as long."""
        least = rms(values) * math.sqrt(len(values) / PROBES)
        waits = not self.single and not self.roundoff and FEWEST <= len(values) < PROBES
        return waits and bool(least > CLEAR * 2.0 * rms(self.first.bars))

    @cached_property
    def reach(self) -> float:
        """What the norm of the mismatch is at most, by what is measured already."""
        return self._at_most(self.first)

    @cached_property
    def close_reach(self) -> float:
        """The same by all that there is to measure."""
        return self._at_most(self.every)

    def _at_most(self, seen: Projections) -> float:
        """What the norm of the mismatch is at most, but for a chance of ``RARE``; infinite where nothing is known.

        The sum of k squares of Gaussian numbers is at most k y with a chance below (y e^(1 - y))^(k / 2), by Chernoff.
        """
        count = len(seen.directions)
        if self.single or count < FEWEST or self.stats.moving < self.tensor.size:
            return math.inf
        weight = min(abs(part.weight) for direction in seen.directions for part in direction.parts)
        size = rms(np.abs(seen.mismatch) + seen.bars + self.rounded(seen.measured))
        return math.sqrt(math.e) * RARE ** (-1.0 / count) * size / weight if weight else math.inf

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Some elements of an array of the tensor's shape, always the same ones."""
        return np.asarray(array.reshape(-1)[:: max(1, array.size // SAMPLED)])

    def beyond(self, change: NDArray[Any], free: NDArray[Any] | None = None) -> bool:
        """Whether some elements of a claim change by more than all of the mismatch can be.

        Args:
            change: claimed minus mended of some elements.
            free: the same elements of an array of which any multiple may be added.
        """
        off, along = float(np.vdot(change, change).real), 0.0
        size = 0.0 if free is None else float(np.vdot(free, free).real)
        if free is not None and size:
            along = abs(complex(np.vdot(free, change))) ** 2 / size
        return math.sqrt(max(0.0, off - along)) > self.reach + 1e-7 * math.sqrt(off)

    def rounded(self, sizes: NDArray[Any]) -> NDArray[np.float64]:
        """What the rounding of a claim of these sizes may come to; along projections their mean size counts."""
        if not self.roundoff:
            return np.zeros(np.shape(sizes))
        each = np.abs(sizes) if self.single else np.full(np.shape(sizes), rms(np.abs(sizes)))
        return np.asarray(ROUNDING * self.roundoff * each, dtype=np.float64)

    @property
    def elements(self) -> NDArray[Any] | None:
        """The measured derivative element by element; None where only projections are known."""
        if not self.single:
            return None
        scale = self.directions[0].parts[0].weight if self.directions else 1.0
        flat = self.measured / scale
        if len(flat) != self.tensor.size:
            return None
        return (flat.view(np.complex128) if self.tensor.complex else flat).reshape(self.tensor.shape)

    def leaves_nothing(self, repaired: NDArray[Any]) -> bool:
        """Whether another claim agrees with everything that was measured."""
        if not self.clear or np.shape(repaired) != self.tensor.shape:
            return False
        for seen, few in self._in_turn(1):
            left = self._project(seen.directions[few], [repaired])[:, 0] - seen.measured[few]
            if not np.all(np.abs(left) <= self._allowed(seen)[few]):
                return False
        return bool(np.all(np.isfinite(repaired)))  # what is not fails before that, unless nothing was moved there

    def fit(self, candidates: Sequence[NDArray[Any]], known: NDArray[Any] | None = None) -> Fit | None:
        """The derivative as ``known`` plus a combination of candidates; None where that leaves something.

        Args:
            candidates: arrays of the tensor's shape, each with a free factor.
            known: an array that enters with factor 1.
        """
        if not self.clear:
            return None
        arrays, count = [*candidates] if known is None else [*candidates, known], len(candidates)
        table = np.empty((0, len(arrays)))
        for seen, few in self._in_turn(count + 1):
            table = np.vstack([table, self._project(seen.directions[few], arrays)])
            wanted = seen.measured[: len(table)] - (0.0 if known is None else table[:, -1])
            allowed = self._allowed(seen)
            if not np.all(np.isfinite(table)) or _hopeless(table[:, :count], wanted, allowed[: len(table)]):
                return None
        if not all(np.all(np.isfinite(c)) for c in candidates):
            return None
        found = solve(table[:, :count], wanted, allowed, self.tensor.size)
        # A factor that may as well be zero explains nothing: the derivative itself is then lost in the bars.
        blunt = found is not None and any(e > BLUNT * abs(c) for c, e in zip(*found.pairs, strict=True))
        return None if blunt else found

    def _project(self, directions: Sequence[Direction], arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Inner products, of which candidates that are not finite make NaN."""
        with np.errstate(all="ignore"):
            return self.problem.project(directions, self.index, arrays)

    def _in_turn(self, first: int) -> Iterator[tuple[Projections, slice]]:
        """The measurements in two parts: what fails on a few, as nearly everything does, needs no look at the rest."""
        seen = self.first if first <= len(self.first.directions) else self.every
        first = min(first, len(seen.directions))
        yield seen, slice(0, first)
        yield self.every, slice(first, len(self.every.directions))

    def _allowed(self, seen: Projections) -> NDArray[np.float64]:
        """Bars, but never narrower than a millionth of the mismatch: nothing is measured more finely than that."""
        allowed = BARS * seen.bars + self.rounded(seen.measured)
        return np.maximum(allowed, 1e-9 * np.abs(seen.mismatch))


def _hopeless(table: NDArray[np.float64], wanted: NDArray[np.float64], allowed: NDArray[np.float64]) -> bool:
    """Whether no combination of columns comes close enough to all of these measurements.

    Least squares leaves the least norm there is, and rows that all leave at most one leave at most the root of their
    number.
    """
    rows, goal = table / allowed[:, None], wanted / allowed
    if not (np.all(np.isfinite(rows)) and np.all(np.isfinite(goal))):
        return False  # for other reasons than the candidates
    left = goal - rows @ _least_squares(rows, goal)
    return bool(np.linalg.norm(left) > np.sqrt(len(goal)) * (1.0 + 1e-6) + 1e-9 * np.linalg.norm(goal))


def _least_squares(rows: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """What leaves the least norm; of one column, as most often, without a decomposition."""
    size = float(np.vdot(rows, rows)) if rows.shape[1] == 1 else 0.0
    if 0.0 < size < math.inf:
        return np.asarray(rows.T @ goal / size)
    return np.asarray(np.linalg.lstsq(rows, goal, rcond=None)[0])


def solve(
    table: NDArray[np.float64], wanted: NDArray[np.float64], allowed: NDArray[np.float64], unknowns: int
) -> Fit | None:
    """Weighted least squares; None where the columns are dependent or something is left.

    Args:
        table: a row a measurement, a column a candidate.
        wanted: what was measured.
        allowed: how much of each measurement may be left.
        unknowns: how many independent numbers the measurements can tell of at most.
    """
    count = table.shape[1]
    if len(wanted) < count or not len(wanted):
        return None
    scale = np.linalg.norm(table, axis=0)
    if not np.all(scale > 0.0):
        return None
    rows, goal = table / scale / allowed[:, None], wanted / allowed
    u, s, vt = np.linalg.svd(rows, full_matrices=False)
    if s[-1] <= 1e-7 * s[0]:
        return None
    coefficients = vt.T @ ((u.T @ goal) / s)
    if np.any(np.abs(rows @ coefficients - goal) > 1.0):
        return None
    errors = np.sqrt(np.sum((vt.T / s) ** 2, axis=1)) / BARS
    spare = min(len(wanted), unknowns) - count
    return Fit(tuple((coefficients / scale).tolist()), tuple((errors / scale).tolist()), thin=spare < SPARE)


def gather(
    reference: Reference,
    tensor: int,
    stats: Stats,
    scale: float,
    size: float,
    seeds: Sequence[int],
    known: Sequence[tuple[Direction, Estimate]] = (),
    roundoff: float = 0.0,
) -> Suspect:
    """Measures one wrong tensor: every coordinate where they are few, else projections, as far as they are needed.

    Args:
        reference: where slopes come from.
        tensor: its place in the problem.
        stats: its norms.
        scale: step scale where its parameters are all zero.
        size: norm of its gradient, about.
        seeds: of the projections, at least ``PROBES``.
        known: projections of this tensor alone that were measured before.
        roundoff: unit roundoff of the claim where that is lower than float64.
    """
    problem = reference.evaluator.problem
    record = problem.tensors[tensor]
    single = record.size <= SMALL
    if single:
        directions = [
            Direction((), (Part(tensor, scale, Weighting.UNIT, start=c, stop=c + 1),)) for c in range(record.size)
        ]
    else:
        parts = tuple(Part(tensor, rms or scale, bin=label) for label, rms, count in stats.bins if count)
        directions = [Direction((seed,), parts) for seed in seeds[:PROBES]]
    target = TARGET * scale * size / (math.sqrt(record.size) if single else 1.0)
    found: list[Estimate] = []
    if not single:
        found = [estimate for _, estimate in known[:PROBES]]
        directions = [direction for direction, _ in known[:PROBES]] + directions[len(found) :]
    few = len(found) >= FEWEST and not roundoff  # what a claim's own rounding may come to depends on all of them
    if not found:
        found = reference.measure(directions[:1], target)
    begun = len(found)

    def more() -> Projections:
        rest = directions[begun:]
        return Projections.of(rest, reference.measure(rest, target, next_step(found[-1])) if rest else [])

    first, (theta, claim) = Projections.of(directions[:begun], found), problem.pull(tensor)
    if not few:
        first, more = first.with_(more()), lambda: Projections.of((), ())
    return Suspect(tensor, record, stats, theta, claim, first, more, reference, single, roundoff)


def rms(values: NDArray[np.float64]) -> float:
    """Root mean square without overflow; 0 of nothing."""
    top = float(np.max(np.abs(values), initial=0.0))
    return top * float(np.sqrt(np.mean((values / top) ** 2))) if 0.0 < top < np.inf else top
