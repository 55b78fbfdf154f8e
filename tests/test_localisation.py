"""Planted errors are found where they are, near misses are told apart, and the price is held to."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import places
from error_bars import displacement, point
from problems import Array, Params, Problem, classifier

from gradproof._localisation.samples import share
from gradproof._localisation.search import Whereabouts, find
from gradproof._localisation.wording import described
from gradproof._records import Direction, Part, Pattern, Region, Weighting
from gradproof._verdict.judge import default_scales

#: Evaluations that a place may cost on a small matrix, a quarter above the published table.
PRICE = {
    "one element": 25, "one row": 100, "one column": 100, "half a row": 100, "2 rows": 135, "last 3 rows": 135,
    "first 3 columns": 135, "tile 4 x 4": 135, "all": 135, "every 2nd row": 180, "every 2nd column": 180,
    "diagonal": 180, "upper triangle": 180, "off-diagonal": 180, "checkerboard": 180, "3 elements": 259,
    "4 random rows": 412, "random 30%": 241,
}  # fmt: skip


def net(activation: str = "tanh", seed: int = 5) -> Problem:
    return classifier((16, 16, 16, 6), activation, "random biases", seed)


def planted(shape: tuple[int, ...], *where: Any, size: float = 0.05, seed: int = 0) -> Array:
    """Gaussian errors of one size on what is indexed."""
    error = np.zeros(shape)
    noise = np.random.default_rng(seed).standard_normal(shape)
    for index in where:
        error[index] = size * noise[index]
    return error


def found(error: Array, name: str = "W2", activation: str = "tanh", seed: int = 5) -> Whereabouts:
    return places.located(net(activation, seed), name, error, seed)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("pattern", places.MATRIX)
def test_each_pattern_is_found_at_its_price(pattern: str, activation: str) -> None:
    for seed in (1, 2):
        answer = places.answer(places.Item("16 x 16", pattern, activation, 0.5, seed))
        assert answer.holds
        assert not answer.boast
        assert answer.exact or pattern == "random 30%", answer
        assert answer.evaluations <= PRICE[pattern]


@pytest.mark.parametrize("pattern", places.KERNEL)
def test_each_pattern_of_a_kernel_is_found(pattern: str) -> None:
    answer = places.answer(places.Item("8 x 4 x 3 x 3", pattern, "tanh", 0.5, 3))
    assert answer.holds
    assert answer.exact or pattern in ("3 elements", "random 30%"), answer


@pytest.mark.parametrize("pattern", places.VECTOR)
def test_each_pattern_of_a_vector_is_found(pattern: str) -> None:
    answer = places.answer(places.Item("vector of 40", pattern, "relu", 0.01, 3))
    assert answer.holds
    assert answer.exact or pattern == "random 30%", answer


@pytest.mark.parametrize(
    ("index", "kind", "text"),
    [
        ((4, 7), "element", "W2[4, 7]"),
        ((4,), "row", "row 4 of W2"),
        ((slice(12, None),), "rows", "rows 12: of W2"),
        ((slice(None), 3), "column", "column 3 of W2"),
        ((slice(None), slice(2, 5)), "columns", "columns 2:5 of W2"),
        ((slice(2, 6), slice(1, 5)), "block", "W2[2:6, 1:5]"),
        ((slice(0, None, 2),), "stride", "every 2nd row of W2"),
        ((slice(0, None, 3),), "stride", "every 3rd row of W2"),
        ((...,), "all", "all of W2"),
    ],
)
def test_a_place_reads_as_it_is_indexed(index: Any, kind: str, text: str) -> None:
    where = found(planted((16, 16), index))
    assert (where.kind, where.text, where.exact) == (kind, text, True)
    assert where.share is None
    assert not (where.verified & ~where.mask).any()


def test_a_mask_is_worded_from_itself() -> None:
    def text(shape: tuple[int, ...], index: Any) -> tuple[str, str]:
        mask = np.zeros(shape, dtype=bool)
        mask[index] = True
        return described(mask, "K")

    assert text((4, 5, 3, 3), np.s_[:, 2]) == ("slice", "K[:, 2, :, :]")
    assert text((4, 5, 3, 3), np.s_[1:3]) == ("block", "K[1:3, :, :, :]")
    assert text((9,), 3) == ("element", "K[3]")
    assert text((9,), np.s_[4:]) == ("block", "K[4:]")
    assert text((9,), np.s_[1::2]) == ("stride", "every 2nd element of K, from element 1")
    assert text((5, 5), np.s_[[1, 2, 4]]) == ("rows", "rows 1, 2, 4 of K")
    assert text((5, 5), (np.arange(5), np.arange(5))) == ("diagonal", "the diagonal of K")
    assert text((5, 5), np.tril_indices(5, -1))[0] == "lower triangle"
    assert text((), ()) == ("element", "K")
    assert text((4, 4), ([0, 1, 3], [2, 0, 3])) == ("elements", "K[0, 2], K[1, 0], K[3, 3]")


def test_a_small_tensor_is_measured_one_by_one() -> None:
    error = planted((16,), [3, 9, 10])
    where = found(error, "b1")
    assert np.array_equal(where.mask, error != 0)
    assert np.array_equal(where.verified, where.mask)
    assert where.exact
    assert where.sampled == (3, 16)


def test_a_wrong_element_hidden_beside_a_row_is_not_lost() -> None:
    """The element is 3,000 times smaller than the row; a place without it would send people to the row alone."""
    error = planted((16, 16), 4) + planted((16, 16), (11, 2), size=1e-4)
    where = found(error)
    assert where.mask[error != 0].all()
    assert where.text != "row 4 of W2"


def test_a_row_and_an_element_are_told_apart() -> None:
    error = planted((16, 16), 4, (11, 2))
    where = found(error)
    assert np.array_equal(where.mask, error != 0)
    assert where.exact
    assert where.text == "row 4 of W2, W2[11, 2]"


def test_another_tensor_that_is_wrong_does_not_show() -> None:
    problem = net()

    def grads(params: Params) -> Params:
        right = problem.grads(params)
        return right | {"W2": right["W2"] + planted((16, 16), (4, 7)), "W1": 2 * right["W1"]}

    place = point(problem, grads, 0)
    stats = [c.stats for c in place.claimed]
    where = find(place.reference, 2, default_scales(stats)[2], stats[2].claim, 0)
    assert (where.text, where.exact) == ("W2[4, 7]", True)


def test_a_row_without_one_element_is_not_called_a_row() -> None:
    error = planted((16, 16), 4)
    error[4, 5:11] = 0.0
    where = found(error)
    assert where.mask[error != 0].all()
    assert not where.exact or np.array_equal(where.mask, error != 0)


def test_a_claim_of_zero_is_wrong_all_over() -> None:
    problem = net()
    where = found(-problem.grads(problem.params)["W2"])
    assert (where.text, where.exact) == ("all of W2", True)


def test_a_scattered_place_comes_with_its_share() -> None:
    mask = np.random.default_rng(3).random((16, 16)) < 0.3
    where = found(planted((16, 16), mask))
    assert where.kind == "scattered"
    assert not where.exact
    assert where.text.startswith("about ")
    assert where.text.endswith("of W2 (scattered)")
    assert where.share is not None
    assert where.share[0] <= mask.mean() <= where.share[1]
    assert where.sampled[0] == where.verified.sum()
    assert not (where.verified & ~mask).any()


def test_a_limit_leaves_a_place_that_holds_the_truth() -> None:
    problem, error = net(), planted((16, 16), (slice(2, 6), slice(1, 5)))
    place = point(problem, lambda params: problem.grads(params) | {"W2": problem.grads(params)["W2"] + error}, 0)
    stats = [c.stats for c in place.claimed]
    for limit in (8, 40, 80, 100):
        where = find(place.reference, 2, default_scales(stats)[2], stats[2].claim, 0, limit)
        assert where.mask[error != 0].all()
        assert not where.exact
        assert where.evaluations <= limit + 12


@dataclass(frozen=True)
class Bowl:
    """A quadratic of magnitudes far apart, kinked at the point where asked to."""

    kink: float = 0.0

    def problem(self) -> Problem:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((12, 8)) * np.where(np.arange(12) < 6, 1.0, 1e-7)[:, None]
        size = np.abs(x)

        def cost(params: Params) -> Array:
            y = params["x"] / size
            total: Array = (y * y).sum() / 2 + self.kink * np.abs(y - x / size).sum()
            return total

        return Problem("bowl", cost, {"x": x}, lambda params: {"x": params["x"] / size**2})


@pytest.mark.parametrize("row", [2, 9])
def test_magnitudes_far_apart_move_on_their_own_scale(row: int) -> None:
    problem = Bowl().problem()
    error = np.zeros((12, 8))
    error[row] = 0.1 * problem.grads(problem.params)["x"][row]
    where = places.located(problem, "x", error, 0)
    assert (where.text, where.exact) == (f"row {row} of x", True)


def test_a_kink_leads_to_a_larger_place_and_never_to_a_smaller_one() -> None:
    problem = Bowl(kink=1.0).problem()
    error = np.zeros((12, 8))
    error[3] = 0.01 * problem.grads(problem.params)["x"][3]
    where = places.located(problem, "x", error, 0)
    assert where.mask[3].all()
    assert not where.exact


def wave(size: int) -> Problem:
    """A cost of so many numbers whose gradient has elements of all sizes."""
    rng = np.random.default_rng(2)
    x, weights = rng.standard_normal((2, size))

    def cost(params: Params) -> Array:
        total: Array = weights @ np.sin(params["x"])
        return total

    return Problem("wave", cost, {"x": x}, lambda params: {"x": weights * np.cos(params["x"])})


def near(problem: Problem, *elements: int, off: float = 0.01) -> Whereabouts:
    """The place of elements that are off by a share of the root mean square of the gradient."""
    right = problem.grads(problem.params)["x"]
    error = np.zeros(right.shape)
    error[list(elements)] = off * np.sqrt(np.mean(right**2))
    return places.located(problem, "x", error, 0)


@pytest.mark.parametrize("element", [0, 4_711, 29_999])
def test_a_small_error_among_many_elements_is_placed_for_two_dozen_evaluations(element: int) -> None:
    # One over the bar beside the mismatch is far less than the number of elements: one look leaves hundreds of them.
    where = near(wave(30_000), element)
    assert np.flatnonzero(where.mask).tolist() == [element]
    assert where.exact
    assert where.evaluations <= 28


@pytest.mark.parametrize("elements", [(4_711, 4_712), (4_711, 4_750), (17, 29_000), (100, 101, 102)])
def test_several_small_errors_are_not_taken_for_one_between_them(elements: tuple[int, ...]) -> None:
    where = near(wave(30_000), *elements)
    assert where.mask[list(elements)].all()
    assert where.mask.sum() == len(elements) or not where.exact


def test_what_is_known_of_the_tensor_begins_the_search() -> None:
    problem = wave(3_000)
    right = problem.grads(problem.params)["x"]
    error = np.zeros(right.shape)
    error[1_234] = 0.1
    place = point(problem, lambda params: {"x": problem.grads(params)["x"] + error}, 0)
    scale, claim = default_scales([c.stats for c in place.claimed])[0], place.claimed[0].stats.claim
    rays = [Direction((seed,), (Part(0, scale),)) for seed in (3, 4, 5)]
    fine = place.reference.measure(rays, 2e-9 * scale * claim)
    rough = [replace(estimate, bar=1e-6 * scale * claim) for estimate in fine]
    found = [
        find(place.reference, 0, scale, claim, 0, known=list(zip(rays[: len(known)], known, strict=True)))
        for known in (fine, [], rough)
    ]
    assert [where.text for where in found] == ["x[1234]"] * 3
    assert all(where.exact for where in found)
    known, alone, blunt = (where.evaluations for where in found)
    assert known <= alone - 4
    assert blunt == alone


@dataclass(frozen=True)
class Plane:
    """A cost of complex numbers and its gradient, by torch's convention."""

    centre: Array

    def cost(self, params: dict[str, Array]) -> float:
        return float((np.abs(params["z"] - self.centre) ** 2).sum() / 2 + np.cos(params["z"].real).sum())

    def grads(self, params: dict[str, Array]) -> dict[str, Array]:
        return {"z": params["z"] - self.centre - np.sin(params["z"].real)}


