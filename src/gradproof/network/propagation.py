"""Forward and backward through L layers.

The decision behind it: the forward pass leaves everything the backward pass needs in the caches, dropout masks too, so
that the backward pass is a function of its arguments and draws nothing. Dropout is inverted (N. Srivastava et al.,
J. Mach. Learn. Res. 15, 2014): kept nodes are divided by keep_prob, and prediction needs no correction.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gradproof.network.activations import HIDDEN, OUTPUT
from gradproof.network.refusals import count_layers, demand_choice, demand_shape, refusal
from gradproof.network.types import Array, Gradients, Hidden, LayerCache, Method, Output, Parameters, Seed

#: Variance of the weights times the number of inputs.
GAINS = {"he": 2, "xavier": 1}
FORWARD = "propagating forward"


def initialize_parameters(
    layer_dims: Sequence[int], *, seed: Seed, method: Method = "he", dtype: DTypeLike = np.float64
) -> Parameters:
    """Draws normal weights of variance 2/n_{l-1} ("he") or 1/n_{l-1} ("xavier"), and zero biases.

    Sources: K. He et al., 2015, doi:10.1109/ICCV.2015.123; X. Glorot and Y. Bengio, AISTATS, 2010, in the form with the
    number of inputs alone that the course notes use.

    Args:
        layer_dims: n_0, n_1, ..., n_L.
        seed: An integer, or a generator to draw from.
        method: "he" (for relu) or "xavier" (for tanh and sigmoid).
        dtype: Floating type of the parameters.

    Returns:
        W1 (n_1, n_0), b1 (n_1, 1), ..., WL, bL, in this order.

    Raises:
        ValueError: ``layer_dims`` has fewer than two sizes or a size below 1, or ``method`` is unknown.
    """
    doing = "initialising parameters"
    demand_choice(doing, "method", method, GAINS)
    if len(layer_dims) < 2 or min(layer_dims) < 1:
        todo = "Give the number of inputs first and of outputs last."
        raise refusal(doing, "layer_dims", "two or more sizes of at least 1", repr(layer_dims), todo)
    rng = np.random.default_rng(seed)
    kind: Any = np.dtype(dtype)
    parameters: Parameters = {}
    for layer, (inputs, nodes) in enumerate(pairwise(layer_dims), start=1):
        scale = np.sqrt(kind.type(GAINS[method]) / kind.type(inputs))
        parameters[f"W{layer}"] = rng.standard_normal((nodes, inputs)).astype(kind) * scale
        parameters[f"b{layer}"] = np.zeros((nodes, 1), dtype=kind)
    return parameters


def forward_propagation(
    X: Array,
    parameters: Mapping[str, Array],
    *,
    hidden: Hidden = "relu",
    output: Output = "softmax",
    keep_prob: float = 1.0,
    rng: Seed | None = None,
) -> tuple[Array, list[LayerCache]]:
    """Computes the network's output.

    Args:
        X: Examples, (n_0, m).
        parameters: W1, b1, ..., WL, bL; their floating type is the type of the result (if X's is not wider).
        hidden: Activation of layers 1 to L-1.
        output: Activation of layer L.
        keep_prob: Probability of keeping a hidden node; 1 switches dropout off.
        rng: Where dropout masks come from: an integer gives the same masks in every call, a generator new ones. Needed
            when ``keep_prob`` is below 1, ignored otherwise.

    Returns:
        AL (n_L, m), and one cache for each layer.

    Raises:
        ValueError: An unknown activation, shapes that do not fit, ``keep_prob`` outside (0, 1], or dropout without
            ``rng``.
    """
    layers = count_layers(FORWARD, parameters)
    demand_choice(FORWARD, "hidden", hidden, HIDDEN)
    demand_choice(FORWARD, "output", output, OUTPUT)
    generator = _dropout_generator(keep_prob, rng)
    _demand_matrix(X)
    A = X
    caches: list[LayerCache] = []
    for layer in range(1, layers):
        cache = _linear(A, parameters, layer, hidden)
        A = HIDDEN[hidden][0](cache.Z)
        if generator is not None:
            D = generator.random(A.shape) < keep_prob
            cache = LayerCache(cache.A_prev, cache.W, cache.b, cache.Z, hidden, D, keep_prob)
            A = _drop(A, cache)
        caches.append(cache)
    caches.append(_linear(A, parameters, layers, output))
    return OUTPUT[output](caches[-1].Z), caches


def backward_propagation(AL: Array, Y: Array, caches: Sequence[LayerCache], lambd: float = 0.0) -> Gradients:
    """Differentiates the cross-entropy, with its L2 term, with respect to all parameters.

    Args:
        AL: The network's output, (n_L, m).
        Y: Labels, (n_L, m). For softmax usually one-hot, but the columns may have any sums.
        caches: What ``forward_propagation`` returned with AL.
        lambd: Weight of the L2 term lambd/(2m) sum ||W||^2, which has no biases in it.

    Returns:
        dW1, db1, ..., dWL, dbL, in this order, shaped like the parameters.

    Raises:
        ValueError: Y is not shaped like AL.
    """
    demand_shape("propagating backward", "Y", np.asarray(Y), AL.shape)
    kind: Any = AL.dtype.type
    m = kind(AL.shape[1])
    labels = np.asarray(Y, dtype=AL.dtype)
    # sum(Y) is 1 for one-hot labels, and this is then AL - Y for both outputs.
    total = np.sum(labels, axis=0, keepdims=True) if caches[-1].activation == "softmax" else kind(1)
    dZ = total * AL - labels
    pairs: list[tuple[Array, Array]] = []
    for layer in range(len(caches), 0, -1):
        cache = caches[layer - 1]
        dW = dZ @ cache.A_prev.T / m + kind(lambd) / m * cache.W
        pairs.append((dW, np.sum(dZ, axis=1, keepdims=True) / m))
        if layer > 1:
            below = caches[layer - 2]
            dZ = _drop(cache.W.T @ dZ, below) * HIDDEN[below.activation][1](below.Z)
    grads: Gradients = {}
    for layer, (dW, db) in enumerate(reversed(pairs), start=1):
        grads[f"dW{layer}"] = dW
        grads[f"db{layer}"] = db
    return grads


def _linear(A: Array, parameters: Mapping[str, Array], layer: int, activation: str) -> LayerCache:
    W, b = parameters[f"W{layer}"], parameters[f"b{layer}"]
    # A bias of shape (n,) would broadcast along the examples whenever m happens to be n.
    demand_shape(FORWARD, f"W{layer}", W, (*W.shape[:1], A.shape[0]))
    demand_shape(FORWARD, f"b{layer}", b, (W.shape[0], 1))
    return LayerCache(A, W, b, W @ A + b, activation)


def _drop(A: Array, cache: LayerCache) -> Array:
    if cache.D is None:
        return A
    return np.asarray(A * cache.D / A.dtype.type(cache.keep_prob))


def _dropout_generator(keep_prob: float, rng: Seed | None) -> np.random.Generator | None:
    if not 0 < keep_prob <= 1:
        todo = "Use 1 to switch dropout off."
        raise refusal(FORWARD, "keep_prob", "above 0 and at most 1", repr(keep_prob), todo)
    if keep_prob == 1:
        return None
    if rng is None:
        todo = "Pass rng=0 for the same masks in every call, or a numpy.random.Generator for new ones."
        raise refusal(FORWARD, "rng", f"given when keep_prob is {keep_prob}", "None", todo)
    return np.random.default_rng(rng)


def _demand_matrix(X: Array) -> None:
    if X.ndim != 2 or X.shape[1] == 0:
        todo = "Put one example in each column."
        raise refusal(FORWARD, "X", "a matrix with at least one column", f"of shape {X.shape}", todo)
