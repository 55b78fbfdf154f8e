"""The inputs of a function by name, and those of them that are differentiated."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from gradproof._errors import InputError
from gradproof._tree import Structure

DOING = "setting up the check of a function"


def input_name(name: str) -> str:
    """``inputs.0.weight`` as ``inputs[0].weight``; a keyword argument by its own name."""
    if name.startswith("keywords."):
        return name.removeprefix("keywords.")
    return re.sub(r"^inputs\.(\d+)", r"inputs[\1]", name)


def demand_positions(argnums: Sequence[int] | None, count: int) -> None:
    """Refuses positions that there are not.

    Raises:
        InputError: one is none of the inputs'.
    """
    for number in argnums or ():
        if not -count <= number < count:
            raise InputError.of(DOING, "`argnums`", f"positions among {count} inputs", str(number), "Count from 0.")


def demand_all_named(inputs: Sequence[Any], argnums: Sequence[int] | None, names: Iterable[str], kind: str) -> None:
    """Refuses inputs that are named and cannot be differentiated, as a check without them would pass unnoticed.

    Args:
        inputs: the positional arguments.
        argnums: the positions that are named.
        names: of what is differentiated.
        kind: what it has to be.

    Raises:
        InputError: nothing of a named input is among what is differentiated.
    """
    there = {re.split(r"\.|(?<=\])", name)[0] for name in names}
    for number in argnums or ():
        place = number % len(inputs)
        if f"inputs[{place}]" in there:
            continue
        value = inputs[place]
        kept = getattr(value, "dtype", None)
        got = f"one of {kept}" if kept is not None else f"the {type(value).__name__} {value!r}"[:60]
        raise InputError.of(
            DOING, f"inputs[{place}], which argnums= names,", f"{kind} of floating-point or complex numbers", got,
            f"Pass it as one, or leave {number} out of argnums=.",
        )  # fmt: skip


def selected(
    whole: Structure, inputs: Sequence[Any], argnums: Sequence[int] | None, kind: str
) -> tuple[tuple[int, ...], Structure]:
    """The places of the leaves that are differentiated, and these in a list under their names.

    Args:
        whole: the nesting of inputs and keyword arguments.
        inputs: the positional arguments.
        argnums: positions of the inputs to differentiate; None for all.
        kind: what the framework calls an array.

    Raises:
        InputError: there are none.
    """
    names = [input_name(name) for name in whole.names]
    demand_positions(argnums, len(inputs))
    at = None if argnums is None else {f"inputs[{number % len(inputs)}]" for number in argnums}
    chosen = tuple(i for i, name in enumerate(names) if at is None or re.split(r"\.|(?<=\])", name)[0] in at)
    if not chosen:
        raise InputError.of(
            DOING, "its inputs", f"at least one {kind} of floating-point or complex numbers to differentiate",
            "none" if argnums is None else f"none at the positions {list(argnums)}",
            f"Pass {kind}s, or name them in argnums=.",
        )  # fmt: skip
    demand_all_named(inputs, argnums, (names[i] for i in chosen), kind)
    leaves = tuple(whole.leaves[i] for i in chosen)
    return chosen, replace(whole, leaves=leaves).renamed([names[i] for i in chosen]).listed()


def pulled_apart(returned: Any, names: Sequence[str], count: int, entries: Any, kind: str) -> list[Any]:
    """What a user's ``vjp`` returns, one gradient a name.

    Args:
        returned: as it was returned.
        names: the names of the inputs that are differentiated.
        count: how many positional inputs there are.
        entries: takes ``{"inputs": parts}`` apart by name.
        kind: what the framework calls an array.

    Raises:
        InputError: it is of no known form.
    """
    parts = list(returned) if isinstance(returned, list | tuple) else [returned]
    if len(parts) == count:
        found = {input_name(name): value for name, value in entries({"inputs": parts}, "inputs").items()}
        return [found.get(name) for name in names]
    if len(parts) == len(names):
        return parts
    raise InputError.of(
        "computing the claimed vector-Jacobian product", "what vjp returns", f"one {kind} an input ({count})",
        f"{len(parts)}", "Return a tuple in the order of the inputs, None for those without a derivative.",
    )  # fmt: skip
