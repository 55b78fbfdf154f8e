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

from gradproof._adapters.foreign import Flat, Foreign
from gradproof._adapters.pytorch.reaching import Reach
from gradproof._adapters.pytorch.residing import Asked, Made, reason, runner_for
from gradproof._adapters.pytorch.runner import Runner, as_arrays
from gradproof._adapters.pytorch.state import Behind
from gradproof._adapters.pytorch.target import OfFunction, outputs_of
from gradproof._adapters.pytorch.tensors import LOWER, is_moved, moved_array, refuse, wider
from gradproof._adapters.pytorch.translate import Translated, Wanted, packed, settled
from gradproof._adapters.randomness import Snapshot
from gradproof._adapters.selecting import demand_all_named, demand_positions
from gradproof._adapters.twins import notes_on
from gradproof._errors import InputError
from gradproof._tree import Leaf, Structure

DOING = "setting up the check of a function"

#: A backward pass: tensors that are moved and one cotangent an output (None: undefined) to one gradient a tensor.
Pass = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor | None]], Sequence[torch.Tensor | None]]


@dataclass(frozen=True)
class Function:
    """A function with its inputs taken apart.

    Attributes:
        call: the user's function.
        build: makes positional and keyword arguments of the tensors that are moved.
        structure: these tensors as arrays under their names, in a list.
        tensors: these tensors.
        outputs: shapes and formats of the outputs of floating-point or complex numbers.
        reached: which of them reverse mode knows a way to; all where it knows none.
        writes: whether it changes any of its inputs in place.
        behind: what calls leave behind.
        reach: what it leads to.
        draws: whether it draws random numbers.
    """

    call: Callable[..., Any]
    build: Callable[[Sequence[Any]], tuple[Sequence[Any], Mapping[str, Any]]]
    structure: Structure
    tensors: tuple[torch.Tensor, ...]
    outputs: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    reached: tuple[bool, ...]
    writes: bool
    behind: Behind
    reach: Reach
    draws: bool = False

    def returned(self, tensors: Sequence[torch.Tensor]) -> Any:
        """What the function returns for other tensors in the place of those that are moved."""
        inputs, keywords = self.build(tensors)
        return self.call(*inputs, **keywords)

    def safely(self, tensors: Sequence[torch.Tensor]) -> Any:
        """The same, where the tensors must stay as they are, whatever either pass does to its inputs."""
        copied = self.writes or torch.is_grad_enabled()
        return self.returned([t.clone() for t in tensors] if copied else tensors)

    def random(self) -> Snapshot:
        """The random state that the function can reach, as it is now."""
        return Snapshot.of(self.reach.sources)


def opened(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any], argnums: Sequence[int] | None,
    further: Sequence[tuple[str, Any]] = (),
) -> Function:  # fmt: skip
    """Finds the tensors that are moved and the outputs.

    Args:
        function: the user's function.
        inputs: positional arguments.
        keywords: keyword arguments.
        argnums: positions of the inputs to differentiate; None for tensors that require a gradient, if any does, else
            all floating-point and complex ones.
        further: name and object of what is called beside it.

    Raises:
        InputError: there is nothing to differentiate.
    """
    tokens: dict[int, tuple[Any, torch.Tensor]] = {}

    def stand_in(value: Any) -> Any:
        if not is_moved(value):
            return None
        token = np.empty(0)
        tokens[id(token)] = token, value
        return token

    whole = Structure.of({"inputs": list(inputs), "keywords": dict(keywords)}, "inputs", stand_in)
    values = [tokens[id(leaf.value)][1] if id(leaf.value) in tokens else leaf.value for leaf in whole.leaves]
    chosen = _chosen(whole.leaves, values, len(inputs), argnums)
    if not chosen:
        raise InputError.of(
            DOING, "its inputs", "at least one tensor of floating-point or complex numbers to differentiate",
            "none" if argnums is None else f"none at the positions {list(argnums)}",
            "Pass tensors, or name them in argnums=.",
        )  # fmt: skip
    demand_all_named(inputs, argnums, (_input_name(whole.leaves[i].name) for i in chosen), "a tensor")
    leaves = []
    for i in chosen:
        name = _input_name(whole.leaves[i].name)
        refuse(values[i], name)
        leaves.append(Leaf(name, moved_array(values[i]), whole.leaves[i].kind))
    tensors = tuple(values[i] for i in chosen)
    structure = replace(whole, leaves=tuple(leaves)).listed()
    reach = Reach.of(
        [("function", function), *further, ("inputs", (inputs, keywords))], [t.device for t in tensors]
    )  # fmt: skip
    left = Behind.of(reach.modules).also(
        t for t in _tensors((inputs, keywords)) if not any(t is moved for moved in tensors)
    )
    build = _Build(whole, tuple(values), tuple(chosen))
    return looked_at(Function(function, build, structure, tensors, (), (), writes=False, behind=left, reach=reach))


