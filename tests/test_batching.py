"""A cost that takes many parameter sets at once: the same verdicts, and refused where its results are no such thing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._adapters.numpy import Call, open_session
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._pipeline.batching import together
from gradproof._pipeline.options import Options

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)
PARAMS = {"W": RNG.standard_normal((3, 4)), "b": RNG.standard_normal(3), "s": 0.7}


def cost(p: dict[str, Any]) -> Any:
    """For one parameter set, or with a leading axis for many."""
    return np.sum(np.tanh(p["W"]) ** 2, axis=(-2, -1)) + np.sum(p["b"] ** 4, axis=-1) * p["s"]


def grads(p: dict[str, Any]) -> dict[str, Any]:
    tanh = np.tanh(p["W"])
    return {"W": 2.0 * tanh * (1.0 - tanh**2), "b": 4.0 * p["b"] ** 3 * p["s"], "s": float(np.sum(p["b"] ** 4))}


def with_error(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda p: {**grads(p), name: 1.01 * grads(p)[name]}


@pytest.mark.parametrize("method", ["auto", "probe", "exhaustive", "classic"])
@pytest.mark.parametrize("wrong", [None, "W", "b", "s"])
def test_the_verdicts_are_those_of_one_at_a_time(method: str, wrong: str | None) -> None:
    claim = grads if wrong is None else with_error(wrong)
    alone = gp.check(cost, PARAMS, claim, method=method)
    many = gp.check(cost, PARAMS, claim, method=method, vectorized=True)
    assert [t.verdict for t in many.tensors.values()] == [t.verdict for t in alone.tensors.values()]
    assert [(f.cause, f.tensors) for f in many.findings] == [(f.cause, f.tensors) for f in alone.findings]
    for name, tensor in many.tensors.items():
        if method != "classic":
            assert tensor.difference.low <= alone.tensors[name].difference.high
            assert tensor.difference.high >= alone.tensors[name].difference.low
        else:
            assert float(tensor.difference) == pytest.approx(float(alone.tensors[name].difference), rel=0.1, abs=1e-7)


def test_the_cost_is_given_a_leading_axis_and_the_gradient_is_not() -> None:
    seen: set[tuple[Any, ...]] = set()

    def spying(p: dict[str, Any]) -> Any:
        seen.add((np.ndim(p["s"]), p["b"].ndim, p["W"].shape[1:], p["W"].shape[0] == p["b"].shape[0] == len(p["s"])))
        return cost(p)

    def claim(p: dict[str, Any]) -> dict[str, Any]:
        assert (np.ndim(p["s"]), p["b"].ndim, p["W"].shape) == (0, 1, (3, 4))
        return grads(p)

    assert gp.check(spying, PARAMS, claim, vectorized=True).passed
    assert seen == {(1, 2, (3, 4), True)}


def test_complex_parameters_and_those_left_out() -> None:
    params = {"z": np.array([1.0 + 2.0j, 3.0 - 1.0j]), "frozen": np.array([2.0])}
    report = gp.check(
        lambda p: np.sum(np.abs(p["z"]) ** 2, axis=-1) * p["frozen"][0], params, lambda p: {"z": 4.0 * p["z"]},
        exclude="frozen", vectorized=True,
    )  # fmt: skip
    assert report.passed, str(report)


@pytest.mark.parametrize("keepdims", [False, True])
def test_a_column_of_costs_will_do(keepdims: bool) -> None:
    def squares(w: Array) -> Any:
        return np.sum(w**2, axis=-1, keepdims=keepdims)

    assert gp.check(squares, np.ones(3), lambda w: 2.0 * w, vectorized=True).passed


@pytest.mark.parametrize(
    "returned",
    [
        lambda w: float(np.sum(w**2)),
        lambda w: np.sum(w**2),
        lambda w: np.sum(w**2, axis=0),
        lambda w: np.append(np.sum(w**2, axis=-1), 0.0),
        lambda w: np.sum(w**2, axis=-1)[None, :, None],
        lambda w: None,
        lambda w: [],
    ],
)
def test_results_that_cannot_be_told_apart_are_refused(returned: Callable[[Array], Any]) -> None:
    with pytest.raises(gp.InputError, match="one cost for each of") as refused:
        gp.check(returned, np.ones(5), lambda w: 2.0 * w, vectorized=True)
    assert "vectorized=True" in str(refused.value)


def test_a_cost_of_another_kind_is_refused_before_any_evaluation() -> None:
    calls: list[int] = []

    def live() -> float:
        calls.append(0)
        return 0.0

    def pair(w: Array) -> tuple[float, Array]:
        calls.append(0)
        return 0.0, w

    with pytest.raises(gp.InputError, match="one that reads live arrays or returns a pair"):
        gp.check(live, np.ones(3), np.ones(3), vectorized=True)
    for more in ({"grads": True}, {"grads": np.ones(3), "has_aux": True}):
        with pytest.raises(gp.InputError, match="one that reads live arrays or returns a pair"):
            gp.check(pair, np.ones(3), vectorized=True, **more)
    assert calls == []


def test_a_set_outside_the_domain_does_not_spoil_the_others() -> None:
    def edge(w: Array) -> Any:
        with np.errstate(invalid="ignore"):
            return np.sum(np.sqrt(w), axis=-1)

    w = np.array([1.0, 2.0, 3.0, 1e-9])
    assert gp.check(edge, w, lambda w: 0.5 / np.sqrt(w), vectorized=True).verdict == gp.check(
        edge, w, lambda w: 0.5 / np.sqrt(w)
    ).verdict  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "exhaustive"])
def test_far_fewer_calls_are_made_where_they_are_dear(method: str) -> None:
    import time

    calls: list[int] = []

    def slow(p: dict[str, Any]) -> Any:
        calls.append(len(p["s"]))
        until = time.perf_counter() + 2e-4  # the same for any number of sets
        while time.perf_counter() < until:
            pass
        return cost(p)

    report = gp.check(slow, PARAMS, grads, method=method, vectorized=True)
    assert report.passed
    assert len(calls) < report.evaluations / (2.0 if method == "auto" else 4.0)
    sizes = set(calls)
    assert max(sizes) >= 4


def test_the_chunk_is_of_one_size_and_within_the_budget() -> None:
    opened = open_session(Call(cost, PARAMS, grads))
    options = Options("exhaustive", None, 0, True)
    for budget in (1, 2, 9, 10, 41):
        meter = Meter(budget)
        try:
            chosen = together(opened, options, meter)
            assert chosen.rows >= 1
        except BudgetExhaustedError:
            assert budget < 2 or meter.count > 0
        assert meter.count <= budget


@pytest.mark.parametrize("budget", [1, 5, 12, 30, 60])
def test_a_budget_holds(budget: int) -> None:
    for claim in (grads, with_error("b")):
        report = gp.check(cost, PARAMS, claim, vectorized=True, budget=budget)
        assert report.evaluations <= budget
        assert report.verdict != ("wrong" if claim is grads else "correct")


def test_a_random_cost_is_frozen() -> None:
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state

    def noisy(w: Array) -> Any:
        return np.sum(w**2, axis=-1) * rng.random()

    report = gp.check(noisy, np.ones(3), lambda w: 2.0 * w * rng.random(), vectorized=True)
    assert report.passed
    assert rng.bit_generator.state == before
