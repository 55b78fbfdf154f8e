"""What a report says where nothing is proven: no bound that was taken back, and what would help."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

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


def shaken(z: Any) -> float:
    return wavy(z) * (1.0 + 1e-2 * zlib.crc32(z.tobytes()) / 2.0**32)


def counted(z: Any) -> float:
    return float(int(np.sum(z)))


@pytest.mark.parametrize(
    ("cost", "grads", "options", "helps"),
    [
        (bent, KINK[1], {}, "pass the gradient as a function"),
        (rounded, STEPS[1], {}, "take the rounding, counting or comparing out of the cost"),
        (wavy, np.cos, {"budget": 12}, "allow a larger budget="),
        (wavy, np.cos(Z), {"budget": 30, "method": "exhaustive"}, "allow a larger budget="),
        (counted, np.ones(Z.size), {}, "take the rounding, counting or comparing out of the cost"),
        (shaken, np.cos(Z), {}, "evaluate the cost in float64"),
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


def unsteady(noise: float, seed: int) -> tuple[Callable[[dict[str, Any]], float], dict[str, Any]]:
    """A cost with noise that hangs on every bit of its parameters, and the parameters."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(4, 30))

    def cost(p: dict[str, Any]) -> float:
        value = float(np.mean(np.tanh(p["W"] @ X) ** 2) + np.mean(p["b"] ** 2))
        return value * (1.0 + noise * (zlib.crc32(p["W"].tobytes() + p["b"].tobytes()) / 2.0**32 - 0.5))

    return cost, {"W": rng.normal(size=(5, 4)), "b": rng.normal(size=6), "unused": rng.normal(size=3)}


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 1e-2, 0.1, 1.0])
@pytest.mark.parametrize("method", ["auto", "exhaustive"])
def test_a_gradient_that_was_forgotten_is_not_correct_however_noisy_the_cost(noise: float, method: str) -> None:
    for seed in range(5):
        cost, params = unsteady(noise, seed)
        claim = {"W": np.zeros((5, 4)), "b": 2.0 * params["b"] / 6.0, "unused": np.zeros(3)}
        report = gp.check(cost, params, claim, seed=seed, method=method)
        assert report.tensors["W"].verdict != "correct", str(report)
        assert report.tensors["unused"].verdict != "wrong", str(report)


def test_a_zero_claim_is_correct_where_the_cost_is_quiet() -> None:
    cost, params = unsteady(0.0, 0)
    report = gp.check(cost, params, {"W": np.zeros((5, 4)), "b": 2.0 * params["b"] / 6.0, "unused": np.zeros(3)})
    assert {name: str(t.verdict) for name, t in report.tensors.items()} == {
        "W": "wrong",
        "b": "correct",
        "unused": "correct",
    }


#: One element lies 0.03 from a pole, where a slope is far larger than anything else about.
BESIDE_POLES = np.array([
    -4.8270, -7.5824, -0.6047, -1.5412, -1.9719, -4.1460, -5.4215, -4.7842, -4.1508, 7.3808, 5.5761, -8.3157, 4.1776,
    2.0474, -4.0760, -3.0637, -3.3422, -5.4398, 4.4805, 2.6850,
])  # fmt: skip


@pytest.mark.parametrize("seed", [*range(10), 205, 251, 333, 520, 576, 577, 598])
def test_poles_around_the_point_do_not_hide_a_gradient_that_was_forgotten(seed: int) -> None:
    cotangent = np.random.default_rng([seed, 40]).normal(size=20)

    def cost(x: Any) -> float:
        return float(cotangent @ special.digamma(x))

    assert gp.check(cost, BESIDE_POLES, np.zeros(20), seed=seed, method="probe").verdict != "correct"
    right = cotangent * special.polygamma(1, BESIDE_POLES)
    assert gp.check(cost, BESIDE_POLES, right, seed=seed, method="probe").verdict == "correct"


@pytest.mark.parametrize("power", [2, 3, 4, 6])
def test_a_forgotten_gradient_of_a_smooth_cost_is_wrong_whatever_the_draw(power: int) -> None:
    """Far off, the even powers of such a cost look like kinks; nothing makes a check go there."""
    x = np.array([0.28, 0.67, 0.27, -1.06, 0.73])
    for seed in range(25):
        assert gp.check(lambda x: float(np.sum(x**power)), x, np.zeros(5), seed=seed, method="probe").verdict == "wrong"
