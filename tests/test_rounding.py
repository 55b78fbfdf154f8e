"""Rounding inside a cost is told from kinks, curvature and single jumps by what it is across many of its steps."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._numerics.rounding import rounding_inside

FLOOR = 1e-16


def seen(psi: Callable[[float], float]) -> float:
    def line(steps: Sequence[float]) -> NDArray[np.float64]:
        return np.array([psi(step) for step in steps]) - psi(0.0)

    return rounding_inside(line, FLOOR)


@pytest.mark.parametrize("grid", [1e-7, 1e-5, 1e-3])
def test_noise_of_rounding_is_its_deviation(grid: float) -> None:
    scales = np.random.default_rng(4).normal(size=40)
    found = seen(lambda t: float(np.mean(np.round(np.sin(scales + scales[::-1] * t) / grid) * grid)))
    assert grid / math.sqrt(12 * 40) / 2.0 < found < 4.0 * grid / math.sqrt(12 * 40)


@pytest.mark.parametrize("seed", range(20))
def test_kinks_curves_and_jumps_are_no_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where, how = rng.normal(size=(2, 400)) * [[0.05], [1e-3]]
    assert seen(lambda t: float(np.sum(how * np.abs(t - where)))) == 0.0
    assert seen(lambda t: math.sin(30.0 * t) + math.exp(t)) == 0.0
    assert seen(lambda t: math.exp(t) + float(t >= 0.0)) == 0.0
    assert seen(lambda t: math.exp(t) + float(t >= 0.007)) == 0.0


Params = dict[str, NDArray[np.float64]]
WAYS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "single": lambda z: z.astype(np.float32).astype(np.float64),
    "half": lambda z: z.astype(np.float16).astype(np.float64),
    "digits": lambda z: np.round(z, 4),
}


def network(seed: int, way: str) -> tuple[Callable[[Params], float], Params, Callable[..., Params]]:
    """A tanh network with its hidden layer rounded, beside a weight decay that is not; the claim uses the cache."""
    rng = np.random.default_rng([seed, 31])
    params = {"W": 0.6 * rng.normal(size=(5, 6)), "v": rng.normal(size=6)}
    X, y = rng.normal(size=(20, 5)), rng.normal(size=20)

    def cost(p: Params) -> float:
        off = WAYS[way](np.tanh(X @ p["W"])) @ p["v"] - y
        return float(np.mean(off**2) + 0.05 * np.sum(p["W"] ** 2))

    def grads(p: Params, factor: float = 1.0) -> Params:
        A = WAYS[way](np.tanh(X @ p["W"]))
        d = 2.0 * (A @ p["v"] - y) / 20
        dW = X.T @ (d[:, None] * p["v"] * (1.0 - A**2)) + 0.1 * p["W"]
        return {"W": factor * dW, "v": A.T @ d}

    return cost, params, grads


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_rounded_inside_is_judged_across_its_steps(seed: int, way: str) -> None:
    cost, params, grads = network(seed, way)
    right = gp.check(cost, params, grads, seed=seed)
    assert right.verdict != "wrong"
    assert right.tensors["v"].verdict == "correct"  # moving it changes nothing that is rounded
    if right.tensors["W"].verdict == "undecided":
        assert "rounded inside, to about" in right.tensors["W"].reason
    near = gp.check(cost, params, lambda p: grads(p, 1.0 + 1e-7), seed=seed, method="probe")
    assert near.verdict != "wrong"
    for factor in (1.2, 0.0, -1.0):
        planted = gp.check(cost, params, lambda p, factor=factor: grads(p, factor), seed=seed, method="probe")
        assert planted.tensors["W"].verdict != "correct"
        assert planted.tensors["v"].verdict == "correct"


def test_a_factor_far_above_the_rounding_is_wrong() -> None:
    verdicts = []
    for seed in range(10):
        cost, params, grads = network(seed, "single")
        report = gp.check(cost, params, lambda p, grads=grads: grads(p, 1.2), seed=seed, method="probe")
        verdicts.append(report.tensors["W"].verdict)
    assert verdicts.count(gp.Verdict.WRONG) >= 8
