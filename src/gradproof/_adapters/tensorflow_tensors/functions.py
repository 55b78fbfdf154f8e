"""Functions of TensorFlow's tensors, seen through cotangents.

The decision behind it: TensorFlow's gradients of complex numbers are dcost/dRe + i dcost/dIm, the engine's own
convention, so nothing is conjugated on the way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat, Foreign, Translated, Wanted
from gradproof._adapters.functional import Pass
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.selecting import DOING, pulled_apart, selected
from gradproof._adapters.tensorflow_tensors.runner import Runner, Target
from gradproof._adapters.tensorflow_tensors.tensors import (
    array_of,
    dense,
    entries_of,
    format_of,
    is_inexact,
    is_lower,
    is_tensor,
    place_of,
    refuse,
    structure_of,
    wider,
)
from gradproof._adapters.tensorflow_tensors.translate import packed, settled
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
        values: the tensors in it.
        chosen: the places of those that are differentiated.
        structure: these under their names, in a list.
        outputs: shapes and formats of the outputs of floating-point or complex numbers.
    """

    call: Callable[..., Any]
    whole: Structure
    values: tuple[Any, ...]
    chosen: tuple[int, ...]
    structure: Structure
    outputs: tuple[tuple[tuple[int, ...], str], ...] = ()

    @property
    def likes(self) -> tuple[Any, ...]:
        """The tensors that are differentiated."""
        return tuple(self.values[i] for i in self.chosen)

    def built(self, leaves: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Positional and keyword arguments, the other tensors as wide as those that are given."""
        pairs = zip(leaves, self.likes, strict=True)
        widened = any(is_lower(format_of(like)) and not is_lower(format_of(x)) for x, like in pairs)
        moved = set(self.chosen)
        every = [wide(x) if widened and i not in moved else x for i, x in enumerate(self.values)]
        for place, leaf in zip(self.chosen, leaves, strict=True):
            every[place] = leaf
        tree = self.whole.rebuild(every)
        return tree["inputs"], tree["keywords"]

    def returned(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs for other tensors in the place of those that are differentiated."""
        inputs, keywords = self.built(leaves)
        return outputs_of(self.call(*inputs, **keywords))

    def random(self) -> Snapshot:
        """The random state that the function can reach, as it is now."""
        return Snapshot.of(sources([("function", self.call)]))

    def runner(self, target: Target) -> Runner:
        """A runner of something that takes these tensors."""
        return Runner(target, self.likes, self.structure.names, "inputs")


def wide(value: Any) -> Any:
    """A double-precision copy of a tensor of less; everything else as it is."""
    lower = place_of(value) is None and is_lower(format_of(value))
    return tf.cast(value, wider(format_of(value))) if lower else value


def outputs_of(returned: Any) -> list[Any]:
    """The tensors of floating-point and complex numbers in what a function returns."""
    return [value for value in entries_of(returned, "outputs").values() if is_tensor(value) and is_inexact(value)]


def opened(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any], argnums: Sequence[int] | None
) -> Function:
    """Finds the tensors that are moved and the outputs.

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
    chosen, structure = selected(whole, inputs, argnums, "tensor")
    return looked_at(Function(function, whole, tuple(values), chosen, structure))


def looked_at(function: Function) -> Function:
    """The function called once, to see what it returns."""
    random = function.random()
    try:
        outputs = function.returned(function.likes)
    finally:
        random.restore()
    if not outputs:
        raise InputError.of(DOING, "what it returns", "tensors of floating-point or complex numbers", "none of them",
                            "Return what is differentiated.")  # fmt: skip
    for i, output in enumerate(outputs):
        refuse(output, f"output {i}")
    return replace(function, outputs=tuple((tuple(o.shape), format_of(o)) for o in outputs))


def renamed(function: Function, names: Sequence[str]) -> Function:
    """The same function with other names for its inputs."""
    return replace(function, structure=function.structure.renamed(names))


def cotangents(function: Function, seed: int, number: int = 0) -> tuple[NDArray[Any], ...]:
    """Random cotangents in double precision, each a number of its output's own format."""
    rng = np.random.default_rng([seed, 271, number])
    found = []
    for shape, name in function.outputs:
        values = np.asarray(rng.standard_normal(shape))
        if name.startswith("complex"):
            values = values + 1j * np.asarray(rng.standard_normal(shape))
        found.append(np.array(tf.cast(tf.cast(tf.constant(values), name), wider(name)).numpy()))
    return tuple(found)


def of_function(function: Function, chosen: Chosen, claim: Pass | None) -> Translated:
    """A function with cotangents as a cost of its inputs.

    Args:
        function: the function, opened.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for a tape.
    """
    given = None if claim is None else _claim(claim, function, chosen)
    wanted = Wanted(function.call, None, given, (), {}, paired=False)
    runner = function.runner(_seen_through(function, chosen))
    return packed(settled(runner, function.structure, wanted, given), function.structure, wanted, given)


