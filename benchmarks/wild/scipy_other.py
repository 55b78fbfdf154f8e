"""Optimisation, distributions, splines and linear algebra of SciPy, and NumPy's polynomials."""

from functools import partial
from typing import Any

import numpy as np
from scipy import interpolate, linalg, optimize, special, stats

from wild import Pair, cost, elementwise, hessian, outputs

#: Continuous distributions with the shapes that their documentation plots.
DISTRIBUTIONS: dict[str, tuple[float, ...]] = {
    "alpha": (3.57,),
    "anglit": (),
    "arcsine": (),
    "argus": (1.0,),
    "beta": (2.31, 0.627),
    "betaprime": (5.0, 6.0),
    "bradford": (0.299,),
    "burr": (10.5, 4.3),
    "burr12": (10.0, 4.0),
    "cauchy": (),
    "chi": (78.0,),
    "chi2": (55.0,),
    "cosine": (),
    "crystalball": (2.0, 3.0),
    "dgamma": (1.1,),
    "dweibull": (2.07,),
    "erlang": (10.0,),
    "expon": (),
    "exponnorm": (1.5,),
    "exponpow": (2.7,),
    "exponweib": (2.89, 1.95),
    "f": (29.0, 18.0),
    "fatiguelife": (29.0,),
    "fisk": (3.09,),
    "foldcauchy": (4.72,),
    "foldnorm": (1.95,),
    "gamma": (1.99,),
    "gausshyper": (13.8, 3.12, 2.51, 5.18),
    "genexpon": (9.13, 16.2, 3.28),
    "genextreme": (-0.1,),
    "gengamma": (4.42, 3.12),
    "genhalflogistic": (0.773,),
    "genhyperbolic": (0.5, 1.5, -0.5),
    "geninvgauss": (2.3, 1.5),
    "genlogistic": (0.412,),
    "gennorm": (1.3,),
    "genpareto": (0.1,),
    "gibrat": (),
    "gompertz": (0.947,),
    "gumbel_l": (),
    "gumbel_r": (),
    "halfcauchy": (),
    "halfgennorm": (0.675,),
    "halflogistic": (),
    "halfnorm": (),
    "hypsecant": (),
    "invgamma": (4.07,),
    "invgauss": (0.145,),
    "invweibull": (10.6,),
    "jf_skew_t": (8.0, 4.0),
    "johnsonsb": (4.32, 3.18),
    "johnsonsu": (2.55, 2.25),
    "kappa3": (1.0,),
    "kappa4": (0.1, 0.0),
    "ksone": (1000.0,),
    "kstwobign": (),
    "laplace": (),
    "laplace_asymmetric": (2.0,),
    "levy": (),
    "levy_l": (),
    "loggamma": (0.414,),
    "logistic": (),
    "loglaplace": (3.25,),
    "lognorm": (0.954,),
    "loguniform": (0.01, 1.25),
    "lomax": (1.88,),
    "maxwell": (),
    "mielke": (10.4, 4.6),
    "moyal": (),
    "nakagami": (4.97,),
    "ncf": (27.0, 27.0, 0.416),
    "nct": (14.0, 0.24),
    "ncx2": (21.0, 1.06),
    "norm": (),
    "norminvgauss": (1.25, 0.5),
    "pareto": (2.62,),
    "pearson3": (0.1,),
    "powerlaw": (1.66,),
    "powerlognorm": (2.14, 0.446),
    "powernorm": (4.45,),
    "rayleigh": (),
    "rdist": (1.6,),
    "recipinvgauss": (0.63,),
    "rel_breitwigner": (36.545,),
    "rice": (0.775,),
    "semicircular": (),
    "skewcauchy": (0.5,),
    "skewnorm": (4.0,),
    "t": (2.74,),
    "trapezoid": (0.2, 0.8),
    "triang": (0.158,),
    "truncexpon": (4.69,),
    "truncnorm": (-1.3, 1.5),
    "truncpareto": (1.8, 5.3),
    "tukeylambda": (3.13,),
    "uniform": (),
    "vonmises": (3.99,),
    "weibull_max": (2.87,),
    "weibull_min": (1.79,),
    "wrapcauchy": (0.0311,),
}


def pairs() -> list[Pair]:
    """All of them."""
    return [*_optimize(), *_distributions(), *_scores(), *_splines(), *_polynomials(), *_others()]


def _normal(*shape: int) -> Any:
    return lambda rng: rng.standard_normal(shape)


