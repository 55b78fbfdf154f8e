"""Costs that round to single precision on the way, beside a term that does not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradproof as gp


def single(array: Any) -> Any:
    return np.asarray(array, np.float32)


def network(seed: int, kind: str, decay: float) -> tuple[Callable[[Any], Any], dict[str, Any], Callable[..., Any]]:
    rng = np.random.default_rng(seed)
    params = {"W": 0.6 * rng.normal(size=(5, 6)), "v": 0.6 * rng.normal(size=6)}
    X, y = rng.normal(size=(7, 5)), rng.normal(size=7)
    relu = kind == "relu"

    def cost(p: Any) -> Any:
        Z = single(X) @ single(p["W"])
        if kind == "products":
            off = np.tanh(Z.astype(float)) @ p["v"] - y
        else:
            off = (np.maximum(Z, 0) if relu else np.tanh(Z)) @ single(p["v"]) - single(y)
        return float(np.mean(off**2)) + decay * np.sum(p["W"] ** 2) + decay * np.sum(p["v"] ** 2)

    def grads(p: Any, factor: float = 1.0) -> Any:
        Z = X @ p["W"]
        A = np.maximum(Z, 0) if relu else np.tanh(Z)
        slope = (Z > 0).astype(float) if relu else 1 - A**2
        d = 2 * (A @ p["v"] - y) / 7
        dW = factor * (X.T @ (d[:, None] * p["v"] * slope))
        return {"W": dW + 2 * decay * p["W"], "v": A.T @ d + 2 * decay * p["v"]}

    return cost, params, grads


@pytest.mark.parametrize("kind", ["all", "products", "relu"])
@pytest.mark.parametrize("decay", [0.0, 0.05, 5.0])
def test_right_is_never_wrong(kind: str, decay: float) -> None:
    for seed in (0, 1, 2, 3, 163):  # with 163 a number is rounded the other way right at the point
        cost, params, grads = network(seed, kind, decay)
        assert gp.check(cost, params, grads, seed=seed).verdict != "wrong", seed


def test_what_is_far_off_is_not_correct() -> None:
    """Close by the cost stands still but for the other term: such a cost may be made of steps on purpose."""
    for seed in range(5):
        cost, params, grads = network(seed, "all", 0.05)
        report = gp.check(cost, params, lambda p, grads=grads: grads(p, 2.0), seed=seed)
        assert report.tensors["v"].verdict != "wrong"
        assert report.tensors["W"].verdict != "correct"
