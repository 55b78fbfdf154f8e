"""Likelihoods: a Gaussian process, a Kalman filter, a mixture density network."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Array, Case, build, on, softmax

Params = dict[str, Array]


def _kernel(theta: Array, x: Array) -> tuple[Array, Array]:
    ell, sf = np.exp(theta[:-2]), np.exp(theta[-2])
    sq = (x[:, None] - x[None]) ** 2 / ell**2
    return sf**2 * np.exp(-0.5 * sq.sum(2)), sq


def gp_cost(theta: Array, x: Array, y: Array) -> float:
    """Negative log marginal likelihood in log length scales, log signal, log noise."""
    k = _kernel(theta, x)[0] + np.exp(2 * theta[-1]) * np.eye(len(x))
    c = np.linalg.cholesky(k)
    a = np.linalg.solve(c, y)
    return float(0.5 * a @ a + np.log(np.diag(c)).sum() + 0.5 * len(x) * np.log(2 * np.pi))


def gp_grads(theta: Array, x: Array, y: Array, bug: str = "") -> Array:
    """Half the trace of (K^-1 - a a^T) dK."""
    k, sq = _kernel(theta, x)
    inv = np.linalg.inv(k + np.exp(2 * theta[-1]) * np.eye(len(x)))
    a = inv @ y
    q = inv - np.outer(a, a)
    if bug == "no-determinant":
        q = -np.outer(a, a)
    if bug == "no-fit":
        q = inv
    if bug == "fit-sign":
        q = inv + np.outer(a, a)
    ell = np.array([0.5 * (q * k * sq[..., j]).sum() for j in range(x.shape[1])])
    signal, noise = (q * k).sum(), np.exp(2 * theta[-1]) * np.trace(q)
    if bug == "diagonal-only":
        signal = np.trace(q * k)
    if bug == "in-ell":
        ell = ell / np.exp(theta[:-2])
    if bug == "variance":
        signal = signal / 2
    if bug == "noise-std":
        noise = noise / np.exp(theta[-1])
    g = np.concatenate([ell, [signal, noise]])
    if bug == "all-natural":
        g = g / np.exp(theta)
    if bug == "noise-first":
        g = np.concatenate([[noise, signal], ell])
    if bug == "ell-reversed":
        g[: len(ell)] = g[: len(ell)][::-1]
    if bug == "ascent":
        g = -g
    if bug == "per-point":
        g = g / len(x)
    if bug == "noise-zero":
        g[-1] = 0
    return g


def kalman_cost(p: Params, y: Array) -> float:
    """Negative log likelihood of an AR(1) seen in noise."""
    return _kalman(p, y, "")[0]


def kalman_grads(p: Params, y: Array, bug: str = "") -> Params:
    """Forward sensitivities."""
    return _kalman(p, y, bug)[1]


def _kalman(p: Params, y: Array, bug: str) -> tuple[float, Params]:
    q, r, phi, c = np.exp(p["log_q"][()]), np.exp(p["log_r"][()]), np.tanh(p["rho"][0]), p["c"][0]
    # derivatives with respect to q, r, phi, c
    one = np.eye(4)
    mean, var, dm, dv = 0.0, 1.0, np.zeros(4), np.zeros(4)
    cost, g = 0.0, np.zeros(4)
    for t, obs in enumerate(y):
        old_m, old_v = mean, var
        mean, var = phi * old_m + c, phi**2 * old_v + q
        keep_v, keep_m = (0 if bug == "variance-forgets" else 1), (0 if bug == "mean-forgets" else 1)
        if bug == "forgets-early" and t < len(y) - 3:
            keep_v = keep_m = 0
        dm = keep_m * phi * dm + one[2] * old_m + one[3]
        dv = keep_v * phi**2 * dv + (0 if bug == "phi-variance-lost" else 2) * phi * old_v * one[2] + one[0]
        e, s = obs - mean, var + r
        de, ds = -dm, dv + one[1]
        cost += 0.5 * (np.log(s) + e**2 / s)
        g += (
            0.5 * (0 if bug == "log-lost" else ds / s)
            + e * de / s
            - (1 if bug == "half-lost" else 0.5) * e**2 * ds / s**2
        )
        gain = var / s
        dgain = dv / s - var * ds / s**2
        mean, var = mean + gain * e, var * (1 - gain)
        dm = dm + gain * de + (0 if bug == "gain-fixed" else dgain * e)
        dv = dv * (1 - gain) - old_pred(var, gain) * dgain
    if bug == "in-q":
        q = np.ones(())
    if bug == "r-std":
        r = 2 * r
    rho = g[2] * (1 if bug == "tanh-lost" else 1 - phi**2)
    return float(cost), {
        "log_q": np.array(g[0] * q),
        "log_r": np.array(g[1] * r),
        "rho": np.array([rho]),
        "c": np.array([g[3]]),
    }


def old_pred(var: float, gain: float) -> float:
    """Predicted variance from the updated one."""
    return var / (1 - gain)


def _mdn(p: Params, x: Array) -> tuple[Array, Array, Array, Array]:
    h = np.tanh(x @ p["W"] + p["b"])
    return h, softmax(h @ p["Wp"] + p["bp"]), h @ p["Wm"] + p["bm"], h @ p["Ws"] + p["bs"]


def mdn_cost(p: Params, x: Array, y: Array) -> float:
    """Negative log likelihood of Gaussian mixtures with log standard deviations."""
    _, pi, mu, ls = _mdn(p, x)
    return float(-np.log((pi * np.exp(-0.5 * ((y[:, None] - mu) / np.exp(ls)) ** 2 - ls)).sum(1)).mean())


def mdn_grads(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Gradient by responsibilities."""
    h, pi, mu, ls = _mdn(p, x)
    m = len(x)
    u = (y[:, None] - mu) / np.exp(ls)
    w = pi * np.exp(-0.5 * u**2 - ls)
    gamma = pi if bug == "prior-weights" else w / w.sum(1, keepdims=True)
    if bug == "hard-weights":
        gamma = (gamma == gamma.max(1, keepdims=True)).astype(float)
    dp, dm, ds = (pi - gamma) / m, -gamma * u / np.exp(ls) / m, gamma * (1 - u**2) / m
    if bug == "softmax-diagonal":
        dp = -gamma / pi * pi * (1 - pi) / m
    if bug == "mu-sign":
        dm = -dm
    if bug == "mu-unscaled":
        dm = -gamma * u / m
    if bug == "mu-squared":
        dm = dm / np.exp(ls)
    if bug == "sigma-natural":
        ds = ds / np.exp(ls)
    if bug == "normaliser-lost":
        ds = -gamma * u**2 / m
    if bug == "mu-detached":
        dm = 0 * dm
    dh = dp @ p["Wp"].T + dm @ p["Wm"].T
    if bug != "sigma-path-lost":
        dh = dh + ds @ p["Ws"].T
    if bug == "heads-mixed":
        dh = dp @ p["Wp"].T + dm @ p["Ws"].T + ds @ p["Wm"].T
    da = dh if bug == "tanh-lost" else dh * (1 - (np.tanh(h) if bug == "tanh-of-h" else h) ** 2)
    if bug == "sigmoid-for-tanh":
        da = dh * h * (1 - h)
    return {
        "W": x.T @ da,
        "b": da.sum(0),
        "Wp": h.T @ dp,
        "bp": dp.sum(0),
        "Wm": h.T @ dm,
        "bm": dm.sum(0),
        "Ws": h.T @ ds,
        "bs": ds.sum(0),
    }


