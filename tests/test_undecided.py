"""What a report says where nothing is proven: no bound that was taken back, and what would help."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradproof as gp

Z = np.r_[0.0, np.linspace(0.3, 2.0, 5), -np.linspace(0.4, 1.7, 4)]


def bent(z: Any) -> float:
    return float(np.sum(np.maximum(z, 0.0) + z**2))


def rounded(z: Any) -> float:
    return float(np.round(np.sum(z**2), 4))


KINK = (bent, (Z > 0.0) + 2.0 * Z)
STEPS = (rounded, 2.0 * Z)


@pytest.mark.parametrize("method", ["auto", "exhaustive"])
@pytest.mark.parametrize(("cost", "claim"), [KINK, STEPS], ids=["kink", "staircase"])
@pytest.mark.parametrize("seed", range(3))
def test_a_mismatch_that_was_taken_back_bounds_nothing(cost: Callable[[Any], float], claim: Any, method: str, seed: int) -> None:
    report = gp.check(cost, Z, claim, method=method, seed=seed)
    assert report.verdict == "undecided", report
    assert report.tensors["z"].difference.low == 0.0
    assert report.difference.low == 0.0
    assert ": a bug" not in str(report)