def test_complex_tensors_are_searched_by_element() -> None:
    rng = np.random.default_rng(0)
    z, centre = (rng.standard_normal((9, 7)) + 1j * rng.standard_normal((9, 7)) for _ in range(2))
    plane = Plane(centre)
    error = np.zeros((2, 9, 7), dtype=complex)
    error[0, 4, 5], error[1, 4] = 0.3j, 0.3j
    problem = Problem("plane", plane.cost, {"z": z}, plane.grads)
    for wrong, text in zip(error, ("z[4, 5]", "row 4 of z"), strict=True):
        where = places.located(problem, "z", wrong, 0)
        assert where.text == text
        assert np.array_equal(where.mask, wrong != 0)


def test_regions_draw_what_they_say() -> None:
    problem = net()
    place = point(problem, problem.grads, 0)
    tensor = place.reference.evaluator.problem.tensors[2]

    def drawn(region: Region | None, weighting: Weighting = Weighting.PLAIN) -> Array:
        v = displacement(place, Direction((7,), (Part(2, 1.0, weighting, region=region),)))
        out: Array = v[tensor.offset : tensor.offset + tensor.size].reshape(tensor.shape)
        return out

    full = drawn(None)
    i, j = np.indices((16, 16))
    box = ((2, 9, 3), (1, 16, 1))
    inside = np.zeros((16, 16), dtype=bool)
    inside[2:9:3, 1:16] = True
    masks = {
        Pattern.FULL: i == i,
        Pattern.DIAGONAL: i == j,
        Pattern.OFF_DIAGONAL: i != j,
        Pattern.STRICTLY_UPPER: i < j,
        Pattern.STRICTLY_LOWER: i > j,
        Pattern.UPPER: i <= j,
        Pattern.LOWER: i >= j,
        Pattern.EVEN: (i + j) % 2 == 0,
        Pattern.ODD: (i + j) % 2 == 1,
    }
    for pattern, kept in masks.items():
        np.testing.assert_allclose(drawn(Region((box,), pattern)), full * (inside & kept), atol=1e-14)
        np.testing.assert_allclose(drawn(Region((box,), pattern, outside=True)), full * ~(inside & kept), atol=1e-14)
    np.testing.assert_allclose(drawn(Region((box,), ramp=0)), full * inside * (i + 1) / 16, atol=1e-14)
    rising = drawn(Region((box,), ramp=0, rise=(2, 5)))
    np.testing.assert_allclose(rising, full * inside * (i - 1) / 5, atol=1e-14)
    np.testing.assert_allclose(drawn(Region((box,)), Weighting.UNIT), 1.0 * inside, atol=1e-14)
    two = Region((((0, 1, 1), (0, 16, 1)), ((5, 7, 1), (0, 2, 1))))
    np.testing.assert_allclose(drawn(two), full * ((i == 0) | ((i >= 5) & (i < 7) & (j < 2))), atol=1e-14)


def test_the_interval_for_a_share_is_that_of_clopper_and_pearson() -> None:
    np.testing.assert_allclose(share(3, 10), (0.0667395, 0.6524529), atol=1e-6)
    np.testing.assert_allclose(share(0, 10), (0.0, 0.3084971), atol=1e-6)
    np.testing.assert_allclose(share(10, 10), (0.6915029, 1.0), atol=1e-6)
