"""Recurrent networks: a GRU, and a bidirectional net on token ids with a tied embedding."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params, sigmoid, softmax


def _gru_make(rng: Generator) -> tuple[Params, Data]:
    """Three gates and a readout of the last state; sequences and targets."""
    D, H, T, N = 3, 4, 5, 6
    p = {f"{a}{g}": rng.normal(size=s) * 0.6 for g in "zrh" for a, s in (("W", (D, H)), ("U", (H, H)), ("b", (H,)))}
    p["V"] = rng.normal(size=(H, 2))
    p["c"] = rng.normal(size=2) * 0.3
    return p, (rng.normal(size=(N, T, D)), rng.normal(size=(N, 2)))


def _gru_fw(p: Params, x: Array) -> Any:
    """Last state and what each step needs on the way back."""
    h = np.zeros((x.shape[0], p["Uz"].shape[0]), dtype=p["Uz"].dtype)
    cs = []
    for t in range(x.shape[1]):
        xt = x[:, t]
        z = sigmoid(xt @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sigmoid(xt @ p["Wr"] + h @ p["Ur"] + p["br"])
        c = np.tanh(xt @ p["Wh"] + (r * h) @ p["Uh"] + p["bh"])
        hn = (1 - z) * h + z * c
        cs.append((xt, h, z, r, c))
        h = hn
    return h, cs


def _gru_cost(p: Params, x: Array, y: Array, lambd: float = 0.3) -> Any:
    """Half the squared error by example and L2 of the matrices."""
    h, _ = _gru_fw(p, x)
    e = h @ p["V"] + p["c"] - y
    return 0.5 * (e**2).sum() / len(x) + 0.5 * lambd / len(x) * sum((v**2).sum() for k, v in p.items() if k[0] in "WUV")


def _gru_grad(p: Params, x: Array, y: Array, lambd: float = 0.3, bug: str = "") -> Params:
    """Back-propagation through time."""
    N = len(x)
    h, cs = _gru_fw(p, x)
    g = {k: np.zeros_like(v) for k, v in p.items()}
    e = (h @ p["V"] + p["c"] - y) / N
    if bug == "sign_out":
        e = -e
    if bug == "no_m":
        e = e * N
    g["V"] += h.T @ e
    g["c"] += e.sum(0)
    if bug == "c_mean":
        g["c"] = e.mean(0)
    dh = e @ p["V"].T
    for t in reversed(range(len(cs))):
        xt, h, z, r, c = cs[t]
        if bug == "trunc" and t < 2:
            break
        if bug == "cache_t2" and t == 2:
            h = cs[1][1]
        dz = dh * (c - h)
        dc = dh * z
        dhp = dh * (1 - z)
        dac = dc * (1 - c * c)
        daz = dz * z * (1 - z)
        if bug == "tanh_a":
            dac = dc * (1 - c)
        drh = dac @ p["Uh"].T
        dr = drh * h
        dhp = dhp + drh * r
        dar = dr * r * (1 - r)
        if bug == "gate_z_noderiv":
            daz = dz
        if bug == "no_skip":
            dhp = dhp - dh * (1 - z)
        if bug == "no_r_path":
            dhp = dhp - drh * r
        g["Wh"] += xt.T @ dac
        g["Uh"] += (h if bug == "Uh_h" else r * h).T @ dac
        g["bh"] += dac.sum(0)
        for n, d in (("z", daz), ("r", dar)):
            if bug == "W_over" and n == "r":
                g["Wr"] = xt.T @ d
            else:
                g["W" + n] += xt.T @ d
            g["U" + n] += h.T @ d
            g["b" + n] += d.sum(0)
            U = p["U" + n]
            dhp = dhp + d @ (U if bug == "U_noT" and n == "r" else U.T)
        dh = dhp
    for k in g:
        if k[0] in "WUV":
            if bug == "l2_missing_Uz" and k == "Uz":
                continue
            if bug == "l2_no_m":
                g[k] += lambd * p[k]
                continue
            g[k] += lambd / N * p[k]
    if bug == "swap_zr":
        g["Uz"], g["Ur"] = g["Ur"], g["Uz"]
    if bug == "one_el":
        g["Uh"][1, 2] *= 1.02
    if bug == "small_f":
        g["Wh"] *= 1.001
    return g


GRU = Model(
    name="gru",
    make=_gru_make,
    cost=_gru_cost,
    grad=_gru_grad,
    mistakes={
        "sign_out": "sign upstream",
        "no_m": "factor upstream",
        "c_mean": "bias-reduction factor",
        "trunc": "missing-path truncated",
        "cache_t2": "wrong-cache upstream",
        "tanh_a": "activation-derivative upstream",
        "gate_z_noderiv": "activation-derivative upstream",
        "no_skip": "missing-path truncated upstream",
        "no_r_path": "missing-path upstream",
        "Uh_h": "wrong-cache",
        "W_over": "missing-path overwritten truncated",
        "U_noT": "transposed upstream",
        "l2_missing_Uz": "regulariser",
        "l2_no_m": "regulariser",
        "swap_zr": "swapped",
        "one_el": "factor region",
        "small_f": "factor",
    },
    options={"lambd": 0.3},
)


def _bi_make(rng: Generator) -> tuple[Params, Data]:
    """Embedding, two recurrences, and the readout to it; token ids and the ids to predict."""
    V, D, H, N, T = 7, 3, 4, 5, 4
    p = {
        "E": rng.normal(size=(V, D)),
        "Af": rng.normal(size=(H, D)) * 0.6,
        "Rf": rng.normal(size=(H, H)) * 0.5,
        "af": rng.normal(size=H) * 0.2,
        "Ab": rng.normal(size=(H, D)) * 0.6,
        "Rb": rng.normal(size=(H, H)) * 0.5,
        "ab": rng.normal(size=H) * 0.2,
        "O": rng.normal(size=(D, 2 * H)) * 0.6,
    }
    return p, (rng.integers(0, V, (N, T)), rng.integers(0, V, (N, T)))


def _bi_fw(p: Params, x: Array) -> Any:
    """Both recurrences; logits by the embedding itself."""
    X = p["E"][x]
    N, T, _ = X.shape
    z = np.zeros((N, len(p["af"])), dtype=X.dtype)
    F, B = [z], [z]
    for t in range(T):
        F.append(np.tanh(X[:, t] @ p["Af"].T + F[-1] @ p["Rf"].T + p["af"]))
    for t in reversed(range(T)):
        B.append(np.tanh(X[:, t] @ p["Ab"].T + B[-1] @ p["Rb"].T + p["ab"]))
    S = np.concatenate([np.stack(F[1:], 1), np.stack(B[:0:-1], 1)], -1)
    Q = S @ p["O"].T
    L = Q @ p["E"].T
    return X, F, B, S, Q, softmax(L)


def _bi_cost(p: Params, x: Array, y: Array) -> Any:
    """Mean cross-entropy over examples and steps."""
    P = _bi_fw(p, x)[-1]
    return -np.log(np.take_along_axis(P, y[..., None], -1)).mean()


def _bi_grad(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Both ways back through time, and both uses of the embedding."""
    X, F, B, S, Q, P = _bi_fw(p, x)
    N, T, _ = X.shape
    H = len(p["af"])
    d = P.copy()
    np.put_along_axis(d, y[..., None], np.take_along_axis(d, y[..., None], -1) - 1, -1)
    d /= N if bug == "mean_T" else N * T
    if bug == "softmax_twice":
        d = d * P * (1 - P)
    if bug == "drop_last":
        d[-1] = 0
    g: Params = {}
    g["E"] = np.einsum("ntv,ntd->vd", d, Q)
    dQ = d @ p["E"]
    if bug == "untied":
        g["E"] = np.zeros_like(p["E"])
    g["O"] = np.einsum("ntd,nth->dh", dQ, S)
    dS = dQ @ p["O"]
    dX = np.zeros_like(X)
    for c, A, R, a, st, order in (("f", "Af", "Rf", "af", F, range(T)[::-1]), ("b", "Ab", "Rb", "ab", B, range(T))):
        g[A] = np.zeros_like(p[A])
        g[R] = np.zeros_like(p[R])
        g[a] = np.zeros_like(p[a])
        nx = np.zeros((N, H))
        for i, t in enumerate(order):
            s = T - i
            h, hp = st[s], st[s - 1]
            ds = dS[:, t, :H] if c == "f" else dS[:, t, H:]
            if bug == "halves":
                ds = dS[:, t, H:] if c == "f" else dS[:, t, :H]
            da = (ds + nx) * (1 - h**2)
            if bug == "b_noderiv" and c == "b":
                da = ds + nx
            g[A] += da.T @ X[:, t]
            if bug == "b_cache" and c == "b":
                hp = h
            g[R] += da.T @ hp
            g[a] += da.sum(0)
            dX[:, t] += da @ p[A]
            if bug == "x_over":
                dX[:, t] = da @ p[A]
            nx = da @ p[R]
            if bug == "no_next":
                nx = nx * 0
            if bug == "rT" and c == "b":
                nx = da @ p[R].T
    if bug == "scatter":
        g["E"][x] += dX
    elif bug == "pad0":
        np.add.at(g["E"], x, dX)
        g["E"][0] = 0
    elif bug != "no_lookup":
        np.add.at(g["E"], x, dX)
    if bug == "R_T":
        g["Rf"] = g["Rf"].T
    if bug == "swap":
        g["Af"], g["Ab"] = g["Ab"], g["Af"]
    if bug == "row":
        g["O"][1] *= 0.99
    if bug == "roll":
        g["Rb"] = np.roll(g["Rb"], 1, axis=0)
    if bug == "clip":
        most = np.abs(g["Rf"]).max() * 0.6
        g["Rf"] = np.clip(g["Rf"], -most, most)
    return g


BIRNN = Model(
    name="birnn",
    make=_bi_make,
    cost=_bi_cost,
    grad=_bi_grad,
    mistakes={
        "mean_T": "factor upstream",
        "softmax_twice": "other-loss upstream",
        "drop_last": "region upstream",
        "untied": "missing-path",
        "halves": "swapped wrong-cache upstream",
        "b_noderiv": "activation-derivative upstream",
        "b_cache": "wrong-cache",
        "x_over": "missing-path overwritten",
        "no_next": "missing-path truncated upstream",
        "rT": "transposed upstream",
        "scatter": "overwritten",
        "pad0": "region",
        "no_lookup": "missing-path",
        "R_T": "transposed",
        "swap": "swapped",
        "row": "factor region",
        "roll": "permuted",
        "clip": "clipped",
    },
)

MODELS = (GRU, BIRNN)
