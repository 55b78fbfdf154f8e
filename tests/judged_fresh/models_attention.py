"""Causal self-attention with rotary positions, cross-attention with a padding mask, a mixture of experts."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params, softmax


def _at_make(rng: Generator) -> tuple[Params, Data]:
    """Square projections and the gain of the norm; sequences and their targets."""
    N, T, D = 3, 5, 4
    return {
        "Wq": rng.normal(size=(D, D)) * 0.7,
        "Wk": rng.normal(size=(D, D)) * 0.7,
        "Wv": rng.normal(size=(D, D)) * 0.7,
        "Wo": rng.normal(size=(D, D)) * 0.7,
        "g": 1 + 0.3 * rng.normal(size=D),
    }, (rng.normal(size=(N, T, D)) * 1.3, rng.normal(size=(N, T, D)))


def _rope(x: Array, s: int = 1) -> Any:
    """Rotary positions on pairs of features; ``s=-1`` turns back."""
    T, D = x.shape[-2:]
    th = np.arange(T)[:, None] * np.array([1.0, 0.3])[: D // 2]
    c, q = np.cos(th), s * np.sin(th)
    a, b = x[..., ::2], x[..., 1::2]
    return np.stack([a * c - b * q, a * q + b * c], -1).reshape(x.shape)


def _at_fw(p: Params, x: Array) -> Any:
    """RMSNorm, causal attention with rotary queries and keys, residual."""
    T, D = x.shape[1:]
    rs = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    n = x * rs * p["g"]
    q0, k0, v = n @ p["Wq"], n @ p["Wk"], n @ p["Wv"]
    q, k = _rope(q0), _rope(k0)
    M = np.tril(np.ones((T, T))) > 0
    S = np.where(M, q @ k.swapaxes(1, 2) / np.sqrt(D), -1e30)
    A = softmax(S)
    c = A @ v
    y = x + c @ p["Wo"]
    return rs, n, q0, k0, q, k, v, M, A, c, y


def _at_cost(p: Params, x: Array, t: Array) -> Any:
    """Half the mean squared error."""
    return 0.5 * np.mean((_at_fw(p, x)[-1] - t) ** 2)


def _at_grad(p: Params, x: Array, t: Array, bug: str = "") -> Params:
    """Back through attention; the norm's input is data."""
    rs, n, _q0, k0, q, k, v, M, A, c, y = _at_fw(p, x)
    D = x.shape[-1]
    dy = (y - t) / y.size
    if bug == "x2":
        dy = 2 * dy
    gWo = np.einsum("ntd,nte->de", c, dy)
    dc = dy @ p["Wo"].T
    if bug == "WoT":
        dc = dy @ p["Wo"]
    dA = dc @ v.swapaxes(1, 2)
    dv = A.swapaxes(1, 2) @ dc
    if bug == "A_noT":
        dv = A @ dc
    dS = A * (dA - (dA * A).sum(-1, keepdims=True))
    if bug == "diag":
        dS = A * (1 - A) * dA
    if bug == "nojac":
        dS = np.where(M, A * dA, 0)
    if bug == "axis":
        dS = A * (dA - (dA * A).sum(-2, keepdims=True))
    if bug == "mask1":
        dS = dS * np.tril(np.ones(M.shape), -1)
    if bug != "noscale":
        dS = dS / np.sqrt(D)
    dq, dk = dS @ k, dS.swapaxes(1, 2) @ q
    if bug == "k_unrot":
        dq = dS @ k0
    if bug == "norope":
        dq0, dk0 = dq, dk
    elif bug == "ropesign":
        dq0, dk0 = _rope(dq), _rope(dk)
    elif bug == "ropek":
        dq0, dk0 = _rope(dq, -1), dk
    else:
        dq0, dk0 = _rope(dq, -1), _rope(dk, -1)

    def weights(d: Array) -> Any:
        return np.einsum("ntd,nte->de", n, d)

    g = {"Wq": weights(dq0), "Wk": weights(dk0), "Wv": weights(dv), "Wo": gWo}
    dn = dq0 @ p["Wq"].T + dk0 @ p["Wk"].T + dv @ p["Wv"].T
    if bug == "nov":
        dn = dq0 @ p["Wq"].T + dk0 @ p["Wk"].T
    g["g"] = (dn * x * rs).sum((0, 1)) if bug != "g_n" else (dn * n).sum((0, 1))
    if bug == "g_first":
        g["g"] = (dn * x * rs)[0].sum(0)
    if bug == "swapqk":
        g["Wq"], g["Wk"] = g["Wk"], g["Wq"]
    if bug == "vT":
        g["Wv"] = g["Wv"].T
    if bug == "c_v":
        g["Wo"] = np.einsum("ntd,nte->de", v, dy)
    if bug == "small":
        g["Wk"][2, 3] += 1e-3 * np.linalg.norm(g["Wk"])
    if bug == "zerok":
        g["Wk"] = g["Wk"] * 0
    return g


