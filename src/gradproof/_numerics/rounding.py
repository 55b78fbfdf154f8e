"""Whether a cost rounds numbers on its way to a lower precision than it returns, and by how much that moves it.

The decision behind it: such a cost is smooth, or flat, between two of its steps, and no noise is seen there. Across many
steps they are noise of one size, however far apart the points are; curvature and kinks grow with that distance, and a
single jump lies on one side only. So high differences are taken on both sides of the point, at spacings far apart, and
only what is the same at two of them is rounding.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

#: The spacing looked at first, relative to the parameters, and the factor between spacings.
FIRST, APART = 4e-3, 16.0
#: Closer spacings looked at while what is seen falls.
CLOSER = 3
#: Points on either side.
POINTS = 10
#: Orders of the differences: those of a smooth cost vanish at these spacings.
ORDERS = (6, 7)
#: Times the format's own rounding from which on something is seen; and how alike two spacings must be.
SEEN, ALIKE = 30.0, 5.0


def rounding_inside(line: Callable[[Sequence[float]], NDArray[np.float64]], floor: float) -> float:
    """The noise that rounding inside a cost is across many of its steps.

    Args:
        line: relative steps in, residuals out; NaN where not finite.
        floor: what the format of the result rounds off.

    Returns:
        Its standard deviation; 0 where the cost does not round.
    """
    first = _levels(line, FIRST)
    if not min(first) > SEEN * floor:
        return 0.0
    before = first
    for k in range(1, CLOSER + 1):
        level = _levels(line, FIRST / APART**k)
        if _alike(before, level):
            return max(*before, *level)
        if not min(level) > SEEN * floor:
            break
        before = level
    further = _levels(line, FIRST * APART / 2.0)
    return max(*first, *further) if _alike(first, further) else 0.0


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return 0.0 < max(*one, *other) <= ALIKE * min(*one, *other)


def _levels(line: Callable[[Sequence[float]], NDArray[np.float64]], spacing: float) -> tuple[float, float]:
    """The noise on either side of the point; NaN where the cost is not finite."""
    steps = [k * spacing for k in range(1, POINTS + 1)]
    values = line([*steps, *(-step for step in steps)])
    return _level(values[:POINTS]), _level(values[POINTS:])


def _level(values: NDArray[np.float64]) -> float:
    """The larger of two orders of the difference table: sqrt(mean of squared differences x (j!)^2 / (2j)!)."""
    found = []
    for order in ORDERS:
        steps = np.diff(values, order)
        found.append(float(np.sqrt(np.mean(steps**2) / math.comb(2 * order, order))))
    return math.nan if any(map(math.isnan, found)) else max(found)
