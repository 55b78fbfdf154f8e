"""Arrays that stay in lower precision: parameters are moved by what survives their rounding."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._records import in_format


def verdict(dtype: type, factor: float, seed: int) -> str:
    """Of a gradient that is off by a factor, of live arrays of a format, with the cost in double precision."""
    rng = np.random.default_rng(100 + seed)
    W: Any = rng.standard_normal((3, 2)).astype(dtype)
    X = rng.standard_normal((8, 3))

    def cost() -> float:
        return float(np.sum(np.tanh(X @ W.astype(float)) ** 2))

    def grads() -> Any:
        A = np.tanh(X @ W.astype(float))
        return (factor * X.T @ (2 * A * (1 - A**2))).astype(dtype)

    return gp.check(cost, W, grads, seed=seed).verdict


@pytest.mark.parametrize("seed", range(6))
def test_single_precision_is_judged(seed: int) -> None:
    assert verdict(np.float32, 1.0, seed) == "correct"
    assert verdict(np.float32, 1.2, seed) == "wrong"
    assert verdict(np.float32, 1.01, seed) != "correct"
    assert verdict(np.float32, 1.0001, seed) != "wrong", "less than the tolerance for such claims"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("factor", [-1.0, 1.2, 1.5])
def test_half_precision_never_passes_what_is_wrong(factor: float, seed: int) -> None:
    assert verdict(np.float16, factor, seed) != "correct"
    assert verdict(np.float16, 1.0, seed) != "wrong"


def test_rounding_to_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(10_000) * 10.0 ** np.random.default_rng(1).integers(
        -30, 30, 10_000
    )
    values[:4] = 0.0, -0.0, 1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8  # two ties
    assert np.array_equal(in_format(values, "bfloat16"), torch.from_numpy(values).bfloat16().double().numpy())


@pytest.mark.parametrize("factor", [1.0, 1.0024, 1.1])
def test_a_mismatch_at_the_tolerance_is_said_to_be_one(factor: float) -> None:
    """A factor of 1.0024 makes a difference of 1.2e-3 beside 1e-3: no rounding hides it, it takes every element."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 10)), rng.normal(size=20)
    params = {"W": rng.normal(size=(10, 8)).astype(np.float32), "v": rng.normal(size=8).astype(np.float32)}

    def cost(p: Any) -> float:
        return float(np.mean((np.tanh(X @ p["W"].astype(float)) @ p["v"].astype(float) - y) ** 2))

    def grads(p: Any) -> Any:
        W, v = p["W"].astype(float), p["v"].astype(float)
        h = np.tanh(X @ W)
        d = 2 * (h @ v - y) / 20
        dW = factor * (X.T @ (np.outer(d, v) * (1 - h * h)))
        return {"W": dW.astype(np.float32), "v": (h.T @ d).astype(np.float32)}

    found = gp.check(cost, params, grads).tensors["W"]
    every = gp.check(cost, params, grads, method="exhaustive").tensors["W"]
    assert found.verdict == {1.0: "correct", 1.0024: "undecided", 1.1: "wrong"}[factor]
    assert every.verdict == ("correct" if factor == 1.0 else "wrong")
    assert ('method="exhaustive"' in found.reason) == (factor == 1.0024)


@pytest.mark.parametrize("method", ["auto", "probe"])
def test_a_claim_that_is_wrong_in_its_own_precision_alone_is_told_to_be(method: str) -> None:
    def grads(w: Any) -> Any:
        return np.cos(w) * (1.05 if w.dtype == np.float32 else 1.0)

    w: Any = np.linspace(0.2, 1.3, 6, dtype=np.float32)
    report = gp.check(lambda w: np.sum(np.sin(w)), w, grads, method=method)
    (finding,) = report.findings
    assert (report.verdict, finding.detail) == ("wrong", "in its own precision alone")
    assert "its float64 version, which is right" in finding.message
    assert "branches" in finding.fix
    everywhere = gp.check(lambda w: np.sum(np.sin(w)), w, lambda w: 1.05 * np.cos(w), method=method)
    assert everywhere.verdict == "wrong"
    assert everywhere.findings[0].detail != "in its own precision alone"


def test_elements_are_not_pointed_to_where_none_was_measured() -> None:
    w: Any = np.linspace(0.2, 1.3, 6)
    report = gp.check(lambda w: np.sum(np.sin(w)), w, lambda w: np.cos(w) ** 2, method="probe")
    assert report.verdict == "wrong"
    assert not report.worst()
    assert "worst()" not in report.findings[0].fix


@pytest.mark.parametrize("seed", range(4))
def test_a_gradient_next_to_zero_that_is_the_same_in_both_precisions_is_correct(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w: Any = rng.standard_normal(3).astype(np.float32)
    tiny: Any = rng.standard_normal(2).astype(np.float32)

    def cost(p: Any) -> Any:
        return np.sum(1e6 * np.sin(p["w"])) + 2.0**-40 * np.sum(p["tiny"])

    def grads(p: Any) -> Any:
        return {"w": 1e6 * np.cos(p["w"]), "tiny": np.full_like(p["tiny"], 2.0**-40)}

    report = gp.check(cost, {"w": w, "tiny": tiny}, grads, seed=seed)
    assert report.verdict == "correct", report
    assert "both zero to the" in report.tensors["tiny"].reason

    def own(p: Any) -> Any:
        found = grads(p)
        return {**found, "tiny": found["tiny"] * 2 if found["tiny"].dtype == np.float32 else found["tiny"]}

    assert gp.check(cost, {"w": w, "tiny": tiny}, own, seed=seed).tensors["tiny"].verdict != "correct"
