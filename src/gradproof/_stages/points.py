"""Parameters at a moment: copied, blown up, compared, put back.

The decision behind it: this is the only place that knows how parameters are held, so that stages work for whatever
nesting a check takes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradproof._adapters.foreign import framework_in
from gradproof._errors import InputError
from gradproof._tree import Structure, from_vector, to_vector


def elsewhere(params: Any) -> str:
    """The framework whose memory the parameters live in; "" for NumPy's, which can be copied and written here."""
    return framework_in(params)


def copied(params: Any) -> Any:
    """A copy of all parameters, in the same nesting; the parameters themselves where they live elsewhere."""
    return params if elsewhere(params) else from_vector(to_vector(params), params)


def blown_up(params: Any, scale: float) -> Any:
    """The parameters times a number, each in its own dtype.

    Raises:
        InputError: they live in another framework's memory, where they are not scaled.
    """
    found = elsewhere(params)
    if found and scale != 1.0:
        raise InputError.of(
            "blowing up parameters", "`params`", "NumPy arrays where scales= is given", f"arrays of {found}",
            "Scale them yourself and pass them as a stage of their own.",
        )  # fmt: skip
    return params if scale == 1.0 else from_vector(to_vector(params) * scale, params)


def same(one: Any, other: Any) -> bool:
    """Whether two sets of parameters are known to be equal, bit for bit but for the sign of zeros."""
    if elsewhere(one):
        return False
    a, b = to_vector(one), to_vector(other)
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


@contextmanager
def written(params: Any, values: Any) -> Iterator[Any]:
    """Live arrays with other values in them, and their own ones back at the end, whatever happens."""
    leaves = Structure.of(params).leaves
    kept = [np.array(leaf.value, copy=True) for leaf in leaves]
    try:
        for leaf, other in zip(leaves, Structure.of(values).leaves, strict=True):
            np.copyto(leaf.value, other.array)
        yield params
    finally:
        for leaf, value in zip(leaves, kept, strict=True):
            np.copyto(leaf.value, value)
