"""Linear algebra of JAX with the gradients that its reverse mode gives, in float64."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import linalg as sl

from wild import Pair
from wild.jax_reverse import several
from wild.points import (
    Draw,
    complex_normal,
    definite,
    equal_eigenvalues,
    normal,
    regular,
    singular,
    spread,
    triangle,
    with_zero,
    zeros,
)

nl, ll = jnp.linalg, lax.linalg
#: A function, its name, and where its inputs are drawn.
Made = tuple[str, Any, tuple[Draw, ...]]


def pairs() -> list[Pair]:
    """All of them."""
    made = [*_factors(), *_spectra(), *_solutions(), *_norms(), *_functions()]
    return [several(name, function, *draws) for name, function, draws in made]


def _symmetric(a: Any) -> Any:
    return (a + a.T) / 2


def _factors() -> list[Made]:
    square, tall = regular(3), normal(4, 3)
    return [
        ("numpy.linalg.cholesky", lambda a: nl.cholesky(_symmetric(a)), (definite(3),)),
        ("numpy.linalg.cholesky (not symmetrised)", lambda a: nl.cholesky(a, symmetrize_input=True), (definite(3),)),
        ("numpy.linalg.cholesky (upper)", lambda a: nl.cholesky(_symmetric(a), upper=True), (definite(4),)),
        ("scipy.linalg.cho_solve", lambda a, b: sl.cho_solve((a, True), b), (triangle(3), normal(3, 2))),
        ("numpy.linalg.qr", nl.qr, (square,)),
        ("numpy.linalg.qr (tall)", nl.qr, (tall,)),
        ("numpy.linalg.qr (wide, R)", lambda a: nl.qr(a.T @ a + jnp.eye(3), mode="r"), (tall,)),
        ("numpy.linalg.qr (complex, |R|)", lambda a: jnp.abs(jnp.diag(nl.qr(a)[1])), (complex_normal(3, 3),)),
        ("scipy.linalg.lu", lambda a: sl.lu(a)[1:], (regular(4),)),
        ("scipy.linalg.lu (tall)", lambda a: sl.lu(a)[1:], (tall,)),
        ("scipy.linalg.lu (wide)", lambda a: sl.lu(a)[1:], (normal(3, 4),)),
        ("lax.linalg.lu", lambda a: ll.lu(a)[0], (square,)),
        ("scipy.linalg.polar", partial(sl.polar, method="svd"), (square,)),
    ]


def _spectra() -> list[Made]:
    def projector(a: Any) -> Any:
        vectors = nl.eigh(_symmetric(a))[1][:, :2]
        return vectors @ vectors.T

    def squared(a: Any) -> Any:
        return jnp.sum(nl.eigvalsh(_symmetric(a)) ** 3)

    def exponential(a: Any) -> Any:
        values, vectors = nl.eigh(_symmetric(a))
        return (vectors * jnp.exp(0.3 * values)) @ vectors.T

    def rebuilt(a: Any) -> Any:
        u, s, v = nl.svd(a, full_matrices=False)
        return (u * jnp.tanh(s)) @ v

    def complex_eigenvalues(a: Any) -> Any:
        return nl.eigvalsh((a + a.conj().T) / 2)

    def eigenvectors(a: Any) -> Any:
        return jnp.abs(ll.eig(a, compute_left_eigenvectors=False, enable_eigvec_derivs=True)[1])

    tall = normal(4, 3)
    return [
        ("numpy.linalg.eigvalsh", lambda a: nl.eigvalsh(_symmetric(a)), (definite(4),)),
        ("numpy.linalg.eigvalsh (complex)", complex_eigenvalues, (complex_normal(3, 3),)),
        ("numpy.linalg.eigh projector", projector, (definite(4),)),
        ("numpy.linalg.eigh", lambda a: nl.eigh(_symmetric(a)), (definite(3),)),
        ("numpy.linalg.eigh exponential", exponential, (definite(3),)),
        ("numpy.linalg.eigvalsh cubes (equal eigenvalues)", squared, (equal_eigenvalues(4),)),
        ("numpy.linalg.eigh projector (equal eigenvalues)", projector, (equal_eigenvalues(4),)),
        ("numpy.linalg.eigh exponential (equal eigenvalues)", exponential, (equal_eigenvalues(3),)),
        ("numpy.linalg.eigvals", lambda a: jnp.real(jnp.sum(nl.eigvals(a) ** 3)), (regular(3),)),
        ("lax.linalg.eig (magnitudes)", eigenvectors, (definite(3),)),
        ("numpy.linalg.svdvals", nl.svdvals, (tall,)),
        ("numpy.linalg.svdvals (complex)", nl.svdvals, (complex_normal(3, 4),)),
        ("numpy.linalg.svd (tall)", rebuilt, (tall,)),
        ("numpy.linalg.svd (wide)", rebuilt, (normal(2, 4),)),
        ("numpy.linalg.svd (complex)", rebuilt, (complex_normal(3, 3),)),
        ("numpy.linalg.svd (full)", lambda a: jnp.abs(nl.svd(a)[0]), (regular(3),)),
        ("numpy.linalg.svdvals (equal ones)", lambda a: jnp.sum(nl.svdvals(a) ** 3), (equal_eigenvalues(3),)),
    ]


def _solutions() -> list[Made]:
    square, right, low = regular(3), normal(3, 2), triangle(3)

    def banded(a: Any, b: Any, c: Any, r: Any) -> Any:
        return ll.tridiagonal_solve(a.at[0].set(0.0), b + 5.0, c.at[-1].set(0.0), r)

    return [
        ("numpy.linalg.solve", nl.solve, (square, right)),
        ("numpy.linalg.solve (vector)", nl.solve, (square, normal(3))),
        ("numpy.linalg.inv", nl.inv, (square,)),
        ("numpy.linalg.inv (complex)", nl.inv, (lambda rng: complex_normal(3, 3)(rng) + 3 * np.eye(3),)),
        (
            "scipy.linalg.solve (positive definite)",
            lambda a, b: sl.solve(_symmetric(a), b, assume_a="pos"),
            (definite(3), right),
        ),
        ("scipy.linalg.solve_triangular", partial(sl.solve_triangular, lower=True), (low, right)),
        ("scipy.linalg.solve_triangular (transposed)", partial(sl.solve_triangular, lower=True, trans=1), (low, right)),
        (
            "scipy.linalg.solve_triangular (unit)",
            partial(sl.solve_triangular, lower=True, unit_diagonal=True),
            (low, right),
        ),
        ("lax.linalg.triangular_solve", partial(ll.triangular_solve, lower=True, left_side=True), (low, right)),
        ("lax.linalg.triangular_solve (right)", partial(ll.triangular_solve, lower=True), (low, normal(2, 3))),
        ("scipy.linalg.lu_solve", lambda a, b: sl.lu_solve(sl.lu_factor(a), b), (square, right)),
        ("numpy.linalg.lstsq", lambda a, b: nl.lstsq(a, b)[0], (normal(5, 3), normal(5))),
        ("numpy.linalg.lstsq (wide)", lambda a, b: nl.lstsq(a, b)[0], (normal(3, 5), normal(3))),
        ("numpy.linalg.pinv (tall)", nl.pinv, (normal(4, 3),)),
        ("numpy.linalg.pinv (wide)", nl.pinv, (normal(3, 4),)),
        ("numpy.linalg.pinv (complex)", nl.pinv, (complex_normal(4, 3),)),
        ("numpy.linalg.pinv (hermitian)", lambda a: nl.pinv(_symmetric(a), hermitian=True), (definite(3),)),
        ("numpy.linalg.tensorsolve", nl.tensorsolve, (lambda rng: regular(4)(rng).reshape(2, 2, 4), normal(2, 2))),
        ("lax.linalg.tridiagonal_solve", banded, (normal(4), normal(4), normal(4), normal(4, 2))),
    ]


def _norms() -> list[Made]:
    x, zero, square = normal(5), with_zero(normal(5), 1), regular(3)

    def norm(order: Any, axis: Any = None) -> Any:
        return partial(nl.norm, ord=order, axis=axis)

    return [
        ("numpy.linalg.norm", nl.norm, (x,)),
        ("numpy.linalg.norm (zeros)", nl.norm, (zero,)),
        ("numpy.linalg.norm (1)", norm(1), (x,)),
        ("numpy.linalg.norm (3)", norm(3), (x,)),
        ("numpy.linalg.norm (3, zeros)", norm(3), (zero,)),
        ("numpy.linalg.norm (1.5)", norm(1.5), (x,)),
        ("numpy.linalg.norm (4, zeros)", norm(4), (zero,)),
        ("numpy.linalg.norm (inf)", norm(jnp.inf), (spread(5),)),
        ("numpy.linalg.norm (-inf)", norm(-jnp.inf), (spread(5),)),
        ("numpy.linalg.norm (rows)", norm(None, 1), (normal(3, 4),)),
        ("numpy.linalg.norm (complex)", nl.norm, (complex_normal(4),)),
        ("numpy.linalg.norm (nuclear)", norm("nuc"), (normal(3, 4),)),
        ("numpy.linalg.norm (spectral)", norm(2), (square,)),
        ("numpy.linalg.norm (smallest singular value)", norm(-2), (square,)),
        ("numpy.linalg.norm (largest column)", norm(1), (square,)),
        ("numpy.linalg.cond", nl.cond, (square,)),
        ("numpy.linalg.cond (1)", partial(nl.cond, p=1), (square,)),
        ("numpy.linalg.det", nl.det, (square,)),
        ("numpy.linalg.det (5 x 5)", nl.det, (regular(5),)),
        ("numpy.linalg.det (singular)", nl.det, (singular(3),)),
        ("numpy.linalg.det (singular, 4 x 4)", nl.det, (singular(4),)),
        ("numpy.linalg.det (singular, 5 x 5)", nl.det, (singular(5),)),
        ("numpy.linalg.det (zero row)", nl.det, (with_zero(regular(5), 0, 1, 2, 3, 4),)),
        ("numpy.linalg.det (zero row, 3 x 3)", nl.det, (with_zero(regular(3), 0, 1, 2),)),
        ("numpy.linalg.slogdet", lambda a: nl.slogdet(a)[1], (square,)),
        ("numpy.linalg.slogdet (QR)", lambda a: nl.slogdet(a, method="qr")[1], (square,)),
        ("numpy.linalg.slogdet (complex)", lambda a: nl.slogdet(a)[1], (complex_normal(3, 3),)),
    ]


def _functions() -> list[Made]:
    square = regular(3)
    return [
        ("scipy.linalg.expm", sl.expm, (normal(3, 3),)),
        ("scipy.linalg.expm (0)", sl.expm, (zeros(3, 3),)),
        ("numpy.linalg.matrix_power(3)", lambda a: nl.matrix_power(a, 3), (square,)),
        ("numpy.linalg.matrix_power(-2)", lambda a: nl.matrix_power(a, -2), (square,)),
        ("numpy.linalg.multi_dot", lambda a, b, c: nl.multi_dot([a, b, c]), (normal(2, 3), normal(3, 4), normal(4, 2))),
        ("numpy.linalg.cross", nl.cross, (normal(2, 3), normal(2, 3))),
        ("numpy.linalg.tensorinv", lambda a: nl.tensorinv(a, ind=1), (square,)),
        ("numpy.kron", jnp.kron, (normal(2, 2), normal(2, 3))),
        ("numpy.einsum", partial(jnp.einsum, "ij,jk,kl->il"), (normal(2, 3), normal(3, 2), normal(2, 2))),
        ("numpy.vander", jnp.vander, (normal(4),)),
        ("scipy.linalg.toeplitz", sl.toeplitz, (normal(3), normal(4))),
    ]
