"""Sequences of states: a linear-chain CRF, a Kalman filter with its sensitivities, a neural ODE with its adjoint."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params, softmax


def _logsumexp(a: Array, axis: int) -> Any:
    """Logarithm of a sum of exponentials over one axis."""
    m = a.max(axis, keepdims=True)
    return (m + np.log(np.exp(a - m).sum(axis, keepdims=True))).squeeze(axis)


def _crf_make(rng: Generator) -> tuple[Params, Data]:
    """Emissions, transitions, first and last scores; sequences and their labels."""
    N, T, D, K = 4, 5, 3, 4
    return {
        "W": rng.normal(size=(K, D)),
        "b": rng.normal(size=K) * 0.4,
        "trans": rng.normal(size=(K, K)),
        "start": rng.normal(size=K),
        "stop": rng.normal(size=K),
    }, (rng.normal(size=(N, T, D)), rng.integers(0, K, (N, T)))


def _crf_cost(p: Params, X: Array, Y: Array, lambd: float = 0.5) -> Any:
    """Negative log likelihood by sequence, and L2 of the emissions' weights."""
    em = X @ p["W"].T + p["b"]
    N, T, _K = em.shape
    a = p["start"] + em[:, 0]
    n = np.arange(N)
    sc = p["start"][Y[:, 0]] + em[n, 0, Y[:, 0]]
    for t in range(1, T):
        a = em[:, t] + _logsumexp(a[:, :, None] + p["trans"], 1)
        sc = sc + p["trans"][Y[:, t - 1], Y[:, t]] + em[n, t, Y[:, t]]
    return (_logsumexp(a + p["stop"], 1) - sc - p["stop"][Y[:, -1]]).mean() + 0.5 * lambd * (p["W"] ** 2).sum()


def _crf_grad(p: Params, X: Array, Y: Array, lambd: float = 0.5, bug: str = "") -> Params:
    """Expected counts by forward and backward, less those of the labels."""
    em = X @ p["W"].T + p["b"]
    N, T, K = em.shape
    al = [p["start"] + em[:, 0]]
    for t in range(1, T):
        al.append(em[:, t] + _logsumexp(al[-1][:, :, None] + p["trans"], 1))
    be = [np.broadcast_to(p["stop"], (N, K))]
    for t in range(T - 1, 0, -1):
        be.insert(0, _logsumexp(p["trans"] + (em[:, t] + be[0])[:, None, :], 2))
    Z = _logsumexp(al[-1] + p["stop"], 1)
    dem = np.exp(np.stack(al, 1) + np.stack(be, 1) - Z[:, None, None])
    g = {k: np.zeros_like(v) for k, v in p.items()}
    if bug == "no_beta":
        dem = softmax(np.stack(al, 1))
    n = np.arange(N)
    for t in range(1, T):
        xi = np.exp(al[t - 1][:, :, None] + p["trans"] + (em[:, t] + be[t])[:, None, :] - Z[:, None, None])
        if bug == "xi_t" and t == 2:
            xi = np.exp(al[t - 1][:, :, None] + p["trans"] + (em[:, t - 1] + be[t])[:, None, :] - Z[:, None, None])
        g["trans"] += xi.sum(0)
        if bug == "fancy":
            g["trans"][Y[:, t - 1], Y[:, t]] -= 1
        elif bug != "no_gold_trans":
            np.subtract.at(g["trans"], (Y[:, t - 1], Y[:, t]), 1)
    g["start"] = dem[:, 0].sum(0).copy()
    g["stop"] = dem[:, -1].sum(0).copy()
    for t in range(T):
        dem[n, t, Y[:, t]] -= 1
    np.subtract.at(g["start"], Y[:, 0], 1)
    np.subtract.at(g["stop"], Y[:, -1], 1)
    if bug == "start_noup":
        np.add.at(g["start"], Y[:, 0], 1)
    if bug == "last_t":
        dem[:, -1] = 0
    if bug == "stop_first":
        g["stop"] = g["start"].copy()
    g["W"] = np.einsum("ntk,ntd->kd", dem, X)
    g["b"] = dem.sum((0, 1))
    if bug == "b_first":
        g["b"] = dem[:, 0].sum(0)
    for k in g:
        g[k] = g[k] / N
    if bug == "trans_noN":
        g["trans"] *= N
    if bug == "transT":
        g["trans"] = g["trans"].T
    if bug != "noreg":
        g["W"] = g["W"] + (2 if bug == "reg2" else -1 if bug == "regsign" else 1) * lambd * p["W"]
    if bug == "regb":
        g["b"] = g["b"] + lambd * p["b"]
    if bug == "sgn":
        g = {k: -v for k, v in g.items()}
    if bug == "col":
        g["trans"][:, 2] = 0
    if bug == "swapss":
        g["start"], g["stop"] = g["stop"], g["start"]
    if bug == "eps3":
        g["trans"][3] *= 1.001
    return g


