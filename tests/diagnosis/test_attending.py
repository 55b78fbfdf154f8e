"""Slips in self-attention that is recognised: one planted at a time, near misses, right gradients."""

from functools import cache

import pytest
from rebuilt import named, nothing

import gradproof as gp
from planted import Planted
from planted.attention import planted

SLIPS = {
    "first query left out": ("region", "the first position left out"),
    "last position left out": ("region", "the last position left out"),
    "last example left out of the first layer": ("region", "the last example left out"),
    "padding counted in the output delta": ("region", "padding counted"),
    "padding ignored when the softmax is recomputed": ("region", "padding not masked"),
    "dWq of X": ("wrong-cache", "the pre-activation of the first layer for the output of the first layer"),
    "dWv of Q": ("wrong-cache", "Q for the output of the first layer"),
    "dWo of V": ("wrong-cache", "V for the mix of the values"),
    "dWl without the skip": ("wrong-cache", "the output of the attention for the sum"),
    "Q for K": ("wrong-cache", "Q for K"),
    "K for Q": ("wrong-cache", "K for Q"),
    "Wo for Wv": ("wrong-cache", "Wo for Wv in the step back"),
    "Wo for its transpose": ("transposed", "Wo in the step back"),
    "Wq for its transpose": ("transposed", "Wq in the step back"),
    "dV with P for its transpose": ("transposed", "the attention weights in the derivative by V"),
    "dK with dS for its transpose": ("transposed", "the scores in the derivative by K"),
    "value missing in dE": ("missing-path", "Wv missing"),
    "query twice in dE": ("accumulated", "Wq twice"),
    "query assigned to dE": ("overwritten", "lost"),
    "softmax derivative by its diagonal": ("other-loss", "its diagonal alone"),
    "softmax derivative without the sum": ("other-loss", "without the sum"),
    "softmax derivative with the plain mean": ("other-loss", "with the plain mean"),
    "softmax derivative summed over the queries": ("transposed", "the softmax's axis"),
    "1/sqrt(d) missing": ("factor", "1/(the scale of the scores)"),
    "scores negative": ("sign", "negative at"),
    "Wl updated before its use": ("early-update", "Wl updated before its use"),
    "absolute error for squared error": ("other-loss", "the absolute error for the squared error"),
    "squared error in the gradient, pseudo-Huber in the cost": ("other-loss", "the squared error for the pseudo-Huber"),
    "scale in the cost only": ("configuration", "for 0.9"),
}


@cache
def faults(size: int = 1) -> dict[str, Planted]:
    found: dict[str, Planted] = {}
    for fault in planted(6, "tanh", size):
        found.setdefault(fault.recipe, fault)
    return found


def checked(fault: Planted) -> gp.Report:
    given = fault.arguments()
    return gp.check(given.pop("cost"), given.pop("params"), given.pop("grads"), **given)


@pytest.mark.parametrize("recipe", SLIPS)
def test_named_with_its_proof(recipe: str) -> None:
    fault = faults(list(SLIPS).index(recipe) % 2)[recipe]
    cause, detail = SLIPS[recipe]
    report = checked(fault)
    errors = [f for f in report.findings if f.severity == "error"]
    wrong = {name for name, tensor in report.tensors.items() if tensor.verdict == "wrong"}
    assert set(fault.tensors) - wrong <= {"bk"}, report  # whose gradient is zero but for rounding
    assert wrong <= set(fault.tensors), report
    if len(errors) > 1:  # a factor on tensors without what comes from elsewhere is found before that
        assert {f.cause for f in errors} == {cause} <= {"factor", "sign"}, report
        assert {name for f in errors for name in f.tensors} == wrong, report
        assert all(f.repaired is not None for f in errors), report
    else:
        named(report, cause, *wrong, detail=detail)


def test_near_misses_and_right_gradients() -> None:
    right = [fault for fault in faults().values() if not fault.cause]
    assert len(right) > 10
    for fault in right:
        nothing(checked(fault))
