from typing import Any

import numpy as np
from rebuilt import check, hidden, model, named, nothing

OUTPUT = 4


def squared(delta: Any, run: Any) -> Any:
    A = run.A[OUTPUT]
    v = (A - run.Y) / run.m
    return A * (v - np.sum(A * v, axis=0, keepdims=True))


def test_another_cost() -> None:
    report = check(model(), {("delta", OUTPUT): squared})
    named(report, "other-loss", *hidden(4), detail="the squared error of a softmax for the cross-entropy")


def test_softmax_twice_and_diagonal() -> None:
    twice = {("delta", OUTPUT): lambda delta, run: delta * run.A[OUTPUT] * (1 - run.A[OUTPUT])}
    named(check(model(), twice), "other-loss", *hidden(4), detail="applied twice")
    diagonal = {("delta", OUTPUT): lambda delta, run: -run.Y * (1 - run.A[OUTPUT]) / run.m}
    named(check(model("relu"), diagonal), "other-loss", *hidden(4), detail="diagonal")


def test_sigmoids_with_another_cost() -> None:
    fault = {("delta", OUTPUT): lambda delta, run: delta * run.A[OUTPUT] * (1 - run.A[OUTPUT])}
    report = check(model("tanh", output="sigmoid"), fault)
    named(report, "other-loss", *hidden(4), detail="the squared error of sigmoids")


def test_the_cost_is_the_other_one() -> None:
    binary = model("tanh", loss="binary")
    report = check(binary, grads=model().grads)
    named(report, "other-loss", *hidden(4), detail="for the binary cross-entropy over a softmax")
    nothing(check(binary))


def test_an_epsilon_in_the_cost() -> None:
    floored = model("tanh", floor=1e-2)
    report = check(floored, grads=model().grads)
    named(report, "stabiliser", *hidden(4), detail="0.01 inside the logarithm")
    nothing(check(floored))


def test_near_miss() -> None:
    # Neither cost is known by name, so none may be named.
    report = check(model(), {("delta", OUTPUT): lambda delta, run: np.sign(delta) * np.abs(delta) ** 1.5})
    assert {f.cause for f in report.findings} <= {"upstream", "unexplained"}, report
