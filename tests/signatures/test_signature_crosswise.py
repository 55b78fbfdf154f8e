from typing import Any

import numpy as np
from slipped import check, named, nameless, rand, right

X, W, P = rand(1, 5, 4), rand(2, 4, 4), rand(3, 5, 5)


def linear(x: Any, w: Any) -> Any:
    return x @ w


def test_the_matrix_for_its_transpose() -> None:
    report = check(linear, lambda v, x, w: (v @ w, x.T @ v), X, W)
    named(report, "transposed", "inputs[0]", detail="the Jacobian")
    assert report.findings[0].repaired is not None
    assert report.findings[0].repaired < 1e-6


def test_weights_on_the_left_and_running_sums() -> None:
    named(check(lambda u: P @ u, lambda v, u: (P @ v,), X), "transposed", "inputs[0]")
    report = check(lambda x: np.cumsum(x, 0), lambda v, x: (np.cumsum(v, 0),), X)
    named(report, "transposed", "inputs[0]")


def test_near_misses() -> None:
    # Another matrix is not the transpose of this one.
    nameless(check(linear, lambda v, x, w: (v @ rand(4, 4, 4), x.T @ v), X, W))
    # The transpose times two is not the transpose.
    nameless(check(linear, lambda v, x, w: (2.0 * v @ w, x.T @ v), X, W))
    # Of a symmetric matrix the transpose is right.
    right(check(linear, lambda v, x, w: (v @ w, x.T @ v), X, W + W.T))


def test_right() -> None:
    right(check(linear, lambda v, x, w: (v @ w.T, x.T @ v), X, W))
    right(check(lambda x: np.cumsum(x, 0), lambda v, x: (np.cumsum(v[::-1], 0)[::-1],), X))
