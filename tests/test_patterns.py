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


DOTTED = {"layers.0.weight": np.ones(3), "layers.1.weight": np.ones(2), "rows": [np.ones(2), np.ones(1)]}


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("layers.0.weight", {"['layers.0.weight']"}),
        ("['layers.0.weight']", {"['layers.0.weight']"}),
        ("layers.*", {"['layers.0.weight']", "['layers.1.weight']"}),
        ("layers.[1].weight", {"['layers.1.weight']"}),
        ("rows.?", {"rows.0", "rows.1"}),
    ],
)
def test_names_with_brackets_are_matched_as_they_are_shown_and_as_they_are_keyed(pattern: str, chosen: Any) -> None:
    def squares(p: Any) -> float:
        arrays = [p["layers.0.weight"], p["layers.1.weight"], *p["rows"]]
        return float(sum(np.sum(a**2) for a in arrays))

    def doubled(p: Any) -> Any:
        return {k: [2 * a for a in v] if isinstance(v, list) else 2 * v for k, v in p.items()}

    assert set(gp.check(squares, DOTTED, doubled, only=pattern).tensors) == chosen
    loose = gp.check(squares, DOTTED, doubled, tolerance={pattern: 1e-4})
    assert {n for n, t in loose.tensors.items() if t.tolerance == 1e-4} == chosen


def test_inputs_of_functions_are_chosen_by_the_names_they_are_shown_under() -> None:
    one, two = np.arange(1.0, 4.0), np.arange(2.0, 5.0)

    def checked(**given: Any) -> gp.Report:
        return gp.check_function(lambda a, b: a * b, one, two, vjp=lambda x, u: (u * x[1], u * x[0]), **given)

    assert list(checked(only="inputs[0]").tensors) == ["inputs[0]"]
    assert list(checked(exclude="inputs[0]").tensors) == ["inputs[1]"]
    assert checked(tolerance={"inputs[1]": 1e-4}).tensors["inputs[1]"].tolerance == 1e-4
    assert list(checked(only="inputs[*]").tensors) == ["inputs[0]", "inputs[1]"]
