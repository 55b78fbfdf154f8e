"""JAX's costs in double precision: as they are, by their operations, or not at all."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
from jax import lax

import gradproof as gp

KEY = jax.random.key(3)
KERNEL = jnp.full((1, 1, 3, 3), 1 / 3)  # made at import, as float32
SCALE = jnp.array([0.5, 1.5, -2.0, 0.7])
IMAGE = jax.random.normal(KEY, (1, 1, 6, 6))
START = jnp.arange(4.0) + 0.3


def promoted(x: Any) -> Any:
    return jnp.sum(jnp.sin(SCALE * x) * jnp.array([1.0, 2.0, 3.0, 4.0]))


def strict(w: Any) -> Any:
    inner = lax.conv_general_dilated(IMAGE, w, (1, 1), "SAME")
    return jnp.sum(jnp.sin(lax.conv_general_dilated(inner, KERNEL, (1, 1), "SAME")))


def asserting(x: Any) -> Any:
    assert x.dtype == jnp.float32
    return jnp.sum(jnp.sin(x))


def casting(x: Any) -> Any:
    return jnp.sum(jnp.sin(x.astype(jnp.float32)) ** 2)


def looping(x: Any) -> Any:
    def body(carry: Any, y: Any) -> tuple[Any, Any]:
        return carry * 0.9 + jnp.sin(y.astype(jnp.float32)), carry

    last, each = lax.scan(body, jnp.float32(0.1), x)
    grown = lax.fori_loop(0, 3, lambda i, v: v * jnp.float32(1.1), last)
    return lax.cond(grown > 0, lambda v: v**2, lambda v: -v, grown) + jnp.sum(each)


def scattering(x: Any) -> Any:
    place = jnp.zeros(6, jnp.float32).at[jnp.array([0, 1, 1, 3])]
    return jnp.sum(place.add(jnp.sin(x.astype(jnp.float32))) ** 2)


def with_dropout(x: Any) -> Any:
    kept = jax.random.bernoulli(KEY, 0.7, (50,))
    return jnp.sum(jnp.where(kept, jnp.sin(jnp.tile(x, 13)[:50] * jnp.arange(50.0) / 20) / 0.7, 0.0))


def with_indices(x: Any) -> Any:
    return jnp.sum(jnp.sin(x)[jax.random.randint(KEY, (3,), 0, 4)])


def asking(x: Any) -> Any:
    return jnp.sum(jnp.sin(x)) * (1.0 if x.dtype == jnp.float32 else 1.001)


BOTH = "both the claim there"
BY_OPERATIONS = [
    (strict, IMAGE[:, :, :3, :3]), (asserting, START), (casting, START), (looping, START), (scattering, START),
    (with_dropout, START), (with_indices, START), (asking, START),
]  # fmt: skip


def said(report: gp.Report) -> str:
    return " ".join(report.notes)


def test_constants_are_promoted_and_both_claims_judged() -> None:
    report = gp.check(promoted, START)
    assert report.verdict == "correct"
    assert BOTH in said(report)


def test_a_claim_that_is_wrong_in_one_precision_alone() -> None:
    def wrong_in(name: str) -> Any:
        return lambda x: jnp.cos(x) * (1.01 if x.dtype == name else 1.0)

    def sine(x: Any) -> Any:
        return jnp.sum(jnp.sin(x))

    assert gp.check(sine, START, jnp.cos).verdict == "correct"
    assert gp.check(sine, START, wrong_in("float32")).verdict == "wrong"
    assert gp.check(sine, START, wrong_in("float64")).verdict == "wrong"


@pytest.mark.parametrize(("cost", "x"), BY_OPERATIONS, ids=lambda v: getattr(v, "__name__", ""))
def test_what_float64_would_change_is_carried_out_by_its_operations(cost: Any, x: Any) -> None:
    report = gp.check(cost, x)
    assert report.verdict == "correct", str(report)
    assert "operations of the cost were carried out in float64" in said(report)
    assert report.difference.high < 1e-3  # a reference in float32 could not tell so much
    wrong = gp.check(cost, x, lambda x: jax.grad(cost)(x) * 1.005)
    assert wrong.verdict == "wrong"


@pytest.mark.parametrize("seed", range(8))
def test_a_mismatch_a_little_above_the_tolerance_is_wrong_whatever_is_drawn(seed: int) -> None:
    """Sixteen lines bound a difference of 2.5e-3 by about 1e-3 from below; where they fall short, more are asked."""
    right = jax.grad(with_dropout)
    report = gp.check(with_dropout, START, lambda x: right(x) * 1.005, seed=seed, method="probe")
    assert report.verdict == "wrong", str(report)
    assert gp.check(with_dropout, START, lambda x: right(x) * 1.0015, seed=seed).verdict != "wrong"


def test_the_operations_are_the_function_in_double_precision() -> None:
    from gradproof._adapters.jax_arrays.arrays import double
    from gradproof._adapters.jax_arrays.widening import carried_out

    for cost in (casting, looping, scattering):
        closed = jax.make_jaxpr(cost)(START)
        with double():
            x = np.asarray(START, np.float64)
            found = carried_out(closed, [x])[0]
            assert found.dtype == "float64"
            moved = carried_out(closed, [x + 1e-9])[0]
        assert abs(float(found) - float(cost(START))) < 1e-5
        assert 1e-10 < abs(float(moved) - float(found)) < 1e-7  # float32 would not see it


def test_a_cost_that_cannot_be_traced_is_evaluated_as_it_is() -> None:
    def cost(x: Any) -> Any:
        assert x.dtype == jnp.float32
        return jnp.sum(jnp.sin(x)) + 0 * float(x[0])

    report = gp.check(cost, START, jnp.cos)
    assert report.verdict == "correct"
    assert "its own precision" in said(report)
    assert gp.check(cost, START, lambda x: 1.1 * jnp.cos(x)).verdict == "wrong"


def test_random_numbers_of_the_gradient_alone() -> None:
    """A rule that draws the mask of the forward pass again draws another one in float64."""
    kept = jax.random.bernoulli(KEY, 0.6, (4, 5))
    x = jax.random.normal(KEY, (4, 5))

    def grads(key: Any) -> Any:
        return lambda x: jnp.cos(x) * jax.random.bernoulli(key, 0.6, (4, 5))

    def cost(x: Any) -> Any:
        return jnp.sum(jnp.sin(x) * kept)

    assert gp.check(cost, x, grads(KEY)).verdict == "correct"
    assert gp.check(cost, x, grads(jax.random.key(8))).verdict == "wrong"


def test_keys_are_left_alone() -> None:
    key = jax.random.key(11)
    data = jax.random.key_data(key).tolist()

    def cost(p: Any, key: Any) -> Any:
        return jnp.sum((p["w"] + jax.random.normal(key, (4,))) ** 2)

    report = gp.check(cost, {"w": START}, args=(key,))
    assert report.verdict == "correct"
    assert "draws random numbers" not in said(report)
    assert jax.random.key_data(key).tolist() == data
    raw = gp.check(cost, {"w": START}, args=(jax.random.PRNGKey(3),))
    assert raw.verdict == "correct"
    inside = gp.check(lambda p: cost(p, p["key"]), {"w": START, "key": key})
    assert list(inside.tensors) == ["w"]
    assert inside.verdict == "correct"


def hidden(x: Any) -> Any:
    return jnp.sum(x**2 * np.random.rand(4).astype(np.float32))  # noqa: NPY002  # the global state is meant


def test_hidden_random_numbers_are_found_and_frozen() -> None:
    np.random.seed(5)  # noqa: NPY002
    before = str(np.random.get_state())  # noqa: NPY002
    report = gp.check(hidden, START)
    assert report.verdict == "correct"
    assert "draws random numbers (NumPy's global random state)" in said(report)
    assert str(np.random.get_state()) == before  # noqa: NPY002
    with pytest.raises(gp.InputError):
        gp.check(hidden, START, dropout="refuse")


def test_random_numbers_that_a_compiled_cost_has_drawn_once() -> None:
    compiled = jax.jit(hidden)
    compiled(START)
    assert gp.check(compiled, START).verdict == "correct"
    assert gp.check(compiled, START, lambda x: jax.grad(compiled)(x) * 1.01).verdict == "wrong"


def test_a_cost_that_counts_its_calls() -> None:
    calls: list[int] = []

    def counting(x: Any) -> Any:
        calls.append(1)
        return jnp.sum(x**2) * (1.0 + len(calls))

    report = gp.check(counting, START, lambda x: 2 * x)
    assert report.verdict != "correct"


def normed(seed: int, tiny: float = 0.0) -> tuple[Any, Any]:
    """A bias that a batch norm takes out again, or that a term of this size is left of; with a dropout mask."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return jnp.asarray(rng.normal(size=shape).astype("float32"))

    X, y, key = normal(16, 6), normal(16), jax.random.PRNGKey(seed)

    def cost(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        h = jax.nn.relu((z - z.mean(0)) / jnp.sqrt(z.var(0) + 1e-5))
        h = h * jax.random.bernoulli(key, 0.8, h.shape) / 0.8
        return jnp.mean((h @ p["v"] - y) ** 2) + tiny * jnp.sum(p["b"] ** 2)

    return cost, {"W": normal(6, 8), "b": normal(8), "v": normal(8)}


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_that_is_zero_but_for_its_own_rounding(seed: int) -> None:
    cost, params = normed(seed)
    report = gp.check(cost, params)
    assert report.verdict == "correct", str(report)
    assert "both zero" in report.tensors["b"].reason
    reverse = jax.grad(cost)
    off = gp.check(cost, params, lambda p: {**reverse(p), "b": reverse(p)["b"] + 1e-4})
    assert off.tensors["b"].verdict == "wrong"


@pytest.mark.parametrize("claimed", [0.0, 3.0])
def test_a_small_gradient_that_is_there_is_not_taken_for_rounding(claimed: float) -> None:
    cost, params = normed(0, tiny=1e-7)
    reverse = jax.grad(cost)
    report = gp.check(cost, params, lambda p: {**reverse(p), "b": claimed * 2e-7 * p["b"]})
    assert report.tensors["b"].verdict != "correct", str(report)
