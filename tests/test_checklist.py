"""The checklist says only what was measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof import network

Array = NDArray[np.float64]
X, Y = (part[:, :16] for part in network.load_digits())
PARAMETERS = network.initialize_parameters((64, 5, 10), seed=0)
REGULARISER, DROPOUT, STAGES, PRECISION, COMPONENTS, DIFFERENCE = (
    item.question for item in gp.check(lambda w: float(w @ w), np.ones(2), lambda w: 2 * w).checklist
)


def answers(report: Any) -> dict[str, tuple[str, str]]:
    return {item.question: (item.status, item.answer) for item in report.checklist}


def check(grads: Any = network.gradients, cost: Any = network.cost, **given: Any) -> gp.Report:
    options = {"hidden": "tanh", **given.pop("options", {})}
    return gp.check(cost, PARAMETERS, grads, args=(X, Y), options=options, **given)


def no_l2(*args: Any, lambd: float, **options: Any) -> Any:
    return network.gradients(*args, **options)


@pytest.mark.parametrize("lambd", [0.7, 0.0])
def test_a_regulariser_in_both_is_seen_by_its_slopes(lambd: float) -> None:
    assert answers(check(options={"lambd": lambd}))[REGULARISER] == ("yes", "slopes in lambd agree")


@pytest.mark.parametrize("lambd", [0.7, 0.0])
def test_a_regulariser_in_one_alone_is_none_in_both_even_where_its_weight_is_zero(lambd: float) -> None:
    report = check(no_l2, options={"lambd": lambd})
    assert report.passed == (lambd == 0.0)
    assert answers(report)[REGULARISER][0] == "NO"


def test_other_faults_do_not_touch_the_answer() -> None:
    def doubled(*args: Any, **options: Any) -> Any:
        grads = network.gradients(*args, **options)
        return {**grads, "db1": 2.0 * grads["db1"]}

    report = check(doubled, options={"lambd": 0.7})
    assert report.verdict == "wrong"
    assert answers(report)[REGULARISER][0] == "yes"


@pytest.mark.parametrize(("factor", "cause"), [(2.0, "factor"), (-1.0, "sign")])
def test_a_regulariser_that_is_off_with_all_of_its_gradient_is_not_called_missing(factor: float, cause: str) -> None:
    def off(*args: Any, **options: Any) -> Any:
        grads = network.gradients(*args, **options)
        return {**grads, "dW2": factor * grads["dW2"]}

    report = check(off, options={"lambd": 0.7})
    assert report.findings[0].cause == cause
    status, answer = answers(report)[REGULARISER]
    assert status == "open"
    assert answer.endswith(f", as the gradients do: {cause}")
    both = check(lambda *a, **o: {**off(*a, **o), "dW1": no_l2(*a, **o)["dW1"]}, options={"lambd": 0.7})
    assert answers(both)[REGULARISER][0] == "NO"


@pytest.mark.parametrize(
    "penalty", [lambda w: (np.abs(w).sum(), np.sign(w)), lambda w: ((w**4).sum(), 4 * w**3)], ids=["L1", "quartic"]
)
def test_a_regulariser_that_is_no_parabola(penalty: Callable[[Array], tuple[float, Array]]) -> None:
    def cost(w: Array, lambd: float) -> float:
        return float(np.sum(np.cosh(w)) + lambd * penalty(w)[0])

    def grads(w: Array, lambd: float) -> Array:
        return np.asarray(np.sinh(w) + lambd * penalty(w)[1])

    w = np.random.default_rng(0).standard_normal(6)
    w += 0.3 * np.sign(w)
    right = gp.check(cost, w, grads, options={"lambd": 0.3})
    assert right.passed
    assert answers(right)[REGULARISER][0] == "yes"
    wrong = gp.check(cost, w, lambda w, lambd: grads(w, 0.3), options={"lambd": 0.3})
    assert wrong.passed
    assert answers(wrong)[REGULARISER][0] == "NO"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"options": {"lambd": "strong"}},
        {"options": {"lambd": True}},
        {"options": {"lambd": 0.7}, "method": "probe"},
        {"options": {"lambd": 0.7}, "method": "classic", "only": "b2"},
        {"options": {"lambd": 0.7, "keep_prob": 1.0}, "vary": "keep_prob"},
        {"options": {"lambd": 0.7}, "budget": 60},
    ],
)
def test_a_regulariser_that_was_not_varied_gets_no_tick(given: dict[str, Any]) -> None:
    def cost(*args: Any, lambd: Any = 0.0, **options: Any) -> Any:
        return network.cost(*args, lambd=lambd if isinstance(lambd, float) else 0.0, **options)

    def grads(*args: Any, lambd: Any = 0.0, **options: Any) -> Any:
        return network.gradients(*args, lambd=lambd if isinstance(lambd, float) else 0.0, **options)

    assert answers(check(grads, cost, **given))[REGULARISER][0] == "not checked"


def test_arrays_as_claims_and_a_weight_that_does_nothing_get_no_tick() -> None:
    computed = network.gradients(PARAMETERS, X, Y, hidden="tanh", lambd=0.7)
    assert answers(check(computed, options={"lambd": 0.7}))[REGULARISER][0] == "not checked"
    report = gp.check(lambda w, lambd: float(w @ w), np.ones(3), lambda w, lambd: 2 * w, options={"lambd": 0.7})
    assert answers(report)[REGULARISER] == ("not checked", "neither cost nor gradient changes with lambd here")


def test_functions_that_refuse_another_weight_are_no_trouble() -> None:
    def cost(w: Array, lambd: float) -> float:
        if lambd != 0.3:
            raise ValueError("no other weight")
        return float(w @ w)

    report = gp.check(cost, np.ones(3), lambda w, lambd: 2 * w, options={"lambd": 0.3})
    assert report.passed
    assert answers(report)[REGULARISER][0] == "not checked"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({}, "none found: evaluations agree"),
        ({"keep_prob": 1.0}, "off (keep_prob = 1.0): evaluations agree"),
        ({"keep_prob": 0.8, "rng": 3}, "fixed (keep_prob = 0.8): evaluations agree"),
        ({"keep_prob": 0.8, "rng": np.random.default_rng(3)}, "frozen: one pattern of options['rng']"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "classic"])
def test_dropout(options: dict[str, Any], answer: str, method: str) -> None:
    assert answers(check(options=options, method=method))[DROPOUT] == ("yes", answer)


def test_a_rounded_cost_is_not_precise() -> None:
    status, answer = answers(check())[PRECISION]
    assert status == "yes"
    assert answer.startswith("float64, 15.")
    rounded = check(cost=lambda *args, **options: float(np.float32(network.cost(*args, **options))))
    status, answer = answers(rounded)[PRECISION]
    assert status == "NO"
    assert float(answer.split(", ")[1].split()[0]) < 9
    assert answers(check(method="classic"))[PRECISION][0] == "not checked"


@pytest.mark.parametrize("seed", range(5))
def test_a_kink_at_the_point_is_no_lack_of_precision(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=20)
    x[::4] = 0.0
    report = gp.check(lambda x: 0.3 * float(np.sum(np.abs(x))) + 0.5 * float(x @ x), x, lambda x: 0.3 * np.sign(x) + x)
    status, answer = answers(report)[PRECISION]
    assert status == "yes", answer
    rounded = gp.check(lambda x: float(np.float32(np.sum(np.abs(x)) + x @ x)), x, lambda x: np.sign(x) + 2.0 * x)
    assert answers(rounded)[PRECISION][0] == "NO"


def test_components() -> None:
    assert answers(check())[COMPONENTS] == ("yes", "385 of 385 along random lines, none one by one")
    for method in ("exhaustive", "classic"):
        assert answers(check(method=method))[COMPONENTS] == ("yes", "385 of 385 one by one")
    assert answers(check(method="classic", budget=100))[COMPONENTS][0] == "NO"
    assert answers(check(budget=3))[COMPONENTS][0] == "not checked"


def test_the_worst_difference_is_a_bound_with_its_tensor() -> None:
    report = check()
    status, answer = answers(report)[DIFFERENCE]
    worst = max(report.tensors.values(), key=lambda tensor: tensor.difference.high)
    assert status == "yes"
    assert answer.endswith(f"({worst.name})")
    assert worst.difference.high <= float(answer.split()[2]) < 1.06 * worst.difference.high
    status, answer = answers(check(no_l2, options={"lambd": 0.7}))[DIFFERENCE]
    assert status == "NO"
    assert answers(check(budget=3))[DIFFERENCE][0] == "not checked"


def test_a_bound_that_is_not_small_enough_is_left_open() -> None:
    report = check(cost=lambda *args, **options: float(np.float32(network.cost(*args, **options))))
    status, answer = answers(report)[DIFFERENCE]
    assert max(tensor.difference.high for tensor in report.tensors.values()) > 1e-7
    assert status == "open"
    assert answer.startswith("at most")


@pytest.mark.parametrize("claim", [0.0, -1.0, np.nan, 1e9])
def test_however_wrong_one_tensor_is_the_others_earn_no_tick(claim: float) -> None:
    def grads(params: dict[str, Array]) -> dict[str, Array]:
        return {"a": 2 * params["a"], "b": claim * 2 * params["b"]}

    start = {"a": np.arange(1.0, 4.0), "b": np.arange(2.0, 5.0)}
    for method in ("auto", "exhaustive"):
        report = gp.check(lambda p: float(p["a"] @ p["a"] + p["b"] @ p["b"]), start, grads, method=method)
        assert report.verdict == "wrong"
        assert answers(report)[DIFFERENCE][0] == "NO"


def test_what_could_not_be_judged_gets_no_tick() -> None:
    report = gp.check(lambda w: float(np.sum(np.ceil(w))), np.ones(3), lambda w: 0.0 * w)
    assert report.verdict == "undecided"
    known = answers(report)
    assert known[DIFFERENCE][0] != "yes"
    assert known[COMPONENTS][0] != "yes"


def test_one_point_is_no_stages_and_stages_are() -> None:
    assert answers(check())[STAGES][0] == "not checked"
    stages = gp.Stages(network.cost, network.gradients, args=(X, Y), options={"hidden": "tanh", "lambd": 0.7})
    stages.at("initialisation", PARAMETERS)
    assert answers(stages.report)[STAGES][0] == "not checked"
    stages.at("later", {name: 2.0 * value for name, value in PARAMETERS.items()})
    assert answers(stages.report)[STAGES] == ("yes", "2 stages: initialisation, later")
    assert answers(stages.report)[REGULARISER][0] == "yes"


def test_of_several_stages_the_least_favourable_answer_counts() -> None:
    def hiding(w: Array) -> Array:
        return np.asarray(np.where(np.abs(w) > 5, 0.0, 2 * w))

    stages = gp.Stages(lambda w: float(w @ w), hiding, scales=(1, 10))
    stages.at("initialisation", np.ones(3))
    assert answers(stages["initialisation"])[DIFFERENCE][0] == "yes"
    assert answers(stages.report)[DIFFERENCE][0] == "NO"


def test_a_check_that_was_not_made_ticks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    assert {status for status, _ in answers(check(options={"lambd": 0.7})).values()} == {"not checked"}


def test_the_checklist_ends_every_form_of_a_report() -> None:
    report = check(options={"lambd": 0.7})
    shown = str(report)
    assert shown.splitlines()[-1].strip().startswith(DIFFERENCE)
    assert "regulariser in both" in shown
    assert [item["question"] for item in report.to_dict()["checklist"]] == [*answers(report)]


def test_it_takes_few_evaluations() -> None:
    without, with_weight = check(), check(options={"lambd": 0.7})
    calls = 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return network.cost(*args, **options)

    report = check(cost=counted, options={"lambd": 0.7})
    assert calls == report.evaluations == with_weight.evaluations
    assert with_weight.evaluations - without.evaluations <= 40


@pytest.mark.parametrize("live", [False, True])
def test_a_cost_that_reads_other_arrays_than_those_that_are_moved_is_told_of(live: bool) -> None:
    mine = {"w": np.arange(1.0, 5.0)}
    copies = {"w": mine["w"].copy()}

    def cost(p: Any = None) -> float:
        return float(np.sum(np.sin(mine["w"] if p is None else p["w"])))

    def slope(p: Any = None) -> Any:
        return {"w": np.cos(mine["w"] if p is None else p["w"])}

    said = "it may read others, of which these are copies"
    wrong = gp.check(lambda: cost(), copies, slope(mine)) if live else gp.check(lambda p: cost(), copies, slope)
    assert wrong.verdict == "wrong"
    assert any(said in note for note in wrong.notes)
    right = gp.check(lambda: cost(), mine, slope) if live else gp.check(cost, copies, slope)
    assert right.verdict == "correct"
    assert not any(said in note for note in right.notes)
    still = gp.check(lambda p: 3.0, copies, lambda p: {"w": np.zeros(4)})  # nothing is claimed to change
    assert still.verdict == "correct"
    assert not any(said in note for note in still.notes)
