"""Functions of TensorFlow with the gradients of its tape, in float64."""

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

import gradproof as gp
from wild import Pair
from wild.points import Draw, between, complex_normal, definite, equal_eigenvalues, normal, regular, spread, with_zero

m, la, nn = tf.math, tf.linalg, tf.nn
#: A function, its name, and where its inputs are drawn.
Made = tuple[str, Any, tuple[Draw, ...]]


def pairs() -> list[Pair]:
    """All of them."""
    made = [*_two_arguments(), *_reductions(), *_algebra(), *_spectra(), *_networks(), *_losses(), *_signals()]
    return [*_elementary(), *_special(), *[several(name, function, *draws) for name, function, draws in made]]


def one(name: str, function: Any, low: float, high: float) -> Pair:
    """A function of one number, at several at once: their weighted sum as a cost, the tape's gradient."""

    def check(seed: int) -> gp.Report:
        rng = np.random.default_rng([seed, 7])
        weights = tf.constant(rng.uniform(0.5, 1.5, 8))
        bounds = (low - 0.05 * abs(low), high + 0.05 * abs(high))
        point = tf.constant(rng.uniform(low, high, 8))
        return gp.check(lambda x: tf.reduce_sum(weights * function(x)), point, seed=seed, bounds=bounds)

    return Pair(f"tensorflow.{name}", check)


def several(name: str, function: Any, *draws: Draw) -> Pair:
    """A function of tensors with any outputs: the tape as check_function takes it."""

    def check(seed: int) -> gp.Report:
        rng = np.random.default_rng([seed, 8])
        return gp.check_function(function, *[tf.constant(draw(rng)) for draw in draws], seed=seed)

    return Pair(f"tensorflow.{name}", check)


def _elementary() -> list[Pair]:
    made = [
        ("exp", -2.0, 2.0),
        ("expm1", -2, 2),
        ("log", 0.2, 4),
        ("log1p", -0.7, 3),
        ("sqrt", 0.2, 4),
        ("rsqrt", 0.2, 4),
        ("reciprocal", 0.3, 3),
        ("reciprocal_no_nan", 0.3, 3),
        ("sin", -3, 3),
        ("cos", -3, 3),
        ("tan", -1.2, 1.2),
        ("sinh", -2, 2),
        ("cosh", -2, 2),
        ("tanh", -2, 2),
        ("asin", -0.8, 0.8),
        ("acos", -0.8, 0.8),
        ("atan", -3, 3),
        ("asinh", -3, 3),
        ("acosh", 1.3, 4),
        ("atanh", -0.8, 0.8),
        ("sigmoid", -4, 4),
        ("softplus", -4, 4),
        ("softsign", 0.2, 3),
        ("log_sigmoid", -4, 4),
    ]
    found = [one(f"math.{name}", getattr(m, name), low, high) for name, low, high in made]
    found += [one(f"nn.{name}", getattr(nn, name), -3, 3) for name in ("silu", "gelu")]
    found.append(one("nn.gelu (approximate)", partial(nn.gelu, approximate=True), -3, 3))
    for name in ("elu", "selu", "leaky_relu", "relu6"):
        found += [one(f"nn.{name} (above 0)", getattr(nn, name), 0.2, 0.9)]
        found += [one(f"nn.{name} (below 0)", getattr(nn, name), -0.9, -0.2)]
    return found


def _special() -> list[Pair]:
    made = [
        ("erf", -2.0, 2.0),
        ("erfc", -2, 3),
        ("erfinv", -0.9, 0.9),
        ("erfcinv", 0.1, 1.8),
        ("ndtri", 0.1, 0.9),
        ("lgamma", 0.5, 6),
        ("digamma", 0.5, 6),
        ("bessel_i0", 0.3, 4),
        ("bessel_i0e", 0.3, 4),
        ("bessel_i1", 0.3, 4),
        ("bessel_i1e", 0.3, 4),
    ]
    found = [one(f"math.{name}", getattr(m, name), low, high) for name, low, high in made]
    own = "bessel_j0 bessel_j1 bessel_k0 bessel_k0e bessel_k1 bessel_k1e bessel_y0 bessel_y1 dawsn expint fresnel_cos"
    found += [one(f"math.special.{n}", getattr(m.special, n), 0.4, 3) for n in (*own.split(), "fresnel_sin", "spence")]
    c = partial(tf.constant, dtype=tf.float64)
    return [
        *found,
        one("math.lgamma (negative)", m.lgamma, -1.8, -1.2),
        one("math.digamma (negative)", m.digamma, -1.8, -1.2),
        one("math.polygamma(1)", lambda x: m.polygamma(c(1), x), 0.5, 6),
        one("math.polygamma(3)", lambda x: m.polygamma(c(3), x), 0.5, 6),
        one("math.zeta (q)", lambda q: m.zeta(c(2.5), q), 0.5, 6),
        one("math.igamma (x)", lambda x: m.igamma(c(2.5), x), 0.5, 6),
        one("math.igamma (a)", lambda a: m.igamma(a, c(1.5)), 0.5, 4),
        one("math.igammac (a)", lambda a: m.igammac(a, c(1.5)), 0.5, 4),
        one("math.betainc (x)", lambda x: m.betainc(c(2.5), c(1.5), x), 0.1, 0.9),
    ]


