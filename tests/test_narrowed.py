"""A wrong tensor of which every element was measured has a difference as narrow as these measurements."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

rng = np.random.default_rng(21)
PARAMS = {"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3), "z": rng.standard_normal(4) + 0.5j}


def cost(p: Any) -> float:
    bent = np.sum(np.tanh(p["W"] + p["b"]) ** 2)
    return float(bent + np.sum(np.abs(p["z"]) ** 4))


def right(p: Any) -> Any:
    a = np.tanh(p["W"] + p["b"])
    d = 2 * a * (1 - a**2)
    return {"W": d, "b": d.sum(0), "z": 4 * np.abs(p["z"]) ** 2 * p["z"]}


@pytest.mark.parametrize("name", ["W", "b", "z"])
@pytest.mark.parametrize("seed", range(3))
def test_the_difference_is_that_of_the_elements(name: str, seed: int) -> None:
    slips = np.random.default_rng(seed).uniform(0.9, 1.2, PARAMS[name].shape)
    claim = {**right(PARAMS), name: slips * right(PARAMS)[name]}
    report = gp.check(cost, PARAMS, claim, seed=seed)
    assert report.verdict == "wrong"
    true = right(PARAMS)[name]
    number = np.linalg.norm(claim[name] - true) / (np.linalg.norm(claim[name]) + np.linalg.norm(true))
    found = report.tensors[name].difference
    assert found.low <= number <= found.high
    assert found.high - found.low < 1e-3 * number
    both = [np.concatenate([np.ravel(g[n]) for n in PARAMS]) for g in (claim, right(PARAMS))]
    whole = np.linalg.norm(both[0] - both[1]) / (np.linalg.norm(both[0]) + np.linalg.norm(both[1]))
    assert report.difference.low <= whole <= report.difference.high
