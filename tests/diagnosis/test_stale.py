"""Gradients of earlier parameters, activations or options."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from tiny import check, one, only, tiny

import gradproof as gp
from planted.base import Array, Tree
from planted.course import Run


def test_a_gradient_of_earlier_parameters() -> None:
    model = tiny()
    earlier = {name: 0.8 * value + 0.02 for name, value in model.params.items()}
    known = model.grads(earlier, *model.data, **model.options)
    finding = only(check(model, lambda params, *data, **options: dict(known)))
    assert (finding.cause, finding.detail) == ("stale", "earlier parameters")
    assert set(finding.tensors) == set(model.params)


def test_activations_of_earlier_parameters() -> None:
    model = tiny()
    network: Any = model.grads.__self__  # type: ignore[attr-defined]
    earlier = {name: 0.8 * value + 0.02 for name, value in model.params.items()}
    kept: Run = network.forward(earlier, *model.data, **model.options)

    def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
        return network.backward(replace(copy.copy(kept), params=params, lambd=options["lambd"]))

    finding = only(check(model, grads, data=False))
    assert (finding.cause, finding.detail) == ("stale", "activations of an earlier call")
    closed = gp.check(
        lambda params: model.cost(params, *model.data, **model.options),
        model.params,
        lambda params: grads(params, *model.data, **model.options),
    )
    assert only(closed).cause == "stale"


def test_the_strength_of_an_earlier_call() -> None:
    model = tiny()

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        return model.grads(params, *data, **{**options, "lambd": 0.3})

    finding = only(check(model, grads))
    assert (finding.cause, finding.detail, finding.also) == ("regulariser", "does not react to lambd", ("stale",))


def test_a_wrong_formula_that_follows_the_parameters_is_not_stale() -> None:
    model = tiny()
    report = check(model, fault={("delta", 3): lambda delta, run: delta * run.A[3]})
    assert "stale" not in {f.cause for f in report.findings}


def test_constants_in_a_linear_cost() -> None:
    a = np.linspace(1.0, 2.0, 6)
    params = {"w": np.linspace(-1.0, 1.0, 6)}
    assert one(lambda p: float(a @ p["w"]), params, lambda p: {"w": a}).findings == ()
    wrong = one(lambda p: float(a @ p["w"]), params, lambda p: {"w": a**2 + np.arange(6)})
    assert "stale" not in {f.cause for f in wrong.findings}
