"""The pairs of the benchmark that come with packages: right ones are called right, wrong and planted ones wrong."""

import importlib
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

#: Of the frameworks' pairs, some that take little to compile.
RIGHT = {
    "jax_functions": (
        "jax.scipy.special.gammaln",
        "jax.numpy.logaddexp",
        "jax.lax.cumprod (zeros)",
        "jax.numpy.fft.irfft",
    ),
    "jax_algebra": ("jax.scipy.linalg.solve_triangular", "jax.numpy.linalg.norm (3, zeros)"),
    "tensorflow_functions": (
        "tensorflow.math.lgamma",
        "tensorflow.math.pow",
        "tensorflow.linalg.cholesky",
        "tensorflow.signal.rfft",
    ),
}
WRONG = {
    "jax_algebra": ("jax.numpy.linalg.eigh exponential (equal eigenvalues)",),
    "tensorflow_functions": ("tensorflow.math.cumprod (zeros)",),
}


def named(module: str, name: str) -> Pair:
    """A pair of a framework; the test is skipped where that is not installed."""
    pytest.importorskip(module.split("_")[0])
    found: dict[str, Pair] = {pair.name: pair for pair in importlib.import_module(f"wild.{module}").pairs()}
    return found[name]


def test_there_are_many() -> None:
    assert len(PAIRS) > 300
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize(("framework", "least"), [("jax", 300), ("tensorflow", 150)])
def test_there_are_many_of_a_framework(framework: str, least: int) -> None:
    pytest.importorskip(framework)
    modules = [module for module in RIGHT if module.startswith(framework)]
    names = [pair.name for module in modules for pair in importlib.import_module(f"wild.{module}").pairs()]
    assert len(names) > least
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("pair", PAIRS[::9], ids=lambda pair: pair.name)
def test_right(pair: Pair) -> None:
    with np.errstate(all="ignore"):
        assert pair.check(7).verdict == "correct"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in RIGHT.items() for name in names])
def test_right_of_a_framework(module: str, name: str) -> None:
    assert named(module, name).check(7).verdict == "correct"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in WRONG.items() for name in names])
def test_wrong_of_a_framework(module: str, name: str) -> None:
    assert named(module, name).check(7).verdict == "wrong"


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
