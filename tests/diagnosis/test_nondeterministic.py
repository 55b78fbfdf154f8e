"""Gradients that differ from call to call."""

import itertools
from typing import Any

import numpy as np
from tiny import check, only, tiny

from planted.base import Array, Tree


def test_no_two_calls_agree() -> None:
    model, calls = tiny(), itertools.count()

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        rng = np.random.default_rng(next(calls))
        return {**gradient, "W2": gradient["W2"] * (1 + 0.1 * rng.normal(size=gradient["W2"].shape))}

    report = check(model, grads)
    finding = only(report)
    assert (report.verdict, finding.cause, finding.tensors) == ("wrong", "nondeterministic", ("W2",))
    assert finding.severity == "error"


def test_the_order_of_summation_is_no_finding() -> None:
    model, calls = tiny(), itertools.count()

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {**gradient, "W2": gradient["W2"] * (1 + 1e-15 * (next(calls) % 2))}

    report = check(model, grads)
    assert report.passed
    assert report.findings == ()


def test_differences_below_the_tolerance_are_a_warning() -> None:
    model, calls = tiny(), itertools.count()

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {**gradient, "W2": gradient["W2"] * (1 + 1e-9 * (next(calls) % 2))}

    report = check(model, grads)
    assert report.passed
    assert (only(report).cause, only(report).severity) == ("nondeterministic", "warning")


def test_random_numbers_that_are_no_dropout() -> None:
    model, source = tiny(), np.random.default_rng(0)

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = model.grads(params, *data, **options)
        return {**gradient, "W2": gradient["W2"] + 0.1 * source.normal(size=gradient["W2"].shape)}

    finding = only(check(model, grads))
    assert (finding.cause, finding.detail, finding.also) == ("nondeterministic", "random numbers", ("dropout",))
    assert "source" in finding.message
