"""Costs that jump, step or end next to the point: no right claim is called wrong there, and no wrong one correct."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import gradproof as gp
from discontinuous import Piece, edges, slope, smooth, staircases, ties

FAMILIES: dict[str, Callable[[int], Iterator[Piece]]] = {"staircases": staircases, "ties": ties, "edges": edges}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_right_claims_are_not_wrong_and_wrong_ones_not_correct(family: str, seed: int) -> None:
    alarms, misses, evasions = [], [], []
    for piece in FAMILIES[family](seed):
        for claim in piece.right:
            report = gp.check(piece.cost, piece.params, claim, seed=seed)
            alarms += [piece.name] * (report.verdict == "wrong")
            evasions += [f"{piece.name}: {report!r}"] * (piece.honest and report.verdict != "correct")
        misses += [
            piece.name
            for claim in piece.wrong
            if gp.check(piece.cost, piece.params, claim, seed=seed).verdict == "correct"
        ]
    assert not alarms
    assert not misses
    assert not evasions


@pytest.mark.parametrize("seed", [0, 5])
def test_element_by_element_no_right_claim_is_wrong_and_no_wrong_one_correct(seed: int) -> None:
    alarms, misses = [], []
    for piece in (piece for family in FAMILIES.values() for piece in family(seed)):
        for claim in piece.right:
            report = gp.check(piece.cost, piece.params, claim, seed=seed, method="exhaustive")
            alarms += [piece.name] * (report.verdict == "wrong")
        for claim in piece.wrong[:1]:
            report = gp.check(piece.cost, piece.params, claim, seed=seed, method="exhaustive")
            misses += [piece.name] * (report.verdict == "correct")
    assert not alarms
    assert not misses


@pytest.mark.parametrize("digits", [0, 1, 2, 3, 4])
def test_slope_of_what_was_rounded_is_undecided_on_the_staircase(digits: int) -> None:
    y = np.array([1.03, 0.31, -0.72])
    cost = lambda p: float(np.round(10.0 * smooth(p["y"]), digits))  # noqa: E731
    report = gp.check(cost, {"y": y}, {"y": 10.0 * slope(y)})
    assert report.verdict == "undecided"
    if digits < 4:
        assert "staircase" in report.tensors["y"].reason


def test_cost_that_never_moves_still_proves_a_claim_wrong() -> None:
    y = np.array([1.0, 0.3])
    assert gp.check(lambda p: 4.0 + 0.0 * float(p["y"].sum()), {"y": y}, {"y": y}).verdict == "wrong"


def test_unit_that_is_off_here_and_on_elsewhere_still_proves_a_claim_wrong() -> None:
    """Standing still here and moving further off is no staircase where it moves smoothly."""
    y = np.array([-1.0, -0.4])
    cost = lambda p: 1.1 + float(np.sum(np.maximum(p["y"], 0.0) ** 2))  # noqa: E731
    assert gp.check(cost, {"y": y}, {"y": np.ones(2)}).verdict == "wrong"


@pytest.mark.parametrize("inside", [np.float32, np.float64])
def test_arithmetic_in_float32_is_noise_and_no_staircase(inside: type) -> None:
    y = np.array([1.03, 0.31, -0.72])
    cost = lambda p: float(inside(smooth(p["y"])))  # noqa: E731
    assert gp.check(cost, {"y": y}, {"y": 1.5 * slope(y)}).verdict == "wrong"
    assert gp.check(cost, {"y": y}, {"y": 0.0 * y}).verdict == "wrong"
    assert gp.check(cost, {"y": y}, {"y": slope(y)}).verdict != "wrong"


@pytest.mark.parametrize("seed", range(10))
def test_zero_is_right_between_the_steps_of_a_fine_staircase(seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=4)
    for digits in (5, 6, 7, 8):
        for more in (0.0, 1000.0):
            cost = lambda p, d=digits, m=more: m + float(np.round(smooth(p["y"]), d))  # noqa: E731
            assert gp.check(cost, {"y": y}, {"y": 0.0 * y}, seed=seed).verdict != "wrong"


def test_edge_and_jump_in_one_tensor() -> None:
    """Coordinates at the domain's edge are measured although others, on a jump, were held still after them."""
    y = np.array([1e-10, 0.4, 0.7])

    def cost(p: dict[str, np.ndarray]) -> float:
        if (p["y"] < 0.0).any():
            raise ValueError("outside")
        return float(np.sum(p["y"] ** 2) + 3.0 * p["y"][0]) + 2.0 * float(p["y"][1] >= 0.4)

    right = np.array([3.0, 0.8, 1.4])
    assert gp.check(cost, {"y": y}, {"y": right}).verdict == "undecided"
    assert gp.check(cost, {"y": y}, {"y": right + np.array([0.3, 0.0, 0.0])}).verdict == "wrong"


