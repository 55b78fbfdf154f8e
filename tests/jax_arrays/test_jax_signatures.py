"""Causes that the Jacobian of a function of JAX's arrays tells."""

from typing import Any

import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np

import gradproof as gp

X = jnp.asarray(np.random.default_rng(1).standard_normal((5, 6)), dtype=jnp.float32)
W = jnp.asarray(np.random.default_rng(2).standard_normal((6, 6)), dtype=jnp.float32)


def norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-3)


def norm_back(mean: float) -> Any:
    def back(x: Any, v: Any) -> Any:
        h, inverse = norm(x), 1.0 / jnp.sqrt(x.var(-1, keepdims=True) + 1e-3)
        return (inverse * (v - mean * v.mean(-1, keepdims=True) - h * (v * h).mean(-1, keepdims=True)),)

    return back


def ruled(function: Any, back: Any) -> Any:
    rule = jax.custom_vjp(function)
    rule.defvjp(lambda *given: (function(*given), given), lambda given, v: back(*given, v))
    return rule


@pytest.mark.parametrize(
    ("rule", "inputs", "cause", "detail"),
    [
        (ruled(norm, norm_back(0.0)), (X,), "missing-path", "through one number"),
        (ruled(jnp.matmul, lambda x, w, v: (v @ w, x.T @ v)), (X, W), "transposed", "the Jacobian"),
        (ruled(jnp.tanh, lambda x, v: (v * jnp.cos(x),)), (X,), "activation-derivative", "another function"),
    ],
)  # fmt: skip
def test_slips(rule: Any, inputs: Any, cause: str, detail: str) -> None:
    report = gp.check_function(rule, *inputs)
    assert report.findings[0].cause == cause, str(report)
    assert detail in report.findings[0].detail
    assert report.findings[0].tensors == ("inputs[0]",)


def test_near_miss_and_right() -> None:
    twice = gp.check_function(ruled(norm, norm_back(2.0)), X)
    assert twice.verdict == "wrong"
    assert all(f.cause != "missing-path" for f in twice.findings), str(twice)
    report = gp.check_function(ruled(norm, norm_back(1.0)), X)
    assert report.verdict == "correct", str(report)
    assert not report.findings
