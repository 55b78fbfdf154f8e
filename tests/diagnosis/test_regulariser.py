"""``regulariser`` where the option that scales it is not passed: what is missing, or too much, can still be said."""

import numpy as np
import pytest
from told import WEIGHT_PLACES, Change, causes, check, fitted, net, one, silent, theta, told

import gradproof as gp
from planted.base import Model

STRENGTH = {"course": 0.8 / 9, "softmax": 0.05, "normed": 0.6 / 9}


def without(model: Model, tensor: str, strength: float) -> Change:
    return lambda g: g - strength * theta(model, tensor)


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
@pytest.mark.parametrize(("times", "detail"), [(1.0, "missing"), (-1.0, "too strong")])
def test_one_tensor(name: str, tensor: str, times: float, detail: str) -> None:
    model = net(name)
    wanted = times * STRENGTH[name]
    finding = told(model, "regulariser", {tensor: without(model, tensor, wanted)}, detail=detail)
    fitted(finding, wanted, 1e-6)
    assert f"{abs(wanted):.6f}" in finding.message
    assert "L2" in finding.message
    assert ("lacks" in finding.message) == (times > 0)
    assert finding.fix.startswith("Add " if times > 0 else "Take ")
    assert finding.where.text == f"all of {tensor}"
    assert finding.also == ()


def test_all_weights_at_once() -> None:
    model = net("course")
    changes = {f"W{k}": without(model, f"W{k}", STRENGTH["course"]) for k in (1, 2, 3, 4)}
    finding = told(model, "regulariser", changes)
    assert finding.tensors == ("W1", "W2", "W3", "W4")


def test_on_the_biases_and_ones_on_the_biases() -> None:
    model = net("course")
    finding = told(model, "regulariser", {f"b{k}": without(model, f"b{k}", -0.1) for k in (1, 2, 3, 4)})
    assert finding.detail == "on the biases"
    ones = told(model, "regulariser", {f"b{k}": lambda g: g + 0.05 for k in (1, 2, 3, 4)})
    assert "ones" in ones.message
    fitted(ones, -0.05, 1e-6)


def test_of_another_norm() -> None:
    model = net("course")
    finding = told(model, "regulariser", {"W3": lambda g: g + 0.1 * np.sign(theta(model, "W3"))})
    assert "L1" in finding.message
    swap = told(model, "regulariser", {"W3": lambda g: g + 0.3 * (np.sign(theta(model, "W3")) - theta(model, "W3"))})
    assert swap.detail == "L1 for L2"


def test_a_factor_elsewhere_at_the_same_time() -> None:
    model = net("course")
    report = check(model, {"W2": lambda g: 2 * g, "W1": without(model, "W1", STRENGTH["course"])})
    assert {f.cause: f.tensors for f in report.findings} == {"factor": ("W2",), "regulariser": ("W1",)}
    assert all(f.repaired is not None and f.repaired < 1e-6 for f in report.findings)


@pytest.mark.parametrize(
    "term",
    [
        lambda W: W**2,
        lambda W: W**3,
        lambda W: np.tanh(W),
        lambda W: W + 0.01 * np.random.default_rng(0).normal(size=W.shape),
        lambda W: np.triu(W),
    ],
)
def test_other_terms_in_the_parameters(term: Change) -> None:
    model = net("course")
    report = check(model, {"W3": lambda g: g - 0.3 * term(theta(model, "W3"))})
    assert report.verdict == "wrong"
    assert "regulariser" not in causes(report)


def test_a_strength_that_nobody_sees() -> None:
    model = net("course")
    silent(check(model, {f"W{k}": without(model, f"W{k}", 1e-10) for k in (1, 2, 3, 4)}, data=True))
    silent(check(model, data=True))
    silent(check(net("softmax")))


def test_ones_and_parameters_of_ones_cannot_be_told_apart() -> None:
    """All parameters 1: the L2, the L1 and the constant term are the same, and all are said."""
    weigh = np.random.default_rng(0).normal(size=(4, 5))
    report = gp.check(lambda p: float(np.sum(weigh * np.sin(p["W"])) + 0.05 * np.sum(p["W"] ** 2)),
                      {"W": np.ones((4, 5))}, lambda p: {"W": weigh * np.cos(p["W"])})  # fmt: skip
    finding = one(report, "regulariser")
    fitted(finding, 0.1)
