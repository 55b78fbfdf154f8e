"""Stages: one verdict over several moments, what only some of them show, and input refused before any work."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._report import text
from gradproof._report.stages import stages_blocks

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from problems.staged import STAGED, Staged, staged

Array = NDArray[np.float64]
Params = dict[str, Any]
KINK, BRANCH = "relu6 without its upper side", "softplus slope rounded to 1"


def start(seed: int = 1) -> Params:
    return {"w": np.random.default_rng(seed).standard_normal(5)}


def cost(params: Params) -> float:
    return float(np.sum(params["w"] ** 4))


def grads(params: Params) -> Params:
    return {"w": 4 * params["w"] ** 3}


def never(*_: Any) -> float:
    raise AssertionError("work was done")


@pytest.mark.parametrize("name", STAGED)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_fault_of_large_parameters_is_missed_at_first_and_found_and_named_by_stages(name: str, seed: int) -> None:
    net, params = staged(name, seed)
    alone = gp.check(net.cost, params, net.wrong)
    assert alone, "it must hide at initialisation"
    stages = gp.Stages(net.cost, net.wrong, scales=(1, net.kind.scale))
    with np.errstate(all="ignore"):  # some of them overflow, and say so
        assert stages.at("initialisation", params).verdict == "wrong"
    assert not stages.passed
    assert stages["initialisation"].passed
    assert not stages[f"initialisation x {net.kind.scale:g}"].passed
    found = stages.findings[0]
    assert (found.right_at, found.wrong_at) == (("initialisation",), (f"initialisation x {net.kind.scale:g}",))
    assert found.regime.name in net.kind.regimes
    assert 0.0 < found.regime.share <= 1.0


@pytest.mark.parametrize("name", STAGED)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_right_twin_is_correct_at_every_stage(name: str, seed: int) -> None:
    net, params = staged(name, seed)
    stages = gp.Stages(net.cost, net.grads, scales=(1, net.kind.scale))
    stages.at("initialisation", params)
    assert stages.passed
    assert not stages.findings


def test_a_fault_that_every_stage_shows_is_no_matter_of_stages() -> None:
    stages = gp.Stages(cost, lambda p: {"w": 2.0 * grads(p)["w"]}, scales=(1, 10))
    stages.at("initialisation", start())
    assert stages.verdict == "wrong"
    assert not stages.findings
    assert stages["initialisation"].findings[0].cause == "factor"


def test_a_regulariser_on_biases_that_are_zero_at_first_is_hidden_by_a_zero() -> None:
    def with_bias(p: Params) -> Any:
        return np.sum((p["W"] @ np.arange(1.0, 4.0) + p["b"] - 1.0) ** 2) + 0.35 * np.sum(p["W"] ** 2)

    def wrong(p: Params) -> Params:
        r = 2.0 * (p["W"] @ np.arange(1.0, 4.0) + p["b"] - 1.0)
        return {"W": np.outer(r, np.arange(1.0, 4.0)) + 0.7 * p["W"], "b": r + 0.7 * p["b"]}

    rng = np.random.default_rng(0)
    stages = gp.Stages(with_bias, wrong)
    assert stages.at("initialisation", {"W": rng.standard_normal((4, 3)), "b": np.zeros(4)})
    assert not stages.at("later", {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(4)})
    found = stages.findings[0]
    assert len(stages.findings) == 1
    assert (found.tensors, found.regime.name) == (("b",), "zero")
    assert "regulariser" in found.causes


def test_a_stage_that_is_right_may_come_after_one_that_is_wrong() -> None:
    net, params = staged(KINK, 1)
    stages = gp.Stages(net.cost, net.wrong)
    stages.at("large", {name: 10.0 * value for name, value in params.items()})
    assert not stages.findings
    stages.at("small", params)
    assert [f.regime.name for f in stages.findings] == ["kink"]
    assert stages.findings[0].walked == ("small", "large")


def test_later_stages_join_a_finding_without_another_walk() -> None:
    net, params = staged(BRANCH, 1)
    stages = gp.Stages(net.cost, net.wrong)
    for scale in (1.0, 10.0):
        stages.at(f"x {scale:g}", {name: scale * value for name, value in params.items()})
    between = stages.report.evaluations - sum(stages[name].evaluations for name in stages)
    assert between > 0
    stages.at("x 12", {name: 12.0 * value for name, value in params.items()})
    assert stages.report.evaluations - sum(stages[name].evaluations for name in stages) == between
    assert stages.findings[0].wrong_at == ("x 10", "x 12")


def descent(net: Staged, rate: float = 0.02) -> Callable[[Params, int], Params]:
    """Steps that follow the gradient and let the weights grow."""

    def step(params: Params, i: int) -> Params:
        return {name: 1.02 * params[name] - rate * grad for name, grad in net.grads(params).items()}

    return step


def test_training_checks_at_its_checkpoints_and_returns_the_parameters() -> None:
    net, params = staged(BRANCH, 1)
    kept = {name: value.copy() for name, value in params.items()}
    stages = gp.Stages(net.cost, net.wrong)
    last = stages.train(descent(net), params, checkpoints=(0, 1, 150))
    assert list(stages) == ["initialisation", "after 1 step", "after 150 steps"]
    assert [report.verdict for report in stages.report.stages.values()] == ["correct", "correct", "wrong"]
    assert stages.findings[0].regime.name == "branch"
    by_hand = kept
    for i in range(150):
        by_hand = descent(net)(by_hand, i)
    assert all(np.array_equal(last[name], by_hand[name]) for name in last)
    assert all(np.array_equal(params[name], kept[name]) for name in params)


def test_training_in_place_is_training_of_the_given_arrays() -> None:
    params, seen = start(), []

    def step(p: Params, i: int) -> None:
        seen.append(i)
        p["w"] -= 0.1 * p["w"]

    stages = gp.Stages(cost, grads)
    last = stages.train(step, params, checkpoints=(0, 2, 5))
    assert last is params
    assert seen == [0, 1, 2, 3, 4]
    assert np.allclose(params["w"], 0.9**5 * start()["w"])
    assert stages.passed
    # The first stage is the start, although it is checked once the first step has shown that it trains.
    costs = gp.Stages(
        lambda p: cost(p), lambda p: grads(p) if np.array_equal(p["w"], start()["w"]) else {"w": 0 * p["w"]}
    )
    costs.train(step, start(), checkpoints=(0, 2))
    assert [report.verdict for report in costs.report.stages.values()] == ["correct", "wrong"]


def test_training_starts_at_any_checkpoint() -> None:
    stages = gp.Stages(cost, grads)
    stages.train(lambda p, i: {"w": 0.9 * p["w"]}, start(), checkpoints=(3,))
    assert list(stages) == ["after 3 steps"]
    stages.train(never, start(), checkpoints=(0,))
    assert list(stages) == ["after 3 steps", "initialisation"]


def test_checks_do_not_disturb_the_random_numbers_of_training() -> None:
    rng = np.random.default_rng(3)

    def noisy(p: Params) -> float:
        return float(np.sum(p["w"] ** 4 * (rng.random(5) < 0.5)))

    def masked(p: Params) -> Params:
        return {"w": grads(p)["w"] * (rng.random(5) < 0.5)}

    def step(p: Params, i: int) -> Params:
        return {"w": p["w"] + 0.01 * rng.standard_normal(5)}

    stages = gp.Stages(noisy, masked)
    last = stages.train(step, start(), checkpoints=(0, 5, 10))
    assert stages.passed
    fresh = np.random.default_rng(3)
    w = start()["w"]
    for _ in range(10):
        w = w + 0.01 * fresh.standard_normal(5)
    assert np.array_equal(last["w"], w)


class Net:
    """Keeps its parameters, as hand-written classes do."""

    def __init__(self) -> None:
        self.w = start()["w"]

    def cost(self) -> float:
        return float(np.sum(self.w**4))

    def grads(self) -> list[Array]:
        return [np.where(np.abs(self.w) > 5, 0.0, 4 * self.w**3)]


def test_live_arrays_are_blown_up_in_place_and_put_back() -> None:
    net = Net()
    stages = gp.Stages(net.cost, net.grads, scales=(1, 10))
    stages.at("initialisation", [net.w])
    assert np.array_equal(net.w, start()["w"])
    assert stages["initialisation"].passed
    assert stages.verdict == "wrong"
    assert stages.findings[0].regime.name == "unknown"


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_live_arrays_are_put_back_after_an_exception(error: type[BaseException]) -> None:
    net = Net()

    def interrupted() -> list[Array]:
        raise error

    stages = gp.Stages(net.cost, interrupted, scales=(10,))
    with pytest.raises(error):
        stages.at("initialisation", [net.w])
    assert np.array_equal(net.w, start()["w"])
    assert len(stages) == 0


def test_terms_work_in_stages() -> None:
    def data(p: Params, X: Array) -> Any:
        return np.sum(np.log(np.cosh(X @ p["w"])))

    def penalty(p: Params, X: Array) -> Any:
        return 0.35 * np.sum(p["w"] ** 4)

    def wrong(p: Params, X: Array) -> Params:
        return {"w": X.T @ np.tanh(X @ p["w"]) + (0.0 if np.max(np.abs(p["w"])) > 4 else 1.4 * p["w"] ** 3)}

    X = np.random.default_rng(1).standard_normal((7, 5))
    terms = {"data": data, "penalty": penalty}
    stages = gp.Stages(lambda p, X: data(p, X) + penalty(p, X), wrong, args=(X,), terms=terms, scales=(1, 10))
    stages.at("initialisation", start())
    assert stages["initialisation"].passed
    report = stages["initialisation x 10"]
    assert report.verdict == "wrong"
    assert "penalty" in report.findings[0].message
    assert "penalty" in str(stages)
    assert stages.findings[0].regime.name == "branch"


def test_what_a_report_offers() -> None:
    net, params = staged(KINK, 1)
    stages = gp.Stages(net.cost, net.wrong, scales=(1, 10))
    stages.at("initialisation", params)
    report = stages.report
    assert (stages.verdict, stages.passed, bool(stages), len(stages)) == ("wrong", False, False, 2)
    assert (report.verdict, report.passed, bool(report), len(report), [*report]) == (
        "wrong",
        False,
        False,
        2,
        [*stages],
    )
    assert str(stages) == str(report)
    assert repr(stages) == repr(report)
    assert repr(stages).startswith("<Stages WRONG: initialisation correct, initialisation x 10 WRONG; ")
    assert "\n" not in repr(stages)
    with pytest.raises(gp.GradientError, match="wrong at initialisation x 10"):
        stages.raise_if_wrong()
    with pytest.raises(gp.GradientError):
        report.raise_if_wrong()
    known = json.loads(json.dumps(stages.to_dict()))
    assert known["verdict"] == "wrong"
    assert known["findings"][0]["regime"] == "kink"
    assert known["stages"]["initialisation"]["verdict"] == "correct"
    shown = str(stages)
    words = " ".join(shown.split())
    assert words.startswith("gradproof: WRONG. The gradients of W1 and b1 are right at initialisation and wrong at")
    assert max(map(len, shown.splitlines())) <= 80
    stages.at("again", params, scales=(2,))
    assert len(report) == 2, "a report stays as it is"


def test_one_verdict_needs_every_stage() -> None:
    stages = gp.Stages(cost, grads)
    assert (stages.verdict, stages.passed) == ("undecided", False)
    assert "No stage was checked" in str(stages)
    stages.at("one", start())
    assert stages.passed
    stages.raise_if_wrong()
    assert stages.at("tiny", start(), scales=(1e-90,)).verdict != "wrong"  # its cost is below the smallest float
    spent = gp.Stages(cost, grads, budget=5)
    spent.at("one", start())
    assert (spent.verdict, spent.passed) == ("undecided", False)
    with pytest.warns(gp.UndecidedWarning, match="UNDECIDED"):
        spent.raise_if_wrong()


@pytest.mark.parametrize("stages", [2, 3, 6])
@pytest.mark.parametrize("name", ["a", "a name that is much longer than any column", "a\nb"])
def test_any_number_of_stages_fits_on_80_columns(stages: int, name: str) -> None:
    checked = gp.Stages(cost, grads)
    for i in range(stages):
        checked.at(f"{name} {i}", start(i))
    shown = str(checked)
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"{i}" in shown for i in range(stages))
    assert shown == text.written(stages_blocks(checked.report), None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gp.Stages(never, grads(start())), "`grads` should be a function"),
        (lambda: gp.Stages(never, never, scales=(0, 1)), "`scales` should be different positive numbers"),
        (lambda: gp.Stages(never, never, scales=(1, 1.0)), "`scales` should be"),
        (lambda: gp.Stages(never, never, scales=()), "`scales` should be"),
        (lambda: gp.Stages(never, never).at("a", start(), scales=(math.inf,)), "`scales` should be"),
        (lambda: gp.Stages(never, never).at("", start()), "its name should be"),
        (lambda: gp.Stages(never, never).at(3, start()), "its name should be"),  # type: ignore[arg-type]
        (
            lambda: gp.Stages(never, never).train(never, start(), checkpoints=(0, 10, 10)),
            "`checkpoints` should be incre",
        ),
        (lambda: gp.Stages(never, never).train(never, start(), checkpoints=(10, 0)), "`checkpoints` should be incre"),
        (lambda: gp.Stages(never, never).train(never, start(), checkpoints=(-1, 0)), "`checkpoints` should be incre"),
        (lambda: gp.Stages(never, never).train(never, start(), checkpoints=(1.5,)), "`checkpoints` should be incre"),  # type: ignore[arg-type]
        (lambda: gp.Stages(never, never).train(never, start(), checkpoints=()), "`checkpoints` should be incre"),
        (lambda: gp.Stages(never, never).train(start(), start()), "`step` should be a function"),  # type: ignore[arg-type]
        (lambda: gp.Stages(never, never).train(lambda p, i: None, start()), "what `step` does should be to return"),
    ],
)
def test_bad_input_is_refused_before_any_work(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(gp.InputError, match=words) as caught:
        call()
    assert str(caught.value).startswith("While ")
    assert ", but is " in str(caught.value)


def test_a_name_may_be_used_once() -> None:
    stages = gp.Stages(cost, grads)
    stages.at("initialisation", start())
    for again in (lambda: stages.at("initialisation", start()), lambda: stages.train(never, start())):
        with pytest.raises(gp.InputError, match="'initialisation', which was used before"):
            again()


def test_settings_are_those_of_a_check() -> None:
    with pytest.raises(TypeError, match="tolerances"):
        gp.Stages(cost, grads, tolerances=1e-5)
    stages = gp.Stages(cost, grads, tolerance=1e-3, seed=5)
    assert stages.at("a", start()).seed == 5
    assert stages["a"].tensors["w"].tolerance == 1e-3


def test_stages_are_checks_and_raise_in_training() -> None:
    with gp.training(), pytest.raises(gp.CheckDuringTraining):
        gp.Stages(cost, grads).at("a", start())


def test_switched_off_training_goes_on_and_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    stages = gp.Stages(never, never)
    last = stages.train(lambda p, i: {"w": 0.5 * p["w"]}, start(), checkpoints=(0, 2))
    assert np.array_equal(last["w"], 0.25 * start()["w"])
    assert stages.verdict == "undecided"
    assert "GRADPROOF" in str(stages)
