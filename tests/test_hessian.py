"""Claimed Hessians of NumPy costs."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp

RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 3))
PARAMS = {"w": RNG.standard_normal(3), "b": RNG.standard_normal(1)}


def grads(params: Any) -> Any:
    r = np.tanh(X @ params["w"] + params["b"])
    return {"w": X.T @ r, "b": np.array([r.sum()])}


def hessian(params: Any, change: Any = None) -> Any:
    slope = 1 - np.tanh(X @ params["w"] + params["b"]) ** 2
    wide = np.hstack([X, np.ones((12, 1))])
    found = wide.T @ (slope[:, None] * wide)
    return found if change is None else change(found)


def hvp(params: Any, vector: Any) -> Any:
    found = hessian(params) @ np.concatenate([vector["w"], vector["b"]])
    return {"w": found[:3], "b": found[3:]}


def test_right() -> None:
    for report in (
        gp.check_hessian(grads, PARAMS, hessian),
        gp.check_hessian(grads, PARAMS, hessian=hessian(PARAMS)),
        gp.check_hessian(grads, PARAMS, hvp=hvp),
        gp.check_hessian(lambda w: X.T @ np.tanh(X @ w), PARAMS["w"],
                         lambda w: X.T @ ((1 - np.tanh(X @ w) ** 2)[:, None] * X)),
    ):  # fmt: skip
        assert report.verdict == "correct", str(report)
        assert not report.findings


@pytest.mark.parametrize(
    ("change", "cause", "tensors"),
    [
        (lambda h: 2 * h, "factor", {"w", "b"}),
        (lambda h: -h, "sign", {"w", "b"}),
        (lambda h: 0 * h, "zero", {"w", "b"}),
        (lambda h: h + 0.3 * np.outer([1, 0, 0, 0], [1, 0, 0, 0]), "region", {"w"}),
    ],
)
def test_wrong(change: Any, cause: str, tensors: set[str]) -> None:
    report = gp.check_hessian(grads, PARAMS, lambda p: hessian(p, change))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == cause, str(report)
    assert {n for n, t in report.tensors.items() if t.verdict == "wrong"} == tensors


def test_a_slope_taken_for_one() -> None:
    wide = np.hstack([X, np.ones((12, 1))])
    report = gp.check_hessian(grads, PARAMS, wide.T @ wide)
    assert {f.cause for f in report.findings} == {"double-backward"}, str(report)


def test_what_is_not_symmetric() -> None:
    report = gp.check_hessian(grads, PARAMS, lambda p: hessian(p, lambda h: h + np.eye(4, k=1)))
    assert "not symmetric" in [f.detail for f in report.findings]
    rough = gp.check_hessian(grads, PARAMS, lambda p: hessian(p, lambda h: h + 1e-13 * np.eye(4, k=1)))
    assert not rough.findings


def test_what_is_refused() -> None:
    with pytest.raises(gp.InputError, match="hvp="):
        gp.check_hessian(grads, PARAMS)
    with pytest.raises(gp.InputError, match=r"shape \(4, 4\)"):
        gp.check_hessian(grads, PARAMS, np.eye(3))
    with pytest.raises(gp.InputError, match="either"):
        gp.check_hessian(grads, PARAMS, np.eye(4), hvp=hvp)
    with pytest.raises(gp.InputError, match="function"):
        gp.check_hessian(3, PARAMS, np.eye(4))  # type: ignore[arg-type]
    for cost in (lambda p: float(np.sum(p**3)), lambda p: np.sum(p**3), lambda p: p[:2]):
        with pytest.raises(gp.InputError, match=r"gradient of p, shape \(4,\)"):
            gp.check_hessian(cost, np.ones(4), lambda p: np.diag(6.0 * p))
    with pytest.raises(gp.InputError, match="complex"):
        gp.check_hessian(lambda z: z, np.ones(2) * 1j, np.eye(2))


def test_what_is_wrong_is_called_a_second_derivative() -> None:
    x = np.linspace(0.3, 1.3, 5)

    def cubes(p: Any) -> Any:
        return 4 * p**3

    claims: list[dict[str, Any]] = [
        {"hessian": lambda p: np.diag(24 * p**2)},
        {"hvp": lambda p, v: -12 * p**2 * v},
        {"hessian": lambda p: np.diag(12 * p**2) + 0.2 * np.eye(5, k=1) + 0.2 * np.eye(5, k=-1)},
    ]
    for claim in claims:
        report = gp.check_hessian(cubes, x, **claim)
        assert report.verdict == "wrong"
        assert "The second derivative of p is" in report.findings[0].message
        assert "gradient" not in report.findings[0].message + report.findings[0].fix
        assert "The second derivative of p" in " ".join(str(report).split())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_cost_in_the_place_of_the_gradient_of_tensors(framework: str) -> None:
    make = pytest.importorskip(framework)
    x = make.ones(4) if framework == "torch" else make.numpy.ones(4)
    with pytest.raises(gp.InputError, match="but is one number"):
        gp.check_hessian(lambda p: (p**3).sum(), x, lambda p: np.diag(6.0 * np.ones(4)))
    assert gp.check_hessian(lambda p: 3 * p**2, x, lambda p: np.diag(6.0 * np.ones(4))).passed
