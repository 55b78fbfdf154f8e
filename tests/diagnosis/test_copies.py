"""``swapped`` where one gradient was returned twice, and ``overwritten`` in vectors that are indexed."""

from typing import Any

import numpy as np
from told import check, net, one, silent

import gradproof as gp


def test_another_gradient_in_its_place_too() -> None:
    model = net("course")
    right = model.grads(model.params, *model.data, **model.options)
    for data in (False, True):
        finding = one(check(model, {"W2": lambda g: right["W3"].copy()}, data=data), "swapped")
        assert finding.tensors == ("W2",)
        assert finding.detail == "copy of W3's gradient"
        assert "overwritten" in finding.also
        assert "W3" in finding.message
        assert (finding.repaired is not None) == data


def test_near_misses_and_right() -> None:
    model = net("course")
    right = model.grads(model.params, *model.data, **model.options)
    report = check(model, {"W2": lambda g: right["W3"] * (1 + 1e-6 * np.arange(36.0).reshape(6, 6))})
    assert "swapped" not in {f.cause for f in report.findings}, report
    # Two that are wrong alike: neither is known to be the copy.
    both = right["W2"] + right["W3"]
    report = check(model, {"W2": lambda g: both.copy(), "W3": lambda g: both.copy()})
    assert "swapped" not in {f.cause for f in report.findings}, report
    silent(check(model))


def rated(fault: str) -> gp.Report:
    """Ratings as sums of two biases that are looked up, with a mistake in the gradient of the second."""
    rng = np.random.default_rng(4)
    params = {"u": rng.normal(size=7), "v": rng.normal(size=7), "mu": np.array([0.3])}
    users, items = rng.integers(0, 6, 20), rng.integers(0, 6, 20)
    ratings = rng.normal(size=20)

    def cost(p: Any, users: Any, items: Any, ratings: Any) -> float:
        return float(np.mean(np.cosh(p["u"][users] + p["v"][items] + p["mu"] - ratings)))

    def grads(p: Any, users: Any, items: Any, ratings: Any) -> Any:
        d = np.sinh(p["u"][users] + p["v"][items] + p["mu"] - ratings) / len(ratings)
        du, dv = np.zeros(7), np.zeros(7)
        np.add.at(du, users, d)
        if fault == "assigned":
            dv[items] = d
        else:
            np.add.at(dv, users if fault == "by user" else items, d)
        return {"u": du, "v": dv, "mu": np.array([d.sum()])}

    return gp.check(cost, params, grads, data=(users, items, ratings), examples_axis=0)


def test_a_vector_that_is_indexed() -> None:
    assert one(rated("assigned"), "overwritten").tensors == ("v",)


def test_the_index_of_another_tensor_is_no_overwriting() -> None:
    report = rated("by user")
    assert report.verdict == "wrong"
    assert "overwritten" not in {f.cause for f in report.findings}, report
    silent(rated(""))
