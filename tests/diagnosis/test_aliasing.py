"""Arrays that are changed in place, or that stand for two gradients."""

from typing import Any

import numpy as np
import pytest
from tiny import check, only, tiny

import gradproof as gp
from planted.base import Array, Tree


def test_labels_changed_in_place() -> None:
    model = tiny()
    before = [array.copy() for array in model.data]

    def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
        gradient = model.grads(params, X, Y, **options)
        Y += 0.3
        return gradient

    report = check(model, grads)
    finding = only(report)
    assert (report.verdict, finding.cause, finding.detail) == ("wrong", "aliasing", "data changed in place")
    assert "changes Y in place" in finding.message
    assert all(np.array_equal(a, b) for a, b in zip(before, model.data, strict=True)), "put back"


def test_labels_in_a_closure() -> None:
    model = tiny()
    X, Y = (array.copy() for array in model.data)

    def cost(params: Tree) -> float:
        return model.cost(params, X, Y, **model.options)

    def grads(params: Tree) -> Tree:
        gradient = model.grads(params, X, Y, **model.options)
        Y[...] = 1 - Y
        return gradient

    finding = only(gp.check(cost, model.params, grads))
    assert (finding.cause, finding.severity) == ("aliasing", "error")
    assert "changes Y in place" in finding.message
    assert np.array_equal(Y, model.data[1])


def test_data_changed_without_harm_is_a_warning() -> None:
    model = tiny()
    X = model.data[0]
    X[X < -1] = -1

    def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
        gradient = model.grads(params, X, Y, **options)
        Y[Y < 0.5] = -0.0  # the same number
        X[0, 0] = np.nextafter(X[0, 0], 9.0)
        return gradient

    report = check(model, grads)
    assert report.passed
    assert all((f.cause, f.severity) == ("aliasing", "warning") for f in report.findings)


def test_a_buffer_of_the_gradients_own_is_right() -> None:
    model = tiny()
    buffers = {name: np.empty_like(value) for name, value in model.params.items()}

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        for name, value in model.grads(params, *data, **options).items():
            buffers[name][...] = value
        return buffers

    report = check(model, grads)
    assert report.passed
    assert report.findings == ()


def test_two_gradients_in_one_array() -> None:
    rng = np.random.default_rng(0)
    A, params = rng.normal(size=(4, 4)), {"u": rng.normal(size=4), "v": rng.normal(size=4)}

    def cost(params: Tree) -> float:
        return float(np.sum(np.sin(params["u"])) + params["v"] @ A @ params["v"])

    def grads(params: Tree) -> Tree:
        buffer = np.empty(4)
        gradient = {"u": np.cos(params["u"], out=buffer)}
        buffer[...] = (A + A.T) @ params["v"]
        return {**gradient, "v": buffer}

    finding = only(gp.check(cost, params, grads))
    assert (finding.cause, finding.tensors) == ("aliasing", ("u",))
    assert "one array" in finding.message


def test_two_right_gradients_in_one_array_are_right() -> None:
    params = {"u": np.arange(3.0), "v": np.arange(3.0)}

    def grads(params: Tree) -> Tree:
        shared = np.ones(3)
        return {"u": shared, "v": shared}

    report = gp.check(lambda p: float(np.sum(p["u"]) + np.sum(p["v"])), params, grads)
    assert report.passed
    assert report.findings == ()


def test_the_parameters_themselves() -> None:
    params = {"w": np.linspace(0.3, 2.0, 12)}
    finding = only(gp.check(lambda p: float(np.sum(p["w"] ** 3)), params, lambda p: {"w": p["w"]}))
    assert (finding.cause, finding.detail) == ("aliasing", "the parameters themselves")
    right = gp.check(lambda p: float(np.sum(p["w"] ** 2) / 2), params, lambda p: {"w": p["w"]})
    assert right.passed
    assert right.findings == ()


def test_parameters_changed_in_place_name_the_early_update() -> None:
    def grads(params: Tree) -> Tree:
        gradient = {"w": 2 * params["w"]}
        params["w"] -= 0.1 * gradient["w"]
        return gradient

    with pytest.raises(gp.InputError, match="early-update"):
        gp.check(lambda p: float(np.sum(p["w"] ** 2)), {"w": np.ones(3)}, grads)
