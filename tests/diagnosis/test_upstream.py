"""``upstream``: the layer at which a fault enters that nothing simpler explains."""

from typing import Any

import numpy as np
import pytest
from told import check, net, one, silent

import gradproof as gp

RUBBISH = np.random.default_rng(0).normal(size=(20, 20))


def spoilt(name: str, layer: int) -> Any:
    """The error of a layer with a random matrix put in front, so that nothing can be read off it."""
    model = net(name)

    def columns(delta: Any, run: Any) -> Any:
        n = len(delta)
        return RUBBISH[:n, :n] @ delta

    def rows(delta: Any, run: Any) -> Any:
        n = delta.shape[1]
        return delta @ RUBBISH[:n, :n]

    fault = {("delta", layer): columns if name == "course" else rows}
    return check(model, grads=lambda params, *data, **options: model.grads(params, *data, fault=fault, **options))


@pytest.mark.parametrize("layer", [2, 3])
def test_a_hidden_layer(layer: int) -> None:
    finding = one(spoilt("course", layer), "upstream")
    assert finding.tensors == tuple(f"{kind}{k}" for k in range(1, layer + 1) for kind in "Wb")
    assert finding.detail == f"at layer {layer}"
    assert finding.where.text == f"layers 1-{layer}"
    assert f"layer {layer}" in finding.message
    assert f"layer {layer}" in finding.fix
    assert {"activation-derivative", "transposed", "early-update"} <= set(finding.also)
    assert finding.repaired is None
    assert finding.factor is None


def test_the_first_and_the_last_layer() -> None:
    first = one(spoilt("course", 1), "upstream")
    assert (first.tensors, first.detail) == (("W1", "b1"), "at layer 1")
    last = one(spoilt("course", 4), "upstream")
    assert (len(last.tensors), last.detail) == (8, "at the output")
    assert "other-loss" in last.also
    assert "first line of the backward pass" in last.fix


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_convolutions(layer: int) -> None:
    model = net("convolution")

    def spoil(delta: Any, run: Any) -> Any:
        n = delta.shape[-1]
        return delta @ RUBBISH[:n, :n]

    fault = {f"delta{layer}": spoil}
    finding = one(check(model, grads=lambda p, *data, **o: model.grads(p, *data, fault=fault, **o)), "upstream")
    assert len(finding.tensors) == 2 * layer
    assert finding.detail == ("at the output" if layer == 3 else f"at layer {layer}")


def test_a_tensor_whose_layer_nobody_knows_forbids_it() -> None:
    """The gain of the inputs is listed last and named like no layer."""
    finding = one(spoilt("softmax", 1), "unexplained")
    assert {"layers.1.weight", "layers.0.bias", "scale"} <= set(finding.tensors)


@pytest.mark.parametrize("names", [("W3",), ("W1", "W3"), ("W2", "b2"), ("W1", "b1", "W3", "b3")])
def test_a_layer_below_that_is_right_forbids_it(names: tuple[str, ...]) -> None:
    def noisy(g: Any) -> Any:
        return g + np.random.default_rng(g.size).normal(size=g.shape)

    report = check(net("course"), dict.fromkeys(names, noisy))
    assert one(report, "unexplained").tensors == names


def test_right() -> None:
    silent(check(net("course")))
    silent(check(net("softmax")))


def test_numbers_in_a_list_are_no_layers() -> None:
    """An intensity of a process that lacks a factor wherever it is divided by."""
    times = np.array([0.3, 0.9, 1.1, 2.4, 3.0, 4.2, 4.9, 6.1, 7.5])
    gaps = times[:, None] - times

    def kernel(beta: float) -> Any:
        return np.tril(np.exp(-beta * np.tril(gaps)), -1)

    def cost(p: Any) -> Any:
        intensity = p[0] + p[1] * p[2] * kernel(p[2]).sum(1)
        return 8.0 * p[0] - np.log(intensity).sum() + p[1] * (1 - np.exp(-p[2] * (8.0 - times))).sum()

    def grads(p: Any, power: int) -> Any:
        mu, alpha, beta = p
        past, left = kernel(beta), np.exp(-beta * (8.0 - times))
        rate = past.sum(1)
        intensity = mu + alpha * beta**power * rate
        slope = alpha * (rate - beta * (gaps * past).sum(1)) / intensity
        d_beta = alpha * ((8.0 - times) * left).sum() - slope.sum()
        return [8.0 - (1 / intensity).sum(), (1 - left).sum() - (beta * rate / intensity).sum(), d_beta]

    params = [0.6, 0.4, 1.3]
    assert gp.check(cost, params, lambda p: grads(p, 1)).verdict == "correct"
    report = gp.check(cost, params, lambda p: grads(p, 0))
    assert report.verdict == "wrong"
    assert all(f.cause != "upstream" for f in report.findings), str(report)
