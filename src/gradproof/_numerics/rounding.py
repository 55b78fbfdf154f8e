"""Whether a cost rounds numbers on its way to a lower precision than it returns, and by how much that moves it.

The decision behind it: such a cost is smooth, or flat, between two of its steps, and no noise is seen there. Across
many of them they are noise of one size, however far apart the points are. So high differences are taken on both sides
of the point, at spacings far apart. Kinks and curvature show there as well, but halving a distance halves them, while a
step stays; and a single jump lies on one side only.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

#: The spacing looked at first, relative to the parameters, and the factor between spacings.
FIRST, APART = 4e-3, 16.0
#: The widest spacing, at which a smooth cost still is one polynomial.
FURTHEST = 3.2e-2
#: Closer spacings looked at while what is seen falls.
CLOSER = 3
#: Points on either side.
POINTS = 10
#: Orders of the differences: those of a smooth cost vanish at these spacings.
ORDERS = (6, 7)
#: Times the format's own rounding from which on something is seen; and how alike two spacings must be.
SEEN, ALIKE = 30.0, 5.0
#: The share of a distance within which its own slope is seen, how often it is halved, and what a step is: so many
#: values in a row that stay within this factor.
TINY, HALVINGS, ROW, STAYS = 2.0**-26, 40, 7, 1.25
#: The share of that share to which distances are halved where a slope was seen across a step.
ACROSS = 2.0**-5
#: Across so many times the distance a slope is measured again; no two whole numbers of steps are in this proportion.
WIDER = 4.618
#: The share of a distance that holds several steps where they are so close that a slope is seen across one.
SHORT = 2.0**-10
#: Where a part is divided in two.
UNEVEN = 0.48

#: Relative steps in, residuals out.
Line = Callable[[Sequence[float]], NDArray[np.float64]]


def rounding_inside(line: Line, floor: float) -> float:
    """The noise that rounding inside a cost is across many of its steps.

    Args:
        line: relative steps in, residuals out; NaN where not finite.
        floor: what the format of the result rounds off.

    Returns:
        Its standard deviation; 0 where the cost does not round.
    """
    if not _jumps(line, floor):  # asked first, as a smooth cost is told by a few halvings
        return 0.0
    first = _levels(line, FIRST)
    return _noise(line, first, floor) if min(first) > SEEN * floor else 0.0


def _noise(line: Line, first: tuple[float, float], floor: float) -> float:
    """What two spacings show alike; the most that is seen where none do, as where steps are few."""
    before = first
    for k in range(1, CLOSER + 1):
        level = _levels(line, FIRST / APART**k)
        if not min(level) > SEEN * floor:
            break
        if _alike(before, level):
            return max(*before, *level)
        before = level
    further = _levels(line, FURTHEST)
    return max(level for level in (*first, *further) if not math.isnan(level))


def _jumps(line: Line, floor: float) -> bool:
    """Whether the cost has steps on both sides of the point, each found by halving the distance that it lies in.

    What many kinks add up to may look like noise, too; but halving it halves what is seen.
    """
    return all(_halved(line, side * FIRST * POINTS, floor) for side in (1.0, -1.0))


def _halved(line: Line, end: float, floor: float) -> bool:
    """Whether a step is left after many halvings of a distance that begins half way to ``end``."""
    start = 0.5 * end
    tiny = TINY * start
    low, after, before, high = line([start, start + tiny, end - tiny, end])
    ends, slope, last = (low, high), (after - low) / tiny, (high - before) / tiny  # between two steps
    bend = (last - slope) / (end - start)

    def smooth(left: float, right: float) -> float:
        return float(slope * (right - left) + 0.5 * bend * (right - left) * (left + right - 2.0 * start))

    left, right = start, end
    gaps = [high - low - smooth(left, right)]
    for _ in range(HALVINGS):
        middle = 0.5 * (left + right)
        value = float(line([middle])[0])
        first, second = value - low - smooth(left, middle), high - value - smooth(middle, right)
        if abs(first) >= abs(second):
            right, high = middle, value
        else:
            left, low = middle, value
        gaps.append(max(first, second, key=abs))
        if abs(gaps[-1]) <= SEEN * floor or not math.isfinite(gaps[-1]):
            break
        if _stays(gaps):
            return True
    # What the format's rounding leaves in the slopes is gone before. A slope across a step is not: it was followed then
    # in place of the step. Curvature may be followed as well, but from further off its slope is the same.
    if abs(right - left) > ACROSS * abs(tiny) or not math.isfinite(gaps[-1]):
        return False
    after, before = line([start + WIDER * tiny, end - WIDER * tiny])
    further = max(abs((after - ends[0]) / WIDER - slope * tiny), abs((ends[1] - before) / WIDER - last * tiny))
    return bool(further > SEEN * floor) and _differenced(line, start, SHORT * start, floor)


def _differenced(line: Line, start: float, distance: float, floor: float) -> bool:
    """Whether a step is left after many halvings of a distance in which steps may be close, by second differences.

    Of four parts the two neighbours are kept whose slopes differ most: a step lies in one of them, if there is any.
    """
    points = _parted(_parted([start, start + distance]))
    values = [float(value) for value in line(points)]
    seen: list[float] = []
    for _ in range(HALVINGS):
        rises = [(after - before) for before, after in itertools.pairwise(values)]
        sizes = [(after - before) for before, after in itertools.pairwise(points)]
        bends = [rises[k + 1] - rises[k] * (sizes[k + 1] / sizes[k]) for k in range(3)]
        k = max(range(3), key=lambda k: abs(bends[k]))
        seen.append(bends[k])
        if not abs(bends[k]) > SEEN * floor or not math.isfinite(bends[k]):
            return False
        if _stays(seen):
            return True
        points = _parted(points[k : k + 3])
        first, second = (float(value) for value in line(points[1::2]))
        values = [values[k], first, values[k + 1], second, values[k + 2]]
    return False


def _parted(points: Sequence[float]) -> list[float]:
    """The points with one more between each two, not in the middle, where two parts may well hold as many steps."""
    between = [one + UNEVEN * (other - one) for one, other in itertools.pairwise(points)]
    return [point for pair in zip(points, between, strict=False) for point in pair] + [points[-1]]


def _stays(gaps: Sequence[float]) -> bool:
    """Whether what is left has not fallen over the last halvings."""
    row = [abs(gap) for gap in gaps[-ROW:]]
    return len(row) == ROW and 0.0 < max(row) <= STAYS * min(row)


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two spacings show the same noise; kinks and curvature grow as the spacing or faster."""
    return 0.0 < max(*one, *other) <= ALIKE * min(max(one), max(other))


def _levels(line: Line, spacing: float) -> tuple[float, float]:
    """The noise on either side of the point; NaN where the cost is not finite."""
    steps = [k * spacing for k in range(1, POINTS + 1)]
    values = line([*steps, *(-step for step in steps)])
    return _level(values[:POINTS]), _level(values[POINTS:])


def _level(values: NDArray[np.float64]) -> float:
    """The larger of two orders of the difference table: sqrt(mean of squared differences x (j!)^2 / (2j)!)."""
    top = float(np.max(np.abs(values)))
    if top == 0.0 or not math.isfinite(top):
        return 0.0 if top == 0.0 else math.nan
    # Scaled, since squares of large costs overflow.
    tables = (np.diff(values / top, order) for order in ORDERS)
    return top * max(
        float(np.sqrt(np.mean(table**2) / math.comb(2 * order, order)))
        for order, table in zip(ORDERS, tables, strict=True)
    )
