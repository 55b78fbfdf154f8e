"""Wrong rules of tf.custom_gradient by their causes, each beside a near miss and the right one.

A near miss is a right rule that looks like the wrong one: a factor that belongs, a flag at its default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import gradproof as gp


def ruled(f: Any, backward: Any) -> Any:
    """A function with a backward pass of its own, ``backward(inputs, cotangent) -> tuple``."""

    def made(*xs: Any) -> Any:
        return f(*xs), lambda v: list(backward(xs, v)) if len(xs) > 1 else backward(xs, v)[0]

    return tf.custom_gradient(made)


def draws(*shapes: tuple[int, ...], seed: int = 1) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(tf.constant(rng.standard_normal(shape), tf.float32) for shape in shapes)


def dense(x: Any, W: Any, b: Any) -> Any:
    return tf.tanh(x @ tf.transpose(W) + b)


def above(r: Any, v: Any) -> Any:
    return v * (1 - dense(*r) ** 2)


def dense_back(r: Any, v: Any) -> Any:
    d = above(r, v)
    return d @ r[1], tf.transpose(d) @ r[0], tf.reduce_sum(d, 0)


def mean_dense(x: Any, W: Any, b: Any) -> Any:
    return dense(x, W, b) / x.shape[0]


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
OLD = draws((3, 4), seed=9)[0]
MASK = tf.constant(np.random.default_rng(4).random((3, 4)) < 0.6, tf.float32)
OTHER = tf.constant(np.random.default_rng(5).random((3, 4)) < 0.6, tf.float32)
STATE: dict[str, Any] = {}


def times(x: Any, y: Any) -> Any:
    """A product in the wider of two formats, which a rule need not keep in mind."""
    return x * tf.cast(y, x.dtype)


def sine_back(r: Any, v: Any) -> Any:
    return (v * tf.cos(r[0]),)


def softmax_back(r: Any, v: Any) -> Any:
    s = tf.nn.softmax(r[0])
    return (s * (v - tf.reduce_sum(v * s, -1, keepdims=True)),)


def counted(r: Any, v: Any) -> Any:
    """Adds up over calls, as a cache that is never cleared does."""
    STATE["sum"] = STATE.get("sum", 0.0) + (v * tf.cos(r[0])).numpy()
    return (tf.constant(STATE["sum"], v.dtype),)


def counting(r: Any, v: Any) -> Any:
    STATE["calls"] = STATE.get("calls", 0) + 1
    return (v * tf.cos(r[0]),)


def gathered(x: Any) -> Any:
    return tf.gather(x, [0, 2, 2, 1])


def first_rows(v: Any) -> Any:
    return v * tf.cast(tf.range(3) < 2, v.dtype)[:, None]


RULES: dict[str, Rule] = {
    "a factor of 1/m": Rule(
        "factor", dense, LAYER, dense_back, lambda r, v: (dense_back(r, v)[0] / 5, *dense_back(r, v)[1:]),
        lambda r, v: tuple(g / 5 for g in dense_back(r, v)), mean_dense,
    ),
    "a mean over the batch for a bias": Rule(
        "bias-reduction factor", dense, LAYER, dense_back,
        lambda r, v: (*dense_back(r, v)[:2], tf.reduce_mean(above(r, v), 0)),
        lambda r, v: (*dense_back(r, v)[:2], tf.reduce_mean(above(r, v), 0)), None, draws((1, 4), (4, 4), (4,)), (2,),
    ),
    "a sign": Rule(
        "sign", tf.sin, X, sine_back, lambda r, v: (-v * tf.cos(r[0]),), lambda r, v: (-v * tf.sin(r[0]),), tf.cos,
    ),
    "the derivative at the wrong place": Rule(
        "activation-derivative unexplained region", tf.tanh, X, lambda r, v: (v * (1 - tf.tanh(r[0]) ** 2),),
        lambda r, v: (v * (1 - tf.tanh(tf.tanh(r[0])) ** 2),),
        lambda r, v: (v * (a := tf.sigmoid(r[0])) * (1 - a),), tf.sigmoid,
    ),
    "inputs in another order": Rule(
        "wrong-cache upstream unexplained", lambda a, b: a @ b, draws((4, 4), (4, 4)),
        lambda r, v: (v @ tf.transpose(r[1]), tf.transpose(r[0]) @ v),
        lambda r, v: (v @ tf.transpose(r[0]), tf.transpose(r[1]) @ v),
        lambda r, v: (v @ tf.transpose(r[1]), tf.transpose(r[0]) @ v), None, None, (0, 1),
    ),
    "a missing transpose": Rule(
        "transposed", dense, LAYER, dense_back,
        lambda r, v: (dense_back(r, v)[0], tf.transpose(dense_back(r, v)[1]), dense_back(r, v)[2]),
        lambda r, v: (
            (d := v * (1 - tf.tanh(r[0] @ r[1] + r[2]) ** 2)) @ tf.transpose(r[1]), tf.transpose(r[0]) @ d,
            tf.reduce_sum(d, 0),
        ),
        lambda x, W, b: tf.tanh(x @ W + b), None, (1,),
    ),
    "gradients of two inputs swapped": Rule(
        "swapped", lambda a, b: tf.sin(a) * b, draws((3, 4), (3, 4)),
        lambda r, v: (v * tf.cos(r[0]) * r[1], v * tf.sin(r[0])),
        lambda r, v: (v * tf.sin(r[0]), v * tf.cos(r[0]) * r[1]), lambda r, v: (v, v), lambda a, b: a + b, None, (0, 1),
    ),
    "one use cut off": Rule(
        "missing-path unexplained region", lambda x: x * tf.sin(x), X,
        lambda r, v: (v * (tf.sin(r[0]) + r[0] * tf.cos(r[0])),), lambda r, v: (v * tf.sin(r[0]),),
        lambda r, v: (times(v, tf.sin(OLD)),), lambda x: times(x, tf.sin(OLD)),
    ),
    "zeros": Rule(
        "zero", tf.sin, X, sine_back, lambda r, v: (tf.zeros_like(v),), lambda r, v: (tf.zeros_like(v),),
        lambda x: tf.ones_like(x) + 0 * x,
    ),
    "an assignment where indices repeat": Rule(
        "overwritten region unexplained", gathered, draws((3, 2)),
        lambda r, v: (tf.scatter_nd([[0], [2], [2], [1]], v, r[0].shape),),
        lambda r, v: (tf.tensor_scatter_nd_update(tf.zeros_like(r[0]), [[0], [2], [1]], tf.gather(v, [0, 2, 3])),),
        lambda r, v: (tf.tensor_scatter_nd_update(tf.zeros_like(r[0]), [[2], [0], [1]], v),),
        lambda x: tf.gather(x, [2, 0, 1]),
    ),
    "slices of an index twice, of which one is kept": Rule(
        "overwritten region unexplained", gathered, draws((3, 2)),
        lambda r, v: (tf.IndexedSlices(v, tf.constant([0, 2, 2, 1]), tf.constant([3, 2])),),
        lambda r, v: (tf.IndexedSlices(tf.gather(v, [0, 2, 3]), tf.constant([0, 2, 1]), tf.constant([3, 2])),),
        lambda r, v: (tf.IndexedSlices(v, tf.constant([2, 0, 1]), tf.constant([3, 2])),),
        lambda x: tf.gather(x, [2, 0, 1]),
    ),
    "a sum over calls": Rule(
        "accumulated stale nondeterministic not-reentrant", tf.sin, X, sine_back, counted, counting,
    ),
    "another mask than that of the forward pass": Rule(
        "dropout region unexplained permuted", lambda x: times(tf.sin(x), MASK), X,
        lambda r, v: (times(v * tf.cos(r[0]), MASK),), lambda r, v: (times(v * tf.cos(r[0]), OTHER),),
        lambda r, v: (times(v * tf.cos(r[0]), OTHER),), lambda x: times(tf.sin(x), OTHER),
    ),
    "a cotangent that is ignored": Rule(
        "cotangent", tf.sin, X, sine_back, lambda r, v: (tf.cos(r[0]),), lambda r, v: (v * tf.ones_like(r[0]),),
        lambda x: x + 1,
    ),
    "a cotangent boiled down to one number": Rule(
        "cotangent", tf.sin, X, sine_back, lambda r, v: (tf.reduce_mean(v) * tf.cos(r[0]),),
        lambda r, v: (v / 12,), lambda x: x / 12,
    ),
    "the last rows": Rule(
        "region", tf.sin, X, sine_back, lambda r, v: (first_rows(sine_back(r, v)[0]),),
        lambda r, v: (first_rows(sine_back(r, v)[0]),), lambda x: first_rows(tf.sin(x)),
    ),
    "a flag that the backward pass does not know": Rule(
        "configuration factor", lambda x: 3.0 * tf.sin(x), X, lambda r, v: (3.0 * v * tf.cos(r[0]),), sine_back,
        lambda r, v: (1.0 * v * tf.cos(r[0]),), lambda x: 1.0 * tf.sin(x),
    ),
    "the softmax without its cross terms": Rule(
        "other-loss unexplained activation-derivative", tf.nn.softmax, X, softmax_back,
        lambda r, v: (v * tf.nn.softmax(r[0]) * (1 - tf.nn.softmax(r[0])),), softmax_back,
    ),
    "exp that overflows": Rule(
        "contract overflow", tf.math.softplus, (tf.constant([1.0, -2.0, 800.0]),),
        lambda r, v: (v * tf.sigmoid(r[0]),), lambda r, v: (v * tf.exp(r[0]) / (1 + tf.exp(r[0])),),
        lambda r, v: (v * tf.exp(r[0]) / (1 + tf.exp(r[0])),), None, (tf.constant([1.0, -2.0, 8.0]),),
    ),
    "half precision": Rule(
        "precision unexplained", tf.sin, X, sine_back,
        lambda r, v: (v * tf.cast(tf.cast(tf.cos(r[0]), tf.bfloat16), v.dtype),),
        lambda r, v: (tf.cast(tf.cast(v * tf.cos(r[0]), tf.float64), v.dtype),),
    ),
    "limits": Rule(
        "clipped cotangent", lambda x: 3.0 * tf.sin(x), X, lambda r, v: (3.0 * v * tf.cos(r[0]),),
        lambda r, v: (tf.clip_by_value(3.0 * v * tf.cos(r[0]), -0.5, 0.5),),
        lambda r, v: (tf.clip_by_value(3.0 * v * tf.cos(r[0]), -1e6, 1e6),),
    ),
    "one branch": Rule(
        "region factor", lambda x: tf.where(x > 0, x**2, tf.sin(x)), X,
        lambda r, v: (v * tf.where(r[0] > 0, 2 * r[0], tf.cos(r[0])),),
        lambda r, v: (v * tf.where(r[0] > 0, r[0], tf.cos(r[0])),),
        lambda r, v: (v * tf.cond(tf.constant(True), lambda: tf.cos(r[0]), lambda: r[0]),), tf.sin,
    ),
    "an array from before": Rule(
        "stale unexplained wrong-cache", tf.sin, X, sine_back, lambda r, v: (times(v, tf.cos(OLD)),),
        lambda r, v: (times(v, tf.cos(OLD)),), lambda x: times(x, tf.cos(OLD)),
    ),
    "a constant added": Rule(
        "cotangent regulariser", tf.sin, X, sine_back, lambda r, v: (v * tf.cos(r[0]) + 0.1 * r[0],),
        lambda r, v: (v * (tf.cos(r[0]) + 0.1 * r[0]),), lambda x: tf.sin(x) + 0.05 * x**2,
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


def test_a_conjugate_that_tensorflow_wants() -> None:
    z = (tf.complex(draws((3, 2))[0], draws((3, 2), seed=2)[0]),)
    right = gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * tf.math.conj(r[0]),)), *z)
    assert right.verdict == "correct", str(right)
    wrong = gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * r[0],)), *z)
    assert [f.cause for f in wrong.findings] == ["conjugate"]
    real = (tf.complex(tf.math.real(z[0]), 0.0),)  # where all is real, there is nothing to conjugate in the factor
    assert gp.check_function(ruled(lambda z: z * z, lambda r, v: (v * 2 * r[0],)), *real).verdict == "correct"


def regularised(p: Any, x: Any, lambd: float) -> Any:
    return tf.reduce_mean((x @ p["W"]) ** 2) + lambd / 2 * tf.reduce_sum(p["W"] ** 2)


@pytest.mark.parametrize(("share", "lambd", "cause"), [(0, 0.3, "regulariser"), (1, 0.3, ""), (0, 0.0, "")])
def test_a_regulariser(share: float, lambd: float, cause: str) -> None:
    x, W = draws((5, 4), (4, 3))

    def grads(p: Any, x: Any, lambd: float) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(p["W"])
            value = regularised(p, x, 0.0)
        return {"W": tape.gradient(value, p["W"]) + share * lambd * p["W"]}

    report = gp.check(regularised, {"W": W}, grads, args=(x,), options={"lambd": lambd})
    assert report.verdict == ("wrong" if cause else "correct")
    assert [f.cause for f in report.findings if f.severity == "error"] == ([cause] if cause else [])


@pytest.mark.parametrize(("chain", "verdict"), [(False, "wrong"), (True, "correct")])
def test_a_parametrisation(chain: bool, verdict: str) -> None:
    theta = draws((4,))[0]

    def grads(theta: Any) -> Any:
        return tf.cos(tf.exp(theta)) * (tf.exp(theta) if chain else 1.0)

    assert gp.check(lambda theta: tf.reduce_sum(tf.sin(tf.exp(theta))), theta, grads).verdict == verdict


def test_second_derivatives() -> None:
    def stopped(r: Any, v: Any) -> Any:
        return (v * tf.stop_gradient(tf.cos(r[0])),)

    assert gp.check_function(ruled(tf.sin, sine_back), *X, order=2).verdict == "correct"
    assert gp.check_function(ruled(tf.sin, stopped), *X).verdict == "correct"
    report = gp.check_function(ruled(tf.sin, stopped), *X, order=2)
    assert [f.cause for f in report.findings] == ["double-backward"]


def test_the_users_own_backward_pass_and_several_outputs() -> None:
    def function(a: Any, b: Any, power: int) -> Any:
        return {"product": a * b, "place": tf.argmax(a), "pair": (a**power, None)}

    def vjp(inputs: Any, cotangents: Any, *, factor: float = 1.0) -> Any:
        (a, b, power), (product, powered) = inputs, cotangents
        return product * b + factor * powered * power * a ** (power - 1), product * a, None

    inputs = (*draws((4,), (4,)), 3)
    assert gp.check_function(function, *inputs, vjp=vjp).verdict == "correct"
    report = gp.check_function(function, *inputs, vjp=lambda x, u: vjp(x, u, factor=0.5))
    assert [n for n, t in report.tensors.items() if t.verdict == "wrong"] == ["inputs[0]"]


def test_a_rule_that_knows_single_precision_alone() -> None:
    """What stands in the way of double precision is met with a twin, or with wider error bars."""

    def kernel(x: Any) -> Any:
        bits = tf.bitcast(tf.bitcast(x, tf.int32), tf.float32)  # as a function of bits it has one format
        return tf.sin(bits)

    for factor, verdict in ((1.0, "correct"), (1.5, "wrong")):
        function = ruled(kernel, lambda r, v, factor=factor: (factor * v * tf.cos(r[0]),))
        assert gp.check_function(function, *X).verdict in (verdict, "undecided")
        report = gp.check_function(function, *X, twin=tf.sin)
        assert report.verdict == verdict, str(report)
    with pytest.raises(gp.InputError, match="the same function in float64"):
        gp.check_function(ruled(kernel, sine_back), *X, twin=tf.cos)
