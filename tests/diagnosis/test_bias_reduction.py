"""``bias-reduction``: a mean, a total, a sum that weighs the examples."""

from typing import Any

import numpy as np
import pytest
from told import BIASES, Change, causes, check, fitted, net, one, silent, told

PLACES = [(name, tensor) for name in ("course", "softmax", "normed") for tensor in BIASES[name]]


@pytest.mark.parametrize(("name", "tensor"), PLACES)
def test_a_mean(name: str, tensor: str) -> None:
    model = net(name)
    m = model.data[0].shape[model.examples_axis]
    finding = told(model, "bias-reduction", {tensor: lambda g: g / m}, detail="mean for sum", data=True)
    fitted(finding, 1 / m)
    assert f"divided by the {m} examples once too often" in finding.message
    assert finding.also == ("factor",), "a factor of 1/m is the same thing"
    alone = told(model, "bias-reduction", {tensor: lambda g: g / m}, detail="mean for sum")
    assert f"{m} (the examples, it seems)" in alone.message
    assert alone.also == ("factor",)


def test_every_bias_at_once() -> None:
    finding = told(net("course"), "bias-reduction", {f"b{k}": lambda g: g / 9 for k in (1, 2, 3, 4)}, data=True)
    assert finding.tensors == ("b1", "b2", "b3", "b4")


@pytest.mark.parametrize(("name", "tensor"), PLACES)
def test_a_total(name: str, tensor: str) -> None:
    total: Change = lambda g: np.full_like(g, g.sum())  # noqa: E731
    finding = told(net(name), "bias-reduction", {tensor: total}, detail="total", proven=False)
    assert finding.also == ("unbroadcast",)
    assert finding.where.mask(tensor).all()


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_weighted_by_the_inputs(layer: int) -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        bare = model.grads(params, *data, **{**options, "lambd": 0.0})
        right = model.grads(params, *data, **options)
        return {**right, f"b{layer}": bare[f"W{layer}"].sum(axis=1, keepdims=True)}

    finding = one(check(model, grads=grads), "bias-reduction")
    assert (finding.tensors, finding.detail) == ((f"b{layer}",), "weighted by the inputs")
    assert f"W{layer}" in finding.message
    single = check(model, {f"b{layer}": lambda g: g.astype(np.float32)}, grads=grads)
    assert one(single, "bias-reduction").detail == "weighted by the inputs"


@pytest.mark.parametrize("by", [1 / 7, 2.5, 1 / 9.001, 9.0])
def test_another_factor_on_a_bias(by: float) -> None:
    told(net("course"), "factor", {"b3": lambda g: by * g}, data=True)


def test_the_same_factor_on_the_weights_is_no_reduction() -> None:
    model = net("course")
    assert causes(check(model, {"b3": lambda g: g / 9, "W3": lambda g: g / 9}, data=True)) == {"factor"}


def test_a_constant_that_is_not_the_total() -> None:
    report = check(net("course"), {"b3": lambda g: np.full_like(g, g.sum() + 0.1)})
    assert causes(report) == {"unexplained"}


def test_right_means_and_totals() -> None:
    """One example, whose sum is its mean; one unit, whose total is its own."""
    model = net("course")
    X, Y = model.data
    one_example = type(model)(
        "one", model.cost, model.grads, model.params, (X[:, :1], Y[:, :1]), 1, model.options
    )  # fmt: skip
    silent(check(one_example, {f"b{k}": lambda g: g / 1 for k in (1, 2)}, data=True))
    for name in ("course", "softmax", "normed"):
        silent(check(net(name), data=True))
