from typing import Any

import numpy as np
from slipped import check, named, nameless, rand, right, scan

X, Z, W = rand(1, 6, 4), rand(2, 6, 4), rand(3, 4, 4)


def both(x: Any, z: Any, w: Any) -> Any:
    return np.tanh(x @ w) + z.sum(-1, keepdims=True)


def slope(x: Any, w: Any) -> Any:
    return 1.0 - np.tanh(x @ w) ** 2


def back(dw: Any = None, dx: Any = None) -> Any:
    def backward(v: Any, x: Any, z: Any, w: Any) -> Any:
        d = v * slope(x, w)
        return (
            d @ w.T if dx is None else dx(d, w), np.repeat(v.sum(-1, keepdims=True), 4, -1),
            x.T @ d if dw is None else dw(d, x, z),
        )  # fmt: skip

    return backward


def test_another_input() -> None:
    report = check(both, back(dw=lambda d, x, z: z.T @ d), X, Z, W)
    named(report, "wrong-cache", "inputs[2]", detail="inputs[1] for inputs[0]")


def test_the_transpose_of_an_input() -> None:
    named(check(both, back(dx=lambda d, w: d @ w), X, Z, W), "transposed", "inputs[0]", detail="inputs[2]")


def test_an_input_left_out() -> None:
    def scaled(x: Any, g: Any) -> Any:
        return np.cumsum(x, -1) * g

    def backward(v: Any, x: Any, g: Any) -> Any:
        return np.cumsum(v[:, ::-1], -1)[:, ::-1], (v * np.cumsum(x, -1)).sum(0)

    report = check(scaled, backward, X, Z[0])
    named(report, "missing-path", "inputs[0]", detail="inputs[1] left out")
    assert "wrong-cache" in report.findings[0].also


def test_another_step() -> None:
    def backward(shift: int) -> Any:
        def pulled(v: Any, a: Any, x: Any) -> Any:
            y, da, dx, carry = scan(a, x), np.zeros_like(a), np.zeros_like(x), np.zeros_like(x[:, 0])
            for t in reversed(range(x.shape[1])):
                carry = carry + v[:, t]
                dx[:, t] = carry
                da[:, t] = carry * (y[:, t - shift] if t >= shift else 0.0)
                carry = carry * a[:, t]
            return da, dx

        return pulled

    a, x = 1.0 / (1.0 + np.exp(-rand(5, 3, 5, 2))), rand(6, 3, 5, 2)
    report = check(scan, backward(0), a, x)
    named(report, "wrong-cache", "inputs[0]", detail="the output for the output one place before")
    right(check(scan, backward(1), a, x))


def test_near_misses() -> None:
    # An array that is not at hand.
    nameless(check(both, back(dw=lambda d, x, z: rand(7, 6, 4).T @ d), X, Z, W))

    # Rows that are off by a number each: two arrays with that ratio are not what is mixed up.
    def unit(x: Any) -> Any:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def undivided(v: Any, x: Any) -> Any:
        return (v - unit(x) * (v * unit(x)).sum(-1, keepdims=True),)

    report = check(unit, undivided, X)
    assert all(f.cause not in ("wrong-cache", "missing-path", "transposed") for f in report.findings), str(report)


def test_right() -> None:
    right(check(both, back(), X, Z, W))
