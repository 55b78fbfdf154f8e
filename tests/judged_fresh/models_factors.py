"""Products of factors: a contrastive pair of encoders, a factorisation machine, a matrix factorisation."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params, sigmoid, softmax


def _nce_make(rng: Generator) -> tuple[Params, Data]:
    """Two linear encoders and a learnt log temperature; pairs of examples."""
    return {"A": rng.normal(size=(3, 4)), "B": rng.normal(size=(3, 5)), "s": np.array([0.5])}, (
        rng.normal(size=(6, 4)),
        rng.normal(size=(6, 5)),
    )


def _nce_f(p: Params, x: Array, y: Array) -> Any:
    """Both codes on the unit sphere, and the norms that they had."""
    a = x @ p["A"].T
    b = y @ p["B"].T
    na = np.sqrt((a * a).sum(1, keepdims=True))
    nb = np.sqrt((b * b).sum(1, keepdims=True))
    return a / na, b / nb, na, nb


def _nce_cost(p: Params, x: Array, y: Array) -> Any:
    """InfoNCE in both directions."""
    a, b, _, _ = _nce_f(p, x, y)
    S = np.exp(p["s"]) * a @ b.T
    i = np.arange(len(x))
    return -0.5 * (np.log(softmax(S, 1)[i, i]) + np.log(softmax(S, 0)[i, i])).mean()


def _nce_grad(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Back through the scores, and through the projection onto the sphere."""
    a, b, na, nb = _nce_f(p, x, y)
    N = len(x)
    C = a @ b.T
    S = np.exp(p["s"]) * C
    one = np.eye(N)
    dS = (softmax(S, 1) - one + softmax(S, 0) - one) / (2 * N)
    if bug == "oneside":
        dS = (softmax(S, 1) - one) / (2 * N)
    if bug == "noI":
        dS = (softmax(S, 1) - one + softmax(S, 0)) / (2 * N)
    if bug == "x2":
        dS = 2 * dS
    ds = (dS * S).sum()
    if bug == "s_log":
        ds = (dS * C).sum()
    dC = dS * np.exp(p["s"])
    if bug == "notemp":
        dC = dS
    da = dC @ b
    db = dC.T @ a
    if bug == "dC_noT":
        db = dC @ a
    if bug == "detachb":
        db = db * 0
    pa = (da - a * (a * da).sum(1, keepdims=True)) / na
    pb = (db - b * (b * db).sum(1, keepdims=True)) / nb
    if bug == "noproj":
        pa = da / na
    if bug == "nonorm":
        pb = db - b * (b * db).sum(1, keepdims=True)
    if bug == "wrongn":
        pa = (da - a * (a * da).sum(1, keepdims=True)) / nb
    gA = pa.T @ x
    gB = pb.T @ y
    if bug == "row":
        gA[1] = -gA[1]
    if bug == "el":
        gB[2, 3] *= 1.01
    return {"A": gA, "B": gB, "s": np.array([ds])}


INFONCE = Model(
    name="infonce",
    make=_nce_make,
    cost=_nce_cost,
    grad=_nce_grad,
    mistakes={
        "oneside": "missing-path other-loss upstream",
        "noI": "missing-path other-loss upstream",
        "x2": "factor",
        "s_log": "factor parametrisation",
        "notemp": "configuration factor upstream",
        "dC_noT": "transposed upstream",
        "detachb": "zero",
        "noproj": "missing-path",
        "nonorm": "factor missing-path",
        "wrongn": "wrong-cache",
        "row": "region sign",
        "el": "factor region",
    },
    steps=6,
)


def _fm_make(rng: Generator) -> tuple[Params, Data]:
    """Bias, linear weights and factors; sparse features, labels of 0 and 1."""
    return {"w0": np.array(rng.normal() * 0.3), "w": rng.normal(size=6) * 0.5, "V": rng.normal(size=(6, 3)) * 0.5}, (
        rng.normal(size=(10, 6)) * (rng.random((10, 6)) < 0.7),
        rng.integers(0, 2, 10) * 1.0,
    )


def _fm_s(p: Params, X: Array) -> Any:
    """Score (Rendle 2010, equation 5) and the factors' sums."""
    q = X @ p["V"]
    return p["w0"] + X @ p["w"] + 0.5 * (q**2 - (X**2) @ (p["V"] ** 2)).sum(1), q


def _fm_cost(p: Params, X: Array, y: Array, l2: float = 0.3) -> Any:
    """Mean logistic loss and L2 of weights and factors."""
    s, _ = _fm_s(p, X)
    return np.mean(np.logaddexp(0, s) - y * s) + l2 / (2 * len(y)) * ((p["w"] ** 2).sum() + (p["V"] ** 2).sum())


