"""``transposed``: axes exchanged, in whole gradients and in their data parts."""

from typing import Any

import numpy as np
import pytest
from told import causes, check, net, silent, told

import gradproof as gp
from planted.base import changing

# Square weights: the middle layers of the course network, one of each other network.
SQUARE = [("course", "W2"), ("course", "W3"), ("softmax", "layers.1.weight"), ("normed", "W2"), ("recurrent", "Wh")]


@pytest.mark.parametrize(("name", "tensor"), SQUARE)
def test_a_square_matrix(name: str, tensor: str) -> None:
    finding = told(net(name), "transposed", {tensor: lambda g: g.T.copy()}, detail="the transpose of what it should be")
    assert finding.message == f"The gradient of {tensor} is the transpose of what it should be."
    assert finding.where.text == f"all of {tensor}"
    assert finding.factor is None
    assert finding.also == ()


@pytest.mark.parametrize(("sizes", "layer"), [("first", 0), ("middle", 1), ("last", 2)])
def test_at_every_layer(sizes: str, layer: int) -> None:
    """A chain of square matrices, so that the first and the last can be transposed too."""
    rng = np.random.default_rng(3)
    params = {f"W{k}": rng.normal(size=(4, 4)) for k in range(3)}
    X, Y = rng.normal(size=(4, 7)), rng.normal(size=(4, 7))

    def passed(p: Any) -> list[Any]:
        A = [X]
        for k in range(3):
            A.append(np.tanh(p[f"W{k}"] @ A[-1]))
        return A

    def grads(p: Any) -> Any:
        A, found = passed(p), {}
        d = A[-1] - Y
        for k in (2, 1, 0):
            d = d * (1 - A[k + 1] ** 2)
            found[f"W{k}"] = d @ A[k].T
            d = p[f"W{k}"].T @ d
        return {name: found[name].T.copy() if name == f"W{layer}" else found[name] for name in p}

    report = gp.check(lambda p: float(np.sum((passed(p)[-1] - Y) ** 2) / 2), params, grads)
    (finding,) = report.findings
    assert (finding.cause, finding.tensors) == ("transposed", (f"W{layer}",)), sizes
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


@pytest.mark.parametrize("layer", [2, 3])
def test_the_data_part_alone(layer: int) -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        return model.grads(params, *data, fault={("dW", layer): lambda g, run: g.T}, **options)

    (finding,) = check(model, grads=grads).findings
    assert (finding.cause, finding.tensors) == ("transposed", (f"W{layer}",))
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_kernels_with_exchanged_axes() -> None:
    finding = told(net("convolution"), "transposed", {"K2": lambda g: g.transpose(0, 1, 3, 2).copy()})
    assert finding.detail == "with its axes in the order (0, 1, 3, 2)"
    both = told(net("convolution"), "transposed", {"K2": lambda g: g.transpose(1, 0, 3, 2).copy()})
    assert both.detail == "with its axes in the order (1, 0, 3, 2)"


def symmetric(uneven: float) -> gp.Report:
    """The gradient of a quadratic form, its transpose claimed; the form is as uneven as asked."""
    rng = np.random.default_rng(0)
    S = rng.normal(size=(5, 5))
    S = S + S.T + uneven * rng.normal(size=(5, 5))
    return gp.check(lambda p: float(np.sum(S * np.sin(p["W"]))), {"W": np.full((5, 5), 0.3)}, lambda p: {
        "W": (S * np.cos(p["W"])).T.copy()})  # fmt: skip


def test_almost_symmetric() -> None:
    for uneven in (0.0, 1e-9):
        silent(symmetric(uneven))
    (finding,) = symmetric(1e-2).findings
    assert finding.cause == "transposed"


@pytest.mark.parametrize(
    "change",
    [lambda g: -g.T, lambda g: 2 * g.T, lambda g: g.T + 1e-3, lambda g: g + g.T, lambda g: (g + g.T) / 2, np.triu],
)
def test_what_is_more_than_a_transpose(change: Any) -> None:
    report = check(net("course"), {"W3": lambda g: np.array(change(g))})
    assert report.verdict == "wrong"
    assert "transposed" not in causes(report)


def test_right() -> None:
    for name in ("course", "convolution", "recurrent"):
        silent(check(net(name)))
    model = net("course")
    view = changing(model.grads, W3=lambda g: np.asfortranarray(g))
    silent(check(model, grads=view))
