"""Dense, batch norm, dense, layer norm with a skip around both, dense: examples in rows, with its planted faults.

A1 = act(BN(X W1 + b1)), A2 = act(LN(A1 W2 + b2)) + A1, out = A2 W3 + b3; half the squared error averaged over examples,
plus lambd/(2m) of the squared weights. The bias in front of the batch norm has no effect: its gradient is zero but for
rounding. The gains are positive.
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
    times_parameter,
    trained,
)

#: Inputs, width, outputs, examples.
SIZES = ((3, 4, 2, 6), (5, 6, 3, 9), (8, 8, 4, 14))
DECAYED = ("W1", "W2", "W3")


def normalised(Z: Array, axis: int, eps: float) -> tuple[Array, Array]:
    """Zero mean and unit variance along an axis, and the deviation that was divided by."""
    centred = Z - Z.mean(axis=axis, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=axis, keepdims=True) + eps)
    return centred / deviation, deviation


def normalised_backward(dN: Array, N: Array, deviation: Array, axis: int, missing: str) -> Any:
    """Through ``normalised``; missing names the paths that are left out: "mean", "variance" or both."""
    d = dN
    if "mean" not in missing:
        d = d - dN.mean(axis=axis, keepdims=True)
    if "variance" not in missing:
        d = d - N * (dN * N).mean(axis=axis, keepdims=True)
    return np.asarray(d / deviation)


def cost(
    params: Params,
    X: Array,
    Y: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    eps: float = 1e-5,
    variant: str = "",
) -> Any:
    """X is (examples, inputs), Y (examples, outputs)."""
    m = X.shape[0]
    p = params
    N1, _ = normalised(X @ p["W1"] + p["b1"], 0, eps)
    A1 = act(activation, p["gamma1"] * N1 + p["beta1"])
    N2, _ = normalised(A1 @ p["W2"] + p["b2"], 1, eps)
    A2 = act(activation, p["gamma2"] * N2 + p["beta2"]) + A1
    R = A2 @ p["W3"] + p["b3"] - Y
    if variant == "fourth power of the error":
        loss = np.sum(R**4) / (4 * m)
    elif variant == "pseudo-Huber":
        loss = np.sum(np.sqrt(1 + R**2) - 1) / m
    else:
        loss = np.sum(R**2) / (m if variant == "error not halved" else 2 * m)
    return loss + lambd / (2 * m) * sum(np.sum(p[name] ** 2) for name in DECAYED)


def gradients(
    params: Params,
    X: Array,
    Y: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    eps: float = 1e-5,
    bug: str = "",
) -> Gradients:
    """Right unless it is told the name of a bug."""
    m = X.shape[0]
    p = params
    back_eps = 1e-5 if bug == "eps in the cost only" else eps
    Z1 = X @ p["W1"] + p["b1"]
    N1, s1 = normalised(Z1, 0, back_eps)
    B1 = p["gamma1"] * N1 + p["beta1"]
    A1 = act(activation, B1)
    Z2 = A1 @ p["W2"] + p["b2"]
    N2, s2 = normalised(Z2, 1, back_eps)
    B2 = p["gamma2"] * N2 + p["beta2"]
    A2 = act(activation, B2) + A1
    d3 = _output_delta(A2 @ p["W3"] + p["b3"], Y, bug)
    g: Gradients = {"W3": A2.T @ d3, "b3": d3.sum(axis=0)}
    if bug == "dW3 without the skip":
        g["W3"] = (A2 - A1).T @ d3
    W3 = p["W3"] - 0.3 * g["W3"] if bug == "W3 updated before its use" else p["W3"]
    dA2 = d3 @ W3.T
    dB2 = dA2 * faulty_slope(activation, B2, bug)
    g["gamma2"], g["beta2"] = (
        (dB2 * (Z2 if bug == "dgamma2 of what is not normalised" else N2)).sum(axis=0),
        dB2.sum(axis=0),
    )
    dN2 = dB2 if bug == "gamma2 left out" else dB2 * p["gamma2"]
    dZ2 = normalised_backward(dN2, N2, s2, 1, bug.removeprefix("layer norm without ") if "layer norm" in bug else "")
    if bug == "layer norm along the examples in the backward pass":
        dZ2 = normalised_backward(dN2, *normalised(Z2, 0, eps), 0, "")
    if bug == "1/m again at the second layer":
        dZ2 = dZ2 / m
    elif bug == "second layer negative":
        dZ2 = -dZ2
    elif bug == "second layer zero":
        dZ2 = np.zeros_like(dZ2)
    g["W2"], g["b2"] = A1.T @ dZ2, dZ2.sum(axis=0)
    if bug == "dW2 of the layer before its activation":
        g["W2"] = B1.T @ dZ2
    elif bug == "dW2 of the normalised layer":
        g["W2"] = N1.T @ dZ2
    skip = dB2 if bug == "the skip after the slope, in place" else dA2
    through = dZ2 @ (p["W2"] if bug == "W2 for its transpose" else p["W2"].T)
    if bug == "g of W2 for W2":
        through = dZ2 @ g["W2"].T
    dA1 = through + skip
    if bug == "skip missing":
        dA1 = through
    elif bug == "the skip assigned over the layer":
        dA1 = skip.copy()
    elif bug == "the skip counted twice":
        dA1 = through + 2 * skip
    dB1 = dA1 * faulty_slope(activation, B1, bug)
    if bug == "last example left out of the first layer":
        dB1[-1] = 0
    g["gamma1"], g["beta1"] = (
        (dB1 * (Z1 if bug == "dgamma1 of what is not normalised" else N1)).sum(axis=0),
        dB1.sum(axis=0),
    )
    dN1 = dB1 if bug == "gamma1 left out" else dB1 * p["gamma1"]
    dZ1 = normalised_backward(dN1, N1, s1, 0, bug.removeprefix("batch norm without ") if "batch norm" in bug else "")
    g["W1"], g["b1"] = X.T @ dZ1, dZ1.sum(axis=0)
    return {name: g[name] + (lambd / m * p[name] if name in DECAYED else 0) for name in p}


def _output_delta(out: Array, Y: Array, bug: str) -> Any:
    m = Y.shape[0]
    if bug == "1/m missing":
        return out - Y
    if bug == "1/2 lost":
        return 2 * (out - Y) / m
    if bug == "Y - out for out - Y":
        return (Y - out) / m
    if bug == "labels subtracted twice":
        return (out - 2 * Y) / m
    if bug == "mean over outputs too":
        return (out - Y) / (m * Y.shape[1])
    if bug == "absolute error for squared error":
        return np.sign(out - Y) / m
    if bug == "last output left out":
        d = (out - Y) / m
        d[:, -1] = 0
        return d
    if bug == "last example left out":
        d = (out - Y) / m
        d[-1] = 0
        return d
    return (out - Y) / m


def network(seed: int, activation: str, size: int) -> Network:
    """At initialisation, with gains away from 1 and biases away from 0."""
    n0, n, n3, m = SIZES[size]
    rng = np.random.default_rng(seed)
    params = {
        "W1": rng.standard_normal((n0, n)) / np.sqrt(n0),
        "b1": 0.2 * rng.standard_normal(n),
        "gamma1": np.exp(0.3 * rng.standard_normal(n)),
        "beta1": 0.3 * rng.standard_normal(n),
        "W2": rng.standard_normal((n, n)) / np.sqrt(n),
        "b2": 0.2 * rng.standard_normal(n),
        "gamma2": np.exp(0.3 * rng.standard_normal(n)),
        "beta2": 0.3 * rng.standard_normal(n),
        "W3": rng.standard_normal((n, n3)) / np.sqrt(n),
        "b3": 0.2 * rng.standard_normal(n3),
    }
    data = (rng.standard_normal((m, n0)), rng.standard_normal((m, n3)))
    options = {"activation": activation, "lambd": 0.6, "eps": 1e-5}
    return Network(f"normed {activation} {SIZES[size]}", cost, gradients, params, data, 0, options, DECAYED, 0.6 / m)


def planted(seed: int, activation: str, size: int) -> Iterator[Planted]:
    """Faults at initialisation for an even seed, after training for an odd one; controls at both."""
    start = network(seed, activation, size)
    later = trained(start, 20, 0.5)
    point = later if seed % 2 else start
    roles = Roles("W1", "W2", "W3", ("W2", "middle"), ("beta2", "middle"), ("gamma2", "beta2"))
    yield from plants(point, [*common(point, roles), *recipes(point)])
    for place in (start, later):
        yield from plants(place, [*controls(place), *near_misses(place)])


def recipes(point: Network) -> Iterator[Recipe]:
    """What only normalised layers, and skips, can have."""
    below = "upstream unexplained"
    for norm, layer in (("batch norm", "first"), ("layer norm", "middle")):
        for path in ("mean", "variance", "mean and variance"):
            yield Recipe(f"{norm} without {path}", "missing-path", layer, alike=below)
    yield Recipe("skip missing", "missing-path", "first", alike=below)
    yield Recipe("the skip assigned over the layer", "overwritten", "first", alike=below, alike_with="missing-path")
    yield Recipe("the skip counted twice", "accumulated", "first", alike=below, alike_with="factor missing-path")
    yield Recipe(
        "the skip after the slope, in place", "aliasing", "first", alike=below,
        alike_with="activation-derivative missing-path",
    )  # fmt: skip
    yield Recipe("dW3 without the skip", "wrong-cache", "last", alike="unexplained", alike_with="missing-path")
    yield Recipe("dgamma1 of what is not normalised", "wrong-cache", "first", alike="unexplained")
    yield Recipe("dgamma2 of what is not normalised", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("dW2 of the layer before its activation", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("dW2 of the normalised layer", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("g of W2 for W2", "wrong-cache", "first", alike=below)
    yield Recipe("W2 for its transpose", "transposed", "first", alike=below)
    yield Recipe(
        "layer norm along the examples in the backward pass", "transposed", "middle", alike=below,
        alike_with="wrong-cache",
    )  # fmt: skip
    yield Recipe("gamma1 left out", "upstream", "first", alike="unexplained", alike_with="unexplained parametrisation")
    yield Recipe("gamma2 left out", "upstream", "middle", alike="unexplained", alike_with="unexplained parametrisation")
    yield from slope_recipes(point.options["activation"], "middle")
    yield Recipe("1/m missing", "factor", "all", alike="regulariser upstream")
    yield Recipe("1/2 lost", "factor", "all", alike="regulariser upstream", alike_with="other-loss")
    yield Recipe("mean over outputs too", "factor", "all", alike="regulariser upstream", alike_with="other-loss")
    yield Recipe("Y - out for out - Y", "sign", "all", alike="regulariser upstream")
    yield Recipe("1/m again at the second layer", "factor", "middle", alike=below)
    yield Recipe("second layer negative", "sign", "middle", alike=below)
    yield Recipe("second layer zero", "zero", "middle", alike=below, alike_with="missing-path")
    yield Recipe("last output left out", "region", "all", alike=below)
    yield Recipe("last example left out", "region", "all", alike=below, alike_with="missing-path")
    yield Recipe("last example left out of the first layer", "region", "first", alike=below, alike_with="missing-path")
    yield Recipe("W3 updated before its use", "early-update", "middle", alike=below)
    yield Recipe("absolute error for squared error", "other-loss", "all", alike=below)
    for variant in ("fourth power of the error", "pseudo-Huber"):
        words = f"squared error in the gradient, {variant} in the cost"
        yield Recipe(words, "other-loss", "all", alike=below, bug="", variant=variant)
    yield Recipe(
        "error halved in the gradient only", "factor", "all", alike="regulariser upstream", alike_with="other-loss",
        bug="", variant="error not halved",
    )  # fmt: skip
    yield Recipe("eps in the cost only", "configuration", "all", alike=below, options={"eps": 0.3})
    yield from _vectors(point)


def _vectors(point: Network) -> Iterator[Recipe]:
    m = point.examples
    for one, other, layer in (("gamma1", "beta1", "first"), ("W1", "W2", "middle")):
        if point.params[one].shape == point.params[other].shape:
            yield Recipe(f"d{one} and d{other} swapped", "swapped", layer, edit=exchange(one, other))
    for name, layer in (("gamma1", "first"), ("gamma2", "middle")):
        yield Recipe(f"d{name} by its logarithm", "parametrisation", layer, edit=times_parameter(name))
    for name, layer in (("beta1", "first"), ("beta2", "middle"), ("b3", "last")):
        mean = change(name, lambda g: g / m)
        yield Recipe(f"d{name} a mean over examples", "bias-reduction", layer, alike_with="factor", edit=mean)
    for name, layer in (("beta2", "middle"), ("b3", "last")):
        total = change(name, lambda g: 0 * g + g.sum())
        yield Recipe(f"d{name} the total everywhere", "bias-reduction", layer, edit=total)
    each = change("b3", lambda g: np.tile(g / m, (m, 1)))
    yield Recipe("db3 for every example", "unbroadcast", "last", alike_with="contract bias-reduction", edit=each)
    each = change("gamma2", lambda g: np.tile(g / m, (m, 1)))
    yield Recipe("dgamma2 for every example", "unbroadcast", "middle", alike_with="contract bias-reduction", edit=each)


def near_misses(point: Network) -> Iterator[Recipe]:
    """Faults that cannot be seen at this setting."""
    ones = {"gamma1": np.ones_like(point.params["gamma1"]), "beta1": np.zeros_like(point.params["beta1"])}
    two = {"gamma2": np.ones_like(point.params["gamma2"]), "beta2": np.zeros_like(point.params["beta2"])}
    yield Recipe("gamma1 left out, at 1", "", "all", bug="gamma1 left out", params=ones)
    yield Recipe("gamma2 left out, at 1", "", "all", bug="gamma2 left out", params=two)
    yield Recipe("right at the usual start", "", "all", bug="", params={**ones, **two})
    yield Recipe("eps in the cost only, at its default", "", "all", bug="eps in the cost only")
    yield Recipe("right at eps 0.3", "", "all", bug="", options={"eps": 0.3})
    yield Recipe("db1 exactly zero", "", "all", edit=change("b1", np.zeros_like))
