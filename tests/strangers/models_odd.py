"""Adversarial set: tiny, symmetric, badly scaled, low precision, stateful, kinky; pairs of bugs; look-alikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .case import Array, Case, Function, noisy, sigmoid

Params = dict[str, Array]


def net(slope: Callable[[Array], Array], act: Callable[[Array], Array]) -> tuple[Function, Function]:
    """Give cost and gradient of a two-hidden-layer regression net, rows as examples, columns of Y as outputs."""

    def forward(p: Params, x: Array) -> list[Array]:
        z1 = x @ p["W1"] + p["b1"]
        a1 = act(z1)
        z2 = a1 @ p["W2"] + p["b2"]
        a2 = act(z2)
        return [x, z1, a1, z2, a2, a2 @ p["W3"] + p["b3"]]

    def cost(p: Params, x: Array, y: Array, lambd: float = 0.0) -> Any:
        out = forward(p, x)[-1]
        return 0.5 * ((out - y) ** 2).sum() / len(x) + 0.5 * lambd * sum((p[f"W{i}"] ** 2).sum() for i in (1, 2, 3))

    def grads(p: Params, x: Array, y: Array, lambd: float = 0.0, bug: str = "") -> Params:
        if bug == "inputs-1%":
            x = x * 1.01
        x0, z1, a1, z2, a2, out = forward(p, x)
        d3 = (out - y) / len(x)
        if "sign" in bug:
            d3 = -d3
        d2 = (d3 @ p["W3"].T) * (1 if "no-act-2" in bug else slope(z2))
        if "half-2" in bug:
            d2 = d2 / 2
        if "skip-.9" in bug:
            d2 = d2 * 0.9
        d1 = (d2 @ (p["W2"] if "untransposed" in bug else p["W2"].T)) * (1 if "no-act-1" in bug else slope(z1))
        if "rows-weighted" in bug:
            d1 = d1 * np.linspace(0.8, 1.2, len(x))[:, None]
        if "units-weighted" in bug:
            d1 = d1 * np.linspace(0.8, 1.2, d1.shape[1])
        decay = 0 if "no-l2" in bug else lambd
        dw2 = a1.T @ d2
        if "transposed" in bug.split("+"):
            dw2 = dw2.T
        if "double-w2" in bug:
            dw2 = 2 * dw2
        g = {
            "W1": x0.T @ d1 + decay * p["W1"],
            "b1": d1.sum(0),
            "W2": dw2 + decay * p["W2"],
            "b2": d2.sum(0),
            "W3": a2.T @ d3 + decay * p["W3"],
            "b3": d3.sum(0),
        }
        if "b3-mean" in bug:
            g["b3"] = d3.mean(0)
        return g

    return cost, grads


def _case(
    model: str, name: str, cost: Function, grads: Function, right: Function, params: Any, sets: str = "|", **more: Any
) -> Case:
    expect, _, accept = sets.partition("|")
    return Case(
        model,
        name,
        cost,
        grads,
        right,
        params,
        expect=frozenset(expect.split()),
        accept=frozenset(accept.split()),
        **more,
    )


def _bug(grads: Function, bug: str) -> Function:
    return lambda p, *d, **o: grads(p, *d, bug=bug, **o)


def _then(grads: Function, change: Callable[[Params], Params]) -> Function:
    return lambda p, *d, **o: change(grads(p, *d, **o))


def precision_cost(p: Params, x: Array) -> float:
    """Negative Gaussian log likelihood in a precision matrix."""
    return float(0.5 * (x @ p["S"] * x).sum() / len(x) - 0.5 * np.linalg.slogdet(p["S"])[1] + np.sin(p["t"]).sum())


def precision_grads(p: Params, x: Array, bug: str = "") -> Params:
    """Gradient by hand, S not forced to be symmetric."""
    s = 0.5 * x.T @ x / len(x)
    inv = 0.5 * np.linalg.inv(p["S"]).T
    g = {"logdet-lost": s, "fit-lost": -inv, "logdet-sign": s + inv}.get(bug, s - inv)
    if bug == "symmetric-twice":
        g = 2 * g - np.diag(np.diag(g))
    if bug == "lower-only":
        g = np.tril(g)
    if bug == "upper-strict":
        g = np.triu(g, 1)
    return {"S": g, "t": np.cos(p["t"])}


def tiny_cost(p: Params, x: Array) -> float:
    """Three tiny tensors."""
    return float(
        np.exp(-p["a"][0] * x).mean() + (p["b"][0] * np.sin(p["b"][1]) * x).sum() + (p["c"] ** 3).sum() * p["a"][0]
    )


def tiny_grads(p: Params, x: Array) -> Params:
    """Gradient by hand."""
    return {
        "a": np.array([(-x * np.exp(-p["a"][0] * x)).mean() + (p["c"] ** 3).sum()]),
        "b": np.array([np.sin(p["b"][1]) * x.sum(), p["b"][0] * np.cos(p["b"][1]) * x.sum()]),
        "c": 3 * p["c"] ** 2 * p["a"][0],
    }


def cases(seed: int) -> list[Case]:
    """All of them."""
    rng = np.random.default_rng(seed + 400)
    cost, grads = net(lambda z: 1 - np.tanh(z) ** 2, np.tanh)
    p: dict[str, Any] = {
        "W1": rng.normal(size=(3, 5)),
        "b1": rng.normal(size=5),
        "W2": rng.normal(size=(5, 5)) * 0.6,
        "b2": rng.normal(size=5),
        "W3": rng.normal(size=(5, 2)),
        "b3": rng.normal(size=2),
    }
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    batch: dict[str, Any] = {"data": (x, y), "examples_axis": 0, "options": {"lambd": 0.2}}
    out = []
    pairs = {
        "sign+no-l2": "sign regulariser|",
        "sign+no-act-1": "sign activation-derivative unexplained|",
        "half-2+b3-mean": "factor bias-reduction|",
        "half-2+no-l2": "factor regulariser|",
        "transposed+double-w2": "unexplained|transposed factor",
        "no-act-2+half-2": "activation-derivative unexplained|",
        "no-act-1+no-act-2": "activation-derivative|unexplained",
        "untransposed+b3-mean": "transposed bias-reduction|",
        "double-w2+no-l2": "factor regulariser unexplained|",
        "no-act-2+no-l2": "activation-derivative regulariser|",
        "sign+b3-mean": "sign bias-reduction|",
        "half-2+untransposed": "factor transposed unexplained|",
        "rows-weighted": "unexplained|",
        "units-weighted": "unexplained|",
        "skip-.9": "factor|",
        "inputs-1%": "unexplained|other-loss",
    }
    for bug, sets in pairs.items():
        out.append(_case("pairs", bug, cost, _bug(grads, bug), grads, p, sets, **batch))
    for leak in (1e-3, 1e-4, 1e-2):
        other = net(lambda z, k=leak: 1 - np.tanh((1 + k) * z) ** 2, lambda z, k=leak: np.tanh((1 + k) * z))[1]  # type: ignore[misc]
        out.append(
            _case(
                "lookalike",
                f"tanh-{leak:g}",
                cost,
                other,
                grads,
                p,
                "unexplained|other-loss activation-derivative",
                **batch,
            )
        )
    other = net(lambda z: 1 / (1 + np.abs(z)) ** 2, lambda z: z / (1 + np.abs(z)))[1]
    out.append(
        _case(
            "lookalike", "softsign-net", cost, other, grads, p, "unexplained other-loss|activation-derivative", **batch
        )
    )
    other = net(lambda z: 1 / (1 + np.abs(z)) ** 2, np.tanh)[1]
    out.append(
        _case("lookalike", "softsign-slope", cost, other, grads, p, "activation-derivative|unexplained", **batch)
    )
    look: dict[str, tuple[Callable[[Params], Params], str]] = {
        "b2-arbitrary": (lambda g: {**g, "b2": g["b2"] + np.array([0.3, -0.1, 0.02, 0.7, -0.4])}, "unexplained|"),
        "b2-ramp": (lambda g: {**g, "b2": g["b2"] * np.linspace(0.9, 1.1, 5)}, "unexplained|region"),
        "W2-near-half": (lambda g: {**g, "W2": g["W2"] * 0.5003}, "factor unexplained|"),
        "W2-near-transposed": (lambda g: {**g, "W2": g["W2"].T * 1.001}, "unexplained|transposed"),
        "W3-noise-1e-3": (lambda g: {**g, "W3": noisy(1e-3)(g["W3"])}, "unexplained|precision"),
        "W3-noise-5e-5": (lambda g: {**g, "W3": noisy(5e-5)(g["W3"])}, "unexplained|precision"),
        "b3-squared": (lambda g: {**g, "b3": g["b3"] ** 2}, "unexplained|"),
        "b3-swapped-elements": (lambda g: {**g, "b3": g["b3"][::-1]}, "permuted|"),
        "b3-absolute": (lambda g: {**g, "b3": np.abs(g["b3"]) + 1e-3}, "unexplained|"),
        "W1-plus-W1-times-x": (lambda g: {**g, "W1": g["W1"] + 0.0137 * p["W1"]}, "regulariser unexplained|"),
        "W2-plus-W2T": (lambda g: {**g, "W2": g["W2"] + 0.2 * p["W2"].T}, "unexplained regulariser|"),
        "all-sorted": (
            lambda g: {k: np.sort(v.ravel()).reshape(v.shape) for k, v in g.items()},
            "permuted|unexplained",
        ),
        "W2-outer-part": (lambda g: {**g, "W2": g["W2"] - g["W2"].mean()}, "unexplained|"),
        "W1-column-factors": (lambda g: {**g, "W1": g["W1"] * [1, 2, 1, 0.5, 1]}, "region unexplained|"),
        "b1-is-b2": (lambda g: {**g, "b1": g["b2"].copy()}, "wrong-cache swapped unexplained|"),
        "cycle-b1-b2": (lambda g: {**g, "b1": g["b2"], "b2": g["b1"]}, "swapped|"),
        "off-by-1e-4": (lambda g: {k: v * 1.0001 for k, v in g.items()}, "factor|unexplained"),
        "one-element-W2": (
            lambda g: {**g, "W2": g["W2"] + 0.05 * np.outer(np.eye(5)[3], np.eye(5)[1])},
            "region|unexplained",
        ),
        "float16-b1": (lambda g: {**g, "b1": g["b1"].astype(np.float16).astype(float)}, "precision|unexplained"),
    }
    for name, (change, sets) in look.items():
        out.append(_case("lookalike", name, cost, _then(grads, change), grads, p, sets, **batch))
    # symmetric
    r = rng.normal(size=(4, 4))
    sym = {"S": r @ r.T + np.eye(4), "t": rng.normal(size=3)}
    xs = rng.normal(size=(10, 4))
    sets_of = {
        "": "|",
        "logdet-lost": "missing-path|unexplained",
        "fit-lost": "missing-path|unexplained",
        "logdet-sign": "sign unexplained|missing-path",
        "symmetric-twice": "region|factor unexplained",
        "lower-only": "region|",
        "upper-strict": "region|",
    }
    for bug, sets in sets_of.items():
        out.append(
            _case(
                "symmetric",
                bug or "right",
                precision_cost,
                _bug(precision_grads, bug),
                precision_grads,
                sym,
                sets,
                data=(xs,),
                examples_axis=0,
            )
        )
    out.append(
        _case(
            "symmetric",
            "transposed-harmless",
            precision_cost,
            _then(precision_grads, lambda g: {**g, "S": g["S"].T}),
            precision_grads,
            sym,
            data=(xs,),
            examples_axis=0,
        )
    )
    # tiny
    tiny, xt = {"a": np.array([0.7]), "b": np.array([1.3, 0.4]), "c": np.array([0.5, -1.1, 0.8])}, rng.normal(size=6)
    changes: dict[str, tuple[Callable[[Params], Params], str]] = {
        "right": (lambda g: g, "|"),
        "a-odd": (lambda g: {**g, "a": g["a"] * 1.3717}, "factor unexplained|"),
        "a-plus-a": (lambda g: {**g, "a": g["a"] + 0.1 * 0.7}, "unexplained|regulariser factor"),
        "b-odd": (lambda g: {**g, "b": g["b"] + [0.1234, -0.777]}, "unexplained|"),
        "b-swapped": (lambda g: {**g, "b": g["b"][::-1]}, "permuted|"),
        "c-unscaled": (lambda g: {**g, "c": g["c"] / 0.7}, "factor|unexplained missing-path"),
        "c-without-3": (lambda g: {**g, "c": g["c"] / 3}, "factor|"),
        "a-sign": (lambda g: {**g, "a": -g["a"]}, "sign|"),
        "b-first-only": (lambda g: {**g, "b": g["b"] * [1, 0]}, "region|zero"),
        "c-odd": (lambda g: {**g, "c": g["c"] + [0.3, 0.1, -0.21]}, "unexplained|"),
        "c-cubed": (lambda g: {**g, "c": g["c"] * tiny["c"]}, "unexplained parametrisation|"),
    }
    for name, (change, sets) in changes.items():
        out.append(
            _case(
                "tiny", name, tiny_cost, _then(tiny_grads, change), tiny_grads, tiny, sets, data=(xt,), examples_axis=0
            )
        )
    # scales
    scale = {"W1": 1e6, "b1": 1e-4, "W2": 1e-6, "b2": 1e3, "W3": 1e-2, "b3": 1e5}

    def scaled(fn: Function, size: float, shift: float, back: bool) -> Function:
        def inner(q: Params, *d: Any, **o: Any) -> Any:
            found = fn({k: v / scale[k] for k, v in q.items()}, *d, **o)
            return {k: size * v / scale[k] for k, v in found.items()} if back else size * found + shift

        return inner

    big = {k: v * scale[k] for k, v in p.items()}
    for size, shift in ((1.0, 0.0), (1e-12, 0.0), (1e9, 0.0), (1.0, 1e4)):
        c, g = scaled(cost, size, shift, False), scaled(grads, size, shift, True)
        tag = f"{size:g}{'+1e4' if shift else ''}"
        out.append(_case("scales", f"right-{tag}", c, g, g, big, data=(x, y), examples_axis=0))
        for bug, sets in {
            "half-2": "factor|",
            "no-act-1": "activation-derivative|",
            "b3-mean": "bias-reduction|factor",
            "transposed": "transposed|",
        }.items():
            out.append(
                _case(
                    "scales",
                    f"{bug}-{tag}",
                    c,
                    scaled(_bug(grads, bug), size, shift, True),
                    g,
                    big,
                    sets,
                    data=(x, y),
                    examples_axis=0,
                )
            )
    for case in out:
        if case.model == "scales":
            case.extra = {"floor": 0.0}
    # float32
    p32 = {k: v.astype(np.float32) for k, v in p.items()}
    low: dict[str, Any] = {"data": (x.astype(np.float32), y.astype(np.float32)), "examples_axis": 0, "tolerance": 1e-3}
    for bug, sets in {
        "": "|",
        "half-2": "factor|",
        "no-act-1": "activation-derivative|",
        "no-act-2": "activation-derivative|",
        "b3-mean": "bias-reduction|factor",
        "transposed": "transposed|",
        "sign": "sign|",
        "untransposed": "transposed|",
        "rows-weighted": "unexplained|",
    }.items():
        out.append(_case("float32", bug or "right", cost, _bug(grads, bug), grads, p32, sets, **low))

    def rounding(q: Params, *d: Any, **o: Any) -> float:
        return float(np.float32(cost(q, *d, **o)))

    out.append(_case("float32", "right-cost-rounded", rounding, grads, grads, p, **batch))
    out.append(_case("float32", "half-2-cost-rounded", rounding, _bug(grads, "half-2"), grads, p, "factor|", **batch))
    # state: factories give a fresh gradient each
    for name, (factory, sets) in _stateful(cost, grads).items():
        out.append(_case("state", name, cost, factory(), grads, p, sets, **{**batch, "extra": {"factory": factory}}))
    # kinks
    relu = net(lambda z: (z > 0).astype(float), lambda z: np.maximum(z, 0))
    leaky = net(lambda z: np.where(z > 0, 1, 0.1), lambda z: np.where(z > 0, z, 0.1 * z))
    leaky_bug = net(lambda z: np.where(z > 0, 1, 0.01), lambda z: np.where(z > 0, z, 0.1 * z))
    relu_bug = net(lambda z: (z > -0.3).astype(float), lambda z: np.maximum(z, 0))
    elu = net(
        lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))), lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))
    )
    elu_bug = net(
        lambda z: np.where(z > 0, 1, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    )
    zero = {k: np.zeros_like(v) if k[0] == "b" or k == "W1" else v for k, v in p.items()}
    act = "activation-derivative|region unexplained"
    for name, (c, _), (_, g), (_, right), at, sets in (
        ("right-relu", relu, relu, relu, p, "|"),
        ("right-relu-at-zero", relu, relu, relu, zero, "|"),
        ("right-leaky", leaky, leaky, leaky, p, "|"),
        ("right-elu", elu, elu, elu, p, "|"),
        ("leaky-slope", leaky, leaky_bug, leaky, p, "activation-derivative configuration|region unexplained"),
        ("relu-threshold", relu, relu_bug, relu, p, act),
        ("elu-slope", elu, elu_bug, elu, p, act),
        ("relu-for-leaky", leaky, relu, leaky, p, act + " other-loss"),
    ):
        out.append(_case("kinks", name, c, g, right, at, sets, **batch))
    out += _singular(rng) + _piecewise(rng, p, batch)
    return out


def _stateful(cost: Function, grads: Function) -> dict[str, tuple[Callable[[], Function], str]]:
    def accumulating() -> Function:
        total: Params = {}

        def inner(p: Params, *d: Any, **o: Any) -> Params:
            for k, v in grads(p, *d, **o).items():
                total[k] = total.get(k, 0) + v
            return {k: v.copy() for k, v in total.items()}

        return inner

    def noise() -> Function:
        rng = np.random.default_rng(3)
        return lambda p, *d, **o: {
            k: v * (1 + 1e-3 * rng.standard_normal(v.shape)) for k, v in grads(p, *d, **o).items()
        }

    def stale() -> Function:
        kept: list[Params] = []

        def inner(p: Params, *d: Any, **o: Any) -> Params:
            kept.append({k: v + 0.01 for k, v in p.items()} if not kept else {k: v.copy() for k, v in p.items()})
            g: Params = grads(kept[0], *d, **o)
            return g

        return inner

    def spoils_params() -> Function:
        def inner(p: Params, *d: Any, **o: Any) -> Params:
            g = grads(p, *d, **o)
            for k in p:
                p[k] -= 0.1 * g[k]
            after: Params = grads(p, *d, **o)
            return after

        return inner

    def buffer() -> Function:
        kept: Params = {}

        def inner(p: Params, *d: Any, **o: Any) -> Params:
            for k, v in grads(p, *d, **o).items():
                kept.setdefault(k, np.empty_like(v))[...] = v
            return kept

        return inner

    def moving() -> Function:
        def inner(p: Params, *d: Any, **o: Any) -> Params:
            g = grads(p, *d, **o)
            for k in p:
                p[k] -= 0.1 * g[k]
            return dict(g)

        return inner

    return {
        "accumulating": (accumulating, "accumulated|nondeterministic not-reentrant"),
        "random-noise": (noise, "nondeterministic|"),
        "stale-parameters": (stale, "stale|"),
        "updates-first": (spoils_params, "aliasing early-update|"),
        "right-own-buffer": (buffer, "|"),
        "right-but-updates": (moving, "|"),
    }


def _singular(rng: np.random.Generator) -> list[Case]:
    x, y = rng.normal(size=(9, 3)), (rng.random(9) < 0.5).astype(float)

    def guarded(p: Params, x: Array, y: Array) -> float:
        q = sigmoid(x @ p["w"] + p["b"])
        return float(-(y * np.log(q + 1e-7) + (1 - y) * np.log(1 - q + 1e-7)).mean())

    def guarded_right(p: Params, x: Array, y: Array) -> Params:
        q = sigmoid(x @ p["w"] + p["b"])
        d = (-y / (q + 1e-7) + (1 - y) / (1 - q + 1e-7)) * q * (1 - q) / len(x)
        return {"w": x.T @ d, "b": np.array([d.sum()])}

    def plain(p: Params, x: Array, y: Array) -> Params:
        d = (sigmoid(x @ p["w"] + p["b"]) - y) / len(x)
        return {"w": x.T @ d, "b": np.array([d.sum()])}

    def pull(p: Params, x: Array) -> float:
        return float(np.sqrt((p["u"] ** 2).sum()) + ((x @ p["v"]) ** 2).mean())

    def pull_right(p: Params, x: Array) -> Params:
        n = np.sqrt((p["u"] ** 2).sum())
        return {"u": p["u"] / n if n else 0 * p["u"], "v": 2 * x.T @ (x @ p["v"]) / len(x)}

    def pull_nan(p: Params, x: Array) -> Params:
        with np.errstate(all="ignore"):
            return {"u": p["u"] / np.sqrt((p["u"] ** 2).sum()), "v": 2 * x.T @ (x @ p["v"]) / len(x)}

    def flat(p: Params, x: Array) -> float:
        z = x @ p["v"] + p["shift"]
        return float(((z - z.mean()) ** 2).mean() + 0 * p["unused"].sum())

    def flat_grads(p: Params, x: Array) -> Params:
        z = x @ p["v"] + p["shift"]
        d = 2 * (z - z.mean()) / len(x)
        return {"v": x.T @ (d - d.mean()), "shift": np.array([d.sum()]), "unused": np.zeros_like(p["unused"])}

    w = {"w": rng.normal(size=3), "b": np.array([0.2])}
    wide = {"w": w["w"] * 6, "b": w["b"]}
    u = {"u": np.zeros(3), "v": rng.normal(size=3)}
    f = {"v": rng.normal(size=3), "shift": np.array([0.4]), "unused": rng.normal(size=(2, 2))}
    both: dict[str, Any] = {"data": (x, y), "examples_axis": 0}
    one: dict[str, Any] = {"data": (x,), "examples_axis": 0}
    return [
        _case("singular", "right-guarded", guarded, guarded_right, guarded_right, w, **both),
        _case("singular", "stabiliser-init", guarded, plain, guarded_right, w, "stabiliser|", **both),
        _case("singular", "stabiliser-saturated", guarded, plain, guarded_right, wide, "stabiliser|", **both),
        _case("singular", "right-norm-at-zero", pull, pull_right, pull_right, u, **one),
        _case("singular", "norm-nan-at-zero", pull, pull_nan, pull_right, u, "singular contract|", **one),
        _case("flat", "right", flat, flat_grads, flat_grads, f, **one),
        _case(
            "flat",
            "right-tiny-claim",
            flat,
            _then(flat_grads, lambda g: {**g, "shift": np.array([3e-17])}),
            flat_grads,
            f,
            **one,
        ),
        _case(
            "flat",
            "shift-wrong",
            flat,
            _then(flat_grads, lambda g: {**g, "shift": np.array([1e-3])}),
            flat_grads,
            f,
            "unexplained|missing-path",
            **one,
        ),
        _case(
            "flat",
            "unused-wrong",
            flat,
            _then(flat_grads, lambda g: {**g, "unused": 0.1 * f["unused"]}),
            flat_grads,
            f,
            "regulariser unexplained|",
            **one,
        ),
        _case(
            "flat",
            "v-twice",
            flat,
            _then(flat_grads, lambda g: {**g, "v": 2 * g["v"]}),
            flat_grads,
            f,
            "factor|",
            **one,
        ),
    ]


def _piecewise(rng: np.random.Generator, p: Params, batch: dict[str, Any]) -> list[Case]:
    """Faults that look like a mask or like stale activations and are neither."""
    cost, right = net(lambda z: (z > 0).astype(float), lambda z: np.maximum(z, 0))
    slopes: dict[str, tuple[Callable[[Array], Array], str]] = {
        "relu-slope-one": (np.ones_like, "activation-derivative|"),
        "relu-slope-inverted": (lambda z: (z < 0).astype(float), "activation-derivative|"),
        "relu-slope-two": (lambda z: 2.0 * (z > 0), "activation-derivative factor|"),
        "relu-slope-leaky": (lambda z: np.where(z > 0, 1, 0.01), "activation-derivative|"),
        "relu-slope-sign": (np.sign, "activation-derivative|"),
        "relu-slope-soft": (sigmoid, "activation-derivative|"),
        "relu-slope-value": (lambda z: np.maximum(z, 0), "activation-derivative|wrong-cache"),
        "relu-slope-6": (lambda z: ((z > 0) & (z < 1)).astype(float), "activation-derivative|region"),
        "relu-slope-shifted": (lambda z: (z > 0.2).astype(float), "activation-derivative|region"),
        "relu-slope-cyclic": (
            lambda z: (np.roll(z, 1, 1) > 0).astype(float),
            "activation-derivative wrong-cache|unexplained",
        ),
        "relu-slope-any": (lambda z: (z > 0).any(0) * np.ones_like(z), "activation-derivative|unexplained"),
    }
    out = []
    for name, (slope, sets) in slopes.items():
        out.append(_case("piecewise", name, cost, net(slope, lambda z: np.maximum(z, 0))[1], right, p, sets, **batch))
    for bug, sets in {
        "no-act-1": "activation-derivative|",
        "no-act-2": "activation-derivative|",
        "half-2": "factor|",
        "untransposed": "transposed|",
        "units-weighted": "unexplained|",
        "rows-weighted": "unexplained|",
    }.items():
        out.append(_case("piecewise", f"relu-{bug}", cost, _bug(right, bug), right, p, sets, **batch))
    x, y = rng.normal(size=(13, 4)), rng.choice([-1.0, 1.0], 13)
    q = {"w": rng.normal(size=4), "b": np.array([0.3])}

    def make(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> tuple[Function, Function]:
        def loss(p: Params, x: Array, y: Array) -> float:
            return float(value(y * (x @ p["w"] + p["b"])).mean())

        def back(p: Params, x: Array, y: Array) -> Params:
            d = slope(y * (x @ p["w"] + p["b"])) * y / len(x)
            return {"w": x.T @ d, "b": np.array([d.sum()])}

        return loss, back

    kinds = {
        "hinge": make(lambda f: np.maximum(1 - f, 0), lambda f: -1.0 * (f < 1)),
        "perceptron": make(lambda f: np.maximum(-f, 0), lambda f: -1.0 * (f < 0)),
        "squared-hinge": make(lambda f: np.maximum(1 - f, 0) ** 2, lambda f: -2 * np.maximum(1 - f, 0)),
        "logistic": make(lambda f: np.logaddexp(0, -f), lambda f: -sigmoid(-f)),
        "exponential": make(lambda f: np.exp(-f), lambda f: -np.exp(-f)),
        "ramp": make(lambda f: np.clip(1 - f, 0, 2), lambda f: -1.0 * (np.abs(f) < 1)),
        "absolute": make(lambda f: np.abs(1 - f), lambda f: -np.sign(1 - f)),
        "constant": make(lambda f: -f, lambda f: -np.ones_like(f)),
    }
    data: dict[str, Any] = {"data": (x, y), "examples_axis": 0}
    for name, (loss, back) in kinds.items():
        out.append(_case("losses", f"right-{name}", loss, back, back, q, **data))
        for other, (_, spoilt) in kinds.items():
            if other != name:
                out.append(
                    _case(
                        "losses",
                        f"{name}-back-{other}",
                        loss,
                        spoilt,
                        back,
                        q,
                        "other-loss|upstream unexplained region",
                        **data,
                    )
                )
    tanh_cost, tanh_right = net(lambda z: 1 - np.tanh(z) ** 2, np.tanh)
    for name, change in {
        "sign-of-gradient": np.sign,
        "quantised": lambda a: np.round(a, 2),
        "constant": lambda a: np.full_like(a, 0.1),
        "first-call": lambda a: np.cos(np.arange(a.size)).reshape(a.shape),
    }.items():
        fault = _then(tanh_right, lambda g, c=change: {k: c(v) for k, v in g.items()})  # type: ignore[misc]
        out.append(
            _case(
                "losses",
                f"net-{name}",
                tanh_cost,
                fault,
                tanh_right,
                p,
                "unexplained precision clipped stale|upstream",
                **batch,
            )
        )
    return out
