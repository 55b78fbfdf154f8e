from functools import partial
from typing import Any

import numpy as np
import pytest
from rebuilt import check, hidden, model, named, nothing, rows_network

import gradproof as gp


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize(
    ("detail", "slope"),
    [
        ("missing", lambda act, run, k: np.ones_like(act)),
        ("at A instead of Z", lambda act, run, k: 1 - np.tanh(run.A[k]) ** 2),
        ("of sigmoid", lambda act, run, k: 1 / (2 + 2 * np.cosh(run.Z[k]))),
        ("A(1 - A)", lambda act, run, k: run.A[k] * (1 - run.A[k])),
    ],
)
def test_fires(layer: int, detail: str, slope: Any) -> None:
    fault = {("slope", layer): lambda act, run: slope(act, run, layer)}
    named(check(model(), fault), "activation-derivative", *hidden(layer), detail=detail)


def test_one_finding_where_it_is_made_everywhere() -> None:
    fault = {("slope", k): lambda act, run: np.ones_like(act) for k in (1, 2, 3)}
    report = check(model(), fault)
    named(report, "activation-derivative", *hidden(3), detail="missing")
    assert "layers 1, 2 and 3" in report.findings[0].message


def test_negative_side() -> None:
    negated = {("slope", 2): lambda act, run: np.where(act == 1, act, -act)}
    named(check(model("leaky"), negated), "activation-derivative", *hidden(2), detail="negated where negative")
    added = {("slope", 1): lambda act, run: np.where(act == 1, act, run.Z[1] + run.alpha)}
    named(check(model("elu"), added), "activation-derivative", *hidden(1), detail="Z + 0.8 where negative")


def test_a_number_that_is_an_option() -> None:
    fault = {("slope", 0): lambda act, run: np.where(act == 1, act, 0.01)}
    report = check(model("leaky"), fault)
    named(report, "configuration", *hidden(3))
    assert "alpha = 0.3" in report.findings[0].fix


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_any_cost_with_examples_in_rows(layer: int) -> None:
    cost, grads, params, data = rows_network("own")
    report = gp.check(cost, params, partial(grads, bug=f"missing {layer}"), data=data)
    wrong = [f"layers.{k}.{name}" for k in range(layer) for name in ("weight", "bias")]
    named(report, "activation-derivative", *wrong, detail="missing")
    nothing(gp.check(cost, params, grads, data=data))


def test_near_miss_and_right() -> None:
    # The derivative of a ReLU is the same at A and at Z.
    nothing(check(model("relu"), {("slope", 2): lambda act, run: np.where(run.A[2] > 0, 1.0, 0.0)}))
    nothing(check(model()))
    # A random derivative is none of those known.
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.5, 1.5, (6, 1))
    report = check(model(), {("slope", 2): lambda act, run: act * noise})
    assert {f.cause for f in report.findings} <= {"upstream", "unexplained"}, report
