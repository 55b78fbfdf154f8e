"""Densities and distribution functions of jax.scipy.stats."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy import stats

from wild import Pair
from wild.jax_reverse import several
from wild.points import between, normal


def pairs() -> list[Pair]:
    """All of them."""
    return [*_densities(), *_other_densities()]


def _densities() -> list[Pair]:
    x, p = between(0.5, 3, 5), between(0.1, 0.9, 5)
    wide, scale, inside = normal(5), between(0.5, 2, 5), between(0.1, 0.9, 5)
    made = [
        ("norm.logpdf", (wide, wide, scale)),
        ("norm.logcdf", (wide, wide, scale)),
        ("norm.cdf", (wide, wide, scale)),
        ("norm.logsf", (wide, wide, scale)),
        ("norm.ppf", (p, wide, scale)),
        ("cauchy.logpdf", (wide, wide, scale)),
        ("cauchy.cdf", (wide, wide, scale)),
        ("logistic.logpdf", (wide, wide, scale)),
        ("logistic.cdf", (wide, wide, scale)),
        ("gumbel_r.logpdf", (wide, wide)),
        ("gumbel_l.logpdf", (wide, wide)),
        ("t.logpdf", (wide, x, wide, scale)),
        ("gamma.logpdf", (x, x)),
        ("gamma.cdf", (x, x)),
        ("gamma.logsf", (x, x)),
        ("chi2.logpdf", (x, x)),
        ("chi2.cdf", (x, x)),
        ("beta.logpdf", (inside, x, x)),
        ("expon.logpdf", (x,)),
        ("pareto.logpdf", (between(1.3, 3, 5), x)),
        ("laplace.logpdf", (x,)),
        ("laplace.cdf", (x,)),
        ("gennorm.logpdf", (x, x)),
        ("gennorm.cdf", (x, x)),
        ("vonmises.logpdf", (wide, x)),
        ("wrapcauchy.logpdf", (x, inside)),
        ("truncnorm.logpdf", (inside, between(-2, -1, 5), between(1, 2, 5))),
        ("truncnorm.logcdf", (inside, between(-2, -1, 5), between(1, 2, 5))),
    ]

    def of(name: str) -> Any:
        family, method = name.split(".")
        return getattr(getattr(stats, family), method)

    return [several(f"scipy.stats.{name}", of(name), *draws) for name, draws in made]


def _other_densities() -> list[Pair]:
    x, p, counts = between(0.5, 3, 5), between(0.1, 0.9, 5), np.array([0, 1, 2, 3, 4])
    shares, place = np.array([0.2, 0.3, 0.5]), np.array([0.3, -0.2, 0.5])

    def density(data: Any) -> Any:
        return stats.gaussian_kde(data).logpdf(jnp.array([0.1, 0.7]))

    def multivariate(mean: Any, root: Any) -> Any:
        return stats.multivariate_normal.logpdf(place, mean, root @ root.T + 2 * jnp.eye(3))

    made = [
        ("poisson.logpmf", partial(stats.poisson.logpmf, counts), (x,)),
        ("poisson.cdf", partial(stats.poisson.cdf, counts), (x,)),
        ("binom.logpmf", partial(stats.binom.logpmf, counts, 6), (p,)),
        ("nbinom.logpmf", partial(stats.nbinom.logpmf, counts), (x, p)),
        ("betabinom.logpmf", partial(stats.betabinom.logpmf, counts, 6), (x, x)),
        ("bernoulli.logpmf", partial(stats.bernoulli.logpmf, counts % 2), (p,)),
        ("geom.logpmf", partial(stats.geom.logpmf, counts + 1), (p,)),
        ("dirichlet.logpdf", partial(stats.dirichlet.logpdf, shares), (between(0.5, 3, 3),)),
        ("multinomial.logpmf", lambda q: stats.multinomial.logpmf(counts[:3], 3, q), (between(0.1, 0.9, 3),)),
        ("multivariate_normal.logpdf", multivariate, (normal(3), normal(3, 3))),
        ("gaussian_kde.logpdf", density, (normal(6),)),
    ]
    return [several(f"scipy.stats.{name}", f, *draws) for name, f, draws in made]
