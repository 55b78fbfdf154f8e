from typing import Any

import numpy as np
import pytest
from slipped import check, named, nameless, rand, right

X, W = rand(1, 5, 3), rand(2, 3, 4)


def dense(x: Any, w: Any) -> Any:
    return np.tanh(x @ w)


def back(slope: Any) -> Any:
    def backward(v: Any, x: Any, w: Any) -> Any:
        d = v * slope(dense(x, w))
        return d @ w.T, x.T @ d

    return backward


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("slope", "detail"),
    [(np.ones_like, "missing at the output"), (lambda y: y * (1 - y), "of the sigmoid at the output")],
)
def test_the_activation_of_a_layer(slope: Any, detail: str) -> None:
    named(check(dense, back(slope), X, W), "activation-derivative", "inputs[0]", "inputs[1]", detail=detail)


def test_of_the_logarithm() -> None:
    report = check(softmax, lambda v, x: (v - softmax(x) * v.sum(-1, keepdims=True),), X)
    named(report, "other-loss", "inputs[0]", detail="logarithm of the output")
    assert "activation-derivative" in report.findings[0].also


def test_near_misses() -> None:
    # Rows that are off by numbers which the output does not decide.
    odd = np.linspace(0.5, 2.0, 20).reshape(5, 4)
    nameless(check(dense, back(lambda y: odd * (1 - y * y)), X, W))
    # One number for all rows is a factor.
    assert check(dense, back(lambda y: 3.0 * (1 - y * y)), X, W).findings[0].cause == "factor"


def test_right() -> None:
    right(check(dense, back(lambda y: 1 - y * y), X, W))
    right(check(softmax, lambda v, x: (softmax(x) * (v - (v * softmax(x)).sum(-1, keepdims=True)),), X))
