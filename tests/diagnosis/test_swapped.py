"""``swapped``: two gradients, or more, in each other's place."""

from typing import Any

import numpy as np
import pytest
from told import causes, check, net, one, silent

import gradproof as gp
from planted.leafwise import exchanging

PAIRS = [
    ("course", "b1", "b2"),
    ("course", "b2", "b3"),
    ("course", "W2", "W3"),
    ("softmax", "layers.0.bias", "layers.1.bias"),
    ("normed", "gamma2", "beta2"),
    ("normed", "b1", "beta1"),
    ("attention", "Wq", "Wk"),
]


@pytest.mark.parametrize(("name", "a", "b"), PAIRS)
def test_two(name: str, a: str, b: str) -> None:
    model = net(name)
    if name == "normed" and "b1" in (a, b):
        a, b = "gamma1", "beta1"
    finding = one(check(model, grads=exchanging(model.grads, a, b)), "swapped")
    assert set(finding.tensors) == {a, b}
    assert finding.detail == "exchanged"
    assert finding.repaired is not None
    assert finding.repaired < 1e-6
    assert finding.where.mask(a).all()
    assert finding.where.mask(b).all()
    first, second = sorted((a, b), key=list(check(model, method="probe").tensors).index)
    assert finding.message == f"The gradients of {first} and {second} stand in each other's place."
    assert finding.fix == f"Return the gradients of {first} and {second} in the other order."


def test_three_in_a_circle() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        g = model.grads(params, *data, **options)
        return {**g, "b1": g["b2"], "b2": g["b3"], "b3": g["b1"]}

    finding = one(check(model, grads=grads), "swapped")
    assert (finding.tensors, finding.detail) == (("b1", "b2", "b3"), "in another order")
    assert "b1, b2 and b3" in finding.fix
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_of_other_shapes_with_as_many_elements() -> None:
    rng = np.random.default_rng(0)
    params = {"row": rng.normal(size=(1, 5)), "column": rng.normal(size=(5, 1))}
    weigh = {"row": rng.normal(size=(1, 5)), "column": rng.normal(size=(5, 1))}

    def cost(p: Any) -> float:
        return float(sum(np.sum(weigh[n] * np.exp(p[n])) for n in p))

    def right(p: Any) -> Any:
        return {n: weigh[n] * np.exp(p[n]) for n in p}

    silent(gp.check(cost, params, right))
    finding = one(gp.check(cost, params, lambda p: {"row": right(p)["column"].T, "column": right(p)["row"].T}),
                  "swapped")  # fmt: skip
    assert finding.tensors == ("row", "column")


def test_equal_gradients_may_stand_anywhere() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(3, 4))

    def cost(p: Any) -> float:
        return float(0.5 * np.sum((p["A"] + p["B"] - target) ** 2))

    def grads(p: Any) -> Any:
        g = p["A"] + p["B"] - target
        return {"A": g.copy(), "B": g.copy()}

    params = {"A": rng.normal(size=(3, 4)), "B": rng.normal(size=(3, 4))}
    silent(gp.check(cost, params, grads))
    report = gp.check(cost, params, lambda p: {name: 2 * g for name, g in grads(p).items()})
    assert causes(report) == {"factor"}


def test_one_in_anothers_place_is_a_copy_and_no_exchange() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        g = model.grads(params, *data, **options)
        return {**g, "b1": g["b2"].copy()}

    report = check(model, grads=grads)
    assert report.verdict == "wrong"
    assert [(f.cause, f.detail, f.tensors) for f in report.findings] == [("swapped", "copy of b2's gradient", ("b1",))]


def test_exchanged_and_negated_is_not_an_exchange() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        g = model.grads(params, *data, **options)
        return {**g, "W2": -g["W3"], "W3": g["W2"]}

    assert "swapped" not in causes(check(model, grads=grads))


def test_right() -> None:
    for name in ("course", "attention"):
        silent(check(net(name)))


@pytest.mark.filterwarnings("error")
def test_a_complex_claim_is_no_candidate_for_a_real_tensor() -> None:
    rng = np.random.default_rng(6)
    params = {"z": rng.standard_normal(6) + 1j * rng.standard_normal(6), "x": rng.standard_normal((2, 3))}

    def cost(p: dict[str, Any]) -> float:
        return float(np.sum(np.abs(p["z"]) ** 4) + np.sum(np.tanh(p["x"])))

    def grads(p: dict[str, Any]) -> dict[str, Any]:
        return {"z": 4.0 * np.abs(p["z"]) ** 2 * p["z"], "x": 1.0 - np.tanh(p["x"])}

    report = gp.check(cost, params, grads)
    assert [name for name, t in report.tensors.items() if t.verdict == "wrong"] == ["x"]
    assert "swapped" not in {f.cause for f in report.findings}
