from typing import Any

import numpy as np
import pytest
from slipped import check, named, nameless, rand, right

Q, K, V = rand(1, 2, 4, 3), rand(2, 2, 5, 3), rand(3, 2, 5, 4)


def weights(q: Any, k: Any) -> Any:
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q: Any, k: Any, v: Any) -> Any:
    return weights(q, k) @ v


def back(softmax: Any) -> Any:
    def backward(u: Any, q: Any, k: Any, v: Any) -> Any:
        p = weights(q, k)
        ds = softmax(p, u @ np.swapaxes(v, -1, -2)) / np.sqrt(q.shape[-1])
        return ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(p, -1, -2) @ u

    return backward


@pytest.mark.parametrize(
    ("softmax", "cause", "detail"),
    [
        (lambda p, dp: p * (1 - p) * dp, "other-loss", "of a sigmoid"),
        (lambda p, dp: p * (dp - (p * dp).sum(-2, keepdims=True)), "other-loss", "another axis"),
        (lambda p, dp: p * dp, "missing-path", "the sum of the softmax"),
    ],
)
def test_slips(softmax: Any, cause: str, detail: str) -> None:
    named(check(attention, back(softmax), Q, K, V), cause, "inputs[0]", "inputs[1]", detail=detail)


def test_near_misses() -> None:
    nameless(check(attention, back(lambda p, dp: p * (dp - 0.7 * (p * dp).sum(-2, keepdims=True))), Q, K, V))
    nameless(check(attention, back(lambda p, dp: p * (dp - dp.mean(-1, keepdims=True))), Q, K, V))


def test_right() -> None:
    right(check(attention, back(lambda p, dp: p * (dp - (p * dp).sum(-1, keepdims=True))), Q, K, V))
