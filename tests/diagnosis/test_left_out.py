"""An example left out of a model that is none of those known, so that only the data can tell."""

from typing import Any

import numpy as np
import pytest
from rebuilt import named, nothing

import gradproof as gp


def checked(fault: str = "", decay: float = 0.0) -> gp.Report:
    """A layer with an activation of its own, and a cost of its own."""
    rng = np.random.default_rng(6)
    m, n_x, n = 7, 4, 5
    p = {"U": 0.7 * rng.normal(size=(n_x, n)), "V": 0.7 * rng.normal(size=(n_x, n)), "w": rng.normal(size=n)}
    data = rng.normal(size=(m, n_x)), rng.normal(size=m)

    def cost(p: Any, X: Any, y: Any) -> float:
        e = (np.sin(X @ p["U"]) * (X @ p["V"]) ** 2) @ p["w"] - y
        return float(np.mean(np.log(1 + e**2)) + 0.5 * decay * sum(np.sum(v**2) for v in p.values()) / len(X))

    def grads(p: Any, X: Any, y: Any) -> Any:
        s, q = X @ p["U"], X @ p["V"]
        h = np.sin(s) * q**2
        e = h @ p["w"] - y
        d = (2 * e / (1 + e**2) / len(X))[:, None]
        g = {"U": X.T @ (d * p["w"] * np.cos(s) * q**2), "w": h.T @ d[:, 0]}
        back = d * p["w"] * np.sin(s) * 2 * q
        rows = {"last": slice(None, -1), "first": slice(1, None), "half": slice(3, None)}.get(fault, slice(None))
        g["V"] = X[rows].T @ back[rows]
        if fault == "twice":
            g["V"] = g["V"] + np.outer(X[-1], back[-1])
        return {name: g[name] + decay * p[name] / len(X) for name in p}

    return gp.check(cost, p, grads, data=data, examples_axis=0)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_left_out(decay: float) -> None:
    named(checked("last", decay), "region", "V", detail="the last example left out")
    named(checked("first", decay), "region", "V", detail="the first example left out")


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_counted_twice(decay: float) -> None:
    named(checked("twice", decay), "accumulated", "V", detail="the last example counted twice")


def test_three_of_them_left_out_are_not_called_one() -> None:
    assert [(f.cause, f.detail[:14]) for f in checked("half").findings] == [("region", "only the last ")]


def test_right() -> None:
    nothing(checked())
    nothing(checked(decay=0.9))
