"""Tensors that are held against tolerances of their own: none is judged by its neighbour's."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

rng = np.random.default_rng(5)
#: In the first tensor one gradient is a thousandth of the others, so that the norm does not show what it is off by.
SMALL = np.r_[1e-3, np.ones(11)]
PARAMS = {"a": rng.uniform(0.5, 1.0, 12), "b": rng.uniform(0.5, 1.0, 12)}


def cost(p: Any) -> float:
    return float(np.sum(SMALL * np.sin(p["a"])) + np.sum(SMALL * np.sin(p["b"])))


def grads(p: Any, off: dict[str, float]) -> Any:
    found = {name: SMALL * np.cos(p[name]) for name in p}
    for name, factor in off.items():
        found[name][0] *= factor
    return found


@pytest.mark.parametrize("loose", ["a", "b"])
@pytest.mark.parametrize("seed", range(3))
def test_an_element_within_its_own_tensors_tolerance_is_not_called_wrong(loose: str, seed: int) -> None:
    report = gp.check(cost, PARAMS, lambda p: grads(p, {loose: 1.2}), tolerance={loose: 0.5}, seed=seed)
    assert report.verdict == "correct", report


@pytest.mark.parametrize("loose", ["a", "b"])
@pytest.mark.parametrize("seed", range(3))
def test_an_element_beyond_its_own_tensors_tolerance_is_found_beside_a_loose_one(loose: str, seed: int) -> None:
    strict = "b" if loose == "a" else "a"
    off = 1.0 + 1e-3  # of an element that is a thousandth: about 3e-7 of the tensor
    report = gp.check(cost, PARAMS, lambda p: grads(p, {strict: off}), tolerance={loose: 0.5}, seed=seed)
    assert report.tensors[strict].verdict == "wrong", report
    assert report.tensors[loose].verdict == "correct"
