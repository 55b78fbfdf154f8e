"""Wrong rules of jax.custom_vjp by their causes, each beside a near miss and the right one.

A near miss is a right rule that looks like the wrong one: a factor that belongs, a flag at its default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gradproof as gp


def ruled(f: Any, backward: Any, forward: Any = None) -> Any:
    """A function with a backward pass of its own, which is given the inputs as residuals."""
    made = jax.custom_vjp(f)
    made.defvjp(forward or (lambda *xs: (f(*xs), xs)), backward)
    return made


def draws(*shapes: tuple[int, ...], seed: int = 1) -> tuple[Any, ...]:
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


def dense(x: Any, W: Any, b: Any) -> Any:
    return jnp.tanh(x @ W.T + b)


def above(r: Any, v: Any) -> Any:
    return v * (1 - dense(*r) ** 2)


def dense_back(r: Any, v: Any) -> Any:
    d = above(r, v)
    return d @ r[1], d.T @ r[0], d.sum(0)


@dataclass(frozen=True)
class Rule:
    """A function, inputs, the right, a wrong and a nearly wrong backward pass, and what the wrong one must be called.

    ``near`` is a backward pass that is right for ``near_function`` at ``near_inputs``, if these differ.
    """

    causes: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    right: Callable[..., Any]
    wrong: Callable[..., Any]
    near: Callable[..., Any]
    near_function: Callable[..., Any] | None = None
    near_inputs: tuple[Any, ...] | None = None
    wrong_in: tuple[int, ...] = (0,)


LAYER = draws((5, 4), (4, 4), (4,))
X = draws((3, 4))
STATE: dict[str, Any] = {}


def mean_dense(x: Any, W: Any, b: Any) -> Any:
    return dense(x, W, b) / x.shape[0]


def with_first(r: Any, v: Any) -> Any:
    """The residuals in the order in which ``with_first_forward`` has them."""
    b, W, x = r
    return dense_back((x, W, b), v)


def pair(a: Any, b: Any) -> Any:
    return jnp.sin(a) * b


def gathered(x: Any) -> Any:
    return x[jnp.array([0, 2, 2, 1])]


def spread(x: Any, v: Any, *, add: bool) -> Any:
    place = jnp.zeros_like(x).at[jnp.array([0, 2, 2, 1])]
    return (place.add(v) if add else place.set(v),)


def softmax(x: Any) -> Any:
    return jax.nn.softmax(x, axis=-1)


def softmax_back(r: Any, v: Any) -> Any:
    s = softmax(r[0])
    return (s * (v - (v * s).sum(-1, keepdims=True)),)


def heavy(x: Any) -> Any:
    return jnp.where(x > 0, x**2, jnp.sin(x))


def counted(r: Any, v: Any) -> Any:
    """Adds up over calls, as a cache that is never cleared does."""
    STATE["sum"] = STATE.get("sum", 0.0) + np.asarray(v * jnp.cos(r[0]))
    return (jnp.asarray(STATE["sum"], v.dtype),)


def counting(r: Any, v: Any) -> Any:
    STATE["calls"] = STATE.get("calls", 0) + 1
    return (v * jnp.cos(r[0]),)


def sine_back(r: Any, v: Any) -> Any:
    return (v * jnp.cos(r[0]),)


def masked(x: Any) -> Any:
    return jnp.sin(x) * (jnp.arange(x.shape[0]) < 2)[:, None]


OLD = draws((3, 4), seed=9)[0]
MASK = jax.random.bernoulli(jax.random.key(4), 0.6, (3, 4))

RULES: dict[str, Rule] = {
    "a factor of 1/m": Rule(
        "factor", dense, LAYER, dense_back, lambda r, v: (dense_back(r, v)[0] / 5, *dense_back(r, v)[1:]),
        lambda r, v: tuple(g / 5 for g in dense_back(r, v)), mean_dense,
    ),
    "a mean over the batch for a bias": Rule(
        "bias-reduction factor", dense, LAYER, dense_back, lambda r, v: (*dense_back(r, v)[:2], above(r, v).mean(0)),
        lambda r, v: (*dense_back(r, v)[:2], above(r, v).mean(0)), None, draws((1, 4), (4, 4), (4,)), (2,),
    ),
    "a sign": Rule(
        "sign", jnp.sin, X, sine_back, lambda r, v: (-v * jnp.cos(r[0]),), lambda r, v: (-v * jnp.sin(r[0]),), jnp.cos,
    ),
    "the derivative at the wrong place": Rule(
        "activation-derivative unexplained", jnp.tanh, X, lambda r, v: (v * (1 - jnp.tanh(r[0]) ** 2),),
        lambda r, v: (v * (1 - jnp.tanh(jnp.tanh(r[0])) ** 2),),
        lambda r, v: (v * (a := jax.nn.sigmoid(r[0])) * (1 - a),), jax.nn.sigmoid,
    ),
    "residuals in another order": Rule(
        "wrong-cache upstream unexplained", lambda a, b: a @ b, draws((4, 4), (4, 4)),
        lambda r, v: (v @ r[1].T, r[0].T @ v), lambda r, v: (v @ r[0].T, r[1].T @ v),
        lambda r, v: (v @ r[1].T, r[0].T @ v), None, None, (0, 1),
    ),
    "a missing transpose": Rule(
        "transposed", dense, LAYER, dense_back,
        lambda r, v: (dense_back(r, v)[0], dense_back(r, v)[1].T, dense_back(r, v)[2]),
        lambda r, v: ((d := v * (1 - jnp.tanh(r[0] @ r[1] + r[2]) ** 2)) @ r[1].T, r[0].T @ d, d.sum(0)),
        lambda x, W, b: jnp.tanh(x @ W + b), None, (1,),
    ),
    "gradients of two inputs swapped": Rule(
        "swapped", pair, draws((3, 4), (3, 4)), lambda r, v: (v * jnp.cos(r[0]) * r[1], v * jnp.sin(r[0])),
        lambda r, v: (v * jnp.sin(r[0]), v * jnp.cos(r[0]) * r[1]), lambda r, v: (v, v), lambda a, b: a + b, None,
        (0, 1),
    ),
    "one use cut off": Rule(
        "missing-path unexplained region", lambda x: x * jnp.sin(x), X,
        lambda r, v: (v * (jnp.sin(r[0]) + r[0] * jnp.cos(r[0])),), lambda r, v: (v * jnp.sin(r[0]),),
        lambda r, v: (v * jnp.sin(OLD),), lambda x: x * jnp.sin(OLD),
    ),
    "zeros": Rule(
        "zero", jnp.sin, X, sine_back, lambda r, v: (jnp.zeros_like(v),), lambda r, v: (jnp.zeros_like(v),),
        lambda x: jnp.ones_like(x) + 0 * x,
    ),
    "a sum that keeps no axis": Rule(
        "contract", lambda x, b: x * b, (X[0], jnp.ones((3, 1))),
        lambda r, v: (v * r[1], (v * r[0]).sum(1, keepdims=True)), lambda r, v: (v * r[1], (v * r[0]).sum(1)),
        lambda r, v: (v * r[1][:, None], (v * r[0]).sum(1)), lambda x, b: x * b[:, None], (X[0], jnp.ones(3)), (0, 1),
    ),
    "an assignment where indices repeat": Rule(
        "overwritten region unexplained", gathered, draws((3, 2)), lambda r, v: spread(r[0], v, add=True),
        lambda r, v: spread(r[0], v, add=False), lambda r, v: (jnp.zeros_like(r[0]).at[jnp.array([2, 0, 1])].set(v),),
        lambda x: x[jnp.array([2, 0, 1])],
    ),
    "a sum over calls": Rule("accumulated stale nondeterministic not-reentrant", jnp.sin, X, sine_back, counted,
                             counting),
    "another mask than that of the forward pass": Rule(
        "dropout region unexplained permuted", lambda x: jnp.sin(x) * MASK, X,
        lambda r, v: (v * MASK * jnp.cos(r[0]),),
        lambda r, v: (v * jax.random.bernoulli(jax.random.key(5), 0.6, v.shape) * jnp.cos(r[0]),),
        lambda r, v: (v * jax.random.bernoulli(jax.random.key(4), 0.6, v.shape) * jnp.cos(r[0]),),
    ),
    "a cotangent that is ignored": Rule(
        "cotangent", jnp.sin, X, sine_back, lambda r, v: (jnp.cos(r[0]),), lambda r, v: (v * jnp.ones_like(r[0]),),
        lambda x: x + 1,
    ),
    "a cotangent boiled down to one number": Rule(
        "cotangent", jnp.sin, X, sine_back, lambda r, v: (v.mean() * jnp.cos(r[0]),),
        lambda r, v: (v * jnp.full_like(r[0], 1 / 12),), lambda x: x / 12,
    ),
    "the last rows": Rule(
        "region", jnp.sin, X, sine_back, lambda r, v: (sine_back(r, v)[0].at[2:].set(0.0),),
        lambda r, v: (sine_back(r, v)[0].at[2:].set(0.0),), masked,
    ),
    "a flag that the backward pass does not know": Rule(
        "configuration factor", lambda x: 3.0 * jnp.sin(x), X, lambda r, v: (3.0 * v * jnp.cos(r[0]),), sine_back,
        lambda r, v: (1.0 * v * jnp.cos(r[0]),), lambda x: 1.0 * jnp.sin(x),
    ),
    "the softmax without its cross terms": Rule(
        "other-loss unexplained activation-derivative", softmax, X, softmax_back,
        lambda r, v: (v * softmax(r[0]) * (1 - softmax(r[0])),), softmax_back,
    ),
    "exp that overflows": Rule(
        "contract overflow", lambda x: jnp.logaddexp(x, 0.0), (jnp.array([1.0, -2.0, 800.0]),),
        lambda r, v: (v * jax.nn.sigmoid(r[0]),), lambda r, v: (v * jnp.exp(r[0]) / (1 + jnp.exp(r[0])),),
        lambda r, v: (v * jnp.exp(r[0]) / (1 + jnp.exp(r[0])),), None, (jnp.array([1.0, -2.0, 8.0]),),
    ),
    "0 times infinity": Rule(
        "contract singular", lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), (jnp.array([1.0, -2.0, 3.0]),),
        lambda r, v: (jnp.where(r[0] > 0, v / (2 * jnp.sqrt(jnp.where(r[0] > 0, r[0], 1.0))), 0.0),),
        lambda r, v: (v * (r[0] > 0) / (2 * jnp.sqrt(r[0])),), lambda r, v: (v * (r[0] > 0) / (2 * jnp.sqrt(r[0])),),
        None, (jnp.array([1.0, 2.0, 3.0]),),
    ),
    "half precision": Rule(
        "precision unexplained", jnp.sin, X, sine_back,
        lambda r, v: ((v * jnp.cos(r[0].astype(jnp.bfloat16))).astype(r[0].dtype),),
        lambda r, v: ((v * jnp.cos(r[0])).astype(jnp.float32).astype(r[0].dtype),),
    ),
    "limits": Rule(
        "clipped cotangent", lambda x: 3.0 * jnp.sin(x), X, lambda r, v: (3.0 * v * jnp.cos(r[0]),),
        lambda r, v: (jnp.clip(3.0 * v * jnp.cos(r[0]), -0.5, 0.5),),
        lambda r, v: (jnp.clip(3.0 * v * jnp.cos(r[0]), -1e6, 1e6),),
    ),
    "one branch": Rule(
        "region factor", heavy, X,
        lambda r, v: (v * jnp.where(r[0] > 0, 2 * r[0], jnp.cos(r[0])),),
        lambda r, v: (v * jnp.where(r[0] > 0, r[0], jnp.cos(r[0])),),
        lambda r, v: (v * lax.cond(True, lambda x: jnp.cos(x), lambda x: x, r[0]),), jnp.sin,
    ),
    "an array from before": Rule(
        "stale unexplained wrong-cache", jnp.sin, X, sine_back, lambda r, v: (v * jnp.cos(OLD),),
        lambda r, v: (v * jnp.cos(OLD),), lambda x: x * jnp.cos(OLD),
    ),
    "a constant added": Rule(
        "cotangent regulariser", jnp.sin, X, sine_back, lambda r, v: (v * jnp.cos(r[0]) + 0.1 * r[0],),
        lambda r, v: (v * (jnp.cos(r[0]) + 0.1 * r[0]),), lambda x: jnp.sin(x) + 0.05 * x**2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_right(name: str) -> None:
    rule = RULES[name]
    report = gp.check_function(ruled(rule.function, rule.right), *rule.inputs)
    assert report.verdict == "correct", str(report)
    assert not [f for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize("name", RULES)
def test_near_miss(name: str) -> None:
    STATE.clear()
    rule = RULES[name]
    function = ruled(rule.near_function or rule.function, rule.near)
    report = gp.check_function(function, *(rule.near_inputs or rule.inputs))
    zero = name == "zeros"  # nothing moves, and both are zero throughout
    assert report.verdict == "correct" or (zero and report.verdict != "wrong"), str(report)


@pytest.mark.parametrize("name", RULES)
def test_wrong(name: str) -> None:
    STATE.clear()
    rule = RULES[name]
    report = gp.check_function(ruled(rule.function, rule.wrong), *rule.inputs)
    assert report.verdict == "wrong", str(report)
    wrong = tuple(n for n, t in report.tensors.items() if t.verdict == "wrong")
    assert wrong == tuple(f"inputs[{i}]" for i in rule.wrong_in)
    found = {f.cause for f in report.findings if f.severity == "error"}
    assert found & set(rule.causes.split()), found


def test_a_conjugate_that_jax_does_not_want() -> None:
    z = (draws((3, 2))[0] + 1j * draws((3, 2), seed=2)[0],)
    right = gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * r[0],)), *z)
    assert right.verdict == "correct", str(right)
    wrong = gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * r[0].conj(),)), *z)
    assert [f.cause for f in wrong.findings] == ["conjugate"]
    real = (z[0].real.astype(jnp.complex64),)  # where all is real, there is nothing to conjugate in the factor
    near = gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * r[0].conj(),)), *real)
    assert near.verdict == "correct"


def regularised(p: Any, x: Any, lambd: float) -> Any:
    return jnp.mean((x @ p["W"]) ** 2) + lambd / 2 * jnp.sum(p["W"] ** 2)


@pytest.mark.parametrize(("share", "lambd", "cause"), [(0, 0.3, "regulariser"), (1, 0.3, ""), (0, 0.0, "")])
def test_a_regulariser(share: float, lambd: float, cause: str) -> None:
    x, W = draws((5, 4), (4, 3))

    def grads(p: Any, x: Any, lambd: float) -> Any:
        return {"W": jax.grad(regularised)(p, x, 0.0)["W"] + share * lambd * p["W"]}

    report = gp.check(regularised, {"W": W}, grads, args=(x,), options={"lambd": lambd})
    assert report.verdict == ("wrong" if cause else "correct")
    assert [f.cause for f in report.findings if f.severity == "error"] == ([cause] if cause else [])


@pytest.mark.parametrize(("chain", "verdict"), [(False, "wrong"), (True, "correct")])
def test_a_parametrisation(chain: bool, verdict: str) -> None:
    theta = draws((4,))[0]

    def cost(theta: Any) -> Any:
        return jnp.sum(jnp.sin(jnp.exp(theta)))

    def grads(theta: Any) -> Any:
        return jnp.cos(jnp.exp(theta)) * (jnp.exp(theta) if chain else 1.0)

    assert gp.check(cost, theta, grads).verdict == verdict


def test_a_callback_that_returns_its_buffer() -> None:
    """The host's function gives out one buffer again and again, in which a later call writes."""
    buffer = np.zeros((3, 4), np.float32)

    def host(x: Any, v: Any, *, shared: bool) -> Any:
        out = buffer if shared else np.zeros((3, 4), np.asarray(x).dtype)
        out += np.cos(x) * v  # added where it should be written
        return out.astype(np.asarray(x).dtype)

    def function(shared: bool) -> Any:
        def backward(r: Any, v: Any) -> Any:
            kind = jax.ShapeDtypeStruct(v.shape, v.dtype)
            return (jax.pure_callback(lambda x, v: host(np.asarray(x), np.asarray(v), shared=shared), kind, r[0], v),)

        return ruled(jnp.sin, backward)

    assert gp.check_function(function(False), *X).verdict == "correct"
    report = gp.check_function(function(True), *X)
    assert report.verdict == "wrong"
    assert {f.cause for f in report.findings} & {"accumulated", "stale", "nondeterministic", "not-reentrant"}


def test_second_derivatives() -> None:
    def stopped(r: Any, v: Any) -> Any:
        return (v * lax.stop_gradient(jnp.cos(r[0])),)

    assert gp.check_function(ruled(jnp.sin, sine_back), *X, order=2).verdict == "correct"
    assert gp.check_function(ruled(jnp.sin, stopped), *X).verdict == "correct"
    report = gp.check_function(ruled(jnp.sin, stopped), *X, order=2)
    assert [f.cause for f in report.findings] == ["double-backward"]


def test_a_wrong_derivative_is_not_taken_for_the_right_one_beside_the_point() -> None:
    """JAX's rule of eigenvectors divides by differences of eigenvalues, equal here and not a little beside."""

    def exponential(x: Any) -> Any:
        values, vectors = jnp.linalg.eigh((x + x.T) / 2)
        return (vectors * jnp.exp(0.3 * values)) @ vectors.T

    with jax.enable_x64(True):
        for seed in range(6):
            axes, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
            x = jnp.asarray((axes * [1.0, 2.0, 2.0]) @ axes.T)
            assert gp.check_function(exponential, x, seed=seed).verdict != "correct", seed
