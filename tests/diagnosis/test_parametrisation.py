"""``parametrisation``: the derivative by another variable than the parameter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from told import causes, check, net, one, silent, theta, told

import gradproof as gp

NETWORKS = [("softmax", "scale"), ("normed", "gamma1"), ("normed", "gamma2")]


@pytest.mark.parametrize(("name", "tensor"), NETWORKS)
def test_by_the_logarithm(name: str, tensor: str) -> None:
    model = net(name)
    finding = told(model, "parametrisation", {tensor: lambda g: g * theta(model, tensor)}, detail="by its logarithm")
    assert f"not by {tensor} itself" in finding.message
    assert finding.where.text == f"all of {tensor}"
    assert finding.factor is None


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (lambda x: x * (1 - x), "its logit"),
        (lambda x: -x * x, "its reciprocal"),
        (lambda x: 0.5 / x, "its square"),
        (lambda x: 2 * np.sqrt(x), "its square root"),
        (lambda x: -np.expm1(-x), "its inverse softplus"),
        (lambda x: 1 - x * x, "its inverse hyperbolic tangent"),
        (lambda x: x * np.log(10.0), "log base 10 of it"),
    ],
)
def test_by_other_variables(inner: Callable[[Any], Any], words: str) -> None:
    model = net("softmax")
    finding = told(model, "parametrisation", {"scale": lambda g: g * inner(theta(model, "scale"))})
    assert finding.detail == f"by {words}"


@pytest.mark.parametrize("power", [3.0, 1.5, -0.7])
def test_other_powers_are_not_explained(power: float) -> None:
    model = net("softmax")
    report = check(model, {"scale": lambda g: g * theta(model, "scale") ** power})
    assert report.verdict == "wrong"
    assert "parametrisation" not in causes(report)


def scaled(value: Any, claim: Callable[[Any, Any], Any]) -> gp.Report:
    s = np.broadcast_to(value, (5,)).astype(float)
    weigh = np.arange(1.0, 6.0)
    return gp.check(lambda p: float(np.sum(weigh * np.sin(p["s"]))), {"s": s}, lambda p: {
        "s": claim(weigh * np.cos(p["s"]), p["s"])})  # fmt: skip


def test_at_one_it_makes_no_difference_and_at_two_it_is_a_factor() -> None:
    silent(scaled(1.0, lambda g, s: g * s))
    assert one(scaled(2.0, lambda g, s: g * s), "factor").detail == "factor 2"
    single = gp.check(lambda p: float(np.sin(p["s"])), {"s": 0.37}, lambda p: {"s": float(np.cos(p["s"]) * p["s"])})
    assert causes(single) == {"unexplained"}, "one number cannot tell a variable from a factor"


def test_right() -> None:
    for name in ("softmax", "normed"):
        silent(check(net(name)))
    silent(scaled(np.linspace(0.2, 0.9, 5), lambda g, s: g))
