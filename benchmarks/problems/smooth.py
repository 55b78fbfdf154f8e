"""Small smooth costs that are hard on finite differences: fast oscillation, bad scales, offsets, noise, flat places.

Each entry of ``SMOOTH`` builds one problem from a seed. They have one tensor, named ``x``, but for the softmax's ``W``.
"""

from collections.abc import Callable, Mapping

import numpy as np

from problems.core import Array, Cost, Gradient, Params, Problem

SHAKE = 1e-6


def problem_of(name: str, value: Callable[[Array], Array], slope: Callable[[Array], Array], x: Array) -> Problem:
    """A problem with the single tensor ``x`` from a function of an array and its gradient."""
    return Problem(name, lambda params: value(params["x"]), {"x": x}, lambda params: {"x": slope(params["x"])})


def rosenbrock(seed: int) -> Problem:
    """Rosenbrock's valley in 20 dimensions."""

    def value(x: Array) -> Array:
        total: Array = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        return total

    def slope(x: Array) -> Array:
        out = np.zeros_like(x)
        out[1:] += 200 * (x[1:] - x[:-1] ** 2)
        out[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        return out

    return problem_of("rosenbrock", value, slope, np.random.default_rng(seed).standard_normal(20))


def logistic(seed: int) -> Problem:
    """Logistic regression on 80 random examples with L2."""
    return logistic_problem("logistic regression", seed)


def logistic_problem(
    name: str, seed: int, disturb: Callable[[Array, Array], Array] = lambda value, x: value
) -> Problem:
    """Logistic regression whose value goes through ``disturb(value, x)``, which must not change its slope."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((80, 15)), np.sign(rng.standard_normal(80))

    def value(params: Params) -> Array:
        x = params["x"]
        total: Array = np.log1p(np.exp(-y * (X @ x))).sum() / len(X) + 1e-3 * (x * x).sum()
        return total

    def grads(params: Params) -> Params:
        x = params["x"]
        return {"x": -X.T @ (y / (1 + np.exp(y * (X @ x)))) / len(X) + 2e-3 * x}

    return Problem(
        name,
        lambda params: disturb(value(params), params["x"]),
        {"x": rng.standard_normal(15)},
        grads,
        meant=value,
        examples=len(X),
    )


def softmax(seed: int) -> Problem:
    """Softmax regression, the mean cross-entropy of 80 random examples in 4 classes."""
    rng = np.random.default_rng(seed)
    X, labels = rng.standard_normal((80, 15)), rng.integers(0, 4, 80)
    rows = np.arange(80)

    def value(params: Params) -> Array:
        Z = X @ params["W"]
        Z = Z - Z.real.max(axis=1, keepdims=True)
        total: Array = (np.log(np.exp(Z).sum(axis=1)) - Z[rows, labels]).sum() / 80
        return total

    def grads(params: Params) -> Params:
        Z = X @ params["W"]
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        P = P / P.sum(axis=1, keepdims=True)
        P[rows, labels] -= 1
        return {"W": X.T @ P / 80}

    return Problem("softmax cross-entropy", value, {"W": rng.standard_normal((15, 4))}, grads, examples=80)


def elementwise(
    name: str,
    value: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    draw: Callable[[np.random.Generator], Array],
) -> Callable[[int], Problem]:
    """A family of costs that sum a function over the elements."""

    def total(x: Array) -> Array:
        out: Array = value(x).sum()
        return out

    return lambda seed: problem_of(name, total, slope, draw(np.random.default_rng(seed)))


def scaled(name: str, draw: Callable[[np.random.Generator], Array]) -> Callable[[int], Problem]:
    """The sum of sin(x / s) + (x / s)^2 / 3 where the parameters have the scales s that ``draw`` gives."""

    def build(seed: int) -> Problem:
        rng = np.random.default_rng(seed)
        s = draw(rng)
        return problem_of(
            name,
            lambda x: np.asarray((np.sin(x / s) + (x / s) ** 2 / 3).sum())[()],
            lambda x: (np.cos(x / s) + 2 * (x / s) / 3) / s,
            s * rng.standard_normal(s.size),
        )

    return build


def noisy(seed: int) -> Problem:
    """Logistic regression with a relative noise of 1e-6 that is a fixed but wild function of the point."""
    c = np.random.default_rng(seed + 1).standard_normal(15)

    def shake(value: Array, x: Array) -> Array:
        wild = np.sin(1e9 * (x @ c)) * 43758.5453
        out: Array = value * (1 + SHAKE * np.sqrt(12) * (wild - np.floor(wild) - 0.5))
        return out

    return logistic_problem("relative noise 1e-6", seed, shake)


def bowl(seed: int) -> Problem:
    """A quadratic at its minimum: the gradient is exactly zero."""
    A = np.random.default_rng(seed).standard_normal((10, 10))
    A = A @ A.T
    return problem_of("zero gradient", lambda x: x @ A @ x + 5.0, lambda x: 2 * (A @ x), np.zeros(10))


def gaussian(scale: float, size: int) -> Callable[[np.random.Generator], Array]:
    """Draws Gaussian points."""
    return lambda rng: scale * rng.standard_normal(size)


SMOOTH: Mapping[str, Callable[[int], Problem]] = {
    "rosenbrock": rosenbrock,
    "logistic regression": logistic,
    "softmax cross-entropy": softmax,
    "sin(50 x)": elementwise("sin(50 x)", lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x), gaussian(1, 10)),
    "sin(1e4 x)": elementwise(
        "sin(1e4 x)", lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), gaussian(1, 10)
    ),
    "exp(10 x)": elementwise("exp(10 x)", lambda x: np.exp(10 * x), lambda x: 10 * np.exp(10 * x), gaussian(1, 10)),
    "quadratic 1e6": elementwise("quadratic 1e6", lambda x: 1e6 * x * x + x, lambda x: 2e6 * x + 1, gaussian(1e-3, 10)),
    "quartic near 0": elementwise(
        "quartic near 0", lambda x: x**4 + x**3, lambda x: 4 * x**3 + 3 * x**2, gaussian(1e-3, 10)
    ),
    "rational": elementwise(
        "rational", lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2, gaussian(1, 10)
    ),
    "log near 0": elementwise("log near 0", np.log, lambda x: 1 / x, lambda rng: np.exp(rng.uniform(-12, 0, 8))),
    "constant": elementwise("constant", lambda x: 0.37 + 0 * x, lambda x: 0 * x, gaussian(1, 10)),
    "zero gradient": bowl,
    "scale 1e8": scaled("scale 1e8", lambda rng: np.full(12, 1e8)),
    "scale 1e-8": scaled("scale 1e-8", lambda rng: np.full(12, 1e-8)),
    "scales 1e-8 to 1e8": scaled("scales 1e-8 to 1e8", lambda rng: 10.0 ** rng.uniform(-8, 8, 12)),
    "offset 1e6": lambda seed: logistic_problem("offset 1e6", seed, lambda value, x: value + 1e6),
    "offset 1e6, cancelled": lambda seed: logistic_problem(
        "offset 1e6, cancelled", seed, lambda value, x: (value + 1e6) - 1e6
    ),
    "relative noise 1e-6": noisy,
}

__all__ = ["SMOOTH", "Cost", "Gradient", "logistic_problem"]
