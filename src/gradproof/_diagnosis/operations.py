"""The operations that a network may be made of, each with its steps back.

Norms: with n = (x - mean) / s and s = sqrt(mean of (x - mean)^2 + eps), the derivative by x is
(d - mean(d) - n mean(d n)) / s (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, section 3, rearranged).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation
from gradproof._diagnosis.graph import Making, Node

Array = NDArray[Any]


@dataclass(frozen=True)
class Norm:
    """How something is normalised.

    Attributes:
        axis: 0 over the examples (batch norm), 1 over the units of each example (layer norm).
        eps: what is added to the variance.
    """

    axis: int
    eps: float

    @property
    def name(self) -> str:
        """As it is called."""
        return "batch norm" if self.axis == 0 else "layer norm"


@dataclass(frozen=True, eq=False)
class Normed:
    """What a norm leaves for its backward pass."""

    norm: Norm
    deviation: Array


@dataclass(frozen=True, eq=False)
class Linear:
    """The steps back through an operation that is linear in its input and in its parameter.

    Attributes:
        to_input: from what came back and the parameter as stored.
        to_weight: from the input and what came back.
        rim: how wide a rim of zeros the input gets first.
    """

    to_input: Callable[[Array, Array], Array]
    to_weight: Callable[[Array, Array], Array]
    rim: int = 0


def linear(making: Making, kind: str, name: str, layer: int, value: Array, inputs: tuple[int, int], how: Linear) -> int:
    """A node with a parameter as its second input."""
    x, weight = (making.value(i) for i in inputs)
    backs = (lambda d: how.to_input(d, weight), lambda d: how.to_weight(x, d))
    return making.add(Node(kind, name, layer, value, inputs, backs, about=how))


def parameter(making: Making, tensor: int, name: str, layer: int, value: Array) -> int:
    """A parameter, the same node each time that it is used."""
    if tensor not in making.parameters:
        making.parameters[tensor] = making.add(Node("parameter", name, layer, value, tensor=tensor))
    return making.parameters[tensor]


def product(making: Making, x: int, weight: int, turned: bool, layer: int) -> int:
    """Rows times weights; ``turned`` where these are stored (inputs, outputs)."""
    X, W = making.value(x), making.value(weight)
    how = Linear(
        lambda d, W: np.asarray(d @ (W.T if turned else W)),
        lambda X, d: np.asarray(X.T @ d if turned else d.T @ X),
    )
    name = f"what {making.nodes[weight].name} makes"
    return linear(making, "product", name, layer, X @ (W if turned else W.T), (x, weight), how)


def _over_channels(array: Array, ndim: int) -> Array:
    """One number a unit, or a channel of an image, to be added to or multiplied with."""
    return array.reshape(-1, *([1] * (ndim - 2)))


def _summed(array: Array) -> Array:
    """Over everything but units, or channels."""
    return np.asarray(array.sum(axis=tuple(k for k in range(array.ndim) if k != 1)))


def shift(making: Making, x: int, bias: int, layer: int, name: str) -> int:
    """Adds one number a unit, or a channel."""
    X = making.value(x)
    value = X + _over_channels(making.value(bias), X.ndim)
    return linear(
        making, "shift", name, layer, value, (x, bias), Linear(lambda d, by: d, lambda X, d: _summed(d))
    )  # fmt: skip


def gain(making: Making, x: int, scale: int, layer: int, name: str) -> int:
    """Multiplies by one number a unit, or a channel."""
    X = making.value(x)
    how = Linear(
        lambda d, by: np.asarray(d * _over_channels(by, d.ndim)), lambda X, d: _summed(np.asarray(d * X))
    )  # fmt: skip
    return linear(
        making, "gain", name, layer, X * _over_channels(making.value(scale), X.ndim), (x, scale), how
    )  # fmt: skip


def norm(making: Making, x: int, how: Norm, layer: int, name: str) -> int:
    """Zero mean and unit variance along an axis."""
    value, deviation = normalised(making.value(x), how)
    known = Normed(how, deviation)
    return making.add(
        Node(
            "norm", name, layer, value, (x,),
            (lambda d: through_norm(d, value, deviation, how.axis),), about=known,
        )
    )  # fmt: skip


def normalised(x: Array, how: Norm) -> tuple[Array, Array]:
    """The normalised array, and the deviation that was divided by."""
    centred = x - x.mean(axis=how.axis, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=how.axis, keepdims=True) + how.eps)
    return centred / deviation, deviation


def through_norm(d: Array, n: Array, deviation: Array, axis: int, *, mean: bool = True, variance: bool = True) -> Array:
    """The derivative by what was normalised, with its branches through the mean and the variance or without."""
    left = d - d.mean(axis=axis, keepdims=True) if mean else d
    if variance:
        left = left - n * (d * n).mean(axis=axis, keepdims=True)
    return np.asarray(left / deviation)


def activation(making: Making, x: int, act: Activation, layer: int, name: str) -> int:
    """An elementwise function."""
    slope = act.slope(making.value(x))
    return making.add(
        Node(
            "activation", name, layer, act.value(making.value(x)), (x,),
            (lambda d: np.asarray(d * slope),), about=act,
        )
    )  # fmt: skip


def total(making: Making, one: int, other: int, layer: int, name: str) -> int:
    """The sum of two arrays, as a skip connection makes it."""
    value = making.value(one) + making.value(other)
    return making.add(Node("sum", name, layer, value, (one, other), (lambda d: d, lambda d: d)))


@dataclass(frozen=True, eq=False)
class Looked:
    """What a look-up leaves for its step back.

    Attributes:
        indices: (examples, positions).
        each: what comes back to every position, from what comes back.
    """

    indices: Array
    each: Callable[[Array], Array]


def rows(making: Making, table: int, indices: Array, layer: int, *, over: str) -> int:
    """Rows of a table by their numbers, the positions of an example averaged, added up or laid side by side."""
    E = making.value(table)
    found = E[indices]
    examples, positions = indices.shape
    share = 1.0 / positions if over == "mean" else 1.0

    def each(d: Array) -> Array:
        return d.reshape(found.shape) if over == "beside" else np.repeat(d[:, None, :], positions, axis=1) * share

    def to_table(d: Array) -> Array:
        made = np.zeros_like(E)
        np.add.at(made, indices, each(d))
        return made

    value = found.reshape(examples, -1) if over == "beside" else found.sum(axis=1) * share
    name = f"the rows of {making.nodes[table].name}"
    return making.add(Node("rows", name, layer, value, (table,), (to_table,), about=Looked(indices, each)))
