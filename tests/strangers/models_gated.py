"""A highway network and a GRU, rows as examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Array, Case, build, noisy, on, sigmoid, softmax

Params = dict[str, Array]


def _highway_forward(p: Params, x: Array) -> tuple[Array, list[tuple[Array, Array, Array, Array]], Array]:
    h = np.tanh(x @ p["P"] + p["p"])
    cache = []
    for k in (1, 2, 3):
        t = sigmoid(h @ p[f"T{k}"] + p[f"t{k}"])
        c = np.tanh(h @ p[f"C{k}"] + p[f"c{k}"])
        new = t * c + (1 - t) * h
        cache.append((h, t, c, new))
        h = new
    return h, cache, softmax(h @ p["O"] + p["o"])


def highway_data(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Cross-entropy alone."""
    q = _highway_forward(p, x)[2]
    return float(-np.log(q[np.arange(len(x)), y]).mean())


def highway_decay(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Decay alone."""
    return float(0.5 * lambd * sum((v**2).sum() for k, v in p.items() if k[0] in "PTCO"))


def highway_cost(p: Params, x: Array, y: Array, lambd: float = 0.0) -> float:
    """Cross-entropy and decay of the matrices."""
    return highway_data(p, x, y) + highway_decay(p, x, y, lambd)


def highway_grads(p: Params, x: Array, y: Array, lambd: float = 0.0, bug: str = "") -> Params:
    """Gradient by hand."""
    h, cache, q = _highway_forward(p, x)
    m = len(x)
    d = q.copy()
    d[np.arange(m), y] -= 1
    d = d if bug == "no-mean" else d / m
    if bug == "delta-sign":
        d = -d
    if bug == "softmax-twice":
        d = d * q * (1 - q)
    if bug == "last-row-lost":
        d[-1] = 0
    g: Params = {"O": h.T @ d, "o": d.sum(0)}
    d = d @ p["O"].T
    for k in (3, 2, 1):
        before, t, c, after = cache[k - 1]
        mine = bug.endswith(str(k))
        dt = d * (c if mine and bug.startswith("gate-no-carry") else c - before)
        dt = dt * ((1 - t**2) if mine and bug.startswith("gate-derivative") else t * (1 - t))
        dc = d * t
        if not (mine and bug.startswith("no-tanh")):
            dc = dc * (1 - (np.tanh(c) if mine and bug.startswith("tanh-twice") else c) ** 2)
        source = after if mine and bug.startswith("cache-after") else before
        g[f"T{k}"], g[f"t{k}"] = source.T @ dt, dt.sum(0)
        g[f"C{k}"], g[f"c{k}"] = before.T @ dc, dc.sum(0)
        carry = 0 if mine and bug.startswith("carry-lost") else d * (1 - t)
        tt = p[f"T{k}"] if mine and bug.startswith("untransposed") else p[f"T{k}"].T
        gate = 0 if mine and bug.startswith("gate-path-lost") else dt @ tt
        d = carry + gate + dc @ p[f"C{k}"].T
    d = d * (1 - np.tanh(x @ p["P"] + p["p"]) ** 2)
    g["P"], g["p"] = x.T @ d, d.sum(0)
    for name in g:
        if name[0] in "PTCO":
            rate: float = lambd
            if (bug == "decay-missing-O" and name == "O") or bug == "decay-missing":
                rate = 0
            if bug == "decay-double":
                rate = 2 * lambd
            if bug == "decay-over-m":
                rate = lambd / m
            g[name] = g[name] + rate * (np.sign(p[name]) if bug == "decay-l1" else p[name])
        elif bug == "decay-biases":
            g[name] = g[name] + lambd * p[name]
    return {k: g[k] for k in p}


def _gru_forward(p: Params, x: Array) -> tuple[list[tuple[Array, ...]], Array]:
    h: Array = np.zeros((len(x), len(p["bz"])))
    cache: list[tuple[Array, ...]] = []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sigmoid(x[:, t] @ p["Wr"] + h @ p["Ur"] + p["br"])
        n = np.tanh(x[:, t] @ p["Wn"] + (r * h) @ p["Un"] + p["bn"])
        new = (1 - z) * n + z * h
        cache.append((h, z, r, n, new))
        h = new
    return cache, h


def gru_cost(p: Params, x: Array, y: Array) -> float:
    """Half squared error of a readout of the last state."""
    _, h = _gru_forward(p, x)
    return float(0.5 * ((h @ p["v"] + p["a"] - y) ** 2).sum() / len(x))


def gru_grads(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Back-propagation through time."""
    cache, h = _gru_forward(p, x)
    m, steps = x.shape[:2]
    e = (h @ p["v"] + p["a"] - y) / m
    g = {k: np.zeros_like(v) for k, v in p.items()}
    g["v"], g["a"] = h.T @ e, np.array([e.sum()])
    dh = np.outer(e, p["v"])
    for t in reversed(range(steps)):
        if bug == "truncated" and t < steps - 3:
            break
        if bug == "drop-step-0" and t == 0:
            break
        hp, z, r, n, new = cache[t]
        dz = dh * (hp - n) * z * (1 - z)
        if bug == "z-sign":
            dz = -dz
        if bug == "z-derivative":
            dz = dh * (hp - n) * z
        dn = dh * (1 - z) * (1 - n**2)
        if bug == "n-derivative":
            dn = dh * (1 - z) * n * (1 - n)
        drh = dn @ p["Un"].T
        dr = drh * hp * r * (1 - r)
        if bug == "r-uses-new":
            dr = drh * new * r * (1 - r)
        for k, dd in (("z", dz), ("r", dr), ("n", dn)):
            hh = r * hp if k == "n" else hp
            if bug == "un-without-reset" and k == "n":
                hh = hp
            if bug == "state-after" and k == "z":
                hh = new
            if bug == "overwrite-u" and k != "n":
                g["U" + k] = hh.T @ dd
            else:
                g["U" + k] += hh.T @ dd
            if bug == "overwrite-all":
                g["W" + k], g["b" + k] = x[:, t].T @ dd, dd.sum(0)
            else:
                g["W" + k] += x[:, t].T @ dd
                g["b" + k] += dd.mean(0) if bug == "bias-mean" else dd.sum(0)
        dh = (
            (0 if bug == "no-skip" else dh * z)
            + (0 if bug == "no-z-path" else dz @ p["Uz"].T)
            + (0 if bug == "no-r-path" else dr @ p["Ur"].T)
            + (drh if bug == "reset-missing" else drh * r)
        )
    return g


def cases(seed: int) -> list[Case]:
    """Both models."""
    rng = np.random.default_rng(seed)
    d, h, k, m = 4, 5, 3, 7
    p: dict[str, Any] = {"P": rng.normal(size=(d, h)) * 0.7, "p": rng.normal(size=h) * 0.3}
    for i in (1, 2, 3):
        for c in "TC":
            p[f"{c}{i}"], p[f"{c.lower()}{i}"] = rng.normal(size=(h, h)) * 0.6, rng.normal(size=h) * 0.5
    p["O"], p["o"] = rng.normal(size=(h, k)) * 0.8, rng.normal(size=k) * 0.2
    x, y = rng.normal(size=(m, d)), rng.integers(0, k, m)
    act, path = "activation-derivative", "missing-path"
    out = build(
        "highway",
        highway_cost,
        highway_grads,
        p,
        {
            "no-mean": ("factor", "other-loss"),
            "delta-sign": ("sign", ""),
            "softmax-twice": ("other-loss", ""),
            "last-row-lost": ("region", path),
            "gate-no-carry2": (path, ""),
            "gate-derivative3": (act, ""),
            "gate-derivative1": (act, ""),
            "no-tanh2": (act, ""),
            "tanh-twice1": (act, ""),
            "cache-after2": ("wrong-cache", ""),
            "carry-lost3": (path, ""),
            "carry-lost1": (path, ""),
            "untransposed2": ("transposed", ""),
            "gate-path-lost2": (path, ""),
            "decay-missing-O": ("regulariser", ""),
            "decay-missing": ("regulariser", ""),
            "decay-double": ("regulariser", ""),
            "decay-over-m": ("regulariser", ""),
            "decay-l1": ("regulariser", ""),
            "decay-biases": ("regulariser", ""),
        },
        data=(x, y),
        axis=0,
        options={"lambd": 0.3},
        terms={"data": highway_data, "decay": highway_decay},
        post={
            "swap-T2-C2": (lambda g: {**g, "T2": g["C2"], "C2": g["T2"]}, "swapped", ""),
            "transpose-C3": (on("C3", lambda a: a.T.copy()), "transposed", ""),
            "bias-mean-t2": (on("t2", lambda a: a / 7), "bias-reduction factor", ""),
            "noise-P": (on("P", noisy(1e-3)), "unexplained", "precision"),
            "two-bugs-O-T1": (lambda g: {**g, "O": 2 * g["O"], "T1": -g["T1"]}, "factor sign", ""),
            "factor-by-row-C2": (on("C2", lambda a: a * np.linspace(0.5, 1.7, 5)[:, None]), "unexplained", "region"),
        },
    )
    n, steps, q = 3, 6, 4
    p = {}
    for c in "zrn":
        p["W" + c], p["U" + c] = rng.normal(size=(n, q)) * 0.8, rng.normal(size=(q, q)) * 0.8
        p["b" + c] = rng.normal(size=q) * 0.4
    p["v"], p["a"] = rng.normal(size=q), np.array([0.3])
    x, target = rng.normal(size=(5, steps, n)), rng.normal(size=5)
    out += build(
        "gru",
        gru_cost,
        gru_grads,
        p,
        {
            "truncated": ("truncated", "missing-path"),
            "drop-step-0": ("truncated", "missing-path region"),
            "z-sign": ("sign", "missing-path"),
            "z-derivative": (act, ""),
            "n-derivative": (act, ""),
            "r-uses-new": ("wrong-cache", ""),
            "un-without-reset": ("wrong-cache", "missing-path"),
            "state-after": ("wrong-cache", ""),
            "overwrite-u": ("overwritten", "zero truncated missing-path"),
            "overwrite-all": ("overwritten", "zero truncated missing-path"),
            "bias-mean": ("bias-reduction", "factor"),
            "no-skip": (path, "truncated"),
            "no-z-path": (path, "truncated"),
            "no-r-path": (path, "truncated"),
            "reset-missing": ("missing-path", "wrong-cache activation-derivative"),
        },
        data=(x, target),
        axis=0,
        post={
            "swap-Wz-Wr": (lambda g: {**g, "Wz": g["Wr"], "Wr": g["Wz"]}, "swapped", ""),
            "bz-is-bn": (lambda g: {**g, "bz": g["bn"].copy()}, "wrong-cache swapped", ""),
            "a-twice": (on("a", lambda a: 2 * a), "factor", "accumulated"),
            "Un-row-lost": (on("Un", lambda a: a * (np.arange(4) < 3)[:, None]), "region", ""),
        },
    )
    return out
