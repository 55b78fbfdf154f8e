"""Slips in recurrent models that are recognised: one planted at a time, near misses, right gradients."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from rebuilt import named, nothing

import gradproof as gp
from planted import Planted
from planted.recurrent import planted
from strangers.models_gated import gru_cost, gru_grads

SLIPS = {
    "dWx assigned in the loop": ("overwritten", "only the first step"),
    "dWh assigned in the loop": ("overwritten", "only the first step"),
    "db assigned in the loop": ("overwritten", "only the first step"),
    "db without the sum over steps": ("overwritten", "only the last step"),
    "dWy assigned in the loop": ("overwritten", "only the first step"),
    "dWh of the state after": ("wrong-cache", "the state of the step itself for the state of the step before"),
    "dWx of the step before": ("wrong-cache", "the input of the step before"),
    "dWy of the state before": ("wrong-cache", "the state of the step before"),
    "dWh of the pre-activation": ("wrong-cache", "the pre-activation of the state of the step before"),
    "first step skipped": ("region", "first step left out"),
    "last step skipped": ("region", "the last step left out"),
    "last example left out of the hidden delta": ("region", "the last example left out"),
    "nothing carried back": ("missing-path", "nothing carried back"),
    "output path missing before the last step": ("missing-path", "Wy at the last step only"),
    "carried back by the diagonal of Wh": ("missing-path", "only the diagonal of Wh"),
    "carried back within chunks of 2 steps": ("truncated", "after 2 steps"),
    "carried back within chunks of 3 steps": ("truncated", "after 3 steps"),
    "carried back negative": ("sign", "Wh in the step back"),
    "hidden delta negative": ("sign", "negative at"),
    "1/m again in the hidden delta": ("factor", "factor 1/m"),
    "Wh for its transpose": ("transposed", "Wh in the step back"),
    "activation derivative missing": ("activation-derivative", "missing"),
    "activation derivative at the activation": ("activation-derivative", "derivative of tanh at A"),
    "activation derivative of another function": ("activation-derivative", "derivative of sigmoid"),
    "activation derivative of the step before": ("activation-derivative", "of the step before"),
    "Wy updated before its use": ("early-update", "Wy updated before its use"),
    "squared error for cross entropy": ("other-loss", "the squared error of a softmax"),
    "cost of the last step only": ("other-loss", "all steps for the last"),
    "epsilon in the logarithm": ("stabiliser", "0.001 inside the logarithm"),
}


@cache
def faults(size: int = 1, seed: int = 6) -> dict[str, Planted]:
    found: dict[str, Planted] = {}
    for fault in planted(seed, "tanh", size):
        found.setdefault(fault.recipe, fault)
    return found


def checked(fault: Planted) -> gp.Report:
    given = fault.arguments()
    return gp.check(given.pop("cost"), given.pop("params"), given.pop("grads"), **given)


@pytest.mark.parametrize("recipe", SLIPS)
def test_named_with_its_proof(recipe: str) -> None:
    fault = faults(list(SLIPS).index(recipe) % 2)[recipe]
    cause, detail = SLIPS[recipe]
    named(checked(fault), cause, *fault.tensors, detail=detail)


def test_near_misses_and_right_gradients() -> None:
    right = [fault for fault in faults().values() if not fault.cause]
    assert len(right) > 10
    for fault in right:
        nothing(checked(fault))


@pytest.mark.parametrize("habit", ["labels as numbers", "one-hot words from numbers", "the last step alone"])
@pytest.mark.parametrize("fault", ["", "state after", "transposed"])
def test_other_layouts(habit: str, fault: str) -> None:
    rng = np.random.default_rng(9)
    m, steps, n_x, n, classes = 6, 5, 7, 4, 3
    p = {
        "Wxh": 0.6 * rng.normal(size=(n_x, n)), "Whh": 0.6 * rng.normal(size=(n, n)), "bh": 0.2 * rng.normal(size=n),
        "Why": rng.normal(size=(n, classes)), "by": 0.2 * rng.normal(size=classes),
    }  # fmt: skip
    words, last = habit.startswith("one-hot"), habit.startswith("the last")
    X: Any = rng.integers(0, n_x, (m, steps)) if words else rng.normal(size=(m, steps, n_x))
    Y: Any = rng.integers(0, classes, m if last else (m, steps))

    def passed(p: Any, X: Any, Y: Any) -> tuple[float, Any]:
        x = np.eye(n_x)[X] if words else X
        H, d, loss = [np.zeros((len(x), n))], [], 0.0
        for t in range(steps):
            H.append(np.tanh(x[:, t] @ p["Wxh"] + H[-1] @ p["Whh"] + p["bh"]))
            z = H[-1] @ p["Why"] + p["by"]
            P = np.exp(z - z.max(axis=1, keepdims=True))
            P = P / P.sum(axis=1, keepdims=True)
            counted = (not last) or t == steps - 1
            labels = np.eye(classes)[Y if last else Y[:, t]]
            loss -= counted * float(np.sum(labels * np.log(P))) / len(x)
            d.append(counted * (P - labels) / len(x))
        g = {name: np.zeros_like(w) for name, w in p.items()}
        dh = np.zeros_like(H[0])
        for t in reversed(range(steps)):
            g["Why"] += H[t + 1].T @ d[t]
            g["by"] += d[t].sum(axis=0)
            dz = (d[t] @ p["Why"].T + dh) * (1 - H[t + 1] ** 2)
            g["Wxh"] += x[:, t].T @ dz
            g["Whh"] += H[t + (fault == "state after")].T @ dz
            g["bh"] += dz.sum(axis=0)
            dh = dz @ (p["Whh"] if fault == "transposed" else p["Whh"].T)
        return loss, g

    report = gp.check(lambda *a: passed(*a)[0], p, lambda *a: passed(*a)[1], data=(X, Y), examples_axis=0)
    if not fault:
        nothing(report)
    elif fault == "state after":
        named(report, "wrong-cache", "Whh", detail="the state of the step itself for the state of the step before")
    else:
        named(report, "transposed", "Wxh", "Whh", "bh", detail="Whh in the step back")


GATED = {
    "z-sign": ("sign", "the update gate"),
    "n-derivative": ("activation-derivative", "a(1 - a) for the derivative of tanh"),
    "un-without-reset": ("wrong-cache", "the state of the step before for the state times the reset gate"),
    "state-after": ("wrong-cache", "the state of the step itself for the state of the step before"),
    "no-skip": ("missing-path", "the update gate times the state missing"),
    "no-r-path": ("missing-path", "nothing carried back"),
    "reset-missing": ("missing-path", "the reset gate missing"),
    "": ("", ""),
}


@pytest.mark.parametrize("bug", GATED)
def test_gated(bug: str) -> None:
    rng = np.random.default_rng(3)
    n, q, m = 3, 4, 6
    p: dict[str, Any] = {}
    for gate in "zrn":
        p[f"W{gate}"], p[f"U{gate}"] = rng.normal(size=(n, q)) * 0.8, rng.normal(size=(q, q)) * 0.8
        p[f"b{gate}"] = rng.normal(size=q) * 0.4
    p["v"], p["a"] = rng.normal(size=q), np.array([0.3])
    data = rng.normal(size=(m, 5, n)), rng.normal(size=m)

    def grads(p: Any, x: Any, y: Any) -> Any:
        return gru_grads(p, x, y, bug=bug)

    report = gp.check(gru_cost, p, grads, data=data, examples_axis=0)
    if not bug:
        nothing(report)
        return
    right, claimed = gru_grads(p, *data), gru_grads(p, *data, bug=bug)
    wrong = [name for name in p if not np.allclose(right[name], claimed[name], rtol=1e-9, atol=1e-12)]
    named(report, GATED[bug][0], *wrong, detail=GATED[bug][1])


def test_two_slips_at_once_are_not_named() -> None:
    """Nothing is said that would not be proven: a slip is one, in one place."""
    fault = faults()["dWh of the state after"]
    given = fault.arguments()
    claim = given.pop("grads")

    def grads(*a: Any, **k: Any) -> Any:
        g = claim(*a, **k)
        return {**g, "Wh": g["Wh"] * np.linspace(1.0, 1.5, len(g["Wh"]))[:, None]}

    report = gp.check(given.pop("cost"), given.pop("params"), grads, **given)
    assert [f.cause for f in report.findings if f.severity == "error"] == ["unexplained"]
