"""A call of JAX's as a call of functions of NumPy arrays.

The decision behind it: the operations of the cost, traced in the user's own precision and at float64 inputs before
anything is measured, decide how the rest is evaluated. Where the user's code is the same function in double precision,
it is run in that, and both gradients are judged; where it asks for a format or draws other random numbers there, its
own operations are carried out in double precision; and where it cannot be traced either, it is evaluated as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradproof._adapters.foreign import Foreign, Translated, Wanted
from gradproof._adapters.jax_arrays.arrays import is_lower
from gradproof._adapters.jax_arrays.runner import Runner, Target, claims_of
from gradproof._adapters.jax_arrays.tracing import Traced
from gradproof._adapters.jax_arrays.trees import entries_of, opened, structure_of
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.user import takes_parameters
from gradproof._errors import InputError
from gradproof._records import spacing
from gradproof._tree import Structure

#: Costs in float64 and in the user's own precision that differ by more than this, relative to the larger one, are not
#: the same function: a branch asks for the format.
ANOTHER = 0.05
#: Less than so many last bits of the user's own format, and less than this share, is rounding.
ROUNDINGS, LEAST = 16.0, 1e-4
#: Claims in two precisions that differ by more, relative, are looked at for random numbers.
CLEARLY = 1e-4

SINGLE = "The operations of the cost were carried out in float64, as {}; its gradient was judged in its own precision."


@dataclass(frozen=True)
class Settled:
    """How a runner evaluates, and what its first evaluations have shown."""

    runner: Runner
    native: bool = False
    twin: bool = False
    notes: tuple[str, ...] = ()
    evaluations: int = 1
    inside: str = ""


def translated(wanted: Wanted, root: str) -> Translated:
    """A cost of a nesting of arrays.

    Args:
        wanted: what the user passed in.
        root: the user's name for the parameters.

    Raises:
        InputError: an array cannot be moved, or what is claimed is of no known form.
    """
    doing = "setting up the check"
    if not takes_parameters(wanted.cost):
        raise InputError.of(doing, "`cost`", "a function of the parameters, as arrays of JAX are never changed",
                            "one without arguments", "Let the cost take the parameters.")  # fmt: skip
    if isinstance(wanted.grads, str):
        raise InputError.of(doing, "`grads`", "a nesting, a function, True or None", repr(wanted.grads),
                            "Leave it out to judge jax.grad.")  # fmt: skip
    likes: list[Any] = []
    structure = structure_of(wanted.params, root, likes)
    runner = Runner(
        nested(wanted.cost, structure), tuple(likes), structure.names, root, wanted.data,
        wanted.paired or wanted.grads is True, any(is_lower(like.dtype) for like in likes),
    )  # fmt: skip
    if not structure.leaves:
        return packed(Settled(runner), structure, wanted, None)  # refused where calls are opened
    computed = callable(wanted.grads) and not _is_nesting(wanted.grads, structure)
    claim = nested(wanted.grads, structure) if computed else None
    return packed(settled(runner, structure, wanted, claim), structure, wanted, claim)


def _is_nesting(grads: Any, structure: Structure) -> bool:
    """Whether a claim is a nesting like the parameters: a gradient of a model is a model, which may be called."""
    return opened(grads) is not None and bool(entries_of(grads).keys() & set(structure.names))


def nested(function: Callable[..., Any], structure: Structure) -> Target:
    """A function of a nesting as one of a list of arrays."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        return function(structure.rebuild(list(leaves)), *args, **options)

    return target


def settled(runner: Runner, structure: Structure, wanted: Wanted, claim: Target | None) -> Settled:
    """Finds out in which precision the target can be evaluated; leaves random state as it was."""
    random = Snapshot.of(sources([("cost", wanted.cost), ("grads", wanted.grads), ("args", wanted.args)]))
    try:
        return _settled(runner, [leaf.value for leaf in structure.leaves], wanted, claim, random)
    finally:
        random.restore()


def _settled(
    runner: Runner, arrays: Sequence[Any], wanted: Wanted, claim: Target | None, random: Snapshot
) -> Settled:  # fmt: skip
    traced, drawn = _traced(runner, arrays, wanted, random)
    runner = replace(runner, compiled=traced is not None, ruled=traced is not None and traced.ruled())
    own = _number(runner, arrays, wanted, random)
    if not runner.lower:
        return Settled(runner)
    copies = [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) for a in arrays]
    if traced is None:
        return _uncompiled(runner, copies, own, wanted, random)
    why = _why_not(runner, traced, copies, own, wanted, random, drawn)
    if not why and _draws_others(runner, arrays, copies, wanted, claim, random):
        why = "the random numbers of its gradient are others in float64"
    if not why:
        return Settled(runner, twin=True, evaluations=2)
    by_operations = replace(runner, widened=True)
    value = float("nan")
    if not traced.sealed(len(arrays)):
        with suppress(Exception):  # an operation that cannot be carried out in double precision
            value = _number(by_operations, copies, wanted, random)
    if _alike(value, own, ANOTHER):
        least = traced.least(len(arrays))
        coarsest = max(spacing(str(like.dtype)) for like in runner.likes)
        inside = least if least and spacing(least) > coarsest else ""
        return Settled(by_operations, notes=(SINGLE.format(why),), evaluations=3, inside=inside)
    notes = (f"The cost was evaluated in its own precision, as {why}.",)
    return Settled(replace(runner, only=True), native=True, notes=notes, evaluations=3)


