"""What a report says where nothing is proven: no bound that was taken back, and what would help."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._pipeline.advice import HELP, what_helps
from gradproof._pipeline.tensors import REASONS

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
def test_a_mismatch_that_was_taken_back_bounds_nothing(
    cost: Callable[[Any], float], claim: Any, method: str, seed: int
) -> None:
    report = gp.check(cost, Z, claim, method=method, seed=seed)
    assert report.verdict == "undecided", report
    assert report.tensors["z"].difference.low == 0.0
    assert report.difference.low == 0.0
    assert ": a bug" not in str(report)


def wavy(z: Any) -> float:
    return float(np.sum(np.sin(z)))


def counted(z: Any) -> float:
    return float(int(np.sum(z)))


@pytest.mark.parametrize(
    ("cost", "grads", "options", "helps"),
    [
        (bent, KINK[1], {}, "pass the gradient as a function"),
        (rounded, STEPS[1], {}, "take the rounding, counting or comparing out of the cost"),
        (wavy, np.cos, {"budget": 12}, "allow a larger budget="),
        (wavy, np.cos(Z), {"budget": 30, "method": "exhaustive"}, "allow a larger budget="),
        (counted, np.ones(Z.size), {}, "evaluate the cost in float64"),
    ],
)
def test_it_is_said_what_would_decide(cost: Any, grads: Any, options: dict[str, Any], helps: str) -> None:
    report = gp.check(cost, Z, grads, **options)
    assert report.verdict == "undecided", report
    notes = [note for note in report.notes if note.startswith("To decide z: ")]
    assert len(notes) == 1
    assert helps in notes[0]
    assert helps in " ".join(str(report).split())


@pytest.mark.parametrize("computed", [False, True])
def test_a_function_of_the_gradient_is_asked_for_where_none_was_given(computed: bool) -> None:
    stuck = gp.check(bent, Z, KINK[1]).tensors["z"]
    (said,) = what_helps([stuck], computed=computed)
    assert ("pass the gradient as a function" in said) != computed


def test_nothing_is_advised_where_all_is_decided() -> None:
    for factor in (1.0, 2.0):
        report = gp.check(wavy, Z, lambda z, factor=factor: factor * np.cos(z))
        assert not any(note.startswith("To decide") for note in report.notes)


def test_every_reason_that_does_not_say_so_itself_has_its_help() -> None:
    says_so = {"close", "rounding"}
    assert set(HELP) == set(REASONS) - says_so
