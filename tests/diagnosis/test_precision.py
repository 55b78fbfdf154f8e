"""``precision``: stored or computed with too few digits."""

from typing import Any

import numpy as np
import pytest
from told import WEIGHT_PLACES, Change, causes, check, net, one, silent, told

import gradproof as gp
from planted.leafwise import brain


def half(g: Any) -> Any:
    return g.astype(np.float16).astype(np.float64)


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
@pytest.mark.parametrize(("kind", "change"), [("float16", half), ("bfloat16", brain)])
def test_stored_in_few_digits(name: str, tensor: str, kind: str, change: Change) -> None:
    finding = told(net(name), "precision", {tensor: change}, detail=f"rounded to {kind}", proven=False)
    assert kind in finding.message
    assert "float64" in finding.fix
    assert finding.where.text == f"all of {tensor}"
    assert finding.factor is None
    assert finding.also == ()


def test_several_tensors_in_one_finding() -> None:
    finding = told(net("course"), "precision", {f"W{k}": half for k in (1, 2, 3, 4)}, proven=False)
    assert finding.tensors == ("W1", "W2", "W3", "W4")


def test_computed_in_few_digits() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        right = model.grads({n: brain(p) for n, p in params.items()}, *data, **options)
        noise = {n: 1 + 1e-3 * np.sin(1e9 * float(np.sum(params[n]))) for n in params}
        return {n: g * noise[n] * (1 + 1e-3 * np.sin(1e9 * params[n])) if n == "W3" else g for n, g in right.items()}

    report = check(model, grads=grads)
    assert report.verdict == "wrong"
    assert "precision" in causes(report)
    assert {f.detail for f in report.findings if f.cause == "precision"} == {"computed in low precision"}


@pytest.mark.parametrize("change", [lambda g: 1.5 * half(g), lambda g: half(np.flip(g, 0)), lambda g: np.round(g, 2)])
def test_rounded_numbers_that_are_wrong_besides(change: Change) -> None:
    report = check(net("course"), {"W3": change})
    assert report.verdict == "wrong"
    assert "precision" not in causes(report)


def test_a_thousandth_off_everywhere_the_same_at_every_call_is_no_rounding() -> None:
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=(6, 6))
    report = check(net("course"), {"W3": lambda g: g * noise})
    assert causes(report) == {"unexplained"}


def test_numbers_that_happen_to_fit_the_format() -> None:
    """A power of two keeps what fits a format within it, and is a factor all the same."""
    weigh = half(np.random.default_rng(0).normal(size=(5, 5)))

    def linear(claim: Any) -> gp.Report:
        return gp.check(lambda p: float(np.sum(weigh * p["W"])), {"W": np.ones((5, 5))}, lambda p: {"W": claim})

    silent(linear(weigh))
    assert one(linear(2 * weigh), "factor").detail == "factor 2"


def test_single_precision_is_right() -> None:
    model = net("course")
    silent(check(model, {name: lambda g: g.astype(np.float32).astype(np.float64) for name in model.params}))
    silent(check(model, {name: lambda g: g.astype(np.float32) for name in model.params}))
    silent(check(net("normed")))
