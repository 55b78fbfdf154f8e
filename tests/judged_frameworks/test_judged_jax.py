"""Functions of JAX with rules of the user's own: right ones are correct, slips are wrong, each in single and double.

The truth is JAX's reverse mode through plain operations in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import gradproof as gp  # noqa: E402

Backward = Callable[[tuple[Any, ...], Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Operator:
    """A function, its backward pass, slips in it, and the shapes of its inputs."""

    plain: Callable[..., Any]
    backward: Backward
    slips: Mapping[str, Backward]
    shapes: tuple[tuple[int, ...], ...]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + jnp.exp(-x))


def swish_slope(x: Any) -> Any:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def inverse_rms(x: Any) -> Any:
    return 1 / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-4)


def rms_backward(x: Any, g: Any, v: Any) -> tuple[Any, Any]:
    i, d = inverse_rms(x), v * g
    return i * d - x * i**3 * jnp.mean(d * x, -1, keepdims=True), jnp.sum(v * x * i, 0)


OPERATORS = {
    "swish": Operator(
        lambda x: x * sigmoid(x),
        lambda x, v: (v * swish_slope(x[0]),),
        {
            "product rule": lambda x, v: (v * sigmoid(x[0]),),
            "cotangent ignored": lambda x, v: (swish_slope(x[0]) + 0 * v,),
            "one cotangent": lambda x, v: (v[0, 0] * swish_slope(x[0]),),
        },
        ((3, 4),),
    ),
    "dense": Operator(
        lambda x, w, b: x @ w + b,
        lambda x, v: (v @ x[1].T, x[0].T @ v, v.sum(0)),
        {
            "not transposed": lambda x, v: (v @ x[1], x[0].T @ v, v.sum(0)),
            "mean for sum": lambda x, v: (v @ x[1].T, x[0].T @ v, v.mean(0)),
            "last example": lambda x, v: (v @ x[1].T, x[0][:-1].T @ v[:-1], v.sum(0)),
            "tile": lambda x, v: (v @ x[1].T, (x[0].T @ v).at[:, 4:].set(0), v.sum(0)),
        },
        ((6, 5), (5, 5), (5,)),
    ),
    "rms": Operator(
        lambda x, g: g * x * inverse_rms(x),
        lambda x, v: rms_backward(x[0], x[1], v),
        {
            "projection": lambda x, v: (inverse_rms(x[0]) * v * x[1], jnp.sum(v * x[0] * inverse_rms(x[0]), 0)),
            "mean for sum": lambda x, v: (
                rms_backward(x[0], x[1], v)[0],
                jnp.mean(v * x[0] * inverse_rms(x[0]), 0),
            ),
        },
        ((5, 6), (6,)),
    ),
    "huber": Operator(
        lambda x: jnp.where(jnp.abs(x) < 1, 0.5 * x * x, jnp.abs(x) - 0.5),
        lambda x, v: (v * jnp.clip(x[0], -1, 1),),
        {
            "not clipped": lambda x, v: (v * x[0],),
            "clipped at 2": lambda x, v: (v * jnp.clip(x[0], -2, 2),),
        },
        ((4, 5),),
    ),
}
FORMATS = ("float32", "float64")
VISIBLE = 1e-2  # Every planted slip is far above the tolerance of either format.


def with_rule(operator: Operator, backward: Backward) -> Any:
    function = jax.custom_vjp(operator.plain)
    function.defvjp(lambda *x: (operator.plain(*x), x), backward)
    return function


def drawn(operator: Operator, dtype: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(641)
    return tuple(jnp.asarray(2 * rng.normal(size=shape), dtype=dtype) for shape in operator.shapes)


def spoilt(operator: Operator, slip: str) -> list[float]:
    """How far each input's gradient is from the true one, relative to it, in double precision."""
    with jax.enable_x64(True):
        inputs = drawn(operator, "float64")
        outputs, true = jax.vjp(operator.plain, *inputs)
        cotangent = jnp.asarray(np.random.default_rng(7).normal(size=outputs.shape))
        slipped = with_rule(operator, operator.slips[slip])
        found = jax.vjp(slipped, *inputs)[1](cotangent)
        return [float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in zip(found, true(cotangent), strict=True)]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", OPERATORS)
def test_a_right_rule_is_correct(name: str, dtype: str) -> None:
    operator = OPERATORS[name]
    with jax.enable_x64(dtype == "float64"):
        inputs = drawn(operator, dtype)
        report = gp.check_function(with_rule(operator, operator.backward), *inputs)
    assert report.verdict == "correct", str(report)


#: Each slip in one of the formats, in turn.
PLANTED = [
    (name, slip, FORMATS[place % 2])
    for name, operator in OPERATORS.items()
    for place, slip in enumerate(operator.slips)
]


@pytest.mark.parametrize(("name", "slip", "dtype"), PLANTED)
def test_a_slip_is_wrong_where_it_spoils(name: str, slip: str, dtype: str) -> None:
    operator = OPERATORS[name]
    distances = spoilt(operator, slip)
    assert max(distances) > VISIBLE, "this slip does not show"
    with jax.enable_x64(dtype == "float64"):
        inputs = drawn(operator, dtype)
        report = gp.check_function(with_rule(operator, operator.slips[slip]), *inputs)
    for distance, tensor in zip(distances, report.tensors.values(), strict=True):
        assert tensor.verdict == ("wrong" if distance > VISIBLE else "correct"), str(report)


@pytest.mark.parametrize("redrawn", [False, True])
def test_a_mask_drawn_again_in_the_rule_is_wrong(redrawn: bool) -> None:
    key = jax.random.PRNGKey(3)

    def kept(key: Any, x: Any) -> Any:
        return jax.random.bernoulli(key, 0.7, x.shape)

    def plain(x: Any) -> Any:
        return jnp.where(kept(key, x), x / 0.7, 0.0)

    def backward(x: Any, v: Any) -> tuple[Any]:
        mask = kept(jax.random.fold_in(key, 1) if redrawn else key, x)
        return (jnp.where(mask, v / 0.7, 0.0),)

    dropped = jax.custom_vjp(plain)
    dropped.defvjp(lambda x: (plain(x), x), backward)
    rng = np.random.default_rng(88)
    x = jnp.asarray(rng.normal(size=(10, 4)), dtype="float32")
    params = {"W": jnp.asarray(rng.normal(size=(4, 3)), dtype="float32")}
    before = np.asarray(params["W"]).tobytes()
    report = gp.check(lambda p: jnp.mean(dropped(jnp.tanh(x @ p["W"])) ** 2), params)
    assert report.verdict == ("wrong" if redrawn else "correct"), str(report)
    assert np.asarray(params["W"]).tobytes() == before
