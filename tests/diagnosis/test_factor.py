"""``factor``: one constant, whole tensors and data parts."""

from collections.abc import Mapping

import numpy as np
import pytest
from told import PLACES, Change, causes, check, fitted, net, silent, told

import gradproof as gp
from planted.base import leaves
from planted.course import trained


@pytest.mark.parametrize(("name", "tensor"), PLACES)
@pytest.mark.parametrize(("by", "said"), [(2.0, "2"), (0.3, "0.3")])
def test_a_constant(name: str, tensor: str, by: float, said: str) -> None:
    finding = told(net(name), "factor", {tensor: lambda g: by * g}, detail=f"factor {said}")
    fitted(finding, by)
    assert f"{by:.6f}" in finding.message
    assert "(± " in finding.message
    assert finding.fix.startswith(f"Divide the gradient of {tensor} by ")
    assert finding.where.text == f"all of {tensor}"
    assert finding.also == ()


@pytest.mark.parametrize("name", ["course", "softmax"])
@pytest.mark.parametrize(("power", "words"), [(1, "m"), (-1, "1/m")])
def test_the_number_of_examples(name: str, power: int, words: str) -> None:
    model = net(name)
    m = model.data[0].shape[model.examples_axis]
    weight = {"course": "W3", "softmax": "layers.1.weight"}[name]
    finding = told(model, "factor", {weight: lambda g: g * float(m) ** power}, data=True)
    assert finding.detail == f"factor {words} (m = {m} examples)"
    assert finding.fix.startswith("Divide" if power > 0 else "Multiply")
    assert f"by m (m = {m} examples)" in finding.fix
    alone = told(model, "factor", {weight: lambda g: g * float(m) ** power})
    assert alone.detail == f"factor {m if power > 0 else f'1/{m}'}", "without data nothing is known of examples"


def test_an_option_and_a_whole_number() -> None:
    model = net("course")
    finding = told(model, "factor", {"W3": lambda g: 0.8 * g}, data=True)
    assert finding.detail == "factor lambd (lambd = 0.8)"
    assert told(model, "factor", {"W3": lambda g: 784.0 * g}).detail == "factor 784"
    assert told(model, "factor", {"W3": lambda g: g / 784.0}).detail == "factor 1/784"


@pytest.mark.parametrize(("layer", "tensors"), [(1, 1), (3, 3), (4, 4)])
def test_a_slip_in_the_backward_pass_leaves_the_weight_decay(layer: int, tensors: int) -> None:
    model = net("course")

    def grads(params: object, *data: object, **options: object) -> object:
        return model.grads(params, *data, fault={("delta", layer): lambda delta, run: 7.0 * delta}, **options)

    biases, weights = check(model, grads=grads).findings
    assert (biases.detail, biases.also) == ("factor 7", ())
    assert (weights.detail, weights.also) == ("factor 7 in the data part", ("regulariser",))
    assert biases.tensors == tuple(f"b{k + 1}" for k in range(tensors))
    assert weights.tensors == tuple(f"W{k + 1}" for k in range(tensors))
    for finding in (biases, weights):
        fitted(finding, 7.0)
        assert finding.repaired is not None
        assert finding.repaired < 1e-6
    assert "L2" in weights.message
    assert weights.fix.endswith("leave the L2 term as it is.")


def test_one_number_for_a_whole_network() -> None:
    model = net("course")
    finding = told(model, "factor", {name: lambda g: 3.0 * g for name in model.params})
    assert finding.where.text == "layers 1-4"
    lower = told(model, "factor", {name: lambda g: 3.0 * g for name in ("W1", "b1", "W2", "b2")})
    assert lower.where.text == "layers 1-2"


def test_two_numbers_are_two_findings() -> None:
    report = check(net("course"), {"W1": lambda g: 2 * g, "W3": lambda g: 3 * g, "b2": lambda g: 3 * g})
    found = {f.detail: f.tensors for f in report.findings}
    assert found == {"factor 2": ("W1",), "factor 3": ("b2", "W3")}


NEAR_MISSES: dict[str, Mapping[str, Change]] = {
    "noise besides": {"W3": lambda g: 2 * g + 1e-3 * np.random.default_rng(0).normal(size=g.shape)},
    "two numbers in one tensor": {"W3": lambda g: g * np.linspace(2, 3, g.size).reshape(g.shape)},
    "the square": {"W3": lambda g: g * np.abs(g)},
    "a constant besides": {"W3": lambda g: 2 * g + 0.1},
}


@pytest.mark.parametrize("words", NEAR_MISSES)
def test_what_is_no_constant_factor(words: str) -> None:
    report = check(net("course"), NEAR_MISSES[words])
    assert report.verdict == "wrong"
    assert not causes(report) & {"factor", "sign", "regulariser"}


@pytest.mark.parametrize("by", [1.0, 1 + 1e-9, 1 - 1e-9])
@pytest.mark.parametrize("name", ["course", "softmax"])
def test_next_to_one_is_right(name: str, by: float) -> None:
    model = net(name)
    silent(check(model, {tensor: lambda g: by * g for tensor in leaves(model.params)}, data=True))


def test_a_trained_network_with_kinks() -> None:
    model = trained(net("course", "relu"), 60)
    fitted(told(model, "factor", {"W2": lambda g: 2.0 * g}, detail="factor 2"), 2.0, 1e-6)
    told(model, "sign", {"b2": np.negative})
    silent(check(model))


def test_claims_in_single_precision() -> None:
    model = net("course")
    single = {name: lambda g: g.astype(np.float32) for name in model.params}
    silent(check(model, single))
    for name in ("W2", "b3"):
        report = check(model, {**single, name: lambda g: (2.0 * g).astype(np.float32)})
        (finding,) = report.findings
        assert (finding.cause, finding.detail, finding.tensors) == ("factor", "factor 2", (name,))
        fitted(finding, 2.0, 1e-6)
        assert finding.repaired is not None
        assert finding.repaired < 1e-4
    report = check(model, {**single, "W2": lambda g: (g * (1 + 0.3 * np.sign(g))).astype(np.float32)})
    assert causes(report) == {"unexplained"}


def test_parameters_of_very_different_sizes() -> None:
    """The elements of W are moved on scales of their own."""
    rng = np.random.default_rng(4)
    W = rng.normal(size=(6, 5)) * 10.0 ** np.array([-6, -4, -2, 0, 2, 4])[:, None]

    def spread(by: float) -> object:
        scale = np.abs(W)
        report = gp.check(lambda p: float(np.sum(np.cosh(p["W"] / scale))), {"W": W}, lambda p: {
            "W": by * np.sinh(p["W"] / scale) / scale})  # fmt: skip
        return [(f.cause, f.detail, f.tensors) for f in report.findings]

    assert spread(1.0) == []
    assert spread(2.0) == [("factor", "factor 2", ("W",))]


def test_theta_proportional_to_the_claim_is_said_to_be_either() -> None:
    W = np.random.default_rng(1).normal(size=(4, 4))
    report = gp.check(lambda p: float(np.sum(p["W"] ** 2)), {"W": W}, lambda p: {"W": 4.0 * p["W"]})
    (finding,) = report.findings
    assert finding.cause == "factor"
    assert "regulariser" in finding.also
    assert finding.repaired is not None
