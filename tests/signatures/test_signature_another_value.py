from typing import Any

import numpy as np
from slipped import check, named, nameless, rand, right

X, K = rand(1, 3, 9), rand(2, 3)


def correlated(x: Any, k: Any) -> Any:
    return sum(k[j] * x[:, j : j + 7] for j in range(3))


def back(kernel: Any) -> Any:
    def backward(v: Any, x: Any, k: Any) -> Any:
        dx, turned = np.zeros_like(x), kernel(k)
        for j in range(3):
            dx[:, j : j + 7] += turned[j] * v
        return dx, np.array([(v * x[:, j : j + 7]).sum() for j in range(3)])

    return backward


def test_a_kernel_the_other_way_round() -> None:
    report = check(correlated, back(lambda k: k[::-1]), X, K)
    named(report, "permuted", "inputs[0]", detail="inputs[1] reversed along axis 0")


def test_near_misses() -> None:
    nameless(check(correlated, back(lambda k: k[[1, 0, 2]]), X, K))
    # A kernel that is the same from both ends may be flipped.
    right(check(correlated, back(lambda k: k[::-1]), X, np.array([0.5, -1.0, 0.5])))


def test_right() -> None:
    right(check(correlated, back(lambda k: k), X, K))
