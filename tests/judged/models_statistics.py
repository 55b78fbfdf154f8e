"""Statistical models and optimisation costs, each with its right gradient and planted bugs."""

from typing import Any

import numpy as np
from models_base import Array, Model


def _sigmoid(z: Array) -> Any:
    return 0.5 * (1 + np.tanh(z / 2))


def logistic_vector(seed: int) -> Model:
    """One flat vector, intercept last, ridge on the weights only."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(20, 6)), rng.integers(0, 2, 20) * 1.0

    def cost(theta: Any) -> Any:
        s = X @ theta[:-1] + theta[-1]
        return np.sum(np.logaddexp(0, s) - y * s) + 0.25 * np.sum(theta[:-1] ** 2)

    def backward(theta: Any, bug: str = "") -> Array:
        r = _sigmoid(X @ theta[:-1] + theta[-1]) - y
        if bug == "squared error":
            r = r * (r + y) * (1 - r - y)
        g = np.append(X.T @ r + 0.5 * theta[:-1], r.sum())
        if bug == "ridge on the intercept":
            g[-1] += 0.5 * theta[-1]
        if bug == "intercept first":
            g = np.roll(g, 1)
        if bug == "ridge halved":
            g[:-1] -= 0.25 * theta[:-1]
        if bug == "mean":
            g = g / 20
        return g

    bugs = ("squared error", "ridge on the intercept", "intercept first", "ridge halved", "mean")
    return Model("logistic regression", cost, rng.normal(size=7), backward, bugs)


def factorisation(seed: int) -> Model:
    """Observed cells only; some rows of U have none."""
    rng = np.random.default_rng(seed)
    R, seen = rng.normal(size=(8, 6)), rng.random((8, 6)) < 0.4
    seen[3] = False

    def cost(p: Any) -> Any:
        return 0.5 * np.sum(np.where(seen, p["U"] @ p["V"].T - R, 0) ** 2) + 0.05 * np.sum(p["V"] ** 2)

    def backward(p: Any, bug: str = "") -> Any:
        U, V = p["U"], p["V"]
        E = np.where(seen, U @ V.T - R, 0) if bug != "unseen cells too" else U @ V.T - R
        dU = E @ V
        dV = E.T @ (U - 0.1 * dU if bug == "updated first" else U) + 0.1 * V
        return {"U": dU, "V": dV if bug != "decay forgotten" else dV - 0.1 * V}

    params = {"U": rng.normal(size=(8, 2)), "V": rng.normal(size=(6, 2))}
    bugs = ("unseen cells too", "updated first", "decay forgotten")
    return Model("matrix factorisation", cost, params, backward, bugs)


def _cholesky(K: Array) -> Array:
    L = np.zeros_like(K)
    for i in range(len(K)):
        for j in range(i + 1):
            rest = K[i, j] - L[i, :j] @ L[j, :j]
            L[i, j] = np.sqrt(rest) if i == j else rest / L[j, j]
    return L


def _inverse(C: Array) -> Array:
    L = _cholesky(C)
    root = np.zeros_like(L)
    for i in range(len(L)):
        unit = np.zeros(len(L), dtype=L.dtype)
        unit[i] = 1
        root[i] = (unit - L[i, :i] @ root[:i]) / L[i, i]
    inverse: Array = root.T @ root
    return inverse


def gaussian_process(seed: int) -> Model:
    """The log marginal likelihood in the logarithms of the length scale, the amplitude and the noise."""
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.normal(size=7)), rng.normal(size=7)
    D = (x[:, None] - x[None, :]) ** 2

    def kernel(p: Any) -> tuple[Array, Array]:
        K = np.exp(2 * p["log_amp"]) * np.exp(-0.5 * D * np.exp(-2 * p["log_len"]))
        return K, K + np.exp(2 * p["log_noise"]) * np.eye(7)

    def cost(p: Any) -> Any:
        L = _cholesky(kernel(p)[1])
        w = np.zeros(7, dtype=L.dtype)
        for i in range(7):
            w[i] = (y[i] - L[i, :i] @ w[:i]) / L[i, i]
        return 0.5 * w @ w + np.sum(np.log(np.diag(L)))

    def backward(p: Any, bug: str = "") -> Any:
        K, C = kernel(p)
        inverse = _inverse(C)
        alpha = inverse @ y
        M = 0.5 * (inverse - np.outer(alpha, alpha))
        if bug == "log determinant doubled":
            M = inverse - 0.5 * np.outer(alpha, alpha)
        if bug == "sign of the fit":
            M = 0.5 * (inverse + np.outer(alpha, alpha))
        scale, noise = np.exp(2 * p["log_len"]), np.exp(2 * p["log_noise"])
        g = {"log_len": np.sum(M * K * D) / scale, "log_amp": 2 * np.sum(M * K), "log_noise": 2 * noise * np.trace(M)}
        if bug == "in the length itself":
            g["log_len"] /= np.exp(p["log_len"])
        if bug == "in the variance":
            g["log_noise"] /= 2
        return {key: value if value.dtype == np.longdouble else float(value) for key, value in g.items()}

    params = {"log_len": 0.1, "log_amp": 0.2, "log_noise": -1.0}
    bugs = ("log determinant doubled", "sign of the fit", "in the length itself", "in the variance")
    return Model("gaussian process", cost, params, backward, bugs)


def complex_filter(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(6, 4)) + 1j * rng.normal(size=(6, 4))
    y = rng.normal(size=6) + 1j * rng.normal(size=6)

    def cost(p: Any) -> Any:
        r = A @ p["w"] * p["gain"] - y
        return np.sum((r * r.conj()).real) + 0.1 * np.sum((p["w"] * p["w"].conj()).real ** 2)

    def backward(p: Any, bug: str = "") -> Any:
        w, gain = p["w"], p["gain"]
        Aw = A @ w
        r = Aw * gain - y
        dw = 2 * gain * (A.conj().T if bug != "plain transpose" else A.T) @ r + 0.4 * np.abs(w) ** 2 * w
        if bug == "conjugated":
            dw = dw.conj()
        if bug == "real part only":
            dw = dw.real + 0j
        if bug == "halved":
            dw = dw / 2
        return {"w": dw, "gain": np.array([2 * np.sum((Aw.conj() * r).real)])}

    params = {"w": rng.normal(size=4) + 1j * rng.normal(size=4), "gain": np.array([0.7])}
    bugs = ("plain transpose", "conjugated", "real part only", "halved")
    return Model("complex filter", cost, params, backward, bugs)


def hinge(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(15, 5)), rng.integers(0, 4, 15)
    rows = np.arange(15)

    def cost(p: Any) -> Any:
        s = X @ p["W"]
        margins = np.maximum(0, s - s[rows, y][:, None] + 1)
        margins[rows, y] = 0
        return margins.sum() / 15 + 0.1 * np.sum(p["W"] ** 2)

    def backward(p: Any, bug: str = "") -> Any:
        s = X @ p["W"]
        above = (s - s[rows, y][:, None] + 1 > 0) * 1.0
        above[rows, y] = 0
        above[rows, y] = -above.sum(1) if bug != "true class forgotten" else 0
        if bug == "true class once":
            above[rows, y] = -1
        dW = X.T @ above / 15 + (0.2 if bug != "half the decay" else 0.1) * p["W"]
        return {"W": dW}

    bugs = ("true class forgotten", "true class once", "half the decay")
    return Model("hinge loss", cost, {"W": rng.normal(size=(5, 4))}, backward, bugs)


def poisson(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    X, counts = rng.normal(size=(12, 3)), rng.poisson(2.0, 12)

    def cost(p: Any) -> Any:
        eta = X @ p["beta"] + p["alpha"]
        return np.sum(np.exp(eta) - counts * eta)

    def backward(p: Any, bug: str = "") -> Any:
        eta = X @ p["beta"] + p["alpha"]
        r = np.exp(eta) - counts
        if bug == "gaussian":
            r = eta - counts
        if bug == "exp forgotten in one term":
            r = np.exp(eta) * (1 - counts / np.exp(eta).mean())
        return {"alpha": float(r.sum()), "beta": X.T @ r}

    params = {"alpha": 0.3, "beta": 0.3 * rng.normal(size=3)}
    return Model("poisson regression", cost, params, backward, ("gaussian", "exp forgotten in one term"))


def mixture(seed: int) -> Model:
    """Logits, means and log deviations of a one-dimensional mixture."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(25, 1))

    def logs(p: Any) -> Any:
        logits = p["logits"] - np.log(np.sum(np.exp(p["logits"])))
        return logits - p["log_sd"] - 0.5 * (x - p["mean"]) ** 2 * np.exp(-2 * p["log_sd"])

    def cost(p: Any) -> Any:
        a = logs(p)
        top = a.max(1)
        return -np.sum(top + np.log(np.exp(a - top[:, None]).sum(1)))

    def backward(p: Any, bug: str = "") -> Any:
        a = logs(p)
        r = np.exp(a - a.max(1, keepdims=True))
        r /= r.sum(1, keepdims=True)
        if bug == "hard assignment":
            r = (r == r.max(1, keepdims=True)) * 1.0
        precision = np.exp(-2 * p["log_sd"])
        weights = np.exp(p["logits"]) / np.exp(p["logits"]).sum()
        dlogits = -r.sum(0) if bug == "normaliser forgotten" else weights * len(x) - r.sum(0)
        dlog = np.sum(r * (1 - (x - p["mean"]) ** 2 * precision), 0)
        if bug == "in the deviation":
            dlog = dlog / np.exp(p["log_sd"])
        return {"logits": dlogits, "mean": -np.sum(r * (x - p["mean"]) * precision, 0), "log_sd": dlog}

    params = {"logits": rng.normal(size=3), "mean": np.array([-1.0, 0.2, 1.3]), "log_sd": np.array([-0.3, 0.1, 0.2])}
    bugs = ("hard assignment", "normaliser forgotten", "in the deviation")
    return Model("mixture", cost, params, backward, bugs)


