"""A slope with an error bar, from central differences at steps that climb or descend until the bar is small enough.

The decision behind it: no single step is right for every cost, so neighbouring steps check each other. Their
difference bounds the truncation error (15 times over where the cost is smooth), the measured noise bounds the rounding,
and the even part of the cost tells a kink, which shrinks as the step, from curvature, which shrinks as its square. What
is differenced is the residual psi(t) = cost(t) - claimed . displacement, which is flat where the claim is right: the
linear part, by far the largest, then brings neither truncation nor rounding.

The procedure is a generator that asks for steps and is sent values, so that many can run side by side in one batch.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Step ratio between rungs: 2 and 3 need more evaluations for the same bar, 8 lost a calibration case (exp(10 x)).
RATIO = 4.0
#: Noise multiple in a bar. 4 fails on 0.17% of probes, 6 on 0.10%, 8 on 0.08% at more evaluations.
NOISE_FACTOR = 6.0
#: Share of the difference of two rungs taken as truncation; theory says 1/15, but only once the rungs are asymptotic.
ODD_FACTOR = 1.0
#: The same for kinks seen in the even part.
EVEN_FACTOR = 2.0
#: With values on a coarse grid the noise is no longer random, and rungs agree by chance more often.
ODD_FACTOR_COARSE, EVEN_FACTOR_COARSE = 3.0, 4.0
#: Multiple of the noise below which the even part says nothing.
EVEN_NOISE = 7.0
#: Most symmetric pairs of one ladder.
MAX_PAIRS = 8
#: Highest and lowest rung.
HIGHEST, LOWEST = 6, -14
#: Step for a relative noise of 1; the step is this times the cube root of the relative noise.
FIRST_STEP = 3.0
#: Rounding of claimed . displacement, relative to the sum of magnitudes: it averages out over many terms.
DOT_ROUNDING = 0.05


class Pair:
    """Residuals at +h and -h relative to the point.

    Attributes:
        step: h.
        plus: the residual at +h.
        minus: the residual at -h.
        size: of what was rounded on the way.
        odd: their central difference.
        even: their sum: h^2 for curvature, h for a kink, constant for a jump at the point.
        finite: whether both are.
    """

    __slots__ = ("even", "finite", "minus", "odd", "plus", "size", "step")

    def __init__(self, step: float, plus: float, minus: float, size: float) -> None:
        self.step, self.plus, self.minus, self.size = step, plus, minus, size
        self.odd = (plus - minus) / (2.0 * step)
        self.even = plus + minus
        self.finite = math.isfinite(self.even) or (math.isfinite(plus) and math.isfinite(minus))


@dataclass(frozen=True, slots=True)
class Settings:
    """What a ladder needs to know of the cost.

    Attributes:
        sigma: noise of one evaluation.
        epsilon: relative spacing of its values.
        step: the step of rung 0.
        coarse: whether values sit on a coarse grid.
        ceiling: largest step to use.
    """

    sigma: float
    epsilon: float
    step: float
    coarse: bool = False
    ceiling: float = math.inf


class Slope(NamedTuple):  # like the next one made for each step, and a named tuple is made four times as fast
    """Slope of the residual with its error bar; the fields are those of ``Estimate``, and the rungs it was read off."""

    value: float
    bar: float
    step: float
    noise: float
    truncation: float
    kink: float
    kink_here: float
    hidden: float
    jump: float
    pairs: int
    rungs: Mapping[int, Pair]


def ladder(settings: Settings, target: float) -> Generator[list[float], list[Pair], Slope]:
    """Measures one slope.

    Args:
        settings: noise and first step.
        target: stop once the bar is at most this.

    Yields:
        Steps h at which the residual is wanted on both sides; to be answered with as many pairs.

    Returns:
        The slope with the smallest bar found; its bar is infinite where nothing finite was seen.
    """
    rungs: dict[int, Pair] = {}
    best: _Candidate | None = None
    wanted = [0, -1]
    while settings.step * RATIO ** wanted[0] > settings.ceiling and wanted[0] > LOWEST + 1:
        wanted = [wanted[0] - 1, wanted[1] - 1]
    while wanted:
        answers = yield [settings.step * RATIO**rung for rung in wanted]
        rungs.update(zip(wanted, answers, strict=True))
        best = _best(rungs, settings)
        if (best is not None and best.bar <= target) or len(rungs) >= MAX_PAIRS:
            break
        wanted = _next(rungs, best, settings, target)
    return _outcome(rungs, best, settings)


class _Candidate(NamedTuple):
    value: float
    bar: float
    noise: float
    bent: float  # truncation and kinks, less what noise pretends
    kink: float
    rung: int


def _sigma(pair: Pair, settings: Settings) -> float:
    """Noise of one value; large values away from the point bring their own rounding."""
    return max(settings.sigma, 0.5 * settings.epsilon * pair.size)


def _best(rungs: dict[int, Pair], settings: Settings) -> _Candidate | None:
    """The estimate with the smallest bar: central differences, and their extrapolation where three rungs allow it."""
    q = RATIO * RATIO
    odd, even = (ODD_FACTOR_COARSE, EVEN_FACTOR_COARSE) if settings.coarse else (ODD_FACTOR, EVEN_FACTOR)
    seen = {rung: (pair.odd, pair.even) for rung, pair in rungs.items() if pair.finite}
    best: _Candidate | None = None
    for rung, (slope, bend) in seen.items():
        far = seen.get(rung + 1)
        if far is None:
            continue
        h, sigma = rungs[rung].step, _sigma(rungs[rung], settings)
        noise = NOISE_FACTOR * sigma / (math.sqrt(2.0) * h)
        flat = bend - far[1] / q
        candidates = [(slope, noise, odd * abs(slope - far[0]), flat)]
        further = seen.get(rung + 2)
        if further is not None:
            value = (q * slope - far[0]) / (q - 1.0)
            truncation = odd * abs(value - (q * far[0] - further[0]) / (q - 1.0))
            candidates.append((value, 1.1 * noise, truncation, flat - (far[1] - further[1] / q) / q**2))
        for value, noise, truncation, uneven in candidates:
            kink = even * max(0.0, abs(uneven) - EVEN_NOISE * sigma) / (2.0 * h)
            bar = noise + truncation + kink
            if best is None or bar < best.bar:
                best = _Candidate(value, bar, noise, max(0.0, truncation - 3.0 * sigma / h) + kink, kink, rung)
    return best


def _next(rungs: dict[int, Pair], best: _Candidate | None, settings: Settings, target: float) -> list[int]:
    """The rung to add: above where noise dominates the bar, below where the cost is not straight enough; or none."""
    low, high = min(rungs), max(rungs)
    if best is None:
        return [low - 1] if low > LOWEST else []
    above_allowed = settings.step * RATIO ** (high + 1) <= settings.ceiling
    above_allowed = above_allowed and high < HIGHEST and best.rung >= high - 2 and rungs[high].finite
    # A rung below would be too noisy for the target, but one above lets curvature be extrapolated away.
    only_above = best.kink == 0.0 and best.noise <= target < RATIO * best.noise and len(rungs) == 2
    if above_allowed and (best.noise >= best.bent or only_above):
        further = high + 1 < HIGHEST and settings.step * RATIO ** (high + 2) <= settings.ceiling
        # One rung up leaves a quarter of the noise; where that is too much still, and far more than the curve by then,
        # the next one is asked for in the same round.
        short = best.noise > RATIO * target and best.noise > RATIO**3 * best.bent and len(rungs) + 2 <= MAX_PAIRS
        return [high + 1, high + 2] if further and short else [high + 1]
    lowest = NOISE_FACTOR * settings.sigma / (math.sqrt(2.0) * rungs[low].step)
    if low > LOWEST and lowest * RATIO < best.bar and best.bent > 0.2 * best.noise:
        return [low - 1]
    return []


def _outcome(rungs: dict[int, Pair], best: _Candidate | None, settings: Settings) -> Slope:
    pairs = len(rungs)
    if best is None:
        nan = math.nan
        return Slope(nan, math.inf, nan, math.inf, math.inf, 0.0, 0.0, 0.0, 0.0, pairs, rungs)
    h = rungs[best.rung].step
    kinks = [_slope_change(rungs, rung, settings) for rung in range(best.rung, best.rung + 3)]
    seen = sorted([change for change in kinks if change is not None])
    kink = seen[(len(seen) - 1) // 2] if seen else 0.0
    hidden = 4.0 / 3.0 * EVEN_NOISE * settings.sigma / (2.0 * h)
    truncation = best.bar - best.noise
    jump = _jump(rungs, settings)
    return Slope(best.value, best.bar, h, best.noise, truncation, kink, kinks[0] or 0.0, hidden, jump, pairs, rungs)


def _slope_change(rungs: dict[int, Pair], rung: int, settings: Settings) -> float | None:
    """Half the change of slope across the point that the even part shows at a rung, beyond noise."""
    near, far = rungs.get(rung), rungs.get(rung + 1)
    if near is None or far is None or not (near.finite and far.finite):
        return None
    beyond = max(0.0, abs(near.even - far.even / RATIO**2) - EVEN_NOISE * _sigma(near, settings))
    return 4.0 / 3.0 * beyond / (2.0 * near.step)


def _jump(rungs: dict[int, Pair], settings: Settings) -> float:
    """The even part at the two lowest finite rungs where it is far above noise and does not shrink with the step."""
    low = [rung for rung in sorted(rungs) if rungs[rung].finite][:2]
    if len(low) < 2 or low[1] != low[0] + 1:
        return 0.0
    near, far = rungs[low[0]].even, rungs[low[1]].even
    if abs(near) > 3.0 * EVEN_NOISE * _sigma(rungs[low[0]], settings) and abs(near - far) < 0.25 * abs(near):
        return abs(near)
    return 0.0
