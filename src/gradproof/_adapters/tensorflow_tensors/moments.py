"""Nestings of TensorFlow's tensors at a moment.

The decision behind it: tensors never change, so a moment is the nesting itself; variables do, and what a moment is of
them is written into them for the time of a check.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gradproof._adapters.tensorflow_tensors.tensors import array_of, place_of, structure_of


@dataclass(frozen=True)
class Moment:
    """The numbers of some variables."""

    variables: tuple[Any, ...]
    numbers: tuple[Any, ...]

    def unchanged(self) -> bool:
        """Whether the variables still hold them."""
        pairs = zip(self.variables, self.numbers, strict=True)
        return all(array_of(v).tobytes() == array_of(n).tobytes() for v, n in pairs)

    @contextmanager
    def written(self) -> Iterator[None]:
        """The variables hold them, and their own numbers at the end."""
        kept = [tf.identity(v) for v in self.variables]
        try:
            for variable, value in zip(self.variables, self.numbers, strict=True):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(self.variables, kept, strict=True):
                variable.assign(value)


def of_variables(params: Any, scale: float) -> Moment:
    """The variables of a nesting now, each times a number in its own format."""
    likes: list[Any] = []
    structure_of(params, "params", likes)
    variables = tuple(v for like in likes if (v := place_of(like)) is not None)
    return Moment(variables, tuple(tf.identity(v) if scale == 1.0 else v * tf.cast(scale, v.dtype) for v in variables))


def scaled(params: Any, scale: float) -> Any:
    """The parameters as tensors of their own, each times a number in its own format."""
    likes: list[Any] = []
    structure = structure_of(params, "params", likes)
    values = [tf.identity(x if place_of(x) is None else place_of(x)) for x in likes]
    return structure.rebuild([v if scale == 1.0 else v * tf.cast(scale, v.dtype) for v in values])


def same(one: Any, other: Any) -> bool:
    """Whether two nestings hold the same numbers under the same names."""
    first: list[Any] = []
    second: list[Any] = []
    if structure_of(one, "params", first).names != structure_of(other, "params", second).names:
        return False
    return all(np.array_equal(array_of(a), array_of(b), equal_nan=True) for a, b in zip(first, second, strict=True))