def variational(seed: int) -> Model:
    """A Gaussian's divergence plus a reconstruction through one reparametrised draw."""
    rng = np.random.default_rng(seed)
    noise, data, A = rng.normal(size=4), rng.normal(size=6), rng.normal(size=(6, 4))

    def cost(p: Any) -> Any:
        z = p["mu"] + noise * np.exp(p["rho"] / 2)
        return 0.5 * np.sum((A @ z - data) ** 2) + 0.5 * np.sum(np.exp(p["rho"]) + p["mu"] ** 2 - 1 - p["rho"])

    def backward(p: Any, bug: str = "") -> Any:
        sd = np.exp(p["rho"] / 2)
        dz = A.T @ (A @ (p["mu"] + noise * sd) - data)
        drho = dz * noise * sd * (1 if bug == "half forgotten" else 0.5) + 0.5 * (sd**2 - 1)
        if bug == "path through the deviation missing":
            drho = 0.5 * (sd**2 - 1)
        return {"mu": dz + (0 if bug == "divergence forgotten" else p["mu"]), "rho": drho}

    params = {"mu": rng.normal(size=4), "rho": -0.5 * rng.random(4)}
    bugs = ("half forgotten", "path through the deviation missing", "divergence forgotten")
    return Model("variational", cost, params, backward, bugs)


