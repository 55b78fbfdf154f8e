"""Backward passes that overflow."""

from typing import Any

import numpy as np
import pytest
from tiny import one, only

from planted.base import Array, Tree

X = np.linspace(-2.0, 2.0, 24).reshape(12, 2)
W = {"w": np.array([[1.3, -0.4, 2.0], [0.7, 1.1, -0.9]])}


def cost(params: Tree) -> float:
    return float(np.sum(np.logaddexp(0, X @ params["w"])) / 12)


def backward(slope: Any) -> Any:
    def grads(params: Tree) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return {"w": X.T @ slope(X @ params["w"]) / 12}

    return grads


def sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def naive(z: Array) -> Array:
    return np.asarray(np.exp(z) / (1 + np.exp(z)))


def test_nan_at_large_parameters() -> None:
    finding = only(one(cost, {"w": 1e3 * W["w"]}, backward(naive)))
    assert (finding.cause, finding.detail, finding.severity) == ("overflow", "NaN", "error")
    assert "finite at parameters times" in finding.message


def test_the_same_formula_at_small_parameters_is_right() -> None:
    report = one(cost, W, backward(naive))
    assert report.passed
    assert report.findings == ()


def test_zero_at_large_parameters() -> None:
    params = {"w": np.linspace(100.0, 130.0, 8)}

    def flushed(params: Tree) -> Tree:
        with np.errstate(all="ignore"):
            e = np.exp((8 * params["w"]).astype(np.float64))
            return {"w": 1.0 / (1.0 / (1.0 + 1.0 / e) ** 2) * np.where(np.isinf(e), 0.0, 1.0)}

    def softplus(params: Tree) -> float:
        return float(np.sum(np.logaddexp(0.0, 8 * params["w"])) / 8)

    finding = only(one(softplus, params, flushed))
    assert finding.cause in {"overflow", "zero"}


def test_a_nan_everywhere_stays_what_it_is() -> None:
    finding = only(one(cost, W, backward(lambda z: z * np.nan)))
    assert (finding.cause, finding.detail) == ("contract", "NaN")


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_right(scale: float) -> None:
    report = one(cost, {"w": scale * W["w"]}, backward(sigmoid))
    assert report.passed or scale > 1.0
    assert report.findings == ()
