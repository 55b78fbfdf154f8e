"""Costs of JAX's arrays through gp.check and gp.check_hessian."""

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import gradproof as gp

SHAPES = {"W1": (6, 5), "b1": (6,), "W2": (3, 6), "b2": (3,)}


def network(name: str = "float32", seed: int = 0) -> tuple[dict[str, Any], Any, Any]:
    random = np.random.default_rng(seed)
    params = {k: jnp.asarray(random.standard_normal(s) / 2, name) for k, s in SHAPES.items()}
    return params, jnp.asarray(random.standard_normal((9, 5)), name), jnp.asarray(random.standard_normal((9, 3)), name)


def cost(p: dict[str, Any], X: Any, Y: Any) -> Any:
    return ((jnp.tanh(X @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"] - Y) ** 2).mean()


def backward(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    hidden = jnp.tanh(X @ p["W1"].T + p["b1"])
    delta = 2 * (hidden @ p["W2"].T + p["b2"] - Y) / Y.size
    below = delta @ p["W2"] * (1 - hidden**2)
    return {"dW1": below.T @ X, "db1": below.sum(0), "dW2": delta.T @ hidden, "db2": delta.sum(0)}


def doubled(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    return backward(p, X, Y) | {"dW2": 2 * backward(p, X, Y)["dW2"]}


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("claim", [backward, None])
def test_right(name: str, claim: Any) -> None:
    params, X, Y = network(name)
    report = gp.check(cost, params, claim, data=(X, Y), examples_axis=0)
    assert report.verdict == "correct", str(report)
    assert report.difference.high < 1e-6
    assert list(report.tensors) == ["W1", "b1", "W2", "b2"]
    assert not jax.config.read("jax_enable_x64")
    assert jnp.ones(1).dtype == "float32"


def test_right_where_64_bits_are_switched_on() -> None:
    with jax.enable_x64(True):
        params, X, Y = network("float64")
        report = gp.check(cost, params, data=(X, Y), examples_axis=0)
        assert report.verdict == "correct"
        assert jnp.ones(1).dtype == "float64"
    assert report.difference.high < 1e-6
    assert gp.check(cost, params, args=(X, Y)).verdict == "correct"  # arrays of 64 bits, outside of the switch


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_wrong_is_found_named_and_placed(name: str) -> None:
    params, X, Y = network(name)
    report = gp.check(cost, params, doubled, data=(X, Y), examples_axis=0)
    (finding,) = report.findings
    assert (finding.cause, finding.tensors) == ("factor", ("W2",))
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


@pytest.mark.parametrize(("share", "verdict"), [(1e-4, "wrong"), (1e-9, "correct")])
def test_wrong_by_a_little(share: float, verdict: str) -> None:
    """A float32 claim may be off by 1e-3; the same code in float64, judged as well, may not."""
    params, X, Y = network()

    def off(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
        return backward(p, X, Y) | {"dW1": backward(p, X, Y)["dW1"] * (1 + share)}

    assert gp.check(cost, params, off, args=(X, Y)).tensors["W1"].verdict == verdict


def test_claims_of_every_form() -> None:
    params, X, Y = network()
    assert gp.check(cost, params, jax.grad(cost)(params, X, Y), args=(X, Y)).verdict == "correct"
    assert gp.check(cost, params, doubled(params, X, Y), args=(X, Y)).tensors["W2"].verdict == "wrong"
    assert gp.check(jax.value_and_grad(cost), params, True, args=(X, Y)).verdict == "correct"
    both = jax.jit(jax.value_and_grad(cost, has_aux=False))
    assert gp.check(both, params, True, args=(X, Y)).verdict == "correct"
    aux = gp.check(lambda p, X, Y: (cost(p, X, Y), "seen"), params, backward, args=(X, Y), has_aux=True)
    assert aux.verdict == "correct"
    with pytest.raises(gp.InputError, match="judge jax"):
        gp.check(cost, params, "grad", args=(X, Y))
    with pytest.raises(gp.InputError, match="one without arguments"):
        gp.check(lambda: cost(params, X, Y), params, backward)


def test_numpy_arrays_among_the_parameters() -> None:
    params, X, Y = network()
    mixed = params | {"b1": np.asarray(params["b1"])}
    report = gp.check(cost, mixed, args=(np.asarray(X), Y))
    assert report.verdict == "correct"
    assert "b1" in report.tensors


def test_one_array_goes_by_the_name_of_the_argument() -> None:
    report = gp.check(lambda theta: jnp.sum(jnp.sin(theta)), jnp.arange(3.0), jnp.cos)
    assert list(report.tensors) == ["theta"]
    assert report.verdict == "correct"


def squares(z: Any) -> Any:
    return jnp.sum(jnp.abs(z) ** 2) + jnp.sum(z**3).real


def test_complex_gradients_are_the_conjugates_that_jax_gives() -> None:
    z = jnp.array([1 + 2j, 0.5 - 1j, -0.3 + 0.2j])
    assert gp.check(squares, z).verdict == "correct"
    assert gp.check(squares, z, jax.grad(squares)).verdict == "correct"
    assert gp.check(squares, z, jax.grad(squares)(z)).verdict == "correct"
    assert gp.check(squares, z, lambda z: jax.grad(squares)(z).conj()).verdict == "wrong"


def test_sets_of_parameters_are_mapped_over() -> None:
    params, X, Y = network()
    for method in ("auto", "exhaustive"):
        report = gp.check(cost, params, args=(X, Y), vectorized=True, method=method)
        assert report.verdict == "correct"
        wrong = gp.check(cost, params, doubled, args=(X, Y), vectorized=True, method=method)
        assert [n for n, t in wrong.tensors.items() if t.verdict == "wrong"] == ["W2"]


def test_a_cost_is_traced_a_few_times_and_compiled() -> None:
    calls = []

    def watched(p: dict[str, Any], X: Any, Y: Any) -> Any:
        calls.append(isinstance(p["W1"], jax.core.Tracer))
        return cost(p, X, Y)

    params, X, Y = network()
    report = gp.check(watched, params, args=(X, Y))
    assert report.verdict == "correct"
    assert report.evaluations > 40
    assert len(calls) <= 8
    assert all(calls)


def test_a_cost_that_looks_at_numbers_is_called_as_it_is() -> None:
    def branching(x: Any) -> Any:
        return jnp.sum(x**2) if float(x[0]) > 0 else jnp.sum(x)

    assert gp.check(branching, jnp.arange(3.0) + 1, lambda x: 2 * x).verdict == "correct"
    assert gp.check(branching, jnp.arange(3.0) + 1, lambda x: 3 * x).verdict == "wrong"


def test_a_cost_that_leaves_something_for_the_gradient() -> None:
    cache: dict[str, Any] = {}

    def forward(p: dict[str, Any]) -> Any:
        cache["a"] = np.tanh(np.asarray(p["w"]))
        return jnp.sum(jnp.tanh(p["w"]) ** 2)

    def grads(p: dict[str, Any]) -> dict[str, Any]:
        return {"w": 2 * cache["a"] * (1 - cache["a"] ** 2)}

    assert gp.check(forward, {"w": jnp.arange(3.0)}, grads).verdict == "correct"


def test_options_are_varied() -> None:
    def regularised(p: Any, X: Any, Y: Any, lambd: float) -> Any:
        return cost(p, X, Y) + (lambd / 2 * sum(jnp.sum(p[k] ** 2) for k in ("W1", "W2")) if lambd > 0 else 0.0)

    def grads(p: Any, X: Any, Y: Any, lambd: float) -> Any:
        g = jax.grad(cost)(p, X, Y)
        return g | {"W1": g["W1"] + 2 * lambd * p["W1"], "W2": g["W2"] + lambd * p["W2"]}

    params, X, Y = network()
    report = gp.check(regularised, params, grads, data=(X, Y), examples_axis=0, options={"lambd": 0.4})
    (finding,) = (f for f in report.findings if f.severity == "error")
    assert (finding.cause, finding.tensors) == ("regulariser", ("W1",))


def test_hessians() -> None:
    params, X, Y = network()
    grads = jax.grad(cost)

    def product(p: Any, v: Any, X: Any, Y: Any) -> Any:
        return jax.jvp(lambda q: grads(q, X, Y), (p,), (v,))[1]

    def negative(p: Any, v: Any, X: Any, Y: Any) -> Any:
        return jax.tree.map(lambda x: -x, product(p, v, X, Y))

    assert gp.check_hessian(grads, params, args=(X, Y)).verdict == "correct"
    assert gp.check_hessian(grads, params, hvp=product, args=(X, Y)).verdict == "correct"
    assert [f.cause for f in gp.check_hessian(grads, params, hvp=negative, args=(X, Y)).findings] == ["sign"]
    assert gp.check_hessian(grads, params, jax.hessian(cost), args=(X, Y)).verdict == "correct"

    def f(x: Any) -> Any:
        return jnp.sum(jnp.sin(x) * x**3)

    x = jnp.arange(1.0, 5.0)
    assert gp.check_hessian(jax.grad(f), x, jax.hessian(f)(x)).verdict == "correct"
    assert gp.check_hessian(jax.grad(f), x, lambda x: jax.hessian(f)(x).at[0, 1].add(0.1)).verdict == "wrong"
    nested = {"layer": {"w.0": x}, "b": x / 3}

    def g(p: Any) -> Any:
        return jnp.sum(jnp.sin(p["layer"]["w.0"]) * p["b"])

    assert gp.check_hessian(jax.grad(g), nested, jax.hessian(g)).verdict == "correct"


def test_sharded_arrays() -> None:
    """On two devices of the host, in a process of its own, as devices are counted when JAX starts."""
    code = """
        import jax, jax.numpy as jnp, numpy as np, gradproof as gp
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        assert len(jax.devices()) == 2
        mesh = Mesh(np.array(jax.devices()), ("d",))
        W = jax.device_put(jnp.arange(8.0).reshape(4, 2) / 9, NamedSharding(mesh, P("d", None)))
        X = jax.device_put(jnp.ones((6, 4)) * jnp.arange(4.0), NamedSharding(mesh, P("d", None)))
        cost = jax.jit(lambda W, X: jnp.mean(jnp.sin(X @ W) ** 2))
        for claim in (None, jax.jit(jax.grad(cost)), jax.grad(cost)(W, X)):
            assert gp.check(cost, W, claim, args=(X,)).verdict == "correct"
        assert gp.check(cost, W, data=X, examples_axis=0).verdict == "correct"
        report = gp.check(cost, W, lambda W, X: jax.grad(cost)(W, X) * 2, args=(X,))
        assert [f.cause for f in report.findings] == ["factor"], str(report)
        assert gp.check_function(lambda W: jnp.sin(X @ W), W).verdict == "correct"
        inside = jax.jit(lambda W: jnp.sum(jax.lax.with_sharding_constraint(
            jnp.sin(W), NamedSharding(mesh, P(None, "d"))) ** 2))
        assert gp.check(inside, W).verdict == "correct"
    """
    import os

    own = dict(os.environ) | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_stages_of_training() -> None:
    params, X, Y = network()

    def step(p: Any, i: int) -> Any:
        return jax.tree.map(lambda x, g: x - 0.1 * g, p, jax.grad(cost)(p, X, Y))

    for claim, verdict in ((None, "correct"), (doubled, "wrong")):
        stages = gp.Stages(cost, claim, data=(X, Y), examples_axis=0)
        found = stages.train(step, params, (0, 2))
        assert stages.at("larger", found, scales=(1, 2)).verdict == verdict


def test_inside_of_a_function_that_is_traced() -> None:
    with pytest.raises(gp.InputError, match=r"outside of jax\.jit"):
        jax.jit(lambda w: gp.check(lambda w: jnp.sum(w**2), w) and w)(jnp.ones(3))
