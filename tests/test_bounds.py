"""Bounds and domains: no step leaves them, and what lies on a bound is measured from inside."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds

import gradproof as gp


class Watched:
    """A cost that has no value below zero, and remembers how low it was called."""

    def __init__(self) -> None:
        self.lowest = np.inf

    def __call__(self, x: Any) -> float:
        self.lowest = min(self.lowest, float(np.min(x)))
        return float(np.sum(x**1.5) + x[0] * x[1] + np.sum(np.sin(x)))


def grad(x: Any) -> Any:
    found = 1.5 * x**0.5 + np.cos(x)
    found[0] += x[1]
    found[1] += x[0]
    return found


POINTS = [
    np.array([0.5, 1.0, 2.0]),
    np.array([0.5, 0.0, 2.0]),
    np.array([0.5, 1e-6, 2.0]),
    np.array([0.5, 1e-3, 2.0]),
    np.zeros(3),
    np.r_[np.zeros(50), np.ones(50)],
]


@pytest.mark.parametrize("x", POINTS, ids=lambda x: f"{len(x)}-{x[1]:g}")
@pytest.mark.parametrize("bounds", ["scalars", "Bounds", "pairs"])
def test_no_step_leaves_the_bounds(x: Any, bounds: str) -> None:
    given: Any = {"scalars": (0, None), "Bounds": Bounds(0.0, np.inf), "pairs": [(0, None)] * len(x)}[bounds]
    cost = Watched()
    report = gp.check(cost, x, grad, bounds=given)
    assert report.verdict == "correct", str(report)
    assert cost.lowest >= 0.0


@pytest.mark.parametrize("x", POINTS, ids=lambda x: f"{len(x)}-{x[1]:g}")
def test_an_error_at_a_bound_is_found_there(x: Any) -> None:
    def wrong(x: Any) -> Any:
        found = grad(x)
        found[1] += 1e-2
        return found

    cost = Watched()
    report = gp.check(cost, x, wrong, bounds=(0, None))
    (finding,) = report.findings
    assert (report.verdict, finding.where.text) == ("wrong", "x[1]"), str(report)
    assert np.flatnonzero(finding.where.mask("x")).tolist() == [1]
    assert cost.lowest >= 0.0


def test_a_near_miss_at_a_bound_is_not_called_wrong() -> None:
    report = gp.check(Watched(), POINTS[1], lambda x: grad(x) + np.array([0.0, 1e-9, 0.0]), bounds=(0, None))
    assert report.verdict == "correct"


def test_upper_and_lower_bounds_with_nothing_between() -> None:
    report = gp.check(Watched(), np.array([0.5, 1.0, 2.0]), grad, bounds=Bounds(0.5, 2.0))
    assert report.verdict == "correct"


def test_bounds_by_name() -> None:
    def cost(params: Any) -> float:
        return float(np.sum(np.sqrt(params["a"])) + np.sum(params["b"] ** 2))

    def grads(params: Any) -> Any:
        return {"a": 0.5 / np.sqrt(params["a"]), "b": 2 * params["b"]}

    params = {"a": np.array([0.1, 0.2]), "b": np.array([-1.0])}
    assert gp.check(cost, params, grads, bounds={"a": (0.0, [1.0, 2.0])}).verdict == "correct"
    with pytest.raises(gp.InputError, match="among a, b"):
        gp.check(cost, params, grads, bounds={"c": (0, 1)})
    with pytest.raises(gp.InputError, match="a mapping of names"):
        gp.check(cost, params, grads, bounds=(0, 1))


def root(x: Any) -> Any:
    return x**2.5 * np.array([1.0, 2.0, 3.0])


def of_root(x: Any) -> Any:
    assert np.min(x) >= 0.0
    return np.diag(2.5 * x**1.5 * np.array([1.0, 2.0, 3.0]))


X = np.array([0.0, 1.0, 2.0])


def test_bounds_of_a_function() -> None:
    assert gp.check_function(root, X, jacobian=of_root, bounds=(0, None)).verdict == "correct"
    assert gp.check_function(root, X, jvp=lambda i, t: of_root(i[0]) @ t, bounds=(0, None)).verdict == "correct"
    assert gp.check_function(root, X, vjp=lambda i, u: (u @ of_root(i[0]),), bounds=(0, None)).verdict == "correct"
    report = gp.check_function(root, X, jacobian=lambda x: of_root(x) + np.diag([1.0, 0, 0]), bounds=(0, None))
    assert (report.verdict, report.findings[0].where.text) == ("wrong", "inputs[0][0]")
    report = gp.check_function(root, X, jacobian=lambda x: of_root(x) + np.diag([0, 0.1, 0]), bounds=(0, None))
    assert (report.verdict, report.findings[0].where.text) == ("wrong", "J[1, 1]")


B = np.random.default_rng(0).standard_normal((4, 4))
S = B @ B.T + np.eye(4)


def log_determinant(S: Any) -> float:
    assert np.array_equal(S, S.T)
    return float(2 * np.sum(np.log(np.diag(np.linalg.cholesky(S)))))


@pytest.mark.parametrize("domain", ["symmetric", "positive definite"])
def test_symmetric_matrices(domain: str) -> None:
    assert gp.check(log_determinant, S, np.linalg.inv, domain=domain).verdict == "correct"
    assert gp.check(log_determinant, S, np.linalg.inv(S), domain=domain).verdict == "correct"
    wrong = gp.check(log_determinant, S, lambda S: 2 * np.linalg.inv(S), domain=domain)
    assert (wrong.verdict, wrong.findings[0].cause) == ("wrong", "factor")
    doubled = gp.check(log_determinant, S, lambda S: 2 * np.linalg.inv(S) - np.diag(np.diag(np.linalg.inv(S))),
                       domain=domain)  # fmt: skip
    assert (doubled.verdict, doubled.findings[0].where.text) == ("wrong", "all off-diagonal elements of S")


def entropy(p: Any) -> float:
    assert abs(np.sum(p) - 1.0) < 1e-12
    assert np.min(p) >= 0
    return float(-np.sum(p * np.log(p)))


def test_the_simplex() -> None:
    p = np.array([0.2, 0.3, 0.5])
    assert gp.check(entropy, p, lambda p: -np.log(p) - 1, domain="simplex").verdict == "correct"
    assert gp.check(entropy, p, lambda p: -np.log(p) + 7, domain="simplex").verdict == "correct"  # alike along the set
    assert gp.check(entropy, p, lambda p: np.log(p), domain="simplex").verdict == "wrong"


def test_positive_and_a_predicate() -> None:
    seen = []

    def cost(x: Any) -> float:
        seen.append(float(np.min(x)))
        return float(np.sum(np.log(np.abs(x))))

    for domain in ("positive", lambda x: bool(np.min(x) > 0)):
        assert gp.check(cost, np.array([1e-3, 1.0, 2.0]), lambda x: 1 / x, domain=domain).verdict == "correct"
        assert gp.check(cost, np.array([1e-3, 1.0, 2.0]), lambda x: 1 / x + 1, domain=domain).verdict == "wrong"
    assert min(seen) > 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bounds": (1.0, 2.0)}, "within its bounds and domain"),
        ({"bounds": ((0, 3), (0, 3))}, "read both ways"),
        ({"bounds": 3}, "a list of pairs"),
        ({"domain": "round"}, "one of positive"),
        ({"domain": "symmetric"}, "square"),
        ({"bounds": (0, 3), "vectorized": True}, "False"),
    ],
)
def test_what_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(gp.InputError, match=words):
        gp.check(lambda x: np.sum(x**2), np.array([0.5, 1.0]), lambda x: 2 * x, **given)


def test_lists_as_scipy_reads_them() -> None:
    def fun(x: Any, a: float) -> float:
        return float(a * np.sum(x**2))

    assert gp.check(fun, [1.0, 2], lambda x, a: 2 * a * x, args=(3.0,)).verdict == "correct"
    assert gp.check(fun, (1, 2), lambda x, a: a * x, args=(3.0,)).verdict == "wrong"
    assert gp.check(lambda x: (float(np.sum(x**2)), 2 * x), [1.0, 2.0], True).verdict == "correct"
    assert gp.check(lambda x: float(np.sum(np.square(x))), [1.0, 2.0], np.array([2.0, 4.0])).verdict == "correct"
    assert gp.check_hessian(lambda x: x**3, [1.0, 2.0], lambda x: np.diag(3 * x**2)).verdict == "correct"
    assert gp.check_hessian(lambda x: x**3, [1.0, 2.0], lambda x: np.diag(2 * x**2)).verdict == "wrong"


def test_a_list_is_a_nesting_for_everybody_else() -> None:
    report = gp.check(lambda p: p[0] * p[1], [1.5, 2.0], lambda p: [p[1], p[0]])
    assert (report.verdict, len(report.tensors)) == ("correct", 2)


@pytest.mark.parametrize("method", ["exhaustive", "probe", "classic"])
def test_other_methods_stay_within_the_bounds(method: str) -> None:
    for x in POINTS[:4]:
        cost = Watched()
        try:
            assert gp.check(cost, x, grad, bounds=(0, None), method=method).verdict != "wrong"
        finally:
            assert cost.lowest >= 0.0
