"""A call of PyTorch's as a call of functions of NumPy arrays.

The decision behind it: one evaluation in the user's own precision and one at float64 copies, before anything is
measured, decide how the rest is evaluated: in double precision where both say the same, in the user's own where the
code knows nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from gradproof._adapters.foreign import Flat, Foreign
from gradproof._adapters.pytorch.claimed import placeholder, refuse_held
from gradproof._adapters.pytorch.drawing import Whereabouts
from gradproof._adapters.pytorch.floating import floating_errors
from gradproof._adapters.pytorch.precision import Widening, double, same_numbers
from gradproof._adapters.pytorch.residing import Asked, Made, reason, runner_for
from gradproof._adapters.pytorch.runner import Runner, as_arrays, claims_of, copied, plain
from gradproof._adapters.pytorch.state import Behind, modules_in, sources
from gradproof._adapters.pytorch.target import Plain, Target
from gradproof._adapters.pytorch.tensors import LOWER, array_of, dense, is_moved, moved_array, refuse
from gradproof._adapters.randomness import Snapshot, Source
from gradproof._adapters.randomness import sources as random_sources
from gradproof._adapters.user import takes_parameters
from gradproof._errors import InputError
from gradproof._tree import Structure

#: Costs in float64 and in the user's own precision that differ by more than this, relative to the larger one, are not
#: the same function: another mask was drawn, or a branch asks for the format.
ANOTHER = 0.05


@dataclass(frozen=True)
class Wanted:
    """What the user passed in, as far as a framework has a say in it.

    Attributes:
        cost: the user's function.
        params: the nesting of tensors.
        grads: the claim: a nesting, a callable, True, None for reverse mode, "grad" for what ``.grad`` holds.
        args: further arguments, data last.
        options: keyword arguments.
        paired: whether the cost returns (cost, anything).
        data: the formats of the data, which arrive as arrays; None for what was an array.
    """

    cost: Callable[..., Any]
    params: Any
    grads: Any
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    paired: bool
    data: tuple[torch.dtype | None, ...] = ()


@dataclass(frozen=True)
class Translated:
    """Functions of NumPy arrays in the place of the user's."""

    cost: Callable[..., Any]
    params: Any
    grads: Any
    foreign: Foreign
    args: tuple[Any, ...] = ()


def translated(wanted: Wanted, root: str, asked: Asked, passed: Sequence[Any] = ()) -> Translated:
    """A cost of a nesting of tensors.

    Args:
        wanted: what the user passed in.
        root: the user's name for the parameters.
        asked: how the check is to be done.
        passed: the data as they were passed.

    Raises:
        InputError: a tensor cannot be moved, or what is claimed is of no known form.
    """
    tensors: list[torch.Tensor] = []

    def collect(value: Any) -> Any:
        if not is_moved(value):
            return None
        tensors.append(value)
        return placeholder(value)

    structure = Structure.of(wanted.params, root, collect)
    why = reason(tensors, asked)
    if why and takes_parameters(wanted.cost):
        return _residing(wanted, structure, tensors, (asked, why, passed))
    for tensor, name in zip(tensors, structure.names, strict=True):
        refuse(tensor, name)
    structure = structure.holding([moved_array(t) for t in tensors])
    if not takes_parameters(wanted.cost):
        return _live(wanted, structure, tensors)
    claim: Target | None = None
    if callable(wanted.grads):
        claim = Plain(wanted.grads, structure)
    runner = Runner(
        Plain(wanted.cost, structure), tuple(tensors), structure.names, behind(wanted), data=wanted.data,
        paired=wanted.paired or wanted.grads is True, lower=any(t.dtype in LOWER for t in tensors),
    )  # fmt: skip
    return packed(settled(runner, structure, wanted), structure, wanted, claim)


def _residing(
    wanted: Wanted, structure: Structure, tensors: Sequence[torch.Tensor], rest: tuple[Asked, str, Sequence[Any]]
) -> Translated:
    """The same for tensors that stay where they are."""
    asked, why, passed = rest
    args = (*wanted.args[: len(wanted.args) - len(passed)], *passed)
    paired = wanted.paired or wanted.grads is True
    runner = runner_for(Plain(wanted.cost, structure), tensors, structure.names, behind(wanted), paired=paired)
    claim = Plain(wanted.grads, structure) if callable(wanted.grads) else wanted.grads
    roots = [("cost", wanted.cost), ("grads", wanted.grads), ("args", args)]
    made = Made(runner, claim, args, wanted.options, asked, why, roots)
    return Translated(wanted.cost, wanted.params, claim, made.foreign(), args)