ATTENTION = Model(
    name="rope_attn",
    make=_at_make,
    cost=_at_cost,
    grad=_at_grad,
    mistakes={
        "x2": "factor",
        "WoT": "transposed upstream",
        "A_noT": "transposed upstream",
        "diag": "activation-derivative missing-path other-loss upstream",
        "nojac": "activation-derivative missing-path upstream",
        "axis": "bias-reduction missing-path transposed wrong-cache upstream",
        "mask1": "region upstream",
        "noscale": "factor upstream",
        "k_unrot": "wrong-cache upstream",
        "norope": "missing-path wrong-cache upstream",
        "ropesign": "missing-path sign wrong-cache upstream",
        "ropek": "missing-path wrong-cache upstream",
        "nov": "missing-path",
        "g_n": "factor parametrisation wrong-cache",
        "g_first": "bias-reduction",
        "swapqk": "swapped",
        "vT": "transposed",
        "c_v": "wrong-cache",
        "small": "region",
        "zerok": "zero",
    },
)


def _ca_make(rng: Generator) -> tuple[Params, Data]:
    """Two heads and a learnt log temperature; queries, memory, padding mask, targets."""
    N, Q, K, D, h = 3, 2, 4, 4, 2
    L = rng.integers(2, K + 1, N)
    L[0] = 2
    mask = np.arange(K) < L[:, None]
    return {
        "Q": rng.normal(size=(h, D, 2)) * 0.8,
        "K": rng.normal(size=(h, D, 2)) * 0.8,
        "V": rng.normal(size=(h, D, 3)) * 0.8,
        "O": rng.normal(size=(h, 3, 2)) * 0.8,
        "ob": rng.normal(size=(1, 2)),
        "tau": np.array([0.2 * rng.normal()]),
    }, (rng.normal(size=(N, Q, D)), rng.normal(size=(N, K, D)), mask, rng.normal(size=(N, Q, 2)))


def _ca_fw(p: Params, x: Array, m: Array, mask: Array) -> Any:
    """Scores times the temperature, softmax over what is no padding."""
    q = np.einsum("nqd,hde->nhqe", x, p["Q"])
    k = np.einsum("nkd,hde->nhke", m, p["K"])
    v = np.einsum("nkd,hdf->nhkf", m, p["V"])
    B = np.einsum("nhqe,nhke->nhqk", q, k)
    S = B * np.exp(p["tau"])
    A = softmax(np.where(mask[:, None, None, :], S, -np.inf))
    c = np.einsum("nhqk,nhkf->nhqf", A, v)
    return q, k, v, S, A, c, np.einsum("nhqf,hfo->nqo", c, p["O"]) + p["ob"]


def _ca_cost(p: Params, x: Array, m: Array, mask: Array, t: Array) -> Any:
    """Half the squared error by example."""
    return ((_ca_fw(p, x, m, mask)[-1] - t) ** 2).sum() / (2 * len(x))


