"""``unbroadcast`` and ``contract``: claims of the wrong form, summed where that mends them."""

from typing import Any

import numpy as np
import pytest
from told import Change, check, net, one, silent

import gradproof as gp


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_not_summed_over_the_examples(layer: int) -> None:
    model = net("course")
    fault = {("db", layer): lambda db, run: run.delta[layer]}
    report = check(model, grads=lambda p, *data, **options: model.grads(p, *data, fault=fault, **options))
    finding = one(report, "unbroadcast")
    assert finding.tensors == (f"b{layer}",)
    assert finding.detail == "not summed over axis 1"
    assert str(model.params[f"b{layer}"].shape) in finding.message
    assert finding.fix == f"Sum the gradient of b{layer} over axis 1."
    assert finding.where.text == f"all of b{layer}"
    assert finding.where.mask(f"b{layer}").all()
    assert finding.repaired is not None
    assert finding.repaired < 1e-6
    assert report.tensors[f"b{layer}"].verdict == "wrong"


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_rows_of_examples(layer: int) -> None:
    model = net("softmax")
    fault = {("bias", layer): lambda delta, run: delta.copy()}
    finding = one(check(model, grads=lambda p, *d, **o: model.grads(p, *d, fault=fault, **o)), "unbroadcast")
    assert (finding.tensors, finding.detail) == ((f"layers.{layer}.bias",), "not summed over axis 0")


def test_over_two_axes() -> None:
    model = net("convolution")
    fault = {"c2": lambda delta, run: delta}
    finding = one(check(model, grads=lambda p, *d, **o: model.grads(p, *d, fault=fault, **o)), "unbroadcast")
    assert finding.tensors == ("c2",)
    assert finding.detail == "not summed over axes 0, 2, 3"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda g: g[:-1], "shape"),
        (lambda g: np.tile(g, (1, 9)), "shape"),
        (lambda g: np.tile(g / 9, (1, 9)) + 0.01, "shape"),
        (lambda g: np.zeros((6, 9)), "shape"),
        (lambda g: None, "missing"),
        (lambda g: ..., "missing"),
    ],
)
def test_forms_that_no_sum_mends(change: Change, detail: str) -> None:
    for name in ("b1", "b3"):
        report = check(net("course"), {name: change})
        finding = one(report, "contract")
        assert (finding.tensors, finding.detail, finding.severity) == ((name,), detail, "error")
        assert name in finding.message
        assert name in finding.fix
        assert [n for n, t in report.tensors.items() if t.verdict == "wrong"] == [name]


@pytest.mark.parametrize(("name", "tensor"), [("course", "W1"), ("course", "W4"), ("softmax", "layers.1.weight")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(name: str, tensor: str, value: float) -> None:
    def change(g: Any) -> Any:
        g = g.copy()
        g[1, 2] = value
        return g

    finding = one(check(net(name), {tensor: change}), "contract")
    assert finding.where.text == f"{tensor}[1, 2]"
    assert finding.where.mask(tensor).sum() == 1


def test_a_layout_is_compared_and_only_warned_of() -> None:
    report = check(net("course"), {"b2": np.ravel})
    (finding,) = report.findings
    assert report.passed
    assert (finding.cause, finding.severity, finding.detail) == ("contract", "warning", "layout")
    both = check(net("course"), {"b2": lambda g: 2 * np.ravel(g)})
    assert {(f.cause, f.severity) for f in both.findings} == {("contract", "warning"), ("factor", "error")}


def test_a_slip_of_form_does_not_hide_what_else_is_wrong() -> None:
    report = check(net("course"), {"b2": lambda g: g[:-1], "W3": lambda g: 2 * g})
    assert {f.cause: f.tensors for f in report.findings} == {"contract": ("b2",), "factor": ("W3",)}


def test_right() -> None:
    for name in ("course", "softmax", "convolution"):
        silent(check(net(name)))
    same = np.ones((1, 3))
    silent(gp.check(lambda p: float(np.sum(p["b"] ** 2)), {"b": same}, lambda p: {"b": 2 * p["b"]}))
