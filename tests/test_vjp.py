"""Functions of NumPy arrays with a vector-Jacobian product of one's own."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

RNG = np.random.default_rng(8)
X, W = RNG.standard_normal((5, 3)), RNG.standard_normal((3, 4))


def forward(x: Any, w: Any) -> Any:
    return np.tanh(x @ w)


def vjp(inputs: Any, v: Any) -> Any:
    x, w = inputs
    d = v * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


class Wrapped:
    """An array of a small framework."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.array, dtype=dtype)


def test_outputs_and_gradients_that_can_be_read_as_arrays() -> None:
    def wrapped(inputs: Any, v: Any) -> Any:
        return tuple(Wrapped(g) for g in vjp(inputs, v))

    assert gp.check_function(lambda x, w: Wrapped(forward(x, w)), X, W, vjp=wrapped).verdict == "correct"
    wrong = gp.check_function(lambda x, w: Wrapped(forward(x, w)), X, W, vjp=lambda i, v: wrapped(i, 2 * v))
    assert wrong.verdict == "wrong"


def causes(report: gp.Report) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f.cause, f.detail, f.tensors) for f in report.findings]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right(dtype: type) -> None:
    report = gp.check_function(forward, X.astype(dtype), W.astype(dtype), vjp=vjp)
    assert report.verdict == "correct", str(report)
    assert list(report.tensors) == ["inputs[0]", "inputs[1]"]
    assert not report.findings


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (lambda v: 2 * v, ("factor", "factor 2")),
        (lambda v: v[0, 0] * np.ones_like(v), ("cotangent", "collapsed to a number")),
        (lambda v: np.ones_like(v), ("cotangent", "ignored")),
        (lambda v: v + 1.0, ("cotangent", "added constant")),
        (lambda v: v.ravel(order="K").reshape(v.shape), ("layout", "cotangent")),
    ],
)
def test_what_is_done_to_the_cotangent(turn: Any, expected: tuple[str, str]) -> None:
    report = gp.check_function(forward, X, W, vjp=lambda inputs, v: (vjp(inputs, turn(v))[0], vjp(inputs, v)[1]))
    assert causes(report) == [(*expected, ("inputs[0]",))], str(report)
    assert report.tensors["inputs[1]"].verdict == "correct"


def test_an_input_in_another_layout() -> None:
    def careless(inputs: Any, v: Any) -> Any:
        x, w = inputs
        return vjp(inputs, v)[0], x.ravel(order="K").reshape(x.shape).T @ (v * (1 - np.tanh(x @ w) ** 2))

    report = gp.check_function(forward, X, W, vjp=careless)
    assert causes(report) == [("layout", "input", ("inputs[1]",))], str(report)
    assert "inputs[0] is stored with its axes reversed" in report.findings[0].message


def test_what_is_changed_in_place() -> None:
    def writing(inputs: Any, v: Any) -> Any:
        x, w = inputs
        v *= 1 - np.tanh(x @ w) ** 2
        return v @ w.T, x.T @ v

    report = gp.check_function(forward, X, W, vjp=writing)
    assert ("aliasing", "changed in place") in [(f.cause, f.detail) for f in report.findings], str(report)
    assert "the cotangent" in report.findings[0].message


def test_state_between_calls() -> None:
    kept: list[Any] = []

    def remembering(x: Any, w: Any) -> Any:
        kept[:] = [np.tanh(x @ w)]
        return kept[0].copy()

    def stale(inputs: Any, v: Any) -> Any:
        x, w = inputs
        d = v * (1 - kept[0] ** 2)
        return d @ w.T, x.T @ d

    report = gp.check_function(remembering, X, W, vjp=stale)
    assert {f.cause for f in report.findings if f.severity == "error"} == {"stale"}, str(report)


def test_outputs_one_by_one() -> None:
    def two(x: Any) -> Any:
        return np.sin(x), {"rest": np.exp(x), "count": 3}

    def half(inputs: Any, cotangent: Any) -> Any:
        return (cotangent[0] * np.cos(inputs[0]),)

    report = gp.check_function(two, X, vjp=half)
    assert causes(report) == [("missing-path", "through output 1", ("inputs[0]",))], str(report)
    right = gp.check_function(two, X, vjp=lambda i, u: (u[0] * np.cos(i[0]) + u[1] * np.exp(i[0]),))
    assert right.verdict == "correct"
    assert not right.findings