def cases(seed: int) -> list[Case]:
    """All three models."""
    rng = np.random.default_rng(seed + 100)
    path, act, par = "missing-path", "activation-derivative", "parametrisation"
    x, y = rng.normal(size=(9, 3)), rng.normal(size=9)
    theta = np.array([0.3, -0.2, 0.6, 0.15, -0.7])
    out = build(
        "gauss-process",
        gp_cost,
        gp_grads,
        theta,
        {
            "no-determinant": (path + " other-loss", ""),
            "no-fit": (path + " other-loss", ""),
            "fit-sign": ("sign unexplained", path),
            "diagonal-only": ("unexplained", "region"),
            "in-ell": (par, "region"),
            "variance": ("factor region", ""),
            "noise-std": (par + " region factor", ""),
            "all-natural": (par, ""),
            "noise-first": ("permuted", ""),
            "ell-reversed": ("permuted", ""),
            "ascent": ("sign", ""),
            "per-point": ("factor", ""),
            "noise-zero": ("region", "zero"),
        },
        data=(x, y),
        axis=0,
        rate=0.02,
        post={
            "offset": (lambda g: g + 1e-3, "unexplained", "regulariser"),
            "sigmoid": (lambda g: g * 0.7321, "factor", "unexplained"),
        },
    )
    y = rng.normal(size=25).cumsum() * 0.6
    p: dict[str, Any] = {"log_q": np.array(-0.4), "log_r": np.array(-0.9), "rho": np.array([0.8]), "c": np.array([0.1])}
    out += build(
        "kalman",
        kalman_cost,
        kalman_grads,
        p,
        {
            "variance-forgets": (path + " truncated unexplained", ""),
            "mean-forgets": (path + " truncated unexplained", ""),
            "forgets-early": ("truncated unexplained", path),
            "phi-variance-lost": (path + " unexplained", ""),
            "log-lost": (path + " unexplained", ""),
            "half-lost": ("unexplained", path),
            "gain-fixed": (path + " unexplained", ""),
            "in-q": (par, "factor"),
            "r-std": ("factor", ""),
            "tanh-lost": (par + " factor", act),
        },
        data=(y,),
        axis=0,
        rate=0.01,
        post={
            "c-zero": (on("c", lambda a: 0 * a), "zero", ""),
            "rho-sign": (on("rho", lambda a: -a), "sign", ""),
            "swap-q-r": (lambda g: {**g, "log_q": g["log_r"], "log_r": g["log_q"]}, "swapped", "factor unexplained"),
            "log_r-odd": (on("log_r", lambda a: a * 1.0137), "factor unexplained", ""),
            "rho-nan": (on("rho", lambda a: a * np.nan), "contract singular", ""),
        },
    )
    x, y = rng.normal(size=(8, 2)), rng.normal(size=8) * 1.5
    p = {"W": rng.normal(size=(2, 5)), "b": rng.normal(size=5) * 0.4}
    for c in "pms":
        p["W" + c], p["b" + c] = rng.normal(size=(5, 3)) * 0.6, rng.normal(size=3) * 0.4
    out += build(
        "mixture-density",
        mdn_cost,
        mdn_grads,
        p,
        {
            "prior-weights": ("unexplained wrong-cache other-loss", ""),
            "hard-weights": ("unexplained other-loss", ""),
            "softmax-diagonal": ("other-loss unexplained", path),
            "mu-sign": ("sign", ""),
            "mu-unscaled": ("unexplained", par),
            "mu-squared": ("unexplained", par),
            "sigma-natural": (par, "unexplained"),
            "normaliser-lost": (path, "unexplained"),
            "mu-detached": ("zero", path),
            "sigma-path-lost": (path, ""),
            "heads-mixed": ("wrong-cache swapped unexplained", ""),
            "tanh-lost": (act, ""),
            "tanh-of-h": (act, ""),
            "sigmoid-for-tanh": (act, ""),
        },
        data=(x, y),
        axis=0,
        post={
            "swap-heads": (lambda g: {**g, "Wm": g["Ws"], "Ws": g["Wm"]}, "swapped", ""),
            "Wm-is-Ws": (lambda g: {**g, "Wm": g["Ws"].copy()}, "wrong-cache swapped", ""),
            "bp-mean": (on("bp", lambda a: a / 8), "bias-reduction factor", ""),
            "bs-total": (on("bs", lambda a: np.full(3, a.sum())), "bias-reduction", ""),
            "three-bugs": (
                lambda g: {**g, "W": g["W"] * 2, "bp": -g["bp"], "Ws": g["Ws"][::-1]},
                "factor sign permuted",
                "bias-reduction",
            ),
        },
    )
    return out
