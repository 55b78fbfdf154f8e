"""Likelihoods: Cox's partial one, a Gaussian process', a variational bound, and a complex field's intensities."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params


def _cox_make(rng: Generator) -> tuple[Params, Data]:
    """A hidden layer of the risk; covariates, times in order, events and censorings."""
    return {"W": rng.normal(size=(3, 4)) * 0.7, "c": rng.normal(size=4) * 0.3, "v": rng.normal(size=4)}, (
        rng.normal(size=(9, 3)),
        np.sort(rng.exponential(size=9)),
        rng.integers(0, 2, 9) | (np.arange(9) % 3 == 0),
    )


def _cox_cost(p: Params, X: Array, t: Array, ev: Array) -> Any:
    """Negative partial log likelihood by event (Breslow)."""
    n = np.tanh(X @ p["W"] + p["c"]) @ p["v"]
    R = t[None] >= t[:, None]
    return -(ev * (n - np.log((R * np.exp(n)).sum(1)))).sum() / ev.sum()


def _cox_grad(p: Params, X: Array, t: Array, ev: Array, bug: str = "") -> Params:
    """Back through the risk sets."""
    H = np.tanh(X @ p["W"] + p["c"])
    n = H @ p["v"]
    R = (t[None] >= t[:, None]) * 1.0
    if bug == "strict":
        R = (t[None] > t[:, None]) * 1.0
    if bug == "all":
        R = np.ones((9, 9))
    if bug == "RT":
        R = R.T
    Q = R * np.exp(n)
    Q = Q / np.maximum(Q.sum(1, keepdims=True), 1e-300)
    d = -(ev - ev @ Q) / ev.sum()
    if bug == "cens":
        d = -(ev - np.ones(9) @ Q) / ev.sum()
    if bug == "nEv":
        d = -(ev - ev @ Q) / len(ev)
    if bug == "norisk":
        d = -ev / ev.sum()
    if bug == "neg":
        d = -d
    dz = np.outer(d, p["v"]) * (1 - H**2)
    if bug == "noder":
        dz = np.outer(d, p["v"])
    g = {"W": X.T @ dz, "c": dz.sum(0), "v": H.T @ d}
    if bug == "vz":
        g["v"] = (X @ p["W"] + p["c"]).T @ d
    if bug == "cmean":
        g["c"] = dz.mean(0)
    if bug == "el":
        g["W"][0, 3] *= 1.02
    if bug == "copy":
        g["c"] = g["v"].copy()
    return g


COX = Model(
    name="cox",
    make=_cox_make,
    cost=_cox_cost,
    grad=_cox_grad,
    mistakes={
        "strict": "region wrong-cache upstream",
        "all": "region wrong-cache upstream",
        "RT": "transposed upstream",
        "cens": "missing-path region wrong-cache upstream",
        "nEv": "factor upstream",
        "norisk": "missing-path upstream",
        "neg": "sign upstream",
        "noder": "activation-derivative upstream",
        "vz": "wrong-cache",
        "cmean": "bias-reduction factor",
        "el": "factor region",
        "copy": "overwritten swapped wrong-cache",
    },
)


def _cholesky(A: Array) -> Any:
    """Lower factor, written out so that it runs in longdouble."""
    n = len(A)
    L = np.zeros_like(A)
    for j in range(n):
        L[j, j] = np.sqrt(A[j, j] - L[j, :j] @ L[j, :j])
        for i in range(j + 1, n):
            L[i, j] = (A[i, j] - L[i, :j] @ L[j, :j]) / L[j, j]
    return L


def _forward_substitution(L: Array, b: Array) -> Any:
    """Solves with a lower factor."""
    x = np.zeros_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]
    return x


def _gp_make(rng: Generator) -> tuple[Params, Data]:
    """Log length scales, log amplitude and log noise in one array, and a mean."""
    X = rng.normal(size=(8, 2))
    return {"th": rng.normal(size=4) * 0.3 + np.array([0, 0, 0, -1.0]), "m": np.array(0.3)}, (
        X,
        np.sin(X[:, 0]) + 0.2 * rng.normal(size=8),
    )


def _gp_kernel(p: Params, X: Array) -> Any:
    """Squared exponential kernel and the squared distances by axis."""
    th = p["th"]
    d = (X[:, None] - X[None]) ** 2
    return np.exp(2 * th[2] - 0.5 * (d * np.exp(-2 * th[:2])).sum(-1)), d


def _gp_cost(p: Params, X: Array, y: Array) -> Any:
    """Negative log marginal likelihood, without the constant."""
    K, _ = _gp_kernel(p, X)
    L = _cholesky(K + np.exp(2 * p["th"][3]) * np.eye(len(y), dtype=K.dtype))
    z = _forward_substitution(L, y - p["m"] + 0 * K[0])
    return 0.5 * z @ z + np.log(np.diag(L)).sum()


def _gp_grad(p: Params, X: Array, y: Array, bug: str = "") -> Params:
    """Trace and fit together (Rasmussen and Williams 2006, equation 5.9)."""
    K, d = _gp_kernel(p, X)
    s2 = np.exp(2 * p["th"][3])
    Ki = np.linalg.inv(K + s2 * np.eye(8))
    a = Ki @ (y - p["m"])
    M = Ki - np.outer(a, a)
    if bug == "notrace":
        M = -np.outer(a, a)
    if bug == "nofit":
        M = Ki
    if bug == "Mneg":
        M = -M
    inv = np.exp(-2 * p["th"][:2])
    g = [0.5 * (M * K * d[:, :, j] * inv[j]).sum() for j in (0, 1)] + [(M * K).sum(), s2 * np.trace(M)]
    if bug == "half":
        g[2] /= 2
    if bug == "nat":
        g[3] /= np.exp(p["th"][3])
    if bug == "natl":
        g[0] /= np.exp(p["th"][0])
    if bug == "sw":
        g[0], g[1] = g[1], g[0]
    if bug == "noise0":
        g[3] = 0.0
    if bug == "tiny":
        g[1] *= 1.001
    gm = -a.sum()
    if bug == "msign":
        gm = -gm
    if bug == "mmean":
        gm = -a.mean()
    if bug == "mK":
        gm = -(y - p["m"]).sum()
    return {"th": np.array(g), "m": np.array(gm)}


GP = Model(
    name="gp",
    make=_gp_make,
    cost=_gp_cost,
    grad=_gp_grad,
    mistakes={
        "notrace": "missing-path",
        "nofit": "missing-path",
        "Mneg": "sign",
        "half": "factor region",
        "nat": "factor parametrisation region",
        "natl": "factor parametrisation region",
        "sw": "permuted swapped",
        "noise0": "region zero",
        "tiny": "factor region",
        "msign": "sign",
        "mmean": "bias-reduction factor",
        "mK": "missing-path wrong-cache",
    },
    batch=False,
)


def _va_make(rng: Generator) -> tuple[Params, Data]:
    """Linear encoder and decoder; examples and the noise that is held fixed."""
    return {
        "We": rng.normal(size=(4, 3)) * 0.5,
        "be": rng.normal(size=4) * 0.2,
        "Wd": rng.normal(size=(3, 2)) * 0.7,
        "bd": rng.normal(size=3) * 0.2,
    }, (rng.normal(size=(7, 3)), rng.normal(size=(7, 2)))


def _va_f(p: Params, x: Array, e: Array) -> Any:
    """Mean, log variance, sample and reconstruction."""
    h = x @ p["We"].T + p["be"]
    mu, lv = h[:, :2], h[:, 2:]
    z = mu + e * np.exp(0.5 * lv)
    return mu, lv, z, z @ p["Wd"].T + p["bd"]


def _va_cost(p: Params, x: Array, e: Array, beta: float = 0.8) -> Any:
    """Squared error and weighted divergence by example."""
    mu, lv, _z, o = _va_f(p, x, e)
    return (0.5 * ((o - x) ** 2).sum() - beta * 0.5 * (1 + lv - mu**2 - np.exp(lv)).sum()) / len(x)


def _va_grad(p: Params, x: Array, e: Array, beta: float = 0.8, bug: str = "") -> Params:
    """Back through the reparametrised sample."""
    mu, lv, z, o = _va_f(p, x, e)
    N = len(x)
    d = (o - x) / N
    B = 1.0 if bug == "beta" else beta
    dz = d @ p["Wd"]
    dmu = dz + B * mu / N
    dlv = dz * e * 0.5 * np.exp(0.5 * lv) - B * 0.5 * (1 - np.exp(lv)) / N
    if bug == "noKLmu":
        dmu = dz
    if bug == "noKLlv":
        dlv = dz * e * 0.5 * np.exp(0.5 * lv)
    if bug == "norep":
        dlv = -B * 0.5 * (1 - np.exp(lv)) / N
    if bug == "nohalf":
        dlv = dz * e * np.exp(0.5 * lv) - B * 0.5 * (1 - np.exp(lv)) / N
    if bug == "noeps":
        dlv = dz * 0.5 * np.exp(0.5 * lv) - B * 0.5 * (1 - np.exp(lv)) / N
    if bug == "KLN":
        dmu = dz + B * mu
    dh = np.concatenate([dlv, dmu] if bug == "order" else [dmu, dlv], 1)
    g = {"We": dh.T @ x, "be": dh.sum(0), "Wd": d.T @ (mu if bug == "zmu" else z), "bd": d.sum(0)}
    if bug == "bd1":
        g["bd"] = d[0]
    if bug == "bemean":
        g["be"] = dh.mean(0)
    if bug == "row":
        g["We"][3] = 0
    return g


VAE = Model(
    name="vae",
    make=_va_make,
    cost=_va_cost,
    grad=_va_grad,
    mistakes={
        "beta": "configuration missing-path other-loss upstream",
        "noKLmu": "missing-path upstream",
        "noKLlv": "missing-path upstream",
        "norep": "missing-path upstream",
        "nohalf": "factor upstream",
        "noeps": "missing-path wrong-cache upstream",
        "KLN": "factor upstream",
        "order": "permuted swapped",
        "zmu": "missing-path wrong-cache",
        "bd1": "bias-reduction",
        "bemean": "bias-reduction factor",
        "row": "region zero",
    },
    options={"beta": 0.8},
)


def _ph_make(rng: Generator) -> tuple[Params, Data]:
    """A complex field and a complex matrix; transform, intensities and a source."""

    def c(*s: int) -> Any:
        return rng.normal(size=s) + 1j * rng.normal(size=s)

    return {"x": c(5), "A": c(2, 3)}, (c(8, 5), rng.random(8) * 3, c(3))


def _ph_cost(p: Params, F: Array, power: Array, s: Array) -> Any:
    """Mean quartic misfit of the intensities, the power of ``A s``, and L2 of the field."""
    f = F @ p["x"]
    q = p["A"] @ s
    return (
        0.25 * ((np.abs(f) ** 2 - power) ** 2).mean() + 0.5 * (np.abs(q) ** 2).sum() + 0.3 * (np.abs(p["x"]) ** 2).sum()
    )


def _ph_grad(p: Params, F: Array, power: Array, s: Array, bug: str = "") -> Params:
    """By real part plus i times imaginary part."""
    f = F @ p["x"]
    excess = (np.abs(f) ** 2 - power) * f / len(power)
    gx = (F.conj().T if bug != "noconj" else F.T) @ excess
    if bug == "no_f":
        gx = F.conj().T @ ((np.abs(f) ** 2 - power) / len(power))
    gx = gx + (0.6 * p["x"] if bug != "noreg" else 0)
    q = p["A"] @ s
    gA = np.outer(q, s.conj())
    if bug == "conjall":
        gx, gA = gx.conj(), gA.conj()
    if bug == "conjs":
        gA = np.outer(q, s)
    if bug == "wirt":
        gx = gx / 2
        gA = gA / 2
    if bug == "conjx":
        gx = gx.conj()
    if bug == "imsign":
        gA = gA.real - 1j * gA.imag
    if bug == "real":
        gx = gx.real
    return {"x": gx, "A": gA}


PHASE = Model(
    name="phase",
    make=_ph_make,
    cost=_ph_cost,
    grad=_ph_grad,
    mistakes={
        "noconj": "conjugate",
        "no_f": "missing-path wrong-cache",
        "noreg": "regulariser",
        "conjall": "conjugate",
        "conjs": "conjugate",
        "wirt": "factor",
        "conjx": "conjugate",
        "imsign": "conjugate",
        "real": "conjugate contract missing-path precision region",
    },
    batch=False,
)

MODELS = (COX, GP, VAE, PHASE)