def _optimize() -> list[Pair]:
    found = [
        cost("scipy.optimize.rosen", optimize.rosen, optimize.rosen_der, _normal(7)),
        hessian("scipy.optimize.rosen_hess", optimize.rosen_der, optimize.rosen_hess, _normal(7)),
        hessian("scipy.optimize.rosen_hess_prod", optimize.rosen_der, None, _normal(7), hvp=optimize.rosen_hess_prod),
    ]
    from scipy.optimize._lsq.least_squares import IMPLEMENTED_LOSSES

    for name, loss in IMPLEMENTED_LOSSES.items():
        if loss is not None:
            found += [_robust(name, loss, order) for order in (0, 1)]
    found.append(_least_squares())
    return found


def _robust(name: str, loss: Any, order: int) -> Pair:
    def row(z: Any, k: int) -> Any:
        rho = np.empty((3, len(z)))
        loss(z, rho, cost_only=False)
        return rho[k].copy()

    between = (1.2, 4.0) if name == "huber" else (0.2, 4.0)
    return elementwise(
        f"scipy least_squares loss {name}, derivative {order + 1}",
        partial(row, k=order),
        partial(row, k=order + 1),
        *between,
    )


def _least_squares() -> Pair:
    t = np.linspace(0.1, 2.0, 9)

    def residuals(x: Any) -> Any:
        return x[0] * np.exp(-x[1] * t) - np.cos(t)

    def gradient(x: Any) -> Any:
        return optimize.least_squares(residuals, x, max_nfev=1, jac="cs", method="trf").grad

    return cost(
        "scipy.optimize.least_squares grad",
        lambda x: 0.5 * float(np.sum(residuals(x) ** 2)),
        gradient,
        lambda rng: rng.uniform(0.5, 1.5, 2),
    )


def _distributions() -> list[Pair]:
    found = []
    for name, shapes in DISTRIBUTIONS.items():
        frozen = getattr(stats, name)(*shapes)
        low, high = (float(v) for v in frozen.ppf([0.15, 0.85]))
        if np.isfinite(low) and np.isfinite(high) and low < high:
            found.append(elementwise(f"scipy.stats.{name} cdf, pdf", frozen.cdf, frozen.pdf, low, high))
    return found


def _scores() -> list[Pair]:
    a = np.array([[2.0, 0.3], [0.3, 1.0]])
    normal = stats.multivariate_normal(np.zeros(2), a)
    student = stats.multivariate_t(np.zeros(2), a, df=3)
    p = np.linalg.inv(a)
    return [
        cost("scipy.stats.multivariate_normal logpdf", lambda x: float(normal.logpdf(x)), lambda x: -p @ x, _normal(2)),
        cost(
            "scipy.stats.multivariate_t logpdf",
            lambda x: float(student.logpdf(x)),
            lambda x: -5 * p @ x / (3 + x @ p @ x),
            _normal(2),
        ),
        elementwise("scipy.stats.norm logpdf", stats.norm.logpdf, lambda x: -x, -3, 3),
        elementwise("scipy.stats.logistic logpdf", stats.logistic.logpdf, lambda x: -np.tanh(x / 2), -3, 3),
        elementwise("scipy.stats.gamma logpdf", partial(stats.gamma.logpdf, a=2.5), lambda x: 1.5 / x - 1, 0.5, 4),
        elementwise(
            "scipy.stats.beta logpdf",
            partial(stats.beta.logpdf, a=2.5, b=1.5),
            lambda x: 1.5 / x - 0.5 / (1 - x),
            0.1,
            0.9,
        ),
        elementwise("scipy.stats.t logpdf", partial(stats.t.logpdf, df=4), lambda x: -5 * x / (4 + x**2), -3, 3),
        elementwise("scipy.stats.gumbel_r logpdf", stats.gumbel_r.logpdf, lambda x: np.exp(-x) - 1, -1, 3),
        elementwise(
            "scipy.stats.vonmises logpdf", partial(stats.vonmises.logpdf, kappa=2.0), lambda x: -2 * np.sin(x), -2, 2
        ),
        elementwise("scipy.stats.expon logsf", stats.expon.logsf, lambda x: -np.ones_like(x), 0.2, 3),
        elementwise("scipy.stats.norm isf", stats.norm.isf, lambda q: -1 / stats.norm.pdf(stats.norm.isf(q)), 0.1, 0.9),
        elementwise("scipy.stats.norm ppf", stats.norm.ppf, lambda q: 1 / stats.norm.pdf(stats.norm.ppf(q)), 0.1, 0.9),
    ]


