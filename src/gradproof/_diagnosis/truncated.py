"""``truncated``: back-propagation through time stops after some steps.

Tried with the data: sequences of two steps or more that are short enough are right, longer ones are wrong. Where
already two steps are wrong, a step back is missing or overwritten, which this cannot tell apart and does not name. So
does a mistake that belongs to one step, further on; but what is lost on the way back is what the first step has put in,
and where that was nothing, weights of the input lose nothing.
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
                    f"to {longest} steps (axis {axis} of the data) and wrong for longer ones, as where the way back "
                    f"through time stops after {longest} steps.",
                    "Carry the error back to the first step, or check with sequences that are no longer than that; if "
                    f"it is carried back, look at what step {longest} alone does.",
                    {}, f"after {longest} steps", 2.7, also=("upstream", "wrong-cache"),
                )
            ]  # fmt: skip
    return []


def time_axes(case: Case) -> Iterator[int]:
    """Axes of the data, other than that of the examples, that arrays of three axes have; images have four."""
    one = case.lab.batch([0])
    for axis in sorted({k for array in case.lab.data for k in range(np.ndim(array)) if np.ndim(array) == 3}):
        long = [(a, b) for a, b in zip(case.lab.data, one, strict=True) if np.ndim(a) == 3]
        counts = any(np.shape(a)[axis] != np.shape(b)[axis] for a, b in long if np.ndim(a) > axis)
        lengths = {np.shape(a)[axis] for a, _ in long if np.ndim(a) > axis}
        if not counts and len(lengths) == 1 and max(lengths) > 2:
            yield axis


def _longest(case: Case, axis: int, tensors: Sequence[int]) -> int | None:
    """The length up to which all of the tensors are right, if that is two or more and less than the whole."""
    whole = max(np.shape(a)[axis] for a in case.lab.data if np.ndim(a) == 3)
    right = 1
    for length in range(2, min(whole, LENGTHS)):
        there = case.lab.visit(data=tuple(_first(a, axis, length) for a in case.lab.data))
        if there is None:
            return None
        verdicts = set(there.wrong(tensors).values())
        if "wrong" in verdicts:
            # The first of them that becomes wrong tells the length.
            return right if right > 1 and _is_of_the_first_steps(case, axis, length, tensors) else None
        if verdicts != {"correct"}:
            return None
        right = length
    return right if 1 < right == whole - 1 and _is_of_the_first_steps(case, axis, whole, tensors) else None


def _is_of_the_first_steps(case: Case, axis: int, length: int, tensors: Sequence[int]) -> bool:
    """Whether sequences that are just too long are right in some tensor once their first steps hold zeros.

    Either the first step alone is out of reach, or all before the last where the way back is cut into pieces. One set
    of data may happen to look so; it is turned round and its signs are changed. And it is as wrong after some steps of
    zeros, where a mistake that belongs to one step has nothing to spoil.
    """
    cut = [_first(array, axis, length) for array in case.lab.data]
    if not any(_is_moved(array) for array in cut):
        return False  # numbers of rows in a table have no zero
    later = case.lab.visit(data=tuple(_later(array, axis, length) for array in cut))
    if later is None or "wrong" not in later.wrong(tensors).values():
        return False
    return any(
        all(_lost_with(case, [turn(array, axis) for array in cut], axis, steps, tensors) for turn in TURNS)
        for steps in (1, length - 1)
    )


def _lost_with(case: Case, data: Sequence[Any], axis: int, steps: int, tensors: Sequence[int]) -> bool:
    """Whether some tensor is wrong with these data, and right without what the first steps hold."""
    before = case.lab.visit(data=tuple(data))
    after = case.lab.visit(data=tuple(_without_first(array, axis, steps) for array in data))
    if before is None or after is None:
        return False
    wrong, left = before.wrong(tensors), after.wrong(tensors)
    return any(wrong[i] == "wrong" and left[i] == "correct" for i in tensors)


def _is_moved(array: Any) -> bool:
    return np.ndim(array) == 3 and np.asarray(array).dtype.kind in "fc"


def _as_it_is(array: Any, axis: int) -> Any:
    return array


def _turned(array: Any, axis: int) -> Any:
    return np.flip(np.asarray(array), axis) if np.ndim(array) == 3 else array


def _negated(array: Any, axis: int) -> Any:
    return -np.asarray(array) if _is_moved(array) else array


#: The data as they are, backwards, and with other signs.
TURNS = (_as_it_is, _turned, _negated)


def _later(array: Any, axis: int, steps: int) -> Any:
    """A sequence after as many steps of zeros; of targets, after as many of its own."""
    if np.ndim(array) != 3:
        return array
    known = np.asarray(array)
    before = np.zeros_like(known) if _is_moved(array) else known
    return np.concatenate([np.take(before, range(steps), axis=axis), known], axis=axis)


def _without_first(array: Any, axis: int, steps: int) -> Any:
    if not _is_moved(array):
        return array
    found = np.array(array, copy=True)
    np.moveaxis(found, axis, 0)[:steps] = 0.0
    return found


def _first(array: Any, axis: int, length: int) -> Any:
    if np.ndim(array) != 3:
        return array
    return np.take(np.asarray(array), range(length), axis=axis)
