"""Name patterns that match nothing are slips of the pen, and are refused before anything is evaluated."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

PARAMS = {"W1": np.ones((2, 2)), "b1": np.ones(2), "count": 3}


def cost(p: Any) -> float:
    return float(np.sum(p["W1"] ** 2) + np.sum(p["b1"] ** 2))


def grads(p: Any) -> Any:
    return {"W1": 2 * p["W1"], "b1": 2 * p["b1"]}


@pytest.mark.parametrize(
    ("argument", "given", "near"),
    [
        ("only", "w1", "W1"),
        ("only", ["W1", "bias1"], "b1"),
        ("exclude", "W2", "W1"),
        ("exclude", ["b1", "bias*"], "b1"),
        ("tolerance", {"W1": 1e-6, "b2": 1e-6}, "b1"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_by_name(argument: str, given: Any, near: str) -> None:
    evaluated = []

    def counted(p: Any) -> float:
        evaluated.append(1)
        return cost(p)

    with pytest.raises(gp.InputError) as caught:
        gp.check(counted, PARAMS, grads, **{argument: given})
    message = str(caught.value)
    assert f"`{argument}`" in message
    assert f"Pass '{near}'" in message
    assert not evaluated


@pytest.mark.parametrize(
    "given", [{"only": "W*"}, {"exclude": ["b1"]}, {"exclude": "count"}, {"tolerance": {"*": 1e-6}}, {"only": None}]
)
def test_patterns_that_match_are_taken(given: Any) -> None:
    report = gp.check(cost, PARAMS, grads, **given)
    assert report.verdict == "correct", report
    assert ("b1" in report.tensors) == (given.get("only") != "W*" and given.get("exclude") != ["b1"])
