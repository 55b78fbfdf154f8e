"""Likelihoods with their scores and Hessians, links, variances, robust norms and copulas of statsmodels."""

from typing import Any

import numpy as np
import statsmodels.api as sm
from statsmodels.discrete import conditional_models, count_model, discrete_model, truncated_model
from statsmodels.distributions.copula import transforms
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.genmod import families
from statsmodels.genmod.families import links, varfuncs
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.othermod.betareg import BetaModel
from statsmodels.robust import norms

from wild import Pair, cost, elementwise, hessian

RNG = np.random.default_rng(23)
X = np.c_[np.ones(60), 0.5 * RNG.standard_normal((60, 3))]
BINARY, COUNTS = RNG.integers(0, 2, 60).astype(float), RNG.poisson(2.0, 60).astype(float)
CLASSES, POSITIVE, SHARES = RNG.integers(0, 3, 60), RNG.gamma(2.0, 1.0, 60), RNG.uniform(0.1, 0.9, 60)
NUMBERS = RNG.standard_normal(60)


def pairs() -> list[Pair]:
    """All of them."""
    return [*_models(), *_generalised(), *_links(), *_variances(), *_norms(), *_copulas()]


def _small(size: int, last: float | None = None) -> Any:
    def at(rng: Any) -> Any:
        found = 0.3 * rng.standard_normal(size)
        if last is not None:
            found[-1] = last + 0.1 * rng.random()
        return found

    return at


def _both(name: str, model: Any, at: Any, *, second: bool = True) -> list[Pair]:
    found = [cost(f"statsmodels {name} score", lambda w: float(model.loglike(w)), model.score, at)]
    if second:
        found.append(hessian(f"statsmodels {name} hessian", model.score, model.hessian, at))
    return found


def _models() -> list[Pair]:
    d, c, t = discrete_model, count_model, truncated_model
    groups = np.repeat(np.arange(20), 3)
    made = [
        ("Logit", d.Logit(BINARY, X), _small(4), True),
        ("Probit", d.Probit(BINARY, X), _small(4), True),
        ("Poisson", d.Poisson(COUNTS, X), _small(4), True),
        ("MNLogit", d.MNLogit(CLASSES, X), _small(8), True),
        ("NegativeBinomial nb2", d.NegativeBinomial(COUNTS, X), _small(5, 0.4), True),
        ("NegativeBinomial nb1", d.NegativeBinomial(COUNTS, X, loglike_method="nb1"), _small(5, 0.4), True),
        ("NegativeBinomial geometric", d.NegativeBinomial(COUNTS, X, loglike_method="geometric"), _small(4), True),
        ("NegativeBinomialP", d.NegativeBinomialP(COUNTS, X, p=2), _small(5, 0.4), True),
        ("NegativeBinomialP(1)", d.NegativeBinomialP(COUNTS, X, p=1), _small(5, 0.4), True),
        ("GeneralizedPoisson", d.GeneralizedPoisson(COUNTS, X), _small(5, 0.2), True),
        ("GeneralizedPoisson(2)", d.GeneralizedPoisson(COUNTS, X, p=2), _small(5, 0.2), True),
        ("ZeroInflatedPoisson", c.ZeroInflatedPoisson(COUNTS, X), _small(5), True),
        ("ZeroInflatedNegativeBinomialP", c.ZeroInflatedNegativeBinomialP(COUNTS, X), _small(6, 0.4), True),
        ("ZeroInflatedGeneralizedPoisson", c.ZeroInflatedGeneralizedPoisson(COUNTS, X), _small(6, 0.2), True),
        ("TruncatedLFPoisson", t.TruncatedLFPoisson(COUNTS[COUNTS > 0], X[COUNTS > 0]), _small(4), True),
        (
            "TruncatedLFNegativeBinomialP",
            t.TruncatedLFNegativeBinomialP(COUNTS[COUNTS > 0], X[COUNTS > 0]),
            _small(5, 0.4),
            True,
        ),
        ("ConditionalLogit", conditional_models.ConditionalLogit(BINARY, X[:, 1:], groups=groups), _small(3), False),
        (
            "ConditionalPoisson",
            conditional_models.ConditionalPoisson(COUNTS, X[:, 1:], groups=groups),
            _small(3),
            False,
        ),
        ("PHReg breslow", PHReg(POSITIVE, X[:, 1:], status=BINARY), _small(3), True),
        ("PHReg efron", PHReg(np.round(POSITIVE, 1) + 0.1, X[:, 1:], status=BINARY, ties="efron"), _small(3), True),
        ("BetaModel", BetaModel(SHARES, X), _small(5, 1.0), True),
        ("OLS", sm.OLS(NUMBERS, X), _small(4), True),
    ]
    found = [pair for name, model, at, second in made for pair in _both(name, model, at, second=second)]
    ordered = OrderedModel(CLASSES, X[:, 1:], distr="logit")
    return [
        *found,
        cost(
            "statsmodels OrderedModel score",
            lambda w: float(ordered.loglike(w)),
            ordered.score,
            lambda rng: np.r_[0.3 * rng.standard_normal(3), -0.5, 0.2],
        ),
    ]


