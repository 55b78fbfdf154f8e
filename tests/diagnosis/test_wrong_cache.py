from functools import partial

import pytest
from rebuilt import check, hidden, model, named, nothing, rows_network

import gradproof as gp


@pytest.mark.parametrize("layer", [2, 3, 4])
def test_z_for_a(layer: int) -> None:
    report = check(model(), {("input", layer): lambda A, run: run.Z[layer - 1]})
    named(report, "wrong-cache", f"W{layer}", detail=f"Z{layer - 1} for A{layer - 1}")


def test_of_another_layer() -> None:
    named(check(model(), {("input", 4): lambda A, run: run.A[2]}), "wrong-cache", "W4", detail="A2 for A3")


@pytest.mark.parametrize("layer", [2, 3, 4])
def test_gradient_for_weights(layer: int) -> None:
    report = check(model(), {("weights", layer): lambda W, run: run.data_part[layer]})
    named(report, "wrong-cache", *hidden(layer - 1), detail=f"W{layer} without its L2 term for W{layer}")


def test_before_dropout() -> None:
    fault = {("input", 4): lambda A, run: run.undropped[3]}
    report = check(model(), fault, options={"keep_prob": 0.7, "seed": 3})
    named(report, "wrong-cache", "W4", detail="A3 before dropout")


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_any_cost_with_examples_in_rows(layer: int) -> None:
    cost, grads, params, data = rows_network("own")
    report = gp.check(cost, params, partial(grads, bug=f"Z{layer}"), data=data)
    named(report, "wrong-cache", f"layers.{layer}.weight", detail=f"Z{layer} for A{layer}", proven=False)


def test_near_miss() -> None:
    # The activation of an identity is its argument; here that of a ReLU whose units are all on.
    params = {name: value + (20.0 if name == "b2" else 0.0) for name, value in model("relu").params.items()}
    fault = {("input", 3): lambda A, run: run.Z[2]}
    nothing(check(model("relu"), fault, params=params, options={"lambd": 0.0}))
