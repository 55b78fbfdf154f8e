"""Flat lists of numbers as vectors, where a function reads them so.

The decision behind it: SciPy makes a vector of ``[1.0, 2.0]`` before it calls anything, and functions rely on it. A
list is a nesting for everybody else, so it is only read as a vector where the gradient comes back as one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradproof._adapters.numpy import Call
from gradproof._errors import InputError
from gradproof._tree import Leaf


def vector_of(value: Any) -> Any:
    """A flat list or tuple of numbers as a float64 vector; anything else as it is."""
    numbers = type(value) in (list, tuple) and all(isinstance(part, int | float | np.number) for part in value)
    flat = numbers and len(value) > 0 and not any(isinstance(part, bool | complex) for part in value)
    return np.array(value, dtype=np.float64) if flat else value


def with_vector(call: Call) -> Call:
    """The call with a vector in place of a list of numbers, where its gradient is one."""
    vector = vector_of(call.params)
    if vector is call.params:
        return call
    claim, given = call.grads, (call.args, call.options or {})
    if claim is True:
        found = returned(call.cost, vector, *given)
        claim = found[1] if isinstance(found, tuple | list) and len(found) == 2 else None
    elif callable(claim):
        claim = returned(claim, vector, *given)
    same = isinstance(claim, np.ndarray) and claim.shape == vector.shape
    return replace(call, params=vector) if same else call


def returned(function: Callable[..., Any], vector: Any, args: Any, options: Any) -> Any:
    """What a function returns for a vector; None where it cannot take one."""
    try:
        return function(vector.copy(), *args, **options)
    except Exception:  # whatever it raises, it was written for the list
        return None


def fitting(gradient: list[Any], leaves: Sequence[Leaf]) -> list[Any]:
    """A gradient, in the order of the parameters, if it has an element for each of theirs.

    Raises:
        InputError: it has not, as a cost that was passed in its place; what is one number would fit by broadcasting.
    """
    for value, leaf in zip(gradient, leaves, strict=True):
        shape = tuple(np.shape(value))
        if int(np.prod(shape)) != leaf.array.size:
            got = "one number" if shape == () else f"one of shape {shape}"
            raise InputError.of(
                "computing direction . gradient", "`grads`", f"a gradient of {leaf.name}, shape {leaf.array.shape}",
                got, "Pass the gradient of the cost, not the cost.",
            )  # fmt: skip
    return gradient
