from typing import Any

import numpy as np
import pytest
from rebuilt import named, nothing

import gradproof as gp

RNG = np.random.default_rng(3)
A = RNG.normal(size=(7, 5)) + 1j * RNG.normal(size=(7, 5))
Y = RNG.normal(size=7)
PARAMS = {"x": RNG.normal(size=5) + 1j * RNG.normal(size=5), "w": RNG.normal(size=7)}


def cost(p: Any) -> Any:
    return (((np.abs(A @ p["x"]) ** 2 - Y) * p["w"]) ** 2).sum()


def grads(p: Any, kind: str = "") -> Any:
    z = A @ p["x"]
    off = np.abs(z) ** 2 - Y
    dx = A.conj().T @ (4 * off * p["w"] ** 2 * z)
    made = {"": dx, "conjugate": dx.conj(), "by z": dx.conj() / 2, "not conjugated": A.T @ (4 * off * p["w"] ** 2 * z)}
    return {"x": made[kind], "w": 2 * off**2 * p["w"]}


@pytest.mark.parametrize(("kind", "detail"), [("conjugate", "the conjugate"), ("by z", "half the conjugate")])
def test_fires(kind: str, detail: str) -> None:
    for claim in (lambda p: grads(p, kind), grads(PARAMS, kind)):
        named(gp.check(cost, PARAMS, claim), "conjugate", "x", detail=detail)


def test_near_misses() -> None:
    report = gp.check(cost, PARAMS, lambda p: grads(p, "not conjugated"))
    assert report.verdict == "wrong"
    assert "conjugate" not in {f.cause for f in report.findings}
    real = {"x": PARAMS["x"].real + 0j, "w": PARAMS["w"]}
    assert gp.check(lambda p: (np.abs(p["x"]) ** 2).sum() + (p["w"] ** 2).sum(), real,
                    lambda p: {"x": 2 * p["x"].conj(), "w": 2 * p["w"]}).verdict == "correct"  # fmt: skip


def test_right() -> None:
    nothing(gp.check(cost, PARAMS, grads))
