"""Nestings of JAX's arrays at a moment: these never change, so a moment is the nesting itself."""

from typing import Any

import numpy as np

from gradproof._adapters.jax_arrays.trees import structure_of


def scaled(params: Any, scale: float) -> Any:
    """The parameters, each times a number in its own format."""
    if scale == 1.0:
        return params
    arrays: list[Any] = []
    structure = structure_of(params, "params", arrays)
    return structure.rebuild([(array * scale).astype(array.dtype) for array in arrays])


def same(one: Any, other: Any) -> bool:
    """Whether two nestings hold the same numbers under the same names."""
    first: list[Any] = []
    second: list[Any] = []
    if structure_of(one, "params", first).names != structure_of(other, "params", second).names:
        return False
    pairs = zip(first, second, strict=True)
    return all(a is b or (a.shape == b.shape and np.asarray(a).tobytes() == np.asarray(b).tobytes()) for a, b in pairs)
