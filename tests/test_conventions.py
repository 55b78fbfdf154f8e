"""Both conventions for the gradient in complex parameters: dcost/dRe + i dcost/dIm, and its conjugate."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

rng = np.random.default_rng(8)
PARAMS = {"z": rng.standard_normal(4) + 1j * rng.standard_normal(4), "w": rng.standard_normal(3)}


def cost(p: Any) -> float:
    return float(np.sum(np.abs(p["z"]) ** 4) + np.sum(np.sin(p["w"])))


def usual(p: Any) -> Any:
    return {"z": 4 * np.abs(p["z"]) ** 2 * p["z"], "w": np.cos(p["w"])}


def other(p: Any) -> Any:
    return {"z": np.conj(usual(p)["z"]), "w": np.cos(p["w"])}


@pytest.mark.parametrize("method", ["auto", "exhaustive", "probe"])
def test_the_convention_that_is_named_is_right_and_the_other_is_wrong(method: str) -> None:
    for grads, conjugate in ((usual, False), (other, True)):
        for claim in (grads, grads(PARAMS)):
            assert gp.check(cost, PARAMS, claim, conjugate=conjugate, method=method).verdict == "correct"
            report = gp.check(cost, PARAMS, claim, conjugate=not conjugate, method=method)
            assert {n: str(t.verdict) for n, t in report.tensors.items()} == {"z": "wrong", "w": "correct"}
    both = gp.check(lambda p: (cost(p), other(p)), PARAMS, True, conjugate=True, method=method)
    assert both.verdict == "correct"


def test_a_slip_is_told_in_the_other_convention_as_well() -> None:
    report = gp.check(cost, PARAMS, lambda p: {**other(p), "z": 2 * other(p)["z"]}, conjugate=True)
    assert [(f.cause, f.detail) for f in report.findings] == [("factor", "factor 2")]


def test_frameworks_have_conventions_of_their_own() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(gp.InputError, match="`conjugate` should be left out"):
        gp.check(lambda z: (z.abs() ** 4).sum(), torch.from_numpy(PARAMS["z"]), conjugate=True)