def test_complex_numbers() -> None:
    A, z = X[:3] + 1j * W.T[:3], RNG.standard_normal(3) + 1j * RNG.standard_normal(3)
    assert gp.check_function(lambda z: A @ z, z, vjp=lambda i, v: (A.conj().T @ v,)).verdict == "correct"
    report = gp.check_function(lambda z: A @ z, z, vjp=lambda i, v: (A.T @ v,))
    assert causes(report) == [("conjugate", "factors not conjugated", ("inputs[0]",))]


def test_other_arguments_and_sizes() -> None:
    report = gp.check_function(
        lambda x, n, *, shift: x**n + shift, X, 3, kwargs={"shift": RNG.standard_normal(3)},
        vjp=lambda i, v: (3 * i[0] ** 2 * v, v.sum(0)),
    )  # fmt: skip
    assert list(report.tensors) == ["inputs[0]", "shift"]
    assert report.verdict == "correct"
    assert gp.check_function(np.sin, np.array(0.3), vjp=lambda i, v: (v * np.cos(i[0]),)).passed
    assert gp.check_function(np.sin, 0.3, vjp=lambda i, v: (v * np.cos(i[0]),), argnums=0).passed
    assert gp.check_function(np.sin, np.ones((0, 3)), vjp=lambda i, v: (v,)).verdict == "correct"


def test_regimes() -> None:
    def blocks(inputs: Any, v: Any) -> Any:
        found = v * np.cos(inputs[0])
        if len(found) > 32:
            found[32 * (len(found) // 32) :] = 0
        return (found,)

    report = gp.check_function(np.sin, X[:, 0], vjp=blocks, regimes=True)
    assert report.verdict == "wrong"
    assert "33, 63 and 65 in place of 5" in report.findings[0].message, str(report)


@pytest.mark.parametrize(
    ("given", "options", "match"),
    [
        ((np.sin, X), {}, "vjp"),
        ((np.sin, 3), {"vjp": vjp}, "at least one"),
        ((np.sin, X), {"vjp": 3}, "`vjp`"),
        ((np.sin, X), {"vjp": lambda i, v: (v * np.cos(i[0]),), "order": 2}, "check_hessian"),
        ((np.sin, X), {"vjp": lambda i, v: (v, v)}, "one array an input"),
        ((lambda x: 3, X), {"vjp": vjp}, "what it returns"),
    ],
)
def test_what_is_refused(given: Any, options: Any, match: str) -> None:
    with pytest.raises(gp.InputError, match=match):
        gp.check_function(*given, **options)


def test_inputs_that_are_nestings() -> None:
    x, given = np.linspace(0.1, 1.0, 6).reshape(2, 3), {"scale": np.array([1.0, 2.0, 3.0]), "shift": np.array([0.5])}

    def function(x: Any, p: dict[str, Any]) -> Any:
        return np.sin(x) * p["scale"] + p["shift"]

    def vjp(inputs: Any, v: Any, factor: float = 1.0) -> Any:
        x, p = inputs
        inner = {"scale": (v * np.sin(x)).sum(axis=0) * factor, "shift": np.array([v.sum()])}
        return v * p["scale"] * np.cos(x), inner

    assert gp.check_function(function, x, given, vjp=vjp, argnums=[0, 1]).verdict == "correct"
    report = gp.check_function(function, x, given, vjp=lambda i, v: vjp(i, v, 2.0), argnums=[0, 1])
    assert [n for n, t in report.tensors.items() if t.verdict == "wrong"] == ["inputs[1].scale"]


@pytest.mark.parametrize("second", [2, "x", np.arange(3)])
def test_an_input_that_is_named_and_cannot_be_differentiated_is_refused(second: Any) -> None:
    one = np.linspace(0.3, 1.0, 3)

    def vjp(inputs: Any, v: Any) -> Any:
        return (v * np.cos(inputs[0]), None)

    with pytest.raises(gp.InputError, match=r"inputs\[1\], which argnums= names"):
        gp.check_function(lambda a, b: np.sin(a), one, second, vjp=vjp, argnums=(0, 1))
    with pytest.raises(gp.InputError, match="positions among 2 inputs"):
        gp.check_function(lambda a, b: np.sin(a), one, second, vjp=vjp, argnums=2)
    assert gp.check_function(lambda a, b: np.sin(a), one, second, vjp=vjp, argnums=0).verdict == "correct"
