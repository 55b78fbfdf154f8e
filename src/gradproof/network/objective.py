"""The cost, its gradient, and both in the form a check takes.

The decision behind it: the cross-entropy is computed from the last layer's Z and never from AL, since log(AL) needs
clamps or epsilons that change the cost but not the formula for its gradient, and a check would rightly call that wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.network.activations import log_softmax, softplus
from gradproof.network.propagation import backward_propagation, forward_propagation
from gradproof.network.refusals import count_layers, demand_shape
from gradproof.network.types import Array, Gradients, Hidden, LayerCache, Output, Seed


def compute_cost(caches: Sequence[LayerCache], Y: Array, parameters: Mapping[str, Array], lambd: float = 0.0) -> Any:
    """Returns the mean cross-entropy plus lambd/(2m) sum ||W||^2.

    Args:
        caches: What ``forward_propagation`` returned; the last one has the logits and the output activation.
        Y: Labels, (n_L, m).
        parameters: W1, b1, ..., WL, bL; only the weights are regularised.
        lambd: Weight of the L2 term.

    Returns:
        A NumPy scalar in the type of the logits.

    Raises:
        ValueError: Y is not shaped like the logits.
    """
    Z = caches[-1].Z
    demand_shape("computing the cost", "Y", np.asarray(Y), Z.shape)
    layers = count_layers("computing the cost", parameters)
    kind: Any = Z.dtype.type
    m = kind(Z.shape[1])
    labels = np.asarray(Y, dtype=Z.dtype)
    if caches[-1].activation == "softmax":
        losses = -labels * log_softmax(Z)
    else:
        losses = labels * softplus(-Z) + (1 - labels) * softplus(Z)
    # W * W and not |W|^2: the cost stays analytic, so that a complex step can go through it.
    squares = sum((np.sum(parameters[f"W{n}"] * parameters[f"W{n}"]) for n in range(1, layers + 1)), start=kind(0))
    return np.sum(losses) / m + kind(lambd) / (kind(2) * m) * squares


def cost(
    parameters: Mapping[str, Array],
    X: Array,
    Y: Array,
    *,
    lambd: float = 0.0,
    hidden: Hidden = "relu",
    output: Output = "softmax",
    keep_prob: float = 1.0,
    rng: Seed | None = None,
) -> Any:
    """Returns the cost of the parameters on the examples: the function a gradient check takes.

    Args:
        parameters: W1 (n_1, n_0), b1 (n_1, 1), ..., WL, bL.
        X: Examples, (n_0, m).
        Y: Labels, (n_L, m).
        lambd: Weight of the L2 term.
        hidden: "relu", "tanh" or "sigmoid".
        output: "softmax" or "sigmoid".
        keep_prob: Probability of keeping a hidden node.
        rng: Source of the dropout masks. With an integer the same nodes are dropped in every call, here and in
            ``gradients``; with a generator the cost is random.

    Returns:
        A NumPy scalar in the type of the parameters.

    Raises:
        ValueError: As ``forward_propagation`` and ``compute_cost``.
    """
    _, caches = forward_propagation(X, parameters, hidden=hidden, output=output, keep_prob=keep_prob, rng=rng)
    return compute_cost(caches, Y, parameters, lambd)


def gradients(
    parameters: Mapping[str, Array],
    X: Array,
    Y: Array,
    *,
    lambd: float = 0.0,
    hidden: Hidden = "relu",
    output: Output = "softmax",
    keep_prob: float = 1.0,
    rng: Seed | None = None,
) -> Gradients:
    """Returns the gradient of ``cost`` by backpropagation; takes the same arguments.

    Returns:
        dW1, db1, ..., dWL, dbL, in this order, shaped like the parameters.

    Raises:
        ValueError: As ``cost``.
    """
    AL, caches = forward_propagation(X, parameters, hidden=hidden, output=output, keep_prob=keep_prob, rng=rng)
    return backward_propagation(AL, Y, caches, lambd)
