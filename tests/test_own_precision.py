"""Arrays that stay in lower precision: parameters are moved by what survives their rounding."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._records import in_format


def verdict(dtype: type, factor: float, seed: int) -> str:
    """Of a gradient that is off by a factor, of live arrays of a format, with the cost in double precision."""
    rng = np.random.default_rng(100 + seed)
    W: Any = rng.standard_normal((3, 2)).astype(dtype)
    X = rng.standard_normal((8, 3))

    def cost() -> float:
        return float(np.sum(np.tanh(X @ W.astype(float)) ** 2))

    def grads() -> Any:
        A = np.tanh(X @ W.astype(float))
        return (factor * X.T @ (2 * A * (1 - A**2))).astype(dtype)

    return gp.check(cost, W, grads, seed=seed).verdict


@pytest.mark.parametrize("seed", range(6))
def test_single_precision_is_judged(seed: int) -> None:
    assert verdict(np.float32, 1.0, seed) == "correct"
    assert verdict(np.float32, 1.2, seed) == "wrong"
    assert verdict(np.float32, 1.01, seed) != "correct"
    assert verdict(np.float32, 1.0001, seed) != "wrong", "less than the tolerance for such claims"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("factor", [-1.0, 1.2, 1.5])
def test_half_precision_never_passes_what_is_wrong(factor: float, seed: int) -> None:
    assert verdict(np.float16, factor, seed) != "correct"
    assert verdict(np.float16, 1.0, seed) != "wrong"


def test_rounding_to_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(10_000) * 10.0 ** np.random.default_rng(1).integers(
        -30, 30, 10_000
    )
    values[:4] = 0.0, -0.0, 1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8  # two ties
    assert np.array_equal(in_format(values, "bfloat16"), torch.from_numpy(values).bfloat16().double().numpy())
