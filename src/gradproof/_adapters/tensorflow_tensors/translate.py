"""A call of TensorFlow's as a call of functions of NumPy arrays.

The decision behind it: a cost that can be traced is a list of operations, which are carried out in double precision and
on doubles of the user's variables. Both gradients, in the user's own precision and in double precision, are judged
against it. What cannot be traced is evaluated as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from gradproof._adapters.foreign import Foreign, Translated, Wanted
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.tensorflow_tensors.rewriting import CannotBeHeldError, CannotBeRewrittenError
from gradproof._adapters.tensorflow_tensors.runner import Runner, Target, claims_of
from gradproof._adapters.tensorflow_tensors.shelves import Shelf, variables_in
from gradproof._adapters.tensorflow_tensors.tensors import (
    array_of,
    entries_of,
    format_of,
    is_lower,
    place_of,
    structure_of,
)
from gradproof._adapters.user import takes_parameters
from gradproof._errors import InputError
from gradproof._records import spacing
from gradproof._tree import Structure

#: Costs in float64 and in the user's own precision that differ by more than this, relative to the larger one, are not
#: the same function.
ANOTHER = 0.05
#: Less than so many last bits of the user's own format, and less than this share, is rounding.
ROUNDINGS, LEAST = 16.0, 1e-4


@dataclass(frozen=True)
class Settled:
    """How a runner evaluates, and what its first evaluations have shown."""

    runner: Runner
    native: bool = False
    twin: bool = False
    notes: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    evaluations: int = 0


def translated(wanted: Wanted, root: str) -> Translated:
    """A cost of a nesting of tensors.

    Args:
        wanted: what the user passed in.
        root: the user's name for the parameters.

    Raises:
        InputError: a tensor cannot be moved, or what is claimed is of no known form.
    """
    doing = "setting up the check"
    if isinstance(wanted.grads, str):
        raise InputError.of(doing, "`grads`", "a nesting, a function, True or None", repr(wanted.grads),
                            "Leave it out to judge tf.GradientTape.")  # fmt: skip
    likes: list[Any] = []
    structure = structure_of(wanted.params, root, likes)
    live = not takes_parameters(wanted.cost)
    fixed = [name for name, like in zip(structure.names, likes, strict=True) if place_of(like) is None]
    if live and fixed:
        raise InputError.of(
            doing, "`cost`", "a function of the parameters, as tensors are never changed",
            f"one without arguments, with the tensors {', '.join(fixed)}",
            "Let the cost take the parameters, or keep them in tf.Variable.",
        )  # fmt: skip
    runner = Runner(
        nested(wanted.cost, structure, live=live), tuple(likes), structure.names, root, wanted.data,
        wanted.paired or wanted.grads is True, kept_too=_others(wanted, likes),
    )  # fmt: skip
    if not structure.leaves:
        return packed(Settled(runner), structure, wanted, None)  # refused where calls are opened
    claim = nested(wanted.grads, structure, live=live) if callable(wanted.grads) else None
    return packed(settled(runner, structure, wanted, claim), structure, wanted, claim)


def _others(wanted: Wanted, likes: Sequence[Any]) -> tuple[Any, ...]:
    """Variables in reach that are not checked."""
    mine = {id(place_of(like)) for like in likes}
    return tuple(v for v in variables_in(roots_of(wanted)) if id(v) not in mine)


def nested(function: Callable[..., Any], structure: Structure, *, live: bool = False) -> Target:
    """A function of a nesting, or of nothing, as one of a list of tensors."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        if live:
            return function(*args, **options)
        return function(structure.rebuild(list(leaves)), *args, **options)

    return target


def settled(runner: Runner, structure: Structure, wanted: Wanted, claim: Target | None) -> Settled:
    """Finds out how, and in which precision, the target can be evaluated; leaves random state as it was."""
    random = Snapshot.of(sources(roots_of(wanted)))
    try:
        with runner.protected():
            return _settled(runner, [leaf.value for leaf in structure.leaves], wanted, claim, random)
    finally:
        random.restore()


def roots_of(wanted: Wanted) -> list[tuple[str, Any]]:
    """Where everything starts that the user's functions lead to."""
    return [("cost", wanted.cost), ("grads", wanted.grads), ("args", wanted.args)]


