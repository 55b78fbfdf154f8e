"""From a few random projections of a mismatch to an interval for its norm.

For a Gaussian direction v, (e . v)^2 / |e|^2 is chi-square with one degree of freedom whatever e is, so k projections
bound |e| on both sides with a stated probability and nothing assumed about where the mismatch sits. Signs (Rademacher
directions) would not do: two equal errors cancel in half of all draws.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

#: Chance that a bound is wrong, per tensor, on condition that the error bars hold.
ALPHA = 1e-6
#: Probes of one block that are looked at one by one: each look at the data spends ALPHA / MAX_PROBES. Nothing is
#: decided on the first, so that what it would spend is left for one more look.
MAX_PROBES = 16
#: How many probes there may be at that last look, where so many would decide what the first have left open. Which of
#: these it is depends on the first, so that each has its part of what is left.
LAST_LOOK = (24, 32, 48, 64)
#: The bound may leave out up to this many probes with the largest bars: a kink met by chance spoils one, not all.
DROPPED = 2


def _lower(k: int, x: float) -> float:
    """P(chi-square with k degrees < x), by the series of the incomplete gamma function; x small."""
    a, half = k / 2.0, x / 2.0
    term = total = 1.0 / a
    n = 0
    while term > total * 1e-17:
        n += 1
        term *= half / (a + n)
        total += term
    return total * math.exp(a * math.log(half) - half - math.lgamma(a))


def _upper(k: int, x: float) -> float:
    """P(chi-square with k degrees > x), by the recursion over k in steps of two."""
    half = x / 2.0
    a, total = (0.5, math.erfc(math.sqrt(half))) if k % 2 else (1.0, math.exp(-half))
    while a < k / 2.0:
        total += math.exp(a * math.log(half) - half - math.lgamma(a + 1.0))
        a += 1.0
    return total


@lru_cache(maxsize=1024)
def quantile(probability: float, k: int, *, upper: bool) -> float:
    """The point that a chi-square variable exceeds (``upper``) or stays below with this small probability.

    Args:
        probability: between 1e-300 and 0.5.
        k: degrees of freedom, at least 1.
        upper: which tail.

    Returns:
        The quantile, to about 1e-13 relative.
    """
    tail = _upper if upper else _lower
    low, high = math.log(1e-300), math.log(1e4)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if (tail(k, math.exp(middle)) > probability) == upper:
            low = middle
        else:
            high = middle
    return math.exp(0.5 * (low + high))


def norm_interval(mismatches: Sequence[float], bars: Sequence[float], alpha: float = ALPHA) -> tuple[float, float]:
    """Bounds on the norm of a mismatch from its projections on Gaussian directions.

    Args:
        mismatches: the projections.
        bars: how far each may be off.
        alpha: chance that either bound is wrong over all looks.

    Returns:
        (low, high). The high end is infinite with fewer than 2 probes.
    """
    k = len(mismatches)
    sure = [max(0.0, abs(size) - bar) for size, bar in zip(mismatches, bars, strict=True)]
    low = math.sqrt(sum(x * x for x in sure) / quantile(alpha / MAX_PROBES, k, upper=True))
    share = alpha / MAX_PROBES / (DROPPED + 1)
    total, high = 0.0, math.inf
    for kept, (bar, size) in enumerate(sorted(zip(bars, map(abs, mismatches), strict=True), key=lambda p: p[0]), 1):
        total += (size + bar) * (size + bar)
        if kept >= max(2, k - DROPPED):
            high = min(high, math.sqrt(total / quantile(share, kept, upper=False)))
    return low, high


def least_norm(size: float, k: int, alpha: float = ALPHA) -> float:
    """The bound below of ``norm_interval`` for so many projections that are all this large and have no bars."""
    return size * math.sqrt(k / quantile(alpha / MAX_PROBES, k, upper=True))


def norm_bound(size: float, k: int, alpha: float = ALPHA) -> float:
    """The bound above of ``norm_interval`` for so many projections that are all this large and have no bars."""
    return size * math.sqrt(k / quantile(alpha / MAX_PROBES / (DROPPED + 1), k, upper=False))
