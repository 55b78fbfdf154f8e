"""Functions of JAX's arrays, seen through cotangents.

The decision behind it: JAX's gradients of complex numbers are the conjugates of dcost/dRe + i dcost/dIm, and so are
the cotangents that its backward passes are given. Everything here is in JAX's convention, as users write it; whoever
hands over to the engine or to the laws takes conjugates.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat, Foreign, Translated, Wanted
from gradproof._adapters.functional import Pass
from gradproof._adapters.jax_arrays.arrays import array_of, double, is_inexact, is_lower, refuse, wide, wider
from gradproof._adapters.jax_arrays.runner import Runner, Target, conjugate
from gradproof._adapters.jax_arrays.translate import packed, settled
from gradproof._adapters.jax_arrays.trees import entries_of, structure_of
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.selecting import DOING, pulled_apart, selected
from gradproof._adapters.twins import notes_on
from gradproof._errors import InputError
from gradproof._tree import Structure

#: One cotangent an output, in double precision; None for one that is left out.
Chosen = Sequence[NDArray[Any] | None]


@dataclass(frozen=True)
class Function:
    """A function with its inputs taken apart.

    Attributes:
        call: the user's function.
        whole: the nesting of inputs and keyword arguments.
        values: the arrays in it.
        chosen: the places of those that are differentiated.
        structure: these under their names, in a list.
        outputs: shapes and formats of the outputs of floating-point or complex numbers.
        draws: whether it draws random numbers from outside of JAX.
    """

    call: Callable[..., Any]
    whole: Structure
    values: tuple[Any, ...]
    chosen: tuple[int, ...]
    structure: Structure
    outputs: tuple[tuple[tuple[int, ...], Any], ...] = ()
    draws: bool = False

    @property
    def likes(self) -> tuple[Any, ...]:
        """The arrays that are differentiated."""
        return tuple(self.values[i] for i in self.chosen)

    def built(self, leaves: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Positional and keyword arguments, the other arrays as wide as those that are given."""
        widened = any(
            is_lower(like.dtype) and not is_lower(x.dtype) for x, like in zip(leaves, self.likes, strict=True)
        )
        every = [wide(value) if widened else value for value in self.values]
        for place, leaf in zip(self.chosen, leaves, strict=True):
            every[place] = leaf
        tree = self.whole.rebuild(every)
        return tree["inputs"], tree["keywords"]

    def returned(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs for other arrays in the place of those that are differentiated."""
        inputs, keywords = self.built(leaves)
        return outputs_of(self.call(*inputs, **keywords))

    def random(self) -> Snapshot:
        """The random state that the function can reach, as it is now."""
        return Snapshot.of(sources([("function", self.call)]))

    def runner(self, target: Target) -> Runner:
        """A runner of something that takes these arrays."""
        lower = any(is_lower(like.dtype) for like in self.likes)
        return Runner(target, self.likes, self.structure.names, "inputs", lower=lower)

    def natively(self) -> AbstractContextManager[Any]:
        """What has to hold while the user's code runs in its own precision; no runner calls anything for that."""
        return self.runner(_uncalled).around(native=True)


def outputs_of(returned: Any) -> list[Any]:
    """The arrays of floating-point and complex numbers in what a function returns."""
    return [value for value in entries_of(returned, "outputs").values() if is_inexact(value)]


def opened(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any], argnums: Sequence[int] | None
) -> Function:
    """Finds the arrays that are moved and the outputs.

    Args:
        function: the user's function.
        inputs: positional arguments.
        keywords: keyword arguments.
        argnums: positions of the inputs to differentiate; None for all.

    Raises:
        InputError: there is nothing to differentiate.
    """
    values: list[Any] = []
    whole = structure_of({"inputs": list(inputs), "keywords": dict(keywords)}, "inputs", values)
    chosen, structure = selected(whole, inputs, argnums, "array")
    return looked_at(Function(function, whole, tuple(values), chosen, structure))


def looked_at(function: Function) -> Function:
    """The function called once, to see what it returns."""
    random = function.random()
    try:
        with function.natively():
            outputs = function.returned(function.likes)
    finally:
        draws = bool(random.moved())
        random.restore()
    if not outputs:
        raise InputError.of(DOING, "what it returns", "arrays of floating-point or complex numbers", "none of them",
                            "Return what is differentiated.")  # fmt: skip
    for i, output in enumerate(outputs):
        refuse(output, f"output {i}")
    return replace(function, outputs=tuple((tuple(o.shape), o.dtype) for o in outputs), draws=draws)


