"""Whether a cost that seems to contradict a claim is made of steps, so that its slope depends on how closely one looks.

The decision behind it: a cost that is rounded, counted or compared somewhere has one slope between two of its steps
and another across many of them. Neither proves a claim wrong: the first is the derivative, the second is what the claim
is about. Both are looked at before "wrong" is said, and only arithmetic in a lower precision, whose steps are powers of
two and small beside the cost, passes for noise.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from gradproof._records import Direction, Estimate, Ray
from gradproof._reference import Reference, residuals

#: Relative spacing of values up to which powers of two are taken for arithmetic in lower precision: float32's is 2^-23,
#: and sums over some terms cancel a little.
ARITHMETIC = 2.0**-20
#: Noise of more spacings than arithmetic in lower precision adds up to is no rounding to them.
GRIDS = 2.0**20
#: Steps of the close look: the first moves the cost this many times its format's own rounding, each next one twice as
#: far.
FIRST, LOOKS = 16.0, 8
#: A mismatch this many times above rounding is seen clearly; so many looks in a row must agree.
CLEAR, ROW = 96.0, 3
#: So many values must be the cost at the point, or closest to it on their side, bit for bit.
STILL = 5
#: The smallest relative step that still moves parameters about as far as it says, for their own rounding.
MOVES = 2.0**-46
#: Noise this many times above the format's own rounding may be steps.
NOISY = 4.0
#: The close looks agree within this share of a mismatch, or contradict it by more than that.
AGREED, CONTRADICTED = 0.1, 0.25
#: A measured slope of so many error bars, and of this share of what was claimed, is that of a cost that moves. Where
#: it stands still, the rounding of claimed . displacement is left of the claim: far less than that.
MOVING, SHARE = 4.0, 1e-3
#: Where the far look goes, relative to the parameters, and the share of the step how much further a neighbour is.
FAR, NEIGHBOUR = (1e-3, 1e-2, 0.05, 0.2, 0.7, 2.0), 2.0**-6


def steps_close(reference: Reference, probes: Iterable[tuple[Direction, Estimate, float]]) -> bool:
    """Whether a mismatch that was seen across what counts as noise is another one, or a jump, closer to the point.

    Args:
        reference: where costs come from.
        probes: directions, what was measured along them, and the factor to the units of the step.
    """
    noise = reference.noise
    own = 0.5 * reference.evaluator.problem.epsilon * abs(float(noise.cost))
    if noise.quantised and noise.epsilon <= ARITHMETIC:
        grid = noise.epsilon * abs(float(noise.cost))
        if noise.sigma <= GRIDS * grid:
            return False
        own = max(own, 0.5 * grid)
    if noise.sigma <= NOISY * own:
        return False
    for direction, probe, unit in probes:
        size, slope = abs(probe.mismatch) * unit, abs(probe.slope - probe.mismatch) * unit
        first_step = max(MOVES, FIRST * own / size)
        steps = [step for k in range(LOOKS) if (step := first_step * 2.0**k) < probe.step / 2.0]
        if len(steps) < ROW:
            continue
        costs, values = _both(reference, direction, steps[-ROW:])
        last = _slopes(steps[-ROW:], values)
        apart = steps[: max(0, len(steps) - 2 * ROW + 1)]  # what rows begin with that share no look with the last one
        single = all(step * size <= CLEAR * own for step in apart) and slope * AGREED > size
        if single and steps[-ROW] * size > CLEAR * own and _all_near(last, probe.mismatch * unit, AGREED * size):
            # Every clear row shares a look with these and cannot contradict them; and a cost that stood still closer
            # in, or jumped, would be off here by more.
            continue
        closer = _both(reference, direction, steps[:-ROW])
        costs, values = [*closer[0], *costs], [*closer[1], *values]
        still = sum(
            costs[2 * k + side] == noise.cost or (k > 0 and costs[2 * k + side] == costs[side])  # or beside a tie
            for k, step in enumerate(steps)
            for side in (0, 1)
            if slope * step > FIRST * own
        )
        if still >= STILL:
            if not noise.rounded or abs(probe.slope) <= AGREED * abs(probe.mismatch):
                return True
            continue
        gaps = [float(values[2 * k] - values[2 * k + 1]) for k in range(len(steps))]
        seen = _slopes(steps, values)
        told = False
        for first in range(len(steps) - ROW + 1):
            row, jump = seen[first : first + ROW], gaps[first : first + ROW]
            if not all(math.isfinite(value) for value in row):
                continue
            agreed = max(row) - min(row) <= AGREED * size
            clear = steps[first] * size > CLEAR * own
            told = told or (clear and agreed)
            if clear and agreed and abs(row[0] - probe.mismatch * unit) > CONTRADICTED * size:
                if not noise.rounded:
                    return True
                if abs(row[0]) <= AGREED * size:
                    return True
            if not noise.rounded and max(jump) - min(jump) <= AGREED * max(map(abs, jump)) and abs(row[-1]) > size:
                return True
        told = told or bool(reference.evaluator.problem.grain)  # the steps are those of the parameters' own format
        if noise.rounded and not told and abs(probe.mismatch) > MOVING * probe.bar:
            return True  # steps lie too close to each other: the claim may be the slope between two of them
    return False


def _both(reference: Reference, direction: Direction, steps: Sequence[float]) -> tuple[list[Any], list[float]]:
    """Costs and residuals at some steps, each on both sides."""
    signed = tuple(s for step in steps for s in (step, -step))
    samples = reference.evaluator.lines([Ray(direction, signed)])[0] if signed else None
    return ([], []) if samples is None else ([*samples.costs], residuals(samples, reference.noise.cost))


def _slopes(steps: Sequence[float], values: Sequence[float]) -> list[float]:
    """The mismatch as each pair of residuals shows it."""
    pairs = zip(values[::2], values[1::2], steps, strict=True)
    return [(below - above) / (2.0 * step) for above, below, step in pairs]


def _all_near(values: Sequence[float], value: float, far: float) -> bool:
    return all(abs(one - value) <= far for one in values)


def _moves(probe: Estimate) -> bool:
    """Whether the cost was seen to change at the very steps that a slope was measured with."""
    moved = abs(probe.slope - probe.mismatch)
    return moved > MOVING * probe.bar and moved > SHARE * (abs(probe.slope) + abs(probe.mismatch))


def steps_far(reference: Reference, probes: Iterable[tuple[Direction, Estimate, float]]) -> bool:
    """Whether the cost stands still here and changes further off, but only ever in jumps.

    Args:
        reference: where costs come from.
        probes: directions, what was measured along them, and the factor to the units of the step.
    """
    cost = reference.noise.cost
    found = False
    for direction, probe, _ in probes:
        if _moves(probe):
            return False
        close = tuple(side * share * probe.step for share in (1.0, 0.25) for side in (1.0, -1.0))
        if any(value != cost for value in reference.evaluator.lines([Ray(direction, close)])[0].costs):
            return False
        far = tuple(side * (t + near) for t in FAR for side in (1.0, -1.0) for near in (0.0, NEIGHBOUR * probe.step))
        values = reference.evaluator.lines([Ray(direction, far)])[0].costs
        pairs = [(a, b) for a, b in zip(values[::2], values[1::2], strict=True) if math.isfinite(a + b)]
        moved = [a for a, b in pairs if a == b and a != cost]
        if sum(a != b for a, b in pairs) > len(pairs) // 4:
            return False
        found = found or bool(moved)
    return found