@pytest.mark.parametrize("claim", [3.0, 3.3, 0.0])
def test_tensor_that_is_claimed_at_the_edge_alone(claim: float) -> None:
    """The interval counts what is claimed of the whole tensor, not only of the elements that can be moved freely."""
    y = np.array([1e-10, 0.4, 0.7])

    def cost(p: dict[str, np.ndarray]) -> float:
        if (p["y"] < 0.0).any():
            raise ValueError("outside")
        return float(p["y"][0] ** 2 + 3.0 * p["y"][0])

    report = gp.check(cost, {"y": y}, {"y": np.array([claim, 0.0, 0.0])})
    assert report.verdict == ("correct" if claim == 3.0 else "wrong")
    true = abs(claim - 3.0) / (claim + 3.0)
    for difference in (report.difference, report.tensors["y"].difference):
        assert difference.low - 1e-9 <= true <= difference.high + 1e-9


def test_what_happens_at_an_elements_own_size_is_not_stepped_over() -> None:
    """From afar the root of a tiny element at the edge is nothing; at its own size it is half of the derivative."""
    x = np.array([1e-12, 0.4, 0.7])

    def cost(p: dict[str, np.ndarray]) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.sum(p["x"]) + 1e-6 * np.sqrt(p["x"][0]))

    right = np.array([1.0 + 0.5e-6 / 1e-6, 1.0, 1.0])
    assert gp.check(cost, {"x": x}, {"x": right}).verdict != "wrong"
    assert gp.check(cost, {"x": x}, {"x": np.ones(3)}).verdict != "correct"


A = np.array([0.3, -0.7, 1.1])


def far_below(size: float, factor: float) -> gp.Report:
    c = size * np.array([1.0, -2.0, 0.5])
    return gp.check(
        lambda p: float(np.sum(np.cos(p["W"])) + c @ p["b"]), {"W": A, "b": A + 0.1}, {"W": -np.sin(A), "b": factor * c}
    )


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("size", [1e-18, 1e-17])
def test_zeros_are_noted_with_the_resolution(size: float, factor: float) -> None:
    report = far_below(size, factor)
    reason = report.tensors["b"].reason
    assert report.tensors["b"].verdict == "correct"
    assert "both zero to the cost's own rounding; a gradient with a norm below " in reason
    resolution = float(reason.split("norm below ")[1].split()[0])
    true = size * np.linalg.norm([1.0, -2.0, 0.5])
    assert true * max(1.0, abs(factor)) <= resolution < 1e-10
    assert any(note.startswith("b: ") and reason in note for note in report.notes)


@pytest.mark.parametrize("size", [1e-12, 1e-10, 1e-8, 1e-4, 1.0])
def test_claims_that_can_be_seen_are_not_zeros(size: float) -> None:
    for factor in (-1.0, 0.0, 1.0, 2.0):
        report = far_below(size, factor)
        assert "zero" not in report.tensors["b"].reason
        assert (report.tensors["b"].verdict != "correct") if factor != 1.0 else (report.verdict != "wrong")


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1.0])
def test_claim_where_the_cost_does_not_depend_on_the_tensor(size: float) -> None:
    claim = {"W": -np.sin(A), "b": size * A}
    report = gp.check(lambda p: float(np.sum(np.cos(p["W"]))), {"W": A, "b": A + 0.1}, claim)
    assert report.tensors["b"].verdict in ("wrong", "undecided")
    assert size < 1e-9 or report.tensors["b"].verdict == "wrong"


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_zero_claim_on_a_kink_is_not_proven_by_steps_that_hide_the_kink(offset: float) -> None:
    def cost(x: np.ndarray) -> float:
        return float(np.sum(np.abs(x))) + offset

    report = gp.check(cost, np.zeros(3), np.zeros(3))
    assert report.verdict == "undecided"
    assert "kink" in report.tensors["x"].reason
    assert gp.check(cost, np.zeros(3), np.sign).verdict == "correct"  # judged beside the kink
    assert gp.check(cost, np.zeros(3), np.zeros_like).verdict == "wrong"
    flat = gp.check(lambda x: float(np.sum(np.maximum(np.abs(x) - 1.0, 0.0))) + offset, np.zeros(3), np.zeros(3))
    assert flat.verdict == "correct"  # near a kink, and not on one