def _uncalled(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    raise NotImplementedError


def renamed(function: Function, names: Sequence[str]) -> Function:
    """The same function with other names for its inputs."""
    return replace(function, structure=function.structure.renamed(names))


def cotangents(function: Function, seed: int, number: int = 0) -> tuple[NDArray[Any], ...]:
    """Random cotangents in double precision, each a number of its output's own format."""
    rng = np.random.default_rng([seed, 271, number])
    found = []
    for shape, dtype in function.outputs:
        values = np.asarray(rng.standard_normal(shape))
        if wider(dtype).kind == "c":
            values = values + 1j * np.asarray(rng.standard_normal(shape))
        found.append(values.astype(dtype).astype(wider(dtype)))
    return tuple(found)


def of_function(function: Function, chosen: Chosen, claim: Pass | None) -> Translated:
    """A function with cotangents as a cost of its inputs.

    Args:
        function: the function, opened.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for reverse mode.
    """
    given = None if claim is None else _claim(claim, function, chosen)
    wanted = Wanted(function.call, None, given, (), {}, paired=False)
    runner = function.runner(_seen_through(function, chosen))
    return packed(settled(runner, function.structure, wanted, given), function.structure, wanted, given)


def _seen_through(function: Function, chosen: Chosen) -> Target:
    """The cost: the real part of conj(cotangent) . output, summed over all."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        pairs = [(y, u) for y, u in zip(function.returned(leaves), chosen, strict=True) if u is not None]
        parts = [jnp.sum(y * jnp.asarray(np.conj(u), dtype=y.dtype)).real for y, u in pairs]
        return sum(parts[1:], start=parts[0])

    return target


def _claim(claim: Pass, function: Function, chosen: Chosen) -> Target:
    """A backward pass as claims by the names of the inputs."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Flat:
        native = all(x.dtype == like.dtype for x, like in zip(leaves, function.likes, strict=True))
        found = claim(leaves, handed(chosen, function, native=native))
        return Flat(dict(zip(function.structure.names, map(conjugate, found), strict=True)))

    return target


def handed(chosen: Chosen, function: Function, *, native: bool) -> list[Any]:
    """Cotangents as JAX's backward passes are given them."""
    pairs = zip(chosen, function.outputs, strict=True)
    return [
        None if u is None else jnp.asarray(np.conj(u), dtype=dtype if native else wider(dtype))
        for u, (_, dtype) in pairs
    ]  # fmt: skip


def own(vjp: Callable[..., Any], function: Function) -> Pass:
    """The user's vector-Jacobian product, ``vjp(inputs, cotangent) -> tuple``, as a backward pass."""

    def reverse(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        inputs, _ = function.built(leaves)
        native = all(x.dtype == like.dtype for x, like in zip(leaves, function.likes, strict=True))
        full = [
            jnp.zeros(shape, dtype if native else wider(dtype)) if u is None else u
            for u, (shape, dtype) in zip(given, function.outputs, strict=True)
        ]
        returned = vjp(tuple(inputs), full[0] if len(full) == 1 else tuple(full))
        return pulled_apart(returned, function.structure.names, len(inputs), entries_of, "array")

    return reverse


def pulled_back(
    function: Function, leaves: Sequence[Any], outputs: Sequence[int], inputs: Sequence[int]
) -> tuple[Sequence[Any], Callable[[Sequence[Any]], Sequence[Any]]]:
    """What jax.vjp says of some outputs and some inputs; the others are not part of what is differentiated."""

    def some(*moved: Any) -> tuple[Any, ...]:
        every = list(leaves)
        for place, leaf in zip(inputs, moved, strict=True):
            every[place] = leaf
        found = function.returned(every)
        return tuple(found[k] for k in outputs)

    values, pull = jax.vjp(some, *(leaves[i] for i in inputs))
    return values, lambda given: pull(tuple(u.astype(y.dtype) for u, y in zip(given, values, strict=True)))


def reversed_by_jax(function: Function) -> Pass:
    """What reverse mode makes of a function, as a backward pass."""

    def reverse(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        outputs = [k for k, u in enumerate(given) if u is not None]
        _, pull = pulled_back(function, leaves, outputs, range(len(leaves)))
        return pull([given[k] for k in outputs])

    return reverse


def conjugated(claim: Pass) -> Pass:
    """A backward pass that has conjugates where none belong, mended: conj(conj(u) J)."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        return conjugate_of(claim)(leaves, [None if u is None else jnp.conj(u) for u in given])

    return mended


def conjugate_of(claim: Pass) -> Pass:
    """The conjugate of what a backward pass gives."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        return [None if g is None else jnp.conj(g) for g in claim(leaves, given)]

    return mended


def without_constant(claim: Pass) -> Pass:
    """A backward pass without what it gives for a cotangent of zeros."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        nothing = claim(leaves, [None if u is None else jnp.zeros_like(u) for u in given])
        pairs = zip(claim(leaves, given), nothing, strict=True)
        return [None if g is None or n is None else g - n for g, n in pairs]

    return mended


def of_twin(function: Function, twin: Function, chosen: Chosen, claim: Pass | None) -> Translated:
    """The cost of a function's float64 twin, with the function's own backward pass as the claim.

    Args:
        function: the function, whose backward pass is run in its own precision.
        twin: the same function in float64.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for reverse mode.
    """
    cost = replace(function.runner(_seen_through(twin, chosen)), compiled=False)
    native = replace(function.runner(_seen_through(function, chosen)), only=True)
    given = None if claim is None else _claim(claim, function, chosen)

    def grads(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return native.derivative(arrays) if given is None else native.claimed(given, arrays, (), {})

    with native.around(native=True):
        mine = [array_of(y) for y in function.returned(function.likes)]
    with double():
        theirs = [array_of(y) for y in twin.returned([wide(x) for x in function.likes])]
    apart = [
        (float(np.linalg.norm(a.astype(b.dtype) - b) / max(float(np.linalg.norm(b)), 1e-300)), str(dtype))
        for a, b, (_, dtype) in zip(mine, theirs, function.outputs, strict=True)
    ]
    notes = notes_on(apart)
    foreign = Foreign(function.structure, twin=False, notes=tuple(notes), evaluations=2)
    return Translated(cost.cost, grads, foreign)
