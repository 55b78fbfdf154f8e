"""Choices at ties and kinks: a warning for those that no convention allows, and nothing for those that one does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradproof as gp

TIED = {"x": np.array([0.5, 2.0, 2.0, -1.0])}
AT_ZERO = {"w": np.array([0.0, 0.7, -0.4]), "b": np.array([0.3])}


def largest(params: Any) -> float:
    return float(3.0 * np.max(params["x"]))


def rectified(params: Any) -> float:
    return float(np.sum(np.maximum(params["w"], 0.0) ** 1 * [2.0, 1.0, 3.0]) + params["b"][0] ** 2)


def ties(cost: Callable[[Any], float], params: Any, claim: Any) -> list[gp.Finding]:
    report = gp.check(cost, params, claim)
    assert report.verdict != "wrong"
    return [finding for finding in report.findings if finding.cause == "tie"]


def test_all_of_the_gradient_to_each_of_two_tied_elements() -> None:
    found = ties(largest, TIED, {"x": np.array([0.0, 3.0, 3.0, 0.0])})
    assert len(found) == 1
    assert found[0].severity == "warning"
    assert str(found[0].where) == "x[1], x[2]"
    np.testing.assert_array_equal(found[0].where.mask("x"), [False, True, True, False])
    assert "exactly equal" in found[0].message


@pytest.mark.parametrize("shares", [(1.5, 1.5), (3.0, 0.0), (0.0, 3.0), (1.0, 2.0)])
def test_any_way_of_sharing_is_a_convention(shares: tuple[float, float]) -> None:
    assert ties(largest, TIED, {"x": np.array([0.0, *shares, 0.0])}) == []


def test_a_value_outside_of_both_slopes() -> None:
    for value in (-0.5, 2.5):
        found = ties(rectified, AT_ZERO, {"w": np.array([value, 1.0, 0.0]), "b": np.array([0.6])})
        assert [str(finding.where) for finding in found] == ["w[0]"]
        assert found[0].fix.startswith("Choose a value between the slopes")


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0])
def test_any_value_between_the_slopes_is_a_convention(value: float) -> None:
    assert ties(rectified, AT_ZERO, {"w": np.array([value, 1.0, 0.0]), "b": np.array([0.6])}) == []


def test_a_claim_given_as_a_function_is_looked_at_at_the_point_as_well() -> None:
    def wrong(params: Any) -> Any:
        return {"x": 3.0 * (params["x"] == np.max(params["x"]))}

    assert [str(finding.where) for finding in ties(largest, TIED, wrong)] == ["x[1], x[2]"]


def test_zeros_on_a_smooth_cost_are_no_ties() -> None:
    params = {"w": np.zeros(4)}
    report = gp.check(lambda p: float(np.sum(np.sin(p["w"]))), params, {"w": np.ones(4)})
    assert report.passed
    assert report.findings == ()
