"""What is done about a cost that draws random numbers: switched off, frozen, or refused.

The decision behind it: a random cost has no derivative, so one of three things must be done, and which one is the
user's to say. Freezing one pattern is the default and is done where the cost is first evaluated; the course notes' way
is keep_prob = 1; and where no randomness is meant to be, it is an error to find some. Randomness is found by repeated
evaluation and by sources whose state has moved, and named by where these sources were found.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradproof._adapters.numpy import Call, Session
from gradproof._errors import InputError
from gradproof._evaluation import Meter

#: Options that set the share that is kept, and the share that is dropped.
KEEPING, DROPPING = ("keep_prob", "keep", "kp"), ("p", "dropout", "drop_prob", "dropout_rate", "rate")
#: Evaluations that are compared where randomness is refused.
COMPARED = 3


def switched_off(call: Call) -> tuple[Call, str]:
    """The call with keep_prob = 1, and shares that are dropped at 0.

    Options that were passed are changed; one that both functions take and that was not passed, so that its default
    holds, is passed. The user's own mapping stays as it is.

    Returns:
        The call with other options, and a note on what was changed; the call as it is and "" where nothing was.

    Raises:
        InputError: the claimed gradient is given as arrays, which were computed with dropout on.
    """
    given = dict(call.options or {})
    changes: dict[str, float] = {}
    for name in (*KEEPING, *DROPPING):
        off = 1.0 if name in KEEPING else 0.0
        value = given.get(name, _default(call, name))
        if isinstance(value, int | float) and not isinstance(value, bool) and value != off:
            changes[name] = off
    if not changes:
        return call, ""
    if not (callable(call.grads) or call.grads is True):
        named = ", ".join(f"{name} = {given.get(name)}" for name in changes)
        raise InputError.of(
            'switching dropout off (dropout="off")', "`grads`", "a function that computes the claimed gradient",
            f"given as arrays, which were computed with {named}", "Pass the function, or compute them without dropout.",
        )  # fmt: skip
    said = ", ".join(
        f"{name} = {off:g} in place of {given.get(name, _default(call, name))}" for name, off in changes.items()
    )
    note = f"Dropout was switched off for this check alone: {said}."
    return replace(call, options={**given, **changes}), note


def _default(call: Call, name: str) -> Any:
    """The default of an option that the cost and the gradient both take; None where there is none."""
    functions = [f for f in (call.cost, call.grads) if callable(f)]
    found = [_signature(function).get(name) for function in functions]
    if any(p is None or p.kind is p.POSITIONAL_ONLY or p.default is p.empty for p in found):
        return None
    return found[0].default if found and found[0] is not None else None


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def demand_still(session: Session, meter: Meter, way: str) -> None:
    """Refuses a cost that draws random numbers, before anything else is done.

    Args:
        session: the call.
        meter: counts.
        way: what ``dropout`` says, for the message.

    Raises:
        InputError: it does; the message names the sources by where they were found.
    """
    meter.afford(COMPARED)
    values = [float(session.at_point(session.theta)) for _ in range(COMPARED)]
    meter.spend(COMPARED)
    moved = session.start.moved()
    if moved or _far(values):
        raise _refusal("cost", moved, way)


def demand_untouched(session: Session, way: str) -> None:
    """Refuses a claimed gradient that has drawn random numbers, which the cost was seen not to do.

    It is asked of the finished check, since one more call of the gradient beforehand would hide what only its first
    call gets right.

    Raises:
        InputError: it has.
    """
    moved = session.start.moved()
    if moved:
        raise _refusal("claimed gradient", moved, way)


def _far(values: Sequence[float]) -> bool:
    """Whether values differ by more than the order of summation."""
    return max(values) - min(values) > 1e-13 * max(map(abs, values))


def _refusal(which: str, moved: Sequence[str], way: str) -> InputError:
    found = (
        f"drawing from {' and '.join(moved)}" if moved else "something else at each call, from a source out of reach"
    )
    todo = 'Pass the option that sets it (keep_prob=1.0), or drop dropout="off" to check with one frozen pattern.'
    if way == "refuse":
        todo = 'Switch it off (dropout="off" sets keep_prob to 1), or check with one frozen pattern (dropout="freeze").'
    return InputError.of(f'checking with dropout="{way}"', f"the {which}", "free of random numbers", found, todo)
