"""Gaussian numbers by position: the same however they are asked for, and Gaussian far into the lower tail."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from gradproof._numerics import gaussian
from gradproof._numerics.gaussian import BLOCK, FIRST, REMEMBERED, normals

LENGTH = 2 * BLOCK + 1000
SEEDS: list[tuple[int, ...]] = [(3,), (3, 8), (8, 3, 1)]
WHOLE = {seeds: normals(seeds, 0, LENGTH) for seeds in SEEDS}


@pytest.fixture(scope="module")
def many() -> NDArray[np.float64]:
    return normals([12345], 0, 500_000)


@settings(max_examples=60)
@given(st.sampled_from(SEEDS), st.integers(0, LENGTH), st.integers(0, LENGTH))
def test_a_piece_is_the_piece_of_the_whole(seeds: tuple[int, ...], one: int, other: int) -> None:
    start, stop = sorted((one, other))
    np.testing.assert_array_equal(normals(seeds, start, stop), WHOLE[seeds][start:stop])


@pytest.mark.parametrize("edge", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_blocks_meet_without_a_seam(edge: int) -> None:
    np.testing.assert_array_equal(normals([3], edge, edge + 1), WHOLE[(3,)][edge : edge + 1])
    assert normals([3], edge, edge).shape == (0,)


def test_several_seeds_are_the_sum_over_the_root_of_their_number() -> None:
    for seeds in ([4, 9], [4, 9, 2], [7, 8, 9, 10]):
        parts = [normals([seed], 100, BLOCK + 100) for seed in seeds]
        np.testing.assert_allclose(normals(seeds, 100, BLOCK + 100), sum(parts) / np.sqrt(len(seeds)), rtol=1e-14)


def test_a_seed_named_twice_counts_twice() -> None:
    once = normals([4], 0, 100)
    np.testing.assert_allclose(normals([4, 4], 0, 100), 2.0 * once / np.sqrt(2.0), rtol=1e-14)


def test_the_numbers_are_gaussian(many: NDArray[np.float64]) -> None:
    assert stats.kstest(many, "norm").pvalue > 1e-3
    mixed = normals([1, 2, 3], 0, 100_000)
    assert stats.kstest(mixed, "norm").pvalue > 1e-3


def test_the_lower_tail_of_the_size_is_full(many: NDArray[np.float64]) -> None:
    # What the bound above stands on: P(|z| < x) = 0.798 x for small x. A sum of uniforms or a table would fail here.
    for x in (1e-2, 1e-3, 1e-4):
        expected = many.size * (stats.norm.cdf(x) - stats.norm.cdf(-x))
        seen = int((np.abs(many) < x).sum())
        assert abs(seen - expected) < 5.0 * np.sqrt(expected)
    assert np.abs(many).max() > 4.0
    assert np.count_nonzero(many) == many.size


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations([0, 1, 2, 1_000_003, 2**40], 2)])
def test_different_seeds_are_independent(one: int, other: int) -> None:
    a, b = normals([one], 0, BLOCK), normals([other], 0, BLOCK)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5.0 / np.sqrt(BLOCK)
    assert not np.any(a == b)


def test_the_blocks_of_one_seed_are_independent() -> None:
    whole = normals([5], 0, 4 * BLOCK).reshape(4, BLOCK)
    off = np.asarray(np.corrcoef(whole))[np.triu_indices(4, 1)]
    assert np.abs(off).max() < 5.0 / np.sqrt(BLOCK)


def test_the_numbers_do_not_depend_on_global_state() -> None:
    before = np.random.get_state()  # noqa: NPY002  (that it stays untouched is the point)
    first = normals([6], 0, 10)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(normals([6], 0, 10), first)
    np.random.set_state(before)  # noqa: NPY002


def test_the_first_numbers_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    original = gaussian._Words

    def counted(seed: int, block: int) -> gaussian._Words:
        drawn.append((seed, block))
        return original(seed, block)

    monkeypatch.setattr(gaussian, "_Words", counted)
    monkeypatch.setattr(gaussian, "_drawn", {})
    long = normals([77], 0, 900).copy()
    np.testing.assert_array_equal(normals([77], 0, 900), long)
    np.testing.assert_array_equal(normals([77], 100, 300), long[100:300])
    assert drawn == [(77, 0)]
    np.testing.assert_array_equal(normals([77], 0, 1000)[:900], long)  # more of them are drawn anew
    np.testing.assert_array_equal(normals([77, 77], 0, 900), 2.0 * long / np.sqrt(2.0))
    assert drawn == [(77, 0), (77, 0)]


def test_no_more_numbers_are_remembered_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[int, int], NDArray[np.float64]] = {}
    monkeypatch.setattr(gaussian, "_drawn", kept)
    for seed in range(3 * REMEMBERED):
        normals([seed], 0, 5)
        assert 0 < len(kept) <= REMEMBERED
    normals([1], 0, (FIRST + 2) * BLOCK)  # a long direction would push out all others
    assert max(block for _, block in kept) == FIRST - 1


def test_what_is_remembered_cannot_be_written_to() -> None:
    numbers = normals([78], 0, 50)
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 1.0


def test_pairs_lie_within_a_small_circle_as_often_as_they_should() -> None:
    """Two neighbours share a radius and an angle; what the bound stands on is how often both are next to zero."""
    pairs = np.concatenate([normals([seed], 0, 500_000) for seed in range(900, 910)]).reshape(-1, 2)
    square = np.square(pairs).sum(axis=1)
    for radius in (1e-1, 1e-2):
        expected = len(pairs) * -np.expm1(-0.5 * radius**2)
        assert abs(int((square < radius**2).sum()) - expected) < 5.0 * np.sqrt(expected)
    for far in (3.0, 4.0):
        expected = pairs.size * 2.0 * stats.norm.sf(far)
        assert abs(int((np.abs(pairs) > far).sum()) - expected) < 5.0 * np.sqrt(expected)


def test_the_first_number_of_neighbouring_seeds_and_blocks_is_gaussian() -> None:
    seeds = [float(normals([seed], 0, 1)[0]) for seed in range(20_000)]
    blocks = [float(normals([1], block * BLOCK, block * BLOCK + 1)[0]) for block in range(20_000)]
    for first in (seeds, blocks):
        assert stats.kstest(first, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 5.0 / np.sqrt(len(first))


def test_each_bit_of_a_number_changes_half_of_the_bits_of_the_state() -> None:
    changed = [
        (gaussian.mixed(state, number) ^ gaussian.mixed(state, number ^ 1 << bit)).bit_count()
        for state in (0, 1, 2**63)
        for number in (0, 5, 2**40)
        for bit in range(64)
    ]
    assert 30.0 < np.mean(changed) < 34.0
    assert min(changed) > 10
