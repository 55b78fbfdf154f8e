"""What the tests of causes in rebuilt networks share: checks of planted faults and of right gradients."""

import itertools
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

import gradproof as gp
from planted.base import Model
from planted.course import build

__all__ = ["check", "hidden", "model", "named", "nothing"]

Fault = Mapping[tuple[str, int], Callable[..., Any]]


@cache
def model(activation: str = "tanh", **kind: Any) -> Model:
    """Sizes 5, 6, 6, 6, 4 and 9 examples: layers 2 and 3 are square."""
    return build(11, activation, "small", **kind)


def check(net: Model, fault: Fault | None = None, **changes: Any) -> gp.Report:
    """Checks a network with a fault in its backward pass; ``options`` are added to its own."""
    options = {**net.options, **changes.pop("options", {})}

    def grads(params: Any, *data: Any, **given: Any) -> Any:
        return net.grads(params, *data, fault=fault, **given)

    given = {"cost": net.cost, "params": net.params, "grads": grads, "data": net.data, **changes}
    return gp.check(examples_axis=1, options=options, **given)


def named(report: gp.Report, cause: str, *tensors: str, detail: str = "", proven: bool = True) -> None:
    """Demands that one finding, and no other, names the cause for exactly these tensors."""
    errors = [f for f in report.findings if f.severity == "error"]
    assert [f.cause for f in errors] == [cause], report
    assert set(errors[0].tensors) == set(tensors), report
    assert detail in errors[0].detail, errors[0].detail
    assert not proven or (errors[0].repaired is not None and errors[0].repaired < 1e-6), report
    assert errors[0].message.endswith((".", ")")), errors[0].message
    assert "{" not in errors[0].message + errors[0].fix, errors[0].message


def nothing(report: gp.Report) -> None:
    """Demands a right gradient without findings."""
    assert report.verdict == "correct", report
    assert not report.findings, report


def hidden(layer: int) -> list[str]:
    """The tensors of a layer and of all below."""
    return [f"{letter}{k}" for k in range(1, layer + 1) for letter in "Wb"]


def rows_network(loss: str) -> tuple[Callable[..., Any], Callable[..., Any], Any, tuple[Any, Any]]:
    """Examples in rows, nested names, labels as numbers; with "own" the cost is none that is known."""
    rng = np.random.default_rng(5)
    sizes = (5, 6, 6, 6, 4)
    layers = [
        {"weight": 1.3 * rng.normal(size=(a, b)) / np.sqrt(a), "bias": 0.3 * rng.normal(size=b)}
        for a, b in itertools.pairwise(sizes)
    ]

    def forward(params: Any, X: Any) -> tuple[list[Any], list[Any]]:
        A, Z = [X], []
        for k, layer in enumerate(params["layers"]):
            Z.append(A[-1] @ layer["weight"] + layer["bias"])
            A.append(np.tanh(Z[-1]) if k < 3 else Z[-1])
        return A, Z

    def output(Z: Any, labels: Any) -> tuple[float, Any]:
        m, Y = len(labels), np.eye(4)[labels]
        if loss == "own":
            r, w = Z - Y, np.arange(1.0, 5.0)
            return float(np.sum(w * (np.sqrt(1 + r**2) - 1)) / m), w * r / np.sqrt(1 + r**2) / m
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        P = P / P.sum(axis=1, keepdims=True)
        return float(-np.sum(Y * np.log(P)) / m), (P - Y) / m

    def cost(params: Any, X: Any, labels: Any) -> float:
        return output(forward(params, X)[1][-1], labels)[0]

    def grads(params: Any, X: Any, labels: Any, *, bug: str = "") -> Any:
        A, Z = forward(params, X)
        d = output(Z[-1], labels)[1]
        found: list[Any] = [None] * 4
        for k in (3, 2, 1, 0):
            found[k] = {"weight": (Z[k - 1] if bug == f"Z{k}" else A[k]).T @ d, "bias": d.sum(axis=0)}
            W = params["layers"][k]["weight"]
            d = d @ (W if bug == f"transposed {k}" else W.T)
            d = d if bug == f"missing {k}" else d * (1 - A[k] ** 2)
            if bug == f"last {k}":
                d[-1] = 0
        return {"layers": found}

    data = rng.normal(size=(12, 5)), rng.integers(0, 4, 12)
    return cost, grads, {"layers": layers}, data
