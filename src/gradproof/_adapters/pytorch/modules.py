"""Modules: every named parameter, where it is kept, and a cost of the module as a function of them.

The decision behind it: the module itself is handed to the user's cost, with other tensors in the places of its
parameters for as long as the call takes; so hooks, buffers, tied weights and everything that the cost reads from the
module work as they do in training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from gradproof._adapters.foreign import Flat
from gradproof._adapters.pytorch.residing import (
    AsItIs,
    Asked,
    Made,
    all_double,
    give_back,
    keeper,
    reason,
    runner_for,
    uniform,
)
from gradproof._adapters.pytorch.runner import Runner, as_arrays
from gradproof._adapters.pytorch.target import Moved, OfModule, Target
from gradproof._adapters.pytorch.tensors import LOWER, is_moved, moved_array, refuse
from gradproof._adapters.pytorch.translate import Translated, Wanted, behind, packed, settled
from gradproof._errors import InputError
from gradproof._tree import Structure

#: One parameter's places: the modules that own it and its name in each.
Places = tuple[tuple[torch.nn.Module, str], ...]


@dataclass(frozen=True)
class Named:
    """A module's parameters by name.

    Attributes:
        tensors: name to parameter, in the module's order.
        slots: the places of each.
        tied: further names of parameters that are used in several places.
        frozen: names of parameters that require no gradient and are left alone.
    """

    tensors: Mapping[str, torch.Tensor]
    slots: tuple[Places, ...]
    tied: Mapping[str, Sequence[str]]
    frozen: Sequence[str]


def named(module: torch.nn.Module) -> Named:
    """The parameters of a module that require a gradient; all of them if none does.

    Raises:
        InputError: there are none, or they have no numbers yet.
    """
    doing = "reading the parameters of the module"
    every: dict[int, tuple[list[str], torch.Tensor, list[tuple[torch.nn.Module, str]]]] = {}
    for path, owner in module.named_modules():
        for name, parameter in owner._parameters.items():
            if parameter is None:
                continue
            full = f"{path}.{name}" if path else name
            if torch.nn.parameter.is_lazy(parameter):
                raise InputError.of(
                    doing, full, "initialised", "uninitialised", "Call the lazy module once on a batch first."
                )
            names, _, places = every.setdefault(id(parameter), ([], parameter, []))
            names.append(full)
            places.append((owner, name))
    if not every:
        raise InputError.of(doing, type(module).__name__, "a module with parameters", "one without any",
                            "Pass the module that is trained.")  # fmt: skip
    wanted = [entry for entry in every.values() if entry[1].requires_grad] or list(every.values())
    chosen = {id(tensor) for _, tensor, _ in wanted}
    for names, tensor, _ in wanted:
        refuse(tensor, names[0])
    return Named(
        {names[0]: tensor for names, tensor, _ in wanted},
        tuple(tuple(places) for _, _, places in wanted),
        {names[0]: names[1:] for names, _, _ in wanted if len(names) > 1},
        [names[0] for names, tensor, _ in every.values() if id(tensor) not in chosen],
    )


def of_module(
    module: torch.nn.Module, cost: Callable[..., Any], grads: Any, args: Sequence[Any], options: Mapping[str, Any],
    *, formats: Sequence[torch.dtype | None] = (), inputs: bool = False, asked: Asked | None = None,
    passed: Sequence[Any] = (), examples: int = 0,
) -> Translated:  # fmt: skip
    """A cost of a module as a function of its parameters.

    Args:
        module: the user's module.
        cost: ``cost(module, *args, **options)``.
        grads: None for reverse mode, "grad", a mapping by name, or a callable with the signature of the cost.
        args: further arguments, the data last.
        options: keyword arguments.
        formats: the formats of the last arguments, which are data and arrive as arrays.
        inputs: whether floating-point arguments are moved as well.
        asked: how the check is to be done.
        passed: the data as they were passed, one for each of the formats.
        examples: how many examples the data have; 0 where unknown.
    """
    give_back(module)
    known = named(module)
    tensors = dict(known.tensors)
    placed = list(args)
    if inputs:
        for i, value in enumerate(args):
            if is_moved(value):
                tensors[f"inputs[{i}]"] = value
                placed[i] = Moved()
        formats = ()
    why = reason(list(tensors.values()), asked or Asked())
    if why:
        placed[len(placed) - len(formats) :] = passed if formats else ()
        slots = known.slots
        return _residing(cost, module, slots, grads, Wanted(cost, tensors, grads, tuple(placed), options, paired=False),
                         (asked or Asked(), why, _notes(known), examples))  # fmt: skip
    structure = Structure.of(list(tensors.values()), "parameters", moved_array).renamed(list(tensors))
    target = OfModule(cost, module, known.slots)
    wanted = Wanted(cost, tensors, grads, tuple(placed), options, paired=False, data=tuple(formats))
    runner = Runner(
        target, tuple(tensors.values()), structure.names, behind(wanted, module), data=wanted.data,
        lower=any(t.dtype in LOWER for t in tensors.values()),
    )  # fmt: skip
    own = tuple(known.tensors)
    claim = _Named(OfModule(grads, module, known.slots), own) if callable(grads) else None
    given = in_order(grads, own)
    if isinstance(given, Mapping):
        wanted = replace(wanted, grads=Flat(as_arrays(dict(given))))
    found = packed(settled(runner, structure, wanted), structure, wanted, claim)
    return replace(found, foreign=replace(found.foreign, notes=(*found.foreign.notes, *_notes(known))))


@dataclass(frozen=True)
class _Named:
    """A gradient function whose claims come by the full names of the parameters."""

    target: OfModule
    names: tuple[str, ...]

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        returned = self.target(tensors, args, options)
        named = in_order(returned, self.names)
        return Flat(as_arrays(dict(named))) if isinstance(named, Mapping) else named


@dataclass(frozen=True)
class _InOrder:
    """A gradient function whose claims may come in the order of the parameters."""

    target: Target
    names: tuple[str, ...]

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        return in_order(self.target(tensors, args, options), self.names)


def in_order(grads: Any, names: Sequence[str]) -> Any:
    """A list of gradients in the order of the parameters, as ``torch.autograd.grad`` returns it, by their names."""
    listed = isinstance(grads, list | tuple) and len(grads) == len(names)
    if listed and all(g is None or isinstance(g, torch.Tensor) for g in grads):
        return dict(zip(names, grads, strict=True))
    return grads


def _residing(
    cost: Callable[..., Any], module: torch.nn.Module, slots: tuple[Places, ...], grads: Any, wanted: Wanted,
    rest: tuple[Asked, str, Sequence[str], int],
) -> Translated:  # fmt: skip
    """The same for parameters that stay where they are."""
    asked, why, notes, examples = rest
    holder = keeper(module)
    live = AsItIs(cost, module) if holder else None
    exchanged = OfModule(cost, module, slots)
    target: Target = live if holder == "fsdp" and live is not None else exchanged
    runner = runner_for(target, list(wanted.params.values()), list(wanted.params), behind(wanted, module), paired=False)
    own = tuple(wanted.params)
    claim: Any = in_order(grads, own)
    if isinstance(claim, Mapping):
        claim = Flat(dict(claim))
    if callable(grads):
        claim = _InOrder(AsItIs(grads, module) if holder == "fsdp" else OfModule(grads, module, slots), own)
    widened = partial(all_double, module) if holder == "fsdp" and uniform(module) else None
    roots = [("cost", cost), ("grads", grads), ("args", wanted.args)]
    made = Made(runner, claim, wanted.args, wanted.options, asked, why, roots, tuple(notes), examples, live, widened)
    return Translated(cost, None, claim, made.foreign(), wanted.args)


def _notes(known: Named) -> list[str]:
    notes = [f"{name} is used in several places (= {', '.join(others)})." for name, others in known.tied.items()]
    hooked = [name for name, tensor in known.tensors.items() if tensor._backward_hooks]
    if hooked:
        notes.append(
            f'Hooks on the gradient of {", ".join(hooked[:6])} were left out; grads="grad" judges what they make of it.'
        )
    if known.frozen:
        shown = ", ".join(known.frozen[:6]) + (", ..." if len(known.frozen) > 6 else "")
        notes.append(f"Left alone, as they require no gradient: {shown}.")
    return notes
