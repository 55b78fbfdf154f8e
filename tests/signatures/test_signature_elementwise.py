from typing import Any

import numpy as np
import pytest
from slipped import check, named, nameless, rand, right

X = rand(1, 5, 4)
MASK = rand(2, 5, 4) > -0.5


def tanh(x: Any) -> Any:
    return np.tanh(x)


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


@pytest.mark.parametrize(
    ("slope", "detail"),
    [
        (lambda x, y: 1.0 - np.tanh(y) ** 2, "at the output"),
        (lambda x, y: y * (1.0 - y), "of the sigmoid"),
        (lambda x, y: (x > 0).astype(float), "of the ReLU"),
        (lambda x, y: np.cos(x), "of another function"),
        (lambda x, y: y, "the output itself"),
    ],
)
def test_another_derivative(slope: Any, detail: str) -> None:
    report = check(tanh, lambda v, x: (v * slope(x, tanh(x)),), X)
    named(report, "activation-derivative", "inputs[0]", detail=detail)


def test_another_slope_of_a_leaky_relu() -> None:
    def leaky(x: Any, slope: float = 0.2) -> Any:
        return np.where(x > 0, x, slope * x)

    report = check(leaky, lambda v, x: (v * np.where(x > 0, 1.0, 0.01),), X)
    assert report.findings[0].cause in ("activation-derivative", "factor"), str(report)
    right(check(leaky, lambda v, x: (v * np.where(x > 0, 1.0, 0.2),), X))


def test_a_mask() -> None:
    def dropped(x: Any) -> Any:
        return x * MASK / 0.7

    named(check(dropped, lambda v, x: (v / 0.7,), X), "dropout", "inputs[0]", detail="mask forgotten")
    rolled = np.roll(MASK, 1, 0)
    named(check(dropped, lambda v, x: (v * rolled / 0.7,), X), "dropout", "inputs[0]", detail="another mask")
    right(check(dropped, lambda v, x: (v * MASK / 0.7,), X))


def test_near_misses() -> None:
    # What depends on where an element stands is no derivative of a function of it.
    uneven = np.linspace(0.2, 3.0, X.size).reshape(X.shape)
    nameless(check(tanh, lambda v, x: (v * uneven * (1.0 - tanh(x) ** 2),), X))
    # Zeros and ones are a mask, but none of dropout.
    nameless(check(lambda x: np.where(MASK, x, 0.0), lambda v, x: (1.0 * v,), X))
    # A rounded derivative is no other one.
    low = check(tanh, lambda v, x: (v * (1.0 - tanh(x) ** 2).astype(np.float16).astype(float),), X)
    assert all(f.cause != "activation-derivative" for f in low.findings), str(low)

    # Two arrays: which one the derivative should be of is not known.
    def both(v: Any, x: Any, w: Any) -> Any:
        return v * w * np.cos(x * w), v * x * (1 - tanh(x * w) ** 2)

    nameless(check(lambda x, w: tanh(x * w), both, X, X + 2.0))


def test_one_of_two_factors() -> None:
    def silu(x: Any) -> Any:
        return x * sigmoid(x)

    def second(v: Any, x: Any) -> Any:
        return (v * x * sigmoid(x) * (1.0 - sigmoid(x)),)

    named(check(silu, lambda v, x: (v * sigmoid(x),), X), "missing-path", "inputs[0]", detail="one use of two")
    named(check(silu, second, X), "missing-path", "inputs[0]", detail="one use of two")
    nameless(check(silu, lambda v, x: (v * 0.9 * sigmoid(x),), X), "activation-derivative")
    right(check(silu, lambda v, x: (v * sigmoid(x) + second(v, x)[0],), X))


def test_right() -> None:
    right(check(tanh, lambda v, x: (v * (1.0 - tanh(x) ** 2),), X))
    right(check(sigmoid, lambda v, x: (v * sigmoid(x) * (1.0 - sigmoid(x)),), X))
