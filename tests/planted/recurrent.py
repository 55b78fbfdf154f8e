"""A recurrent network through time, in the columns of the course notes, with its planted faults.

h_t = act(Wx x_t + Wh h_(t-1) + b), softmax(Wy h_t + by) at every step; cross entropy averaged over examples and steps,
plus lambd/(2m) of the squared weights. Every weight is used at every step, so that most faults here are about what is
summed.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .base import Planted
from .sequence_parts import (
    Array,
    Data,
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
    plants,
    slope_recipes,
    softmax,
    trained,
)

#: Inputs, hidden units, classes, examples, steps.
SIZES = ((3, 4, 3, 5, 4), (5, 5, 4, 7, 6), (6, 9, 5, 12, 8))
DECAYED = ("Wx", "Wh", "Wy")


def forward(params: Params, X: Array, H0: Array, activation: str) -> tuple[list[Array], list[Array], list[Array]]:
    """Pre-activations, states (the initial one first) and logits of every step."""
    Z, H, logits = [], [H0], []
    for t in range(X.shape[2]):
        Z.append(params["Wx"] @ X[:, :, t] + params["Wh"] @ H[-1] + params["b"])
        H.append(act(activation, Z[-1]))
        logits.append(params["Wy"] @ H[-1] + params["by"])
    return Z, H, logits


def cost(
    params: Params,
    X: Array,
    Y: Array,
    H0: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    temperature: float = 1.0,
    variant: str = "",
) -> Any:
    """X is (inputs, examples, steps), Y one-hot likewise, H0 the states before the first step."""
    m, steps = X.shape[1], X.shape[2]
    _, _, logits = forward(params, X, H0, activation)
    loss: Any = 0.0
    for t, z in enumerate(logits):
        P = softmax(z / temperature, 0)
        if variant == "squared error":
            loss = loss + 0.5 * np.sum((P - Y[:, :, t]) ** 2) / (m * steps)
        elif variant == "stabiliser":
            loss = loss - np.sum(Y[:, :, t] * np.log(P + 1e-3)) / (m * steps)
        elif variant == "last step only":
            loss = loss if t < steps - 1 else -np.sum(Y[:, :, t] * np.log(P)) / m
        else:
            loss = loss - np.sum(Y[:, :, t] * np.log(P)) / (m * steps)
    total = loss + lambd / (2 * m) * sum(np.sum(params[name] ** 2) for name in DECAYED)
    return np.sqrt(total) if variant == "square root of the cost" else total


def output_delta(P: Array, Y: Array, steps: int, temperature: float, bug: str) -> Any:
    """Derivative of the loss by the logits of one step."""
    m = Y.shape[1]
    if bug == "labels subtracted twice":
        return (P - 2 * Y) / (m * steps)
    if bug == "1/m missing":
        return (P - Y) / steps
    if bug == "1/T missing":
        return (P - Y) / m
    if bug == "Y - P for P - Y":
        return (Y - P) / (m * steps)
    if bug == "softmax derivative twice":
        return (P - Y) * P * (1 - P) / (m * steps)
    if bug == "squared error for cross entropy":
        return P * ((P - Y) - np.sum(P * (P - Y), axis=0)) / (m * steps)
    if bug == "temperature in the cost only":
        return (P - Y) / (m * steps)
    return (P - Y) / (m * steps * temperature)


def gradients(
    params: Params,
    X: Array,
    Y: Array,
    H0: Array,
    *,
    activation: str = "tanh",
    lambd: float = 0.0,
    temperature: float = 1.0,
    bug: str = "",
) -> Gradients:
    """Right unless it is told the name of a bug."""
    m, steps = X.shape[1], X.shape[2]
    Z, H, logits = forward(params, X, H0, activation)
    g: Gradients = {name: np.zeros_like(p) for name, p in params.items()}
    carried = np.zeros_like(H0)
    for t in reversed(range(steps)):
        if (bug == "last step skipped" and t == steps - 1) or (bug == "first step skipped" and t == 0):
            continue
        delta = output_delta(softmax(logits[t] / temperature, 0), Y[:, :, t], steps, temperature, bug)
        dWy = delta @ (H[t] if bug == "dWy of the state before" else H[t + 1]).T
        Wy = params["Wy"] - 0.5 * (dWy * steps) if bug == "Wy updated before its use" else params["Wy"]
        dh = Wy.T @ delta + carried
        if bug == "output path missing before the last step" and t < steps - 1:
            dh = carried
        da = dh * faulty_slope(activation, Z[t], bug)
        if bug == "activation derivative of the step before" and t > 0:
            da = dh * faulty_slope(activation, Z[t - 1], bug)
        if bug == "1/m again in the hidden delta":
            da = da / m
        elif bug == "hidden delta negative":
            da = -da
        elif bug == "hidden delta zero":
            da = np.zeros_like(da)
        elif bug == "last example left out of the hidden delta":
            da[:, -1] = 0
        dWh, dWx, db = da @ H[t].T, da @ X[:, :, t].T, da.sum(axis=1, keepdims=True)
        if bug == "dWh of the state after":
            dWh = da @ H[t + 1].T
        elif bug == "dWh of the pre-activation" and t > 0:
            dWh = da @ Z[t - 1].T
        elif bug == "dWx of the step before":
            dWx = da @ X[:, :, max(t - 1, 0)].T
        elif bug == "db without the sum over steps":
            db = db if t == steps - 1 else 0 * db
        step = {"Wx": dWx, "Wh": dWh, "b": db, "Wy": dWy, "by": delta.sum(axis=1, keepdims=True)}
        for name, part in step.items():
            g[name] = part if bug == f"d{name} assigned in the loop" else g[name] + part
        carried = _carried(params["Wh"], da, t, bug)
    if bug == "dWh never added up":
        g["Wh"] = np.zeros_like(g["Wh"])
    return {name: d + (lambd / m * params[name] if name in DECAYED else 0) for name, d in g.items()}


def _carried(Wh: Array, da: Array, t: int, bug: str) -> Any:
    """What goes back from step t to the step before."""
    if bug == "nothing carried back":
        return np.zeros_like(da)
    if bug == "carried back within chunks of 3 steps" and t % 3 == 0:
        return np.zeros_like(da)
    if bug == "carried back within chunks of 2 steps" and t % 2 == 0:
        return np.zeros_like(da)
    if bug == "Wh for its transpose":
        return np.asarray(Wh @ da)
    if bug == "carried back negative":
        return np.asarray(-Wh.T @ da)
    if bug == "carried back by the diagonal of Wh":
        return np.asarray(np.diag(Wh)[:, None] * da)
    return np.asarray(Wh.T @ da)


def network(seed: int, activation: str, size: int) -> Network:
    """At initialisation, with biases away from 0."""
    n_x, n_h, n_y, m, steps = SIZES[size]
    rng = np.random.default_rng(seed)
    params = {
        "Wx": rng.standard_normal((n_h, n_x)) / np.sqrt(n_x),
        "Wh": rng.standard_normal((n_h, n_h)) * 0.8 / np.sqrt(n_h),
        "b": 0.2 * rng.standard_normal((n_h, 1)),
        "Wy": rng.standard_normal((n_y, n_h)) / np.sqrt(n_h),
        "by": 0.2 * rng.standard_normal((n_y, 1)),
    }
    X = rng.standard_normal((n_x, m, steps))
    Y = np.moveaxis(np.eye(n_y)[rng.integers(0, n_y, (m, steps))], 2, 0).copy()
    data: Data = (X, Y, 0.5 * rng.standard_normal((n_h, m)))
    options = {"activation": activation, "lambd": 0.7, "temperature": 1.0}
    return Network(
        f"recurrent {activation} {SIZES[size]}", cost, gradients, params, data, 1, options, DECAYED, 0.7 / m
    )  # fmt: skip


def planted(seed: int, activation: str, size: int) -> Iterator[Planted]:
    """Faults at initialisation for an even seed, after training for an odd one; controls at both."""
    start = network(seed, activation, size)
    later = trained(start, 20, 2.0)
    point = later if seed % 2 else start
    yield from plants(point, [*common(point, _roles(size)), *recipes(point)])
    for place in (start, later):
        yield from plants(place, [*controls(place), *near_misses(place)])


def _roles(size: int) -> Roles:
    pair = ("Wx", "Wh") if SIZES[size][0] == SIZES[size][1] else None
    return Roles("Wx", "Wh", "Wy", ("Wh", "middle"), ("b", "middle"), pair)


def recipes(point: Network) -> Iterator[Recipe]:
    """What only a recurrent network can have."""
    below = "upstream unexplained"
    for words, alike in (("nothing carried back", "truncated"), ("output path missing before the last step", "region")):
        yield Recipe(words, "missing-path", "middle", alike=below, alike_with=alike)
    for words in ("carried back within chunks of 2 steps", "carried back within chunks of 3 steps"):
        yield Recipe(words, "truncated", "middle", alike=below, alike_with="missing-path")
    for name, layer in (("Wx", "first"), ("Wh", "middle"), ("b", "middle"), ("Wy", "last"), ("by", "last")):
        alike = "unexplained bias-reduction" if name.startswith("b") else "unexplained"
        yield Recipe(f"d{name} assigned in the loop", "overwritten", layer, alike=alike, alike_with="missing-path")
    yield Recipe(
        "db without the sum over steps", "unbroadcast", "middle", alike="unexplained",
        alike_with="bias-reduction missing-path overwritten",
    )  # fmt: skip
    yield Recipe("dWh of the state after", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("dWh of the pre-activation", "wrong-cache", "middle", alike="unexplained")
    yield Recipe("dWx of the step before", "wrong-cache", "first", alike="unexplained")
    yield Recipe("dWy of the state before", "wrong-cache", "last", alike="unexplained")
    yield Recipe("Wh for its transpose", "transposed", "middle", alike=below)
    yield Recipe("carried back by the diagonal of Wh", "missing-path", "middle", alike=below, alike_with="region")
    yield Recipe("carried back negative", "sign", "middle", alike=below)
    yield from slope_recipes(point.options["activation"], "middle")
    yield Recipe(
        "activation derivative of the step before", "activation-derivative", "middle", alike=below,
        alike_with="wrong-cache",
    )  # fmt: skip
    yield Recipe("1/m missing", "factor", "all", alike="regulariser upstream")
    yield Recipe("1/T missing", "factor", "all", alike="regulariser upstream")
    yield Recipe("1/m again in the hidden delta", "factor", "middle", alike="upstream")
    yield Recipe("hidden delta negative", "sign", "middle", alike="upstream")
    yield Recipe("Y - P for P - Y", "sign", "all", alike="regulariser upstream")
    yield Recipe("hidden delta zero", "zero", "middle", alike="upstream")
    yield Recipe("dWh never added up", "zero", "middle")
    yield Recipe("last step skipped", "region", "all", alike=below, alike_with="missing-path")
    yield Recipe("first step skipped", "region", "all", alike=below, alike_with="missing-path")
    yield Recipe("last example left out of the hidden delta", "region", "middle", alike=below)
    yield Recipe("Wy updated before its use", "early-update", "middle", alike=below)
    yield Recipe("softmax derivative twice", "other-loss", "all", alike=below)
    yield Recipe("squared error for cross entropy", "other-loss", "all", alike=below)
    yield Recipe("cross entropy for squared error", "other-loss", "all", alike=below, bug="", variant="squared error")
    yield Recipe("cost of the last step only", "other-loss", "all", alike=below, bug="", variant="last step only")
    yield Recipe(
        "square root of the cost without its derivative", "cotangent", "all", alike_with="factor other-loss", bug="",
        variant="square root of the cost",
    )  # fmt: skip
    yield Recipe("epsilon in the logarithm", "stabiliser", "all", alike=below, bug="", variant="stabiliser")
    yield Recipe(
        "temperature in the cost only", "configuration", "all", alike="regulariser upstream", alike_with="factor",
        options={"temperature": 2.5},
    )  # fmt: skip
    yield from _biases(point)


def _biases(point: Network) -> Iterator[Recipe]:
    m, steps = point.examples, point.data[0].shape[2]
    yield Recipe(
        "db a mean over examples", "bias-reduction", "middle", alike_with="factor", edit=change("b", lambda g: g / m)
    )
    yield Recipe(
        "dby a mean over steps", "bias-reduction", "last", alike_with="factor", edit=change("by", lambda g: g / steps)
    )
    yield Recipe("db the total in every row", "bias-reduction", "middle", edit=change("b", lambda g: 0 * g + g.sum()))
    yield Recipe(
        "db for every example", "unbroadcast", "middle", alike_with="contract bias-reduction",
        edit=change("b", lambda g: np.tile(g / m, (1, m))),
    )  # fmt: skip


def near_misses(point: Network) -> Iterator[Recipe]:
    """Faults that cannot be seen at this setting."""
    X, Y, H0 = point.data
    one = (X[:, :, :1].copy(), Y[:, :, :1].copy(), H0)
    yield Recipe("nothing carried back, with one step", "", "all", bug="nothing carried back", data=one)
    yield Recipe("dWh assigned in the loop, with one step", "", "all", bug="dWh assigned in the loop", data=one)
    yield Recipe("temperature in the cost only, at temperature 1", "", "all", bug="temperature in the cost only")
    yield Recipe("right at temperature 2.5", "", "all", bug="", options={"temperature": 2.5})
    alone = (X[:, :1].copy(), Y[:, :1].copy(), H0[:, :1].copy())
    yield Recipe("1/m missing, with one example", "", "all", bug="1/m missing", data=alone)
    start = (X, Y, np.zeros_like(H0))
    yield Recipe("right from a zero state", "", "all", bug="", data=start)
