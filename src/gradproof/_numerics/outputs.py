"""Slopes of many outputs along one line at once, each with its error bar.

The decision behind it: one evaluation of a function of several values serves all of them, so a whole column of a
Jacobian costs as much as one of its entries. Each output takes the step that suits it best.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

#: Steps, each a fifth of the one before, relative to the scale of the line.
STEPS = tuple(0.02 / 5**k for k in range(6))
RATIO = 5.0
#: Rounding of one output, in spacings beside its size.
ROUNDED = 8.0

Vector = NDArray[np.float64]


def slopes(line: Callable[[float], Vector], here: Vector, steps: Sequence[float] = STEPS) -> tuple[Vector, Vector]:
    """The slope of each output at 0 with its error bar.

    Central differences at falling steps, extrapolated once (Richardson: the error then falls with the fourth power of
    the step); neighbours bound what is left of the truncation, the outputs' spacing the rounding.

    Args:
        line: a step to the outputs there; NaN where there are none.
        here: the outputs at 0.
        steps: falling, each a fifth of the one before; three at least.

    Returns:
        (slope, error bar) by output; the bar is infinite where nothing could be measured.
    """
    size = np.abs(here)
    quotients: list[Vector] = []
    spacing = float(np.finfo(np.float64).eps)
    for step in steps:
        right, left = line(step), line(-step)
        with np.errstate(all="ignore"):
            quotients.append((right - left) / (2.0 * step))
            size = np.fmax(size, np.fmax(np.abs(right), np.abs(left)))
    with np.errstate(all="ignore"):
        found = [(RATIO**2 * near - far) / (RATIO**2 - 1.0) for far, near in itertools.pairwise(quotients)]
    value, bar = np.full(here.shape, np.nan), np.full(here.shape, np.inf)
    for k in range(1, len(found)):
        with np.errstate(all="ignore"):
            own = 2.0 * np.abs(found[k] - found[k - 1]) + ROUNDED * spacing * size / steps[k + 1]
        better = np.isfinite(own) & (own < bar)
        value, bar = np.where(better, found[k], value), np.where(better, own, bar)
    return value, bar
