"""Activations and their derivatives.

The decision behind it: each is written so that no intermediate overflows or cancels, in any floating type, and so that
it stays analytic for complex Z (the sign is taken from the real part), because a complex step through the network is
the sharpest reference there is (W. Squire and G. Trapp, SIAM Rev. 40, 1998, doi:10.1137/S003614459631241X).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from gradproof.network.types import Array


def relu(Z: Array) -> Array:
    """Returns max(Z, 0), elementwise, in the type of Z."""
    return np.where(np.real(Z) > 0, Z, np.zeros_like(Z))


def sigmoid(Z: Array) -> Array:
    """Returns 1 / (1 + exp(-Z)), elementwise, in the type of Z; never overflows."""
    positive = np.real(Z) > 0
    small = np.exp(np.where(positive, -Z, Z))
    return np.where(positive, 1 / (1 + small), small / (1 + small))


def softmax(Z: Array) -> Array:
    """Returns exp(Z) divided by its column sums, in the type of Z; never overflows."""
    weights = np.exp(_shifted(Z))
    return np.asarray(weights / np.sum(weights, axis=0, keepdims=True))


def log_softmax(Z: Array) -> Array:
    """Returns log(softmax(Z)) without going through softmax, which underflows where the logarithm is still finite."""
    shifted = _shifted(Z)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=0, keepdims=True)))


def softplus(Z: Array) -> Array:
    """Returns log(1 + exp(Z)) = -log(sigmoid(-Z)), elementwise; never overflows."""
    return np.asarray(relu(Z) + np.log1p(np.exp(np.where(np.real(Z) > 0, -Z, Z))))


def relu_derivative(Z: Array) -> Array:
    """Returns 1 where Z > 0 and 0 elsewhere (0 at the kink itself), in the type of Z."""
    return (np.real(Z) > 0).astype(Z.dtype)


def sigmoid_derivative(Z: Array) -> Array:
    """Returns sigmoid(Z) sigmoid(-Z); the usual a (1 - a) loses all digits once a rounds to 1."""
    return np.asarray(sigmoid(Z) * sigmoid(-Z))


def tanh_derivative(Z: Array) -> Array:
    """Returns 1 - tanh(Z)^2 as 4 sigmoid(2Z) sigmoid(-2Z), which does not cancel for large Z."""
    return np.asarray(4 * sigmoid_derivative(2 * Z))


def _shifted(Z: Array) -> Array:
    return np.asarray(Z - np.max(np.real(Z), axis=0, keepdims=True))


HIDDEN: Mapping[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = MappingProxyType(
    {
        "relu": (relu, relu_derivative),
        "sigmoid": (sigmoid, sigmoid_derivative),
        "tanh": (np.tanh, tanh_derivative),
    }
)
OUTPUT: Mapping[str, Callable[[Array], Array]] = MappingProxyType({"sigmoid": sigmoid, "softmax": softmax})
