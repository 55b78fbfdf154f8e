"""Formats of floating-point numbers, by name, with those that NumPy has no dtype for.

The decision behind it: a format travels as its name; what is to be known of it is how far apart its numbers are.
"""

from functools import lru_cache
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
    return _name(value.dtype) if value.dtype.kind in "fc" else "float64"


@lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy puts together anew each time


@lru_cache(maxsize=64)
def spacing(name: str) -> float:
    """How far apart, relatively, the numbers of a format are."""
    return SPACING.get(name) or float(np.finfo(name).eps)


def in_format(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Float64 numbers rounded to those of a format, to the nearest and ties to even."""
    if name == "bfloat16":
        bits = values.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return rounded.astype(np.uint32).view(np.float32).astype(np.float64)
    real = {"complex64": "float32", "complex128": "float64"}.get(name, name)
    return values.astype(real).astype(np.float64)