CRF = Model(
    name="crf",
    make=_crf_make,
    cost=_crf_cost,
    grad=_crf_grad,
    mistakes={
        "no_beta": "missing-path other-loss upstream",
        "xi_t": "wrong-cache",
        "fancy": "overwritten",
        "no_gold_trans": "missing-path",
        "start_noup": "missing-path",
        "last_t": "missing-path region truncated upstream",
        "stop_first": "swapped wrong-cache",
        "b_first": "bias-reduction missing-path truncated",
        "trans_noN": "factor",
        "transT": "transposed",
        "noreg": "regulariser",
        "reg2": "regulariser",
        "regsign": "regulariser",
        "regb": "regulariser",
        "sgn": "sign",
        "col": "region zero",
        "swapss": "swapped",
        "eps3": "factor region",
    },
    options={"lambd": 0.5},
)


def _kf_make(rng: Generator) -> tuple[Params, Data]:
    """Persistence, log variances and level, from observations of such a process."""
    T = 25
    x = 0.0
    ys = []
    for _t in range(T):
        x = 0.8 * x + rng.normal() * 0.7
        ys.append(1.0 + x + rng.normal() * 0.5)
    return {
        "phi": np.array([rng.uniform(0.3, 0.8)]),
        "logq": np.array(rng.normal() * 0.3 - 0.5),
        "logr": np.array(rng.normal() * 0.3 - 1),
        "mu": np.array([rng.normal()]),
    }, (np.array(ys),)


def _kf_run(p: Params, y: Array, want: bool, bug: str = "") -> Any:
    """The filter; with ``want`` its sensitivities to the four parameters beside it."""
    phi = p["phi"][0]
    q = np.exp(p["logq"])
    r = np.exp(p["logr"])
    mu = p["mu"][0]
    a = 0.0 * phi
    P = q + 0 * phi
    J: Any = 0.0
    da = np.zeros(4)
    dP = np.array([0, q, 0, 0], float)
    if bug == "P0":
        dP = np.zeros(4)
    G = np.zeros(4)
    e = np.eye(4)
    for t, yt in enumerate(y):
        v = yt - mu - a
        F = P + r
        J = J + 0.5 * (np.log(F) + v * v / F)
        K = P / F
        if want:
            dv = -da - e[3]
            dF = dP + e[2] * r
            if bug == "noda":
                dv = -e[3]
            if bug == "dF_half":
                G = G + 0.5 * dF / F + v * dv / F - 0.5 * v * v / F**2 * dF * (1 if t != 7 else 0)
            elif bug == "no_logdet":
                G = G + v * dv / F - 0.5 * v * v / F**2 * dF
            else:
                G = G + 0.5 * dF / F + v * dv / F - 0.5 * v * v / F**2 * dF
            dK = dP / F - P / F**2 * dF
            if bug == "noK":
                dK = dK * 0
            au = a + K * v
            dau = da + dK * v + K * dv
            Pu = P * (1 - K)
            dPu = dP * (1 - K) - P * dK
            da = phi * dau if bug == "phi_used" else phi * dau + e[0] * au
            dP = phi**2 * dPu + e[0] * 2 * phi * Pu + e[1] * q
            if bug == "phi1":
                dP = phi**2 * dPu + e[0] * phi * Pu + e[1] * q
            if bug == "reset" and t == 10:
                da = da * 0
                dP = dP * 0
        else:
            au = a + K * v
            Pu = P * (1 - K)
        a = phi * au
        P = phi * phi * Pu + q
    return J, G, q, r


def _kf_cost(p: Params, y: Array) -> Any:
    """Negative log likelihood by observation, without the constant."""
    return _kf_run(p, y, False)[0] / len(y)


def _kf_grad(p: Params, y: Array, bug: str = "") -> Params:
    """The sensitivities' sum, split into the parameters."""
    _J, G, q, r = _kf_run(p, y, True, bug)
    G = G / len(y)
    if bug == "noT":
        G = G * len(y)
    if bug == "param":
        G[1] /= q
    if bug == "param_r":
        G[2] *= r
    if bug == "musign":
        G[3] *= -1
    if bug == "swapqr":
        G[[1, 2]] = G[[2, 1]]
    if bug == "tiny":
        G[0] *= 1 + 1e-3
    if bug == "zero":
        G[2] = 0
    return {"phi": G[:1], "logq": np.array(G[1]), "logr": np.array(G[2]), "mu": G[3:]}