def _settled(
    runner: Runner, arrays: Sequence[Any], wanted: Wanted, claim: Target | None, random: Snapshot
) -> Settled:  # fmt: skip
    shelf = Shelf.of(roots_of(wanted))
    if _untraceable(runner, wanted, random):
        runner = replace(runner, inline=True, made={})
    again = runner.inline and _untraceable(runner, wanted, random)
    if shelf.changed() or again:
        shelf.restore()
        return _called(replace(runner, called=True), arrays, wanted, random)
    made = runner.traced("cost", runner.costs, wanted.args, wanted.options)
    run = runner.run_of(made, native=True)
    own, draws = float("nan"), run.draws
    runner = replace(runner, states=() if runner.paired else run.states)
    if (made.graph.ruled() and not (draws or run.writes)) or not _has_traced_claims(runner, wanted, claim, shelf):
        runner = replace(runner, called_claims=True)
    state = runner.doubles.take()
    with suppress(TypeError, ValueError):  # what is no number is met, and refused, where costs are evaluated
        own = float(runner.run_at(made, arrays, native=True)[0])
    runner.doubles.put(state)
    if not runner.lower:
        return Settled(runner, draws=draws, evaluations=1)
    trouble = _not_in_double(runner, made, _copies(arrays), own)
    runner.doubles.put(state)
    if trouble:
        note = f"The cost was evaluated in its own precision, as {trouble}."
        return Settled(replace(runner, only=True), native=True, notes=(note,), draws=draws, evaluations=2)
    if not _has_double_claims(runner, arrays, wanted, claim):
        note = "The operations of the cost were carried out in float64; its gradient was judged in its own precision."
        return Settled(replace(runner, native_claims=True), notes=(note,), draws=draws, evaluations=2)
    return Settled(runner, twin=wanted.grads is None or callable(wanted.grads), draws=draws, evaluations=2)


def _has_traced_claims(runner: Runner, wanted: Wanted, claim: Target | None, shelf: Shelf) -> bool:
    """Whether the user's own gradient is the same function at each call, which one that remembers anything is not."""
    if claim is None:
        return True
    made = runner.made_for(claim, wanted.args, wanted.options, native=True)
    remembers = shelf.changed()
    shelf.restore()
    return made is not None and not remembers and not runner.run_of(made, native=True).writes


def _untraceable(runner: Runner, wanted: Wanted, random: Snapshot) -> str:
    """Why the cost cannot be traced; "" where it can."""
    random.restore()
    return _traced(runner, wanted, random)


def _traced(runner: Runner, wanted: Wanted, random: Snapshot) -> str:
    try:
        made = runner.traced("cost", runner.costs, wanted.args, wanted.options)
        runner.run_of(made, native=True)
    except CannotBeHeldError as error:
        raise InputError.of(
            "setting up the check", "the cost", "one whose random numbers can be the same at each evaluation",
            f"one that draws by {error}", "Draw them beforehand, and pass them on: sampled_values= of the losses that "
            "sample classes.",
        ) from error  # fmt: skip
    except Exception as error:  # it is called as it is
        return f"it cannot be traced ({type(error).__name__})"
    if random.moved():
        return "it draws random numbers outside of TensorFlow"
    first = made.graph.constants()
    runner.made.clear()
    again = runner.traced("cost", runner.costs, wanted.args, wanted.options)
    return "" if again.graph.constants() == first else "it is another function at each call"


def _not_in_double(runner: Runner, made: Any, copies: Sequence[Any], own: float) -> str:
    """Why the cost cannot be had in double precision; "" where it can."""
    try:
        run = runner.run_of(made, native=False)
        value = float(runner.run_at(made, copies, native=False)[0])
    except (CannotBeRewrittenError, tf.errors.OpError, TypeError, ValueError) as error:
        lines = str(error).strip().splitlines()
        return f"its operations cannot be carried out in float64 ({lines[0] if lines else type(error).__name__})"
    if run.narrow:
        return f"{run.narrow[0]} knows its own precision alone"
    return "" if _alike(value, own, _rounding(runner)) else "the code is another function in float64"


