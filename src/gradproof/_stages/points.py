"""Parameters at a moment: copied, blown up, compared, put back.

The decision behind it: this is the only place that knows how parameters are held, so that stages work for whatever
nesting or module a check takes. A moment of a nesting is a nesting of copies; a moment of a module, and of what a cost
reads without being given it, is written into it for the time of a check.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from gradproof._adapters.foreign import framework_in
from gradproof._adapters.user import takes_parameters
from gradproof._tree import Structure, from_vector, to_vector


def is_module(params: Any) -> bool:
    """Whether parameters are kept by a module, and not in a nesting."""
    return hasattr(params, "named_parameters") and callable(params)


def in_place(cost: Callable[..., Any], params: Any) -> bool:
    """Whether a moment is written into the parameters themselves, as the cost looks nowhere else."""
    return is_module(params) or not takes_parameters(cost)


def moment(cost: Callable[..., Any], params: Any, scale: float = 1.0) -> Any:
    """The parameters now, each times a number in its own dtype, as ``at_moment`` takes them."""
    if is_module(params):
        from gradproof._adapters.pytorch.moments import of_module

        return of_module(params, scale)
    if framework_in(params) == "jax":
        from gradproof._adapters.jax_arrays.moments import scaled

        return scaled(params, scale)
    if framework_in(params) == "tensorflow":
        from gradproof._adapters.tensorflow_tensors import moments as tensorflow_moments

        make = tensorflow_moments.of_variables if in_place(cost, params) else tensorflow_moments.scaled
        return make(params, scale)
    if framework_in(params):
        from gradproof._adapters.pytorch.moments import copied, of_nesting

        return of_nesting(params, scale) if in_place(cost, params) else copied(params, scale)
    vector = to_vector(params)
    return from_vector(vector if scale == 1.0 else vector * scale, params)


def unchanged(cost: Callable[..., Any], params: Any, before: Any) -> bool:
    """Whether parameters still are what they were at a moment, bit for bit but for the sign of zeros."""
    if in_place(cost, params) and hasattr(before, "unchanged"):
        return bool(before.unchanged())
    if framework_in(params) == "jax":
        from gradproof._adapters.jax_arrays import moments

        return moments.same(params, before)
    if framework_in(params) == "tensorflow":
        from gradproof._adapters.tensorflow_tensors import moments as tensorflow_moments

        return tensorflow_moments.same(params, before)
    if framework_in(params):
        from gradproof._adapters.pytorch.moments import same

        return same(params, before)
    a, b = to_vector(params), to_vector(before)
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def at_moment(params: Any, values: Any) -> AbstractContextManager[None]:
    """Parameters that hold what they held at a moment, and their own numbers at the end, whatever happens."""
    if hasattr(values, "written"):
        written: AbstractContextManager[None] = values.written()
        return written
    return _written(params, values)


@contextmanager
def _written(params: Any, values: Any) -> Iterator[None]:
    leaves = Structure.of(params).leaves
    kept = [np.array(leaf.value, copy=True) for leaf in leaves]
    try:
        for leaf, other in zip(leaves, Structure.of(values).leaves, strict=True):
            np.copyto(leaf.value, other.array)
        yield
    finally:
        for leaf, value in zip(leaves, kept, strict=True):
            np.copyto(leaf.value, value)
