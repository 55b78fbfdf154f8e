"""Bounds on a norm from a few projections: the quantiles against SciPy, the bounds against known vectors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gradproof._numerics.chi_square import (
    ALPHA,
    DROPPED,
    LAST_LOOK,
    MAX_PROBES,
    least_norm,
    norm_bound,
    norm_interval,
    quantile,
)

TINY = (0.4, 1e-2, 1e-6, ALPHA / MAX_PROBES, ALPHA / MAX_PROBES / (DROPPED + 1), 1e-12, 1e-20)


@pytest.mark.parametrize("k", [*range(1, MAX_PROBES + 1), *LAST_LOOK])
def test_quantiles_are_those_of_scipy(k: int) -> None:
    for probability in TINY:
        assert quantile(probability, k, upper=True) == pytest.approx(stats.chi2.isf(probability, k), rel=1e-11)
        assert quantile(probability, k, upper=False) == pytest.approx(stats.chi2.ppf(probability, k), rel=1e-11)


def test_a_probability_of_1e_minus_300_has_a_quantile_too() -> None:
    assert quantile(1e-300, 1, upper=True) == pytest.approx(stats.chi2.isf(1e-300, 1), rel=1e-9)
    # In closed form: P(chi-square with 2 degrees > x) = exp(-x / 2).
    assert quantile(1e-300, 2, upper=True) == pytest.approx(600.0 * math.log(10.0), rel=1e-12)
    assert quantile(1e-9, 2, upper=False) == pytest.approx(-2.0 * math.log1p(-1e-9), rel=1e-12)


def sparse(rng: np.random.Generator) -> NDArray[np.float64]:
    found = np.zeros(200)
    found[rng.integers(200)] = 3.0
    return found


def dense(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal(200)


def equal(_: np.random.Generator) -> NDArray[np.float64]:
    return np.full(200, 0.1)


def a_pair(_: np.random.Generator) -> NDArray[np.float64]:
    """The one that directions of random signs would miss in half of all draws."""
    return np.array([1.0, -1.0])


@pytest.mark.parametrize("kind", [sparse, dense, equal, a_pair])
def test_the_interval_covers_the_norm_as_often_as_it_says(
    kind: Callable[[np.random.Generator], NDArray[np.float64]],
) -> None:
    rng = np.random.default_rng(5)
    alpha, tries = 0.05, 400
    below = above = 0
    for _ in range(tries):
        mismatch = kind(rng)
        norm = float(np.linalg.norm(mismatch))
        projections = rng.standard_normal((5, mismatch.size)) @ mismatch
        low, high = norm_interval(list(projections), [0.0] * 5, alpha)
        below += low > norm
        above += high < norm
    # The chance of either is at most 0.05 / 16 a look; 8 in 400 has odds of 1 in 50,000.
    assert max(below, above) < 8


@pytest.mark.parametrize("kind", [sparse, dense, equal, a_pair])
def test_at_the_default_the_interval_always_covers_and_is_of_use(
    kind: Callable[[np.random.Generator], NDArray[np.float64]],
) -> None:
    rng = np.random.default_rng(6)
    widths = []
    for _ in range(200):
        mismatch = kind(rng)
        norm = float(np.linalg.norm(mismatch))
        low, high = norm_interval(list(rng.standard_normal((8, mismatch.size)) @ mismatch), [0.0] * 8)
        assert low <= norm <= high
        widths.append((high / norm, norm / low))
    assert np.median(np.array(widths), axis=0).max() < 40.0


def test_the_tails_are_spent_as_the_quantiles_say() -> None:
    # With no bars, low and high are the sum of squares over two quantiles, the best of three for the high end.
    sizes = [1.0, 2.0, 3.0]
    low, high = norm_interval(sizes, [0.0] * 3)
    assert low == pytest.approx(math.sqrt(14.0 / stats.chi2.isf(ALPHA / MAX_PROBES, 3)), rel=1e-9)
    share = ALPHA / MAX_PROBES / (DROPPED + 1)
    two, three = (stats.chi2.ppf(share, k) for k in (2, 3))
    assert high == pytest.approx(min(math.sqrt(5.0 / two), math.sqrt(14.0 / three)), rel=1e-9)


def test_bars_widen_both_ends() -> None:
    plain = norm_interval([1.0, 2.0, 3.0], [0.0] * 3)
    wide = norm_interval([1.0, 2.0, 3.0], [0.5] * 3)
    assert wide[0] < plain[0] < plain[1] < wide[1]
    assert norm_interval([1.0, 2.0], [1.0, 2.0])[0] == 0.0


def test_signs_do_not_matter() -> None:
    assert norm_interval([-1.0, 2.0, -3.0], [0.1] * 3) == norm_interval([1.0, -2.0, 3.0], [0.1] * 3)


def test_one_spoilt_probe_does_not_spoil_the_high_end() -> None:
    sizes = [1.0] * 6
    fine = norm_interval(sizes, [0.01] * 6)[1]
    spoilt = norm_interval(sizes, [0.01] * 5 + [1e6])[1]
    assert spoilt < 10.0 * fine
    # Three of them are more than may be left out.
    assert norm_interval(sizes, [0.01] * 3 + [1e6] * 3)[1] > 1e5


def test_one_probe_bounds_nothing_from_above() -> None:
    low, high = norm_interval([2.0], [0.0])
    assert 0.0 < low < 2.0
    assert high == math.inf


def test_more_probes_never_loosen_the_high_end_much() -> None:
    ends = [norm_interval([1.0] * k, [0.0] * k)[1] for k in range(2, MAX_PROBES + 1)]
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize("k", range(2, MAX_PROBES + 1))
def test_the_bound_of_equal_projections_is_that_of_the_interval(k: int) -> None:
    for size, alpha in ((1.0, ALPHA), (3e-9, 1e-4)):
        assert norm_bound(size, k, alpha) == pytest.approx(norm_interval([size] * k, [0.0] * k, alpha)[1], rel=1e-12)


@pytest.mark.parametrize("k", [2, MAX_PROBES, *LAST_LOOK])
def test_bounds_foretold_for_equal_probes_are_those_of_the_interval(k: int) -> None:
    low, high = norm_interval([3.0] * k, [0.0] * k)
    assert least_norm(3.0, k) == pytest.approx(low)
    assert norm_bound(3.0, k) >= high * (1.0 - 1e-12)  # which may leave out the two that hurt most


def test_all_looks_together_spend_what_was_allowed() -> None:
    """One share for each number of probes from the second on, and one for all the last looks there may be."""
    spent = (MAX_PROBES - 1) * ALPHA / MAX_PROBES + len(LAST_LOOK) * ALPHA / len(LAST_LOOK) / MAX_PROBES
    assert spent == pytest.approx(ALPHA)
