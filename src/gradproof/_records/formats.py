"""Formats of floating-point numbers, by name, with those that NumPy has no dtype for.

The decision behind it: a format travels as its name; what is to be known of it is how far apart its numbers are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Spacing of the numbers after 1, of formats that NumPy does not know.
SPACING = {"bfloat16": 2.0**-7}


class BFloat16(np.ndarray[Any, Any]):
    """Numbers of the format bfloat16, held as float32, which has all of them."""


def format_of(value: NDArray[Any] | np.generic) -> str:
    """The name of the format of an array's numbers; of integers, which are taken for exact, that of float64."""
    if isinstance(value, BFloat16):
        return "bfloat16"
    return value.dtype.name if value.dtype.kind in "fc" else "float64"


def spacing(name: str) -> float:
    """How far apart, relatively, the numbers of a format are."""
    return SPACING.get(name) or float(np.finfo(name).eps)