def _splines() -> list[Pair]:
    x = np.linspace(0.0, 4.0, 9)
    y = np.sin(x) + 0.3 * np.cos(3 * x)
    curves = {
        "CubicSpline": interpolate.CubicSpline(x, y),
        "PchipInterpolator": interpolate.PchipInterpolator(x, y),
        "Akima1DInterpolator": interpolate.Akima1DInterpolator(x, y),
        "make_interp_spline": interpolate.make_interp_spline(x, y),
        "make_smoothing_spline": interpolate.make_smoothing_spline(x, y),
        "UnivariateSpline": interpolate.UnivariateSpline(x, y),
        "make_interp_spline(5)": interpolate.make_interp_spline(x, y, 5),
        "CubicHermiteSpline": interpolate.CubicHermiteSpline(x, y, np.cos(x)),
    }
    found = [elementwise(f"scipy.interpolate.{n}", c, c.derivative(), 0.1, 3.9) for n, c in curves.items()]
    krogh, barycentric = interpolate.KroghInterpolator(x, y), interpolate.BarycentricInterpolator(x, y)
    found += [
        elementwise("scipy.interpolate.KroghInterpolator", krogh, krogh.derivative, 0.1, 3.9),
        elementwise("scipy.interpolate.BarycentricInterpolator", barycentric, barycentric.derivative, 0.1, 3.9),
    ]
    tck = interpolate.splrep(x, y)
    found.append(
        elementwise(
            "scipy.interpolate.splev",
            lambda t: interpolate.splev(t, tck),
            lambda t: interpolate.splev(t, tck, der=1),
            0.1,
            3.9,
        )
    )
    found.append(
        elementwise(
            "scipy.interpolate.BSpline antiderivative",
            curves["make_interp_spline"].antiderivative(),
            curves["make_interp_spline"],
            0.1,
            3.9,
        )
    )
    z = np.sin(x)[:, None] * np.cos(x[:8])[None, :]
    surface = interpolate.RectBivariateSpline(x, x[:8], z)
    for axis in (0, 1):
        slope = surface.partial_derivative(1 - axis, axis)
        at = (lambda t: (t, np.full_like(t, 1.3))) if axis == 0 else (lambda t: (np.full_like(t, 1.3), t))
        found.append(
            elementwise(
                f"scipy.interpolate.RectBivariateSpline axis {axis}",
                lambda t, at=at: surface(*at(t), grid=False),
                lambda t, at=at, slope=slope: slope(*at(t), grid=False),
                0.3,
                3.0,
            )
        )
    return found


def _polynomials() -> list[Pair]:
    kinds = ("Polynomial", "Chebyshev", "Legendre", "Hermite", "HermiteE", "Laguerre")
    found = []
    for kind in kinds:
        curve = getattr(np.polynomial, kind)([0.3, -1.2, 0.7, 0.2, -0.4])
        found.append(elementwise(f"numpy.polynomial.{kind}", curve, curve.deriv(), -0.9, 0.9))
    curve = np.poly1d([0.3, -1.2, 0.7, 0.2])
    return [*found, elementwise("numpy.poly1d", curve, curve.deriv(), -0.9, 0.9)]


def _expm(seed: int) -> Any:
    import gradproof as gp

    a = np.random.default_rng([seed, 9]).standard_normal((4, 4))
    return gp.check_function(linalg.expm, a, jvp=lambda inputs, t: linalg.expm_frechet(inputs[0], t)[1], seed=seed)


def _others() -> list[Pair]:
    return [
        Pair("scipy.linalg.expm, expm_frechet", _expm),
        cost("scipy.special.logsumexp", lambda x: float(special.logsumexp(x)), special.softmax, _normal(6)),
        outputs(
            "scipy.special.softmax",
            special.softmax,
            lambda x: np.diag(special.softmax(x)) - np.outer(special.softmax(x), special.softmax(x)),
            _normal(6),
        ),
        outputs(
            "scipy.special.log_softmax", special.log_softmax, lambda x: np.eye(len(x)) - special.softmax(x), _normal(6)
        ),
        outputs(
            "scipy.linalg.inv",
            linalg.inv,
            lambda a: -np.einsum("ik,lj->ijkl", linalg.inv(a), linalg.inv(a)),
            lambda rng: rng.standard_normal((3, 3)) + 3 * np.eye(3),
        ),
        cost(
            "scipy.linalg.det", lambda a: float(linalg.det(a)), lambda a: linalg.det(a) * linalg.inv(a).T, _normal(4, 4)
        ),
        cost(
            "numpy.linalg.slogdet",
            lambda a: float(np.linalg.slogdet(a)[1]),
            lambda a: np.linalg.inv(a).T,
            _normal(4, 4),
        ),
    ]
