"""Dense, one self-attention block with a skip, dense: examples in front, with padding, and its planted faults.

E = act(X We + be), Q = E Wq, K = E Wk + bk, V = E Wv, C = softmax(scale Q K^T) V over the positions that count, and
out = (E + C Wo) Wl + bl; half the squared error at the positions that count, averaged over examples, plus lambd/2 of
the squared weights (no 1/m here). E is used four times. The softmax does not feel bk, so that its gradient is zero but
for rounding.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .base import Planted
from .sequence_parts import (
    Array,
    Gradients,
    Network,
    Params,
    Recipe,
    Roles,
    act,
    change,
    common,
    controls,
    exchange,
    faulty_slope,
    plants,
    slope_recipes,
    softmax,
    trained,
)

#: Inputs, width, outputs, examples, positions.
SIZES = ((3, 4, 2, 5, 4), (5, 6, 6, 7, 5), (6, 8, 3, 10, 7))
DECAYED = ("We", "Wq", "Wk", "Wv", "Wo", "Wl")
#: Added to the score of a position that does not count.
FAR = -1e4


def over(A: Array, B: Array) -> Array:
    """A^T B, summed over examples and positions."""
    return np.asarray(np.einsum("nti,ntj->ij", A, B))


def flipped(A: Array) -> Array:
    return np.swapaxes(A, 1, 2)


def cost(
    params: Params,
    X: Array,
    Y: Array,
    counts: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    scale: float | None = None,
    variant: str = "",
) -> Any:
    """X is (examples, positions, inputs), Y (examples, positions, outputs), counts 1 where a position counts."""
    p = params
    E = act(activation, X @ p["We"] + p["be"])
    Q, K, V = E @ p["Wq"], E @ p["Wk"] + p["bk"], E @ p["Wv"]
    S = Q @ flipped(K) * (1 / np.sqrt(Q.shape[2]) if scale is None else scale)
    P = softmax(S + FAR * (1 - counts[:, None, :]), 2)
    R = (E + P @ V @ p["Wo"]) @ p["Wl"] + p["bl"] - Y
    weight = counts[:, :, None] / (counts.sum() if variant == "mean over positions" else X.shape[0])
    loss = np.sum(weight * (np.sqrt(1 + R**2) - 1 if variant == "pseudo-Huber" else R**2 / 2))
    total = loss + lambd / 2 * sum(np.sum(p[name] ** 2) for name in DECAYED)
    return np.log(total) if variant == "logarithm of the cost" else total


def gradients(
    params: Params,
    X: Array,
    Y: Array,
    counts: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    scale: float | None = None,
    bug: str = "",
) -> Gradients:
    """Right unless it is told the name of a bug."""
    p = params
    Z = X @ p["We"] + p["be"]
    E = act(activation, Z)
    Q, K, V = E @ p["Wq"], E @ p["Wk"] + p["bk"], E @ p["Wv"]
    size = 1 / np.sqrt(Q.shape[2]) if scale is None or bug == "scale in the cost only" else scale
    P = probabilities(Q @ flipped(K) * size, counts, bug)
    C = P @ V
    U = E + C @ p["Wo"]
    d = output_delta(U @ p["Wl"] + p["bl"], Y, counts, bug)
    g: Gradients = {"Wl": over(U, d), "bl": d.sum(axis=(0, 1))}
    if bug == "dWl without the skip":
        g["Wl"] = over(C @ p["Wo"], d)
    Wl = p["Wl"] - 0.3 * g["Wl"] if bug == "Wl updated before its use" else p["Wl"]
    dU = d @ Wl.T
    g["Wo"] = over(V if bug == "dWo of V" else C, dU)
    dC = dU @ (p["Wo"] if bug == "Wo for its transpose" else p["Wo"].T)
    dP, dV = dC @ flipped(V), (P if bug == "dV with P for its transpose" else flipped(P)) @ dC
    dS = scores_delta(dP, P, bug)
    dS = dS if bug == "1/sqrt(d) missing" else dS * size
    if bug == "last key left out":
        dS[:, :, -1] = 0
    elif bug == "first query left out":
        dS[:, 0] = 0
    elif bug == "nothing through the softmax":
        dS = np.zeros_like(dS)
    elif bug == "scores negative":
        dS = -dS
    elif bug == "1/m again in the scores":
        dS = dS / X.shape[0]
    dQ = dS @ (Q if bug == "Q for K" else K)
    dK = (dS if bug == "dK with dS for its transpose" else flipped(dS)) @ (K if bug == "K for Q" else Q)
    g |= {"Wq": over(E, dQ), "Wk": over(E, dK), "bk": dK.sum(axis=(0, 1)), "Wv": over(E, dV)}
    if bug == "dWq of X":
        g["Wq"] = over(Z, dQ)
    elif bug == "dWv of Q":
        g["Wv"] = over(Q, dV)
    uses = {
        "query": dQ @ (p["Wq"] if bug == "Wq for its transpose" else p["Wq"].T),
        "key": dK @ p["Wk"].T,
        "value": dV @ (p["Wo"].T if bug == "Wo for Wv" else p["Wv"].T),
        "skip": dU,
    }
    dE = _sum_of_uses(uses, bug)
    dZ = dE * faulty_slope(activation, Z, bug)
    if bug == "last example left out of the first layer":
        dZ[-1] = 0
    g["We"], g["be"] = over(X, dZ), dZ.sum(axis=(0, 1))
    return {name: g[name] + (lambd * p[name] if name in DECAYED else 0) for name in p}


def probabilities(S: Array, counts: Array, bug: str) -> Any:
    """The softmax over the keys that count, as the backward pass recomputes it."""
    masked = S + FAR * (1 - counts[:, None, :])
    if bug == "padding ignored when the softmax is recomputed":
        return softmax(S, 2)
    if bug == "softmax over the queries when it is recomputed":
        return softmax(masked, 1)
    if bug == "softmax without its maximum taken out":
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.exp(masked)
            return np.asarray(e / e.sum(axis=2, keepdims=True))
    if bug == "softmax clipped from below when it is recomputed":
        return np.maximum(softmax(masked, 2), 0.15)
    return softmax(masked, 2)


def scores_delta(dP: Array, P: Array, bug: str) -> Any:
    """Back through the softmax."""
    if bug == "softmax derivative by its diagonal":
        return P * (1 - P) * dP
    if bug == "softmax derivative without the sum":
        return P * dP
    if bug == "softmax derivative summed over the queries":
        return P * (dP - np.sum(P * dP, axis=1, keepdims=True))
    if bug == "softmax derivative with the plain mean":
        return P * (dP - np.mean(dP, axis=2, keepdims=True))
    return P * (dP - np.sum(P * dP, axis=2, keepdims=True))


def output_delta(out: Array, Y: Array, counts: Array, bug: str) -> Any:
    """Derivative of the loss by the outputs, zero where a position does not count."""
    weight = counts[:, :, None]
    m = Y.shape[0]
    if bug == "padding counted in the output delta":
        return (out - Y) / m
    if bug == "1/m missing":
        return (out - Y) * weight
    if bug == "mean over positions":
        return (out - Y) * weight / counts.sum()
    if bug == "labels subtracted twice":
        return (out - 2 * Y) * weight / m
    if bug == "Y - out for out - Y":
        return (Y - out) * weight / m
    if bug == "absolute error for squared error":
        return np.sign(out - Y) * weight / m
    if bug == "last position left out":
        weight = weight * (np.arange(Y.shape[1]) < Y.shape[1] - 1)[:, None]
    return (out - Y) * weight / m


def _sum_of_uses(uses: dict[str, Array], bug: str) -> Array:
    """What the four uses of E send back."""
    total = np.zeros_like(uses["skip"])
    for name in ("skip", "value", "key", "query"):
        if bug == f"{name} assigned to dE":
            total = uses[name].copy()
        elif bug == f"{name} twice in dE":
            total = total + 2 * uses[name]
        elif bug != f"{name} missing in dE":
            total = total + uses[name]
    return total


def network(seed: int, activation: str, size: int) -> Network:
    """At initialisation, with biases away from 0 and sequences of unequal length."""
    n0, d, n_y, m, positions = SIZES[size]
    rng = np.random.default_rng(seed)

    def weight(rows: int, columns: int) -> Array:
        return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows))

    params = {
        "We": weight(n0, d),
        "be": 0.3 * rng.standard_normal(d),
        "Wq": 1.5 * weight(d, d),
        "Wk": 1.5 * weight(d, d),
        "bk": 0.2 * rng.standard_normal(d),
        "Wv": weight(d, d),
        "Wo": weight(d, d),
        "Wl": weight(d, n_y),
        "bl": 0.2 * rng.standard_normal(n_y),
    }
    lengths = rng.integers(2, positions + 1, m)
    lengths[0], lengths[1] = positions, positions - 1
    counts = (np.arange(positions) < lengths[:, None]).astype(float)
    data = (rng.standard_normal((m, positions, n0)), rng.standard_normal((m, positions, n_y)), counts)
    options = {"activation": activation, "lambd": 0.1, "scale": None}
    return Network(f"attention {activation} {SIZES[size]}", cost, gradients, params, data, 0, options, DECAYED, 0.1)


def large_scores(params: Params) -> Params:
    """Every score larger by about the same two thousand, which the softmax does not notice and ``exp`` cannot hold."""
    p = {name: value.copy() for name, value in params.items()}
    p["We"][:, 0], p["be"][0] = 0, 2
    p["Wq"][:, 0], p["Wk"][:, 0], p["Wk"][0] = 0, 0, 0
    p["Wq"][0, 0] = p["Wk"][0, 0] = 90
    return p


def planted(seed: int, activation: str, size: int) -> Iterator[Planted]:
    """Faults at initialisation for an even seed, after training for an odd one; controls at both."""
    start = network(seed, activation, size)
    later = trained(start, 20, 0.3)
    point = later if seed % 2 else start
    roles = Roles("We", "Wv", "Wl", ("Wq", "middle"), ("be", "first"), ("Wq", "Wk"))
    yield from plants(point, [*common(point, roles), *recipes(point)])
    for place in (start, later):
        yield from plants(place, [*controls(place), *near_misses(place)])


def recipes(point: Network) -> Iterator[Recipe]:
    """What only attention can have."""
    yield from _uses()
    yield from _softmax()
    yield from _outputs()
    yield Recipe(
        "softmax without its maximum taken out, at large scores", "overflow", "middle", alike_with="contract",
        bug="softmax without its maximum taken out", params=large_scores(point.params),
    )  # fmt: skip
    below = "upstream unexplained"
    yield from slope_recipes(point.options["activation"], "first")
    yield Recipe("Wl updated before its use", "early-update", "middle", alike=below)
    yield Recipe("last example left out of the first layer", "region", "first", alike=below)
    for one, other in (("Wv", "Wo"), ("Wq", "Wv")):
        yield Recipe(f"d{one} and d{other} swapped", "swapped", "middle", edit=exchange(one, other))
    yield Recipe("dWo transposed", "transposed", "middle", alike="permuted", edit=change("Wo", lambda g: g.T.copy()))
    m, positions = point.data[0].shape[:2]
    yield Recipe(
        "dbl a mean over examples", "bias-reduction", "last", alike_with="factor", edit=change("bl", lambda g: g / m)
    )
    yield Recipe(
        "dbe a mean over positions",
        "bias-reduction",
        "first",
        alike_with="factor",
        edit=change("be", lambda g: g / positions),
    )
    yield Recipe("dbe the total everywhere", "bias-reduction", "first", edit=change("be", lambda g: 0 * g + g.sum()))
    yield Recipe(
        "dbl for every position", "unbroadcast", "last", alike_with="contract bias-reduction",
        edit=change("bl", lambda g: np.tile(g / positions, (positions, 1))),
    )  # fmt: skip


def _uses() -> Iterator[Recipe]:
    """The four uses of E, and what is multiplied with what."""
    below = "upstream unexplained"
    for name in ("skip", "value", "key", "query"):
        alike = "overwritten" if name == "skip" else ""
        yield Recipe(f"{name} missing in dE", "missing-path", "first", alike=below, alike_with=alike)
    for name in ("query", "key", "value"):
        yield Recipe(f"{name} assigned to dE", "overwritten", "first", alike=below, alike_with="missing-path")
    for name in ("skip", "query"):
        yield Recipe(f"{name} twice in dE", "accumulated", "first", alike=below, alike_with="factor missing-path")
    yield Recipe("dWl without the skip", "wrong-cache", "last", alike="unexplained", alike_with="missing-path")
    for words in ("Q for K", "K for Q"):
        yield Recipe(words, "wrong-cache", "middle", alike=below)
    for words in ("dWo of V", "dWq of X", "dWv of Q"):
        yield Recipe(words, "wrong-cache", "middle", alike="unexplained")
    yield Recipe("Wo for Wv", "wrong-cache", "first", alike=below)
    for words, layer in (
        ("Wq for its transpose", "first"),
        ("Wo for its transpose", "middle"),
        ("dK with dS for its transpose", "middle"),
        ("dV with P for its transpose", "middle"),
    ):
        yield Recipe(words, "transposed", layer, alike=below)


def _softmax() -> Iterator[Recipe]:
    below = "upstream unexplained"
    yield Recipe("1/sqrt(d) missing", "factor", "middle", alike=below)
    yield Recipe("1/m again in the scores", "factor", "middle", alike=below)
    yield Recipe("scores negative", "sign", "middle", alike=below)
    yield Recipe("nothing through the softmax", "zero", "middle", alike=below, alike_with="missing-path")
    for words in ("by its diagonal", "without the sum", "with the plain mean"):
        yield Recipe(f"softmax derivative {words}", "other-loss", "middle", alike=below, alike_with="missing-path")
    for words in ("softmax derivative summed over the queries", "softmax over the queries when it is recomputed"):
        yield Recipe(words, "transposed", "middle", alike=below, alike_with="other-loss wrong-cache")
    yield Recipe(
        "padding ignored when the softmax is recomputed", "region", "middle", alike=below, alike_with="wrong-cache"
    )
    yield Recipe("last key left out", "region", "middle", alike=below)
    yield Recipe("first query left out", "region", "middle", alike=below)
    yield Recipe(
        "softmax clipped from below when it is recomputed", "clipped", "middle", alike=below, alike_with="wrong-cache"
    )
    yield Recipe("scale in the cost only", "configuration", "middle", alike=below, options={"scale": 0.9})


def _outputs() -> Iterator[Recipe]:
    below = "upstream unexplained"
    yield Recipe("padding counted in the output delta", "region", "all", alike=below)
    yield Recipe("last position left out", "region", "all", alike=below)
    yield Recipe("1/m missing", "factor", "all", alike="regulariser upstream")
    yield Recipe("mean over positions", "factor", "all", alike="regulariser upstream", alike_with="other-loss")
    yield Recipe("Y - out for out - Y", "sign", "all", alike="regulariser upstream")
    yield Recipe("absolute error for squared error", "other-loss", "all", alike=below)
    yield Recipe(
        "squared error in the gradient, pseudo-Huber in the cost", "other-loss", "all", alike=below, bug="",
        variant="pseudo-Huber",
    )  # fmt: skip
    yield Recipe(
        "sum over positions for their mean", "other-loss", "all", alike="regulariser upstream", alike_with="factor",
        bug="", variant="mean over positions",
    )  # fmt: skip
    yield Recipe(
        "logarithm of the cost without its derivative", "cotangent", "all", alike_with="factor other-loss", bug="",
        variant="logarithm of the cost",
    )  # fmt: skip


def near_misses(point: Network) -> Iterator[Recipe]:
    """Faults that cannot be seen at this setting."""
    X, Y, counts = point.data
    full = (X, Y, np.ones_like(counts))
    yield Recipe(
        "padding counted in the output delta, without padding",
        "",
        "all",
        bug="padding counted in the output delta",
        data=full,
    )
    words = "padding ignored when the softmax is recomputed"
    yield Recipe(f"{words}, without padding", "", "all", bug=words, data=full)
    yield Recipe("scale in the cost only, at its default", "", "all", bug="scale in the cost only")
    yield Recipe("right at scale 0.9", "", "all", bug="", options={"scale": 0.9})
    yield Recipe(
        "softmax without its maximum taken out, at small scores", "", "all", bug="softmax without its maximum taken out"
    )
    alone = (X[:1].copy(), Y[:1].copy(), counts[:1].copy())
    yield Recipe("1/m missing, with one example", "", "all", bug="1/m missing", data=alone)
    one = (X[:, :1].copy(), Y[:, :1].copy(), counts[:, :1].copy())
    yield Recipe(
        "nothing through the softmax, with one position", "", "all", bug="nothing through the softmax", data=one
    )
    yield Recipe("dbk exactly zero", "", "all", edit=change("bk", np.zeros_like))
