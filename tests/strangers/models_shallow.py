"""Shallow models: factorisation machine, softmax and Poisson regression, matrix factorisation, splines."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Array, Case, build, noisy, on, sigmoid, softmax

Params = dict[str, Array]


def fm_loss(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Logistic loss of a factorisation machine, labels -1 and 1."""
    s = x @ p["V"]
    f = p["w0"] + x @ p["w"] + 0.5 * (s**2 - x**2 @ p["V"] ** 2).sum(1)
    return float(np.logaddexp(0, -y * f).mean())


def fm_decay(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Decay of w and V."""
    return float(lambd / (2 * len(x)) * ((p["w"] ** 2).sum() + (p["V"] ** 2).sum()))


def fm_cost(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Both."""
    return fm_loss(p, x, y) + fm_decay(p, x, y, lambd)


def fm_grads(p: Params, x: Array, y: Array, lambd: float = 0.0, bug: str = "") -> Params:
    """Gradient by hand."""
    m = len(x)
    s = x @ p["V"]
    f = p["w0"] + x @ p["w"] + 0.5 * (s**2 - x**2 @ p["V"] ** 2).sum(1)
    d = -y * sigmoid(-y * f) / m
    if bug == "squared-error":
        d = (sigmoid(f) - (y + 1) / 2) * sigmoid(f) * sigmoid(-f) / m
    if bug == "labels-01":
        d = (sigmoid(f) - y) / m
    if bug == "margin-unsigned":
        d = -sigmoid(-y * f) / m
    if bug == "hinge":
        d = -y * (y * f < 1) / m
    v = x.T @ (d[:, None] * s) - (x**2).T @ d[:, None] * p["V"]
    if bug == "self-term-lost":
        v = x.T @ (d[:, None] * s)
    if bug == "self-term-half":
        v = x.T @ (d[:, None] * s) - 0.5 * (x**2).T @ d[:, None] * p["V"]
    if bug == "self-term-unsquared":
        v = x.T @ (d[:, None] * s) - x.T @ d[:, None] * p["V"]
    if bug == "half-kept":
        v = v / 2
    r = lambd / m
    decay = {"decay-none-V": 0, "decay-2-V": 2, "decay-m-V": m, "decay-sign-V": -1}.get(bug, 1)
    w0 = {"w0-mean": d.mean(), "w0-first": d[0]}.get(bug, d.sum())
    if bug == "w0-decayed":
        w0 = w0 + r * p["w0"]
    return {"w0": np.asarray(w0), "w": x.T @ d + r * p["w"], "V": v + decay * r * p["V"]}


def soft_cost(
    p: Params, x: Array, y: Array, weights: Array, lambd: float = 0.0, temp: float = 1.0, smooth: float = 0.0
) -> float:
    """Weighted cross-entropy with temperature and label smoothing, rows as examples."""
    k = p["b"].size
    q = softmax((x @ p["W"] + p["b"]) / temp)
    t = (1 - smooth) * np.eye(k)[y] + smooth / k
    return float(-(weights[y][:, None] * t * np.log(q)).sum() / len(x) + 0.5 * lambd * (p["W"] ** 2).sum())


def soft_grads(
    p: Params,
    x: Array,
    y: Array,
    weights: Array,
    lambd: float = 0.0,
    temp: float = 1.0,
    smooth: float = 0.0,
    bug: str = "",
) -> Params:
    """Gradient by hand."""
    k, m = p["b"].size, len(x)
    q = softmax((x @ p["W"] + p["b"]) / (1 if bug == "cold-softmax" else temp))
    t = (1 - smooth) * np.eye(k)[y] + smooth / k
    if bug == "no-smoothing":
        t = np.eye(k)[y]
    d = q - t
    if bug == "sigmoid-jacobian":
        d = d * q * (1 - q)
    if bug == "weights-by-column":
        d = d * weights / m
    elif bug == "weights-lost":
        d = d / m
    else:
        d = d * weights[y][:, None] / m
    if bug != "temp-lost":
        d = d / temp
    if bug == "temp-multiplied":
        d = d * temp**2
    if bug == "padding-row":
        d[-2:] = 0
    w = x.T @ d + (0 if bug == "decay-lost" else lambd) * p["W"]
    if bug == "decay-bias-row":
        return {"W": w, "b": d.sum(0) + lambd * p["b"]}
    if bug == "decay-ones-b":
        return {"W": w, "b": d.sum(0) + lambd}
    b = {"b-mean": d.mean(0), "b-total": np.full(k, d.sum()), "b-last": d[-1], "b-axis": w.sum(0)}.get(bug, d.sum(0))
    return {"W": w, "b": b}


def poisson_fit(p: Params, x: Array, y: Array, n: Array, alpha: float = 0.0, l2: float = 0.0) -> float:
    """Negative log likelihood with exposure n."""
    eta = x @ p["beta"] + p["icpt"] + np.log(n)
    return float((np.exp(eta) - y * eta).mean())


def poisson_lasso(p: Params, x: Array, y: Array, n: Array, alpha: float = 0.0, l2: float = 0.0) -> float:
    """Lasso term."""
    return float(alpha * np.abs(p["beta"]).sum())


def poisson_ridge(p: Params, x: Array, y: Array, n: Array, alpha: float = 0.0, l2: float = 0.0) -> float:
    """Ridge term, without the half."""
    return float(l2 * (p["beta"] ** 2).sum())


def poisson_cost(p: Params, x: Array, y: Array, n: Array, alpha: float = 0.0, l2: float = 0.0) -> float:
    """All three."""
    return poisson_fit(p, x, y, n) + poisson_lasso(p, x, y, n, alpha) + poisson_ridge(p, x, y, n, 0, l2)


def poisson_grads(
    p: Params, x: Array, y: Array, n: Array, alpha: float = 0.0, l2: float = 0.0, bug: str = ""
) -> Params:
    """Gradient by hand."""
    mu = np.exp(x @ p["beta"] + p["icpt"] + (0 if bug == "exposure-lost" else np.log(n)))
    d = (mu - y) / len(x)
    if bug == "identity-link":
        d = (1 - y / mu) / len(x)
    if bug == "squared-error":
        d = (mu - y) * mu / len(x)
    one = 0 if bug == "l1-lost" else alpha
    two = {"l2-half": 1, "l2-lost": 0, "l2-sign": -2}.get(bug, 2) * l2
    shape = {"l1-ones": np.ones_like(p["beta"]), "l1-identity": p["beta"]}.get(bug, np.sign(p["beta"]))
    beta = x.T @ d + one * shape + two * p["beta"]
    icpt = d.sum()
    if bug == "icpt-decayed":
        icpt = icpt + 2 * l2 * p["icpt"] + alpha * np.sign(p["icpt"])
    if bug == "icpt-mean":
        icpt = d.mean()
    return {"beta": beta, "icpt": np.asarray(icpt)}


def mf_cost(p: Params, u: Array, i: Array, y: Array, lambd: float = 0.0) -> float:
    """Logistic matrix factorisation over observed pairs, decay per observation."""
    f = (p["U"][u] * p["V"][i]).sum(1) + p["bu"][u] + p["bi"][i] + p["mu"]
    reg = (p["U"][u] ** 2).sum() + (p["V"][i] ** 2).sum()
    return float((np.logaddexp(0, f) - y * f).sum() / len(u) + 0.5 * lambd * reg / len(u))


def mf_grads(p: Params, u: Array, i: Array, y: Array, lambd: float = 0.0, bug: str = "") -> Params:
    """Gradient by hand."""
    m = len(u)
    f = (p["U"][u] * p["V"][i]).sum(1) + p["bu"][u] + p["bi"][i] + p["mu"]
    d = ((f > 0) if bug == "hard-sigmoid" else sigmoid(f)) - y
    d = d / m
    g = {k: np.zeros_like(v) for k, v in p.items()}
    reg = 0 if bug == "decay-lost" else lambd / m
    du, dv = d[:, None] * p["V"][i] + reg * p["U"][u], d[:, None] * p["U"][u] + reg * p["V"][i]
    if bug == "decay-all":
        du, dv = d[:, None] * p["V"][i], d[:, None] * p["U"][u]
        g["U"] += lambd * p["U"] / m
        g["V"] += lambd * p["V"] / m
    if bug == "U-for-V":
        du = d[:, None] * p["U"][u] + reg * p["U"][u]
    if bug == "overwritten-U":
        g["U"][u] += du
    elif bug == "assigned-U":
        g["U"][u] = du
    else:
        np.add.at(g["U"], u, du)
    if bug == "V-by-user":
        np.add.at(g["V"], u % len(g["V"]), dv)
    elif bug == "overwritten-V":
        g["V"][i] += dv
    else:
        np.add.at(g["V"], i, dv)
    np.add.at(g["bu"], u, d)
    if bug == "overwritten-bi":
        g["bi"][i] += d
    else:
        np.add.at(g["bi"], i, d)
    g["mu"] = np.array([d.mean() if bug == "mu-mean" else d.sum()])
    if bug == "bu-by-count":
        g["bu"] /= np.maximum(1, np.bincount(u, minlength=len(g["bu"])))
    if bug == "early-U":
        moved = p["U"] - 0.1 * g["U"]
        g["V"][:] = 0
        np.add.at(g["V"], i, d[:, None] * moved[u] + reg * p["V"][i])
    return g


def spline_cost(p: Params, x: Array, y: Array, delta: float = 1.0) -> float:
    """Huber loss of a cubic spline with free knots."""
    r = _spline(p, x) - y
    return float(np.where(np.abs(r) < delta, 0.5 * r**2, delta * (np.abs(r) - delta / 2)).mean())


def _spline(p: Params, x: Array) -> Array:
    poly: Array = np.polynomial.polynomial.polyval(x, p["poly"])
    cubic: Array = np.maximum(x[:, None] - p["knots"], 0) ** 3 @ p["coef"]
    return poly + cubic


def spline_grads(p: Params, x: Array, y: Array, delta: float = 1.0, bug: str = "") -> Params:
    """Gradient by hand."""
    r = _spline(p, x) - y
    edge = 0.5 * delta if bug == "huber-edge" else delta
    d = np.clip(r, -edge, edge) / len(x)
    if bug == "squared":
        d = r / len(x)
    if bug == "absolute":
        d = np.sign(r) / len(x)
    h = np.maximum(x[:, None] - p["knots"], 0)
    if bug == "no-positive-part":
        h = x[:, None] - p["knots"]
    knots = -3 * p["coef"] * (d @ h**2)
    knots = {
        "knots-sign": -knots,
        "power-lost": knots / 3,
        "coef-lost": -3 * (d @ h**2),
        "square-lost": -3 * p["coef"] * (d @ h),
        "last-knot": knots * (np.arange(knots.size) < knots.size - 1),
    }.get(bug, knots)
    poly = d @ x[:, None] ** np.arange(4)
    if bug == "reversed-poly":
        poly = poly[::-1].copy()
    if bug == "rolled-poly":
        poly = np.roll(poly, 1)
    return {"poly": poly, "coef": d @ h**3, "knots": knots}


def cases(seed: int) -> list[Case]:
    """All five models."""
    rng = np.random.default_rng(seed)
    m = 11
    x = rng.normal(size=(m, 6)) * (rng.random((m, 6)) < 0.7)
    y = rng.choice([-1.0, 1.0], m)
    y[:2] = 1, -1
    p: dict[str, Any] = {"w0": np.array(0.2), "w": rng.normal(size=6), "V": rng.normal(size=(6, 3)) * 0.6}
    reg, path, loss, bias = "regulariser", "missing-path", "other-loss", "bias-reduction"
    out = build(
        "fm",
        fm_cost,
        fm_grads,
        p,
        {
            "squared-error": (loss, ""),
            "labels-01": (loss, ""),
            "margin-unsigned": (loss, "region sign"),
            "hinge": (loss, ""),
            "self-term-lost": (path, ""),
            "self-term-half": (path, ""),
            "self-term-unsquared": ("wrong-cache unexplained", path),
            "half-kept": ("factor", ""),
            "decay-none-V": (reg, ""),
            "decay-2-V": (reg, ""),
            "decay-m-V": (reg, ""),
            "decay-sign-V": (reg, ""),
            "w0-mean": (bias, "factor"),
            "w0-first": (bias, ""),
            "w0-decayed": (reg, "factor"),
        },
        data=(x, y),
        axis=0,
        options={"lambd": 0.7},
        terms={"loss": fm_loss, "decay": fm_decay},
        post={
            "V-column": (on("V", lambda a: a * [1, 0, 1]), "region", ""),
            "w-reversed": (on("w", lambda a: a[::-1]), "permuted", ""),
            "w-one": (on("w", lambda a: a + np.eye(6)[3] * 0.3), "region", "unexplained"),
            "V-noise": (on("V", noisy(1e-3)), "unexplained", "precision"),
            "w-normalised": (on("w", lambda a: a / np.linalg.norm(a)), "clipped", "factor"),
        },
    )
    k = 4
    p = {"W": rng.normal(size=(6, k)) * 0.5, "b": rng.normal(size=k)}
    y, weights = np.arange(m) % k, np.array([0.5, 1.0, 2.0, 1.3])
    out += build(
        "softmax",
        soft_cost,
        soft_grads,
        p,
        {
            "cold-softmax": ("configuration " + loss, ""),
            "no-smoothing": (loss + " configuration", ""),
            "sigmoid-jacobian": (loss, ""),
            "weights-by-column": (loss + " configuration unexplained", ""),
            "weights-lost": (loss + " configuration", ""),
            "temp-lost": ("configuration", "factor"),
            "temp-multiplied": ("configuration", "factor"),
            "padding-row": ("region", path),
            "decay-lost": (reg, ""),
            "decay-bias-row": (reg, ""),
            "decay-ones-b": (reg, ""),
            "b-mean": (bias, "factor"),
            "b-total": (bias, ""),
            "b-last": (bias, ""),
            "b-axis": (bias, ""),
        },
        data=(x, y, weights),
        axis=0,
        options={"lambd": 0.2, "temp": 1.7, "smooth": 0.1},
        extra={"data_a": (x, y), "args": "weights"},
        post={
            "b-sign": (on("b", lambda a: -a), "sign", ""),
            "clip": (lambda g: {q: np.clip(v, -0.05, 0.05) for q, v in g.items()}, "clipped", ""),
            "half": (lambda g: {q: v.astype(np.float16).astype(float) for q, v in g.items()}, "precision", ""),
            "W-two-rows": (on("W", lambda a: a[[1, 0, 2, 3, 4, 5]]), "permuted", ""),
        },
    )
    out = [_weights_as_option(c) if c.model == "softmax" else c for c in out]
    y, n = rng.poisson(2.0, m).astype(float), rng.uniform(0.5, 3, m)
    p = {"beta": rng.normal(size=6) * 0.3, "icpt": np.array(0.4)}
    out += build(
        "poisson",
        poisson_cost,
        poisson_grads,
        p,
        {
            "exposure-lost": (loss + " unexplained", ""),
            "identity-link": (loss + " parametrisation", ""),
            "squared-error": (loss, ""),
            "l1-lost": (reg, "missing-path"),
            "l2-half": (reg, ""),
            "l2-lost": (reg, ""),
            "l2-sign": (reg, ""),
            "l1-ones": (reg, "configuration"),
            "l1-identity": (reg, ""),
            "icpt-decayed": (reg + " unexplained", "factor"),
            "icpt-mean": (bias, "factor"),
        },
        data=(x, y, n),
        axis=0,
        options={"alpha": 0.25, "l2": 0.15},
        steps=10,
        rate=0.02,
        terms={"fit": poisson_fit, "lasso": poisson_lasso, "ridge": poisson_ridge},
        post={
            "beta-offset": (on("beta", lambda a: a + 0.01), "unexplained", reg),
            "log-beta": (on("beta", lambda a, b=p["beta"]: a * b), "parametrisation unexplained", ""),  # type: ignore[misc]
            "icpt-zero": (on("icpt", lambda a: 0 * a), "zero", ""),
            "icpt-off": (on("icpt", lambda a: a * 1.2345), "factor", "unexplained"),
        },
    )
    u, i = rng.integers(0, 5, 24), rng.integers(0, 6, 24)
    y = (rng.random(24) < 0.5).astype(float)
    p = {"U": rng.normal(size=(6, 3)), "V": rng.normal(size=(6, 3)), "bu": rng.normal(size=6), "bi": rng.normal(size=6)}
    p["mu"] = np.array([0.1])
    over = "overwritten"
    out += build(
        "logistic-mf",
        mf_cost,
        mf_grads,
        p,
        {
            "hard-sigmoid": (loss, ""),
            "decay-lost": (reg, "missing-path"),
            "decay-all": (reg, ""),
            "U-for-V": ("wrong-cache", ""),
            "overwritten-U": (over, ""),
            "assigned-U": (over, ""),
            "V-by-user": ("permuted wrong-cache unexplained", ""),
            "overwritten-V": (over, ""),
            "overwritten-bi": (over, ""),
            "mu-mean": (bias, "factor"),
            "bu-by-count": ("unexplained", "region bias-reduction"),
            "early-U": ("early-update", ""),
        },
        data=(u, i, y),
        axis=0,
        options={"lambd": 0.4},
        post={
            "swap-U-V": (lambda g: {**g, "U": g["V"], "V": g["U"]}, "swapped", ""),
            "swap-bu-bi": (lambda g: {**g, "bu": g["bi"], "bi": g["bu"]}, "swapped", ""),
            "bu-centred": (on("bu", lambda a: a - a.mean()), "unexplained", ""),
            "U-rolled": (on("U", lambda a: np.roll(a, 1, 0)), "permuted", ""),
            "mu-negative": (on("mu", lambda a: -a), "sign", ""),
        },
    )
    x, p = np.sort(rng.uniform(-2, 2, 30)), {"poly": rng.normal(size=4), "coef": rng.normal(size=3)}
    p["knots"] = np.array([-1.03, 0.07, 0.91])
    y = np.sin(2 * x) * 2 + rng.normal(size=30)
    out += build(
        "spline",
        spline_cost,
        spline_grads,
        p,
        {
            "huber-edge": (loss + " clipped configuration unexplained", ""),
            "squared": (loss, "configuration"),
            "absolute": (loss, ""),
            "no-positive-part": ("unexplained region", ""),
            "knots-sign": ("sign", ""),
            "power-lost": ("factor", ""),
            "coef-lost": ("unexplained parametrisation", ""),
            "square-lost": ("unexplained", "activation-derivative"),
            "last-knot": ("region", "zero"),
            "reversed-poly": ("permuted", ""),
            "rolled-poly": ("permuted", ""),
        },
        data=(x, y),
        axis=0,
        options={"delta": 0.8},
        rate=0.003,
        steps=20,
        post={
            "coef-zero": (on("coef", lambda a: 0 * a), "zero", ""),
            "coef-ten": (on("coef", lambda a: a * 10), "factor", ""),
            "poly-scaled-by-power": (
                on("poly", lambda a: a * np.arange(1, 5)),
                "unexplained",
                "parametrisation region",
            ),
        },
    )
    return out


def _weights_as_option(case: Case) -> Case:
    """Take the class weights out of the batch: they are no examples."""
    weights = case.data[2]
    case.data = case.data[:2]
    cost, grads, right = case.cost, case.grads, case.right
    case.cost = lambda p, x, y, **o: cost(p, x, y, weights, **o)
    case.grads = lambda p, x, y, **o: grads(p, x, y, weights, **o)
    case.right = lambda p, x, y, **o: right(p, x, y, weights, **o)
    case.extra = {}
    return case