def _two_arguments() -> list[Made]:
    x, wide = between(0.3, 3, 5), normal(5)
    return [
        ("math.pow", m.pow, (x, wide)),
        ("math.atan2", m.atan2, (x, wide)),
        ("math.xlogy", m.xlogy, (x, x)),
        ("math.xlog1py", m.xlog1py, (x, x)),
        ("math.xdivy", m.xdivy, (wide, x)),
        ("math.divide_no_nan", m.divide_no_nan, (wide, x)),
        ("math.multiply_no_nan", m.multiply_no_nan, (wide, x)),
        ("math.squared_difference", m.squared_difference, (wide, x)),
        (
            "math.floormod",
            lambda x: m.floormod(x, tf.constant(1.0, x.dtype)),
            (lambda rng: rng.integers(-3, 3, 5) + 0.5,),
        ),
        ("math.lbeta", m.lbeta, (between(0.3, 3, 2, 3),)),
        ("math.polyval", lambda c, x: m.polyval(tf.unstack(c), x), (normal(4), wide)),
    ]


def _reductions() -> list[Made]:
    a, zero, apart = normal(3, 4), with_zero(normal(3, 4), 1, 6), spread(3, 4)
    groups = tf.constant([0, 0, 1])
    return [
        ("math.cumsum", lambda x: m.cumsum(x, axis=1, exclusive=True, reverse=True), (a,)),
        ("math.cumprod", lambda x: m.cumprod(x, axis=1), (a,)),
        ("math.cumprod (exclusive, reverse)", lambda x: m.cumprod(x, axis=0, exclusive=True, reverse=True), (a,)),
        ("math.cumprod (zeros)", lambda x: m.cumprod(x, axis=1), (zero,)),
        ("math.cumulative_logsumexp", lambda x: m.cumulative_logsumexp(x, axis=1), (a,)),
        ("math.reduce_prod", lambda x: m.reduce_prod(x, axis=1), (a,)),
        ("math.reduce_prod (zeros)", lambda x: m.reduce_prod(x, axis=0), (zero,)),
        ("math.reduce_prod (two zeros)", lambda x: m.reduce_prod(x, axis=0), (with_zero(a, 1, 5),)),
        ("math.reduce_std", lambda x: m.reduce_std(x, axis=1), (a,)),
        ("math.reduce_variance", lambda x: m.reduce_variance(x, axis=1), (a,)),
        ("math.reduce_euclidean_norm", lambda x: m.reduce_euclidean_norm(x, axis=1), (a,)),
        ("math.reduce_logsumexp", lambda x: m.reduce_logsumexp(x, axis=1), (a,)),
        ("math.reduce_max", lambda x: m.reduce_max(x, axis=1), (apart,)),
        ("math.l2_normalize", lambda x: m.l2_normalize(x, axis=1), (a,)),
        ("math.top_k", lambda x: m.top_k(x, 2)[0], (apart,)),
        ("math.segment_mean", lambda x: m.segment_mean(x, groups), (a,)),
        ("math.segment_max", lambda x: m.segment_max(x, groups), (apart,)),
        ("math.unsorted_segment_prod", lambda x: m.unsorted_segment_prod(x, groups, 2), (a,)),
        ("math.unsorted_segment_prod (zeros)", lambda x: m.unsorted_segment_prod(x, groups, 2), (zero,)),
        ("math.unsorted_segment_sqrt_n", lambda x: m.unsorted_segment_sqrt_n(x, groups, 2), (a,)),
    ]


def _symmetric(a: Any) -> Any:
    return (a + tf.transpose(a)) / 2


def _lower(a: Any) -> Any:
    return la.band_part(a, -1, 0)


