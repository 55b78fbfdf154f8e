"""``unexplained``: wrong, and nothing that fits is made up."""

from typing import Any

import numpy as np
import pytest
from told import PLACES, Change, check, net, one, owes, silent

import gradproof as gp


def noisy(size: float) -> Change:
    def change(g: Any) -> Any:
        return g + size * float(np.sqrt(np.mean(g**2))) * np.random.default_rng([7, g.size]).normal(size=g.shape)

    return change


@pytest.mark.parametrize(("name", "tensor"), PLACES)
@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_noise(name: str, tensor: str, size: float) -> None:
    model = net(name)
    report = check(model, {tensor: noisy(size)})
    finding = one(report, "unexplained")
    owes(finding, report, model, {tensor: noisy(size)})
    assert finding.where.text == f"all of {tensor}"
    assert finding.repaired is None
    assert finding.factor is None
    assert "constant factor" in finding.message
    assert report.worst()
    assert {c.name for c in report.worst()} == {tensor}


@pytest.mark.parametrize("size", [1e-9, 0.0])
def test_noise_that_is_none(size: float) -> None:
    for name in ("course", "softmax"):
        silent(check(net(name), {tensor: noisy(size) for n, tensor in PLACES if n == name}))


TINY = {"a": np.array([0.7]), "b": np.array([0.4, -1.1]), "c": np.array([0.2, 0.5, -0.9])}


def tiny(**changes: Change) -> gp.Report:
    """Tensors of one, two and three elements."""

    def cost(p: Any) -> float:
        return float(np.sum(np.sin(p["a"])) + np.sum(p["b"] ** 3) + np.sum(np.exp(p["c"])) + p["a"][0] * p["b"][0])

    def grads(p: Any) -> Any:
        right = {"a": np.cos(p["a"]) + p["b"][:1], "b": 3 * p["b"] ** 2, "c": np.exp(p["c"])}
        right["b"][0] += p["a"][0]
        return {name: changes[name](g) if name in changes else g for name, g in right.items()}

    return gp.check(cost, TINY, grads)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_an_odd_number_on_a_few_elements_proves_nothing(name: str) -> None:
    finding = one(tiny(**{name: lambda g: 1.37 * g}), "unexplained")
    assert finding.tensors == (name,)
    one(tiny(**{name: lambda g: g + 0.3}), "unexplained")
    one(tiny(**{name: lambda g: g - 0.3 * TINY[name]}), "unexplained")
    silent(tiny())


def test_an_odd_number_that_two_tensors_share_does() -> None:
    finding = one(tiny(a=lambda g: 1.37 * g, b=lambda g: 1.37 * g), "factor")
    assert finding.tensors == ("a", "b")
    assert finding.detail == "factor 1.37"
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_simple_numbers_on_a_few_elements_are_believed(name: str) -> None:
    assert one(tiny(**{name: lambda g: 2 * g}), "factor").detail == "factor 2"
    assert one(tiny(**{name: np.negative}), "sign").tensors == (name,)
    assert one(tiny(**{name: np.zeros_like}), "zero").tensors == (name,)


def test_no_finding_twice_for_one_tensor() -> None:
    report = check(net("course"), {"W1": noisy(1.0), "b2": noisy(1.0), "W3": lambda g: 2 * g, "b4": np.negative})
    named = [name for f in report.findings for name in f.tensors]
    assert sorted(named) == ["W1", "W3", "b2", "b4"]
    assert [f.cause for f in report.findings][-1] == "unexplained", "the most certain first"