def _seen_through(function: Function, chosen: Chosen) -> Target:
    """The cost: the real part of conj(cotangent) . output, summed over all."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        pairs = [(y, u) for y, u in zip(function.returned(leaves), chosen, strict=True) if u is not None]
        parts = [tf.math.real(tf.reduce_sum(y * tf.cast(tf.constant(np.conj(u)), y.dtype))) for y, u in pairs]
        wide = max(parts, key=lambda part: part.dtype.size).dtype
        return tf.add_n([tf.cast(part, wide) for part in parts])

    return target


def _claim(claim: Pass, function: Function, chosen: Chosen) -> Target:
    """A backward pass as claims by the names of the inputs."""

    def target(leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Flat:
        pairs = zip(leaves, function.likes, strict=True)
        native = all(format_of(x) == format_of(like) for x, like in pairs)
        found = claim(leaves, handed(chosen, function, native=native))
        return Flat({n: dense(g) for n, g in zip(function.structure.names, found, strict=True) if g is not None})

    return target


def handed(chosen: Chosen, function: Function, *, native: bool) -> list[Any]:
    """Cotangents as TensorFlow's backward passes are given them."""
    pairs = zip(chosen, function.outputs, strict=True)
    return [None if u is None else tf.cast(tf.constant(u), name if native else wider(name)) for u, (_, name) in pairs]


def own(vjp: Callable[..., Any], function: Function) -> Pass:
    """The user's vector-Jacobian product, ``vjp(inputs, cotangent) -> tuple``, as a backward pass."""

    def reverse(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        inputs, _ = function.built(leaves)
        native = all(format_of(x) == format_of(like) for x, like in zip(leaves, function.likes, strict=True))
        full = [
            tf.zeros(shape, name if native else wider(name)) if u is None else u
            for u, (shape, name) in zip(given, function.outputs, strict=True)
        ]
        returned = vjp(tuple(inputs), full[0] if len(full) == 1 else tuple(full))
        return pulled_apart(returned, function.structure.names, len(inputs), entries_of, "tensor")

    return reverse


def pulled_back(function: Function, leaves: Sequence[Any], outputs: Sequence[int]) -> tuple[Sequence[Any], Any, Any]:
    """The outputs, and a tape that knows how they came about, with what it watched."""
    with tf.GradientTape(persistent=True) as tape:
        watched = [tf.identity(leaf) if place_of(leaf) is None else place_of(leaf) for leaf in leaves]
        for value in watched:
            tape.watch(value)
        moved = [v if place_of(x) is None else x for v, x in zip(watched, leaves, strict=True)]
        found = function.returned(moved)
        chosen = [found[k] for k in outputs]
    return chosen, tape, watched


def by_tape(function: Function) -> Pass:
    """What a tape makes of a function, as a backward pass."""

    def reverse(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        outputs = [k for k, u in enumerate(given) if u is not None]
        values, tape, watched = pulled_back(function, leaves, outputs)
        pairs = zip((given[k] for k in outputs), values, strict=True)
        return [
            None if g is None else dense(g)
            for g in tape.gradient(values, watched, output_gradients=[tf.cast(u, y.dtype) for u, y in pairs])
        ]

    return reverse


def conjugated(claim: Pass) -> Pass:
    """A backward pass that has conjugates where none belong, mended: conj(conj(u) J)."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        return conjugate_of(claim)(leaves, [None if u is None else tf.math.conj(u) for u in given])

    return mended


def conjugate_of(claim: Pass) -> Pass:
    """The conjugate of what a backward pass gives."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        return [None if g is None else tf.math.conj(g) for g in claim(leaves, given)]

    return mended


def without_constant(claim: Pass) -> Pass:
    """A backward pass without what it gives for a cotangent of zeros."""

    def mended(leaves: Sequence[Any], given: Sequence[Any | None]) -> Sequence[Any]:
        nothing = claim(leaves, [None if u is None else tf.zeros_like(u) for u in given])
        pairs = zip(claim(leaves, given), nothing, strict=True)
        return [None if g is None or n is None else g - n for g, n in pairs]

    return mended


def of_twin(function: Function, twin: Function, chosen: Chosen, claim: Pass | None) -> Translated:
    """The cost of a function's float64 twin, with the function's own backward pass as the claim.

    Args:
        function: the function, whose backward pass is run in its own precision.
        twin: the same function in float64.
        chosen: cotangents; None for an output that is left out.
        claim: the backward pass; None for a tape.
    """
    cost = replace(function.runner(_seen_through(twin, chosen)), called=True)
    native = replace(function.runner(_seen_through(function, chosen)), only=True, called=True)
    given = None if claim is None else _claim(claim, function, chosen)

    def grads(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return native.derivative(arrays) if given is None else native.claimed(given, arrays, (), {})

    mine = [array_of(y) for y in function.returned(function.likes)]
    theirs = [array_of(y) for y in twin.returned([wide(x) for x in function.likes])]
    apart = [
        (float(np.linalg.norm(a.astype(b.dtype) - b) / max(float(np.linalg.norm(b)), 1e-300)), name)
        for a, b, (_, name) in zip(mine, theirs, function.outputs, strict=True)
    ]
    notes = notes_on(apart)
    foreign = Foreign(function.structure, twin=False, notes=tuple(notes), evaluations=2)
    return Translated(cost.cost, grads, foreign)