def _ca_grad(p: Params, x: Array, m: Array, mask: Array, t: Array, bug: str = "") -> Params:
    """Back through the masked attention of each head."""
    q, k, v, S, A, c, y = _ca_fw(p, x, m, mask)
    d = (y - t) / len(x)
    if bug == "neg":
        d = -d
    g = {"ob": d.sum((0, 1))[None], "O": np.einsum("nhqf,nqo->hfo", c, d)}
    dc = np.einsum("nqo,hfo->nhqf", d, p["O"])
    dv = np.einsum("nhqk,nhqf->nhkf", A, dc)
    dA = np.einsum("nhqf,nhkf->nhqk", dc, v)
    if bug == "A_unmasked":
        A = softmax(S)
    if bug == "dv_unmasked":
        dv = np.einsum("nhqk,nhqf->nhkf", softmax(S), dc)
    if bug == "head0":
        dA[:, 1] = dA[:, 0]
    dS = A * (dA - (A * dA).sum(-1, keepdims=True))
    if bug == "dS_noA":
        dS = (dA - (A * dA).sum(-1, keepdims=True)) * mask[:, None, None, :]
    g["tau"] = np.array([(dS * S).sum()])
    if bug == "tau_log":
        g["tau"] = g["tau"] * np.exp(-p["tau"])
    if bug == "tau_mean":
        g["tau"] = g["tau"] / len(x)
    dB = dS * np.exp(p["tau"]) if bug != "notau" else dS
    dq = np.einsum("nhqk,nhke->nhqe", dB, k)
    dk = np.einsum("nhqk,nhqe->nhke", dB, q if bug != "kq" else q[:, ::-1])
    g["Q"] = np.einsum("nqd,nhqe->hde", x, dq)
    g["K"] = np.einsum("nkd,nhke->hde", m, dk)
    g["V"] = np.einsum("nkd,nhkf->hdf", m, dv)
    if bug == "q0":
        g["Q"] = np.einsum("nd,nhe->hde", x[:, 0], dq[:, 0])
    if bug == "h1zero":
        g["V"][1] = 0
    if bug == "hswap":
        g["O"] = g["O"][::-1]
    if bug == "sw":
        g["Q"], g["K"] = g["K"], g["Q"]
    if bug == "obm":
        g["ob"] = d.mean((0, 1))[None]
    if bug == "transQ":
        g["Q"] = np.ascontiguousarray(g["Q"].transpose(0, 2, 1)).reshape(g["Q"].shape)
    if bug == "scal":
        g["O"] *= 0.5
    if bug == "el":
        g["V"][0, 1, 2] *= 1.005
    return g


CROSS = Model(
    name="crossattn",
    make=_ca_make,
    cost=_ca_cost,
    grad=_ca_grad,
    mistakes={
        "neg": "sign",
        "A_unmasked": "region wrong-cache upstream",
        "dv_unmasked": "region wrong-cache upstream",
        "head0": "permuted region wrong-cache upstream",
        "dS_noA": "activation-derivative missing-path wrong-cache upstream",
        "tau_log": "factor parametrisation",
        "tau_mean": "bias-reduction factor",
        "notau": "factor upstream",
        "kq": "permuted wrong-cache",
        "q0": "missing-path region truncated",
        "h1zero": "region zero",
        "hswap": "permuted",
        "sw": "swapped",
        "obm": "bias-reduction factor",
        "transQ": "permuted transposed",
        "scal": "factor",
        "el": "factor region",
    },
)


def _moe_make(rng: Generator) -> tuple[Params, Data]:
    """A softmax gate and three experts of one hidden layer; rows as examples."""
    N, D, E, H = 8, 3, 3, 4
    return {
        "G": rng.normal(size=(D, E)),
        "gb": rng.normal(size=E) * 0.3,
        "W": rng.normal(size=(E, D, H)) * 0.8,
        "b": rng.normal(size=(E, 1, H)) * 0.3,
        "v": rng.normal(size=(E, H)),
    }, (rng.normal(size=(N, D)), rng.normal(size=N))


