"""Slopes with error bars for a problem, on demand.

The decision behind it: every measurement is a ladder, and ladders that do not depend on each other run side by side, so
that each round of work goes out as one batch.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._evaluation import Evaluator
from gradproof._numerics.ladder import DOT_ROUNDING, NOISE_FACTOR, RATIO, Pair, Settings, Slope, ladder
from gradproof._numerics.noise import first_step, pilot
from gradproof._records import Direction, Estimate, Noise, Part, Ray, Samples, Trace, Weighting

#: Steps tried on one side only, relative to the parameter, each a quarter of the one before.
ONE_SIDED, RUNGS = 1e-2, 16
#: One-sided slopes at neighbouring steps settle if they come closer at least like this, as for x^(3/2) at 0; the
#: rest of the way is then at most so many times the last part of it.
SHRINKS, MARGIN = 0.55, 1.25
#: A pair of steps this much closer catches a step that is far above the cost's own scale.
CLOSER = 64.0


#: Lines that are kept for each set of tensors that move together, of random ones and of single elements.
KEPT = 3


class Traces:
    """The first lines that were measured through each set of tensors, for people to look at.

    Only what was measured anyway is kept, and only references to it; once a set has its lines, another costs a look-up.
    """

    def __init__(self) -> None:
        self._lines: dict[_Moved, dict[_Line, tuple[Slope, float, Settings, list[Pair]]]] = {}

    def keep(self, direction: Direction, slope: Slope, claimed: float, settings: Settings) -> None:
        """Keeps a ladder, if its tensors have not enough of them."""
        lines = self._lines.setdefault(_moved(direction), {})
        if len(lines) < KEPT and (line := _line(direction)) not in lines:
            lines[line] = slope, claimed, settings, []

    def add(self, direction: Direction, pair: Pair) -> None:
        """Adds a pair that was seen along a line that is kept."""
        known = self._lines.get(_moved(direction), {}).get(_line(direction))
        if known is not None:
            known[3].append(pair)

    def named(self, names: Sequence[str]) -> dict[tuple[int, ...], tuple[Trace, ...]]:
        """The lines through each set of tensors, in the order of measurement, random ones first.

        Args:
            names: the names of all tensors.
        """
        found: dict[tuple[int, ...], tuple[Trace, ...]] = {}
        for (single, moved), lines in sorted(self._lines.items(), key=lambda item: item[0][0]):
            called = tuple(names[i] for i in moved)
            made = tuple(_trace(called, single, *line) for line in lines.values())
            found[moved] = found.get(moved, ()) + made
        return found


#: Whether a direction moves one element, and the tensors that it moves.
_Moved = tuple[bool, tuple[int, ...]]
#: A direction among those that move the same tensors: its seeds and what it does to the first of them.
_Line = tuple[tuple[int, ...], Part]


def _line(direction: Direction) -> _Line:
    return direction.seeds, direction.parts[0]


def _moved(direction: Direction) -> _Moved:
    parts = direction.parts
    if len(parts) == 1:
        return parts[0].weighting is Weighting.UNIT, (parts[0].tensor,)
    return False, tuple(sorted({part.tensor for part in parts}))


def _trace(
    moved: tuple[str, ...],
    single: bool,
    slope: Slope,
    claimed: float,
    settings: Settings,
    more: Sequence[Pair],
) -> Trace:
    pairs = {pair.step: pair for pair in (*slope.rungs.values(), *more) if pair.finite}
    rungs = [pairs[step] for step in sorted(pairs)]
    # As the ladder reckons: large values away from the point bring their own rounding.
    rounded = (max(settings.sigma, 0.5 * settings.epsilon * pair.size) / pair.step for pair in rungs)
    return Trace(
        moved,
        tuple(pair.step for pair in rungs),
        tuple(pair.plus for pair in rungs),
        tuple(pair.minus for pair in rungs),
        tuple(NOISE_FACTOR / math.sqrt(2.0) * noise for noise in rounded),
        claimed, -slope.value, slope.bar, slope.step, slope.noise, slope.truncation, settings.sigma,
        single,
    )  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """Measures a problem along directions.

    Attributes:
        evaluator: where costs come from.
        noise: what the cost's last digits are worth.
        traces: what was seen on the way.
    """

    evaluator: Evaluator
    noise: Noise
    traces: Traces = field(default_factory=Traces)

    @property
    def spent(self) -> int:
        """Cost evaluations so far in this check."""
        return self.evaluator.meter.count

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "Reference":
        """The same cost with some elements of some tensors left where they are."""
        return replace(self, evaluator=self.evaluator.holding(masks))

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "Reference":
        """The same cost at the same point held against other claims for some tensors."""
        return replace(self, evaluator=self.evaluator.reclaimed(claims), traces=Traces())

    def measure(
        self, directions: Sequence[Direction], target: float, step: float | None = None, noise: Noise | None = None
    ) -> list[Estimate]:
        """Measures the mismatch along each direction.

        Args:
            directions: where to look.
            target: error bar to aim at.
            step: relative step to start from; the noise's own where None.
            noise: settings to use instead of the point's own.

        Returns:
            One estimate a direction.
        """
        used = noise or self.noise
        settings = Settings(used.sigma, used.epsilon, step or used.step, used.quantised or used.rounded, used.ceiling)
        waiting = {i: ladder(settings, target) for i in range(len(directions))}
        asked = {i: next(climb) for i, climb in waiting.items()}
        slopes: dict[int, float] = {}
        found: dict[int, Estimate] = {}
        while asked:
            rays = [Ray(directions[i], _both(steps)) for i, steps in asked.items()]
            again: dict[int, list[float]] = {}
            for (i, steps), samples in zip(asked.items(), self.evaluator.lines(rays), strict=True):
                slopes[i] = samples.slope
                end = _advance(waiting[i], i, _pairs(steps, samples, used.cost), again, found, slopes[i])
                if end is not None:
                    self.traces.keep(directions[i], end, slopes[i], settings)
            asked = again
        return [found[i] for i in range(len(directions))]

    def pair(self, direction: Direction, step: float) -> Pair:
        """The residuals at one step on both sides."""
        samples = self.evaluator.lines([Ray(direction, (step, -step))])[0]
        pair = _pairs([step], samples, self.noise.cost)[0]
        self.traces.add(direction, pair)
        return pair

    def rounded_along(self, direction: Direction) -> Noise | None:
        """What the cost's last digits are worth across many steps of what it rounds inside; None where it does not."""
        from gradproof._numerics.rounding import rounding_inside  # only what cannot be told from close by pays for it

        noise = self.noise
        size = abs(float(noise.cost))

        def line(steps: Sequence[float]) -> NDArray[np.float64]:
            return np.array(residuals(self.evaluator.lines([Ray(direction, tuple(steps))])[0], noise.cost))

        grid = noise.epsilon if noise.quantised else self.evaluator.problem.epsilon
        sigma = rounding_inside(line, max(0.5 * grid * size, 1e-300))
        if not sigma or not size:
            return None
        sigma = max(sigma, noise.sigma)
        step = max(noise.step, first_step(min(1e-3, sigma / size)))
        return replace(noise, sigma=sigma, step=step, jump=False, ceiling=math.inf, rounded=True, quantised=False)

    def one_sided(self, direction: Direction) -> list[tuple[float, float]]:
        """The mismatch along a direction from each side of the point on which the cost exists.

        Second-order one-sided differences (4 psi(h) - psi(2h)) / 2h at falling steps; neighbours bound the truncation,
        and no closer one may contradict.

        Returns:
            (mismatch, error bar) of each side that could be measured.
        """
        steps = [ONE_SIDED / RATIO**k for k in range(RUNGS)]
        found: list[tuple[float, float]] = []
        for side in (1.0, -1.0):
            ray = Ray(direction, tuple(side * step * far for step in steps for far in (1.0, 2.0)))
            values = residuals(self.evaluator.lines([ray])[0], self.noise.cost)
            slopes = [(4.0 * values[2 * k] - values[2 * k + 1]) / (2.0 * side * steps[k]) for k in range(RUNGS)]
            noise = [NOISE_FACTOR * math.sqrt(17.0) * self.noise.sigma / (2.0 * step) for step in steps]
            best = (math.nan, math.inf)
            for k in range(2, RUNGS):
                moved, before = (abs(float(slopes[j] - slopes[j - 1])) for j in (k, k - 1))
                bar = noise[k] + MARGIN * moved
                # A root or logarithm has a slope at every step and keeps none: neighbours must settle, and what lies
                # closer must agree.
                settling = moved <= max(2.0 * noise[k], SHRINKS * before)
                agreed = all(abs(slopes[j] - slopes[k]) <= bar + noise[j] for j in range(k + 1, RUNGS))
                if bar < best[1] and settling and agreed:
                    best = (-float(slopes[k]), bar)
            if math.isfinite(best[1]):
                found.append(best)
        return found

    def closer(self, direction: Direction, found: Estimate, target: float) -> Estimate:
        """Looks much closer than the step of an estimate, and measures again from there where that disagrees."""
        step = found.step / CLOSER
        near = self.pair(direction, step)
        allowed = found.bar + NOISE_FACTOR * self.noise.sigma / (math.sqrt(2.0) * step)
        if near.finite and abs(-near.odd - found.mismatch) <= allowed:
            return found
        again = self.measure([direction], target, step)[0]
        return again if again.measured else found


