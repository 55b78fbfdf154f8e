"""Costs at the output of a network, by their derivatives at its last layer, so that one can be recognised.

Each takes the last layer's Z and the labels Y, examples in columns, and leaves the factor in front (1/m) open.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import sigmoid

Array = NDArray[Any]
Delta = Callable[[Array, Array], Array]
#: Constants inside logarithms that are tried.
EPSILONS = tuple(float(f"{digit}e-{power}") for power in range(1, 16) for digit in (1, 5))


@dataclass(frozen=True)
class Loss:
    """A cost of one output.

    Attributes:
        name: as it is called.
        delta: its derivative by Z.
        plain: name of the loss it is without its epsilon, if it has one.
        epsilon: that constant in words.
        clear: whether a gradient may be said to be that of this cost; the others are derivatives with a mistake.
    """

    name: str
    delta: Delta
    plain: str = ""
    epsilon: str = ""
    clear: bool = True


def softmax(Z: Array) -> Array:
    """Of every column."""
    shifted = np.exp(Z - Z.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True))


def through_softmax(P: Array, dP: Array) -> Array:
    """The derivative by Z of what has the derivative dP by P = softmax(Z)."""
    return np.asarray(P * (dP - np.sum(P * dP, axis=0, keepdims=True)))


def _softmax_entropy(Z: Array, Y: Array) -> Array:
    return np.asarray(Y.sum(axis=0, keepdims=True) * softmax(Z) - Y)


def _binary_over_softmax(Z: Array, Y: Array) -> Array:
    P = softmax(Z)
    return through_softmax(P, (1.0 - Y) / (1.0 - P) - Y / P)


def _hinge(Z: Array, Y: Array) -> Array:
    right = np.sum(Z * Y, axis=0, keepdims=True)
    over = (Z - right + 1.0 > 0) * (1.0 - Y)
    return np.asarray(over - Y * over.sum(axis=0, keepdims=True))


ENTROPY, LOGISTIC = "the cross-entropy of a softmax", "the cross-entropy of sigmoids"
PLAIN = (
    Loss(ENTROPY, _softmax_entropy),
    Loss(LOGISTIC, lambda Z, Y: sigmoid(Z) - Y),
    Loss("the squared error", lambda Z, Y: Z - Y),
    Loss("the binary cross-entropy over a softmax", _binary_over_softmax),
    Loss("the squared error of a softmax", lambda Z, Y: through_softmax(softmax(Z), softmax(Z) - Y)),
    Loss("the squared error of sigmoids", lambda Z, Y: (sigmoid(Z) - Y) * sigmoid(Z) * sigmoid(-Z)),
    Loss("the squared error of a tanh", lambda Z, Y: (np.tanh(Z) - Y) * (1.0 - np.tanh(Z) ** 2)),
    Loss("the logistic loss of labels -1 and 1", lambda Z, Y: -Y * sigmoid(-Y * Z)),
    Loss("the hinge loss of labels -1 and 1", lambda Z, Y: -Y * (Y * Z < 1.0)),
    Loss("the squared hinge loss of labels -1 and 1", lambda Z, Y: -2.0 * Y * np.maximum(1.0 - Y * Z, 0.0)),
    Loss("the hinge loss over classes", _hinge),
    Loss("the absolute error", lambda Z, Y: np.sign(Z - Y)),
    Loss("the logarithm of cosh", lambda Z, Y: np.asarray(np.tanh(Z - Y))),
    Loss("the fourth power of the error", lambda Z, Y: (Z - Y) ** 3),
    Loss("the pseudo-Huber loss", lambda Z, Y: (Z - Y) / np.sqrt(1.0 + (Z - Y) ** 2)),
    Loss("the Huber loss with threshold 1", lambda Z, Y: np.clip(Z - Y, -1.0, 1.0)),
    Loss("the Poisson likelihood", lambda Z, Y: np.exp(np.minimum(Z, 700.0)) - Y),
)
#: Derivatives with a mistake that is known well.
MISTAKEN = (
    Loss("the derivative of the softmax applied twice", lambda Z, Y: _twice(softmax(Z), Y), clear=False),
    Loss("the diagonal of the softmax's Jacobian alone", lambda Z, Y: -Y * (1.0 - softmax(Z)), clear=False),
    Loss("the labels never subtracted", lambda Z, Y: softmax(Z), clear=False),
    Loss(
        "the half with 1 - Y of the cross-entropy of sigmoids forgotten",
        lambda Z, Y: -Y * sigmoid(-Z), clear=False,
    ),
    Loss("the labels never subtracted from the sigmoids", lambda Z, Y: sigmoid(Z), clear=False),
    Loss("-Y/P without the softmax's Jacobian", lambda Z, Y: -Y / softmax(Z), clear=False),
    Loss("P - Y, all of it times P(1 - P)", lambda Z, Y: _twice(sigmoid(Z), Y), clear=False),
    Loss("the Jacobian of the squared error's softmax left out", lambda Z, Y: softmax(Z) - Y, clear=False),
)  # fmt: skip


def _twice(P: Array, Y: Array) -> Array:
    return np.asarray((P - Y) * P * (1.0 - P))


def losses(options: Mapping[str, Any]) -> Iterator[Loss]:
    """All that are recognised: the plain ones, those at a temperature, those with an epsilon."""
    yield from PLAIN
    for name, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and value not in (0, 1):
            for loss in PLAIN[:2]:
                yield Loss(f"{loss.name} at temperature {name} = {value:g}", _cooled(loss.delta, float(value)))
    for epsilon in EPSILONS:
        yield Loss(ENTROPY, _floored(epsilon), ENTROPY, f"{epsilon:g} inside the logarithm")
        yield Loss(LOGISTIC, _floored_logistic(epsilon), LOGISTIC, f"{epsilon:g} inside the logarithms")
        yield Loss(ENTROPY, _clipped(epsilon), ENTROPY, f"the clip of probabilities at {epsilon:g}")
        yield Loss(LOGISTIC, _clipped_logistic(epsilon), LOGISTIC, f"the clip of probabilities at {epsilon:g}")


def _cooled(delta: Delta, temperature: float) -> Delta:
    return lambda Z, Y: delta(Z / temperature, Y)


def _floored(epsilon: float) -> Delta:
    return lambda Z, Y: through_softmax(softmax(Z), -Y / (softmax(Z) + epsilon))


def _floored_logistic(epsilon: float) -> Delta:
    def delta(Z: Array, Y: Array) -> Array:
        P = sigmoid(Z)
        return np.asarray(((1.0 - Y) / (1.0 - P + epsilon) - Y / (P + epsilon)) * P * sigmoid(-Z))

    return delta


def _clipped(epsilon: float) -> Delta:
    def delta(Z: Array, Y: Array) -> Array:
        P = softmax(Z)
        inside = (epsilon < P) & (1.0 - epsilon > P)
        return through_softmax(P, np.where(inside, -Y / P, 0.0))

    return delta


def _clipped_logistic(epsilon: float) -> Delta:
    def delta(Z: Array, Y: Array) -> Array:
        P = sigmoid(Z)
        inside = (epsilon < P) & (1.0 - epsilon > P)
        return np.where(inside, P - Y, 0.0)

    return delta