def cosine(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))

    def cost(p: Any) -> Any:
        u, v = a @ p["P"], b @ p["Q"]
        return -np.sum(np.sum(u * v, 1) / np.sqrt(np.sum(u**2, 1) * np.sum(v**2, 1)))

    def backward(p: Any, bug: str = "") -> Any:
        u, v = a @ p["P"], b @ p["Q"]
        nu, nv = np.sqrt(np.sum(u**2, 1))[:, None], np.sqrt(np.sum(v**2, 1))[:, None]
        c = np.sum(u * v, 1)[:, None] / (nu * nv)
        du = -(v / (nu * nv) - (0 if bug == "norm taken as constant" else c * u / nu**2))
        dv = -(u / (nu * nv) - c * v / (nv**2 if bug != "other norm" else nu**2))
        return {"P": a.T @ du, "Q": b.T @ dv}

    params = {"P": rng.normal(size=(3, 2)), "Q": rng.normal(size=(4, 2))}
    return Model("cosine similarity", cost, params, backward, ("norm taken as constant", "other norm"))


def huber(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 4)), 3 * rng.normal(size=30)

    def cost(p: Any) -> Any:
        r = np.abs(X @ p["w"] - y)
        return np.sum(np.where(r < 1, 0.5 * r**2, r - 0.5))

    def backward(p: Any, bug: str = "") -> Any:
        r = X @ p["w"] - y
        edge = 2.0 if bug == "another threshold" else 1.0
        psi = np.sign(r) if bug == "absolute value" else np.clip(r, -edge, edge)
        return {"w": X.T @ psi}

    return Model("huber", cost, {"w": rng.normal(size=4)}, backward, ("another threshold", "absolute value"))


def scales(seed: int) -> Model:
    """Tensors whose sizes and gradients lie twelve orders of magnitude apart."""
    rng = np.random.default_rng(seed)
    k = rng.normal(size=3)

    def cost(p: Any) -> Any:
        return np.sum(np.cos(p["large"] * 1e-6 + k)) + np.sum(np.sin(p["small"] * 1e6 + k)) + np.sum(p["one"] ** 3)

    def backward(p: Any, bug: str = "") -> Any:
        large = -1e-6 * np.sin(p["large"] * 1e-6 + k)
        small = 1e6 * np.cos(p["small"] * 1e6 + k)
        if bug == "large one off by a thousandth":
            large = 1.001 * large
        return {"large": large, "small": small, "one": 3 * p["one"] ** 2}

    params = {"large": 1e6 * rng.normal(size=3), "small": 1e-6 * rng.normal(size=3), "one": rng.normal(size=3)}
    return Model("scales", cost, params, backward, ("large one off by a thousandth",), by_size=True)


def all_statistics(seed: int) -> list[Model]:
    makers = (
        logistic_vector, factorisation, gaussian_process, complex_filter, hinge, poisson, mixture, variational, cosine,
        huber,
    )  # fmt: skip
    return [maker(seed) for maker in makers]
