"""Functions of tensors, seen through cotangents.

The decision behind it: a backward pass is judged through random cotangents that are far from uniform, since ones hide
whatever cancels in a sum. They are numbers of the outputs' own format, so that the claims in both precisions answer the
same question.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gradproof._adapters.foreign import Flat
from gradproof._adapters.pytorch.runner import Runner, as_arrays
from gradproof._adapters.pytorch.state import Behind, modules_in, sources
from gradproof._adapters.pytorch.target import OfFunction, outputs_of
from gradproof._adapters.pytorch.tensors import LOWER, is_moved, moved_array, wider
from gradproof._adapters.pytorch.translate import Translated, Wanted, behind, packed, settled
from gradproof._adapters.randomness import Snapshot
from gradproof._adapters.randomness import sources as random_sources
from gradproof._errors import InputError
from gradproof._tree import Structure


@dataclass(frozen=True)
class Function:
    """A function with its inputs taken apart.

    Attributes:
        call: the user's function.
        structure: the nesting ``(inputs, keyword arguments)`` with the tensors that are moved as leaves.
        tensors: these tensors.
        outputs: shapes and formats of the outputs of floating-point or complex numbers.
        reached: which of them reverse mode knows a way to; all where it knows none.
    """

    call: Callable[..., Any]
    structure: Structure
    tensors: tuple[torch.Tensor, ...]
    outputs: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    reached: tuple[bool, ...]


def opened(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any], argnums: Sequence[int] | None
) -> Function:
    """Finds the tensors that are moved and the outputs.

    Args:
        function: the user's function.
        inputs: positional arguments.
        keywords: keyword arguments.
        argnums: positions of the inputs to differentiate; None for tensors that require a gradient, if any does, else
            all floating-point and complex ones.

    Raises:
        InputError: there is nothing to differentiate.
    """
    every = [t for t in _tensors((inputs, keywords)) if is_moved(t)]
    needed = any(t.requires_grad for t in every)
    chosen = _chosen(inputs, argnums) if argnums is not None else None
    tensors: list[torch.Tensor] = []

    def collect(value: Any) -> Any:
        if not is_moved(value):
            return None
        wanted = (not needed or value.requires_grad) if chosen is None else id(value) in chosen
        if wanted:
            array = moved_array(value)
            tensors.append(value)
            return array
        return None

    structure = Structure.of({"inputs": list(inputs), **keywords}, "inputs", collect)
    doing = "setting up the check of a function"
    if not tensors:
        raise InputError.of(
            doing, "its inputs", "at least one tensor of floating-point or complex numbers to differentiate",
            "none" if chosen is None else f"none at the positions {list(argnums or ())}",
            "Pass tensors, or name them in argnums=.",
        )  # fmt: skip
    structure = structure.renamed([_input_name(name) for name in structure.names])
    returned = _called_once(function, structure, tensors)
    outputs = tuple((tuple(o.shape), o.dtype) for o in outputs_of(returned))
    reached = tuple(o.requires_grad for o in outputs_of(returned))
    if not outputs:
        got = f"a {type(returned).__name__}"
        raise InputError.of(doing, "what it returns", "tensors of floating-point or complex numbers", got,
                            "Return what is differentiated.")  # fmt: skip
    return Function(function, structure, tuple(tensors), outputs, reached if any(reached) else (True,) * len(outputs))


def _called_once(function: Callable[..., Any], structure: Structure, tensors: Sequence[torch.Tensor]) -> Any:
    """What the function returns for its inputs, which then require a gradient; leaves everything as it was."""
    left = Behind.of(modules_in([("function", function)]))
    roots = [("function", function)]
    random = Snapshot.of([*random_sources(roots), *sources(roots, [t.device for t in tensors])])
    tree = structure.rebuild([t.detach().clone().requires_grad_() for t in tensors])
    inputs = tree.pop("inputs")
    try:
        with left.protected(tensors), left.after_call(), torch.enable_grad():
            return function(*inputs, **tree)
    finally:
        random.restore()


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [t for part in tree.values() for t in _tensors(part)]
    return [t for part in tree for t in _tensors(part)] if isinstance(tree, list | tuple) else []


def _chosen(inputs: Sequence[Any], argnums: Sequence[int]) -> set[int]:
    for number in argnums:
        if not -len(inputs) <= number < len(inputs):
            raise InputError.of(
                "setting up the check of a function", "`argnums`", f"positions among {len(inputs)} inputs",
                str(number), "Count from 0.",
            )  # fmt: skip
    return {id(t) for number in argnums for t in _tensors([inputs[number]])}


def _input_name(name: str) -> str:
    """``inputs.0.weight`` as ``inputs[0].weight``; a keyword argument by its own name."""
    if not name.startswith("inputs."):
        return name
    number, dot, rest = name.removeprefix("inputs.").partition(".")
    return f"inputs[{number}]{dot}{rest}"


def cotangents(function: Function, seed: int, *, every: bool = False) -> tuple[torch.Tensor | None, ...]:
    """Random cotangents in double precision, each a number of its output's own format.

    Args:
        function: the function.
        seed: of the random numbers.
        every: whether outputs that are marked as not differentiable get one as well; None otherwise.
    """
    rng = np.random.default_rng([seed, 271])
    found: list[torch.Tensor | None] = []
    for (shape, dtype), reached in zip(function.outputs, function.reached, strict=True):
        values = torch.from_numpy(np.asarray(rng.standard_normal(shape)))
        if dtype.is_complex:
            values = torch.complex(values, torch.from_numpy(np.asarray(rng.standard_normal(shape))))
        found.append(values.to(dtype).to(wider(dtype)) if every or reached else None)
    return tuple(found)


def of_function(
    function: Function, chosen: Sequence[torch.Tensor | None], vjp: Callable[..., Any] | None
) -> Translated:
    """A function with cotangents as a cost of its inputs.

    Args:
        function: the function, opened.
        chosen: cotangents; None for an output that is left out.
        vjp: the claim, ``vjp(inputs, cotangent) -> tuple``; None for reverse mode.
    """
    structure = replace(function.structure, _build=_Split(function.structure))
    target = OfFunction(function.call, structure, tuple(chosen))
    wanted = Wanted(function.call, None, None if vjp is None else vjp, (), {}, paired=False)
    runner = Runner(
        target, function.tensors, function.structure.names, behind(wanted),
        lower=any(t.dtype in LOWER for t in function.tensors),
    )  # fmt: skip
    claim = None if vjp is None else _Claim(vjp, structure, tuple(chosen), function)
    made = packed(settled(runner, function.structure, wanted), function.structure, wanted, claim)
    skipped = [
        str(i) for i, (u, known) in enumerate(zip(chosen, function.reached, strict=True)) if u is None and not known
    ]
    said = f"Left out, as it is marked as not differentiable: output {', '.join(skipped)}."
    return replace(made, foreign=replace(made.foreign, notes=(*made.foreign.notes, *([said] if skipped else []))))


@dataclass(frozen=True)
class _Split:
    """Builds inputs and keyword arguments from the leaves of both."""

    structure: Structure

    def __call__(self, values: Any) -> Any:
        tree = dict(self.structure.rebuild(list(values)))
        return tree.pop("inputs"), tree


@dataclass(frozen=True)
class _Claim:
    """The user's vector-Jacobian product as claims by the names of the inputs."""

    vjp: Callable[..., Any]
    structure: Structure
    cotangents: tuple[torch.Tensor | None, ...]
    function: Function

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        inputs, _ = self.structure.rebuild(list(tensors))
        native = [t.dtype for t in tensors] == [t.dtype for t in self.function.tensors]
        given = [
            torch.zeros(shape, dtype=dtype if native else wider(dtype))
            if u is None
            else u.to(dtype if native else u.dtype)
            for u, (shape, dtype) in zip(self.cotangents, self.function.outputs, strict=True)
        ]
        returned = self.vjp(tuple(inputs), given[0] if len(given) == 1 else tuple(given))
        found = list(returned) if isinstance(returned, list | tuple) else [returned]
        names = self.function.structure.names
        moved = {f"inputs[{i}]" for i in range(len(inputs))}
        if all(name in moved for name in names) and len(found) == len(inputs):
            return Flat(as_arrays({f"inputs[{i}]": g for i, g in enumerate(found) if f"inputs[{i}]" in names}))
        if len(found) == len(names):
            return Flat(as_arrays(dict(zip(names, found, strict=True))))
        raise InputError.of(
            "computing the claimed vector-Jacobian product", "what vjp returns", f"one array an input ({len(inputs)})",
            f"{len(found)}", "Return a tuple in the order of the inputs, None for those without a derivative.",
        )  # fmt: skip
