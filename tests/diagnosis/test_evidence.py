"""The parts that decide: fits, numbers, clusters, names of layers, and which explanations are taken."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from told import check, net

import gradproof as gp
from gradproof._diagnosis import diagnose as diagnosing
from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Fitted, clusters
from gradproof._diagnosis.diagnose import choose
from gradproof._diagnosis.evidence import PROBES, solve
from gradproof._diagnosis.layers import key_of
from gradproof._diagnosis.numbers import nice

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(8, 2))


def test_a_combination_is_found_with_its_errors() -> None:
    noise = 1e-9 * RNG.uniform(-1, 1, 8)
    fit = solve(TABLE, TABLE @ [2.0, -0.3] + noise, np.full(8, 3e-9), 36)
    assert fit is not None
    for value, found, error in zip((2.0, -0.3), fit.coefficients, fit.errors, strict=True):
        assert 0.0 < error < 1e-8
        assert abs(found - value) < 5 * error
        assert type(found) is float
    assert not fit.thin


def test_what_is_left_refuses() -> None:
    wanted = TABLE @ [2.0, -0.3]
    wanted[3] += 1e-6
    assert solve(TABLE, wanted, np.full(8, 3e-9), 36) is None
    assert solve(TABLE, wanted, np.full(8, 1e-5), 36) is not None


@pytest.mark.parametrize(
    "table", [np.stack([TABLE[:, 0], 2 * TABLE[:, 0]], axis=1), np.stack([TABLE[:, 0], np.zeros(8)], axis=1)]
)
def test_columns_that_cannot_be_told_apart_refuse(table: Any) -> None:
    assert solve(table, 3.0 * TABLE[:, 0], np.full(8, 1e-9), 36) is None


@pytest.mark.parametrize(
    ("measurements", "unknowns", "thin"), [(8, 36, False), (8, 4, True), (4, 4, True), (5, 5, False), (2, 2, True)]
)
def test_thin_where_hardly_more_is_known_than_is_fitted(measurements: int, unknowns: int, thin: bool) -> None:
    columns = 2
    table = RNG.normal(size=(measurements, columns))
    fit = solve(table, table @ [1.0, 2.0], np.full(measurements, 1e-9), unknowns)
    assert fit is not None
    assert fit.thin is thin


def test_nothing_measured_and_fewer_than_unknowns() -> None:
    assert solve(TABLE[:0], np.empty(0), np.empty(0), 36) is None
    assert solve(TABLE[:1], np.ones(1), np.ones(1), 36) is None


def suspect(monkeypatch: pytest.MonkeyPatch, tensor: str, change: Any) -> Any:
    """What is measured of a wrong tensor of the course network."""
    seen: list[Case] = []

    def look(case: Case) -> Sequence[Explanation]:
        seen.append(case)
        return []

    monkeypatch.setattr(diagnosing, "STAGES", ((look,),))
    check(net("course"), {tensor: change})
    monkeypatch.undo()
    (found,) = seen[0].suspects.values()
    return found


@pytest.mark.parametrize("tensor", ["W3", "b3"])
def test_only_the_right_gradient_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tensor: str) -> None:
    found = suspect(monkeypatch, tensor, lambda g: 1.5 * g)
    right = net("course").right_leaf(tensor)
    assert found.clear
    assert found.moves
    assert found.leaves_nothing(right)
    assert found.leaves_nothing(right * (1 + 1e-10))
    assert not found.leaves_nothing(right * (1 + 1e-6))
    assert not found.leaves_nothing(found.claim)
    assert not found.leaves_nothing(right.ravel()[:-1])
    spoilt = right.copy()
    spoilt.flat[0] = np.nan
    assert not found.leaves_nothing(spoilt)
    one_off = right.copy()
    one_off.flat[1] *= 1 + 1e-4
    assert not found.leaves_nothing(one_off)
    assert (found.elements is None) == (tensor == "W3")
    if found.elements is not None:
        np.testing.assert_allclose(found.elements, right, rtol=1e-6)
    fit = found.fit([found.claim])
    assert fit is not None
    assert fit.coefficients[0] == pytest.approx(1 / 1.5, rel=1e-8)
    assert found.fit([found.theta]) is None
    assert found.fit([np.full_like(right, np.inf)]) is None


def spoilt(size: int, change: Any) -> tuple[Any, Any, Any]:
    """A cost of so many numbers, these, and a gradient that is changed."""
    rng = np.random.default_rng(2)
    x, weights = rng.standard_normal((2, size))
    return (
        lambda p: float(weights @ np.sin(p["x"])), {"x": x},
        lambda p: {"x": change(weights * np.cos(p["x"]))},
    )  # fmt: skip


def off(element: int, factor: float) -> Any:
    def change(g: Any) -> Any:
        g = g.copy()
        g[element] *= factor
        return g

    return change


def test_what_the_verdict_measured_comes_first_and_the_rest_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def look(case: Case) -> Sequence[Explanation]:
        seen.extend(case.suspects.values())
        (one,) = seen
        before = one.source.spent
        assert 2 <= len(one.first.directions) < PROBES
        assert one.clear
        assert one.moves
        assert not one.leaves_nothing(2.0 * one.claim)
        assert one.fit([one.theta]) is None
        assert one.source.spent == before
        assert len(one.directions) == len(one.bars) == PROBES
        assert 4 * (PROBES - len(one.first.directions)) <= one.source.spent - before
        assert one.directions[: len(one.first.directions)] == one.first.directions
        return []

    monkeypatch.setattr(diagnosing, "STAGES", ((look,),))
    assert gp.check(*spoilt(400, off(7, 1.5))).verdict == "wrong"
    assert seen


def test_a_claim_of_fewer_digits_is_measured_throughout_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def look(case: Case) -> Sequence[Explanation]:
        seen.extend(case.suspects.values())
        return []

    monkeypatch.setattr(diagnosing, "STAGES", ((look,),))
    gp.check(*spoilt(400, lambda g: (1.5 * g).astype(np.float32)))
    assert len(seen[0].first.directions) == PROBES


@pytest.mark.parametrize("factor", [1.001, 1.5, 30.0])
def test_the_mismatch_lies_within_reach(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    for element in (3, 77, 205):
        seen: list[Any] = []

        def look(case: Case, seen: list[Any] = seen) -> Sequence[Explanation]:
            seen.extend(case.suspects.values())
            return []

        monkeypatch.setattr(diagnosing, "STAGES", ((look,),))
        gp.check(*spoilt(400, off(element, factor)), seed=element)
        for one in seen:
            true = abs(one.claim[element]) * abs(1.0 - 1.0 / factor)
            assert true <= one.close_reach <= 100.0 * true
            assert true <= one.reach < np.inf
            change = np.zeros(one.claim.shape)
            change[element] = 0.99 * one.reach
            assert not one.beyond(change)
            assert one.beyond(2.0 * change)
            assert not one.beyond(2.0 * change, change)
            assert one.beyond(2.0 * change + 2.0 * np.roll(change, 1), change)


def test_rows_are_not_measured_one_by_one_where_no_order_can_be_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(30, 20)), rng.normal(size=(20, 7))

    def grads(p: Any, order: Any, factor: float) -> Any:
        T = np.tanh(p["W"] @ X)
        d = (2.0 * T * (1.0 - T * T)) @ X.T
        d[3, 4] *= factor
        return {"W": d[order]}

    def checked(order: Any, factor: float) -> gp.Report:
        return gp.check(lambda p: float(np.sum(np.tanh(p["W"] @ X) ** 2)), {"W": W}, lambda p: grads(p, order, factor))

    one = checked(slice(None), 1.1)
    assert [(f.cause, f.where.text) for f in one.findings] == [("region", "W[3, 4]")]
    assert one.evaluations < 200
    order = [*range(28), 29, 28]
    traded = checked(order, 1.0)
    assert [(f.cause, f.detail[:4]) for f in traded.findings] == [("permuted", "rows")]


@pytest.mark.parametrize(
    ("value", "text", "role"),
    [
        (2.0, "2", "simple"),
        (-2.0, "-2", "simple"),
        (0.5, "1/2", "simple"),
        (1.5, "3/2", "simple"),
        (64.0, "m (m = 64 examples)", "examples"),
        (1 / 64, "1/m (m = 64 examples)", "examples"),
        (-1 / 64, "-1/m (m = 64 examples)", "examples"),
        (64**-2, "1/m^2 (m = 64 examples)", "examples"),
        (63 / 64, "(m-1)/m (m = 64 examples)", "examples"),
        (0.7, "lambd (lambd = 0.7)", "option"),
        (1 / 0.7, "1/lambd (lambd = 0.7)", "option"),
        (0.7**2, "lambd^2 (lambd = 0.7)", "option"),
        (0.7 / 64, "lambd/m (lambd = 0.7, m = 64)", "option"),
        (784.0, "784", "whole"),
        (-1 / 784, "-1/784", "whole"),
    ],
)
def test_numbers_that_stand_for_something(value: float, text: str, role: str) -> None:
    found = nice(value * (1 + 1e-9), 1e-9 * abs(value), 64, {"lambd": 0.7, "shuffle": True, "name": "x"})
    assert found is not None
    assert (found.text, found.role) == (text, role)
    assert found.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("value", [1.37, 2.0001, 0.6999, 100_001.5, float("nan"), 0.0])
def test_numbers_that_stand_for_nothing(value: float) -> None:
    assert nice(value, 1e-9, 64, {"lambd": 0.7}) is None


def test_a_number_that_is_hardly_known_stands_for_nothing() -> None:
    assert nice(2.0, 0.01) is None
    assert nice(2.0, 1e-4) is not None
    assert nice(99_999.0, 1.0) is None


def test_options_out_of_range_are_passed_over() -> None:
    for value in (1e-200, 10**400, float("inf"), float("nan"), 0.0):
        assert nice(1.37, 1e-9, 64, {"eps": value}) is None
        assert nice(2.0, 1e-9, 64, {"eps": value}) is not None


def test_clusters_by_agreement() -> None:
    fits = [
        Fitted(3, 2.0, 1e-9, False), Fitted(0, 2.0 + 2e-9, 1e-9, True), Fitted(1, 5.0, 1e-9, True),
        Fitted(2, 7.0, 1e-9, False),
    ]  # fmt: skip
    first, *rest = clusters(fits)
    assert (first.tensors, first.solid) == ((0, 3), True)
    assert {(c.tensors, c.solid) for c in rest} == {((1,), False), ((2,), True)}
    assert clusters([]) == []
    assert [c.tensors for c in clusters([Fitted(0, 2.0, 1e-9, False), Fitted(1, 2.001, 1e-9, False)])] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("W2", "2"), ("b12", "12"), ("layers.1.weight", "layers.1"), ("layers.1.bias", "layers.1"), ("W_2", "2"),
        ("gamma1", "1"), ("net.fc2.weight", "net.fc2"), ("Wx", "x"), ("by", "y"), ("scale", "scale"), ("K2", "2"),
    ],
)  # fmt: skip
def test_the_layer_in_a_name(name: str, key: str) -> None:
    assert key_of(name) == key


def test_the_simplest_explanation_goes_first_and_names_its_rivals() -> None:
    a = Explanation("factor", (0,), "", "", rank=1.0)
    b = Explanation("regulariser", (0, 1), "", "", rank=1.5, also=("stale",))
    c = Explanation("permuted", (1,), "", "", rank=2.0)
    chosen = choose([c, b, a], {0, 1})
    assert [(e.cause, e.also) for e in chosen] == [("factor", ("regulariser",)), ("permuted", ("regulariser",))]
    assert [e.cause for e in choose([b], {0})] == [], "never a tensor that is not asked about"
    assert choose([Explanation("factor", (), "", "")], {0}) == []
    wide = Explanation("sign", (0, 1), "", "", rank=1.0)
    assert [e.cause for e in choose([a, wide], {0, 1})] == ["sign"], "of two as simple the one that explains more"


@pytest.mark.parametrize(
    ("tensor", "change"),
    [("W3", lambda g: 1.37 * g), ("W1", np.negative), ("W4", lambda g: 0.3 * g), ("b3", lambda g: 3 * g)],
)
def test_a_proven_repair_measures_every_element(tensor: str, change: Any) -> None:
    model = net("course")
    report = check(model, {tensor: change})
    right, worst = model.right_leaf(tensor), report.worst(1000)
    claimed = change(right)
    assert worst.complete
    assert len(worst) == right.size
    sizes = [abs(c.mismatch) for c in worst]
    assert sizes == sorted(sizes, reverse=True)
    for c in worst:
        assert c.name == tensor
        assert c.claimed == pytest.approx(claimed[c.index], rel=1e-12)
        assert 0 < c.error_bar < 1e-5
        assert abs(c.reference - right[c.index]) <= c.error_bar
        assert gp.locate(model.params, c.position) == (tensor, c.index)
    truth = float(np.linalg.norm(claimed - right) / (np.linalg.norm(claimed) + np.linalg.norm(right)))
    difference = report.tensors[tensor].difference
    assert difference.low <= truth <= difference.high
    if tensor != "b3":
        bare = check(model, {tensor: change}, method="probe").tensors[tensor].difference
        assert difference.high - difference.low < 1e-5 < bare.high - bare.low


def test_what_an_explanation_costs_beyond_the_verdict() -> None:
    """Evaluations of the course network: half of the time at most 60 for one wrong tensor, and never over 90."""
    model = net("course")
    changes: dict[str, Any] = {
        "factor": lambda g: 2 * g,
        "sign": np.negative,
        "tenth": lambda g: 0.1 * g,
        "norm": lambda g: g / np.sqrt(np.sum(g**2)),
    }
    spent = []
    for tensor in ("W1", "W3", "W4", "b1", "b3", "b4"):
        for change in changes.values():
            whole = check(model, {tensor: change}).evaluations
            spent.append(whole - check(model, {tensor: change}, method="probe").evaluations)
    spent.append(check(model, {"W3": lambda g: g.T.copy()}).evaluations - check(
        model, {"W3": lambda g: g.T.copy()}, method="probe").evaluations)  # fmt: skip
    assert np.median(spent) <= 60, spent
    assert max(spent) <= 90, spent
    changed = {name: lambda g: 3.0 * g for name in model.params}
    whole = check(model, changed).evaluations - check(model, changed, method="probe").evaluations
    assert whole <= 60 * len(model.params)


@pytest.mark.parametrize("seed", [0, 10**9, 2**62])
def test_any_seed_will_do(seed: int) -> None:
    rng = np.random.default_rng(0)
    params = {"W": rng.standard_normal((9, 7))}
    wrong = 3.0 * params["W"] ** 2
    wrong[4] *= rng.standard_normal(7)
    report = gp.check(lambda p: float(np.sum(p["W"] ** 3)), params, {"W": wrong}, seed=seed)
    assert [str(finding.where) for finding in report.findings] == ["row 4 of W"]
