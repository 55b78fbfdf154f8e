"""Jacobians and Jacobian-vector products of functions of NumPy arrays: right, with planted errors, and near misses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradproof as gp

A = np.random.default_rng(0).standard_normal((8, 6))
X = np.random.default_rng(1).standard_normal(6)


def function(x: Any) -> Any:
    return np.tanh(A @ x) + x[0] * x[1]


def jacobian(x: Any) -> Any:
    found = (1 - np.tanh(A @ x) ** 2)[:, None] * A
    found[:, 0] += x[1]
    found[:, 1] += x[0]
    return found


def planted(i: Any, j: Any, change: Callable[[Any], Any] = lambda entry: entry + 0.5) -> Callable[[Any], Any]:
    def wrong(x: Any) -> Any:
        found = jacobian(x)
        found[i, j] = change(found[i, j])
        return found

    return wrong


FORMS: list[Callable[[Any], Any]] = [lambda x: x, sparse.csr_array, sparse.coo_matrix, sparse.linalg.aslinearoperator]


@pytest.mark.parametrize("form", FORMS)
def test_right(form: Callable[[Any], Any]) -> None:
    for claim in (lambda x: form(jacobian(x)), form(jacobian(X))):
        report = gp.check_function(function, X, jacobian=claim)
        assert report.verdict == "correct", str(report)
        assert not report.findings


def test_a_near_miss_is_right_and_an_error_above_the_tolerance_is_wrong() -> None:
    near = gp.check_function(function, X, jacobian=lambda x: jacobian(x) * (1 + 1e-9))
    assert near.verdict == "correct"
    off = gp.check_function(function, X, jacobian=lambda x: jacobian(x) * (1 + 1e-4))
    assert off.verdict == "wrong"


def mask(*where: Any) -> Any:
    found = np.zeros((8, 6), dtype=bool)
    found[where] = True
    return found


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize(
    ("place", "said"),
    [((3, 5), "J[3, 5]"), ((3, slice(None)), "row 3 of J"), ((slice(None), 5), "column 5 of J")],
)
def test_wrong_entries_are_named(place: Any, said: str, form: Callable[[Any], Any]) -> None:
    wrong = planted(*place)
    for claim in (lambda x: form(wrong(x)), form(wrong(X))):
        report = gp.check_function(function, X, jacobian=claim)
        (finding,) = report.findings
        assert (report.verdict, finding.where.text) == ("wrong", said), str(report)
        assert np.array_equal(finding.where.mask("J"), mask(*place))
        assert finding.repaired is not None
        assert finding.repaired < 1e-5


def test_scattered_entries() -> None:
    report = gp.check_function(function, X, jacobian=planted([1, 4, 6], [2, 0, 5]))
    (finding,) = report.findings
    assert finding.where.text == "3 entries of J, the first J[4, 0]"
    assert np.array_equal(finding.where.mask("J"), mask([1, 4, 6], [2, 0, 5]))


@pytest.mark.parametrize(
    ("change", "cause", "detail"),
    [(lambda e: -e, "sign", "-1"), (lambda e: 2 * e, "factor", "2"), (lambda e: 0 * e, "zero", "never computed")],
)
def test_the_kind_of_a_wrong_column(change: Any, cause: str, detail: str) -> None:
    (finding,) = gp.check_function(function, X, jacobian=planted(slice(None), 5, change)).findings
    assert (finding.cause, finding.detail, finding.where.text) == (cause, detail, "column 5 of J")


def test_an_omitted_nonzero_of_a_sparse_jacobian() -> None:
    from scipy.optimize._numdiff import check_derivative

    def wrong(x: Any) -> Any:
        found = sparse.csr_array(planted(3, 5, lambda entry: 0.0)(x))
        found.eliminate_zeros()
        return found

    (finding,) = gp.check_function(function, X, jacobian=wrong).findings
    assert (finding.cause, finding.detail, finding.where.text) == ("zero", "omitted nonzero", "J[3, 5]")
    assert check_derivative(function, lambda x: sparse.csr_matrix(wrong(x)), X) < 1e-6  # SciPy's check does not see it


def test_transposed() -> None:
    square = gp.check_function(
        lambda x: np.sin(A[:6] @ x), X, jacobian=lambda x: (np.cos(A[:6] @ x)[:, None] * A[:6]).T
    )
    for report in (square, gp.check_function(function, X, jacobian=lambda x: jacobian(x).T)):
        (finding,) = report.findings
        assert (report.verdict, finding.cause) == ("wrong", "transposed")
        assert finding.repaired is not None


def test_a_factor_on_all_of_it() -> None:
    (finding,) = gp.check_function(function, X, jacobian=lambda x: 2 * jacobian(x)).findings
    assert (finding.cause, finding.detail) == ("factor", "factor 2")
    assert finding.where.mask("J").all()


def tridiagonal(x: Any) -> Any:
    found = x**3
    found[1:] -= 2 * x[:-1]
    found[:-1] += np.sin(x[1:])
    return found


def bands(x: Any) -> Any:
    parts = [np.full(len(x) - 1, -2.0), 3 * x**2, np.cos(x[1:])]
    return sparse.diags_array(parts, offsets=[-1, 0, 1]).tocsr()


def test_a_large_sparse_jacobian() -> None:
    point = np.random.default_rng(3).standard_normal(3000)
    assert gp.check_function(tridiagonal, point, jacobian=bands).evaluations < 200

    def wrong(x: Any) -> Any:
        found = bands(x).tolil()
        found[17, 18] = 0.0
        return found.tocsr()

    report = gp.check_function(tridiagonal, point, jacobian=wrong)
    (finding,) = report.findings
    assert finding.where.text == "J[17, 18]", str(report)
    assert report.evaluations < len(point) / 4  # halving, and not one column after another


def test_a_large_one_that_is_wrong_everywhere() -> None:
    point = np.random.default_rng(3).standard_normal(1000)
    report = gp.check_function(tridiagonal, point, jacobian=lambda x: bands(x) + sparse.diags_array(x))
    (finding,) = report.findings
    assert finding.where.text == "at least 24 columns of J"
    assert not finding.where.exact
    assert finding.where.mask("J").any(axis=0).all()


def test_a_small_output_beside_a_large_one() -> None:
    def outputs(x: Any) -> Any:
        return np.array([np.sum(x**2), 1e-8 * np.sum(np.sin(x))])

    for factor, verdict in ((1.0, "correct"), (1.01, "wrong")):
        report = gp.check_function(
            outputs, X, jacobian=lambda x, factor=factor: np.array([2 * x, factor * 1e-8 * np.cos(x)])
        )  # fmt: skip
        assert report.verdict == verdict
    assert report.findings[0].where.text == "row 1 of J"


def outer(a: Any, b: Any) -> Any:
    return np.outer(a, b)


def of_outer(a: Any, b: Any) -> Any:
    return np.einsum("ik,j->ijk", np.eye(3), b), np.einsum("i,jk->ijk", a, np.eye(2))


def test_several_inputs_and_outputs_of_any_shape() -> None:
    a, b = np.arange(1.0, 4.0), np.arange(2.0, 4.0)
    assert gp.check_function(outer, a, b, jacobian=of_outer).verdict == "correct"
    flat = tuple(part.reshape(6, -1) for part in of_outer(a, b))
    assert gp.check_function(outer, a, b, jacobian=flat).verdict == "correct"

    def wrong(a: Any, b: Any) -> Any:
        first, second = of_outer(a, b)
        second[1, 1, 1] = 7.0
        return first, second

    report = gp.check_function(outer, a, b, jacobian=wrong)
    assert [t.verdict for t in report.tensors.values()] == ["correct", "wrong"]
    assert report.findings[0].where.text == "J[1][3, 1]"
    with pytest.raises(gp.InputError, match="a tuple of 2 Jacobians"):
        gp.check_function(outer, a, b, jacobian=lambda a, b: (*of_outer(a, b), 1.0))


def right_hand_side(t: float, y: Any) -> Any:
    return np.array([y[1], -np.sin(y[0]) * t])


def test_the_right_hand_side_of_an_ode() -> None:
    def right(t: float, y: Any) -> Any:
        return [[0, 1], [-np.cos(y[0]) * t, 0]]

    for state in (np.array([0.3, 0.2]), [0.3, 0.2]):
        assert gp.check_function(right_hand_side, 0.5, state, jacobian=right, argnums=1).verdict == "correct"
    wrong = gp.check_function(right_hand_side, 0.5, [0.3, 0.2], jacobian=lambda t, y: np.eye(2), argnums=1)
    assert wrong.verdict == "wrong"


def test_residuals_with_data_of_their_own() -> None:
    times = np.linspace(0.0, 1.0, 7)
    values = np.exp(-times)

    def residuals(x: Any, t: Any, y: Any) -> Any:
        return x[0] * np.exp(-x[1] * t) - y

    def right(x: Any, t: Any, y: Any) -> Any:
        return np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1)

    report = gp.check_function(residuals, np.array([1.2, 0.7]), times, values, jacobian=right)
    assert (report.verdict, list(report.tensors)) == ("correct", ["inputs[0]"])
    wrong = gp.check_function(residuals, [1.2, 0.7], times, values, jacobian=lambda *a: abs(right(*a)), argnums=0)
    assert wrong.findings[0].where.text == "column 1 of J"
    assert wrong.findings[0].where.mask("J").sum() == 6  # the derivative at t = 0 is zero


def test_a_jacobian_that_is_not_finite() -> None:
    report = gp.check_function(function, X, jacobian=planted(2, 3, lambda entry: np.nan))
    (finding,) = report.findings
    assert (report.verdict, finding.cause, finding.where.text) == ("wrong", "contract", "J[2, 3]")


def test_a_fixed_jacobian_beside_a_kink_is_not_called_wrong() -> None:
    def kinked(x: Any) -> Any:
        return np.array([np.abs(x[0]) + x[1] ** 3, x[1]])

    report = gp.check_function(kinked, np.array([0.0, 1.0]), jacobian=np.array([[0.0, 3.0], [0.0, 1.0]]))
    assert report.verdict == "undecided"


def forwards(claim: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda inputs, tangent: claim(inputs[0]) @ tangent


def test_a_right_jvp() -> None:
    assert gp.check_function(function, X, jvp=forwards(jacobian)).verdict == "correct"
    assert gp.check_function(function, X, jvp=forwards(jacobian), jacobian=jacobian).verdict == "correct"
    both = gp.check_function(function, X, jvp=forwards(jacobian), vjp=lambda i, u: (u @ jacobian(i[0]),))
    assert both.verdict == "correct"
    assert both.tensors["inputs[0]"].shape == (6,)


@pytest.mark.parametrize("beside", [{}, {"jacobian": jacobian}])
def test_a_wrong_jvp(beside: dict[str, Any]) -> None:
    report = gp.check_function(function, X, jvp=forwards(planted(3, 5)), **beside)
    (finding,) = report.findings
    assert (report.verdict, finding.where.text) == ("wrong", "J[3, 5]")
    assert np.array_equal(finding.where.mask("J"), mask(3, 5))
    (finding,) = gp.check_function(function, X, jvp=forwards(lambda x: 2 * jacobian(x)), **beside).findings
    assert finding.cause == "factor"


def test_a_jvp_of_two_inputs() -> None:
    a, b = np.arange(1.0, 4.0), np.arange(2.0, 4.0)

    def right(inputs: Any, tangent: Any) -> Any:
        return np.outer(tangent[0], inputs[1]) + np.outer(inputs[0], tangent[1])

    assert gp.check_function(outer, a, b, jvp=right).verdict == "correct"
    report = gp.check_function(outer, a, b, jvp=lambda i, t: np.outer(t[0], i[1]) - np.outer(i[0], t[1]))
    assert [t.verdict for t in report.tensors.values()] == ["correct", "wrong"]


def test_two_sides_that_rounding_hides_contradict_one_another() -> None:
    rough = np.random.default_rng(5).standard_normal(64)

    def noisy(x: Any) -> Any:
        return function(x) + 1e-3 * rough[int(abs(np.sum(x)) * 1e13) % 64]

    near = gp.check_function(noisy, X, jvp=forwards(jacobian), jacobian=jacobian)
    assert near.verdict == "undecided"
    report = gp.check_function(noisy, X, jvp=forwards(lambda x: 1.0001 * jacobian(x)), jacobian=jacobian)
    assert report.verdict == "wrong"
    assert report.findings[0].detail == "jvp and vjp are not adjoint"


def test_the_entries_of_a_wrong_vjp() -> None:
    report = gp.check_function(function, X, vjp=lambda inputs, u: (u @ planted(3, 5)(inputs[0]),))
    assert report.findings[0].where.text == "J[3, 5]", str(report)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"jacobian": jacobian, "vjp": lambda i, u: u}, "one of vjp= and jacobian="),
        ({"jacobian": np.zeros((3, 3))}, r"of shape \(8, 6\)"),
        ({"jvp": lambda i, t: np.zeros(3)}, r"outputs' shape \(8,\)"),
        ({"jacobian": jacobian, "order": 2}, "left out beside jacobian="),
        ({"jacobian": jacobian, "regimes": True}, "left out beside jacobian="),
    ],
)
def test_what_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(gp.InputError, match=words):
        gp.check_function(function, X, **given)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(gp.InputError, match="real arrays with one output"):
        gp.check_function(lambda x: x**2, X + 0j, jacobian=np.diag(2 * X))


def test_a_jvp_has_no_tangent_for_keyword_arguments() -> None:
    with pytest.raises(gp.InputError, match="positional arrays"):
        gp.check_function(lambda x, a: a * x, X, kwargs={"a": X}, jvp=lambda i, t: t)
