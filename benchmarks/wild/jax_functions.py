"""Functions of JAX but linear algebra, with the gradients that its reverse mode gives, in float64."""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.scipy import special as sp

from wild import Pair, jax_axes, jax_densities
from wild.jax_reverse import one, several
from wild.points import between, normal, zeros


def pairs() -> list[Pair]:
    """All of them but linear algebra."""
    return [
        *_elementary(),
        *_special(),
        *_two_arguments(),
        *_neural(),
        *jax_densities.pairs(),
        *jax_axes.pairs(),
        *_special_points(),
    ]


def _elementary() -> list[Pair]:
    return [
        one("numpy.exp", jnp.exp, -2, 2),
        one("numpy.exp2", jnp.exp2, -2, 2),
        one("numpy.expm1", jnp.expm1, -2, 2),
        one("numpy.log", jnp.log, 0.2, 4),
        one("numpy.log2", jnp.log2, 0.2, 4),
        one("numpy.log10", jnp.log10, 0.2, 4),
        one("numpy.log1p", jnp.log1p, -0.7, 3),
        one("numpy.sqrt", jnp.sqrt, 0.2, 4),
        one("numpy.cbrt", jnp.cbrt, 0.2, 4),
        one("numpy.reciprocal", jnp.reciprocal, 0.3, 3),
        one("numpy.sin", jnp.sin, -3, 3),
        one("numpy.cos", jnp.cos, -3, 3),
        one("numpy.tan", jnp.tan, -1.2, 1.2),
        one("numpy.sinh", jnp.sinh, -2, 2),
        one("numpy.cosh", jnp.cosh, -2, 2),
        one("numpy.tanh", jnp.tanh, -2, 2),
        one("numpy.arcsin", jnp.arcsin, -0.8, 0.8),
        one("numpy.arccos", jnp.arccos, -0.8, 0.8),
        one("numpy.arctan", jnp.arctan, -3, 3),
        one("numpy.arcsinh", jnp.arcsinh, -3, 3),
        one("numpy.arccosh", jnp.arccosh, 1.3, 4),
        one("numpy.arctanh", jnp.arctanh, -0.8, 0.8),
        one("numpy.sinc", jnp.sinc, 0.2, 3),
        one("numpy.absolute", jnp.absolute, 0.2, 3),
        one("numpy.deg2rad", jnp.deg2rad, -3, 3),
        one("numpy.i0", jnp.i0, -3, -0.3),
        one("lax.rsqrt", lax.rsqrt, 0.2, 4),
        one("lax.integer_pow(-3)", lambda x: lax.integer_pow(x, -3), 0.5, 2),
        one("lax.logistic", lax.logistic, -4, 4),
    ]