def behind(wanted: Wanted, *further: torch.nn.Module) -> Behind:
    """What calls can leave behind in the modules that the functions lead to."""
    roots = [("cost", wanted.cost), ("grads", wanted.grads), ("args", wanted.args)]
    return Behind.of([*further, *modules_in(roots)])


@dataclass(frozen=True)
class Settled:
    """How a runner evaluates, and what its first evaluations have shown."""

    runner: Runner
    native: bool
    twin: bool
    notes: tuple[str, ...]
    draws: tuple[str, ...]
    evaluations: int


def settled(
    runner: Runner, structure: Structure, wanted: Wanted, known: Sequence[Source] | None = None
) -> Settled:  # fmt: skip
    """Finds out in which precision the target can be evaluated; leaves everything as it was.

    Args:
        runner: evaluates the target.
        structure: the tensors under their names.
        wanted: what the user passed in.
        known: all random state in reach, where it was looked for.
    """
    if known is None:
        roots = [("cost", wanted.cost), ("grads", wanted.grads), ("args", wanted.args)]
        known = [*random_sources(roots), *sources(roots, [t.device for t in runner.likes])]
    random = Snapshot.of(known)
    with runner.behind.protected(runner.likes):
        try:
            return _settled(runner, structure, wanted, random)
        except Exception as error:
            error.add_note("gradproof: raised by the cost at the given parameters, before anything was checked.")
            raise
        finally:
            random.restore()


def _settled(runner: Runner, structure: Structure, wanted: Wanted, random: Snapshot) -> Settled:
    arrays = [copied(leaf.value) for leaf in structure.leaves]  # a cost may write to what it is given
    with Whereabouts(runner.behind.modules) as where:
        mode = Widening(widen=False, where=where, keep=True)
        own = _graphed(runner, arrays, wanted, mode, random)
    runner = own.runner
    random.restore()
    draws = tuple(mode.drawn)
    if not runner.lower:
        return Settled(runner, native=False, twin=False, notes=(), draws=draws, evaluations=1)
    wide = [a.astype("complex128" if a.dtype.kind == "c" else "float64") for a in arrays]
    watching = Widening(keep=True)
    try:
        with double(watching):
            found = runner.cost(wide, *wanted.args, **wanted.options)
        value = float(found[0] if runner.paired else found)
    except Exception as error:  # whatever it is, the code knows no float64
        notes = (f"The cost cannot be evaluated in float64 ({type(error).__name__}); it was in its own precision.",)
        return Settled(replace(runner, only=True), native=True, twin=False, notes=notes, draws=draws, evaluations=2)
    alike = abs(value - own.cost) <= ANOTHER * max(abs(value), abs(own.cost))
    if draws:
        # Close costs do not make a mask the same one.
        alike = same_numbers(mode.numbers, watching.numbers)
    elif not alike:
        notes = ("In float64 the cost is another function than in its own precision; it was evaluated in that.",)
        return Settled(replace(runner, only=True), native=True, twin=False, notes=notes, draws=draws, evaluations=2)
    said = "Random numbers differ between precisions: the gradient was judged in float64 alone."
    return Settled(
        replace(runner, mode=watching.lower), native=False, twin=alike, notes=() if alike else (said,), draws=draws,
        evaluations=2,
    )  # fmt: skip


@dataclass(frozen=True)
class _Own:
    runner: Runner
    cost: float


def _graphed(runner: Runner, arrays: Sequence[Any], wanted: Wanted, mode: Widening, random: Snapshot) -> _Own:
    """One evaluation in the user's own precision, with a graph where the cost cannot do without."""
    try:
        with mode:
            found = runner.cost(arrays, *wanted.args, **wanted.options)
    except RuntimeError:
        random.restore()
        runner = replace(runner, graph=True)
        mode.drawn.clear()
        mode.numbers.clear()
        with mode:
            found = runner.cost(arrays, *wanted.args, **wanted.options)
    value = found[0] if runner.paired and isinstance(found, tuple) else found
    try:
        return _Own(runner, float(value))
    except (TypeError, ValueError):
        return _Own(runner, float("nan"))  # what is no number is met, and refused, where costs are evaluated


