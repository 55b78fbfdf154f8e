"""Slips in networks with norms, tables, images and layers used again, found by working the network out again."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from rebuilt import named, nothing
from told import net

import gradproof as gp
from planted import convolution, embedding, normed, softmax
from planted.base import Model


def sequence(name: str, bug: str, *, cost: Any = None, **changes: Any) -> gp.Report:
    """Checks a network whose backward pass is told the name of a bug."""
    module: Any = {"normed": normed, "embedding": embedding}[name]
    model = module.network(3, changes.pop("activation", "tanh"), 1)
    options = {**model.options, **changes.pop("options", {})}
    return gp.check(
        model.cost if cost is None else cost, model.params, partial(model.right, bug=bug), data=model.data,
        examples_axis=0, options=options, **changes,
    )  # fmt: skip


def image(fault: Any = None, activation: str = "tanh") -> gp.Report:
    model = convolution.build(3, activation, "small")
    return gp.check(
        model.cost, model.params, partial(model.grads, fault=fault), data=model.data, examples_axis=0,
        options=model.options,
    )  # fmt: skip


def scaled(fault: Any = None) -> gp.Report:
    model = softmax.build(3, "tanh", "small")
    return gp.check(
        model.cost, model.params, partial(model.grads, fault=fault), data=model.data, examples_axis=0,
        options=model.options,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["mean", "variance", "mean and variance"])
@pytest.mark.parametrize("norm", ["batch norm", "layer norm"])
def test_a_branch_of_a_norm_left_out(norm: str, path: str) -> None:
    report = sequence("normed", f"{norm} without {path}")
    wrong = [name for name, t in report.tensors.items() if t.verdict == "wrong"]
    named(report, "missing-path", *wrong, detail=f"{norm} without its {path}")
    assert "W1" in wrong


@pytest.mark.parametrize(
    ("bug", "cause", "detail"),
    [
        ("skip missing", "missing-path", "skip connection left out"),
        ("the skip assigned over the layer", "missing-path", "only the skip connection"),
        ("the skip counted twice", "accumulated", "twice"),
        ("the skip after the slope, in place", "aliasing", "in place"),
        ("W2 for its transpose", "transposed", "step back"),
        ("g of W2 for W2", "wrong-cache", "the gradient of W2 for W2"),
        ("gamma1 left out", "upstream", "gamma1 left out"),
        ("layer norm along the examples in the backward pass", "transposed", "as a batch norm"),
        ("activation derivative missing", "activation-derivative", "missing"),
        ("activation derivative of another function", "activation-derivative", "of sigmoid"),
        ("W3 updated before its use", "early-update", "learning rate 0.3"),
        ("last output left out", "region", "last unit"),
        ("last example left out", "missing-path", "last example"),
        ("absolute error for squared error", "other-loss", "the absolute error"),
        ("dgamma1 of what is not normalised", "wrong-cache", "Z1 for the normalised Z1"),
        ("dW2 of the normalised layer", "wrong-cache", "the normalised Z1 for A1"),
        ("dW3 without the skip", "wrong-cache", "A2 for A2 with its skip"),
    ],
)
def test_slips_in_a_normed_network(bug: str, cause: str, detail: str) -> None:
    report = sequence("normed", bug)
    wrong = [name for name, t in report.tensors.items() if t.verdict == "wrong"]
    named(report, cause, *wrong, detail=detail)


def test_the_learning_rate_of_an_early_update_is_the_one_that_was_used() -> None:
    finding = sequence("normed", "W3 updated before its use").findings[0]
    assert "0.3" in finding.message


@pytest.mark.parametrize("words", ["first", "second"])
def test_one_use_of_a_layer_left_out(words: str) -> None:
    report = sequence("embedding", f"{words} use of W1 missing")
    named(report, "missing-path", "W1", detail=f"{words} use of W1 left out")


def test_one_use_of_a_bias_and_of_both() -> None:
    named(sequence("embedding", "second use of b1 missing"), "missing-path", "b1", detail="second use of b1")
    report = sequence("embedding", "second use of W1 and b1 missing")
    named(report, "missing-path", "W1", "b1", detail="second use of W1 and b1")


@pytest.mark.parametrize(
    ("bug", "cause", "detail"),
    [
        ("dE[indices] = d", "overwritten", "repeated"),
        ("repeats within an example once", "overwritten", "repeated"),
        ("dE times the counts", "accumulated", "multiplied by the counts"),
        ("last position left out", "region", "last position"),
        ("only the first position", "region", "only the first position"),
    ],
)
def test_slips_in_a_table(bug: str, cause: str, detail: str) -> None:
    named(sequence("embedding", bug), cause, "E", detail=detail)


def test_the_slope_of_the_other_use_is_no_overwriting() -> None:
    report = sequence("embedding", "slope of the second use for the first", activation="relu")
    assert report.findings[0].cause == "activation-derivative", report


Hook = Callable[..., Any]
IMAGES: list[tuple[dict[str, Hook], str, str]] = [
    ({"pool": convolution.assigned}, "overwritten", "assign"),
    ({"kernel2": convolution.flipped}, "permuted", "180"),
    ({"kernel2": convolution.crossed}, "transposed", "step back"),
    ({"kernel2": convolution.early}, "early-update", "learning rate 0.5"),
    ({"input1": convolution.shifted}, "wrong-cache", "one place across"),
    ({"input2": lambda A, run: run.Z1}, "wrong-cache", "Z1 for A1"),
    ({"c1": lambda delta, run: delta[:1].sum(axis=(0, 2, 3))}, "bias-reduction", "first example only"),
    ({"c2": lambda delta, run: delta[:, :, 0, 0].sum(axis=0)}, "bias-reduction", "first position only"),
    ({"delta2": lambda d, run: np.concatenate([d[..., :-1], 0 * d[..., -1:]], axis=-1)}, "region", "last column"),
    ({"delta1": lambda d, run: np.concatenate([d[:-1], 0 * d[-1:]])}, "missing-path", "last example"),
]


@pytest.mark.parametrize(("fault", "cause", "detail"), IMAGES, ids=[detail for _, _, detail in IMAGES])
def test_slips_in_a_convolution(fault: dict[str, Hook], cause: str, detail: str) -> None:
    report = image(fault)
    wrong = [name for name, t in report.tensors.items() if t.verdict == "wrong"]
    named(report, cause, *wrong, detail=detail)


def test_slips_behind_a_gain_of_the_inputs() -> None:
    report = scaled({("bias", 1): lambda delta, run: delta[0].copy()})
    named(report, "bias-reduction", "layers.1.bias", detail="first example only")
    report = scaled({("input", 2): lambda A, run: run.A[1]})
    named(report, "wrong-cache", "layers.2.weight", detail="for A2")


def test_right_gradients() -> None:
    for report in (sequence("normed", ""), sequence("embedding", ""), image(), scaled()):
        nothing(report)


def test_what_cannot_be_seen_here_is_no_finding() -> None:
    one = {"gamma1": np.ones(6), "beta1": np.zeros(6)}
    model = normed.network(3, "tanh", 1)
    params = {**model.params, **one}
    nothing(
        gp.check(
            model.cost,
            params,
            partial(model.right, bug="gamma1 left out"),
            data=model.data,
            examples_axis=0,
            options=model.options,
        )
    )


def test_a_near_miss_is_not_given_the_name() -> None:
    """Nearly a norm without its mean: nine tenths of it are left out."""
    model = normed.network(3, "tanh", 1)

    def nearly(*given: Any, **options: Any) -> Any:
        right, wrong = model.right(*given, **options), model.right(*given, bug="batch norm without mean", **options)
        return {name: 0.1 * right[name] + 0.9 * wrong[name] for name in right}

    report = gp.check(model.cost, model.params, nearly, data=model.data, examples_axis=0, options=model.options)
    assert report.verdict == "wrong"
    assert {f.cause for f in report.findings} <= {"unexplained", "upstream"}, report


def test_a_network_that_is_not_understood_is_given_no_name() -> None:
    """The same network, with a term in its cost that no graph has."""
    model = normed.network(3, "tanh", 1)

    def cost(p: Any, *given: Any, **options: Any) -> Any:
        return model.cost(p, *given, **options) + 0.01 * np.sum(np.sin(3 * p["W1"]) * p["gamma1"])

    def grads(p: Any, *given: Any, **options: Any) -> Any:
        g = model.right(p, *given, bug="batch norm without mean", **options)
        g["W1"] = g["W1"] + 0.03 * np.cos(3 * p["W1"]) * p["gamma1"]
        g["gamma1"] = g["gamma1"] + 0.01 * np.sin(3 * p["W1"]).sum(axis=0)
        return g

    report = gp.check(cost, model.params, grads, data=model.data, examples_axis=0, options=model.options)
    assert {f.cause for f in report.findings} <= {"unexplained", "upstream"}, report


def test_the_search_costs_no_evaluations() -> None:
    """With data a branch of a norm is named at the price of measuring its mismatch, and of one proof."""
    model: Model = net("normed")
    assert model.data
    quick = sequence("normed", "layer norm without mean", method="probe")
    report = sequence("normed", "layer norm without mean")
    wrong = sum(t.verdict == "wrong" for t in report.tensors.values())
    assert report.evaluations - quick.evaluations <= 60 * wrong


def test_two_slips_that_spoil_one_tensor_each() -> None:
    model = normed.network(3, "tanh", 1)

    def both(*given: Any, **options: Any) -> Any:
        right = model.right(*given, **options)
        one = model.right(*given, bug="dgamma1 of what is not normalised", **options)
        other = model.right(*given, bug="dW2 of the normalised layer", **options)
        return {**right, "gamma1": one["gamma1"], "W2": other["W2"]}

    report = gp.check(model.cost, model.params, both, data=model.data, examples_axis=0, options=model.options)
    said = {f.tensors: f.cause for f in report.findings}
    assert said == {("gamma1",): "wrong-cache", ("W2",): "wrong-cache"}, report
