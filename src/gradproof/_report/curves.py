"""The curves that pictures show, as numbers: the same for the page and for matplotlib.

The decision behind it: a picture is read off numbers that a report holds, and every form of it draws the same ones. So
they are worked out here, once, and what draws them knows nothing but axes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradproof._records import Report, Trace, Verdict

#: A remainder this many times above the noise is seen clearly enough for its slope to be read off.
CLEAR = 10.0
#: A window of a curve is straight where its points are off a line by no more than this, in decades.
STRAIGHT = 0.05
#: Tensors in the order in which they matter.
URGENCY = (Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a slope depends on the step it is measured with, relative to the derivative along the line.

    Attributes:
        steps: ascending.
        off: how far the central difference at each step is from the result; 0 where it is the result.
        noise: what rounding may do at each step; falls with the step.
        truncation: what curvature does at each step, from what was seen at the chosen one; grows as its square.
        step: the chosen step.
        bar: the error bar of the result.
    """

    steps: tuple[float, ...]
    off: tuple[float, ...]
    noise: tuple[float, ...]
    truncation: tuple[float, ...]
    step: float
    bar: float


@dataclass(frozen=True, slots=True)
class Taylor:
    """What is left of the cost's change once its linear part is taken off.

    Attributes:
        steps: ascending.
        claimed: left with the claimed gradient: proportional to the step where that is wrong, to its square where it
            is right.
        measured: left with the measured one.
        noise: what rounding alone leaves.
        window: (first, last) of the steps between which ``claimed`` is most like a straight line; (0, 0) where its
            points are too few or too close to the noise.
        order: its slope there; NaN without a window.
    """

    steps: tuple[float, ...]
    claimed: tuple[float, ...]
    measured: tuple[float, ...]
    noise: float
    window: tuple[int, int]
    order: float


def steps_curve(trace: Trace) -> Steps:
    """The dependence of a slope on the step."""
    unit = max(abs(trace.slope), abs(trace.reference)) if math.isfinite(trace.reference) else abs(trace.slope)
    unit = unit or 1.0
    bent = (trace.truncation / trace.step**2 if trace.step > 0.0 else 0.0) / unit
    return Steps(
        trace.steps,
        tuple(abs(one - trace.mismatch) / unit for one in trace.mismatches),
        tuple(noise / unit for noise in trace.noise),
        tuple(bent * step**2 for step in trace.steps),
        trace.step,
        trace.bar / unit,
    )


def taylor_curve(trace: Trace) -> Taylor:
    """The remainders along a line."""
    off = trace.mismatch if math.isfinite(trace.mismatch) else 0.0
    sides = list(zip(trace.steps, trace.plus, trace.minus, strict=True))
    claimed = tuple(max(abs(plus), abs(minus)) for _, plus, minus in sides)
    measured = tuple(max(abs(plus + off * step), abs(minus - off * step)) for step, plus, minus in sides)
    window, order = straightest(trace.steps, claimed, CLEAR * trace.sigma)
    return Taylor(trace.steps, claimed, measured, trace.sigma, window, order)


def straightest(steps: Sequence[float], values: Sequence[float], floor: float) -> tuple[tuple[int, int], float]:
    """The longest stretch of a curve that is straight on logarithmic axes, and its slope.

    Args:
        steps: ascending, above 0.
        values: one a step.
        floor: values up to this are noise.

    Returns:
        ((first, last), slope): places in ``steps``, both included; ((0, 0), NaN) where fewer than two values that
        follow each other are above the floor.
    """
    best: tuple[tuple[int, int], float] = (0, 0), math.nan
    for first in range(len(steps)):
        for last in range(first + 1, len(steps)):
            if not all(math.isfinite(value) and value > floor for value in values[first : last + 1]):
                break
            slope, off = _line([math.log10(x) for x in steps[first : last + 1]], values[first : last + 1])
            if off <= STRAIGHT and last - first >= best[0][1] - best[0][0]:
                best = (first, last), slope
    return best


def _line(x: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Least-squares slope of log10 of values over x, and how far the points are off the line at most."""
    y = [math.log10(value) for value in values]
    middle, level = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)
    return slope, max(abs(b - level - slope * (a - middle)) for a, b in zip(x, y, strict=True))


def ranked(report: Report) -> list[str]:
    """The tensors, wrong ones first, otherwise in the user's order."""
    return sorted(report.tensors, key=lambda name: URGENCY.index(report.tensors[name].verdict))


def line_of(report: Report, name: str) -> Trace | None:
    """The line to show for a tensor: where it is wrong the one that shows it best, else the one seen at most steps."""
    lines = [line for line in report.evidence.traces.get(name, ()) if line.steps]
    if report.tensors[name].verdict is Verdict.WRONG:
        return max(lines, key=_telling, default=None)
    return max(lines, key=lambda line: len(line.steps), default=None)


def _telling(line: Trace) -> tuple[bool, bool, int, float]:
    """Whether a mismatch stands out, whether the line is random, and how often and how far out it was seen."""
    size = max(abs(line.slope), abs(line.reference))
    share = abs(line.mismatch) / size if size > 0.0 else 0.0
    return abs(line.mismatch) > 3.0 * line.bar, not line.single, len(line.steps), share


def about(line: Trace, name: str) -> str:
    """Along what a line goes, in words."""
    if len(line.tensors) > 1:
        return f"a random line through {len(line.tensors):,} tensors together"
    return f"one element of {name}" if line.single else f"a random line through {name}"
