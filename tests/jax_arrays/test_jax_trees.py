"""Nestings of JAX: names as its users know them, and models of Equinox and Flax."""

from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import gradproof as gp

X = jax.random.normal(jax.random.key(1), (5, 3))


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    kernel: Any
    bias: Any


@jax.tree_util.register_pytree_with_keys_class
class Stack:
    def __init__(self, parts: Any, name: str) -> None:
        self.parts, self.name = parts, name

    def tree_flatten_with_keys(self) -> Any:
        return [(jax.tree_util.GetAttrKey("parts"), self.parts)], self.name

    @classmethod
    def tree_unflatten(cls, name: str, children: Any) -> "Stack":
        return cls(children[0], name)


def stacked(model: Stack) -> Any:
    assert model.name == "mine"
    x = X
    for layer in model.parts:
        x = jnp.tanh(x @ layer.kernel + layer.bias)
    return jnp.mean(x**2)


def stack() -> Stack:
    keys = jax.random.split(jax.random.key(2), 2)
    return Stack([Layer(jax.random.normal(k, (3, 3)), jnp.full(3, 0.1)) for k in keys], "mine")


def test_nodes_that_are_registered_with_jax() -> None:
    report = gp.check(stacked, stack())
    assert report.verdict == "correct"
    assert list(report.tensors) == ["parts.0.kernel", "parts.0.bias", "parts.1.kernel", "parts.1.bias"]

    def wrong(model: Stack) -> Any:
        g = jax.grad(stacked)(model)
        g.parts[1].kernel = g.parts[1].kernel.T
        return g

    (finding,) = (f for f in gp.check(stacked, stack(), wrong).findings if f.severity == "error")
    assert (finding.cause, finding.tensors) == ("transposed", ("parts.1.kernel",))


def test_keys_keep_the_users_order() -> None:
    params = {"W10": jnp.ones(2), "W2": jnp.ones(2), ("a", 1): jnp.ones(2)}
    report = gp.check(lambda p: sum(jnp.sum(jnp.sin(v)) for v in p.values()), params,
                      lambda p: {k: jnp.cos(v) for k, v in p.items()})  # fmt: skip
    assert list(report.tensors) == ["W10", "W2", "[('a', 1)]"]
    assert report.verdict == "correct"


def test_integers_and_other_objects_stay() -> None:
    params = {"w": jnp.arange(3.0), "n": jnp.arange(3), "f": None, "s": "tanh", "c": 2.5}

    def cost(p: Any) -> Any:
        assert p["s"] == "tanh"
        return jnp.sum(jnp.tanh(p["w"]) * p["n"] * p["c"])

    report = gp.check(cost, params)
    assert list(report.tensors) == ["w"]
    assert report.verdict == "correct"


def test_equinox() -> None:
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(3, 2, 4, 2, activation=jnp.tanh, key=jax.random.key(0))

    def loss(model: Any) -> Any:
        return jnp.mean(jax.vmap(model)(X) ** 2)

    def wrong(model: Any) -> Any:
        return eqx.tree_at(lambda g: g.layers[1].weight, eqx.filter_grad(loss)(model), replace_fn=lambda w: w.T)

    names = [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    for claim in (None, eqx.filter_grad(loss), eqx.filter_grad(loss)(model)):
        report = gp.check(loss, model, claim)
        assert report.verdict == "correct", str(report)
        assert list(report.tensors) == names
    (finding,) = (f for f in gp.check(loss, model, wrong).findings if f.severity == "error")
    assert (finding.cause, finding.tensors) == ("transposed", ("layers.1.weight",))
    assert gp.check_function(lambda m, x: jax.vmap(m)(x), model, X).verdict == "correct"


def test_linen() -> None:
    nn = pytest.importorskip("flax.linen")
    from flax.core import freeze

    model = nn.Sequential([nn.Dense(4), nn.tanh, nn.Dense(2)])
    variables = model.init(jax.random.key(0), X)

    def loss(variables: Any) -> Any:
        return jnp.mean(model.apply(variables, X) ** 2)

    for given in (variables, freeze(variables)):
        report = gp.check(loss, given, jax.grad(loss))
        assert report.verdict == "correct"
        assert "params.layers_0.kernel" in report.tensors


def test_nnx() -> None:
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    def loss(model: Any) -> Any:
        return jnp.mean(model(X) ** 2)

    for claim in (None, nnx.grad(loss)):
        report = gp.check(loss, model, claim)
        assert report.verdict == "correct"
        assert sorted(report.tensors) == ["bias", "kernel"]


def test_states_of_flax_are_parameters() -> None:
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)
    X = jnp.ones((4, 3))

    def cost(state: Any) -> Any:
        return jnp.mean(jnp.tanh(nnx.merge(graph, state)(X)))

    for grads in (None, jax.grad(cost)):
        report = gp.check(cost, state, grads)
        assert report.verdict == "correct", str(report)
        assert set(report.tensors) == {"kernel", "bias"}
