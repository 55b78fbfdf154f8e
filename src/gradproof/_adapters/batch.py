"""The batch that a cost is evaluated on: which axis counts the examples, and other batches made from it.

The decision behind it: the axis is read off where the arrays leave no choice and asked for where they do; a guess
would turn an experiment on one example into one on one feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof._errors import InputError


@dataclass(frozen=True)
class Batch:
    """The user's data with the axis of its examples.

    Attributes:
        arrays: the data, as passed.
        axis: the axis along which examples are counted, the same for all arrays.
        examples: how many there are.
    """

    arrays: tuple[Any, ...]
    axis: int
    examples: int

    def take(self, examples: Sequence[int]) -> tuple[Any, ...]:
        """The arrays with these examples, in this order."""
        return tuple(np.take(np.asarray(array), list(examples), axis=self.axis) for array in self.arrays)


def read_batch(data: Any, axis: int | None) -> Batch | None:
    """Reads ``data`` and ``examples_axis``.

    Raises:
        InputError: the data are no arrays, or which axis counts the examples cannot be told.
    """
    if data is None:
        if axis is not None:
            raise InputError.of(
                "setting up the check", "`examples_axis`", "given together with `data`", "given without it",
                "Pass data=(X, Y), or leave examples_axis out.",
            )  # fmt: skip
        return None
    arrays = tuple(data) if isinstance(data, tuple | list) else (data,)
    for i, array in enumerate(arrays):
        if np.ndim(array) == 0 or np.asarray(array).dtype.kind not in "fciubSU":
            raise InputError.of(
                "setting up the check", f"data[{i}]", "an array with an axis of examples",
                f"a {type(array).__name__}" + (" without axes" if np.ndim(array) == 0 else ""),
                "Pass what is no batch of examples through args= or options=.",
            )  # fmt: skip
    shapes = [np.shape(array) for array in arrays]
    if axis is not None:
        if not all(-len(s) <= axis < len(s) for s in shapes):
            raise _asked(shapes, f"an axis of every array, not {axis!r}")
        lengths = {s[axis] for s in shapes}
        if len(lengths) != 1:
            raise _asked(shapes, f"one of equal length in all arrays; along {axis} they have {sorted(lengths)}")
        return Batch(arrays, int(axis), lengths.pop())
    found = _shared(shapes)
    if not found:
        raise InputError.of(
            "setting up the check", "`data`", "arrays with an axis along which all have one length",
            "of the shapes " + ", ".join(map(str, shapes)),
            "Pass what is no batch of examples through args= or options=.",
        )  # fmt: skip
    if len(found) != 1:
        raise _asked(shapes, "given, as it cannot be told from the shapes")
    return Batch(arrays, found[0], shapes[0][found[0]])


def _shared(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Axes, counted from the front or from the back, that have one length in all arrays."""
    fewest = min(len(s) for s in shapes)
    front = [k for k in range(fewest) if len({s[k] for s in shapes}) == 1]
    back = [-k for k in range(1, fewest + 1) if len({s[-k] for s in shapes}) == 1]
    distinct: dict[tuple[int, ...], int] = {}
    for axis in (*front, *back):
        distinct.setdefault(tuple(axis % len(s) for s in shapes), axis)
    long = {places: axis for places, axis in distinct.items() if shapes[0][places[0]] > 1}
    return list((long or distinct).values())


def _asked(shapes: Sequence[tuple[int, ...]], demanded: str) -> InputError:
    listed = ", ".join(map(str, shapes))
    return InputError.of(
        "setting up the check", "`examples_axis`", demanded, f"open: the data have the shapes {listed}",
        "Pass examples_axis=0 where rows are examples, examples_axis=1 where columns are.",
    )  # fmt: skip
