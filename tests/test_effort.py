"""What a check costs in evaluations of the cost. Seconds are for the benchmarks: no test depends on them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from problems import classifier, plant, residual_network

#: The networks of the benchmarks of cost.
SMALL = (60, 80, 50, 20, 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_network_of_200_tensors_takes_at_most_90_evaluations(seed: int) -> None:
    problem = residual_network(200, seed)
    report = gp.check(problem.cost, problem.params, problem.grads, seed=seed)
    assert report
    assert report.evaluations <= 90
    assert max(part.difference.high for part in report.tensors.values()) < 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_bias_among_200_tensors_is_found_for_at_most_300_evaluations(seed: int) -> None:
    problem = residual_network(200, seed)
    planted = plant("bias x 1.001", problem, seed)
    report = gp.check(problem.cost, problem.params, planted.grads, seed=seed, method="probe")
    wrong = [name for name, part in report.tensors.items() if part.verdict == "wrong"]
    assert wrong == [*planted.tensors]
    assert all(part.verdict == "correct" for name, part in report.tensors.items() if name not in wrong)
    assert report.evaluations <= 300


@pytest.mark.parametrize(("state", "most"), [("random biases", 90), ("trained", 200)])
@pytest.mark.parametrize("seed", range(2))
def test_a_small_network(state: str, most: int, seed: int) -> None:
    problem = classifier(SMALL, "tanh", state, seed, {"examples": 64, "steps": 300})
    report = gp.check(problem.cost, problem.params, problem.grads, seed=seed)
    assert report
    assert report.evaluations <= most
    assert max(part.difference.high for part in report.tensors.values()) < 1e-7


def counted(problem: Any, **options: Any) -> tuple[gp.Report, int]:
    calls = 0

    def cost(params: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        return problem.cost(params)

    return gp.check(cost, problem.params, problem.grads(problem.params), **options), calls


def test_every_evaluation_is_counted() -> None:
    report, calls = counted(residual_network(12, 0))
    assert calls == report.evaluations


def test_a_cost_that_keeps_its_parameters_keeps_what_it_was_given() -> None:
    problem = residual_network(6, 0)
    kept: list[Any] = []

    def cost(params: dict[str, Any]) -> Any:
        value = problem.cost(params)
        kept.append((params["W2"], params["W2"].copy(), params["b1"][3:], params["b1"][3:].copy()))
        return value

    assert gp.check(cost, problem.params, problem.grads)
    for given, then, part, part_then in kept:
        assert np.array_equal(given, then)
        assert np.array_equal(part, part_then)


def test_a_cost_that_reshapes_its_parameters_in_place_is_given_them_as_they_are() -> None:
    problem = residual_network(6, 0)

    def cost(params: dict[str, Any]) -> Any:
        shapes = {name: value.shape for name, value in params.items()}
        assert shapes == {name: value.shape for name, value in problem.params.items()}
        value = problem.cost(params)
        params["W2"].shape = (-1,)
        return value

    assert gp.check(cost, problem.params, problem.grads(problem.params))
