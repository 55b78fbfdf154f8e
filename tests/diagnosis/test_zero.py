"""``zero``: never computed, or all but the weight decay."""

from typing import Any

import numpy as np
import pytest
from told import PLACES, Change, causes, check, net, one, silent, told

import gradproof as gp
from planted.base import leaves


@pytest.mark.parametrize(("name", "tensor"), PLACES)
def test_one_tensor(name: str, tensor: str) -> None:
    finding = told(net(name), "zero", {tensor: np.zeros_like}, detail="zero everywhere", proven=False)
    assert finding.message == (
        f"The claimed gradient of {tensor} is zero everywhere, but the cost changes with {tensor}."
    )
    assert finding.where.text == f"all of {tensor}"
    assert finding.factor is None
    assert finding.also == ()


@pytest.mark.parametrize("name", ["course", "softmax"])
def test_everything(name: str) -> None:
    model = net(name)
    told(model, "zero", dict.fromkeys(leaves(model.params), np.zeros_like), proven=False)


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_all_but_the_weight_decay(layer: int) -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        return model.grads(params, *data, fault={("dW", layer): lambda g, run: 0.0 * g}, **options)

    finding = one(check(model, grads=grads), "zero")
    assert (finding.tensors, finding.detail) == ((f"W{layer}",), "L2 term only")
    assert "L2" in finding.message
    single = one(check(model, {f"W{layer}": lambda g: g.astype(np.float32)}, grads=grads), "zero")
    assert single.detail == "L2 term only"


def test_severed_at_a_layer() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        return model.grads(params, *data, fault={("delta", 2): lambda delta, run: 0.0 * delta}, **options)

    report = check(model, grads=grads)
    assert {(f.cause, f.detail, f.tensors) for f in report.findings} == {
        ("zero", "zero everywhere", ("b1", "b2")),
        ("zero", "L2 term only", ("W1", "W2")),
    }


@pytest.mark.parametrize("change", [lambda g: 1e-6 * g, lambda g: g * (np.arange(g.size) > 0).reshape(g.shape)])
def test_nearly_zero_is_something_else(change: Change) -> None:
    report = check(net("course"), {"W3": change})
    assert report.verdict == "wrong"
    assert "zero" not in causes(report)


def test_gradients_that_are_zero() -> None:
    """A dead unit, a bias in front of a norm, and a tensor that the cost does not see."""
    model = net("normed")
    silent(check(model, {"b1": np.zeros_like}))
    unseen = np.ones((3, 4))
    report = gp.check(lambda p: float(np.sum(p["a"] ** 2)), {"a": np.arange(1.0, 4.0), "unseen": unseen},
                      lambda p: {"a": 2 * p["a"], "unseen": np.zeros((3, 4))})  # fmt: skip
    assert "zero" not in causes(report)
    assert report.verdict != "wrong"


def test_a_claim_proportional_to_the_parameters_may_be_right_or_a_factor() -> None:
    W = np.random.default_rng(1).normal(size=(4, 4))
    silent(gp.check(lambda p: float(np.sum(p["W"] ** 2)), {"W": W}, lambda p: {"W": 2.0 * p["W"]}))
    twice = gp.check(lambda p: float(np.sum(p["W"] ** 2)), {"W": W}, lambda p: {"W": 4.0 * p["W"]})
    assert causes(twice) == {"factor"}


def test_right() -> None:
    for name in ("course", "softmax", "convolution"):
        silent(check(net(name)))
