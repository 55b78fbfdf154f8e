"""How many digits of a cost are worth anything near a point.

The decision behind it: every error bar stands on a measured noise level and none on a guess from the data type, since
costs round inside, add large offsets, or compute in lower precision than they return. Nine equally spaced values along
one line give it through a difference table (R. W. Hamming, Introduction to Applied Numerical Analysis, 1971; J. J. More
and S. M. Wild, SIAM J. Sci. Comput. 33, 2011, doi:10.1137/100786125): differences of high order of a smooth function
vanish and what is left is rounding.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof._numerics.ladder import FIRST_STEP, RATIO

#: Points on either side of the line's centre.
HALF = 4
#: Spacing relative to the parameters: far below the scale of any cost worth differentiating, far above its rounding.
SPACING = 1e-7
#: Parameters that are rounded are moved by at least so many of their own spacings, and by so many where that is little.
APART, AMPLY = 4.0, 64.0
#: A cost with fewer distinct values than this has not moved off its own grid yet.
DISTINCT = 5
#: Factor on the spacing when the cost did not move, and the largest spacing tried.
WIDEN, WIDEST, WIDEST_COARSE = 30.0, 1e-3, 0.1
#: Factor on the spacing when the cost was not finite there, and how often.
NARROW, ATTEMPTS = 1e-2, 8
#: A second look this much closer tells noise (stays) from a kink or curvature (falls).
CLOSER = 1e-2
#: A third look this much further off, and how much more a kink or curvature shows there at least. Parameters that are
#: rounded on the way, to single precision as a rule, stand still closer in, and are noise from their spacing outwards.
FURTHER, GROWS = 30.0, 15.0
#: Noise on the sides of a jump, in units of it, that is many jumps rather than one.
UNSTEADY = 0.05
#: A value grid this many units in the last place apart is the cost's own grid, not chance.
COARSE = 16
#: Trailing zero bits of a value that betray lower precision inside.
COARSE_BITS = 16
#: Relative grid wider than bfloat16's: no arithmetic rounds like that, the cost is a staircase.
STAIRCASE = 2.0**-7
#: Growth from no change at all to this many grid spacings within one widening is a jump, not a slope.
LEAP = 4.0 * WIDEN**2


#: Raw costs and residuals at some steps.
Line = Callable[[Sequence[float]], tuple[Sequence[Any], Sequence[float]]]


class Pilot:
    """What one line through the point shows.

    Attributes:
        residual: the residual values.
        quantum: the grid of the raw values.
        spread: how far the raw values lie from the one in the middle; NaN where one is not finite.
        level: the noise by each order of the difference table of the residual.
        finite: whether every residual value is.
        distinct: number of different raw values; the residual would hide a grid, being linear on it.
    """

    __slots__ = ("distinct", "finite", "level", "quantum", "residual", "spread")

    def __init__(self, raw: Sequence[Any], residual: Sequence[float]) -> None:
        values = [*raw]
        self.residual = residual
        self.quantum = quantum(values)
        self.spread = float(max(abs(value - values[HALF]) for value in values)) if _all_finite(values) else math.nan
        self.level = _levels(residual)
        self.finite = _all_finite(residual)
        self.distinct = len({*values})


def _all_finite(values: Sequence[np.floating | float]) -> bool:
    return all(map(math.isfinite, values))


def quantum(values: Sequence[np.floating | float]) -> float:
    """The largest power of two that divides every value; 0 where no value says anything."""
    smallest = 0.0
    for value in values:
        if value == 0 or not math.isfinite(value):
            continue
        whole, parts = value.as_integer_ratio()  # in lowest terms, over a power of two
        grid = math.ldexp(1.0, (whole & -whole).bit_length() - parts.bit_length())
        smallest = grid if smallest == 0.0 else min(smallest, grid)
    return smallest


def _levels(values: Sequence[float]) -> list[float]:
    """Noise level by each order of the difference table: sqrt(mean of squared differences x (j!)^2 / (2j)!)."""
    top = max(map(abs, values), default=0.0) if _all_finite(values) else math.nan
    if top == 0.0 or math.isnan(top):
        return [top] * (len(values) - 1)
    table, factor, levels = [value / top for value in values], 1.0, []  # scaled, since squares of large costs overflow
    for order in range(1, len(values)):
        table = [after - before for before, after in itertools.pairwise(table)]
        factor *= 0.5 * order / (2 * order - 1)
        levels.append(top * math.sqrt(factor * sum(step * step for step in table) / len(table)))
    return levels


def _sigma(levels: Sequence[float]) -> tuple[float, bool]:
    """Noise from orders 4 to 6; from 6 to 8, flagged, where the low orders still feel the curve."""
    sigma = max(levels[3:6])
    if sigma > 6.0 * min(levels[3:6]):
        return max(levels[5:8]), True
    return sigma, False


def _jump(values: Sequence[float], floor: float) -> tuple[float, float]:
    """The gap between the centre and the limits from either side, and the noise on the sides alone."""
    gaps, sides = [], []
    for side in (values[HALF + 1 :], values[HALF - 1 :: -1]):
        gaps.append(abs(float(4 * side[0] - 6 * side[1] + 4 * side[2] - side[3] - values[HALF])))
        sides.append(math.sqrt(0.05) * abs(float(side[3] - 3 * side[2] + 3 * side[1] - side[0])))
    return max(gaps), max(*sides, floor)


def pilot(
    line: Line,
    cost: Any,
    epsilon: float,
    grain: float = 0.0,
) -> dict[str, Any]:
    """Measures a cost's noise along one line.

    Args:
        line: relative steps in, (raw costs, residuals against the claimed gradient) out; NaN where not finite.
        cost: the cost at the point.
        epsilon: spacing of the precision the cost is evaluated in, relative.
        grain: spacing of the numbers that displaced parameters are rounded to, relative; 0 where they are not.

    Returns:
        The fields of ``Noise``.
    """
    exact, cost = cost, float(cost)
    spacing = SPACING if epsilon < 1e-14 else float(np.clip(300 * epsilon**0.9, 1e-7, 1e-3))
    spacing = max(spacing, APART * grain, min(AMPLY * grain, WIDEST))
    look, spacing, ceiling = _settle(line, exact, epsilon, spacing)
    if look is None:
        return {"sigma": math.inf, "epsilon": epsilon, "step": FIRST_STEP, "cost": exact, "finite": False}
    ulp = 2.0 * epsilon * 2.0 ** math.floor(math.log2(abs(cost))) if cost else 0.0
    ulp /= 2.0  # epsilon is the spacing at 1
    grid = look.quantum if look.distinct >= 2 or look.quantum >= STAIRCASE * abs(cost) else 0.0
    quantised = bool(cost and grid >= COARSE * ulp)
    if quantised:
        epsilon = max(epsilon, grid / abs(cost))
    floor = max(0.5 * ulp, 0.5 * grid if quantised else 0.0, 0.5 * epsilon * abs(cost), 1e-300)
    constant = look.distinct == 1
    staircase = quantised and epsilon > STAIRCASE
    found: dict[str, Any] = {
        "epsilon": epsilon,
        "cost": exact,
        "quantised": quantised,
        "ceiling": ceiling,
        "constant": constant,
        "steps_only": staircase,
        "step": max(first_step(epsilon), RATIO * APART * grain),
        "narrowed": spacing < SPACING,
        "sigma": floor,
    }
    if constant:
        return found
    gap, side_noise = _jump(look.residual, floor)
    if gap > 100.0 * side_noise and gap > 0.2 * max(look.level[3:6]):
        close = Pilot(*line(_steps(spacing * CLOSER)))
        if close.finite and _jump(close.residual, floor)[0] > 0.5 * gap:
            wide = Pilot(*line(_steps(spacing * FURTHER)))
            if not (wide.finite and cost and _jump(wide.residual, floor)[1] > UNSTEADY * gap):
                return found | {"jump": True, "sigma": side_noise}
            # One jump leaves the sides as they are; where there are jumps on them too, numbers are rounded on the way.
            return found | _rounded(max(_sigma(look.level)[0], _sigma(wide.level)[0]), cost, grain)
    sigma, bent = _sigma(look.level)
    if sigma > 50.0 * floor and not quantised:
        close = Pilot(*line(_steps(spacing * CLOSER)))
        if close.finite and close.distinct >= DISTINCT:
            closer, _ = _sigma(close.level)
            # A kink falls with the spacing, true noise does not; nor does it grow with it.
            if sigma > 30.0 * closer and _grows(line, spacing * FURTHER, sigma):
                sigma, bent = closer, True
                found["sides"] = max(_jump(seen.residual, floor)[1] for seen in (look, close))
    found["sigma"] = max(sigma, floor)
    if sigma > 4.0 * epsilon * abs(cost) and cost and not bent:
        found["step"] = max(first_step(min(1e-3, sigma / abs(cost))), RATIO * APART * grain)
    return found


def _rounded(sigma: float, cost: float, grain: float) -> dict[str, Any]:
    """What is known of a cost that rounds its parameters, or what it makes of them, to a lower precision.

    It may as well be made of small steps on purpose: that is looked at before anything is called wrong.
    """
    return {"sigma": sigma, "step": max(first_step(min(1e-3, sigma / abs(cost))), RATIO * APART * grain)}


def _grows(line: Line, spacing: float, sigma: float) -> bool:
    """Whether what looks like noise is far more at a wider spacing."""
    wide = Pilot(*line(_steps(spacing)))
    return not wide.finite or _sigma(wide.level)[0] > GROWS * sigma


def first_step(relative_noise: float) -> float:
    """Where a central difference balances noise against curvature, for a cost that varies on the parameters' scale."""
    return FIRST_STEP * math.cbrt(relative_noise)


