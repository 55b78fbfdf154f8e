from typing import Any

import numpy as np
from slipped import check, named, nameless, rand, right, scan

X, W, B = rand(1, 6, 3), rand(2, 3, 4), rand(3, 4)
TABLE, INDEX = rand(4, 7, 3), np.array([1, 4, 1, 6, 0, 4, 1])
A, H = 1.0 / (1.0 + np.exp(-rand(5, 3, 7, 2))), rand(6, 3, 7, 2)


def layer(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b


def rows(table: Any) -> Any:
    return table[INDEX]


def scan_back(stop: Any) -> Any:
    def backward(v: Any, a: Any, x: Any) -> Any:
        y, dx, da, carry = scan(a, x), np.zeros_like(x), np.zeros_like(a), np.zeros_like(x[:, 0])
        for t in reversed(range(x.shape[1])):
            carry = 0.0 * carry if stop(t) else carry
            carry = carry + v[:, t]
            dx[:, t] = carry
            da[:, t] = carry * (y[:, t - 1] if t else 0.0)
            carry = carry * a[:, t]
        return da, dx

    return backward


def test_an_example_left_out() -> None:
    report = check(layer, lambda v, x, w, b: (v @ w.T, x[:-1].T @ v[:-1], v.sum(0)), X, W, B)
    named(report, "region", "inputs[1]", detail="place 5 along axis 0 left out")
    assert report.findings[0].also == ("missing-path",)


def test_one_example_for_the_sum() -> None:
    report = check(layer, lambda v, x, w, b: (v @ w.T, x.T @ v, v[0]), X, W, B)
    named(report, "bias-reduction", "inputs[2]", detail="place 0 along axis 0 alone")
    report = check(layer, lambda v, x, w, b: (v @ w.T, x[:1].T @ v[:1], v.sum(0)), X, W, B)
    named(report, "missing-path", "inputs[1]", detail="place 0 along axis 0 alone")


def test_written_over() -> None:
    def assigned(v: Any, table: Any) -> Any:
        found = np.zeros_like(table)
        found[INDEX] = v
        return (found,)

    named(check(rows, assigned, TABLE), "overwritten", "inputs[0]", detail="the last of several")


def test_what_goes_back_through_steps() -> None:
    report = check(scan, scan_back(lambda t: True), A, H)
    named(report, "missing-path", "inputs[0]", "inputs[1]", detail="between places along axis 1")
    named(check(scan, scan_back(lambda t: t % 3 == 2), A, H), "truncated", "inputs[0]", "inputs[1]")


def test_near_misses() -> None:
    # An example that counts half is not left out.
    weights = np.array([1.0, 1.0, 0.5, 1.0, 1.0, 1.0])[:, None]
    nameless(check(layer, lambda v, x, w, b: (v @ w.T, (weights * x).T @ v, v.sum(0)), X, W, B), "factor")

    # Rows of the gradient that are zero are a place in it, and no part of a sum.
    def without(v: Any, table: Any) -> Any:
        found = np.zeros_like(table)
        np.add.at(found, INDEX, v)
        found[0] = 0.0
        return (found,)

    report = check(rows, without, TABLE)
    assert report.findings[0].cause in ("region", "zero"), str(report)
    assert "left out" not in report.findings[0].detail

    # Steps of which some are too small are not cut off.
    def damped(v: Any, a: Any, x: Any) -> Any:
        da, dx = scan_back(lambda t: False)(v, a, x)
        return da, dx - 0.5 * (dx - v)

    nameless(check(scan, damped, A, H), "factor")


def test_right() -> None:
    right(check(layer, lambda v, x, w, b: (v @ w.T, x.T @ v, v.sum(0)), X, W, B))
    right(check(scan, scan_back(lambda t: False), A, H))


def test_the_place_is_that_of_the_wrong_elements() -> None:
    def assigned(v: Any, table: Any) -> Any:
        found = np.zeros_like(table)
        found[INDEX] = v
        return (found,)

    mask = check(rows, assigned, TABLE).findings[0].where.mask("inputs[0]")
    expected = np.zeros(TABLE.shape, dtype=bool)
    expected[[1, 4]] = True  # those that are looked up more than once
    assert np.array_equal(mask, expected)