def take_pilot(evaluator: Evaluator, parts: Sequence[Part], seed: int, cost: Any) -> Noise:
    """Measures the noise of a cost along one random direction through its tensors.

    Args:
        evaluator: where costs come from.
        parts: the tensors to move, each weighted by its scale.
        seed: of the direction.
        cost: the cost at the point, in full precision.
    """
    direction = Direction((seed,), tuple(parts))

    def line(steps: Sequence[float]) -> tuple[Sequence[Any], Sequence[float]]:
        samples = evaluator.lines([Ray(direction, tuple(step for step in steps if step))])[0]
        away = zip(samples.costs, residuals(samples, cost), strict=True)
        here = type(samples.costs[0])(cost), 0.0  # the point itself was evaluated before
        costs, found = zip(*(next(away) if step else here for step in steps), strict=True)
        return costs, found

    found = pilot(line, cost, evaluator.problem.epsilon, evaluator.problem.grain)
    return Noise(**found)


def _both(steps: Sequence[float]) -> tuple[float, ...]:
    return tuple(signed for step in steps for signed in (step, -step))


def residuals(samples: Samples, cost: Any) -> list[float]:
    """psi(t) - psi(0), formed in the precision of evaluation before it is rounded to float64."""
    pairs = zip(samples.costs, samples.claimed, strict=True)
    if type(samples.costs[0]) is float:
        at_point = float(cost)
        return [(away - at_point) - claimed for away, claimed in pairs]
    with np.errstate(invalid="ignore", over="ignore"):
        return [float((away - cost) - claimed) for away, claimed in pairs]