def _steps(spacing: float) -> list[float]:
    return [k * spacing for k in range(-HALF, HALF + 1)]


def _settle(
    line: Line,
    cost: Any,
    epsilon: float,
    spacing: float,
) -> tuple[Pilot | None, float, float]:
    """Finds a spacing at which the cost is finite and moves, without stepping over a jump to get there.

    Returns:
        (what was seen, spacing, largest trusted step); None where the cost was never finite.
    """
    still: Pilot | None = None
    own_grid = quantum([cost])
    widest = WIDEST_COARSE if own_grid >= 2.0**COARSE_BITS * epsilon * abs(cost) and cost else WIDEST
    narrowed = False
    for _ in range(ATTEMPTS):
        look = Pilot(*line(_steps(spacing)))
        if not look.finite:
            if still is not None:  # finite closer in: that is the domain's edge or a hole, stay inside
                return still, spacing / WIDEN, spacing / WIDEN * HALF
            spacing, narrowed = spacing * NARROW, True
            continue
        if still is not None and look.distinct > 1:
            grid = max(look.quantum, epsilon * abs(cost))
            if look.spread > LEAP * grid or (look.distinct < DISTINCT and look.spread > DISTINCT * grid):
                return still, spacing / WIDEN, spacing / WIDEN * HALF  # it jumped: what lies closer is the answer
        if look.distinct >= DISTINCT or spacing >= widest or narrowed:
            return look, spacing, math.inf
        if look.distinct == 1:
            still = look
        spacing *= WIDEN
    return still, spacing / WIDEN, math.inf
