"""Regularisers with the strength switched on and off, and where zeros hide them."""

from typing import Any

import numpy as np
import pytest
from tiny import check, only, tiny

import gradproof as gp
from planted.base import Array, Tree


@pytest.mark.parametrize(
    ("hook", "detail"),
    [
        (lambda decay, run: 0.0 * decay, "missing"),
        (lambda decay, run: 2.0 * decay, "counted twice"),
        (lambda decay, run: -decay, "wrong sign"),
        (lambda decay, run: run.m * decay, "without 1/m"),
    ],
)
def test_how_much_too_much(hook: Any, detail: str) -> None:
    finding = only(check(tiny(), fault={("decay", 0): hook}))
    assert (finding.cause, finding.detail) == ("regulariser", detail)
    assert set(finding.tensors) == {"W1", "W2", "W3"}


def zero_biases(model: Any) -> Any:
    params = {name: value * (0.0 if name.startswith("b") else 1.0) for name, value in model.params.items()}
    return type(model)(model.name, model.cost, model.grads, params, model.data, 1, model.options)


def test_on_biases_that_are_zero() -> None:
    model = zero_biases(tiny())

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {n: g + (options["lambd"] / 5 * params[n] if n.startswith("b") else 0.0) for n, g in gradient.items()}

    report = check(model, grads)
    finding = only(report)
    assert report.passed
    assert (finding.cause, finding.severity, finding.detail) == ("regulariser", "warning", "on the biases")
    assert finding.tensors == ("b1", "b2", "b3")


def test_right_zeros() -> None:
    for options in ({"lambd": 0.8}, {"lambd": 0.0}, {}):
        report = check(zero_biases(tiny()), options=options)
        assert report.passed
        assert report.findings == ()


def test_zero_biases_with_a_term_of_their_own_are_right() -> None:
    model = zero_biases(tiny())

    def cost(params: Tree, *data: Array, **options: Any) -> float:
        term = sum(np.sum(v**2) for n, v in params.items() if n.startswith("b"))
        return float(model.cost(params, *data, **options) + options["lambd"] / 10 * term)

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {n: g + (options["lambd"] / 5 * params[n] if n.startswith("b") else 0.0) for n, g in gradient.items()}

    own = type(model)(model.name, cost, grads, model.params, model.data, 1, model.options)
    assert check(own, grads).findings == ()
    finding = only(check(own, model.grads))
    assert (finding.detail, finding.severity) == ("missing", "warning")


@pytest.mark.parametrize(("decayed", "cause"), [(True, "regulariser"), (False, "")])
def test_a_scalar_that_is_decayed_and_should_not_be(decayed: bool, cause: str) -> None:
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(10, 6)), rng.normal(size=10)
    params = {"w0": np.array(0.7), "w": rng.normal(size=6)}

    def cost(p: Any, X: Any, y: Any, l2: float = 0.3) -> Any:
        return np.logaddexp(0, p["w0"] + X @ p["w"]).mean() + l2 / 2 * (p["w"] ** 2).sum() + (y * p["w0"]).mean()

    def grads(p: Any, X: Any, y: Any, l2: float = 0.3) -> Any:
        d = 1 / (1 + np.exp(-(p["w0"] + X @ p["w"]))) / len(y)
        return {"w0": d.sum() + y.mean() + decayed * l2 * p["w0"], "w": X.T @ d + l2 * p["w"]}

    report = gp.check(cost, params, grads, data=(X, y), examples_axis=0, options={"l2": 0.3})
    assert [f.cause for f in report.findings if f.severity == "error"] == ([cause] if cause else [])


@pytest.mark.parametrize("held", [0.0, 2.0, 1.0])
@pytest.mark.parametrize("size", [2, 3])
def test_a_few_numbers_lack_the_strength_that_was_passed(size: int, held: float) -> None:
    """Mixture weights: to so few numbers much can be fitted, but not just the number of the option."""
    rng = np.random.default_rng(size)
    weights, scores = rng.normal(size=size), rng.normal(size=(9, size))

    def share(w: Array) -> Array:
        z = np.exp(w + scores)
        return np.asarray(z / z.sum(1, keepdims=True))

    def cost(w: Array, lambd: float) -> float:
        return float(np.log(np.exp(w).sum()) - np.log(np.exp(w + scores).sum(1)).mean() + lambd / 2 * w @ w)

    def grads(w: Array, lambd: float) -> Array:
        return np.asarray(np.exp(w) / np.exp(w).sum() - share(w).mean(0) + held * lambd * w)

    report = gp.check(cost, weights, grads, options={"lambd": 0.3})
    if held == 1.0:
        assert report.verdict == "correct"
        return
    finding = only(report)
    assert (finding.cause, finding.detail) == ("regulariser", "missing" if held == 0.0 else "counted twice")
    assert finding.repaired is not None


def test_a_few_numbers_off_by_another_number_are_not_the_option() -> None:
    rng = np.random.default_rng(3)
    weights, target = rng.normal(size=2), rng.normal(size=2)
    report = gp.check(
        lambda w, lambd: float(np.sum((w - target) ** 2) + lambd / 2 * w @ w), weights,
        lambda w, lambd: 2 * (w - target) + lambd * w + np.array([0.1, -0.07]), options={"lambd": 0.3},
    )  # fmt: skip
    assert report.verdict == "wrong"
    assert all(f.cause != "regulariser" for f in report.findings), str(report)
