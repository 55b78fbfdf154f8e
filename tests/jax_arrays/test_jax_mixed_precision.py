"""Costs of float32 parameters that compute in bfloat16 or float16 inside: what that rounds is no mistake."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import gradproof as gp

FORMATS = [jnp.bfloat16, jnp.float16]


def problem(seed: int, inner: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return jnp.asarray(rng.normal(size=shape).astype("float32"))

    X, y = normal(8, 5), normal(8)

    def cost(p: Any) -> Any:
        hidden = jnp.tanh(X.astype(inner) @ p["W"].astype(inner))
        return jnp.mean(((hidden @ p["v"].astype(inner)).astype(X.dtype) - y) ** 2)

    return cost, {"W": normal(5, 6), "v": normal(6)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inner", FORMATS)
def test_a_right_gradient_is_not_called_wrong(seed: int, inner: Any) -> None:
    cost, params = problem(seed, inner)
    report = gp.check(cost, params)
    assert report.verdict != "wrong", str(report)
    assert not report.findings


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
@pytest.mark.parametrize("inner", FORMATS)
def test_a_mistake_beyond_what_rounds_is_wrong(factor: float, inner: Any, seed: int) -> None:
    cost, params = problem(0, inner)
    reverse = jax.grad(cost)
    report = gp.check(cost, params, lambda p: {**reverse(p), "W": factor * reverse(p)["W"]}, seed=seed)
    assert report.tensors["W"].verdict == "wrong", str(report)
    assert report.tensors["v"].verdict != "wrong"


def test_a_small_mistake_is_not_called_correct() -> None:
    cost, params = problem(0, jnp.bfloat16)
    reverse = jax.grad(cost)
    report = gp.check(cost, params, lambda p: {**reverse(p), "W": 1.05 * reverse(p)["W"]})
    assert report.tensors["W"].verdict == "undecided", str(report)
    assert "lower precision inside" in report.tensors["W"].reason


def test_the_same_in_float32_is_held_to_its_own_tolerance() -> None:
    cost, params = problem(0, jnp.float32)
    assert gp.check(cost, params).verdict == "correct"
    reverse = jax.grad(cost)
    assert gp.check(cost, params, lambda p: {**reverse(p), "W": 1.05 * reverse(p)["W"]}).verdict == "wrong"


@pytest.mark.parametrize("seed", range(8))
def test_a_tolerance_that_was_asked_for_is_kept(seed: int) -> None:
    cost, params = problem(0, jnp.bfloat16)
    reverse = jax.grad(cost)
    grads = {factor: lambda p, k=factor: {**reverse(p), "W": k * reverse(p)["W"]} for factor in (1.0, 1.05)}
    report = gp.check(cost, params, grads[1.05], tolerance=1e-2, seed=seed)
    assert report.tensors["W"].verdict == "wrong", str(report)
    assert gp.check(cost, params, grads[1.0], tolerance=1e-2, seed=seed).tensors["W"].verdict != "wrong"