def packed(
    found: Settled, structure: Structure, wanted: Wanted, claim: Target | None, known: Sequence[Source] | None = None
) -> Translated:  # fmt: skip
    """Functions of NumPy arrays with what the engine has to know of PyTorch."""
    runner = found.runner
    cost, grads = runner.cost, wanted.grads
    if grads is None:
        grads = runner.derivative
    elif grads is True:
        cost = runner.both
    elif isinstance(grads, str):
        grads = _held_gradients(grads, runner)
    elif claim is not None:
        grads = _claimed(runner, claim)
    else:
        grads = claims_of(grads)
    roots = [("cost", wanted.cost), ("grads", wanted.grads), ("args", wanted.args)]
    reached = sources(roots, [t.device for t in runner.likes]) if known is None else known
    foreign = Foreign(
        structure.listed(), tuple(reached), lambda: runner.behind.protected(runner.likes),
        callable(grads), found.native, found.twin, found.notes, found.draws, found.evaluations,
        traced=wanted.grads is None, replayed=runner.replayed if wanted.grads is None and found.draws else None,
        floating=floating_errors, user=wanted.cost, moves=partial(_moves, runner.likes), searched=known is not None,
        together=None if runner.paired or runner.graph or runner.mode or runner.only else runner.together,
    )  # fmt: skip
    return Translated(cost, wanted.params, grads, foreign, wanted.args)


def _claimed(runner: Runner, claim: Target) -> Callable[..., Any]:
    def gradient(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return runner.claimed(claim, arrays, args, options)

    return gradient


def _held_gradients(grads: str, runner: Runner) -> Any:
    refuse_held(grads, runner)
    for tensor, name in zip(runner.likes, runner.names, strict=True):
        if tensor.grad is not None:
            refuse(dense(tensor.grad), f"{name}.grad")
    return Flat({
        name: None if t.grad is None else array_of(dense(t.grad.detach()).clone())
        for name, t in zip(runner.names, runner.likes, strict=True)
    })  # fmt: skip


def _live(wanted: Wanted, structure: Structure, tensors: Sequence[torch.Tensor]) -> Translated:
    """A cost without arguments that reads the tensors themselves: they are written in place."""
    for tensor, name in zip(tensors, structure.names, strict=True):
        if tensor.device.type != "cpu" or tensor.dtype is torch.bfloat16:
            got = f"of dtype {tensor.dtype} on {tensor.device}"
            raise InputError.of(
                "setting up a check of a cost that takes no parameters", name, "in the processor's memory and of a "
                "format that NumPy knows", got, "Let the cost take the parameters, or use gradproof.check_module.",
            )  # fmt: skip
    left = behind(wanted)
    runner = Runner(Plain(wanted.cost, structure), tuple(tensors), structure.names, left, paired=wanted.paired)

    def cost(**options: Any) -> Any:
        with left.after_call():
            return _plain_pair(wanted.cost(**options), wanted)

    def gradient(**options: Any) -> Any:
        with left.after_call():
            if callable(wanted.grads):
                given = (wanted.params,) if takes_parameters(wanted.grads) else ()
                return as_arrays(wanted.grads(*given, **options))
            return runner.reached(wanted.cost(**options), runner.likes)

    grads = wanted.grads
    if isinstance(grads, str):
        grads = _held_gradients(grads, runner)
    elif grads is None or callable(grads):
        grads = gradient
    elif grads is not True:
        grads = claims_of(grads)
    roots = [("cost", wanted.cost), ("grads", wanted.grads)]
    foreign = Foreign(
        structure, tuple(sources(roots)), lambda: left.protected(tensors), callable(grads), native=False, twin=False,
        user=wanted.cost, moves=partial(_moves, tensors),
    )  # fmt: skip
    return Translated(cost, wanted.params, grads, foreign)


def _moves(tensors: Sequence[torch.Tensor]) -> tuple[int, Mapping[int, int]]:
    from gradproof._adapters.pytorch.optimising import moves_of  # from then on, steps are counted

    return moves_of(tensors)


def _plain_pair(returned: Any, wanted: Wanted) -> Any:
    if (wanted.paired or wanted.grads is True) and isinstance(returned, tuple | list) and len(returned) == 2:
        return plain(returned[0]), as_arrays(returned[1]) if wanted.grads is True else None
    return plain(returned)
