"""Terms of the cost that are missing, doubled or scaled in the gradient."""

from typing import Any

import numpy as np
import pytest
from tiny import only

import gradproof as gp
from planted.base import Array, Tree

RNG = np.random.default_rng(2)
X, T = RNG.normal(size=(14, 5)), RNG.normal(size=(14, 4))
PARAMS = {"W": RNG.normal(size=(5, 4)), "b": RNG.normal(size=4)}


def data(params: Tree) -> float:
    return float(np.sum(np.tanh(X @ params["W"] + params["b"]) * T) / 14)


def l2(params: Tree) -> float:
    return float(0.3 * np.sum(params["W"] ** 2) / 2)


def smooth(params: Tree) -> float:
    return float(0.2 * np.sum(np.cos(params["W"][1:] - params["W"][:-1])))


TERMS = {"data": data, "l2": l2, "smooth": smooth}


def cost(params: Tree) -> float:
    return data(params) + l2(params) + smooth(params)


def parts(params: Tree) -> dict[str, dict[str, Array]]:
    slope = (1 - np.tanh(X @ params["W"] + params["b"]) ** 2) * T / 14
    bend = -0.2 * np.sin(params["W"][1:] - params["W"][:-1])
    nothing = np.zeros(4)
    along = np.zeros((5, 4))
    along[1:] += bend
    along[:-1] -= bend
    return {
        "data": {"W": X.T @ slope, "b": slope.sum(axis=0)},
        "l2": {"W": 0.3 * params["W"], "b": nothing},
        "smooth": {"W": along, "b": nothing},
    }


def weighted(**times: float) -> Any:
    def grads(params: Tree) -> Tree:
        found = parts(params)
        return {name: sum(times.get(t, 1.0) * found[t][name] for t in TERMS) for name in params}

    return grads


def check(**times: float) -> gp.Report:
    return gp.check(cost, PARAMS, weighted(**times), terms=TERMS)


@pytest.mark.parametrize(
    ("times", "cause", "detail"),
    [
        ({"smooth": 0.0}, "missing-path", "smooth missing"),
        ({"smooth": 2.0}, "factor", "smooth counted twice"),
        ({"smooth": -1.0}, "sign", "smooth with the wrong sign"),
        ({"smooth": 3.0}, "factor", "smooth times 3"),
        ({"l2": 0.0}, "regulariser", "l2 missing"),
        ({"l2": 2.0}, "regulariser", "l2 counted twice"),
    ],
)
def test_one_term(times: dict[str, float], cause: str, detail: str) -> None:
    report = check(**times)
    finding = only(report)
    assert (report.verdict, finding.cause, finding.detail) == ("wrong", cause, detail)
    assert finding.tensors == ("W",)
    assert finding.factor is not None
    assert finding.factor[1] < 1e-6


def test_the_l2_term_is_proven() -> None:
    finding = only(check(l2=0.0))
    assert finding.repaired is not None
    assert finding.repaired < 1e-6
    assert finding.message == "The gradient of W lacks the term l2; other terms are right."


def test_the_data_term_in_all_tensors() -> None:
    report = check(data=2.0)
    assert {f.cause for f in report.findings} == {"factor"}
    assert {n for f in report.findings for n in f.tensors} == {"W", "b"}


def test_two_wrong_terms_are_not_one() -> None:
    report = check(smooth=0.0, data=1.7)
    assert not any("smooth" in f.detail for f in report.findings)


def test_a_mistake_in_no_term() -> None:
    def grads(params: Tree) -> Tree:
        right = weighted()(params)
        return {**right, "W": right["W"] ** 2}

    finding = only(gp.check(cost, PARAMS, grads, terms=TERMS))
    assert finding.cause == "unexplained"


def test_right() -> None:
    report = check()
    assert report.passed
    assert report.findings == ()


def test_a_term_that_raises_is_left_out() -> None:
    def broken(params: Tree) -> float:
        raise KeyError("c")

    report = gp.check(cost, PARAMS, weighted(smooth=0.0), terms={**TERMS, "broken": broken})
    assert only(report).detail == "smooth missing"
    assert any("term broken was left out: KeyError" in note for note in report.notes)


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ([data], "`terms` should be a mapping"),
        ({}, "`terms` should be a mapping"),
        ({3: data}, "`terms` should be a mapping"),
        ({"l2": 0.3}, r"terms\['l2'\] should be a function"),
    ],
)
def test_terms_of_the_wrong_form(terms: Any, what: str) -> None:
    with pytest.raises(gp.InputError, match=what):
        gp.check(cost, PARAMS, weighted(), terms=terms)


@pytest.mark.parametrize(
    ("options", "vary", "what"),
    [
        ([("lambd", 1.0)], None, "`options` should be a mapping"),
        ({1: 2.0}, None, "`options` should be a mapping"),
        ({"lambd": 1.0}, ["keep_prob"], "`vary` entry 'keep_prob' should be the name of a number"),
        ({"lambd": "high"}, "lambd", "`vary` entry 'lambd' should be the name of a number"),
        ({"lambd": True}, "lambd", "`vary` entry 'lambd' should be the name of a number"),
    ],
)
def test_options_of_the_wrong_form(options: Any, vary: Any, what: str) -> None:
    with pytest.raises(gp.InputError, match=what):
        gp.check(cost, PARAMS, weighted(), options=options, vary=vary)
