"""Deep networks: the course's with dropout, batch normalisation, residual blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Array, Case, build, noisy, on, sigmoid

Params = dict[str, Array]
LAYERS = 5


def course_forward(p: Params, x: Array, keep: float) -> tuple[list[Array], list[Array], list[Array], list[Array]]:
    """Columns as examples; masks come from NumPy's global state."""
    a, z, masks, plain = [x], [x], [np.ones_like(x)], [x]
    for i in range(1, LAYERS + 1):
        z.append(p[f"W{i}"] @ a[-1] + p[f"b{i}"])
        if i == LAYERS:
            e = np.exp(z[-1] - z[-1].max(0))
            a.append(e / e.sum(0))
            plain.append(a[-1])
            continue
        raw = np.tanh(z[-1]) if i % 2 else np.log1p(np.exp(z[-1]))
        mask = (np.random.rand(*raw.shape) < keep) if keep < 1 else np.ones(raw.shape)  # noqa: NPY002
        masks.append(mask)
        plain.append(raw)
        a.append(raw * mask / keep)
    return z, a, masks, plain


def course_loss(p: Params, x: Array, y: Array, lambd: float = 0.0, keep_prob: float = 1.0) -> float:
    """Cross-entropy."""
    return float(-(y * np.log(course_forward(p, x, keep_prob)[1][-1])).sum() / x.shape[1])


def course_l2(p: Params, x: Array, y: Array, lambd: float = 0.0, keep_prob: float = 1.0) -> float:
    """L2 term."""
    return float(lambd / (2 * x.shape[1]) * sum((p[f"W{i}"] ** 2).sum() for i in range(1, LAYERS + 1)))


def course_cost(p: Params, x: Array, y: Array, lambd: float = 0.0, keep_prob: float = 1.0) -> float:
    """Both."""
    return course_loss(p, x, y, lambd, keep_prob) + course_l2(p, x, y, lambd)


def course_grads(p: Params, x: Array, y: Array, lambd: float = 0.0, keep_prob: float = 1.0, bug: str = "") -> Params:
    """Back-propagation; a bug ends with @ and its layer."""
    z, a, masks, plain = course_forward(p, x, keep_prob)
    m = x.shape[1]
    what, _, where = bug.partition("@")
    at = int(where or 0)
    g: Params = {}
    d = (a[-1] - y) / m
    if what == "mse-delta":
        d = (a[-1] - y) * a[-1] * (1 - a[-1]) / m
    for i in range(LAYERS, 0, -1):
        here = i == at
        w, prev = p[f"W{i}"], a[i - 1]
        if here:
            prev = {
                "z-for-a": z[i - 1],
                "older-a": a[i - 2] if i > 1 and a[i - 2].shape == a[i - 1].shape else a[i - 1],
                "undropped": plain[i - 1],
                "masked-only": a[i - 1] * keep_prob,
            }.get(what, prev)
            if what == "last-lost":
                d = d * (np.arange(m) < m - 1)
            if what == "delta-sign":
                d = -d
            if what == "delta-over-m":
                d = d / m
        dw, db = d @ prev.T, d.sum(1, keepdims=True)
        decay = lambd / m * w
        if here:
            decay = {
                "l2-lost": 0 * w,
                "l2-double": 2 * decay,
                "l2-no-m": lambd * w,
                "l2-sign": -decay,
                "l2-l1": lambd / m * np.sign(w),
                "l2-ones": lambd / m * np.ones_like(w),
                "l2-other": lambd / m * p[f"W{max(1, i - 1)}"] if i == 3 else decay,
            }.get(what, decay)
            if what == "l2-bias":
                db = db + lambd / m * p[f"b{i}"]
            if what == "b-mean":
                db = d.mean(1, keepdims=True)
            if what == "b-total":
                db = np.full_like(db, d.sum())
            if what == "b-first":
                db = d[:, :1].copy()
            if what == "b-flat":
                db = d.sum(1)
            if what == "b-none":
                db = d
        dw = dw + decay
        if here:
            dw = {
                "w-zero": 0 * dw,
                "w-transposed": dw.T,
                "w-half": dw / 2,
                "w-sign": -dw,
                "w-float16": dw.astype(np.float16).astype(float),
            }.get(what, dw)
            if what == "w-tile":
                dw = dw * (np.arange(dw.shape[1]) < 4)
        g[f"W{i}"], g[f"b{i}"] = dw, db
        if i == 1:
            break
        if here and what == "early":
            w = w - 0.5 * dw
        if here and what == "w-for-wt":
            da = w @ d
        elif here and what == "dw-for-w":
            da = dw.T @ d
        elif here and what == "severed":
            da = np.zeros_like(a[i - 1])
        else:
            da = w.T @ d
        if not (here and what == "mask-lost"):
            da = da * (np.roll(masks[i - 1], 1, 1) if here and what == "mask-rolled" else masks[i - 1])
        if not (here and what == "scale-lost") and what != "scale-lost-all":
            da = da / keep_prob
        if here and what == "scale-twice":
            da = da / keep_prob
        if (i - 1) % 2:
            slope = {
                "act-lost": 1.0,
                "act-of-a": 1 - np.tanh(plain[i - 1]) ** 2,
                "act-other": plain[i - 1] * (1 - plain[i - 1]),
            }
            at_dropped = 1 - a[i - 1] ** 2
            slope["act-of-dropped"] = at_dropped
            d = da * (slope.get(what, 1 - plain[i - 1] ** 2) if here else 1 - plain[i - 1] ** 2)
        else:
            slope = {"act-lost": 1.0, "act-of-a": sigmoid(plain[i - 1]), "act-other": (z[i - 1] > 0).astype(float)}
            slope["act-of-dropped"] = sigmoid(a[i - 1])
            d = da * (slope.get(what, sigmoid(z[i - 1])) if here else sigmoid(z[i - 1]))
    return {k: g[k] for k in p}