def _generalised() -> list[Pair]:
    f, k = families, links
    made = [
        ("Gaussian", f.Gaussian(), NUMBERS),
        ("Gaussian log", f.Gaussian(k.Log()), POSITIVE),
        ("Binomial", f.Binomial(), BINARY),
        ("Binomial probit", f.Binomial(k.Probit()), BINARY),
        ("Binomial cloglog", f.Binomial(k.CLogLog()), BINARY),
        ("Binomial cauchy", f.Binomial(k.Cauchy()), BINARY),
        ("Poisson", f.Poisson(), COUNTS),
        ("Gamma log", f.Gamma(k.Log()), POSITIVE),
        ("InverseGaussian log", f.InverseGaussian(k.Log()), POSITIVE),
        ("NegativeBinomial", f.NegativeBinomial(alpha=0.6), COUNTS),
    ]
    found = []
    for name, family, y in made:
        model = sm.GLM(y, X, family=family)
        at = _small(4)
        found.append(
            cost(
                f"statsmodels GLM {name} score",
                lambda w, m=model: float(m.loglike(w, scale=1.0)),
                lambda w, m=model: m.score(w, scale=1.0),
                at,
            )
        )
        found.append(
            hessian(
                f"statsmodels GLM {name} hessian",
                lambda w, m=model: m.score(w, scale=1.0),
                lambda w, m=model: m.hessian(w, scale=1.0, observed=True),
                at,
            )
        )
    return found


def _links() -> list[Pair]:
    k = links
    made = {
        "Logit": (k.Logit(), 0.1, 0.9, -2, 2),
        "Probit": (k.Probit(), 0.1, 0.9, -2, 2),
        "Cauchy": (k.Cauchy(), 0.1, 0.9, -2, 2),
        "CLogLog": (k.CLogLog(), 0.1, 0.9, -2, 1),
        "LogLog": (k.LogLog(), 0.1, 0.9, -1, 2),
        "LogC": (k.LogC(), 0.1, 0.9, -3, -0.2),
        "Log": (k.Log(), 0.3, 4, -2, 2),
        "Identity": (k.Identity(), 0.3, 4, -2, 2),
        "Sqrt": (k.Sqrt(), 0.3, 4, 0.3, 2),
        "InversePower": (k.InversePower(), 0.3, 4, 0.3, 2),
        "InverseSquared": (k.InverseSquared(), 0.3, 4, 0.3, 2),
        "Power(3)": (k.Power(3.0), 0.3, 4, 0.3, 2),
        "NegativeBinomial": (k.NegativeBinomial(0.7), 0.3, 4, -3, -0.2),
        "CDFLink": (k.CDFLink(), 0.1, 0.9, -2, 2),
    }
    found = []
    for name, (link, low, high, least, most) in made.items():
        found += [
            elementwise(f"statsmodels link {name} deriv", link, link.deriv, low, high),
            elementwise(f"statsmodels link {name} deriv2", link.deriv, link.deriv2, low, high),
            elementwise(f"statsmodels link {name} inverse_deriv", link.inverse, link.inverse_deriv, least, most),
            elementwise(
                f"statsmodels link {name} inverse_deriv2", link.inverse_deriv, link.inverse_deriv2, least, most
            ),
        ]
    return found


def _variances() -> list[Pair]:
    made = {
        "Power(1)": varfuncs.mu,
        "Power(2)": varfuncs.mu_squared,
        "Power(3)": varfuncs.mu_cubed,
        "Power(1.5)": varfuncs.Power(1.5),
        "NegativeBinomial": varfuncs.NegativeBinomial(0.7),
    }
    found = [elementwise(f"statsmodels variance {name}", v, v.deriv, 0.3, 3) for name, v in made.items()]
    binomial = varfuncs.Binomial(n=1)
    return [*found, elementwise("statsmodels variance Binomial", binomial, binomial.deriv, 0.1, 0.9)]


def _norms() -> list[Pair]:
    made = {
        "LeastSquares": (norms.LeastSquares(), -3, 3),
        "HuberT inside": (norms.HuberT(), -1.2, 1.2),
        "HuberT outside": (norms.HuberT(), 1.5, 4),
        "RamsayE": (norms.RamsayE(), 0.2, 3),
        "AndrewWave": (norms.AndrewWave(), -3, 3),
        "TrimmedMean inside": (norms.TrimmedMean(), -1.8, 1.8),
        "Hampel 1": (norms.Hampel(), -1.8, 1.8),
        "Hampel 2": (norms.Hampel(), 2.2, 3.8),
        "Hampel 3": (norms.Hampel(), 4.2, 7.8),
        "TukeyBiweight": (norms.TukeyBiweight(), -4, 4),
        "TukeyQuartic": (norms.TukeyQuartic(), -2, 2),
        "StudentT": (norms.StudentT(), -3, 3),
        "MQuantileNorm": (norms.MQuantileNorm(0.3, norms.HuberT()), 0.2, 1.2),
    }
    found = []
    for name, (norm, low, high) in made.items():
        found.append(elementwise(f"statsmodels norm {name} psi", norm.rho, norm.psi, low, high))
        found.append(elementwise(f"statsmodels norm {name} psi_deriv", norm.psi, norm.psi_deriv, low, high))
    return found


def _copulas() -> list[Pair]:
    made = {
        "Frank": (transforms.TransfFrank(), 1.5),
        "Clayton": (transforms.TransfClayton(), 1.5),
        "Gumbel": (transforms.TransfGumbel(), 1.5),
        "Indep": (transforms.TransfIndep(), None),
    }
    found = []
    for name, (transform, theta) in made.items():
        more = () if theta is None else (theta,)
        for value, slope, low, high in (
            ("evaluate", "deriv", 0.1, 0.9),
            ("deriv", "deriv2", 0.1, 0.9),
            ("inverse", "deriv_inverse", 0.2, 2.0),
            ("deriv_inverse", "deriv2_inverse", 0.2, 2.0),
        ):
            f, d = getattr(transform, value, None), getattr(transform, slope, None)
            if f is not None and d is not None:
                found.append(
                    elementwise(
                        f"statsmodels copula {name} {slope}",
                        lambda t, f=f, m=more: f(t, *m),
                        lambda t, d=d, m=more: d(t, *m),
                        low,
                        high,
                    )
                )
    return found
