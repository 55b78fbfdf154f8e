"""The operations that a network may be made of, each with its steps back.

Norms: with n = (x - mean) / s and s = sqrt(mean of (x - mean)^2 + eps), the derivative by x is
(d - mean(d) - n mean(d n)) / s (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, section 3, rearranged).
"""

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


def parameter(making: Making, tensor: int, name: str, layer: int, value: Array) -> int:
    """A parameter, the same node each time that it is used."""
    if tensor not in making.parameters:
        making.parameters[tensor] = making.add(Node("parameter", name, layer, value, tensor=tensor))
    return making.parameters[tensor]


def product(making: Making, x: int, weight: int, turned: bool, layer: int) -> int:
    """Rows times weights; ``turned`` where these are stored (inputs, outputs)."""
    X, stored = making.value(x), making.value(weight)
    W = stored if turned else stored.T

    def to_weight(d: Array) -> Array:
        made = X.T @ d
        return np.asarray(made if turned else made.T)

    value = X @ W
    name = f"what {making.nodes[weight].name} makes"
    return making.add(
        Node("product", name, layer, value, (x, weight), (lambda d: np.asarray(d @ W.T), to_weight), about=turned)
    )


def shift(making: Making, x: int, bias: int, layer: int, name: str) -> int:
    """Adds one number a unit."""
    value = making.value(x) + making.value(bias)
    return making.add(
        Node("shift", name, layer, value, (x, bias), (lambda d: d, lambda d: np.asarray(d.sum(axis=0))))
    )


def gain(making: Making, x: int, scale: int, layer: int, name: str) -> int:
    """Multiplies by one number a unit."""
    X, by = making.value(x), making.value(scale)
    return making.add(
        Node(
            "gain", name, layer, X * by, (x, scale),
            (lambda d: np.asarray(d * by), lambda d: np.asarray((d * X).sum(axis=0))),
        )
    )  # fmt: skip


def norm(making: Making, x: int, how: Norm, layer: int) -> int:
    """Zero mean and unit variance along an axis."""
    value, deviation = normalised(making.value(x), how)
    known = Normed(how, deviation)
    return making.add(
        Node(
            "norm", f"the normalised Z{layer}", layer, value, (x,),
            (lambda d: through_norm(d, value, deviation, how.axis),), about=known,
        )
    )  # fmt: skip


def normalised(x: Array, how: Norm) -> tuple[Array, Array]:
    """The normalised array, and the deviation that was divided by."""
    centred = x - x.mean(axis=how.axis, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=how.axis, keepdims=True) + how.eps)
    return centred / deviation, deviation


def through_norm(
    d: Array, n: Array, deviation: Array, axis: int, *, mean: bool = True, variance: bool = True
) -> Array:
    """The derivative by what was normalised, with its branches through the mean and the variance or without."""
    left = d - d.mean(axis=axis, keepdims=True) if mean else d
    if variance:
        left = left - n * (d * n).mean(axis=axis, keepdims=True)
    return np.asarray(left / deviation)


def activation(making: Making, x: int, act: Activation, layer: int) -> int:
    """An elementwise function."""
    slope = act.slope(making.value(x))
    return making.add(
        Node(
            "activation", f"A{layer}", layer, act.value(making.value(x)), (x,),
            (lambda d: np.asarray(d * slope),), about=act,
        )
    )  # fmt: skip


def total(making: Making, one: int, other: int, layer: int, name: str) -> int:
    """The sum of two arrays, as a skip connection makes it."""
    value = making.value(one) + making.value(other)
    return making.add(Node("sum", name, layer, value, (one, other), (lambda d: d, lambda d: d)))


def rows(making: Making, table: int, indices: Array, layer: int, *, over: str) -> int:
    """Rows of a table by their numbers, the positions of an example averaged, added up or laid side by side."""
    E = making.value(table)
    found = E[indices]
    examples, positions = indices.shape
    share = 1.0 / positions if over == "mean" else 1.0

    def to_table(d: Array) -> Array:
        each = d.reshape(found.shape) if over == "beside" else np.repeat(d[:, None, :], positions, axis=1) * share
        made = np.zeros_like(E)
        np.add.at(made, indices, each)
        return made

    value = found.reshape(examples, -1) if over == "beside" else found.sum(axis=1) * share
    return making.add(Node("rows", f"the rows of {making.nodes[table].name}", layer, value, (table,), (to_table,)))