def _moe_fw(p: Params, X: Array) -> Any:
    """Gate, hidden units, experts' outputs, their mixture."""
    P = softmax(X @ p["G"] + p["gb"], 1)
    H = np.maximum(np.einsum("nd,edh->enh", X, p["W"]) + p["b"], 0)
    f = np.einsum("enh,eh->ne", H, p["v"])
    return P, H, f, (P * f).sum(1)


def _moe_cost(p: Params, X: Array, y: Array, alpha: float = 0.7) -> Any:
    """Half the mean squared error and the load-balancing term."""
    P, _H, _f, o = _moe_fw(p, X)
    return 0.5 * np.mean((o - y) ** 2) + alpha * P.shape[1] * (P.mean(0) ** 2).sum()


def _moe_grad(p: Params, X: Array, y: Array, alpha: float = 0.7, bug: str = "") -> Params:
    """Back through the mixture; the ReLU's kinks lie elsewhere."""
    P, H, f, o = _moe_fw(p, X)
    N, E = P.shape
    d = (o - y) / N
    df = P * d[:, None]
    dP = f * d[:, None]
    if bug != "nobal":
        dP = dP + alpha * E * 2 * P.mean(0) / (1 if bug == "balN" else N)
    if bug == "balsign":
        dP = dP - 2 * alpha * E * 2 * P.mean(0) / N
    if bug == "df_nogate":
        df = np.repeat(d[:, None], E, 1)
    if bug == "top1":
        df = df * (P.max(1, keepdims=True) == P)
    dl = P * (dP - (P * dP).sum(1, keepdims=True))
    if bug == "nosm":
        dl = dP
    if bug == "diag":
        dl = P * (1 - P) * dP
    g = {"G": X.T @ dl, "gb": dl.sum(0), "v": np.einsum("ne,enh->eh", df, H)}
    dH = np.einsum("ne,eh->enh", df, p["v"]) * (H > 0)
    if bug == "norelu":
        dH = np.einsum("ne,eh->enh", df, p["v"])
    if bug == "perm":
        dH = dH[[1, 0, 2]]
    g["W"] = np.einsum("nd,enh->edh", X, dH)
    g["b"] = dH.sum(1, keepdims=True)
    if bug == "b_squeeze":
        g["b"] = dH.sum(1)
    if bug == "bmean":
        g["b"] = dH.mean(1, keepdims=True)
    if bug == "ex2":
        g["W"][2] = 0
    if bug == "gbW":
        g["gb"] = dl.mean(0)
    if bug == "GT":
        g["G"] = g["G"].T
    if bug == "vf":
        g["v"] = np.einsum("ne,enh->eh", df, np.einsum("nd,edh->enh", X, p["W"]) + p["b"])
    if bug == "halfbatch":
        g["v"] = np.einsum("ne,enh->eh", df[:4], H[:, :4])
    if bug == "unit":
        g["W"][0, :, 1] *= 1.001
    return g


MOE = Model(
    name="moe",
    make=_moe_make,
    cost=_moe_cost,
    grad=_moe_grad,
    mistakes={
        "nobal": "configuration missing-path regulariser upstream",
        "balN": "factor regulariser upstream",
        "balsign": "regulariser sign upstream",
        "df_nogate": "missing-path wrong-cache upstream",
        "top1": "missing-path region upstream",
        "nosm": "activation-derivative missing-path other-loss upstream",
        "diag": "activation-derivative missing-path other-loss upstream",
        "norelu": "activation-derivative upstream",
        "perm": "permuted upstream",
        "b_squeeze": "",
        "bmean": "bias-reduction factor",
        "ex2": "region zero",
        "gbW": "bias-reduction factor",
        "GT": "transposed",
        "vf": "wrong-cache",
        "halfbatch": "missing-path region",
        "unit": "factor region",
    },
    options={"alpha": 0.7},
)

MODELS = (ATTENTION, CROSS, MOE)
