"""The pairs of the benchmark that come with SciPy: right ones are called right, and planted errors wrong."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from wild import Pair, cost, elementwise, hessian, outputs, scipy_other, scipy_special

#: Wrong as they are installed: see docs/found-in-the-wild.md.
KNOWN = ("scipy.special.obl_rad2", "scipy.special.itairy Ai")
PAIRS = [pair for pair in (*scipy_special.pairs(), *scipy_other.pairs()) if pair.name not in KNOWN]


def test_there_are_many() -> None:
    assert len(PAIRS) > 300
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize("pair", PAIRS[::9], ids=lambda pair: pair.name)
def test_right(pair: Pair) -> None:
    with np.errstate(all="ignore"):
        assert pair.check(7).verdict == "correct"


@pytest.mark.parametrize("off", [1.0, 1e-3])
def test_a_planted_error_of_each_kind(off: float) -> None:
    def at(rng: Any) -> Any:
        return rng.uniform(0.5, 1.5, 4)

    def wrong(x: Any) -> Any:
        return (1.0 + off) * 3 * x**2

    planted = [
        elementwise("", lambda x: x**3, wrong, 0.5, 1.5),
        cost("", lambda x: float(np.sum(x**3)), wrong, at),
        outputs("", lambda x: x**3, lambda x: np.diag(wrong(x)), at),
        hessian("", lambda x: x**3, lambda x: np.diag(wrong(x)), at),
    ]
    for pair in planted:
        assert pair.check(7).verdict == "wrong"
