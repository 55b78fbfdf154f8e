"""``truncated``: back-propagation through time stops after some steps.

Tried with the data: sequences of two steps or more that are short enough are right, longer ones are wrong. Where
already two steps are wrong, a step back is missing or overwritten, which this cannot tell apart and does not name.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradproof._diagnosis.case import Case, Explanation

#: Axes that may be time, and lengths that are tried.
AXES, LENGTHS = 2, 8


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by sequences that are right up to a length."""
    if not case.lab.callable or not case.open:
        return []
    tensors = tuple(s.index for s in case.open)
    for axis in list(time_axes(case))[:AXES]:
        longest = _longest(case, axis, tensors)
        if longest is not None:
            names = case.names(tensors)
            one = len(tensors) == 1
            return [
                Explanation(
                    "truncated", tensors,
                    f"The gradient{'' if one else 's'} of {names} {'is' if one else 'are'} right for sequences of up "
                    f"to {longest} steps (axis {axis} of the data) and wrong for longer ones: the way back through "
                    f"time stops after {longest} steps.",
                    "Carry the error back to the first step, or check with sequences that are no longer than that.",
                    {}, f"after {longest} steps", 2.7,
                )
            ]  # fmt: skip
    return []


def time_axes(case: Case) -> Iterator[int]:
    """Axes of the data, other than that of the examples, that arrays of three axes or more have."""
    one = case.lab.batch([0])
    for axis in sorted({k for array in case.lab.data for k in range(np.ndim(array)) if np.ndim(array) > 2}):
        long = [(a, b) for a, b in zip(case.lab.data, one, strict=True) if np.ndim(a) > 2]
        counts = any(np.shape(a)[axis] != np.shape(b)[axis] for a, b in long if np.ndim(a) > axis)
        lengths = {np.shape(a)[axis] for a, _ in long if np.ndim(a) > axis}
        if not counts and len(lengths) == 1 and max(lengths) > 2:
            yield axis


def _longest(case: Case, axis: int, tensors: Sequence[int]) -> int | None:
    """The length up to which all of the tensors are right, if that is two or more and less than the whole."""
    whole = max(np.shape(a)[axis] for a in case.lab.data if np.ndim(a) > 2)
    right = 1
    for length in range(2, min(whole, LENGTHS)):
        there = case.lab.visit(data=tuple(_first(a, axis, length) for a in case.lab.data))
        if there is None:
            return None
        verdicts = set(there.wrong(tensors).values())
        if "wrong" in verdicts:
            # The first of them that becomes wrong tells the length.
            return right if right > 1 else None
        if verdicts != {"correct"}:
            return None
        right = length
    return right if 1 < right == whole - 1 else None


def _first(array: Any, axis: int, length: int) -> Any:
    if np.ndim(array) < 3:
        return array
    return np.take(np.asarray(array), range(length), axis=axis)
