"""Right gradients where the cost is at its minimum in some tensor: what a claim holds there is its own rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradproof as gp

Made = tuple[Callable[[Any], Any], dict[str, Any], Callable[[Any], dict[str, Any]]]


def half(seed: int, *, complex_numbers: bool = False, shift: float = 0.0, sized: bool = False) -> Made:
    """A tensor at its minimum, where sums cancel, beside one that is not."""
    rng = np.random.default_rng(seed)
    n, m = (int(rng.integers(2, 30)), int(rng.integers(1, 12))) if sized else (3, 2)
    scales = 10.0 ** rng.uniform([-4, -3, -3], [4, 3, 3]) if sized else np.ones(3)

    def drawn(*shape: int) -> Any:
        real = rng.normal(size=shape)
        return real + 1j * rng.normal(size=shape) if complex_numbers else real

    s, A, v = drawn(n) * scales[0], drawn(m, n) * scales[1], drawn(4) * scales[2]
    A = A - np.outer(A @ s, s.conj()) / np.vdot(s, s)

    def cost(p: Any) -> Any:  # in the precision of the parameters, so that extended precision can be had
        return 0.5 * (np.abs(p["A"] @ s) ** 2).sum() + 0.3 * (np.abs(p["v"]) ** 2).sum() + shift

    return cost, {"A": A, "v": v}, lambda p: {"A": np.outer(p["A"] @ s, s.conj()), "v": 0.6 * p["v"]}


@pytest.mark.parametrize("seed", [13, 27, 41])
@pytest.mark.parametrize("complex_numbers", [False, True])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_one_tensor_at_its_minimum(seed: int, complex_numbers: bool, shift: float) -> None:
    cost, params, grads = half(seed, complex_numbers=complex_numbers, shift=shift)
    report = gp.check(cost, params, grads)
    assert report.verdict == "correct", str(report)
    wrong = gp.check(cost, params, lambda p: grads(p) | {"A": grads(p)["A"] + 1e-9 * p["A"]})
    assert [name for name, t in wrong.tensors.items() if t.verdict == "wrong"] == ["A"]


@pytest.mark.parametrize("seed", [0, 6, 13, 27, 1000, 1005, 1012, 1029])
def test_scales_far_apart(seed: int) -> None:
    cost, params, grads = half(seed, sized=True)
    for claim in (grads, grads(params)):
        report = gp.check(cost, params, claim, seed=seed)
        assert report.verdict != "wrong", str(report)
        assert report.tensors["v"].verdict == "correct"


@pytest.mark.parametrize("seed", range(3))
def test_a_bias_before_a_mean_is_taken_off(seed: int) -> None:
    """Its gradient is zero, and the claim the rounding of a sum."""
    rng = np.random.default_rng(seed)
    X, aim = rng.normal(size=(25, 6)), rng.normal(size=(25, 5))
    params = {"W": rng.normal(size=(6, 5)) * 30.0, "b": rng.normal(size=5)}

    def forward(p: Any) -> Any:
        Z = X @ p["W"] + p["b"]
        return np.tanh(Z - Z.mean(0))

    def grads(p: Any, factor: float = 1.0) -> Any:
        F = forward(p)
        D = 2 * (F - aim) / F.size * (1 - F * F)
        D = D - factor * D.mean(0)
        return {"W": X.T @ D, "b": D.sum(0)}

    def cost(p: Any) -> Any:
        return ((forward(p) - aim) ** 2).mean()

    assert gp.check(cost, params, grads).verdict == "correct"
    assert gp.check(cost, params, lambda p: grads(p, 0.0)).verdict == "wrong"
