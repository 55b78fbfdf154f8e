"""What few probes decide: one last look about the tolerance, and which probes are looked at closely."""

from collections import Counter

import numpy as np
import pytest

from gradproof._numerics.chi_square import ALPHA, LAST_LOOK, MAX_PROBES
from gradproof._records import Estimate
from gradproof._verdict.judge import Aim, Outcome, _at_last, _clearest, _last, _weigh

#: A float32 claim's tolerance.
TOLERANCE = 1e-3


def aim(alpha: float = ALPHA) -> Aim:
    return Aim(TOLERANCE, TOLERANCE, TOLERANCE / 10.0, alpha)


def of_difference(relative: float) -> float:
    """The norm of a mismatch, in units of the claim, that makes at least this relative difference."""
    return 2.0 * relative / (1.0 - relative)


def probes(rng: np.random.Generator, norm: float, count: int, bar: float = 1e-9) -> list[Estimate]:
    """Exact probes of a mismatch of a norm."""
    return [
        Estimate(
            mismatch=norm * float(z), bar=bar, slope=1.0, step=1e-3, noise=0.0, truncation=0.0, kink=0.0,
            kink_here=0.0, hidden=0.0, jump=0.0, evaluations=2, curvature=0.0,
        )
        for z in rng.standard_normal(count)
    ]  # fmt: skip


def judged(rng: np.random.Generator, norm: float, held: Aim) -> tuple[str, int]:
    """The status, and after how many probes."""
    found: list[Estimate] = []
    while len(found) < MAX_PROBES:
        found += probes(rng, norm, 1)
        status = _weigh(found, held).status
        if status != "open":
            return status, len(found)
    found += probes(rng, norm, _last(found, held) - len(found))
    return _weigh(found, _at_last(held)).status, len(found)


@pytest.mark.parametrize(("factor", "share"), [(2.0, 0.95), (3.0, 1.0)])
def test_a_difference_of_twice_the_tolerance_is_wrong_in_nearly_every_draw(factor: float, share: float) -> None:
    """Of 1000 draws at twice the tolerance, sixteen lines decide 451 and the last look 980 in all."""
    rng = np.random.default_rng(3)
    found = [judged(rng, of_difference(factor * TOLERANCE), aim()) for _ in range(300)]
    assert Counter(status for status, _ in found)["wrong"] >= 300 * share
    assert any(count > MAX_PROBES for _, count in found), "sixteen alone would not always do"


def test_a_difference_well_below_the_tolerance_is_correct() -> None:
    """Of 1000 draws at 0.3 of the tolerance, sixteen lines decide 129 and the last look 992 in all."""
    rng = np.random.default_rng(7)
    found = Counter(judged(rng, of_difference(0.3 * TOLERANCE), aim())[0] for _ in range(300))
    assert found["correct"] >= 280
    assert not found["wrong"]


def test_a_clear_mistake_takes_no_more_probes_than_it_did() -> None:
    rng = np.random.default_rng(4)
    found = [judged(rng, of_difference(20.0 * TOLERANCE), aim()) for _ in range(300)]
    assert all(status == "wrong" and count <= MAX_PROBES for status, count in found)


@pytest.mark.parametrize("alpha", [0.3, 0.05])
def test_what_lies_just_below_the_tolerance_is_called_wrong_no_more_often_than_is_allowed(alpha: float) -> None:
    rng = np.random.default_rng(5)
    found = Counter(judged(rng, of_difference(0.999 * TOLERANCE), aim(alpha))[0] for _ in range(1000))
    assert found["wrong"] <= 1000 * alpha
    assert found["wrong"] > 0, "at such a chance some must be"


def test_what_more_lines_would_not_decide_is_not_asked_for() -> None:
    rng = np.random.default_rng(6)
    about = probes(rng, of_difference(TOLERANCE), MAX_PROBES)
    assert _last(about, aim()) == MAX_PROBES
    hidden = probes(rng, of_difference(2.5 * TOLERANCE), MAX_PROBES, bar=of_difference(TOLERANCE))
    assert _last(hidden, aim()) == MAX_PROBES, "bars as large as the mismatch"
    assert _last(probes(rng, of_difference(2.5 * TOLERANCE), MAX_PROBES), aim()) in LAST_LOOK


def test_a_probe_that_shows_no_mismatch_at_all_is_not_looked_at_more_closely() -> None:
    """How closely one looks is in proportion to one over the mismatch."""
    found = tuple(probes(np.random.default_rng(8), size, 1)[0] for size in (0.0, 1.0, 0.0))
    outcome = Outcome("wrong", 0.1, 1.0, 1.0, 1.0, probes=found, seeds=(5, 6, 7))
    assert _clearest(outcome) == [(found[1], 6)]
