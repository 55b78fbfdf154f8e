"""Functions of JAX's arrays through gp.check_function."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import gradproof as gp

X = jnp.arange(1.0, 7.0).reshape(2, 3) / 3


def test_nestings_in_and_out() -> None:
    def function(inputs: Any, scale: float, *, shift: Any) -> Any:
        a, b = inputs["a"], inputs["b"][0]
        return {"sum": a @ b * scale, "others": [jnp.tanh(a) + shift, jnp.arange(3), None]}

    report = gp.check_function(function, {"a": X, "b": [X.T]}, 2.0, kwargs={"shift": jnp.ones(3)})
    assert report.verdict == "correct", str(report)
    assert list(report.tensors) == ["inputs[0].a", "inputs[0].b.0", "shift"]


def test_positions() -> None:
    report = gp.check_function(lambda a, b: a @ b, X, X.T, argnums=1)
    assert list(report.tensors) == ["inputs[1]"]
    with pytest.raises(gp.InputError, match="positions among 2 inputs"):
        gp.check_function(lambda a, b: a @ b, X, X.T, argnums=2)
    with pytest.raises(gp.InputError, match="at least one array"):
        gp.check_function(lambda a, b: a, jnp.arange(3), b"x")


def test_a_vjp_of_the_users_own() -> None:
    def right(inputs: Any, v: Any) -> Any:
        return v @ inputs[1].T, inputs[0].T @ v

    def wrong(inputs: Any, v: Any) -> Any:
        return v @ inputs[1].T, 2 * inputs[0].T @ v

    assert gp.check_function(lambda a, b: a @ b, X, X.T, vjp=right).verdict == "correct"
    report = gp.check_function(lambda a, b: a @ b, X, X.T, vjp=wrong)
    assert [(f.cause, f.tensors) for f in report.findings] == [("factor", ("inputs[1]",))]


def test_rules_of_forward_mode() -> None:
    def made(factor: float) -> Any:
        f = jax.custom_jvp(jnp.sin)
        f.defjvp(lambda p, t: (jnp.sin(p[0]), factor * jnp.cos(p[0]) * t[0]))
        return f

    assert gp.check_function(made(1.0), X).verdict == "correct"
    report = gp.check_function(made(1.5), X)
    assert [f.cause for f in report.findings] == ["factor"]


@pytest.mark.parametrize("method", ["sequential", "broadcast_all"])
def test_calls_out_of_jax(method: str) -> None:
    def host(x: Any) -> Any:
        kind = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda a: np.sin(np.asarray(a)), kind, x, vmap_method=method)

    def made(sign: float) -> Any:
        f = jax.custom_vjp(host)
        f.defvjp(lambda x: (host(x), x), lambda x, v: (sign * v * jnp.cos(x),))
        return f

    assert gp.check_function(made(1.0), X).verdict == "correct"
    assert [f.cause for f in gp.check_function(made(-1.0), X).findings] == ["sign"]
    assert gp.check(lambda x: jnp.sum(jax.jit(made(1.0))(x) ** 2), X).verdict == "correct"


def test_a_call_that_knows_float32_alone() -> None:
    def host(x: Any) -> Any:
        kind = jax.ShapeDtypeStruct(x.shape, jnp.float32)
        return jax.pure_callback(lambda a: np.sin(np.asarray(a, np.float32)), kind, x, vmap_method="sequential")

    def made(factor: float) -> Any:
        f = jax.custom_vjp(host)
        f.defvjp(lambda x: (host(x), x), lambda x, v: (factor * v * jnp.cos(x),))
        return f

    assert gp.check_function(made(1.0), X).verdict == "correct"
    assert gp.check_function(made(1.1), X).verdict == "wrong"


def test_an_output_whose_cotangent_is_forgotten() -> None:
    f = jax.custom_vjp(lambda x: (jnp.sin(x), jnp.cos(x)))
    f.defvjp(lambda x: ((jnp.sin(x), jnp.cos(x)), x), lambda x, v: (v[0] * jnp.cos(x),))
    report = gp.check_function(f, X)
    assert [(f.cause, f.detail) for f in report.findings] == [("missing-path", "through output 1")]


def test_a_twin() -> None:
    def single(x: Any) -> Any:
        return jnp.sin(x.astype(jnp.float32))

    def made(factor: float) -> Any:
        f = jax.custom_vjp(single)
        f.defvjp(lambda x: (single(x), x), lambda x, v: (factor * v * jnp.cos(x),))
        return f

    assert gp.check_function(made(1.0), X, twin=jnp.sin).verdict == "correct"
    assert gp.check_function(made(1.01), X, twin=jnp.sin).verdict == "wrong"
    with pytest.raises(gp.InputError, match="twin"):
        gp.check_function(made(1.0), X, twin=lambda x: jnp.sin(x[0]))
    with pytest.raises(gp.InputError, match="the same function in float64"):
        gp.check_function(made(1.0), X, twin=lambda x: 1.5 * jnp.sin(x))


def test_complex_functions() -> None:
    z = X + 1j * X[::-1]
    assert gp.check_function(lambda z: jnp.exp(z) * z.conj(), z).verdict == "correct"
    assert gp.check_function(lambda z: jnp.abs(z), z).verdict == "correct"
    assert gp.check_function(lambda z: z * z, z, vjp=lambda i, v: (2 * i[0] * v,)).verdict == "correct"
    report = gp.check_function(lambda z: z * z, z, vjp=lambda i, v: (2 * i[0].conj() * v,))
    assert [f.cause for f in report.findings] == ["conjugate"]


def test_regimes() -> None:
    def made(wrong: bool) -> Any:
        f = jax.custom_vjp(jnp.sin)

        def back(x: Any, v: Any) -> Any:
            g = v * jnp.cos(x)
            return (g.at[32:].set(0.0) if wrong else g,)

        f.defvjp(lambda x: (jnp.sin(x), x), back)
        return f

    x = jnp.arange(5.0) + 0.3
    assert gp.check_function(made(wrong=True), x).verdict == "correct"
    report = gp.check_function(made(wrong=True), x, regimes=True)
    assert report.verdict == "wrong"
    assert "in place of 5" in report.findings[0].message


def transposed(along: float, back: float) -> Any:
    """A sine whose tangents are multiplied by one number forwards and by another one backwards."""
    from jax.custom_derivatives import linear_call

    f = jax.custom_jvp(jnp.sin)

    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        moved = linear_call(lambda c, t: along * c * t, lambda c, v: back * c * v, jnp.cos(x), t)
        return jnp.sin(x), moved

    f.defjvp(rule)
    return f


def test_forward_and_reverse_mode_are_adjoint() -> None:
    assert gp.check_function(transposed(1.0, 1.0), X).verdict == "correct"
    report = gp.check_function(transposed(1.5, 1.0), X)
    assert report.verdict == "wrong"
    (finding,) = report.findings
    assert finding.detail == "jvp and vjp are not adjoint"
    assert "it is forward mode that is wrong" in finding.message
    assert gp.check_function(transposed(1.0, 1.5), X).findings[0].cause == "factor"
    z = X + 1j * X[::-1]
    assert gp.check_function(lambda z: jnp.exp(z) * z.conj(), z).verdict == "correct"


def test_a_rule_whose_forward_pass_is_another_function() -> None:
    def made(share: float) -> Any:
        f = jax.custom_vjp(jnp.sin)
        f.defvjp(lambda x: (jnp.sin(x) * share, x), lambda x, v: (v * jnp.cos(x),))
        return f

    assert not gp.check_function(made(1.0), X).findings
    report = gp.check_function(made(1.1), X)
    assert [(f.cause, f.severity) for f in report.findings] == [("other-loss", "warning")]


def test_an_iterator_as_parameters_is_refused_without_being_opened() -> None:
    with pytest.raises(gp.InputError, match=r"list\(params\)"):
        gp.check(lambda: 1.0, (part for part in [X, X]))


@pytest.mark.parametrize(
    "cancelling",
    [
        lambda x: (x - x.mean()).sum(),
        lambda x: x / 3.0 + x / 1.5 - x,
        lambda x: jax.nn.logsumexp(jax.nn.log_softmax(x)),
        lambda x: jax.nn.standardize(x).sum(),
    ],
)
def test_forward_and_reverse_mode_round_apart_where_both_cancel(cancelling: Any) -> None:
    """What is left of either is rounding, and that of one is not the adjoint of that of the other."""
    with jax.enable_x64(True):
        for seed in range(6):
            x = jnp.asarray(3.0 * np.random.default_rng(seed).standard_normal(5))
            report = gp.check_function(cancelling, x, seed=seed)
            assert report.verdict != "wrong", str(report)
            assert not [f for f in report.findings if f.severity == "error"]
