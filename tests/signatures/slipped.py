"""What the tests of signatures share: a function of NumPy arrays with a backward pass, and what is said of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradproof as gp

Backward = Callable[..., Any]
#: What names no cause.
NAMELESS = {"unexplained", "region", "upstream"}


def rand(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def scan(a: Any, x: Any) -> Any:
    """States of h = a h + x along the second axis."""
    h, states = np.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        h = a[:, t] * h + x[:, t]
        states.append(h)
    return np.stack(states, 1)


def check(function: Any, backward: Backward, *inputs: Any) -> gp.Report:
    """The report on ``function(*inputs)`` with ``backward(v, *inputs) -> gradients``."""
    return gp.check_function(function, *inputs, vjp=lambda given, v: backward(v, *given))


def right(report: gp.Report) -> None:
    """Nothing is said of what is right."""
    assert report.verdict == "correct", str(report)
    assert not report.findings, str(report)


def named(report: gp.Report, cause: str, *tensors: str, detail: str = "") -> None:
    """One cause is named, of these tensors, which are all that are wrong."""
    errors = [f for f in report.findings if f.severity == "error"]
    assert report.verdict == "wrong", str(report)
    assert [f.cause for f in errors] == [cause], str(report)
    assert errors[0].tensors == tensors, str(report)
    assert detail in errors[0].detail, str(report)
    assert {n for n, t in report.tensors.items() if t.verdict == "wrong"} == set(tensors), str(report)
    assert errors[0].repaired is None or errors[0].repaired < 1e-4, str(report)


def nameless(report: gp.Report, *others: str) -> None:
    """It is wrong, and no cause is named but these."""
    assert report.verdict == "wrong", str(report)
    assert {f.cause for f in report.findings if f.severity == "error"} <= NAMELESS | set(others), str(report)
