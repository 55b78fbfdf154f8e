from typing import Any

import numpy as np
import pytest
from slipped import check, named, nameless, rand, right

X = rand(1, 5, 6)
KEYS, VALUES = rand(2, 5, 6), rand(3, 5, 4)


def norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)


def norm_back(mean: float, variance: float) -> Any:
    def backward(v: Any, x: Any) -> Any:
        h, inverse = norm(x), 1.0 / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
        first, second = v.mean(-1, keepdims=True), h * (v * h).mean(-1, keepdims=True)
        return (inverse * (v - mean * first - variance * second),)

    return backward


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def mixed(x: Any) -> Any:
    return softmax(x @ KEYS.T) @ VALUES


def mixed_back(taken: Any) -> Any:
    def backward(v: Any, x: Any) -> Any:
        p = softmax(x @ KEYS.T)
        dp = v @ VALUES.T
        return (taken(p, dp) @ KEYS,)

    return backward


@pytest.mark.parametrize("left", [(0.0, 1.0), (1.0, 0.0)])
def test_through_a_mean_or_a_variance(left: Any) -> None:
    report = check(norm, norm_back(*left), X)
    named(report, "missing-path", "inputs[0]", detail="through one number along the last axis")


def test_between_elements() -> None:
    def alone(v: Any, x: Any) -> Any:
        return (v * softmax(x),)

    named(check(softmax, alone, X), "missing-path", "inputs[0]", detail="through one number along the last axis")
    named(check(norm, norm_back(0.0, 0.0), X), "missing-path", "inputs[0]", detail="through two numbers")
    named(check(softmax, lambda v, x: (v * softmax(x) * (1 - softmax(x)),), X), "other-loss", "inputs[0]",
          detail="of a sigmoid")  # fmt: skip


def test_through_what_the_output_is_divided_by() -> None:
    report = check(mixed, mixed_back(lambda p, dp: p * dp), X)
    named(report, "missing-path", "inputs[0]", detail="through what the output is divided by")
    assert "factor" in report.findings[0].also


def test_near_misses() -> None:
    # What is there and counted twice is not missing.
    nameless(check(norm, norm_back(2.0, 1.0), X))
    nameless(check(norm, norm_back(1.0, 2.0), X))
    nameless(check(softmax, lambda v, x: (softmax(x) * (v - 2 * (v * softmax(x)).sum(-1, keepdims=True)),), X))
    # A mismatch of rank one along something else than the output.
    nameless(check(mixed, mixed_back(lambda p, dp: p * (dp - (dp * p).sum(-1, keepdims=True)) + p * dp[:, :1]), X))

    # What is no function of each element and a number or two is not known to lack a path, though the claim knows none.
    nameless(check(lambda x: x @ rand(4, 6, 6), lambda v, x: (v * rand(5, 6) * x,), X))

    # One wrong column is of rank one too, and a place in the gradient.
    def lost(v: Any, x: Any) -> Any:
        (found,) = norm_back(1.0, 1.0)(v, x)
        found[:, 2] *= 0.5
        return (found,)

    report = check(norm, lost, X)
    assert all(f.cause != "missing-path" for f in report.findings), str(report)


def test_right() -> None:
    right(check(norm, norm_back(1.0, 1.0), X))
    right(check(mixed, mixed_back(lambda p, dp: p * (dp - (dp * p).sum(-1, keepdims=True))), X))