def _has_double_claims(runner: Runner, arrays: Sequence[Any], wanted: Wanted, claim: Target | None) -> bool:
    """Whether the gradient can be computed in double precision as well."""
    if wanted.grads is not None and claim is None:
        return True  # numbers, which are what they are
    if runner.called_claims:
        places = any(place_of(like) is not None for like in runner.likes)
        if places or not runner.widely(wanted.args, wanted.options):
            return False
        try:
            if claim is None:
                runner.derivative(_copies(arrays), *wanted.args, **wanted.options)
            else:
                runner.claimed(claim, _copies(arrays), wanted.args, wanted.options)
        except Exception:  # a rule that knows its own format alone
            return False
        return True
    if claim is None:
        made = runner.made_or_none("derivative", runner.differentiated, wanted.args, wanted.options, native=False)
    else:
        made = runner.made_for(claim, wanted.args, wanted.options, native=False)
    return made is not None and not runner.run_of(made, native=False).narrow


def _called(runner: Runner, arrays: Sequence[Any], wanted: Wanted, random: Snapshot) -> Settled:
    """The code as it is: at wider tensors where it takes them, and variables keep their formats."""
    own = _number(runner, arrays, wanted, random)
    if not runner.lower:
        return Settled(runner, evaluations=1)
    note = "The cost cannot be traced by TensorFlow; it was evaluated in its own precision."
    native = Settled(replace(runner, only=True), native=True, notes=(note,), evaluations=1)
    if any(place_of(like) is not None for like in runner.likes):
        return native
    try:
        value = _number(runner, _copies(arrays), wanted, random)
    except Exception:  # whatever it is, the code knows no float64
        return native
    return Settled(runner, twin=True, evaluations=2) if _alike(value, own, _rounding(runner)) else native


def _copies(arrays: Sequence[Any]) -> list[Any]:
    return [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) for a in arrays]


def _rounding(runner: Runner) -> float:
    """What rounding may make of a cost, relative to it, in the least precise of the user's formats."""
    return min(ANOTHER, max(LEAST, ROUNDINGS * max(spacing(format_of(like)) for like in runner.likes)))


def _alike(a: float, b: float, share: float) -> bool:
    return bool(abs(a - b) <= share * max(abs(a), abs(b)))


def _number(runner: Runner, arrays: Sequence[Any], wanted: Wanted, random: Snapshot) -> float:
    random.restore()
    found = runner.cost(arrays, *wanted.args, **wanted.options)
    value = found[0] if runner.paired and isinstance(found, tuple) else found
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")  # what is no number is met, and refused, where costs are evaluated


def packed(found: Settled, structure: Structure, wanted: Wanted, claim: Target | None) -> Translated:
    """Functions of NumPy arrays with what the engine has to know of TensorFlow."""
    runner = found.runner
    cost: Callable[..., Any] = runner.cost
    grads: Any = None
    if wanted.grads is True:
        cost, grads = runner.both, True
    elif claim is not None:
        grads = _claimed(runner, claim)
    elif wanted.grads is None:
        grads = runner.derivative
    else:
        entries = claims_of(wanted.grads, runner.names, runner.root).entries
        grads = claims_of(wanted.grads, runner.names, runner.root)
        grads = replace(grads, entries={name: _numbers(value) for name, value in entries.items()})
    foreign = Foreign(
        structure.listed(), computed=callable(grads) or grads is True, native=found.native, twin=found.twin,
        notes=found.notes, evaluations=found.evaluations, draws=(),
        sources=(runner.doubles.source(found.draws),) if found.draws else (),
        user=wanted.cost, protect=runner.protected,
    )  # fmt: skip
    return Translated(cost, grads, foreign)


def _numbers(value: Any) -> Any:
    return array_of(value) if isinstance(value, tf.Tensor | tf.Variable) else value


def _claimed(runner: Runner, claim: Target) -> Callable[..., Any]:
    def gradient(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return runner.claimed(claim, arrays, args, options)

    return gradient


__all__ = ["Settled", "Translated", "Wanted", "entries_of", "is_lower", "nested", "packed", "settled", "translated"]
