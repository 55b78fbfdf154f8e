from typing import Any

import numpy as np
from rebuilt import named, nothing

import gradproof as gp


def table(fault: str = "") -> gp.Report:
    rng = np.random.default_rng(2)
    params = {"E": rng.normal(size=(9, 3)), "W": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    distinct = fault == "distinct"
    words = np.arange(8).reshape(4, 2) if distinct else rng.integers(0, 5, (6, 2))
    labels = rng.normal(size=(len(words), 2))

    def cost(p: Any, words: Any, labels: Any) -> float:
        y = np.tanh(p["E"][words].mean(axis=1)) @ p["W"] + p["b"]
        return float(0.5 * np.sum((y - labels) ** 2) / len(words))

    def grads(p: Any, words: Any, labels: Any) -> Any:
        a = np.tanh(p["E"][words].mean(axis=1))
        d = (a @ p["W"] + p["b"] - labels) / len(words)
        each = np.repeat((d @ p["W"].T * (1 - a**2))[:, None] / 2, 2, axis=1)
        dE = np.zeros_like(p["E"])
        if fault in ("=", "distinct"):
            dE[words] = each
        elif fault == "+=":
            dE[words] += each
        else:
            np.add.at(dE, words, each)
        if fault == "counts":
            dE *= np.bincount(words.ravel(), minlength=9)[:, None]
        return {"E": dE, "W": a.T @ d, "b": d.sum(axis=0)}

    return gp.check(cost, params, grads, data=(words, labels), examples_axis=0)


def test_assigned_instead_of_added() -> None:
    for fault in ("=", "+="):
        named(table(fault), "overwritten", "E", detail="repeated indices", proven=False)


def test_times_the_counts() -> None:
    named(table("counts"), "accumulated", "E", detail="multiplied by the counts")


def test_near_miss_and_right() -> None:
    nothing(table("distinct"))
    nothing(table())