KALMAN = Model(
    name="kalman",
    make=_kf_make,
    cost=_kf_cost,
    grad=_kf_grad,
    mistakes={
        "P0": "missing-path",
        "noda": "factor missing-path wrong-cache upstream",
        "dF_half": "missing-path region",
        "no_logdet": "missing-path other-loss",
        "noK": "missing-path",
        "phi_used": "missing-path",
        "phi1": "factor missing-path",
        "reset": "missing-path truncated",
        "noT": "factor",
        "param": "factor parametrisation",
        "param_r": "factor parametrisation",
        "musign": "sign",
        "swapqr": "swapped",
        "tiny": "factor",
        "zero": "zero",
    },
    batch=False,
)


def _ode_make(rng: Generator) -> tuple[Params, Data]:
    """A field of one hidden layer and the first state; observations in columns."""
    d, h, N = 2, 5, 6
    return {
        "W1": rng.normal(size=(h, d)) * 0.8,
        "b1": rng.normal(size=(h, 1)) * 0.4,
        "W2": rng.normal(size=(d, h)) * 0.6,
        "b2": rng.normal(size=(d, 1)) * 0.3,
        "x0": rng.normal(size=(d, 1)),
    }, (rng.normal(size=(d, N)),)


def _ode_f(p: Params, x: Array) -> Any:
    """The field and its hidden units."""
    a = np.tanh(p["W1"] @ x + p["b1"])
    return p["W2"] @ a + p["b2"], a


def _ode_cost(p: Params, obs: Array) -> Any:
    """Half the squared error after each midpoint step."""
    x = p["x0"]
    dt = 0.25
    L: Any = 0
    for k in range(obs.shape[1]):
        xm = x + dt / 2 * _ode_f(p, x)[0]
        x = x + dt * _ode_f(p, xm)[0]
        L = L + 0.5 * ((x - obs[:, k : k + 1]) ** 2).sum()
    return L / obs.shape[1]


def _ode_grad(p: Params, obs: Array, bug: str = "") -> Params:
    """The discrete adjoint, step by step."""
    x = p["x0"]
    dt = 0.25
    tape = []
    n = obs.shape[1]
    for _ in range(n):
        xm = x + dt / 2 * _ode_f(p, x)[0]
        xn = x + dt * _ode_f(p, xm)[0]
        tape.append((x, xm, xn))
        x = xn
    g = {k: np.zeros_like(v) for k, v in p.items()}
    lam = np.zeros_like(x)

    def vjp(x: Array, v: Array) -> Any:
        a = _ode_f(p, x)[1]
        g["W2"][...] += v @ a.T
        g["b2"][...] += v
        da = (p["W2"].T @ v) * ((1 - a) if bug == "tanh1" else 1 if bug == "noder" else (1 - a * a))
        g["W1"][...] += da @ x.T
        g["b1"][...] += da
        if bug == "W1o":
            g["W1"][...] = da @ x.T
        if bug == "W1x2":
            g["W1"][...] += da @ x.T
        return p["W1"].T @ da

    for k in reversed(range(n)):
        x, xm, xn = tape[k]
        if not (bug == "one_obs" and k == 2):
            lam = lam + ((x if bug == "resid_prev" else xn) - obs[:, k : k + 1]) / n
        if bug == "lam_over":
            lam = (xn - obs[:, k : k + 1]) / n
        vm = vjp(x if bug == "mid_at_x" else xm, dt * lam)
        if bug == "nomid":
            lam = lam + vm
        else:
            scale = dt / 2 * (0 if bug == "k0" and k == 3 else 1) * (2 if bug == "half" else 1)
            lam = lam + vm + vjp(x, scale * vm)
        if bug == "trunc" and k == 3:
            break
    g["x0"] = -lam if bug == "x0sign" else lam
    if bug == "x0zero":
        g["x0"] = lam * 0
    if bug == "el":
        g["W1"][2, 1] += 0.01 * abs(g["W1"]).max()
    if bug == "nodt":
        g["b2"] /= dt
    return g


ODE = Model(
    name="ode",
    make=_ode_make,
    cost=_ode_cost,
    grad=_ode_grad,
    mistakes={
        "tanh1": "activation-derivative upstream",
        "noder": "activation-derivative upstream",
        "W1o": "missing-path overwritten truncated",
        "W1x2": "accumulated factor",
        "one_obs": "missing-path other-loss region upstream",
        "resid_prev": "wrong-cache upstream",
        "lam_over": "missing-path overwritten truncated upstream",
        "mid_at_x": "wrong-cache upstream",
        "nomid": "missing-path upstream",
        "half": "factor upstream",
        "k0": "missing-path upstream",
        "trunc": "missing-path truncated upstream",
        "x0sign": "sign",
        "x0zero": "zero",
        "el": "region",
        "nodt": "factor",
    },
    batch=False,
)

MODELS = (CRF, KALMAN, ODE)
