"""A deep residual network, A + tanh(A W + b) / sqrt(blocks) again and again: many tensors, most of them small.

What it is for: the cost of a check must not grow with the number of tensors, and one wrong bias of 16 numbers among
hundreds of tensors must still be seen.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from problems.core import Array, Params, Problem


@dataclass(frozen=True)
class ResidualNetwork:
    """Regression with a linear first and last layer and residual blocks between.

    Attributes:
        X: inputs, (examples, features).
        Y: targets, (examples, outputs).
    """

    X: Array
    Y: Array

    def forward(self, params: Params) -> tuple[list[Array], list[Array]]:
        """The input of every layer and then the output; and each block's tanh."""
        depth = len(params) // 2
        scale = 1 / np.sqrt(max(depth - 2, 1))
        states = [self.X, self.X @ params["W1"] + params["b1"]]
        inner = []
        for layer in range(2, depth):
            inner.append(np.tanh(states[-1] @ params[f"W{layer}"] + params[f"b{layer}"]))
            states.append(states[-1] + scale * inner[-1])
        states.append(states[-1] @ params[f"W{depth}"] + params[f"b{depth}"])
        return states, inner

    def cost(self, params: Params) -> Array:
        """Half the mean squared error."""
        error = self.forward(params)[0][-1] - self.Y
        total: Array = (error * error).sum() / (2 * len(error))
        return total

    def grads(self, params: Params) -> Params:
        """Its gradient by back-propagation."""
        states, inner = self.forward(params)
        depth = len(params) // 2
        scale = 1 / np.sqrt(max(depth - 2, 1))
        delta = (states[-1] - self.Y) / len(self.Y)
        grads: Params = {}
        for layer in range(depth, 0, -1):
            block = 1 < layer < depth
            A = inner[layer - 2] if block else None
            step = delta if A is None else scale * delta * (1 - A * A)
            grads[f"W{layer}"] = states[layer - 1].T @ step
            grads[f"b{layer}"] = step.sum(axis=0)
            through = step @ params[f"W{layer}"].T
            delta = delta + through if block else through
        return {name: grads[name] for name in params}


def residual_network(tensors: int, seed: int, width: int = 16) -> Problem:
    """A residual tanh network at initialisation, with small random biases.

    Args:
        tensors: how many parameter arrays, even, at least 4.
        seed: draws data and parameters.
        width: units of each block.

    Returns:
        The problem; its tensors are W1, b1, W2, b2, ...
    """
    rng = np.random.default_rng(seed)
    depth, features, outputs, examples = tensors // 2, 20, 3, 64
    sizes = [features] + [width] * (depth - 1) + [outputs]
    params: Params = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        params[f"W{layer}"] = rng.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
        params[f"b{layer}"] = 0.1 * rng.standard_normal(fan_out)
    network = ResidualNetwork(rng.standard_normal((examples, features)), rng.standard_normal((examples, outputs)))
    return Problem(f"residual tanh, {tensors} tensors", network.cost, params, network.grads, examples=examples)
