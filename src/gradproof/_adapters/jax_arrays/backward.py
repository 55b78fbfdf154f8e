"""A function of JAX's arrays with its backward pass, as the laws of such passes ask for it.

The decision behind it: everything runs in the user's own formats and one operation after the other, as what a rule in
Python remembers from call to call would stand still in a compiled function. JAX's arrays have one order in memory and
cannot be written to, so there is nothing to see of either; an output that is not used is not part of what is
differentiated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.functional import Pass
from gradproof._adapters.jax_arrays.arrays import array_of, wider
from gradproof._adapters.jax_arrays.functions import Function, handed, pulled_back
from gradproof._adapters.randomness import Snapshot
from gradproof._algebra.backward import Answer, Asked, Cotangents, Returned, Slot


@dataclass(frozen=True)
class _Made:
    """A forward pass: what was returned, and the way back."""

    outputs: tuple[NDArray[Any], ...]
    back: Callable[[Sequence[Any]], Sequence[Any]]
    needed: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A function at its inputs with the backward pass that reverse mode finds, or the user's own.

    Attributes:
        function: the function, taken apart.
        random: the random state that every call begins with.
        vjp: the user's own backward pass; None for reverse mode.
    """

    function: Function
    random: Snapshot
    vjp: Pass | None = None

    @cached_property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""
        pairs = zip(self.function.structure.names, self.function.likes, strict=True)
        return tuple(_slot(name, x.shape, x.dtype) for name, x in pairs)

    @cached_property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        many = len(self.function.outputs) > 1
        return tuple(
            _slot(f"output {i}" if many else "the output", shape, dtype)
            for i, (shape, dtype) in enumerate(self.function.outputs)
        )

    @cached_property
    def values(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the inputs."""
        return tuple(map(_wide, self.function.likes))

    @property
    def laid_out(self) -> bool:
        """JAX's arrays have one order in memory."""
        return False

    @property
    def draws(self) -> bool:
        """Whether the function draws random numbers."""
        return self.function.draws

    def gradients(self, asked: Asked) -> Answer:
        """A forward and a backward pass."""
        with self._still():
            return self._backward(self._forward(asked), asked)

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """Two backward passes through one forward pass."""
        with self._still():
            made = self._forward(asked)
            return self._backward(made, asked), self._backward(made, asked)

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The first backward pass, made after another forward and backward pass."""
        with self._still():
            mine = self._forward(asked)
            self.random.restore()
            self._backward(self._forward(other), other)
            return self._backward(mine, asked)

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """JAX refuses what does not fit, so that nothing is adapted."""
        return ()

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """What the function returns where nothing is differentiated."""
        with self._still():
            return tuple(map(_wide, self.function.returned(self._leaves(asked))))

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """What forward mode makes of tangents; None where there is no forward mode."""
        if self.vjp is not None:
            return None
        likes = self.function.likes
        with self._still():
            given = [jnp.asarray(v, dtype=x.dtype) for v, x in zip(tangents, likes, strict=True)]
            try:
                _, found = jax.jvp(lambda *xs: tuple(self.function.returned(xs)), tuple(likes), tuple(given))
            except (TypeError, NotImplementedError):  # a rule for reverse mode alone
                return None
            except Exception as error:
                if "jvp" not in str(error).lower():  # a call out of JAX has no forward mode either
                    raise
                return None
            return tuple(map(_wide, found))

    @contextmanager
    def _still(self) -> Iterator[None]:
        """The user's own precision and the same random numbers for every call."""
        self.random.restore()
        try:
            with self.function.natively():
                yield
        finally:
            self.random.restore()

    def _leaves(self, asked: Asked) -> list[Any]:
        values = self.values if asked.values is None else asked.values
        return [jnp.asarray(v, dtype=x.dtype) for v, x in zip(values, self.function.likes, strict=True)]

    def _forward(self, asked: Asked) -> _Made:
        leaves = self._leaves(asked)
        every = tuple(range(len(leaves)))
        if self.vjp is not None:
            claim = self.vjp
            outputs = tuple(map(_wide, self.function.returned(leaves)))
            return _Made(outputs, lambda given: claim(leaves, given), every)
        chosen = [k for k, u in enumerate(asked.cotangents) if u is not None]
        needed = every if asked.needed is None else asked.needed
        values, pull = pulled_back(self.function, leaves, chosen, needed)
        found: list[NDArray[Any]] = [np.zeros(0)] * len(self.outputs)
        for k, value in zip(chosen, values, strict=True):
            found[k] = _wide(value)
        return _Made(tuple(found), lambda given: pull([given[k] for k in chosen]), needed)

    def _backward(self, made: _Made, asked: Asked) -> Answer:
        self.random.restore()
        found = made.back(handed(asked.cotangents, self.function, native=True))
        gradients: list[NDArray[Any] | None] = [None] * len(self.inputs)
        for place, gradient in zip(made.needed, found, strict=True):
            wanted = asked.needed is None or place in asked.needed
            slot = self.inputs[place]
            if wanted and gradient is not None and np.size(gradient) == slot.size:
                gradients[place] = _wide(gradient).conj().reshape(slot.shape)
        return Answer(tuple(gradients), made.outputs)


def _slot(name: str, shape: tuple[int, ...], dtype: Any) -> Slot:
    return Slot(name, tuple(shape), str(dtype), wider(dtype).kind == "c")


def _wide(value: Any) -> NDArray[Any]:
    array = array_of(jnp.asarray(value))
    return np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64, subok=False)
