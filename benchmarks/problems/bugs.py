"""Planted bugs: each turns a right gradient into a wrong one whose true error is known.

A bug chooses its place once, at the problem's point, and then is a function of the parameters like any claimed
gradient, so that a checker may move the point. The tensors are those of a network: W1, b1, W2, b2, ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from problems.core import Array, Gradient, Params, Problem

Spoil = Callable[[Params, Params], None]
"""Changes a gradient in place; the second argument is the parameters."""


@dataclass(frozen=True)
class Planted:
    """A wrong gradient.

    Attributes:
        bug: what is wrong, one of ``BUGS``.
        tensors: the tensors it touches.
        grads: the wrong gradient.
    """

    bug: str
    tensors: tuple[str, ...]
    grads: Gradient


Choice = tuple[tuple[str, ...], Spoil]
Bug = Callable[[Problem, np.random.Generator], Choice]


def plant(bug: str, problem: Problem, seed: int) -> Planted:
    """Plants a bug in a problem's gradient.

    Args:
        bug: one of ``BUGS``.
        problem: a network.
        seed: draws the place.

    Returns:
        The wrong gradient and the tensors that it touches.
    """
    tensors, spoil = BUGS[bug](problem, np.random.default_rng(seed))

    def grads(params: Params) -> Params:
        out = {name: value.copy() for name, value in problem.grads(params).items()}
        spoil(out, params)
        return out

    return Planted(bug, tensors, grads)


def weights(problem: Problem) -> tuple[str, ...]:
    """The names of the weight matrices."""
    return tuple(name for name in problem.params if name.startswith("W"))


def one_weight(problem: Problem, rng: np.random.Generator) -> str:
    """A weight matrix at random."""
    return str(rng.choice(weights(problem)))


def one_bias(problem: Problem, rng: np.random.Generator) -> str:
    """A bias at random."""
    return str(rng.choice([name for name in problem.params if name.startswith("b")]))


def element(factor: float, quantile: float | None = None) -> Bug:
    """One element of a weight gradient times a factor: a random one, or the one at a quantile of the non-zero |g|."""

    def bug(problem: Problem, rng: np.random.Generator) -> Choice:
        name = one_weight(problem, rng)
        g = np.abs(problem.grads(problem.params)[name].ravel())
        order = np.argsort(g)[np.count_nonzero(g == 0) :]
        index = int(rng.choice(order)) if quantile is None else int(order[int(quantile * (len(order) - 1))])

        def spoil(grads: Params, params: Params) -> None:
            grads[name].flat[index] *= factor

        return (name,), spoil

    return bug


def whole(pick: Callable[[Problem, np.random.Generator], str], change: Callable[[Array], Array]) -> Bug:
    """One tensor's gradient replaced by a function of it."""

    def bug(problem: Problem, rng: np.random.Generator) -> Choice:
        name = pick(problem, rng)

        def spoil(grads: Params, params: Params) -> None:
            grads[name] = change(grads[name])

        return (name,), spoil

    return bug


def no_weight_decay(problem: Problem, rng: np.random.Generator) -> Choice:
    """The L2 term is in the cost and not in the gradient."""
    names = weights(problem)

    def spoil(grads: Params, params: Params) -> None:
        for name in names:
            grads[name] -= problem.weight_decay * params[name]

    return names, spoil


def no_mean(problem: Problem, rng: np.random.Generator) -> Choice:
    """The 1/m of the mean over the examples is forgotten; the L2 term is right."""

    def spoil(grads: Params, params: Params) -> None:
        for name, g in grads.items():
            decay = problem.weight_decay * params[name] if name.startswith("W") else 0.0
            grads[name] = problem.examples * (g - decay) + decay

    return tuple(problem.params), spoil


def noise(size: float) -> Bug:
    """Every element of a weight gradient is off by its own random factor."""

    def bug(problem: Problem, rng: np.random.Generator) -> Choice:
        name = one_weight(problem, rng)
        factors = 1 + size * rng.standard_normal(problem.params[name].shape)

        def spoil(grads: Params, params: Params) -> None:
            grads[name] = grads[name] * factors

        return (name,), spoil

    return bug


def square_transposed(g: Array) -> Array:
    """The leading square of a matrix transposed."""
    side = min(g.shape)
    out = g.copy()
    out[:side, :side] = g[:side, :side].T
    return out


def last_row_zero(g: Array) -> Array:
    """The last row never written."""
    out = g.copy()
    out[-1] = 0
    return out


BUGS: Mapping[str, Bug] = {
    "one element +1%, random": element(1.01),
    "one element +1%, median |g|": element(1.01, quantile=0.5),
    "one element, sign": element(-1.0),
    "one small element +10% (0.5% quantile of |g|)": element(1.1, quantile=0.005),
    "one small element, sign (0.5% quantile of |g|)": element(-1.0, quantile=0.005),
    "bias x 2": whole(one_bias, lambda g: 2 * g),
    "bias x 1.001": whole(one_bias, lambda g: 1.001 * g),
    "L2 term missing": no_weight_decay,
    "sign of a tensor": whole(one_weight, lambda g: -g),
    "square part transposed": whole(one_weight, square_transposed),
    "last row zero": whole(one_weight, last_row_zero),
    "1/m missing": no_mean,
    "zero gradient": whole(one_weight, np.zeros_like),
    "tensor x (1 + 1e-5)": whole(one_weight, lambda g: (1 + 1e-5) * g),
    "tensor x (1 + 3e-5)": whole(one_weight, lambda g: (1 + 3e-5) * g),
    "every element, noise 1e-5": noise(1e-5),
}
