"""Every component with its error bar: against complex-step derivatives, which are exact to rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._localisation.components import BATCH

RNG = np.random.default_rng(2)
Params = dict[str, Any]
PARAMS: Params = {"W": RNG.standard_normal((3, 4)), "b": RNG.standard_normal(3), "s": 0.7}
X = RNG.standard_normal((4, 10))


def network(p: Params) -> Any:
    z = p["W"] @ X + np.reshape(p["b"], (-1, 1))
    return np.sum(1.0 / (1.0 + np.exp(-z))) * p["s"] + p["s"] ** 3


def rational(p: Params) -> Any:
    return np.sum(p["W"] ** 3 / (1.0 + p["W"] ** 2)) + np.exp(np.sum(p["b"])) * np.cos(p["s"])


def stiff(p: Params) -> Any:
    return np.sum(np.sin(20.0 * p["W"])) + np.sum(np.exp(5.0 * p["b"])) + 1e3 * p["s"] ** 2


COSTS: dict[str, Callable[[Params], Any]] = {"network": network, "rational": rational, "stiff": stiff}


def complex_step(cost: Callable[[Params], Any], p: Params) -> Params:
    """Im cost(theta + ih) / h: no difference is taken, so h may be as small as it likes."""
    found = {}
    for name, value in p.items():
        slope = np.empty(np.shape(value))
        for index in np.ndindex(slope.shape):
            moved = np.array(value, dtype=complex)
            moved[index] += 1e-200j
            slope[index] = np.imag(cost({**p, name: moved[()]})) / 1e-200
        found[name] = slope
    return found


def check(cost: Callable[[Params], Any], claim: Any, params: Params = PARAMS, **more: Any) -> gp.Report:
    return gp.check(lambda p: float(cost(p)), params, claim, method="exhaustive", **more)


@pytest.mark.parametrize("name", COSTS)
def test_the_bars_cover_the_truth_and_are_small(name: str) -> None:
    cost, truth = COSTS[name], complex_step(COSTS[name], PARAMS)
    report = check(cost, truth)
    assert report.passed, str(report)
    rows = report.worst(100)
    assert (len(rows), rows.complete) == (16, True)
    vector = gp.to_vector(truth)
    for row in rows:
        assert row.claimed == pytest.approx(truth[row.name][row.index], rel=1e-12)
        assert abs(row.reference - truth[row.name][row.index]) <= row.error_bar
        norm = float(np.linalg.norm(truth[row.name]))
        assert row.error_bar < 1e-5 * max(abs(truth[row.name][row.index]), norm)
        assert vector[row.position] == truth[row.name][row.index]
        assert str(gp.locate(PARAMS, row.position)).startswith(row.name)
    for tensor in report.tensors.values():
        assert tensor.difference.low <= tensor.difference.estimate <= tensor.difference.high < tensor.tolerance


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0, 2.0])
def test_one_wrong_element_is_found_named_and_measured(name: str, factor: float) -> None:
    truth = complex_step(COSTS[name], PARAMS)
    claim = {key: value.copy() for key, value in truth.items()}
    claim["W"][2, 1] *= factor
    report = check(COSTS[name], claim)
    assert {key: t.verdict.value for key, t in report.tensors.items()} == {"W": "wrong", "b": "correct", "s": "correct"}
    worst = report.worst(1)[0]
    assert (worst.name, worst.index) == ("W", (2, 1))
    assert worst.mismatch == pytest.approx(claim["W"][2, 1] - truth["W"][2, 1], rel=1e-4)
    place = report.findings[0].where
    assert str(place) == "W[2, 1]"
    assert place.exact
    assert np.argwhere(place.mask("W")).tolist() == [[2, 1]]
    # The interval holds the true number, which is known here.
    norms = np.linalg.norm(truth["W"]) + np.linalg.norm(claim["W"])
    exact = float(np.linalg.norm(truth["W"] - claim["W"]) / norms)
    assert report.tensors["W"].difference.low <= exact <= report.tensors["W"].difference.high


def test_the_mask_holds_all_that_is_wrong_and_only_that() -> None:
    truth = complex_step(network, PARAMS)
    wrong = np.zeros((3, 4), dtype=bool)
    wrong[1] = wrong[0, 3] = True
    report = check(network, {**truth, "W": np.where(wrong, 1.5 * truth["W"], truth["W"])})
    np.testing.assert_array_equal(report.findings[0].where.mask("W"), wrong)
    assert str(report.findings[0].where) == "W[0, 3], row 1 of W"
    assert str(check(network, {**truth, "W": 3.0 * truth["W"]}).findings[0].where) == "all of W"


def test_the_verdict_does_not_depend_on_the_scale_of_the_cost() -> None:
    truth = complex_step(network, PARAMS)
    for scale in (1e-12, 1e12):
        right = check(lambda p, s=scale: s * network(p), {k: scale * v for k, v in truth.items()})  # type: ignore[misc]
        assert right.passed
        bad = check(lambda p, s=scale: s * network(p), {k: 1.01 * scale * v for k, v in truth.items()})  # type: ignore[misc]
        assert bad.verdict == "wrong"


def test_a_zero_claim_of_a_zero_derivative_is_correct() -> None:
    report = check(lambda p: p["s"] ** 2, {"W": np.zeros((3, 4)), "b": np.zeros(3), "s": 2.0 * PARAMS["s"]})
    assert report.passed
    assert float(report.tensors["W"].difference) == 0.0


def test_a_kink_is_undecided_and_never_wrong() -> None:
    at: dict[str, NDArray[np.float64]] = {"b": np.array([0.0, 1.0])}
    for slope in (-1.0, 0.0, 1.0):
        report = gp.check(
            lambda p: float(np.sum(np.abs(p["b"]))), at, {"b": np.array([slope, 1.0])}, method="exhaustive"
        )
        assert report.verdict == "undecided"
        assert "kink" in report.tensors["b"].reason


def test_what_cannot_be_measured_is_unknown_and_not_certain() -> None:
    # At the edge of its domain the cost has no value on one side.
    report = gp.check(
        lambda p: float(np.sum(p["y"] ** 1.5)) if (p["y"] >= 0.0).all() else np.nan,
        {"y": np.array([0.0, 1.0])}, {"y": np.array([0.0, 1.5])}, method="exhaustive",
    )  # fmt: skip
    assert report.verdict != "wrong"
    difference = report.tensors["y"].difference
    assert (difference.low, difference.high) == (0.0, 1.0) or difference.high < 1e-5


def test_an_infinite_claim_is_wrong_where_nothing_else_can_be_measured() -> None:
    with np.errstate(invalid="ignore"):
        report = gp.check(
            lambda p: float(np.sum(np.sqrt(p["y"]))), {"y": np.array([0.0, 1.0])}, {"y": np.array([np.inf, 0.5])},
            method="exhaustive",
        )  # fmt: skip
    assert report.verdict == "wrong"
    assert str(report.findings[0].where) == "y[0]"
    assert "WRONG" in str(report)


def test_broken_forms_are_wrong_and_the_rest_is_measured() -> None:
    truth = complex_step(network, PARAMS)
    broken: list[Any] = [np.full((3, 4), np.nan), np.ones((4, 3)), None]
    for claim in broken:
        report = check(network, {**truth, "W": claim})
        assert [t.verdict.value for t in report.tensors.values()] == ["wrong", "correct", "correct"]
        assert [f.cause for f in report.findings] == ["contract"]


def test_a_tensor_beyond_one_batch_is_measured_in_several() -> None:
    size = BATCH + 44
    w = np.linspace(1.0, 2.0, size)
    claim = np.where(np.arange(size) == BATCH + 1, 1.0, 2.0) * w
    report = gp.check(lambda w: float(w @ w), w, claim, method="exhaustive")
    assert report.verdict == "wrong"
    assert str(report.findings[0].where) == f"w[{BATCH + 1}]"
    assert (report.components.measured, report.components.total) == (size, size)
    assert report.evaluations >= 2 * 2 * size


def test_a_budget_that_runs_out_is_given_as_the_reason_and_nothing_else_is() -> None:
    def wrong(p: Params) -> Params:
        found = complex_step(rational, p)
        found["W"][1, 2] *= 1.5
        return found

    reasons = set()
    for budget in range(20, 160, 4):
        report = gp.check(rational, PARAMS, wrong, method="exhaustive", budget=budget)
        reasons |= {t.reason for t in report.tensors.values() if t.verdict == "undecided"}
    assert {reason.split(";")[0] for reason in reasons} == {"the budget ran out"}


@pytest.mark.parametrize(
    "cost",
    [
        lambda z: float(np.sum(1e-3 * np.abs(z - 0.3)) + 1.0),
        lambda z: float(np.sum(np.where(z > 0.3, 1.0, 0.0))),
        lambda z: float(np.sum(np.where(z < 0.3, 0.3 - z, 0.0))),
    ],
    ids=["kink", "jump", "one-sided"],
)
def test_a_claim_of_zero_on_a_kink_or_jump_is_not_proven_by_what_cancels(cost: Callable[[Any], float]) -> None:
    report = gp.check(cost, np.full(6, 0.3), np.zeros(6), method="exhaustive")
    assert report.verdict == "undecided", report
    assert report.tensors["z"].difference.high == 1.0


def test_how_small_a_gradient_shows_is_said_of_claims_of_zero() -> None:
    params = {"w": np.arange(1.0, 4.0), "unused": np.ones(2)}
    claim = {"w": 2 * params["w"], "unused": np.zeros(2)}
    report = gp.check(lambda p: float(np.sum(p["w"] ** 2)), params, claim, method="exhaustive")
    assert report.verdict == "correct"
    said = report.tensors["unused"].reason
    assert "both zero to the cost's own rounding; a gradient with a norm below " in said
    assert 1e-12 < float(said.split("below ")[1].split()[0]) < 1e-6
    assert any(note.startswith("unused: ") for note in report.notes)
