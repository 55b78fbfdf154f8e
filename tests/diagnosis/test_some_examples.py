from typing import Any

import numpy as np
import pytest
from rebuilt import named, nothing

import gradproof as gp

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(8, 5)), RNG.normal(size=8)
PARAMS = {"W": RNG.normal(size=(5, 4)), "b": RNG.normal(size=4), "v": RNG.normal(size=4)}


def cost(p: Any, X: Any, Y: Any) -> Any:
    """No network that is known: the activation is a sine, and the cost the logarithm of a hyperbolic cosine."""
    return np.log(np.cosh(np.sin(X @ p["W"] + p["b"]) @ p["v"] - Y)).mean()


def grads(p: Any, X: Any, Y: Any, tensor: str = "", part: Any = slice(None)) -> Any:
    Z = X @ p["W"] + p["b"]
    d = np.tanh(np.sin(Z) @ p["v"] - Y) / len(Y)
    dZ = np.outer(d, p["v"]) * np.cos(Z)
    found = {"W": X.T @ dZ, "b": dZ.sum(0), "v": np.sin(Z).T @ d}
    some = {"W": X[part].T @ dZ[part], "b": dZ[part].sum(0), "v": np.sin(Z)[part].T @ d[part]}
    return {name: some[name] if name in tensor else found[name] for name in found}


@pytest.mark.parametrize(("tensor", "part", "cause", "detail"), [
    ("b", slice(0, 1), "bias-reduction", "only the first example"),
    ("W", slice(7, 8), "region", "only the last example"),
    ("Wbv", slice(0, 4), "region", "only the first 4 of the 8 examples"),
    ("v", slice(0, 8, 2), "bias-reduction", "only every second example"),
])  # fmt: skip
def test_fires(tensor: str, part: Any, cause: str, detail: str) -> None:
    report = gp.check(cost, PARAMS, lambda p, X, Y: grads(p, X, Y, tensor, part), data=(X, Y), examples_axis=0)
    named(report, cause, *tensor, detail=detail)


def test_a_part_that_is_none_of_them_is_not_named() -> None:
    part = [0, 3, 4]
    report = gp.check(cost, PARAMS, lambda p, X, Y: grads(p, X, Y, "W", part), data=(X, Y), examples_axis=0)
    assert [f.cause for f in report.findings] == ["unexplained"]


def test_right() -> None:
    nothing(gp.check(cost, PARAMS, grads, data=(X, Y), examples_axis=0))
