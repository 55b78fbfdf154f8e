"""Weights that are updated before the backward pass is through."""

from typing import Any

from tiny import check, only, tiny

from planted.base import Array, Tree
from planted.course import on


def test_the_gradient_follows_the_learning_rate() -> None:
    model = tiny()
    right = model.grads

    def cost(params: Tree, *data: Array, learning_rate: float, **options: Any) -> float:
        return model.cost(params, *data, **options)

    def grads(params: Tree, *data: Array, learning_rate: float, **options: Any) -> Tree:
        early = on(2, lambda W, run, k: W - learning_rate * (run.data_part[k] + run.lambd / run.m * W))
        return right(params, *data, fault={("weights", 2): early}, **options)

    options = {"lambd": 0.8, "learning_rate": 0.5}
    finding = only(check(tiny_with(model, cost), grads, data=False, options=options))
    assert (finding.cause, finding.tensors) == ("early-update", ("W1", "b1"))
    assert "learning_rate = 0" in finding.message
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_a_rate_that_does_not_matter() -> None:
    model = tiny()

    def cost(params: Tree, *data: Array, lr: float, **options: Any) -> float:
        return model.cost(params, *data, **options)

    def grads(params: Tree, *data: Array, lr: float, **options: Any) -> Tree:
        return model.grads(params, *data, fault={("delta", 2): lambda delta, run: delta * run.A[2]}, **options)

    report = check(tiny_with(model, cost), grads, data=False, options={"lambd": 0.8, "lr": 0.5})
    assert "early-update" not in {f.cause for f in report.findings}


def tiny_with(model: Any, cost: Any) -> Any:
    return type(model)(model.name, cost, model.grads, model.params, model.data, 1, model.options)