def _special() -> list[Pair]:
    made = [
        ("erf", sp.erf, -2.0, 2.0),
        ("erfc", sp.erfc, -2, 3),
        ("erfcx", sp.erfcx, -1, 4),
        ("erfinv", sp.erfinv, -0.9, 0.9),
        ("dawsn", sp.dawsn, -3, 3),
        ("ndtr", sp.ndtr, -3, 3),
        ("ndtri", sp.ndtri, 0.1, 0.9),
        ("log_ndtr", sp.log_ndtr, -4, 3),
        ("log_ndtr (far below)", sp.log_ndtr, -30, -21),
        ("expit", sp.expit, -4, 4),
        ("logit", sp.logit, 0.1, 0.9),
        ("entr", sp.entr, 0.1, 4),
        ("gammaln", sp.gammaln, 0.5, 6),
        ("gammaln (negative)", sp.gammaln, -1.8, -1.2),
        ("loggamma", sp.loggamma, 0.5, 6),
        ("gamma", sp.gamma, 0.5, 5),
        ("gamma (negative)", sp.gamma, -1.8, -1.2),
        ("factorial", sp.factorial, 0.5, 4),
        ("digamma", sp.digamma, 0.5, 6),
        ("digamma (negative)", sp.digamma, -1.8, -1.2),
        ("polygamma(1)", partial(sp.polygamma, 1), 0.5, 6),
        ("polygamma(3)", partial(sp.polygamma, 3), 0.5, 6),
        ("multigammaln(3)", lambda a: sp.multigammaln(a, 3), 2, 6),
        ("zeta (q)", lambda q: sp.zeta(2.5, q), 0.5, 6),
        ("i0", sp.i0, 0.3, 4),
        ("i0e", sp.i0e, 0.3, 4),
        ("i1", sp.i1, 0.3, 4),
        ("i1e", sp.i1e, 0.3, 4),
        ("i1 (large)", sp.i1, 9, 14),
        ("exp1", sp.exp1, 0.3, 4),
        ("expi", sp.expi, 0.3, 4),
        ("expn(3)", partial(sp.expn, 3), 0.3, 4),
        ("spence", sp.spence, 1.2, 4),
        ("spence (below 1)", sp.spence, 0.2, 0.8),
        ("fresnel S", lambda x: sp.fresnel(x)[0], 0.2, 2),
        ("fresnel C", lambda x: sp.fresnel(x)[1], 0.2, 2),
        ("sici Si", lambda x: sp.sici(x)[0], 0.5, 3),
        ("sici Ci", lambda x: sp.sici(x)[1], 0.5, 3),
        ("sici Si (large)", lambda x: sp.sici(x)[0], 5, 9),
        ("bessel_jn(2)", lambda x: sp.bessel_jn(x, v=2)[2], 0.5, 4),
        ("boxcox", lambda x: sp.boxcox(x, 0.7), 0.3, 3),
        ("boxcox1p", lambda x: sp.boxcox1p(x, 0.7), 0.1, 3),
        ("wofz (real part)", lambda x: jnp.real(sp.wofz(x + 0.7j)), -2, 2),
        ("owens_t (h)", lambda h: sp.owens_t(h, 0.8), -2, 2),
        ("owens_t (a)", lambda a: sp.owens_t(0.7, a), 0.2, 0.9),
        ("gammainc (x)", lambda x: sp.gammainc(2.5, x), 0.5, 6),
        ("gammainc (a)", lambda a: sp.gammainc(a, 1.5), 0.5, 4),
        ("gammaincc (x)", lambda x: sp.gammaincc(2.5, x), 0.5, 6),
        ("gammaincc (a)", lambda a: sp.gammaincc(a, 1.5), 0.5, 4),
        ("betainc (x)", lambda x: sp.betainc(2.5, 1.5, x), 0.1, 0.9),
        ("hyp1f1 (x)", lambda x: sp.hyp1f1(1.3, 2.6, x), -2, 2),
        ("hyp1f1 (a)", lambda a: sp.hyp1f1(a, 2.6, 0.8), 0.5, 2),
        ("hyp2f1 (x)", lambda x: sp.hyp2f1(0.7, 1.3, 2.6, x), -0.7, 0.7),
    ]
    return [one(f"scipy.special.{name}", f, low, high) for name, f, low, high in made]


def _two_arguments() -> list[Pair]:
    x, p = between(0.3, 3, 5), between(0.1, 0.9, 5)
    made = [
        ("numpy.power", jnp.power, (x, normal(5))),
        ("numpy.arctan2", jnp.arctan2, (x, normal(5))),
        ("numpy.hypot", jnp.hypot, (x, x)),
        ("numpy.logaddexp", jnp.logaddexp, (normal(5), normal(5))),
        ("numpy.logaddexp2", jnp.logaddexp2, (normal(5), normal(5))),
        ("numpy.divide", jnp.divide, (normal(5), x)),
        ("numpy.remainder", lambda x: jnp.remainder(x, 1.0), (lambda rng: rng.integers(-3, 3, 5) + 0.5,)),
        ("scipy.special.beta", sp.beta, (x, x)),
        ("scipy.special.betaln", sp.betaln, (x, x)),
        ("scipy.special.xlogy", sp.xlogy, (x, x)),
        ("scipy.special.xlog1py", sp.xlog1py, (x, x)),
        ("scipy.special.kl_div", sp.kl_div, (x, x)),
        ("scipy.special.rel_entr", sp.rel_entr, (x, x)),
        ("scipy.special.poch", sp.poch, (x, x)),
        ("scipy.special.logsumexp", partial(sp.logsumexp, axis=1), (normal(3, 4),)),
        ("scipy.special.softmax", partial(sp.softmax, axis=0), (normal(3, 4),)),
        ("numpy.interp", lambda v: jnp.interp(jnp.array([0.3, 1.6, 2.2]), jnp.arange(4.0), v), (normal(4),)),
        ("numpy.polyval", lambda c, v: jnp.polyval(c, v), (normal(4), p)),
        ("numpy.convolve", jnp.convolve, (normal(5), normal(3))),
    ]
    return [several(name, f, *draws) for name, f, draws in made]


