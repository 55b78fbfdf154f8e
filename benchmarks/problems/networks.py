"""Fully connected classifiers: softmax, cross-entropy as a mean over the examples, L2 on the weights.

At initialisation with zero biases a ReLU network may lie exactly on kinks (a dead example makes every later
pre-activation zero), and training parks pre-activations near them: both belong among the right gradients that a
checker must not call wrong.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from problems.core import Array, Params, Problem

ACTIVATIONS = ("tanh", "sigmoid", "relu")
STATES = ("zero biases", "random biases", "trained")

CLASS_DISTANCE = 0.7
RATE = 0.2


@dataclass(frozen=True)
class Classifier:
    """The data and the settings of one network.

    Attributes:
        X: inputs, (examples, features).
        labels: the class of each example, (examples,).
        activation: one of ``ACTIVATIONS``, in the hidden layers.
        weight_decay: lambda in the cost's lambda / 2 times the sum of squared weights.
    """

    X: Array
    labels: Array
    activation: str
    weight_decay: float

    def forward(self, params: Params) -> list[Array]:
        """The input and every layer's output, the last one without its softmax."""
        outputs = [self.X]
        depth = len(params) // 2
        for layer in range(1, depth + 1):
            Z = outputs[-1] @ params[f"W{layer}"] + params[f"b{layer}"]
            outputs.append(activate(self.activation, Z) if layer < depth else Z)
        return outputs

    def cost(self, params: Params) -> Array:
        """Cross-entropy plus L2, a number of the parameters' type."""
        Z = self.forward(params)[-1]
        Z = Z - Z.real.max(axis=1, keepdims=True)
        loss = np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), self.labels]
        squares = [(W * W).sum() for name, W in params.items() if name.startswith("W")]
        total: Array = loss.sum() / len(Z) + (self.weight_decay / 2) * np.sum(squares)
        return total

    def grads(self, params: Params) -> Params:
        """Its gradient by back-propagation."""
        outputs = self.forward(params)
        Z = outputs[-1]
        delta = np.exp(Z - Z.max(axis=1, keepdims=True))
        delta = delta / delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(delta)), self.labels] -= 1
        delta = delta / len(delta)
        grads: Params = {}
        for layer in range(len(params) // 2, 0, -1):
            W, A = params[f"W{layer}"], outputs[layer - 1]
            grads[f"W{layer}"] = A.T @ delta + self.weight_decay * W
            grads[f"b{layer}"] = delta.sum(axis=0)
            if layer > 1:
                delta = (delta @ W.T) * slope(self.activation, A)
        return {name: grads[name] for name in params}

    def on_kink(self, params: Params) -> bool:
        """Whether a pre-activation of a ReLU is exactly zero."""
        if self.activation != "relu":
            return False
        outputs = self.forward(params)
        return any(
            bool(np.any(outputs[layer - 1] @ params[f"W{layer}"] + params[f"b{layer}"] == 0))
            for layer in range(1, len(params) // 2)
        )


def activate(activation: str, Z: Array) -> Array:
    """The activation; the ReLU of a complex number goes by its real part."""
    out: Array
    if activation == "tanh":
        out = np.tanh(Z)
    elif activation == "sigmoid":
        out = 1 / (1 + np.exp(-Z))
    else:
        out = np.where(Z.real > 0, Z, 0) if np.iscomplexobj(Z) else np.maximum(Z, 0)
    return out


def slope(activation: str, A: Array) -> Array:
    """The activation's derivative, from its output."""
    out: Array
    if activation == "tanh":
        out = 1 - A * A
    elif activation == "sigmoid":
        out = A * (1 - A)
    else:
        out = (A > 0).astype(A.dtype)
    return out


def initial(sizes: Sequence[int], activation: str, rng: np.random.Generator, random_biases: bool) -> Params:
    """Gaussian weights scaled to the number of inputs, biases zero or small and random."""
    params: Params = {}
    gain = 2.0 if activation == "relu" else 1.0
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        params[f"W{layer}"] = rng.standard_normal((fan_in, fan_out)) * np.sqrt(gain / fan_in)
        biases = rng.standard_normal(fan_out)
        params[f"b{layer}"] = 0.1 * biases if random_biases else np.zeros(fan_out)
    return params


def trained(network: Classifier, params: Params, steps: int) -> Params:
    """The parameters after so many steps of full-batch gradient descent."""
    for _ in range(steps):
        grads = network.grads(params)
        params = {name: value - RATE * grads[name] for name, value in params.items()}
    return params


def classifier(
    sizes: Sequence[int], activation: str, state: str, seed: int, settings: Mapping[str, float] | None = None
) -> Problem:
    """A classifier on data with one cluster for each class, at one of the states.

    Args:
        sizes: features, hidden units, ..., classes.
        activation: one of ``ACTIVATIONS``.
        state: one of ``STATES``.
        seed: draws data and parameters.
        settings: ``examples`` (32), ``weight_decay`` (1e-3), ``steps`` of training (300).

    Returns:
        The problem; its tensors are W1, b1, W2, b2, ...
    """
    chosen = {"examples": 32, "weight_decay": 1e-3, "steps": 300, **(settings or {})}
    rng = np.random.default_rng(seed)
    examples = int(chosen["examples"])
    labels = rng.integers(0, sizes[-1], examples)
    centres = CLASS_DISTANCE * rng.standard_normal((sizes[-1], sizes[0]))
    network = Classifier(
        rng.standard_normal((examples, sizes[0])) + centres[labels], labels, activation, float(chosen["weight_decay"])
    )
    params = initial(sizes, activation, rng, random_biases=state == "random biases")
    if state == "trained":
        params = trained(network, params, int(chosen["steps"]))
    size = sum(value.size for value in params.values())
    return Problem(
        name=f"{activation}, {state}, n={size}",
        cost=network.cost,
        params=params,
        grads=network.grads,
        weight_decay=network.weight_decay,
        examples=examples,
        on_kink=network.on_kink(params),
    )