def _traced(runner: Runner, arrays: Sequence[Any], wanted: Wanted, random: Snapshot) -> tuple[Traced | None, bool]:
    """The operations, where the cost can be compiled, and whether numbers were drawn outside of JAX."""
    random.restore()
    first = runner.traced(arrays, wanted.args, wanted.options, native=True)
    if first is None or not first.scalar:
        return None, False
    drawn = bool(random.moved())
    second = runner.traced(arrays, wanted.args, wanted.options, native=True)
    return (first if first.same(second) else None), drawn


def _why_not(
    runner: Runner, traced: Traced, copies: Sequence[Any], own: float, wanted: Wanted, random: Snapshot, drawn: bool
) -> str:
    """Why the user's code is no function of double precision; "" where it is."""
    random.restore()
    there = runner.traced(copies, wanted.args, wanted.options, native=False)
    if there is None or not there.scalar:
        return "the code does not take float64"
    if drawn or random.moved():
        return "numbers are drawn outside of JAX while it traces"
    if there.draws() != traced.draws():
        return "its random numbers are others in float64"
    if there.narrows(len(copies)):
        return "the code asks for less"
    try:
        value = _number(runner, copies, wanted, random)
    except Exception:  # traced, and still unable to run: a call out of JAX
        return "the code does not run in float64"
    return "" if _alike(value, own, _rounding(runner)) else "the code is another function in float64"


def _draws_others(
    runner: Runner, arrays: Sequence[Any], copies: Sequence[Any], wanted: Wanted, claim: Target | None, random: Snapshot
) -> bool:
    """Whether the claims in both precisions are no rounding apart, and draw random numbers."""
    gradient = _gradient(runner, wanted, claim)
    if gradient is None:
        return False
    found = []
    for values in (arrays, copies):
        random.restore()
        try:
            found.append(gradient(values, *wanted.args, **wanted.options).entries)
        except Exception:  # met again, and said, where claims are computed
            return False
    names = [name for name in found[0] if np.size(found[0][name]) == np.size(found[1].get(name))]
    pairs = [tuple(np.asarray(part[name]).reshape(-1).astype(complex) for part in found) for name in names]
    apart = any(np.linalg.norm(a - b) > CLEARLY * (np.linalg.norm(a) + np.linalg.norm(b)) for a, b in pairs)
    return bool(apart) and runner.draws(claim, arrays, wanted.args, wanted.options)


def _gradient(runner: Runner, wanted: Wanted, claim: Target | None) -> Callable[..., Any] | None:
    """What computes the claims; None where they are given as arrays, or come with the cost."""
    if claim is not None:
        return _claimed(runner, claim)
    return runner.derivative if wanted.grads is None else None


def _uncompiled(
    runner: Runner, copies: Sequence[Any], own: float, wanted: Wanted, random: Snapshot
) -> Settled:  # fmt: skip
    try:
        value = _number(runner, copies, wanted, random)
    except Exception as error:  # whatever it is, the code knows no float64
        notes = (f"The cost cannot be evaluated in float64 ({type(error).__name__}); it was in its own precision.",)
        return Settled(replace(runner, only=True), native=True, notes=notes, evaluations=2)
    if not _alike(value, own, ANOTHER):
        notes = ("In float64 the cost is another function than in its own precision; it was evaluated in that.",)
        return Settled(replace(runner, only=True), native=True, notes=notes, evaluations=2)
    twin = _alike(value, own, _rounding(runner))
    said = () if twin else ("The cost in float64 is not quite that of its own precision; it was judged in float64.",)
    return Settled(runner, twin=twin, notes=said, evaluations=2)


def _rounding(runner: Runner) -> float:
    """What rounding may make of a cost, relative to it, in the least precise of the user's formats."""
    return min(ANOTHER, max(LEAST, ROUNDINGS * max(spacing(str(like.dtype)) for like in runner.likes)))


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
    """Functions of NumPy arrays with what the engine has to know of JAX."""
    runner = found.runner
    cost: Callable[..., Any] = runner.cost
    grads: Any = _gradient(runner, wanted, claim)
    if wanted.grads is True:
        cost, grads = runner.both, True
    elif grads is None:
        grads = claims_of(wanted.grads, runner.names, runner.root)
    foreign = Foreign(
        structure.listed(), computed=callable(grads), native=found.native, twin=found.twin,
        notes=found.notes, evaluations=found.evaluations, inside=found.inside,
    )  # fmt: skip
    return Translated(cost, grads, foreign)


def _claimed(runner: Runner, claim: Target) -> Callable[..., Any]:
    def gradient(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return runner.claimed(claim, arrays, args, options)

    return gradient