def _neural() -> list[Pair]:
    smooth = "sigmoid softplus silu mish log_sigmoid soft_sign squareplus tanh"
    pieces = "relu relu6 elu celu selu leaky_relu hard_sigmoid hard_tanh hard_silu"
    found = [one(f"nn.{name}", getattr(nn, name), -3, 3) for name in smooth.split()]
    found += [one(f"nn.{name} (above 0)", getattr(nn, name), 0.2, 0.9) for name in pieces.split()]
    found += [one(f"nn.{name} (below 0)", getattr(nn, name), -0.9, -0.2) for name in pieces.split()]
    attended = [normal(2, 3, 2, 4)] * 3
    return [
        *found,
        one("nn.log1mexp", nn.log1mexp, 0.2, 3),
        one("nn.gelu", nn.gelu, -3, 3),
        one("nn.gelu (exact)", partial(nn.gelu, approximate=False), -3, 3),
        several("nn.softmax", nn.softmax, normal(3, 4)),
        several("nn.log_softmax", nn.log_softmax, normal(3, 4)),
        several("nn.logsumexp", partial(nn.logsumexp, axis=-1), normal(3, 4)),
        several("nn.logmeanexp", partial(nn.logmeanexp, axis=-1), normal(3, 4)),
        several("nn.standardize", nn.standardize, normal(3, 5)),
        several("nn.glu", nn.glu, normal(3, 6)),
        several("nn.dot_product_attention", nn.dot_product_attention, *attended),
        several("nn.dot_product_attention (causal)", partial(nn.dot_product_attention, is_causal=True), *attended),
    ]


def _special_points() -> list[Pair]:
    made = [
        ("numpy.sinc (0)", jnp.sinc, (zeros(3),)),
        ("numpy.power (0 ** 2)", lambda x: x**2.0, (zeros(3),)),
        ("numpy.logaddexp (equal)", lambda x: jnp.logaddexp(x, x), (normal(4),)),
        ("scipy.special.erfinv (0)", sp.erfinv, (zeros(3),)),
        ("scipy.special.i0 (0)", sp.i0, (zeros(3),)),
        ("scipy.special.i1 (0)", sp.i1, (zeros(3),)),
        ("scipy.special.i1e (0)", sp.i1e, (zeros(3),)),
        ("scipy.special.spence (1)", lambda x: sp.spence(1 + x), (zeros(3),)),
        ("scipy.special.dawsn (0)", sp.dawsn, (zeros(3),)),
        ("scipy.special.fresnel (0)", sp.fresnel, (zeros(3),)),
        ("scipy.special.sici Si (0)", lambda x: sp.sici(x)[0], (zeros(3),)),
        ("scipy.special.xlog1py (0)", lambda y: sp.xlog1py(1.5, y), (zeros(3),)),
        ("nn.gelu (0)", nn.gelu, (zeros(3),)),
        ("nn.silu (0)", nn.silu, (zeros(3),)),
        ("nn.softplus (0)", nn.softplus, (zeros(3),)),
        ("nn.squareplus (0)", nn.squareplus, (zeros(3),)),
        ("numpy.var (equal numbers)", jnp.var, (lambda rng: np.full(4, 1.5),)),
        ("scipy.special.log_ndtr (-20)", lambda x: sp.log_ndtr(x - 20.5), (zeros(3),)),
    ]
    return [several(name, f, *draws) for name, f, draws in made]