def bn_forward(p: Params, x: Array) -> list[tuple[Array, ...]]:
    """Affine, batch normalisation, ReLU, twice; then affine."""
    cache: list[tuple[Array, ...]] = []
    h = x
    for k in "12":
        z = h @ p["W" + k] + p["b" + k]
        s = np.sqrt(z.var(0) + 1e-3)
        n = (z - z.mean(0)) / s
        y = n * p["gamma" + k] + p["beta" + k]
        cache.append((h, z, n, s, y))
        h = np.maximum(y, 0)
    cache.append((h, h @ p["W3"] + p["b3"]))
    return cache


def bn_cost(p: Params, x: Array, y: Array) -> float:
    """Mean absolute cube keeps it smooth at the output."""
    return float(((bn_forward(p, x)[-1][1] - y) ** 2).mean())


def bn_grads(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Gradient by hand; the biases before a normalisation have none."""
    cache = bn_forward(p, x)
    what, _, where = bug.partition("@")
    g = {}
    h, out = cache[-1]
    d = 2 * (out - y) / out.size
    if what == "mean-rows-only":
        d = 2 * (out - y) / len(x)
    if what == "two-lost":
        d = (out - y) / out.size
    g["W3"], g["b3"] = h.T @ d, d.sum(0)
    d = d @ p["W3"].T
    for k in "21":
        h, z, n, s, act = cache[int(k) - 1]
        here = k == where
        m = len(x)
        if not (here and what == "relu-lost"):
            d = d * ((z if here and what == "relu-of-z" else act) > 0)
        g["gamma" + k], g["beta" + k] = (d * (z if here and what == "gamma-z" else n)).sum(0), d.sum(0)
        if here and what == "beta-mean":
            g["beta" + k] = d.mean(0)
        dn = d if here and what == "gamma-lost" else d * p["gamma" + k]
        mean = 0 if here and what in ("no-mean", "constants") else dn.mean(0)
        var = 0 if here and what in ("no-var", "constants") else n * (dn * n).mean(0)
        if here and what == "var-m-1":
            var = var * m / (m - 1)
        dz = (dn - mean - var) / (1 if here and what == "std-lost" else s)
        if here and what == "var-for-std":
            dz = dz / s
        g["W" + k], g["b" + k] = h.T @ dz, dz.sum(0)
        if here and what == "b-unnormalised":
            g["b" + k] = dn.sum(0)
        d = dz @ p["W" + k].T
    return {k: g[k] for k in p}


def _gelu(x: Array) -> tuple[Array, Array]:
    t = np.tanh(0.8 * (x + 0.05 * x**3))
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * 0.8 * (1 + 0.15 * x**2)


Block = tuple[Array, Array, Array]


def _res_forward(p: list[Block], x: Array) -> tuple[list[tuple[Array, ...]], Array]:
    cache: list[tuple[Array, ...]] = []
    h = x
    for up, bias, down in p:
        rms = np.sqrt((h**2).mean(1, keepdims=True) + 0.1)
        n = h / rms
        z = n @ up + bias
        a, slope = _gelu(z)
        cache.append((h, rms, n, z, a, slope))
        h = h + a @ down
    return cache, h


def res_cost(p: list[Block], x: Array, y: Array) -> float:
    """Log-cosh of the last state."""
    return float(np.log(np.cosh(_res_forward(p, x)[1] - y)).mean())


def res_grads(p: list[Block], x: Array, y: Array, bug: str = "") -> list[Block]:
    """Gradient by hand, list of tuples."""
    cache, h = _res_forward(p, x)
    what, _, where = bug.partition("@")
    d = np.tanh(h - y) / h.size
    if what == "squared":
        d = (h - y) / h.size
    out: list[Block] = []
    for i in reversed(range(len(p))):
        up, _, down = p[i]
        h, rms, n, z, a, slope = cache[i]
        here = str(i) == where
        ddown = a.T @ d
        if here and what == "z-for-a":
            ddown = z.T @ d
        dz = d @ down.T
        if here and what == "gelu-sigmoid":
            slope = sigmoid(1.7 * z)
        if here and what == "gelu-lost":
            slope = np.ones_like(z)
        if here and what == "gelu-of-a":
            slope = _gelu(a)[1]
        dz = dz * slope
        dup, db = (h if here and what == "unnormalised" else n).T @ dz, dz.sum(0)
        dn = dz @ up.T
        if here and what == "branch-lost":
            dn = 0 * dn
        dh = dn / rms if here and what == "rms-constant" else (dn - n * (dn * n).mean(1, keepdims=True)) / rms
        if here and what == "rms-sum":
            dh = (dn - n * (dn * n).sum(1, keepdims=True)) / rms
        d = dh if here and what == "skip-lost" else d + dh
        if here and what == "skip-twice":
            d = d + d - dh
        if what == "skip-lost-all":
            d = dh
        if here and what == "swap-up-down" and ddown.T.shape == dup.shape:
            dup, ddown = ddown.T, dup.T
        out.insert(0, (dup, db, ddown))
    return out


def cases(seed: int) -> list[Case]:
    """All three networks."""
    rng = np.random.default_rng(seed + 200)
    sizes = [4, 6, 6, 6, 6, 3]
    p: dict[str, Any] = {}
    for i in range(1, 6):
        p[f"W{i}"], p[f"b{i}"] = rng.normal(size=(sizes[i], sizes[i - 1])) * 0.6, rng.normal(size=(sizes[i], 1)) * 0.3
    m = 9
    x, y = rng.normal(size=(4, m)), np.eye(3)[:, rng.integers(0, 3, m)]
    act, reg, path, drop, bias = "activation-derivative", "regulariser", "missing-path", "dropout", "bias-reduction"
    cause = {
        "mse-delta": "other-loss",
        "z-for-a@2": "wrong-cache",
        "z-for-a@4": "wrong-cache",
        "z-for-a@5": "wrong-cache",
        "older-a@3": "wrong-cache",
        "last-lost@5": "region missing-path",
        "last-lost@2": "region missing-path",
        "delta-sign@3": "sign",
        "delta-over-m@2": "factor",
        "l2-lost@1": reg,
        "l2-double@5": reg,
        "l2-no-m@3": reg,
        "l2-sign@2": reg,
        "l2-l1@4": reg,
        "l2-ones@3": reg,
        "l2-bias@3": reg,
        "l2-other@3": reg,
        "b-mean@1": bias,
        "b-total@3": bias,
        "b-first@5": bias,
        "b-flat@2": "",
        "b-none@4": "unbroadcast contract bias-reduction",
        "w-zero@3": "zero",
        "w-transposed@3": "transposed",
        "w-half@1": "factor",
        "w-sign@5": "sign",
        "w-float16@2": "precision",
        "w-tile@3": "region",
        "early@5": "early-update",
        "early@3": "early-update",
        "w-for-wt@4": "transposed",
        "dw-for-w@3": "wrong-cache",
        "severed@3": "zero missing-path",
        "act-lost@2": act,
        "act-lost@5": act,
        "act-of-a@4": act,
        "act-of-a@3": act,
        "act-other@2": act,
        "act-other@5": act,
    }
    terms = {"data": course_loss, "l2": course_l2}
    weak = "factor region"
    out = build(
        "course",
        course_cost,
        course_grads,
        p,
        {k: (v, weak if v == bias else "") for k, v in cause.items()},
        data=(x, y),
        axis=1,
        options={"lambd": 0.8, "keep_prob": 1.0},
        terms=terms,
        post={
            "swap-W2-W4": (lambda g: {**g, "W2": g["W4"], "W4": g["W2"]}, "swapped", ""),
            "prefix-right": (lambda g: {"d" + k: v for k, v in g.items()}, "", ""),
            "missing-b3": (lambda g: {k: v for k, v in g.items() if k != "b3"}, "contract zero", ""),
            "none-W1": (lambda g: {**g, "W1": None}, "contract zero", ""),
            "nan-W2": (on("W2", lambda a: np.where(np.eye(6) > 0, np.nan, a)), "contract singular", ""),
            "noise-all": (lambda g: {k: noisy(1e-3)(v) for k, v in g.items()}, "unexplained", "precision"),
            "noise-tiny-W3": (on("W3", noisy(1e-4)), "unexplained", "precision"),
            "l2-bug-plus-half": (
                lambda g, w=p["W2"]: {**g, "W2": 2 * (g["W2"] - 0.8 / 9 * w)},  # type: ignore[misc]
                "factor regulariser",
                "",
            ),
            "W3-rank-one": (on("W3", lambda a: a + 0.01 * np.outer(np.arange(6), np.ones(6))), "unexplained", "region"),
            "W4-symmetrised": (on("W4", lambda a: (a + a.T) / 2), "unexplained", "transposed"),
            "W1-normalised": (on("W1", lambda a: a / np.linalg.norm(a)), "clipped", "factor"),
            "clip-norm": (lambda g: {k: v * 0.1 / np.linalg.norm(v) for k, v in g.items()}, "clipped", "factor"),
            "b2-shuffled": (on("b2", lambda a: a[[2, 0, 1, 3, 5, 4]]), "permuted", ""),
        },
    )
    dropped = {
        "undropped@3": "wrong-cache dropout",
        "masked-only@3": "dropout",
        "mask-lost@3": drop,
        "mask-lost@5": drop,
        "mask-rolled@4": drop,
        "scale-lost@3": drop,
        "scale-lost@5": drop,
        "scale-lost-all": drop,
        "scale-twice@4": drop,
        "act-of-dropped@4": act,
        "act-of-dropped@5": act,
        "l2-lost@3": reg,
        "b-mean@2": bias,
        "w-for-wt@3": "transposed",
        "act-lost@3": act,
        "delta-sign@4": "sign",
        "last-lost@3": "region missing-path",
        "z-for-a@4": "wrong-cache",
    }
    out += build(
        "course-dropout",
        course_cost,
        course_grads,
        p,
        {k: (v, "factor" if v in (drop, bias) else "") for k, v in dropped.items()},
        data=(x, y),
        axis=1,
        options={"lambd": 0.8, "keep_prob": 0.7},
        terms=terms,
    )
    for case in out:
        if case.name in ("prefix-right", "b-flat@2"):
            case.expect = frozenset()
    p = {}
    for k, (a, b) in enumerate([(3, 5), (5, 4)], 1):
        p |= {
            f"W{k}": rng.normal(size=(a, b)),
            f"b{k}": rng.normal(size=b),
            f"gamma{k}": rng.uniform(0.5, 2, b),
            f"beta{k}": rng.normal(size=b),
        }
    p |= {"W3": rng.normal(size=(4, 2)), "b3": rng.normal(size=2)}
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    out += build(
        "batch-norm",
        bn_cost,
        bn_grads,
        p,
        {
            "mean-rows-only": ("factor", "other-loss"),
            "two-lost": ("factor", "other-loss"),
            "relu-lost@2": (act, ""),
            "relu-of-z@1": (act, ""),
            "gamma-z@2": ("wrong-cache", ""),
            "gamma-z@1": ("wrong-cache", ""),
            "beta-mean@1": (bias, "factor"),
            "gamma-lost@2": (path + " unexplained", act),
            "gamma-lost@1": (path + " unexplained", act),
            "no-mean@2": (path, ""),
            "no-var@1": (path, ""),
            "constants@1": (path, ""),
            "constants@2": (path, ""),
            "var-m-1@2": (path + " unexplained", ""),
            "std-lost@1": ("unexplained", act),
            "var-for-std@2": ("unexplained", act),
            "b-unnormalised@1": ("unexplained", "missing-path bias-reduction"),
        },
        data=(x, y),
        axis=0,
        rate=0.02,
        post={
            "swap-gamma-beta": (lambda g: {**g, "gamma1": g["beta1"], "beta1": g["gamma1"]}, "swapped", ""),
            "gamma2-twice": (on("gamma2", lambda a: 2 * a), "factor", ""),
            "W1-row": (on("W1", lambda a: a * [[1], [0], [1]]), "region", ""),
        },
    )
    blocks = [
        (rng.normal(size=(4, 6)) * 0.6, rng.normal(size=6) * 0.4, rng.normal(size=(6, 4)) * 0.5) for _ in range(4)
    ]
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    out += build(
        "residual",
        res_cost,
        res_grads,
        blocks,
        {
            "squared": ("other-loss", ""),
            "z-for-a@1": ("wrong-cache", ""),
            "z-for-a@3": ("wrong-cache", ""),
            "gelu-sigmoid@2": (act, ""),
            "gelu-lost@0": (act, ""),
            "gelu-of-a@3": (act, ""),
            "unnormalised@2": ("wrong-cache", ""),
            "branch-lost@2": (path, ""),
            "rms-constant@3": (path, ""),
            "rms-constant@1": (path, ""),
            "rms-sum@2": (path + " unexplained factor", ""),
            "skip-lost@3": (path, ""),
            "skip-lost@1": (path, ""),
            "skip-twice@2": (path, "accumulated factor"),
            "skip-lost-all": (path, ""),
            "swap-up-down@1": ("transposed swapped", ""),
        },
        data=(x, y),
        axis=0,
        post={
            "blocks-reversed": (lambda g: g[::-1], "swapped permuted", ""),
            "block-1-sign": (lambda g: [tuple(-a for a in b) if i == 1 else b for i, b in enumerate(g)], "sign", ""),
            "block-0-zero": (lambda g: [tuple(0 * a for a in b) if i == 0 else b for i, b in enumerate(g)], "zero", ""),
            "bias-2-mean": (
                lambda g: [(b[0], b[1] / 6, b[2]) if i == 2 else b for i, b in enumerate(g)],
                "bias-reduction factor",
                "",
            ),
        },
    )
    return out
