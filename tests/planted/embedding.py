"""An embedding table, a pooled mean, one square layer used twice, a softmax, with its planted faults. Examples in rows.

P = mean over positions of E[indices], dropped out, A1 = act(P W1 + b1), A2 = act(A1 W1 + b1), softmax(A2 W2 + b2);
cross entropy averaged over examples plus lambd/(2m) of the squared weights and embeddings. Indices repeat within an
example and between examples, and some rows of the table are never used.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .base import Planted
from .sequence_parts import (
    Array,
    Function,
    Gradients,
    Network,
    Params,
    Recipe,
    Roles,
    act,
    change,
    common,
    controls,
    faulty_slope,
    one_hot,
    plants,
    slope_recipes,
    softmax,
    trained,
)

#: Rows of the table, width, classes, examples, positions.
SIZES = ((7, 4, 3, 5, 4), (9, 5, 4, 8, 6), (12, 8, 5, 12, 5))
DECAYED = ("E", "W1", "W2")


def dropout_mask(shape: tuple[int, ...], keep_prob: float, seed: int) -> Array:
    """The same for the same seed."""
    return np.asarray((np.random.default_rng(seed).random(shape) < keep_prob).astype(float))


def cost(
    params: Params,
    indices: Array,
    Y: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    seed: int = 0,
    class_weight: float = 1.0,
    variant: str = "",
) -> Any:
    """The indices are (examples, positions), Y is one-hot (examples, classes)."""
    p = params
    m = indices.shape[0]
    pooled = p["E"][indices].mean(axis=1)
    pooled = pooled * dropout_mask(pooled.shape, keep_prob, seed) / keep_prob
    A1 = act(activation, pooled @ p["W1"] + p["b1"])
    A2 = act(activation, A1 @ p["W1"] + p["b1"])
    S = softmax(A2 @ p["W2"] + p["b2"], 1)
    weights = np.where(np.arange(Y.shape[1]) == 0, class_weight, 1.0)
    if variant == "epsilon in the logarithm":
        loss = -np.sum(weights * Y * np.log(S + 1e-2)) / m
    elif variant == "a cross entropy for every class":
        loss = -np.sum(Y * np.log(S) + (1 - Y) * np.log(1 - S)) / m
    elif variant == "squared error":
        loss = 0.5 * np.sum((S - Y) ** 2) / m
    else:
        loss = -np.sum(weights * Y * np.log(S)) / m
    return loss + lambd / (2 * m) * sum(np.sum(p[name] ** 2) for name in DECAYED)


def gradients(
    params: Params,
    indices: Array,
    Y: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    seed: int = 0,
    class_weight: float = 1.0,
    bug: str = "",
) -> Gradients:
    """Right unless it is told the name of a bug."""
    p = params
    m = indices.shape[0]
    means = p["E"][indices].mean(axis=1)
    D = dropout_mask(means.shape, keep_prob, seed)
    pooled = means * D / keep_prob
    Z1 = pooled @ p["W1"] + p["b1"]
    A1 = act(activation, Z1)
    Z2 = A1 @ p["W1"] + p["b1"]
    A2 = act(activation, Z2)
    weights = np.where(np.arange(Y.shape[1]) == 0, 1.0 if bug == "class weight in the cost only" else class_weight, 1.0)
    d = output_delta(softmax(A2 @ p["W2"] + p["b2"], 1), Y, weights, bug)
    g: Gradients = {"W2": (Z2 if bug == "dW2 of Z2" else A1 if bug == "dW2 of A1" else A2).T @ d, "b2": d.sum(axis=0)}
    W2 = p["W2"] - 2 * g["W2"] if bug == "W2 updated before its use" else p["W2"]
    d2 = d @ W2.T * faulty_slope(activation, Z2, bug)
    if bug == "hidden delta zero":
        d2 = np.zeros_like(d2)
    elif bug == "hidden delta negative":
        d2 = -d2
    elif bug == "1/m again in the hidden delta":
        d2 = d2 / m
    d1 = d2 @ (p["W1"] if bug == "W1 for its transpose" else p["W1"].T) * faulty_slope(activation, Z1, bug)
    if bug == "slope of the second use for the first":
        d1 = d2 @ p["W1"].T * faulty_slope(activation, Z2, "")
    first, second = (means if bug == "dW1 of what is not dropped out" else pooled).T @ d1, A1.T @ d2
    if bug == "dW1 of the first input twice":
        second = pooled.T @ d2
    g["W1"], g["b1"] = first + second, d1.sum(axis=0) + d2.sum(axis=0)
    if bug == "first use of W1 missing":
        g["W1"] = second
    elif bug == "second use of W1 missing":
        g["W1"] = first
    elif bug == "second use of b1 missing":
        g["b1"] = d1.sum(axis=0)
    elif bug == "second use of W1 and b1 missing":
        g["W1"], g["b1"] = first, d1.sum(axis=0)
    dpooled = dropped_out(d1 @ p["W1"].T, D, keep_prob, seed, bug)
    g["E"] = scattered(p["E"], indices, dpooled, bug)
    return {name: g[name] + (lambd / m * p[name] if name in DECAYED else 0) for name in p}


def output_delta(S: Array, Y: Array, weights: Array, bug: str) -> Any:
    """Derivative of the loss by the logits."""
    m = Y.shape[0]
    if bug == "1/m missing":
        return np.asarray((S - Y) * (weights * Y).sum(axis=1, keepdims=True))
    if bug == "labels subtracted twice":
        return (S - 2 * Y) / m
    if bug == "Y - S for S - Y":
        return (Y - S) / m
    if bug == "softmax derivative twice":
        return (S - Y) * S * (1 - S) / m
    if bug == "squared error for cross entropy":
        return S * ((S - Y) - np.sum(S * (S - Y), axis=1, keepdims=True)) / m
    if bug == "last class left out":
        return (S - Y) * (np.arange(Y.shape[1]) < Y.shape[1] - 1) / m
    if bug == "last example left out":
        return (S - Y) * (np.arange(m) < m - 1)[:, None] / m
    return np.asarray((S - Y) * (weights * Y).sum(axis=1, keepdims=True) / m)


def dropped_out(d: Array, D: Array, keep_prob: float, seed: int, bug: str) -> Any:
    """Back through the dropout of the pooled embeddings."""
    if bug == "dropout mask missing":
        return d / keep_prob
    if bug == "dropout scale missing":
        return d * D
    if bug == "dropout scale twice":
        return d * D / keep_prob**2
    if bug == "dropout missing":
        return d
    if bug == "dropout mask rolled":
        return d * np.roll(D, 1, axis=0) / keep_prob
    if bug == "dropout mask of another seed":
        return d * dropout_mask(D.shape, keep_prob, seed + 1) / keep_prob
    return d * D / keep_prob


def scattered(E: Array, indices: Array, dpooled: Array, bug: str) -> Array:
    """Back through the mean and the look-up."""
    positions = indices.shape[1]
    each = np.repeat(dpooled[:, None, :], positions, axis=1)
    each = each if bug == "1/L of the mean missing" else each / positions
    if bug == "last position left out":
        each[:, -1] = 0
    elif bug == "only the first position":
        each[:, 1:] = 0
    dE = np.zeros_like(E)
    if bug == "dE[indices] = d":
        dE[indices] = each
    elif bug == "dE[indices] += d":
        dE[indices] += each
    elif bug == "repeats within an example once":
        for row, values in zip(indices, each, strict=True):
            dE[row] += values
    else:
        np.add.at(dE, indices, each)
    counts = np.bincount(indices.ravel(), minlength=len(E))[:, None]
    if bug == "dE times the counts":
        dE *= counts
    elif bug == "dE divided by the counts":
        dE /= np.maximum(counts, 1)
    elif bug == "dE of the rows used left out from the third":
        dE[2:] = 0
    elif bug == "padding row zero":
        dE[indices[0, 0]] = 0
    elif bug == "indices off by one":
        dE = np.roll(dE, 1, axis=0)
    return dE


def redrawing(network: Network) -> Function:
    """A new mask at every call of the backward pass."""
    seeds = iter(range(100, 10**9))

    def grads(params: Params, *data: Array, **options: Any) -> Gradients:
        right = network.right(params, *data, **options)
        other = network.right(params, *data, **{**options, "seed": next(seeds)})
        return {**right, "E": other["E"]}

    return grads


def network(seed: int, activation: str, size: int) -> Network:
    """At initialisation, with biases away from 0."""
    rows, n, classes, m, positions = SIZES[size]
    rng = np.random.default_rng(seed)
    params = {
        "E": rng.standard_normal((rows, n)),
        "W1": 1.2 * rng.standard_normal((n, n)) / np.sqrt(n),
        "b1": 0.1 + 0.3 * np.abs(rng.standard_normal(n)),
        "W2": rng.standard_normal((n, classes)) / np.sqrt(n),
        "b2": 0.2 * rng.standard_normal(classes),
    }
    indices = rng.integers(0, rows - 1, (m, positions))
    indices[:, 1] = indices[:, 0]
    indices[: rows - 1, 2] = np.arange(min(rows - 1, m))
    Y = one_hot(np.arange(m) % classes, classes)
    options = {"activation": activation, "lambd": 0.1, "keep_prob": 1.0, "seed": seed, "class_weight": 1.0}
    return Network(
        f"embedding {activation} {SIZES[size]}", cost, gradients, params, (indices, Y), 0, options, DECAYED, 0.1 / m
    )


def planted(seed: int, activation: str, size: int) -> Iterator[Planted]:
    """Faults at initialisation for an even seed, after training for an odd one; controls at both."""
    start = network(seed, activation, size)
    later = trained(start, 20, 0.3)
    point = later if seed % 2 else start
    roles = Roles("E", "W1", "W2", ("W1", "middle"), ("b1", "middle"), None)
    yield from plants(point, [*common(point, roles), *recipes(point)])
    for place in (start, later):
        yield from plants(place, [*controls(place), *near_misses(place)])


def recipes(point: Network) -> Iterator[Recipe]:
    """What only tables, and layers used twice, can have."""
    yield from _table()
    yield from _dropout()
    yield from _layers()
    below = "upstream unexplained"
    yield from slope_recipes(point.options["activation"], "middle")
    yield Recipe(
        "slope of the second use for the first", "activation-derivative", "first", alike=below, alike_with="wrong-cache"
    )
    m = point.examples
    yield Recipe(
        "db1 a mean over examples", "bias-reduction", "middle", alike_with="factor", edit=change("b1", lambda g: g / m)
    )
    yield Recipe(
        "db2 the total everywhere", "bias-reduction", "last", edit=change("b2", lambda g: 0 * g + g.sum() + 0.1)
    )
    yield Recipe(
        "db2 for every example", "unbroadcast", "last", alike_with="contract bias-reduction",
        edit=change("b2", lambda g: np.tile(g / m, (m, 1))),
    )  # fmt: skip


def _table() -> Iterator[Recipe]:
    for words in ("dE[indices] = d", "dE[indices] += d", "repeats within an example once"):
        yield Recipe(words, "overwritten", "first", alike="unexplained")
    yield Recipe("dE times the counts", "accumulated", "first", alike="unexplained", alike_with="factor overwritten")
    yield Recipe(
        "dE divided by the counts", "accumulated", "first", alike="unexplained", alike_with="factor overwritten"
    )
    yield Recipe("1/L of the mean missing", "factor", "first", alike="regulariser")
    yield Recipe("last position left out", "region", "first", alike="unexplained", alike_with="missing-path")
    yield Recipe(
        "only the first position", "region", "first", alike="unexplained", alike_with="missing-path unbroadcast"
    )
    yield Recipe("dE of the rows used left out from the third", "region", "first", alike="unexplained zero")
    yield Recipe("padding row zero", "region", "first", alike="unexplained zero")
    yield Recipe("indices off by one", "permuted", "first", alike="unexplained")


def _dropout() -> Iterator[Recipe]:
    kept = {"keep_prob": 0.6}
    for words in ("dropout mask missing", "dropout scale missing", "dropout scale twice", "dropout mask rolled"):
        alike = "factor regulariser unexplained" if "scale" in words else "unexplained"
        yield Recipe(words, "dropout", "first", alike=alike, options=kept)
    yield Recipe("dropout missing", "dropout", "first", alike="unexplained", alike_with="configuration", options=kept)
    yield Recipe("dropout mask of another seed", "dropout", "first", alike="unexplained", options=kept)
    yield Recipe(
        "dropout mask redrawn", "dropout", "first", alike_with="nondeterministic", maker=redrawing, options=kept
    )
    yield Recipe(
        "dW1 of what is not dropped out",
        "wrong-cache",
        "middle",
        alike="unexplained",
        alike_with="dropout",
        options=kept,
    )


def _layers() -> Iterator[Recipe]:
    below = "upstream unexplained"
    for words in (
        "first use of W1 missing",
        "second use of W1 missing",
        "second use of b1 missing",
        "second use of W1 and b1 missing",
    ):
        yield Recipe(words, "missing-path", "middle", alike="unexplained", alike_with="overwritten")
    yield Recipe("dW1 of the first input twice", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("dW2 of Z2", "wrong-cache", "last", alike="unexplained")
    yield Recipe("dW2 of A1", "wrong-cache", "last", alike="unexplained")
    yield Recipe("W1 for its transpose", "transposed", "middle", alike=below)
    yield Recipe("W2 updated before its use", "early-update", "middle", alike=below)
    yield Recipe("hidden delta zero", "zero", "middle", alike="upstream")
    yield Recipe("hidden delta negative", "sign", "middle", alike="upstream")
    yield Recipe("1/m again in the hidden delta", "factor", "middle", alike="upstream")
    yield Recipe("1/m missing", "factor", "all", alike="regulariser upstream")
    yield Recipe("Y - S for S - Y", "sign", "all", alike="regulariser upstream")
    yield Recipe("last class left out", "region", "all", alike=below)
    yield Recipe("last example left out", "region", "all", alike=below, alike_with="missing-path")
    for words in ("softmax derivative twice", "squared error for cross entropy"):
        yield Recipe(words, "other-loss", "all", alike=below)
    for variant in ("a cross entropy for every class", "squared error"):
        words = f"cross entropy in the gradient, {variant} in the cost"
        yield Recipe(words, "other-loss", "all", alike=below, bug="", variant=variant)
    yield Recipe(
        "epsilon in the logarithm", "stabiliser", "all", alike=below, bug="", variant="epsilon in the logarithm"
    )
    yield Recipe("class weight in the cost only", "configuration", "all", alike=below, options={"class_weight": 3.0})


def near_misses(point: Network) -> Iterator[Recipe]:
    """Faults that cannot be seen at this setting."""
    indices, Y = point.data
    few = len(point.params["E"]) // 2
    distinct = (np.arange(2 * few).reshape(few, 2), one_hot(np.arange(few) % Y.shape[1], Y.shape[1]))
    for words in ("dE[indices] = d", "dE[indices] += d", "dE times the counts"):
        yield Recipe(f"{words}, with distinct indices", "", "all", bug=words, data=distinct)
    for words in ("dropout mask missing", "dropout scale twice"):
        yield Recipe(f"{words}, with every unit kept", "", "all", bug=words)
    yield Recipe("right with dropout", "", "all", bug="", options={"keep_prob": 0.6})
    yield Recipe("class weight in the cost only, at 1", "", "all", bug="class weight in the cost only")
    yield Recipe("right at class weight 3", "", "all", bug="", options={"class_weight": 3.0})
    alone = (indices[:1].copy(), Y[:1].copy())
    yield Recipe("1/m missing, with one example", "", "all", bug="1/m missing", data=alone)
    one = (indices[:, :1].copy(), Y)
    yield Recipe("1/L of the mean missing, with one position", "", "all", bug="1/L of the mean missing", data=one)