@dataclass(frozen=True)
class _Build:
    """Builds arguments from the tensors that are moved; everything else is as the user passed it."""

    structure: Structure
    values: tuple[Any, ...]
    chosen: tuple[int, ...]

    def __call__(self, tensors: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        values = list(self.values)
        for place, tensor in zip(self.chosen, tensors, strict=True):
            values[place] = tensor
        tree = self.structure.rebuild(values)
        return tree["inputs"], tree["keywords"]


def _chosen(
    leaves: Sequence[Leaf], values: Sequence[Any], count: int, argnums: Sequence[int] | None
) -> list[int]:  # fmt: skip
    """The places of the tensors that are differentiated."""
    every = [i for i, value in enumerate(values) if is_moved(value)]
    if argnums is None:
        needed = [i for i in every if values[i].requires_grad]
        return needed or every
    demand_positions(argnums, count)
    at = {f"inputs[{number % count}]" for number in argnums}
    return [i for i in every if _input_name(leaves[i].name).partition(".")[0] in at]


def looked_at(function: Function) -> Function:
    """The function called once at copies of its inputs, to see what it returns and what it writes to."""
    random = function.random()
    # Copies of leaves, as these themselves must not be written to.
    given = [t.detach().clone().requires_grad_().clone() for t in function.tensors]
    try:
        with function.behind.protected(function.tensors), function.behind.after_call(), torch.enable_grad():
            outputs = outputs_of(function.returned(given))
    finally:
        draws = bool(random.moved())
        random.restore()
    if not outputs:
        raise InputError.of(DOING, "what it returns", "tensors of floating-point or complex numbers", "none of them",
                            "Return what is differentiated.")  # fmt: skip
    for i, output in enumerate(outputs):
        refuse(output, f"output {i}")
    settled = _same_again(function, outputs, random)
    writes = any(t._version > 0 for t in given) or not all(map(same, given, function.tensors))
    reached = tuple(output.requires_grad for output in outputs)
    return replace(
        function, reach=function.reach if settled else function.reach.again(),
        outputs=tuple((tuple(o.shape), o.dtype) for o in outputs),
        reached=reached if any(reached) else (True,) * len(outputs), writes=writes, draws=draws,
    )  # fmt: skip


def _same_again(function: Function, outputs: Sequence[torch.Tensor], random: Snapshot) -> bool:
    """Whether a second call returns the same; if not, the first may have made what later ones draw from."""
    given = [t.detach().clone().requires_grad_().clone() for t in function.tensors]
    try:
        with function.behind.protected(function.tensors), function.behind.after_call(), torch.enable_grad():
            found = outputs_of(function.returned(given))
    finally:
        random.restore()
    return len(found) == len(outputs) and all(
        a.shape == b.shape and a.dtype == b.dtype and same(a, b) for a, b in zip(found, outputs, strict=True)
    )


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN among them."""
    if one.layout is torch.strided and torch.equal(one, other):  # most often, and far quicker
        return True
    a, b = one.detach(), other.detach()
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [t for part in tree.values() for t in _tensors(part)]
    return [t for part in tree for t in _tensors(part)] if isinstance(tree, list | tuple) else []


def _input_name(name: str) -> str:
    """``inputs.0.weight`` as ``inputs[0].weight``; a keyword argument by its own name."""
    if name.startswith("keywords."):
        return name.removeprefix("keywords.")
    number, dot, rest = name.removeprefix("inputs.").partition(".")
    return f"inputs[{number}]{dot}{rest}"


def cotangents(
    function: Function, seed: int, number: int = 0, *, every: bool = False
) -> tuple[torch.Tensor | None, ...]:
    """Random cotangents in double precision, each a number of its output's own format.

    Args:
        function: the function.
        seed: of the random numbers.
        number: which of many such sets.
        every: whether outputs that are marked as not differentiable get one as well; None otherwise.
    """
    rng = np.random.default_rng([seed, 271, number] if number else [seed, 271])
    found: list[torch.Tensor | None] = []
    for (shape, dtype), reached in zip(function.outputs, function.reached, strict=True):
        values = torch.from_numpy(np.asarray(rng.standard_normal(shape)))
        if dtype.is_complex:
            values = torch.complex(values, torch.from_numpy(np.asarray(rng.standard_normal(shape))))
        found.append(values.to(dtype).to(wider(dtype)) if every or reached else None)
    return tuple(found)


def of_function(function: Function, chosen: Sequence[torch.Tensor | None], claim: Pass | None) -> Translated:
    """A function with cotangents as a cost of its inputs.

    Args:
        function: the function, opened.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for reverse mode.
    """
    target = OfFunction(function.safely, tuple(chosen))
    why = reason(function.tensors, Asked())
    given = None if claim is None else _Claim(claim, function, tuple(chosen), arrays=not why)
    notes = _skipped(function, chosen)
    if why:
        there = runner_for(target, function.tensors, function.structure.names, function.behind, paired=False)
        roots = [("cost", function.call), ("grads", claim)]
        return Translated(target, None, given, Made(there, given, (), {}, Asked(), why, roots, notes).foreign())
    wanted = Wanted(function.call, None, given, (), {}, paired=False)
    runner = Runner(
        target, function.tensors, function.structure.names, function.behind,
        lower=any(t.dtype in LOWER for t in function.tensors),
    )  # fmt: skip
    known = function.reach.sources
    made = packed(settled(runner, function.structure, wanted, known), function.structure, wanted, given, known)
    return replace(made, foreign=replace(made.foreign, notes=(*made.foreign.notes, *notes)))


def _skipped(function: Function, chosen: Sequence[torch.Tensor | None]) -> tuple[str, ...]:
    """A note on outputs that are marked as not differentiable."""
    pairs = zip(chosen, function.reached, strict=True)
    skipped = [str(i) for i, (u, known) in enumerate(pairs) if u is None and not known]
    return (f"Left out, as it is marked as not differentiable: output {', '.join(skipped)}.",) if skipped else ()


@dataclass(frozen=True)
class _Claim:
    """A backward pass as claims by the names of the inputs."""

    claim: Pass
    function: Function
    cotangents: tuple[torch.Tensor | None, ...]
    arrays: bool = True

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        device = tensors[0].device
        native = [t.dtype for t in tensors] == [t.dtype for t in self.function.tensors]
        pairs = zip(self.cotangents, self.function.outputs, strict=True)
        given = [None if u is None else u.to(device, dtype if native else u.dtype) for u, (_, dtype) in pairs]
        found = self.claim(tensors, given)
        named = dict(zip(self.function.structure.names, found, strict=True))
        return Flat(as_arrays(named) if self.arrays else named)


def own(vjp: Callable[..., Any], function: Function) -> Pass:
    """The user's vector-Jacobian product, ``vjp(inputs, cotangent) -> tuple``, as a backward pass."""

    def reverse(tensors: Sequence[torch.Tensor], given: Sequence[torch.Tensor | None]) -> Sequence[Any]:
        inputs, _ = function.build(tensors)
        native = [t.dtype for t in tensors] == [t.dtype for t in function.tensors]
        full = [
            torch.zeros(shape, dtype=dtype if native else wider(dtype)) if u is None else u
            for u, (shape, dtype) in zip(given, function.outputs, strict=True)
        ]
        returned = vjp(tuple(inputs), full[0] if len(full) == 1 else tuple(full))
        found = list(returned) if isinstance(returned, list | tuple) else [returned]
        names = function.structure.names
        moved = {f"inputs[{i}]": i for i in range(len(inputs))}
        if all(name in moved for name in names) and len(found) == len(inputs):
            return [found[moved[name]] for name in names]
        if len(found) == len(names):
            return found
        raise InputError.of(
            "computing the claimed vector-Jacobian product", "what vjp returns", f"one array an input ({len(inputs)})",
            f"{len(found)}", "Return a tuple in the order of the inputs, None for those without a derivative.",
        )  # fmt: skip

    return reverse


def reversed_by_framework(function: Function) -> Pass:
    """What reverse mode makes of a function, as a backward pass."""

    def reverse(tensors: Sequence[torch.Tensor], given: Sequence[torch.Tensor | None]) -> Sequence[Any]:
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in tensors]
            outputs = outputs_of(function.safely(leaves))
            pairs = [(o, u) for o, u in zip(outputs, given, strict=True) if u is not None and o.requires_grad]
            if not pairs:
                return [torch.zeros_like(t) for t in tensors]
            reached = torch.autograd.grad(
                [o for o, _ in pairs], leaves, [u.to(o.dtype) for o, u in pairs], allow_unused=True
            )
        return [torch.zeros_like(t) if g is None else g for g, t in zip(reached, tensors, strict=True)]

    return reverse


