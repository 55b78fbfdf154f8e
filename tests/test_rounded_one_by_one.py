"""Costs that round inside, element by element: across their steps, right is not wrong and wrong is not correct.

Between two steps such a cost is straight, and the differences that bound an error agree there by chance: on one seed in
some tens, so there are many seeds here.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from discontinuous import Piece, jumping, point, slope, smooth, staircases, ties
from gradproof._numerics.rounding import rounding_inside

Params = dict[str, NDArray[np.float64]]
Cost = Callable[[Params], float]
METHODS = ("auto", "exhaustive")


def rounded(seed: int) -> Iterator[Piece]:
    """Costs rounded to few digits as a whole, alone, beside a large constant, and beside a smooth tensor."""
    for piece in staircases(seed):
        if "rounded to" in piece.name and piece.name.split("rounded to ")[1][0] in "68":
            yield piece


@pytest.mark.parametrize("seed", range(40))
def test_no_right_claim_is_wrong_where_differences_agree_by_chance(seed: int) -> None:
    for piece in rounded(seed % 7):
        for claim in piece.right:
            report = gp.check(piece.cost, piece.params, claim, seed=seed, method="exhaustive")
            assert report.verdict != "wrong", piece.name
            near = {name: value * (1.0 + 1e-9) for name, value in claim.items()}
            assert gp.check(piece.cost, piece.params, near, seed=seed, method="exhaustive").verdict != "wrong"
        for claim in piece.wrong[:1]:
            planted = gp.check(piece.cost, piece.params, claim, seed=seed, method="exhaustive")
            assert planted.verdict != "correct"
            assert planted.verdict == "wrong" or "W" not in claim  # which is smooth


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(30))
def test_zero_is_right_between_the_steps_beside_a_tie(seed: int, method: Any) -> None:
    for piece in ties(seed):
        if "ties" in piece.name:
            assert gp.check(piece.cost, piece.params, piece.right[0], seed=seed, method=method).verdict != "wrong"


@pytest.mark.parametrize("seed", [*range(12), 32])
def test_what_is_measured_far_beyond_the_parameters_proves_nothing(seed: int) -> None:
    """A jump next to the point looks like noise, and only steps of many times the parameters rise above it."""
    y = next(piece.params["y"] for piece in ties(seed % 7) if piece.name == "jump of 1.0 1e-07 away")
    cost = jumping(np.greater, 1.0, y[:1] + 1e-7)
    assert gp.check(cost, {"y": y}, {"y": slope(y)}, seed=seed, method="exhaustive").verdict != "wrong"
    assert gp.check(cost, {"y": y}, {"y": 2.0 * slope(y) + 1.0}, seed=seed, method="exhaustive").verdict != "correct"


def single(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return z.astype(np.float32).astype(np.float64)


def half(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return z.astype(np.float16).astype(np.float64)


def squares(way: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Cost:
    return lambda p: float(np.sum(way(p["y"] ** 2)) + np.sum(np.sin(p["y"])))


def moved(way: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Cost:
    return lambda p: smooth(way(p["y"]))


def digits(count: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda z: np.round(z, count)


WAYS: dict[str, Cost] = {
    "squares in float32": squares(single),
    "squares in float16": squares(half),
    "squares to 4 digits": squares(digits(4)),
    "squares to 5 digits": squares(digits(5)),
    "squares to 7 digits": squares(digits(7)),
    "squares to 9 digits": squares(digits(9)),
    "parameters in float32": moved(single),
    "parameters in float16": moved(half),
    "parameters to 6 digits": moved(digits(6)),
    "parameters to 9 digits": moved(digits(9)),
    "result to 11 digits": lambda p: float(np.round(smooth(p["y"]), 11)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", WAYS)
def test_ways_of_rounding(way: str, method: Any) -> None:
    for seed in range(8):
        y = point(seed, 6)
        cost, right = WAYS[way], slope(y)
        assert gp.check(cost, {"y": y}, {"y": right}, seed=seed, method=method).verdict != "wrong", seed
        for factor in (1.01, 1.2, -1.0):
            report = gp.check(cost, {"y": y}, {"y": factor * right}, seed=seed, method=method)
            assert report.verdict != "correct", (seed, factor)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["squares in float16", "squares to 4 digits", "squares to 5 digits"])
def test_rounding_beside_what_cancels(way: str, method: Any) -> None:
    """What sums leave that cancel lies on a grid, which is not the one that the cost rounds to."""
    for seed in range(12):
        y = point(seed, 6)
        whole, offset = WAYS[way], WAYS[way]({"y": y}) + 0.019
        cost = lambda p, whole=whole, offset=offset: whole(p) - offset  # noqa: E731
        assert gp.check(cost, {"y": y}, {"y": slope(y)}, seed=seed, method=method).verdict != "wrong", seed
        assert gp.check(cost, {"y": y}, {"y": 1.2 * slope(y)}, seed=seed, method=method).verdict != "correct", seed


@pytest.mark.parametrize("way", ["squares in float32", "squares to 7 digits", "squares to 9 digits"])
def test_elements_are_measured_across_the_steps(way: str) -> None:
    """Far above what is rounded a mistake is proven, and what is right is correct to within it."""
    wrong, correct = [], []
    for seed in range(10):
        y = point(seed, 6)
        element = slope(y)
        element[seed % 6] *= 1.2
        report = gp.check(WAYS[way], {"y": y}, {"y": element}, seed=seed, method="exhaustive")
        wrong.append(report.verdict == "wrong" and report.worst(1)[0].index == (seed % 6,))
        right = gp.check(WAYS[way], {"y": y}, {"y": slope(y)}, seed=seed, method="exhaustive", tolerance=1e-3)
        correct.append(right.verdict == "correct")
        if not correct[-1]:
            assert "rounded inside, to about" in right.tensors["y"].reason
    assert sum(wrong) >= 8
    assert sum(correct) >= 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [100, 1000, 10_000, 100_000])
def test_a_table_between_whose_entries_lines_are_drawn(count: int, method: Any) -> None:
    places = np.linspace(-8.0, 8.0, count + 1)
    entries = np.sin(places)
    cost = lambda p: float(np.sum(np.interp(p["y"], places, entries)) + np.sum(p["y"] ** 2))  # noqa: E731
    for seed in range(6):
        y = point(seed, 6)
        k = np.searchsorted(places, y) - 1
        right = 2.0 * y + (entries[k + 1] - entries[k]) / (places[k + 1] - places[k])
        assert gp.check(cost, {"y": y}, {"y": right}, seed=seed, method=method).verdict != "wrong", seed
        for factor in (1.01, 1.2):
            report = gp.check(cost, {"y": y}, {"y": factor * right}, seed=seed, method=method)
            assert report.verdict != "correct", seed


def test_a_smooth_cost_is_not_looked_at_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def look(line: Callable[[Sequence[float]], Any], floor: float) -> float:
        looks.append(floor)
        return rounding_inside(line, floor)

    monkeypatch.setattr("gradproof._numerics.rounding.rounding_inside", look)
    for seed in range(10):
        y = point(seed, 6)
        cost = lambda p: smooth(p["y"])  # noqa: E731
        right = gp.check(cost, {"y": y}, {"y": slope(y)}, seed=seed, method="exhaustive")
        assert right.verdict == "correct"
        assert not looks
        element = slope(y)
        element[seed % 6] *= 1.01
        wrong = gp.check(cost, {"y": y}, {"y": element}, seed=seed, method="exhaustive")
        assert wrong.verdict == "wrong"
        assert len(looks) == 1
        looks.clear()


@pytest.mark.parametrize("steep", [0.3, 1.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize("claim", [0.0, 1.0])
def test_steps_are_found_where_a_slope_is_seen_across_one(steep: float, claim: float) -> None:
    """The share of a distance in which its slope is looked at holds a step on some seeds in a hundred, or on all."""
    for seed in range(50):
        start = float(np.random.default_rng(seed).normal())

        def psi(t: float, start: float = start) -> float:
            return round(math.pi * (steep * t + 0.1 * t * t) + start, 8) - claim * math.pi * steep * t

        def line(steps: Sequence[float], psi: Callable[[float], float] = psi) -> NDArray[np.float64]:
            return np.array([psi(step) - psi(0.0) for step in steps])

        found = rounding_inside(line, 1e-15)
        assert 1e-8 / math.sqrt(12.0) / 3.0 < found < 3.0 * 1e-8 / math.sqrt(12.0), seed
