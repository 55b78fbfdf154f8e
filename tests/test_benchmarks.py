"""The benchmarks judge gradproof, so their own truth is judged here, by the complex step and by hand."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import error_bars
import peers
import stages
from problems import (
    ACTIVATIONS,
    BUGS,
    SMOOTH,
    STATES,
    Problem,
    classifier,
    plant,
    relative_difference,
    residual_network,
    sampled_gradient,
)
from problems.networks import Classifier, initial
from problems.staged import STAGED, staged
from scoring import Judgement, Outcome, Tally, judge

from gradproof._records import Direction, Part

SIZES = (6, 7, 5, 3)


def assert_right(problem: Problem) -> None:
    written, measured = sampled_gradient(problem, 6, np.random.default_rng(0))
    largest = max(float(np.abs(g).max()) for g in problem.grads(problem.params).values())
    # Offset and noise act on the value only; the cost meant is differentiated, so that every family is held to this.
    np.testing.assert_allclose(written, measured, rtol=1e-10, atol=1e-13 * largest)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_smooth_suite_has_right_gradients(name: str) -> None:
    for seed in range(3):
        assert_right(SMOOTH[name](seed))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("state", STATES)
def test_networks_have_right_gradients(activation: str, state: str) -> None:
    for seed in range(3):
        assert_right(classifier(SIZES, activation, state, seed, {"steps": 40}))


def test_the_residual_network_has_a_right_gradient_and_the_tensors_asked_for() -> None:
    problem = residual_network(12, seed=0)
    assert len(problem.params) == 12
    assert problem.params["b3"].shape == (16,)
    assert_right(problem)


def test_the_complex_step_sees_a_wrong_gradient() -> None:
    right = SMOOTH["logistic regression"](0)
    wrong = Problem("wrong", right.cost, right.params, lambda p: {"x": 1.001 * right.grads(p)["x"]}, right.meant)
    with pytest.raises(AssertionError):
        assert_right(wrong)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_stay_in_the_type_of_their_parameters(activation: str) -> None:
    problem = classifier(SIZES, activation, "random biases", 0)
    wide = {name: value.astype(np.longdouble) for name, value in problem.params.items()}
    assert np.asarray(problem.cost(wide)).dtype == np.longdouble
    assert {g.dtype for g in problem.grads(wide).values()} == {np.dtype(np.longdouble)}


def test_a_point_on_a_kink_is_known_as_one() -> None:
    rng = np.random.default_rng(0)
    network = Classifier(rng.standard_normal((8, 6)), rng.integers(0, 3, 8), "relu", weight_decay=0.0)
    params = initial(SIZES, "relu", rng, random_biases=True)
    assert not network.on_kink(params)
    # A unit without weights and bias has the pre-activation zero for every example.
    params["W1"][:, 2], params["b1"][2] = 0.0, 0.0
    assert network.on_kink(params)


def test_training_goes_down() -> None:
    before = classifier(SIZES, "tanh", "random biases", 1)
    after = classifier(SIZES, "tanh", "trained", 1)
    assert float(after.cost(after.params)) < 0.5 * float(before.cost(before.params))


def differences(bug: str, problem: Problem) -> dict[str, float]:
    planted = plant(bug, problem, seed=3)
    claimed, right = planted.grads(problem.params), problem.grads(problem.params)
    out = {name: relative_difference(claimed[name], right[name]) for name in right}
    assert {name for name, difference in out.items() if difference > 0} == set(planted.tensors)
    return {name: out[name] for name in planted.tensors}


STATED = {
    "bias x 2": 1 / 3,
    "bias x 1.001": 0.001 / 2.001,
    "sign of a tensor": 1 / 1,
    "zero gradient": 1.0,
    "tensor x (1 + 1e-5)": 1e-5 / (2 + 1e-5),
    "tensor x (1 + 3e-5)": 3e-5 / (2 + 3e-5),
}


@pytest.mark.parametrize("bug", STATED)
def test_planted_factors_are_wrong_by_the_stated_amount(bug: str) -> None:
    problem = classifier(SIZES, "tanh", "random biases", 0)
    for difference in differences(bug, problem).values():
        assert difference == pytest.approx(STATED[bug], rel=1e-9)


def test_one_element_is_wrong_by_the_stated_amount() -> None:
    problem = classifier(SIZES, "tanh", "random biases", 0)
    planted = plant("one element +1%, median |g|", problem, seed=3)
    (name,) = planted.tensors
    claimed, right = planted.grads(problem.params)[name], problem.grads(problem.params)[name]
    (place,) = np.flatnonzero(claimed != right)
    assert claimed.flat[place] == pytest.approx(1.01 * right.flat[place], rel=1e-12)
    assert abs(right.flat[place]) == np.sort(np.abs(right.ravel()))[(right.size - 1) // 2]


def test_the_missing_l2_term_and_the_missing_mean_are_what_they_say() -> None:
    problem = classifier(SIZES, "tanh", "random biases", 0)
    right = problem.grads(problem.params)
    without = plant("L2 term missing", problem, 0).grads(problem.params)
    summed = plant("1/m missing", problem, 0).grads(problem.params)
    W, b = problem.params["W2"], right["b2"]
    np.testing.assert_allclose(right["W2"] - without["W2"], problem.weight_decay * W, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(summed["b2"], problem.examples * b, rtol=1e-12)
    np.testing.assert_allclose(
        summed["W2"] - right["W2"], (problem.examples - 1) * without["W2"], rtol=1e-9, atol=1e-15
    )


def test_noise_on_every_element_has_its_size() -> None:
    (difference,) = differences(
        "every element, noise 1e-5", classifier((40, 30, 3), "tanh", "random biases", 0)
    ).values()
    assert 3e-6 < difference < 8e-6


@pytest.mark.parametrize("bug", BUGS)
def test_every_bug_touches_what_it_says_and_nothing_else(bug: str) -> None:
    assert differences(bug, classifier(SIZES, "tanh", "random biases", 5))


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float


@dataclass(frozen=True)
class Said:
    verdict: str
    difference: Bounds
    reason: str = ""
    tolerance: float = 1e-5


def tally_of(said: Said, claimed: float) -> Tally:
    judgements = judge({"x": said}, {"x": np.array([claimed])}, {"x": np.array([1.0])})
    tally = Tally()
    tally.add(Outcome("family", 0, judgements, evaluations=10, seconds=0.5))
    return tally


def test_a_false_alarm_is_counted() -> None:
    assert tally_of(Said("wrong", Bounds(0.1, 0.2)), 1.0).false_alarms == 1
    assert tally_of(Said("wrong", Bounds(0.0, 0.2)), 1.1).false_alarms == 0
    assert tally_of(Said("correct", Bounds(0.0, 1e-8)), 1.0).false_alarms == 0


def test_a_miss_is_counted_only_above_the_tolerance() -> None:
    assert tally_of(Said("correct", Bounds(0.0, 1.0)), 1.1).missed == 1
    assert tally_of(Said("correct", Bounds(0.0, 1e-5)), 1 + 1e-6).missed == 0
    assert tally_of(Said("undecided", Bounds(0.0, 1.0)), 1.1).missed == 0


def test_an_interval_without_the_truth_is_counted() -> None:
    # The claim 3 beside 1 differs by 2 / 4.
    assert tally_of(Said("wrong", Bounds(0.4, 0.6)), 3.0).uncovered == 0
    assert tally_of(Said("wrong", Bounds(0.51, 0.6)), 3.0).uncovered == 1
    assert tally_of(Said("wrong", Bounds(0.1, 0.49)), 3.0).uncovered == 1
    assert tally_of(Said("undecided", Bounds(float("nan"), float("nan"))), 3.0).uncovered == 0


def test_undecided_is_counted_with_its_reason_and_a_crash_is_not_lost() -> None:
    tally = tally_of(Said("undecided", Bounds(0.0, 1.0), "a Kink within the step"), 1.0)
    tally.add(Outcome("family", 1, crash="ValueError: no"))
    assert tally.reasons == {"kink": 1}
    assert tally.crashes == ["ValueError: no"]
    assert (tally.checks, tally.tensors, tally.mean_evaluations) == (2, 1, 10)
    written = json.loads(json.dumps(tally.summary))
    assert (written["verdicts"], written["reasons"], written["crashes"]) == (
        {"undecided": 1},
        {"kink": 1},
        ["ValueError: no"],
    )


def test_relative_difference_is_scale_free_and_defined_at_zero() -> None:
    zero, one = np.zeros(3), np.ones(3)
    assert relative_difference(zero, zero) == 0.0
    assert relative_difference(zero, one) == 1.0
    assert relative_difference(2e-200 * one, 1e-200 * one) == pytest.approx(1 / 3)


def test_judgements_are_kept_for_the_tensors_asked_for() -> None:
    def judgement(name: str) -> Judgement:
        return Judgement(name, "correct", "", 0.0, 1.0, 1e-5, 0.5)

    outcome = Outcome("family", 0, (judgement("W1"), judgement("b1")))
    tally = Tally()
    tally.add(outcome, outcome.judgements[:1])
    assert (tally.tensors, tally.missed) == (1, 1)


def test_the_true_mismatch_along_a_direction_is_that_of_the_claim() -> None:
    problem = classifier(SIZES, "tanh", "random biases", 2)
    wrong = plant("bias x 2", problem, seed=1)
    place = error_bars.point(problem, wrong.grads, seed=0)
    names = list(problem.params)
    guilty = names.index(wrong.tensors[0])
    for tensor, name in enumerate(names):
        direction = Direction((5,), (Part(tensor, 1.0),))
        v = error_bars.displacement(place, direction)
        true, slack = error_bars.true_mismatch(problem, place, direction)
        g = problem.grads(problem.params)[name].ravel()
        moved = v[v != 0]
        assert moved.size == g.size
        assert true == pytest.approx(float(g @ moved) if tensor == guilty else 0.0, rel=1e-9, abs=10 * slack)


@pytest.mark.parametrize(
    ("cost", "takes"),
    [
        (lambda x: np.sum(np.sin(x)), True),
        (lambda x: np.sum(np.abs(x) ** 2), False),  # analytic nowhere: its complex step is zero
        (lambda x: np.sum(np.conj(np.sin(x))), False),
        (lambda x: np.sum(np.real(x) ** 2), False),
        (lambda x: np.sum([float(v) for v in x]), False),
    ],
)
def test_whether_a_cost_takes_complex_numbers_is_seen(cost: Any, takes: bool) -> None:
    problem = Problem("", lambda params: cost(params["x"]), {"x": np.array([0.3, -1.2])}, lambda params: {})
    assert error_bars.takes_complex(problem, 5) is takes


def test_an_error_above_its_bar_is_counted() -> None:
    found = error_bars.Bars([error_bars.Probe(error, 1.0, 4) for error in (0.0, 1.0, 1.1, 11.0)])
    assert (found.exceeded, found.far) == (2, 1)


def test_the_course_loop_reads_its_number_in_three_bands() -> None:
    x = np.linspace(0.1, 1.0, 10)

    def loop(factor: float) -> str:
        return peers.course_loop(lambda at: float(np.sin(at).sum()), x, lambda at: factor * np.cos(at)).verdict

    assert [loop(1.0), loop(1.0001), loop(1.1)] == ["correct", "undecided", "wrong"]


@pytest.mark.parametrize("name", STAGED)
def test_what_is_planted_for_stages_hides_at_initialisation_and_shows_later(name: str) -> None:
    net, params = staged(name, 1)
    large = {key: net.kind.scale * value for key, value in params.items()}
    with np.errstate(all="ignore"):
        assert stages.difference(net.wrong(params), net.grads(params)) <= stages.HIDDEN
        assert stages.difference(net.wrong(large), net.grads(large)) > stages.SHOWN


def test_at_least_twelve_kinds_and_all_regimes_are_planted_for_stages() -> None:
    regimes = set().union(*(kind.regimes for kind in STAGED.values()))
    assert len(STAGED) >= 12
    assert {"saturation", "overflow", "clipping", "stabiliser", "kink", "branch"} <= regimes