def conjugated(claim: Pass) -> Pass:
    """A backward pass that leaves out the conjugates, mended: conj(J^T conj(u)) is J^H u."""

    def mended(tensors: Sequence[torch.Tensor], given: Sequence[torch.Tensor | None]) -> Sequence[Any]:
        found = claim(tensors, [None if u is None else u.conj().resolve_conj() for u in given])
        return [None if g is None else g.conj().resolve_conj() for g in found]

    return mended


def conjugate_of(claim: Pass) -> Pass:
    """The conjugate of what a backward pass gives."""

    def mended(tensors: Sequence[torch.Tensor], given: Sequence[torch.Tensor | None]) -> Sequence[Any]:
        return [None if g is None else g.conj().resolve_conj() for g in claim(tensors, given)]

    return mended


def without_constant(claim: Pass) -> Pass:
    """A backward pass without what it gives for a cotangent of zeros."""

    def mended(tensors: Sequence[torch.Tensor], given: Sequence[torch.Tensor | None]) -> Sequence[Any]:
        nothing = claim(tensors, [None if u is None else torch.zeros_like(u) for u in given])
        found = claim(tensors, given)
        return [None if g is None or n is None else g - n for g, n in zip(found, nothing, strict=True)]

    return mended


def of_twin(
    function: Function, twin: Function, chosen: Sequence[torch.Tensor | None], claim: Pass | None
) -> Translated:
    """The cost of a function's float64 twin, with the function's own backward pass as the claim.

    Args:
        function: the function, whose backward pass is run in its own precision.
        twin: the same function in float64.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for reverse mode.
    """
    names = function.structure.names
    cost = Runner(OfFunction(twin.safely, tuple(chosen)), twin.tensors, names, twin.behind)
    native = Runner(
        OfFunction(function.safely, tuple(chosen)), function.tensors, names, function.behind, lower=True, only=True
    )
    given = None if claim is None else _Claim(claim, function, tuple(chosen))

    def grads(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return native.derivative(arrays) if given is None else native.claimed(given, arrays, (), {})

    with torch.no_grad(), function.behind.after_call(), twin.behind.after_call():
        random = function.random()
        mine = outputs_of(function.safely(function.tensors))
        random.restore()
        theirs = outputs_of(twin.safely(twin.tensors))
        random.restore()
    notes = notes_on(
        (float((a.to(b.dtype) - b).norm() / b.norm().clamp_min(1e-300)), str(a.dtype).removeprefix("torch."))
        for a, b in zip(mine, theirs, strict=True)
    )
    found = {source.name: source for source in (*function.reach.sources, *twin.reach.sources)}
    foreign = Foreign(
        function.structure, tuple(found.values()), lambda: function.behind.protected(function.tensors), twin=False,
        notes=tuple(notes), evaluations=2, searched=True,
    )  # fmt: skip
    return Translated(cost.cost, None, grads, foreign)
