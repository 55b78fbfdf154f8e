"""Masks and the factor 1/keep_prob."""

import itertools
from typing import Any

import numpy as np
import pytest
from tiny import check, only, tiny

import gradproof as gp
from planted.base import Array, Tree
from planted.course import Fault, Hook, on

HIDDEN = (1, 2)


def everywhere(hook: Any) -> Fault:
    return {("mask", k): on(k, hook) for k in HIDDEN}


def test_one_over_keep_prob_missing_everywhere() -> None:
    model = tiny(keep_prob=0.7)
    finding = only(check(model, fault=everywhere(lambda dA, run, k: dA * run.D[k])))
    assert (finding.cause, finding.detail, finding.also) == ("dropout", "1/keep_prob missing", ())
    assert "0.7 times in W2 and b2" in finding.message
    assert "0.49 times in W1 and b1" in finding.message
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_one_over_keep_prob_twice() -> None:
    model = tiny(keep_prob=0.7)
    fault = everywhere(lambda dA, run, k: dA * run.D[k] / run.keep_prob**2)
    assert only(check(model, fault=fault)).detail == "1/keep_prob twice"


def test_the_ladder_without_options() -> None:
    model = tiny(keep_prob=0.7)
    fault = everywhere(lambda dA, run, k: dA * run.D[k])

    def cost(params: Tree) -> float:
        return model.cost(params, *model.data, **model.options)

    def grads(params: Tree) -> Tree:
        return model.grads(params, *model.data, fault=fault, **model.options)

    closed = type(model)("closed", cost, grads, model.params, (), 0)
    finding = only(check(closed, grads, data=False, options={}))
    assert (finding.cause, finding.also) == ("dropout", ("factor",))


def test_one_layer_alone_may_be_any_factor() -> None:
    model = tiny(keep_prob=0.7)
    finding = only(check(model, fault={("mask", 2): lambda dA, run: dA * run.D[2]}))
    assert (finding.cause, finding.also) == ("dropout", ("factor",))
    plain = only(check(tiny(), fault={("delta", 2): lambda delta, run: 0.7 * delta}, options={}))
    assert plain.cause == "factor"


@pytest.mark.parametrize(
    "hook",
    [
        lambda dA, run, k: dA / run.keep_prob,
        lambda dA, run, k: dA,
        lambda dA, run, k: dA * np.roll(run.D[k], 1, axis=1) / run.keep_prob,
    ],
    ids=["missing", "off", "rolled"],
)
def test_another_mask(hook: Hook) -> None:
    finding = only(check(tiny(keep_prob=0.7), fault=everywhere(hook)))
    assert finding.cause == "dropout"
    assert finding.detail.startswith("mask")
    assert "dropout" in finding.message or "keep_prob" in finding.message


def test_another_mask_in_a_network_that_cannot_be_worked_out_again() -> None:
    """With the data out of sight the option alone decides: right at keep_prob = 1, wrong below."""
    hook = everywhere(lambda dA, run, k: dA * np.roll(run.D[k], 1, axis=1) / run.keep_prob)
    model = tiny(keep_prob=0.7)

    def cost(params: Tree, keep_prob: float) -> float:
        return model.cost(params, *model.data, **{**model.options, "keep_prob": keep_prob})

    def grads(params: Tree, keep_prob: float) -> Tree:
        return model.grads(params, *model.data, fault=hook, **{**model.options, "keep_prob": keep_prob})

    finding = only(gp.check(cost, model.params, grads, options={"keep_prob": 0.7}))
    assert (finding.cause, finding.detail) == ("dropout", "mask")
    assert "right without dropout (keep_prob = 1)" in finding.message


def test_a_mask_drawn_anew_at_each_call() -> None:
    model, source = tiny(keep_prob=0.7), np.random.default_rng(4)

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        redrawn = everywhere(lambda dA, run, k: dA * (source.random(dA.shape) < 0.7) / 0.7)
        return model.grads(params, *data, fault=redrawn, **options)

    finding = only(check(model, grads))
    assert (finding.cause, finding.detail) == ("dropout", "redrawn")
    assert finding.severity == "error"


def test_another_fault_beside_dropout_is_not_dropout() -> None:
    report = check(tiny(keep_prob=0.7), fault={("delta", 2): lambda delta, run: delta * run.A[2]})
    assert "dropout" not in {f.cause for f in report.findings}


def test_dropout_is_right() -> None:
    for keep_prob, data in itertools.product((0.7, 1.0), (True, False)):
        report = check(tiny(keep_prob=keep_prob), data=data)
        assert report.passed
        assert report.findings == ()