def _bands(rng: np.random.Generator) -> Any:
    """Superdiagonal, diagonal and subdiagonal of a matrix far from a singular one; each has 4 numbers, used or not."""
    return rng.uniform(0, 1, (3, 4)) + np.array([[0.0], [3.0], [0.0]])


def _algebra() -> list[Made]:
    square, right, tall = regular(3), normal(3, 2), normal(4, 3)
    return [
        ("linalg.cholesky", lambda a: la.cholesky(_symmetric(a)), (definite(3),)),
        ("linalg.cholesky_solve", lambda a, b: la.cholesky_solve(_lower(a), b), (square, right)),
        ("linalg.qr", la.qr, (square,)),
        ("linalg.qr (tall)", la.qr, (tall,)),
        ("linalg.inv", la.inv, (square,)),
        ("linalg.inv (adjoint)", lambda a: la.inv(a, adjoint=True), (square,)),
        ("linalg.solve", la.solve, (square, right)),
        ("linalg.solve (adjoint)", lambda a, b: la.solve(a, b, adjoint=True), (square, right)),
        ("linalg.triangular_solve", lambda a, b: la.triangular_solve(_lower(a), b), (square, right)),
        ("linalg.triangular_solve (adjoint)", lambda a, b: la.triangular_solve(a, b, adjoint=True), (square, right)),
        ("linalg.banded_triangular_solve", la.banded_triangular_solve, (between(1, 2, 2, 4), normal(4, 2))),
        (
            "linalg.tridiagonal_solve",
            lambda b, r: la.tridiagonal_solve(b + 3.0, r),
            (between(0, 1, 3, 4), normal(4, 2)),
        ),
        ("linalg.tridiagonal_matmul", la.tridiagonal_matmul, (normal(3, 4), normal(4, 2))),
        ("linalg.lstsq", la.lstsq, (normal(5, 3), normal(5, 2))),
        ("linalg.lstsq (wide)", la.lstsq, (normal(3, 5), right)),
        ("linalg.lstsq (regularised)", lambda a, b: la.lstsq(a, b, l2_regularizer=0.3), (normal(5, 3), normal(5, 2))),
        ("linalg.pinv (tall)", la.pinv, (tall,)),
        ("linalg.det", la.det, (square,)),
        ("linalg.logdet", lambda a: la.logdet(_symmetric(a)), (definite(3),)),
        ("linalg.slogdet", lambda a: la.slogdet(a)[1], (square,)),
        ("linalg.expm", la.expm, (normal(3, 3),)),
        ("linalg.sqrtm", la.sqrtm, (definite(3),)),
        ("linalg.cross", la.cross, (normal(2, 3), normal(2, 3))),
        ("linalg.norm (3)", partial(la.norm, ord=3), (normal(5),)),
        ("linalg.norm (zeros)", la.norm, (with_zero(normal(5), 1),)),
        ("linalg.set_diag", la.set_diag, (square, normal(3))),
    ]


def _spectra() -> list[Made]:
    def exponential(a: Any) -> Any:
        values, vectors = la.eigh(_symmetric(a))
        return tf.matmul(vectors * tf.exp(0.3 * values), vectors, transpose_b=True)

    def projector(a: Any) -> Any:
        vectors = la.eigh(_symmetric(a))[1][:, :2]
        return tf.matmul(vectors, vectors, transpose_b=True)

    def rebuilt(a: Any) -> Any:
        s, u, v = la.svd(a)
        return tf.matmul(u * tf.tanh(s), v, transpose_b=True)

    return [
        ("linalg.eigvalsh", lambda a: la.eigvalsh(_symmetric(a)), (definite(3),)),
        ("linalg.eigh projector", projector, (definite(4),)),
        ("linalg.eigh exponential", exponential, (definite(3),)),
        ("linalg.eigh exponential (equal eigenvalues)", exponential, (equal_eigenvalues(3),)),
        ("linalg.eig", lambda a: m.real(tf.reduce_sum(la.eig(a)[0] ** 3)), (definite(3),)),
        ("linalg.svd values", lambda a: la.svd(a, compute_uv=False), (normal(4, 3),)),
        ("linalg.svd (tall)", rebuilt, (normal(4, 3),)),
        ("linalg.svd (wide)", rebuilt, (normal(3, 4),)),
        ("linalg.eigh_tridiagonal", lambda a, b: la.eigh_tridiagonal(a, b), (normal(4), normal(3))),
    ]