def _fm_grad(p: Params, X: Array, y: Array, l2: float = 0.3, bug: str = "") -> Params:
    """Back through the pairwise term."""
    s, q = _fm_s(p, X)
    N = len(y)
    d = (sigmoid(s) - y) / N
    if bug == "sign":
        d = -d
    if bug == "noN":
        d = d * N
    if bug == "twice":
        d = d * sigmoid(s) * (1 - sigmoid(s))
    g = {"w0": np.array(d.sum()), "w": X.T @ d, "V": X.T @ (d[:, None] * q) - p["V"] * ((X**2).T @ d)[:, None]}
    if bug == "noself":
        g["V"] = X.T @ (d[:, None] * q)
    if bug == "selfx":
        g["V"] = X.T @ (d[:, None] * q) - p["V"] * (X.T @ d)[:, None]
    if bug == "w0first":
        g["w0"] = np.array(d[0])
    if bug == "w0mean":
        g["w0"] = np.array(d.mean())
    c = l2 / N
    for k in "wV":
        if bug == "l2" + k:
            continue
        g[k] = g[k] + {"l2dbl": 2, "l2neg": -1, "l2noN": N}.get(bug, 1) * c * p[k]
    if bug == "l2b":
        g["w0"] = g["w0"] + c * p["w0"]
    if bug == "sgd":
        g["V"][:, 2] = 0
    if bug == "eps":
        g["w"] *= 1.0003
    return g


FM = Model(
    name="fm",
    make=_fm_make,
    cost=_fm_cost,
    grad=_fm_grad,
    mistakes={
        "sign": "sign upstream",
        "noN": "factor upstream",
        "twice": "activation-derivative other-loss upstream",
        "noself": "missing-path",
        "selfx": "wrong-cache",
        "w0first": "bias-reduction",
        "w0mean": "bias-reduction factor",
        "l2w": "regulariser",
        "l2V": "regulariser",
        "l2dbl": "regulariser",
        "l2neg": "regulariser",
        "l2noN": "regulariser",
        "l2b": "regulariser",
        "sgd": "region zero",
        "eps": "factor",
    },
    options={"l2": 0.3},
)


def _mf_make(rng: Generator) -> tuple[Params, Data]:
    """Factors and biases of users and items; ratings as triples, some users and items several times."""
    n = 14
    return {
        "P": rng.normal(size=(4, 2)),
        "Q": rng.normal(size=(5, 2)),
        "bu": rng.normal(size=4) * 0.4,
        "bi": rng.normal(size=5) * 0.4,
        "mu": np.array([0.5]),
    }, (rng.integers(0, 4, n), rng.integers(0, 5, n), rng.normal(size=n) + 1)


def _mf_e(p: Params, user: Array, i: Array, y: Array) -> Any:
    """Residuals of the observed ratings."""
    return p["mu"][0] + p["bu"][user] + p["bi"][i] + (p["P"][user] * p["Q"][i]).sum(1) - y


def _mf_cost(p: Params, user: Array, i: Array, y: Array, lambda_: float = 0.1) -> Any:
    """Mean squared residual and L2 of the factors."""
    return (_mf_e(p, user, i, y) ** 2).mean() + lambda_ * ((p["P"] ** 2).sum() + (p["Q"] ** 2).sum())


def _mf_grad(p: Params, user: Array, i: Array, y: Array, lambda_: float = 0.1, bug: str = "") -> Params:
    """Scattered back to the users and items that occur."""
    e = 2 * _mf_e(p, user, i, y) / len(y)
    g = {k: np.zeros_like(v) for k, v in p.items()}
    if bug == "half":
        e = e / 2
    if bug == "fancyP":
        g["P"][user] += e[:, None] * p["Q"][i]
    else:
        np.add.at(g["P"], user, e[:, None] * p["Q"][i])
    np.add.at(g["Q"], i, e[:, None] * (p["P"][user] - 0.1 * g["P"][user] if bug == "early" else p["P"][user]))
    if bug == "fancyb":
        g["bi"][i] = e
    else:
        np.add.at(g["bi"], i, e)
    np.add.at(g["bu"], i % 4 if bug == "wrongidx" else user, e)
    g["mu"] = np.array([e.mean() if bug == "mumean" else e.sum()])
    if bug != "noregP":
        g["P"] += (1 if bug == "regh" else 2) * lambda_ * p["P"]
    if bug != "noregQ":
        g["Q"] += 2 * lambda_ * p["Q"]
    if bug == "user3":
        g["P"][3] = 0
    if bug == "regb":
        g["bu"] += 2 * lambda_ * p["bu"]
    if bug == "flip":
        g["bi"] = g["bi"][::-1]
    if bug == "neg":
        g = {k: -v for k, v in g.items()}
    return g


MF = Model(
    name="mf",
    make=_mf_make,
    cost=_mf_cost,
    grad=_mf_grad,
    mistakes={
        "half": "factor regulariser",
        "fancyP": "overwritten",
        "early": "early-update",
        "fancyb": "overwritten",
        "wrongidx": "permuted wrong-cache",
        "mumean": "bias-reduction factor",
        "noregP": "regulariser",
        "noregQ": "regulariser",
        "regh": "regulariser",
        "user3": "region zero",
        "regb": "regulariser",
        "flip": "permuted",
        "neg": "sign",
    },
    options={"lambda_": 0.1},
)

MODELS = (INFONCE, FM, MF)
