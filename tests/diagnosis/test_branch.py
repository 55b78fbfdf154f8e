"""Formulas that are wrong on one side of a threshold."""

import numpy as np
from tiny import one, only

from planted.base import Tree

PARAMS = {"w": np.linspace(0.6, 3.0, 12)}


def huber(params: Tree) -> float:
    w = np.abs(params["w"])
    return float(np.sum(np.where(w < 2.0, w**2 / 2, 2.0 * w - 2.0)))


def right(params: Tree) -> Tree:
    w = params["w"]
    return {"w": np.where(np.abs(w) < 2.0, w, 2.0 * np.sign(w))}


def test_the_branch_of_large_values() -> None:
    def grads(params: Tree) -> Tree:
        w = params["w"]
        return {"w": np.where(np.abs(w) < 2.0, w, np.abs(w) ** 1.5 * np.cos(w))}

    finding = only(one(huber, PARAMS, grads))
    assert (finding.cause, finding.detail) == ("region", "branch")
    assert "overflow" in finding.also


def test_the_branch_of_small_values() -> None:
    def grads(params: Tree) -> Tree:
        w = params["w"]
        return {"w": np.where(np.abs(w) < 2.0, w * np.cos(w), 2.0 * np.sign(w))}

    finding = only(one(huber, PARAMS, grads))
    assert (finding.cause, finding.detail) == ("region", "branch")
    assert "stabiliser" in finding.also


def test_wrong_on_both_sides_is_no_branch() -> None:
    finding = only(one(huber, PARAMS, lambda p: {"w": right(p)["w"] * np.cos(p["w"])}))
    assert finding.detail != "branch"


def test_right() -> None:
    report = one(huber, PARAMS, right)
    assert report.passed
    assert report.findings == ()
