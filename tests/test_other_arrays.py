"""Arrays of libraries that have no adapter of their own, known by what they can do."""

import sys
from typing import Any

import numpy as np
import pytest

import gradproof as gp

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=(4, 3)), RNG.normal(size=(9, 4))


def library(name: str) -> Any:
    return pytest.importorskip(name)


def made(xp: Any, array: Any, dtype: str) -> Any:
    make = getattr(xp, "asarray", None) or xp.array
    return make(np.asarray(array, dtype), dtype=getattr(xp, dtype))


def cost(p: dict[str, Any], xp: Any, factor: float = 1.0) -> Any:
    dtype = str(p["W"].dtype).rpartition(".")[2]
    A = xp.tanh(xp.matmul(made(xp, X, dtype), p["W"]))
    return xp.sum(A * A)


def grads(p: dict[str, Any], xp: Any, factor: float = 1.0) -> dict[str, Any]:
    x = made(xp, X, str(p["W"].dtype).rpartition(".")[2])
    A = xp.tanh(xp.matmul(x, p["W"]))
    return {"dW": xp.matmul(x.T, 2 * A * (1 - A * A)) * factor}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["array_api_strict", "mlx.core"])
def test_costs(name: str, dtype: str) -> None:
    xp = library(name)
    if name == "mlx.core":
        xp.set_default_device(xp.cpu)
    params = {"W": made(xp, W, dtype)}
    before = np.array(params["W"]).tobytes()
    for claim in (grads, grads(params, xp)):
        assert gp.check(cost, params, claim, args=(xp,)).verdict == "correct"
    report = gp.check(cost, params, grads, args=(xp,), options={"factor": 1.01})
    assert [f.cause for f in report.findings] == ["configuration"]
    assert gp.check(lambda p: (cost(p, xp), grads(p, xp)), params, True).verdict == "correct"
    assert gp.check(lambda p: (cost(p, xp), 3), params, lambda p: grads(p, xp), has_aux=True).verdict == "correct"
    assert np.array(params["W"]).tobytes() == before


@pytest.mark.parametrize("name", ["array_api_strict", "mlx.core"])
def test_functions(name: str) -> None:
    xp = library(name)
    x, scale = made(xp, X, "float32"), {"scale": made(xp, W[0], "float32")}

    def function(x: Any, given: dict[str, Any]) -> Any:
        return xp.tanh(x)[:, :3] * given["scale"]  # the sine of MLX has the digits of float32 in float64, too

    def vjp(inputs: Any, v: Any, factor: float = 1.0) -> Any:
        x, given = inputs
        dx = np.zeros(X.shape, np.asarray(x).dtype)
        dx[:, :3] = factor * np.asarray(v * given["scale"] * (1 - xp.tanh(x) ** 2)[:, :3])
        dtype = str(x.dtype).rpartition(".")[2]
        return made(xp, dx, dtype), {"scale": xp.sum(v * xp.tanh(x)[:, :3], axis=0)}

    assert gp.check_function(function, x, scale, vjp=vjp).verdict == "correct"
    report = gp.check_function(function, x, scale, vjp=lambda i, v: vjp(i, v, 2.0))
    assert [n for n, t in report.tensors.items() if t.verdict == "wrong"] == ["inputs[0]"]


class Single:
    """An array of a library that knows single precision alone, and nothing of a standard but its name."""

    float32 = "float32"

    def __init__(self, numbers: Any) -> None:
        self.numbers = np.asarray(numbers, np.float32)
        self.shape, self.dtype = self.numbers.shape, "float32"

    def __array_namespace__(self) -> Any:
        return Single

    @staticmethod
    def asarray(array: Any, dtype: Any = None) -> "Single":
        return Single(array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.numbers, dtype)


class Sealed(Single):
    """One that does not give its numbers."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("implicit conversion to a host array is not allowed")


def test_a_library_without_double_precision() -> None:
    x = Single(RNG.normal(size=20))
    right = gp.check(lambda x: float((x.numbers**3).sum()), x, lambda x: Single(3 * x.numbers**2))
    assert right.verdict != "wrong"
    assert "own precision" in " ".join(right.notes)
    wrong = gp.check(lambda x: float((x.numbers**3).sum()), x, lambda x: Single(2 * x.numbers**2))
    assert wrong.verdict == "wrong"


def test_refusals() -> None:
    with pytest.raises(gp.InputError, match=r"Sealed that does not.*implicit conversion"):
        gp.check(lambda x: 1.0, Sealed(np.ones(3)), np.ones(3))
    with pytest.raises(gp.InputError, match="no reverse mode"):
        gp.check(lambda x: 1.0, Single(np.ones(3)))
    with pytest.raises(gp.InputError, match="without arguments"):
        gp.check(lambda: 1.0, Single(np.ones(3)), Single(np.ones(3)))
    assert "cupy" not in sys.modules


def test_cupy() -> None:
    cupy = pytest.importorskip("cupy", reason="there is no GPU on this machine")
    params = {"W": cupy.asarray(W)}
    assert gp.check(cost, params, grads, args=(cupy,)).verdict == "correct"
    assert gp.check(cost, params, grads, args=(cupy,), options={"factor": 1.01}).verdict == "wrong"
