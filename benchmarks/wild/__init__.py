"""Pairs of a function and its derivative, both by others, as they are installed.

The decision it rests on: nothing is copied. A pair names a public function and what its own package says is the
derivative, or, for special functions, the derivative that every table of formulas gives in terms of other public ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from problems import Problem

import gradproof as gp


@dataclass(frozen=True)
class Pair:
    """A function and its derivative.

    Attributes:
        name: package and function.
        check: judges it with random numbers drawn from a seed.
        problem: the same as a problem with a cost that may take complex numbers, for a seed; None where it is no cost.
    """

    name: str
    check: Callable[[int], gp.Report]
    problem: Callable[[int], Problem] | None = None


def elementwise(name: str, function: Any, derivative: Any, low: float, high: float, size: int = 8) -> Pair:
    """A function of one number, at several at once: their weighted sum as a cost."""

    def problem(seed: int) -> Problem:
        rng = np.random.default_rng([seed, 1])
        weights = rng.uniform(0.5, 1.5, size)
        return Problem(
            name,
            lambda params: np.sum(weights * function(params["x"])),
            {"x": rng.uniform(low, high, size)},
            lambda params: {"x": weights * derivative(params["x"])},
        )

    def check(seed: int) -> gp.Report:
        made = problem(seed)
        return gp.check(
            lambda x: float(made.cost({"x": x})),
            made.params["x"],
            lambda x: made.grads({"x": x})["x"],
            seed=seed,
            bounds=(low - 0.05 * abs(low), high + 0.05 * abs(high)) if low < high else None,
        )

    return Pair(name, check, problem)


def cost(name: str, function: Any, gradient: Any, at: Any, **more: Any) -> Pair:
    """A cost and its gradient at a point drawn by a function of a generator."""

    def check(seed: int) -> gp.Report:
        return gp.check(function, at(np.random.default_rng([seed, 2])), gradient, seed=seed, **more)

    return Pair(name, check)


def outputs(name: str, function: Any, jacobian: Any, at: Any, **more: Any) -> Pair:
    """A function of several values with a Jacobian."""

    def check(seed: int) -> gp.Report:
        point = at(np.random.default_rng([seed, 3]))
        return gp.check_function(function, point, jacobian=jacobian, seed=seed, **more)

    return Pair(name, check)


def hessian(name: str, gradient: Any, claim: Any, at: Any, **more: Any) -> Pair:
    """A gradient with its Hessian."""

    def check(seed: int) -> gp.Report:
        return gp.check_hessian(gradient, at(np.random.default_rng([seed, 4])), claim, seed=seed, **more)

    return Pair(name, check)
