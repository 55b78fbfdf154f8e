"""Gradients that are right once and spoil what a second call needs."""

from typing import Any

import numpy as np
from tiny import check, only, tiny

import gradproof as gp
from planted.base import Array, Tree
from planted.course import Run


def logistic() -> tuple[Any, dict[str, Array], dict[str, Any]]:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(6, 3)), (rng.random(6) < 0.5) * 1.0
    cache: dict[str, Any] = {}

    def cost(params: Tree) -> float:
        z = X @ params["w"]
        cache["a"] = 1 / (1 + np.exp(-z))
        return float(np.mean(np.logaddexp(0, z) - y * z))

    return cost, {"w": rng.normal(size=3)}, {"X": X, "y": y, "cache": cache}


def test_a_cache_of_the_gradients_own_is_spoilt() -> None:
    model = tiny()
    known: dict[bytes, Run] = {}
    network: Any = model.grads.__self__  # type: ignore[attr-defined]

    def grads(params: Tree, X: Array, Y: Array, **options: Any) -> Tree:
        key = b"".join(np.asarray(v).tobytes() for v in (*params.values(), X, Y, options["lambd"]))
        run = known.setdefault(key, network.forward(params, X, Y, **options))
        gradient: Tree = network.backward(run)
        run.A[3] -= Y
        return gradient

    report = check(model, grads)
    finding = only(report)
    assert (report.verdict, finding.cause, finding.detail) == ("wrong", "not-reentrant", "right once")
    assert set(finding.tensors) == set(model.params)
    assert "known" in finding.message
    assert finding.also == ("aliasing",)


def test_a_second_call_on_one_forward_pass_is_a_warning() -> None:
    cost, params, held = logistic()

    def grads(params: Tree) -> Tree:
        dz = held["cache"]["a"]
        dz -= held["y"]
        return {"w": held["X"].T @ dz / 6}

    report = gp.check(cost, params, grads)
    finding = only(report)
    assert report.passed
    assert (finding.cause, finding.severity) == ("not-reentrant", "warning")
    assert "after one forward pass" in finding.message


def test_a_copy_of_the_cache_is_right() -> None:
    cost, params, held = logistic()

    def grads(params: Tree) -> Tree:
        return {"w": held["X"].T @ (held["cache"]["a"] - held["y"]) / 6}

    report = gp.check(cost, params, grads)
    assert report.passed
    assert report.findings == ()


def test_a_cache_that_is_used_up_is_right() -> None:
    cost, params, held = logistic()

    def grads(params: Tree) -> Tree:
        return {"w": held["X"].T @ (held["cache"].pop("a") - held["y"]) / 6}

    report = gp.check(cost, params, grads)
    assert report.passed
    assert report.findings == ()


def test_state_that_cannot_be_seen() -> None:
    """Right once and wrong from then on, with nothing in reach that changes: still not chance."""
    from planted import normed

    fault = next(f for f in normed.planted(0, "tanh", 0) if f.recipe == "a second pass over a spoilt cache")
    report = gp.check(*fault.closed())
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "not-reentrant"
    assert "right at the first call" in report.findings[0].message