def _networks() -> list[Made]:
    image, kernel = normal(1, 5, 4, 2), normal(2, 3, 2, 3)
    dilated = partial(nn.dilation2d, strides=[1] * 4, padding="VALID", data_format="NHWC", dilations=[1] * 4)
    return [
        ("nn.conv2d", partial(nn.conv2d, strides=[1, 2, 1, 1], padding="SAME"), (image, kernel)),
        ("nn.depthwise_conv2d", partial(nn.depthwise_conv2d, strides=[1, 1, 1, 1], padding="VALID"), (image, kernel)),
        ("nn.conv1d", partial(nn.conv1d, stride=2, padding="SAME"), (normal(2, 6, 2), normal(3, 2, 2))),
        ("nn.avg_pool2d", partial(nn.avg_pool2d, ksize=2, strides=1, padding="SAME"), (image,)),
        ("nn.max_pool2d", partial(nn.max_pool2d, ksize=2, strides=1, padding="VALID"), (spread(1, 4, 4, 1),)),
        ("nn.dilation2d", dilated, (image, normal(2, 2, 2))),
        ("nn.softmax", nn.softmax, (normal(3, 4),)),
        ("nn.log_softmax", nn.log_softmax, (normal(3, 4),)),
        ("nn.crelu", nn.crelu, (spread(3, 2),)),
        ("nn.moments", lambda x: nn.moments(x, axes=[0]), (normal(5, 3),)),
        ("nn.weighted_moments", lambda x, w: nn.weighted_moments(x, [0], w), (normal(5, 3), between(0.5, 2, 5, 1))),
        (
            "nn.batch_normalization",
            lambda *given: nn.batch_normalization(*given, variance_epsilon=0.1),
            (normal(5, 3), normal(3), between(0.5, 2, 3), normal(3), normal(3)),
        ),
        ("nn.isotonic_regression", lambda x: nn.isotonic_regression(x)[0], (spread(2, 4),)),
    ]


def _distributions(rng: np.random.Generator) -> Any:
    """Labels that add up to one, as TensorFlow demands for its gradient to be right."""
    shares = rng.uniform(0.1, 0.9, (3, 4))
    return shares / shares.sum(axis=1, keepdims=True)


def _losses() -> list[Made]:
    logits, shares = normal(3, 4), between(0.1, 0.9, 3, 4)
    classes = tf.constant([2, 0, 3])

    return [
        ("nn.softmax_cross_entropy_with_logits", nn.softmax_cross_entropy_with_logits, (_distributions, logits)),
        (
            "nn.sparse_softmax_cross_entropy_with_logits",
            lambda x: nn.sparse_softmax_cross_entropy_with_logits(classes, x),
            (logits,),
        ),
        ("nn.sigmoid_cross_entropy_with_logits", nn.sigmoid_cross_entropy_with_logits, (shares, logits)),
        (
            "nn.weighted_cross_entropy_with_logits",
            partial(nn.weighted_cross_entropy_with_logits, pos_weight=2.5),
            (shares, logits),
        ),
        ("nn.log_poisson_loss", partial(nn.log_poisson_loss, compute_full_loss=True), (between(1.5, 4, 5), normal(5))),
        ("nn.l2_loss", nn.l2_loss, (logits,)),
    ]


def _signals() -> list[Made]:
    s, real, other = tf.signal, normal(3, 6), complex_normal(3, 6)
    return [
        ("signal.fft", s.fft, (other,)),
        ("signal.ifft2d", s.ifft2d, (other,)),
        ("signal.rfft", s.rfft, (real,)),
        ("signal.rfft (odd)", s.rfft, (normal(3, 5),)),
        ("signal.irfft", s.irfft, (other,)),
        ("signal.irfft (odd)", lambda x: s.irfft(x, [9]), (complex_normal(3, 5),)),
        ("signal.rfft2d", s.rfft2d, (real,)),
        ("signal.irfft2d", s.irfft2d, (other,)),
        ("signal.dct", s.dct, (real,)),
        ("signal.dct (1)", lambda x: s.dct(x, type=1), (real,)),
        ("signal.idct (3)", lambda x: s.idct(x, type=3), (real,)),
        ("signal.frame", lambda x: s.frame(x, 4, 2), (normal(10),)),
        ("signal.overlap_and_add", lambda x: s.overlap_and_add(x, 2), (normal(3, 4),)),
        ("signal.stft", lambda x: s.stft(x, 8, 4), (normal(20),)),
        ("signal.mdct", lambda x: s.mdct(x, 8), (normal(20),)),
    ]
