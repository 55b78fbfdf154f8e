"""A cotangent of the user's own takes the place of the random ones, and has to fit the outputs."""

import re
from typing import Any

import numpy as np
import pytest

import gradproof as gp

X = np.array([0.3, -0.8, 1.4])


def halves(x: Any) -> Any:
    return np.array([np.sum(x**2), np.sum(np.sin(x))])


def first_half_only(inputs: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
    """Right for cotangents of which the second number is zero."""
    return (2.0 * inputs[0] * cotangent[0],)


def test_the_verdict_rests_on_the_given_cotangent() -> None:
    seen = gp.check_function(halves, X, vjp=first_half_only, cotangent=np.array([2.0, 0.0]), method="probe")
    assert seen.passed
    assert gp.check_function(halves, X, vjp=first_half_only, cotangent=[np.array([2.0, 1.0])]).verdict == "wrong"
    assert gp.check_function(halves, X, vjp=first_half_only, method="probe").verdict == "wrong"


def test_the_laws_still_draw_their_own() -> None:
    def clipped(inputs: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
        u = np.clip(cotangent, -1.0, 1.0)
        return (2.0 * inputs[0] * u[0] + np.cos(inputs[0]) * u[1],)

    report = gp.check_function(halves, X, vjp=clipped, cotangent=np.array([0.5, 0.25]))
    assert report.verdict == "wrong"
    assert {f.cause for f in report.findings} & {"cotangent", "clipped"}


def pair(x: Any) -> Any:
    return {"squares": x**2, "sum": np.sum(x)}


def both(inputs: tuple[Any, ...], cotangent: Any) -> tuple[Any, ...]:
    return (2.0 * inputs[0] * cotangent[0] + cotangent[1],)


def test_several_outputs_take_one_each() -> None:
    for given in ((X, 2.0), [X, np.float64(2.0)], {"squares": X, "sum": 2}):
        assert gp.check_function(pair, X, vjp=both, cotangent=given).passed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.ones(2), "one array for each of 2 outputs"),
        ((np.ones(2), 1.0), "real numbers of shape (3,)"),
        ((np.array(["a", "b", "c"]), 1.0), "real numbers of shape (3,)"),
        ((np.ones(3) * 1j, 1.0), "real numbers of shape (3,)"),
        ((np.array([1.0, np.nan, 0.0]), 1.0), "finite"),
        ((np.zeros(3), 0.0), "not zero throughout"),
        ((None, None), "not zero throughout"),
    ],
)
def test_what_does_not_fit_is_refused(given: Any, words: str) -> None:
    with pytest.raises(gp.InputError, match=re.escape(words)):
        gp.check_function(pair, X, vjp=both, cotangent=given)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(gp.InputError, match="`cotangent`"):
        gp.check_function(halves, X, vjp=first_half_only, cotangent=np.ones(2), regimes=True)
    with pytest.raises(gp.InputError, match="`cotangent`"):
        gp.check_function(halves, X, jacobian=lambda x: np.stack([2.0 * x, np.cos(x)]), cotangent=np.ones(2))


def test_tensors() -> None:
    torch = pytest.importorskip("torch")

    class Lopsided(torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.sin(x), x**2

        @staticmethod
        def backward(ctx: Any, u: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return u * torch.cos(x) + v * x  # the second half lacks its 2

    x = torch.tensor(X, requires_grad=True)
    assert gp.check_function(Lopsided.apply, x, cotangent=(torch.ones(3), None), method="probe").passed
    assert gp.check_function(Lopsided.apply, x, cotangent=(torch.ones(3), torch.ones(3))).verdict == "wrong"


def test_arrays_of_jax() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def lopsided(x: Any) -> Any:
        return jnp.sin(x), x**2

    lopsided.defvjp(lambda x: (lopsided(x), x), lambda x, u: (u[0] * jnp.cos(x) + u[1] * x,))
    x = jnp.asarray(X, jnp.float32)
    assert gp.check_function(lopsided, x, cotangent=(jnp.ones(3), None), method="probe").passed
    assert gp.check_function(lopsided, x, cotangent=(jnp.ones(3), jnp.ones(3))).verdict == "wrong"
