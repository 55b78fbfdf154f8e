"""Steps close to the point are found where a part of the cost is rounded, and a cost that cancels is let go early."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._records import Estimate
from gradproof._verdict import staircase

Params = dict[str, Any]
SIZE = 400


def parted(share: float, grid: float, way: str, seed: int = 0) -> tuple[Any, Params, Any]:
    """A cost with a part that is rounded to a grid, and its derivative between two steps."""
    weights, inner, x = np.random.default_rng(seed).standard_normal((3, SIZE))

    def cost(p: Params) -> float:
        part = inner * np.cos(p["x"])
        rounded = np.round(part.sum() / grid) if way == "sum" else np.round(part / grid).sum()
        return float(weights @ np.sin(p["x"]) + share * grid * rounded)

    return cost, {"x": x}, lambda p: {"x": weights * np.cos(p["x"])}


@pytest.mark.parametrize(
    ("share", "grid", "way"),
    [
        (1e-5, 1e-6, "sum"), (1e-3, 1e-8, "each"), (1e-3, 1e-6, "sum"), (1e-3, 1e-5, "each"),
        (0.1, 1e-10, "sum"), (0.1, 1e-10, "each"), (0.1, 1e-8, "sum"), (0.1, 1e-6, "each"),
    ],
)  # fmt: skip
def test_what_is_right_between_two_steps_is_not_called_wrong(share: float, grid: float, way: str) -> None:
    report = gp.check(*parted(share, grid, way), method="probe")
    assert report.verdict == "undecided"
    assert "staircase" in report.tensors["x"].reason


def cancelling(far: float) -> tuple[Any, Params, Any]:
    """A cost of terms that cancel, so that their rounding is much beside it, with one element of the gradient off."""
    weights, x = np.random.default_rng(3).standard_normal((2, 2_000))
    weights[0] += (3.0 - weights @ np.sin(x)) / np.sin(x[0])

    def grads(p: Params) -> Params:
        right = weights * np.cos(p["x"])
        right[7] += far
        return {"x": right}

    return lambda p: float(np.sum(weights * np.sin(p["x"]))), {"x": x}, grads


def test_looks_that_agree_with_a_mismatch_need_no_closer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[bool, int]] = []
    whole = staircase.steps_close

    def counted(reference: Any, probes: Any) -> bool:
        before = reference.spent
        found = whole(reference, probes)
        looks.append((found, reference.spent - before))
        return found

    monkeypatch.setattr("gradproof._verdict.judge.steps_close", counted)
    report = gp.check(*cancelling(0.1), method="probe")
    assert report.verdict == "wrong"
    assert looks == [(False, 4 * staircase.ROW)]
    gp.check(*parted(0.1, 1e-8, "sum"), method="probe")
    assert any(found and spent > 2 * staircase.ROW for found, spent in looks[1:])


@pytest.mark.parametrize(
    ("slope", "mismatch", "bar", "still"),
    [(1.0, 1e-3, 1e-6, False), (1.0, 1.0 - 1e-6, 1e-9, True), (1.0, 0.5, 0.2, True), (0.0, 0.0, 1e-9, True)],
)
def test_a_cost_that_is_seen_to_move_does_not_stand_still(
    monkeypatch: pytest.MonkeyPatch, slope: float, mismatch: float, bar: float, *, still: bool
) -> None:
    asked: list[Any] = []

    class Evaluator:
        def lines(self, rays: Any) -> Any:
            asked.extend(rays)
            return [type("Samples", (), {"costs": [1.0] * len(ray.steps)}) for ray in rays]

    reference: Any = type("Reference", (), {"noise": type("Noise", (), {"cost": 1.0}), "evaluator": Evaluator()})
    found = Estimate(mismatch, bar, slope, 1e-5, bar, 0.0, 0.0, 0.0, 0.0, 0.0, 4)
    assert not staircase.steps_far(reference, [(None, found, 1.0)])  # type: ignore[list-item]
    assert bool(asked) == still
