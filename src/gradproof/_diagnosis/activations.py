"""Activations that a network may have, with their derivatives, so that one can be recognised by its values.

The decision behind it: what a network computes is never asked, it is recognised and then verified against measured
derivatives; a function that is missing here is no harm, only a cause less that can be named.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Activation:
    """An elementwise function.

    Attributes:
        name: as it is called.
        value: the function.
        slope: its derivative.
        number: its alpha, if it has one.
    """

    name: str
    value: Function
    slope: Function
    number: float | None = None


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def _erf(z: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(z))


def _normal(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))


def _gelu_slope(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + _erf(z / math.sqrt(2.0))) + z * _normal(z))


def _inner(z: Array) -> Array:
    return np.asarray(np.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3)))


def _tanh_gelu_slope(z: Array) -> Array:
    t = _inner(z)
    return np.asarray(
        0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * z * z)
    )


def leaky(alpha: float) -> Activation:
    """A ReLU with a slope of alpha below 0."""
    return Activation(
        f"leaky ReLU with slope {alpha:g}",
        lambda z: np.where(z > 0, z, alpha * z),
        lambda z: np.where(z > 0, 1.0, alpha),
        alpha,
    )


def elu(alpha: float) -> Activation:
    """Z above 0, alpha (exp(z) - 1) below."""
    return Activation(
        f"ELU with alpha {alpha:g}",
        lambda z: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0))),
        lambda z: np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0.0))),
        alpha,
    )


RELU = Activation("ReLU", lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0))
TANH = Activation("tanh", lambda z: np.asarray(np.tanh(z)), lambda z: np.asarray(1.0 - np.tanh(z) ** 2))
SIGMOID = Activation("sigmoid", sigmoid, lambda z: sigmoid(z) * sigmoid(-z))
IDENTITY = Activation("identity", lambda z: z, lambda z: np.ones_like(z))
#: Those without a number of their own, the most common first.
PLAIN = (
    RELU,
    TANH,
    SIGMOID,
    IDENTITY,
    Activation("softplus", lambda z: np.asarray(np.logaddexp(0.0, z)), sigmoid),
    Activation("swish", lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1.0 + z * sigmoid(-z))),
    Activation("GELU", lambda z: 0.5 * z * (1.0 + _erf(z / math.sqrt(2.0))), _gelu_slope),
    Activation("GELU (tanh form)", lambda z: 0.5 * z * (1.0 + _inner(z)), _tanh_gelu_slope),
    Activation("sine", lambda z: np.asarray(np.sin(z)), lambda z: np.asarray(np.cos(z))),
    Activation("softsign", lambda z: z / (1.0 + np.abs(z)), lambda z: 1.0 / (1.0 + np.abs(z)) ** 2),
    Activation("square", lambda z: z * z, lambda z: 2.0 * z),
)
#: Options that hold the number of a leaky ReLU or an ELU.
NUMBERS = ("alpha", "slope", "negative_slope", "leak", "a")


def activations(options: Mapping[str, Any]) -> tuple[Activation, ...]:
    """All that are recognised, with the numbers that the user's options give first."""
    own = list(numbers(options))
    leaks = [leaky(a) for a in dict.fromkeys((*own, 0.01, 0.1, 0.2, 0.3, 0.05)) if a not in (0.0, 1.0)]
    elus = [elu(a) for a in dict.fromkeys((*own, 1.0))]
    return (*PLAIN[:3], *leaks, *elus, *PLAIN[3:])


def numbers(options: Mapping[str, Any]) -> Iterator[float]:
    """What options give as the number of an activation."""
    for name in NUMBERS:
        value = options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
