"""A function of TensorFlow's tensors with its backward pass, as the laws of such passes ask for it.

The decision behind it: everything runs in the user's own formats and one operation after the other, as what a rule in
Python remembers from call to call would stand still in a traced function. Tensors have one order in memory and cannot
be written to, so there is nothing to see of either.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradproof._adapters.functional import Pass
from gradproof._adapters.randomness import Snapshot
from gradproof._adapters.tensorflow_tensors.functions import Function, handed, pulled_back
from gradproof._adapters.tensorflow_tensors.tensors import array_of, dense, format_of, place_of, wider
from gradproof._algebra.backward import Answer, Asked, Cotangents, Returned, Slot


@dataclass(frozen=True)
class _Made:
    """A forward pass: what was returned, and the way back."""

    outputs: tuple[NDArray[Any], ...]
    back: Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True)
class Graph:
    """A function at its inputs with the backward pass that a tape finds, or the user's own.

    Attributes:
        function: the function, taken apart.
        random: the random state that every call begins with.
        vjp: the user's own backward pass; None for a tape.
    """

    function: Function
    random: Snapshot
    vjp: Pass | None = None

    @cached_property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""
        pairs = zip(self.function.structure.names, self.function.likes, strict=True)
        return tuple(_slot(name, x.shape, format_of(x)) for name, x in pairs)

    @cached_property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        many = len(self.function.outputs) > 1
        return tuple(
            _slot(f"output {i}" if many else "the output", shape, name)
            for i, (shape, name) in enumerate(self.function.outputs)
        )

    @cached_property
    def values(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the inputs."""
        return tuple(map(_wide, self.function.likes))

    @property
    def laid_out(self) -> bool:
        """TensorFlow's tensors have one order in memory."""
        return False

    @cached_property
    def draws(self) -> bool:
        """Whether two calls of the function differ, each with the random state in reach put back before it."""
        found = []
        for _ in range(2):
            self.random.restore()
            found.append([_wide(y) for y in self.function.returned(self.function.likes)])
        self.random.restore()
        return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))

    def gradients(self, asked: Asked) -> Answer:
        """A forward and a backward pass."""
        with self._still(asked) as leaves:
            return self._backward(self._forward(asked, leaves), asked)

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """Two backward passes through one forward pass."""
        with self._still(asked) as leaves:
            made = self._forward(asked, leaves)
            return self._backward(made, asked), self._backward(made, asked)

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The first backward pass, made after another forward and backward pass."""
        with self._still(asked) as leaves:
            mine = self._forward(asked, leaves)
            self.random.restore()
            with self._still(other) as others:
                self._backward(self._forward(other, others), other)
            return self._backward(mine, asked)

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """TensorFlow refuses what does not fit, so that nothing is adapted."""
        return ()

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """What the function returns where nothing is differentiated."""
        with self._still(asked) as leaves:
            return tuple(map(_wide, self.function.returned(leaves)))

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """Forward mode goes through the same rules as reverse mode here, and says nothing of its own."""
        return None

    @contextmanager
    def _still(self, asked: Asked) -> Iterator[list[Any]]:
        """The inputs, variables holding the numbers that are asked for, and the same random numbers for every call."""
        self.random.restore()
        values = self.values if asked.values is None else asked.values
        pairs = list(zip(values, self.function.likes, strict=True))
        kept = [(place_of(x), tf.identity(place_of(x))) for _, x in pairs if place_of(x) is not None]
        try:
            yield [_placed(value, x) for value, x in pairs]
        finally:
            for variable, value in kept:
                variable.assign(value)
            self.random.restore()

    def _forward(self, asked: Asked, leaves: Sequence[Any]) -> _Made:
        if self.vjp is not None:
            claim = self.vjp
            outputs = tuple(map(_wide, self.function.returned(leaves)))
            return _Made(outputs, lambda given: claim(leaves, given))
        chosen = [k for k, u in enumerate(asked.cotangents) if u is not None]
        values, tape, watched = pulled_back(self.function, leaves, chosen)
        found: list[NDArray[Any]] = [np.zeros(0)] * len(self.outputs)
        for k, value in zip(chosen, values, strict=True):
            found[k] = _wide(value)

        def back(given: Sequence[Any]) -> Sequence[Any]:
            cotangents = [tf.cast(given[k], y.dtype) for k, y in zip(chosen, values, strict=True)]
            return [dense(g) for g in tape.gradient(values, watched, output_gradients=cotangents)]

        return _Made(tuple(found), back)

    def _backward(self, made: _Made, asked: Asked) -> Answer:
        self.random.restore()
        found = made.back(handed(asked.cotangents, self.function, native=True))
        gradients: list[NDArray[Any] | None] = []
        for place, (slot, gradient) in enumerate(zip(self.inputs, found, strict=True)):
            if asked.needed is not None and place not in asked.needed:
                gradients.append(None)
            elif gradient is None:
                gradients.append(np.zeros(slot.shape, dtype=np.complex128 if slot.complex else np.float64))
            else:
                array = _wide(gradient)
                gradients.append(array.reshape(slot.shape) if array.size == slot.size else None)
        return Answer(tuple(gradients), made.outputs)


def _placed(value: NDArray[Any], like: Any) -> Any:
    """A tensor with other numbers, or the variable itself with them in it."""
    found = tf.cast(tf.constant(value), format_of(like))
    variable = place_of(like)
    if variable is None:
        return found
    variable.assign(found)
    return like


def _slot(name: str, shape: Sequence[int], kind: str) -> Slot:
    return Slot(name, tuple(shape), kind, wider(kind).startswith("complex"))


def _wide(value: Any) -> NDArray[Any]:
    array = array_of(value)
    return np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64, subok=False)