def _pairs(steps: Sequence[float], samples: Samples, cost: Any) -> list[Pair]:
    residual, costs, magnitude = residuals(samples, cost), samples.costs, samples.magnitude
    found = []
    for i, step in enumerate(steps):
        plus, minus = 2 * i, 2 * i + 1
        rounded = DOT_ROUNDING * max(magnitude[plus], magnitude[minus])
        size = float(max(abs(costs[plus]), abs(costs[minus]), rounded))
        found.append(Pair(step, residual[plus], residual[minus], size))
    return found


def _advance(
    climb: Generator[list[float], list[Pair], Slope],
    i: int,
    pairs: list[Pair],
    again: dict[int, list[float]],
    found: dict[int, Estimate],
    slope: float,
) -> Slope | None:
    """Sends a ladder its values; it asks for more or is done, and then says what it found."""
    try:
        again[i] = climb.send(pairs)
    except StopIteration as done:
        end: Slope = done.value
        found[i] = Estimate(
            -end.value, end.bar, slope, end.step, end.noise, end.truncation, end.kink, end.kink_here, end.hidden,
            end.jump, 2 * end.pairs, _curvature(end),
        )  # fmt: skip
        return end
    return None


def _curvature(slope: Slope) -> float:
    """The even part over the step squared, at the largest step, where rounding is least in it."""
    pair = max((pair for pair in slope.rungs.values() if pair.finite), key=lambda pair: pair.step, default=None)
    return 0.0 if pair is None else abs(pair.even) / pair.step**2


def next_step(found: Estimate) -> float | None:
    """Where the next ladder of the same block should start: one rung above where this one ended, as it takes two."""
    return found.step * RATIO if found.measured else None
