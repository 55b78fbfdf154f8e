"""NaN where a formula divides zero by zero."""

from typing import Any

import numpy as np
from tiny import check, one, only, tiny

import gradproof as gp
from planted.base import Array, Tree


def smooth_norm(params: Tree) -> float:
    return float(np.sum(np.sinc(params["w"])))


def divided(params: Tree) -> Tree:
    w = params["w"]
    with np.errstate(all="ignore"):
        return {"w": np.cos(np.pi * w) / w - np.sin(np.pi * w) / (np.pi * w**2)}


def test_a_parameter_that_is_zero() -> None:
    finding = only(one(smooth_norm, {"w": np.array([0.4, 0.0, -1.2])}, divided))
    assert (finding.cause, finding.detail, finding.severity) == ("singular", "NaN", "error")
    assert finding.where.mask("w").tolist() == [False, True, False]
    assert "It is finite a little beside these parameters." in finding.message


def test_no_parameter_is_zero() -> None:
    assert one(smooth_norm, {"w": np.array([0.4, 0.7, -1.2])}, divided).findings == ()


def test_an_input_that_is_zero() -> None:
    model = tiny()
    X, Y = model.data
    zeros = X.copy()
    zeros[1, 2] = 0.0

    def by_zero(A: Array, run: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(A * A / A)

    report = check(type(model)(model.name, model.cost, model.grads, model.params, (zeros, Y), 1, model.options),
                   fault={("input", 1): by_zero})  # fmt: skip
    finding = only(report)
    assert (finding.cause, finding.tensors) == ("singular", ("W1",))
    assert "zeros in the data" in finding.message


def test_a_claim_given_as_arrays_cannot_be_looked_into() -> None:
    finding = only(gp.check(smooth_norm, {"w": np.ones(3)}, {"w": np.full(3, np.nan)}))
    assert (finding.cause, finding.detail) == ("contract", "NaN")
