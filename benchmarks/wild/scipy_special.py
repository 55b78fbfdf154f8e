"""Special functions of SciPy with derivatives that are special functions of SciPy."""

from functools import partial
from typing import Any

import numpy as np
from scipy import special as sp

from wild import Pair, elementwise

ROOT = np.sqrt(np.pi)


def pairs() -> list[Pair]:
    """All of them."""
    return [
        *_errors(),
        *_gammas(),
        *_elliptic(),
        *_bessel(),
        *_returned(),
        *_integrals(),
        *_statistical(),
        *_polynomials(),
    ]


def _errors() -> list[Pair]:
    def one(name: str, f: Any, d: Any, low: float, high: float) -> Pair:
        return elementwise(f"scipy.special.{name}", f, d, low, high)

    return [
        one("erf", sp.erf, lambda x: 2 / ROOT * np.exp(-(x**2)), -2, 2),
        one("erfc", sp.erfc, lambda x: -2 / ROOT * np.exp(-(x**2)), -2, 3),
        one("erfcx", sp.erfcx, lambda x: 2 * x * sp.erfcx(x) - 2 / ROOT, -1, 4),
        one("erfi", sp.erfi, lambda x: 2 / ROOT * np.exp(x**2), -2, 2),
        one("dawsn", sp.dawsn, lambda x: 1 - 2 * x * sp.dawsn(x), -3, 3),
        one("erfinv", sp.erfinv, lambda x: ROOT / 2 * np.exp(sp.erfinv(x) ** 2), -0.9, 0.9),
        one("erfcinv", sp.erfcinv, lambda x: -ROOT / 2 * np.exp(sp.erfcinv(x) ** 2), 0.1, 1.8),
        one("expit", sp.expit, lambda x: sp.expit(x) * sp.expit(-x), -4, 4),
        one("logit", sp.logit, lambda x: 1 / (x * (1 - x)), 0.1, 0.9),
        one("log_expit", sp.log_expit, lambda x: sp.expit(-x), -4, 4),
        one("ndtr", sp.ndtr, lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), -3, 3),
        one("ndtri", sp.ndtri, lambda p: np.sqrt(2 * np.pi) * np.exp(sp.ndtri(p) ** 2 / 2), 0.1, 0.9),
        one("log_ndtr", sp.log_ndtr, lambda x: np.exp(-(x**2) / 2 - sp.log_ndtr(x)) / np.sqrt(2 * np.pi), -4, 3),
        one("entr", sp.entr, lambda x: -np.log(x) - 1, 0.1, 4),
        one("xlogy", partial(sp.xlogy, 2.5), lambda x: 2.5 / x, 0.2, 3),
        one("xlog1py", partial(sp.xlog1py, 2.5), lambda x: 2.5 / (1 + x), -0.5, 3),
        one("rel_entr", lambda x: sp.rel_entr(x, 1.5), lambda x: np.log(x / 1.5) + 1, 0.2, 3),
        one("kl_div", lambda x: sp.kl_div(x, 1.5), lambda x: np.log(x / 1.5), 0.2, 3),
        one("huber", partial(sp.huber, 1.0), lambda r: np.clip(r, -1, 1), 1.2, 3),
        one("pseudo_huber", partial(sp.pseudo_huber, 1.3), lambda r: r / np.sqrt(1 + (r / 1.3) ** 2), -3, 3),
        one("boxcox", lambda x: sp.boxcox(x, 0.7), lambda x: x**-0.3, 0.2, 3),
        one("boxcox1p", lambda x: sp.boxcox1p(x, 0.7), lambda x: (1 + x) ** -0.3, 0.1, 3),
        one("inv_boxcox", lambda x: sp.inv_boxcox(x, 0.7), lambda x: (0.7 * x + 1) ** (1 / 0.7 - 1), 0.2, 3),
        one("exprel", sp.exprel, lambda x: (x * np.exp(x) - np.expm1(x)) / x**2, 0.5, 3),
        one("cosm1", sp.cosm1, lambda x: -np.sin(x), -3, 3),
        one("cbrt", sp.cbrt, lambda x: 1 / (3 * sp.cbrt(x) ** 2), 0.2, 3),
        one("exp10", sp.exp10, lambda x: np.log(10) * sp.exp10(x), -2, 2),
        one(
            "lambertw",
            lambda x: sp.lambertw(x).real,
            lambda x: sp.lambertw(x).real / (x * (1 + sp.lambertw(x).real)),
            0.2,
            4,
        ),
        one("wrightomega", sp.wrightomega, lambda x: sp.wrightomega(x) / (1 + sp.wrightomega(x)), -2, 4),
        one("spence", sp.spence, lambda x: np.log(x) / (1 - x), 1.2, 4),
        one(
            "owens_t",
            lambda h: sp.owens_t(h, 0.8),
            lambda h: -np.exp(-(h**2) / 2) * sp.erf(0.8 * h / np.sqrt(2)) / (2 * np.sqrt(2 * np.pi)),
            -2,
            2,
        ),
    ]


def _gammas() -> list[Pair]:
    def one(name: str, f: Any, d: Any, low: float = 0.5, high: float = 6.0) -> Pair:
        return elementwise(f"scipy.special.{name}", f, d, low, high)

    found = [
        one("gammaln", sp.gammaln, sp.digamma),
        one("loggamma", lambda x: sp.loggamma(x).real, sp.psi),
        one("gamma", sp.gamma, lambda x: sp.gamma(x) * sp.psi(x)),
        one("gamma (negative)", sp.gamma, lambda x: sp.gamma(x) * sp.psi(x), -1.8, -1.2),
        one("rgamma", sp.rgamma, lambda x: -sp.rgamma(x) * sp.psi(x)),
        one("betaln", lambda a: sp.betaln(a, 2.3), lambda a: sp.psi(a) - sp.psi(a + 2.3)),
        one("beta", lambda a: sp.beta(a, 2.3), lambda a: sp.beta(a, 2.3) * (sp.psi(a) - sp.psi(a + 2.3))),
        one("psi", sp.psi, partial(sp.polygamma, 1)),
        one("zeta (q)", partial(sp.zeta, 2.5), lambda q: -2.5 * sp.zeta(3.5, q)),
        one("poch", lambda z: sp.poch(z, 1.5), lambda z: sp.poch(z, 1.5) * (sp.psi(z + 1.5) - sp.psi(z))),
        one("binom", lambda n: sp.binom(n, 1.5), lambda n: sp.binom(n, 1.5) * (sp.psi(n + 1) - sp.psi(n - 0.5)), 2, 6),
        one(
            "multigammaln",
            lambda a: np.array([sp.multigammaln(v, 3) for v in a]),
            lambda a: sp.psi(a) + sp.psi(a - 0.5) + sp.psi(a - 1),
            2,
            6,
        ),
        one("gammainc", partial(sp.gammainc, 2.5), lambda x: x**1.5 * np.exp(-x) / sp.gamma(2.5)),
        one("gammaincc", partial(sp.gammaincc, 2.5), lambda x: -(x**1.5) * np.exp(-x) / sp.gamma(2.5)),
        one("betainc", partial(sp.betainc, 2.5, 1.5), lambda x: x**1.5 * (1 - x) ** 0.5 / sp.beta(2.5, 1.5), 0.1, 0.9),
        one(
            "betaincc",
            partial(sp.betaincc, 2.5, 1.5),
            lambda x: -(x**1.5) * (1 - x) ** 0.5 / sp.beta(2.5, 1.5),
            0.1,
            0.9,
        ),
    ]
    return found + [one(f"polygamma({n})", partial(sp.polygamma, n), partial(sp.polygamma, n + 1)) for n in (1, 2, 3)]


def _elliptic() -> list[Pair]:
    m = 0.4

    def one(name: str, f: Any, d: Any, low: float, high: float) -> Pair:
        return elementwise(f"scipy.special.{name}", f, d, low, high)

    return [
        one("ellipk", sp.ellipk, lambda m: (sp.ellipe(m) - (1 - m) * sp.ellipk(m)) / (2 * m * (1 - m)), 0.1, 0.9),
        one("ellipe", sp.ellipe, lambda m: (sp.ellipe(m) - sp.ellipk(m)) / (2 * m), 0.1, 0.9),
        one(
            "ellipkm1", sp.ellipkm1, lambda p: -(sp.ellipe(1 - p) - p * sp.ellipk(1 - p)) / (2 * (1 - p) * p), 0.1, 0.9
        ),
        one("ellipkinc", lambda f: sp.ellipkinc(f, m), lambda f: 1 / np.sqrt(1 - m * np.sin(f) ** 2), -1.4, 1.4),
        one("ellipeinc", lambda f: sp.ellipeinc(f, m), lambda f: np.sqrt(1 - m * np.sin(f) ** 2), -1.4, 1.4),
        one("ellipj sn", lambda u: sp.ellipj(u, m)[0], lambda u: sp.ellipj(u, m)[1] * sp.ellipj(u, m)[2], -2, 2),
        one("ellipj cn", lambda u: sp.ellipj(u, m)[1], lambda u: -sp.ellipj(u, m)[0] * sp.ellipj(u, m)[2], -2, 2),
        one("ellipj dn", lambda u: sp.ellipj(u, m)[2], lambda u: -m * sp.ellipj(u, m)[0] * sp.ellipj(u, m)[1], -2, 2),
    ]


def _bessel() -> list[Pair]:
    found = []
    for order in (0, 1, 2.5, 7):
        for name, low in (("jv", 0.5), ("yv", 2.0), ("iv", 0.5), ("kv", 0.5)):
            f, d = getattr(sp, name), getattr(sp, f"{name}p")
            found.append(elementwise(f"scipy.special.{name}({order:g})", partial(f, order), partial(d, order), low, 6))
    for name, f, d in (
        ("j0", sp.j0, lambda x: -sp.j1(x)),
        ("y0", sp.y0, lambda x: -sp.y1(x)),
        ("i0", sp.i0, sp.i1),
        ("k0", sp.k0, lambda x: -sp.k1(x)),
        ("i0e", sp.i0e, lambda x: sp.i1e(x) - sp.i0e(x)),
        ("k0e", sp.k0e, lambda x: sp.k0e(x) - sp.k1e(x)),
        ("struve(0)", partial(sp.struve, 0), lambda x: 2 / np.pi - sp.struve(1, x)),
        ("modstruve(0)", partial(sp.modstruve, 0), lambda x: 2 / np.pi + sp.modstruve(1, x)),
        ("ber", sp.ber, sp.berp),
        ("bei", sp.bei, sp.beip),
        ("ker", sp.ker, sp.kerp),
        ("kei", sp.kei, sp.keip),
    ):
        found.append(elementwise(f"scipy.special.{name}", f, d, 0.5, 6))
    for kind in ("jn", "yn", "in", "kn"):
        f = getattr(sp, f"spherical_{kind}")
        for order in (0, 1, 3):
            own, slope = partial(f, order), partial(f, order, derivative=True)
            found.append(elementwise(f"scipy.special.spherical_{kind}({order})", own, slope, 1.0, 6))
    return found


def _returned() -> list[Pair]:
    """Functions that return their derivative beside their value."""
    found = [
        elementwise("scipy.special.airy Ai", lambda x: sp.airy(x)[0], lambda x: sp.airy(x)[1], -4, 2),
        elementwise("scipy.special.airy Bi", lambda x: sp.airy(x)[2], lambda x: sp.airy(x)[3], -4, 2),
        elementwise("scipy.special.airy Ai'", lambda x: sp.airy(x)[1], lambda x: x * sp.airy(x)[0], -4, 2),
    ]
    degrees = np.pi / 180  # their argument is in degrees, their derivative by radians
    for name, f, low, high, unit in (
        ("pbdv", partial(sp.pbdv, 1.5), 0.2, 3, 1),
        ("pbvv", partial(sp.pbvv, 1.5), 0.2, 3, 1),
        ("pbwa", partial(sp.pbwa, 1.5), 0.2, 3, 1),
        ("mathieu_cem", partial(sp.mathieu_cem, 2, 1.3), 10, 80, degrees),
        ("mathieu_sem", partial(sp.mathieu_sem, 2, 1.3), 10, 80, degrees),
        ("mathieu_modcem1", partial(sp.mathieu_modcem1, 2, 1.3), 0.3, 1.5, 1),
        ("mathieu_modsem1", partial(sp.mathieu_modsem1, 2, 1.3), 0.3, 1.5, 1),
        ("mathieu_modcem2", partial(sp.mathieu_modcem2, 2, 1.3), 0.3, 1.5, 1),
        ("mathieu_modsem2", partial(sp.mathieu_modsem2, 2, 1.3), 0.3, 1.5, 1),
        ("pro_ang1", partial(sp.pro_ang1, 1, 2, 1.3), 0.1, 0.8, 1),
        ("obl_ang1", partial(sp.obl_ang1, 1, 2, 1.3), 0.1, 0.8, 1),
        ("pro_rad1", partial(sp.pro_rad1, 1, 2, 1.3), 1.3, 4, 1),
        ("obl_rad1", partial(sp.obl_rad1, 1, 2, 1.3), 0.5, 4, 1),
        ("pro_rad2", partial(sp.pro_rad2, 1, 2, 1.3), 1.3, 4, 1),
        ("obl_rad2", partial(sp.obl_rad2, 1, 2, 1.3), 0.5, 4, 1),
    ):
        found.append(_returning(name, f, (low, high), unit))
    return found


def _returning(name: str, f: Any, between: tuple[float, float], unit: float) -> Pair:
    return elementwise(f"scipy.special.{name}", lambda x: f(x)[0], lambda x: unit * f(x)[1], *between)


def _integrals() -> list[Pair]:
    def one(name: str, f: Any, d: Any, low: float = 0.3, high: float = 4.0) -> Pair:
        return elementwise(f"scipy.special.{name}", f, d, low, high)

    return [
        one("expi", sp.expi, lambda x: np.exp(x) / x),
        one("exp1", sp.exp1, lambda x: -np.exp(-x) / x),
        one("expn(2)", partial(sp.expn, 2), lambda x: -sp.expn(1, x)),
        one("expn(5)", partial(sp.expn, 5), lambda x: -sp.expn(4, x)),
        one("shichi Shi", lambda x: sp.shichi(x)[0], lambda x: np.sinh(x) / x),
        one("shichi Chi", lambda x: sp.shichi(x)[1], lambda x: np.cosh(x) / x),
        one("sici Si", lambda x: sp.sici(x)[0], lambda x: np.sin(x) / x),
        one("sici Ci", lambda x: sp.sici(x)[1], lambda x: np.cos(x) / x),
        one("fresnel S", lambda x: sp.fresnel(x)[0], lambda x: np.sin(np.pi * x**2 / 2), 0.1, 3),
        one("fresnel C", lambda x: sp.fresnel(x)[1], lambda x: np.cos(np.pi * x**2 / 2), 0.1, 3),
        one("itj0y0 J", lambda x: sp.itj0y0(x)[0], sp.j0),
        one("itj0y0 Y", lambda x: sp.itj0y0(x)[1], sp.y0),
        one("iti0k0 I", lambda x: sp.iti0k0(x)[0], sp.i0),
        one("iti0k0 K", lambda x: sp.iti0k0(x)[1], sp.k0),
        one("it2j0y0 J", lambda x: sp.it2j0y0(x)[0], lambda x: (1 - sp.j0(x)) / x),
        one("it2i0k0 I", lambda x: sp.it2i0k0(x)[0], lambda x: (sp.i0(x) - 1) / x),
        one("itstruve0", sp.itstruve0, partial(sp.struve, 0)),
        one("itmodstruve0", sp.itmodstruve0, partial(sp.modstruve, 0)),
        one("it2struve0", sp.it2struve0, lambda x: -sp.struve(0, x) / x),
        one("itairy Ai", lambda x: sp.itairy(x)[0], lambda x: sp.airy(x)[0]),
        one("itairy Bi", lambda x: sp.itairy(x)[1], lambda x: sp.airy(x)[2]),
        one("hyp0f1", partial(sp.hyp0f1, 1.7), lambda x: sp.hyp0f1(2.7, x) / 1.7),
        one("hyp1f1", partial(sp.hyp1f1, 1.2, 2.3), lambda x: 1.2 / 2.3 * sp.hyp1f1(2.2, 3.3, x)),
        one(
            "hyp2f1",
            partial(sp.hyp2f1, 1.2, 0.7, 2.3),
            lambda x: 1.2 * 0.7 / 2.3 * sp.hyp2f1(2.2, 1.7, 3.3, x),
            0.05,
            0.8,
        ),
        one("hyperu", partial(sp.hyperu, 1.2, 0.7), lambda x: -1.2 * sp.hyperu(2.2, 1.7, x)),
    ]


def _statistical() -> list[Pair]:
    def density(x: Any, a: float, b: float) -> Any:
        return x ** (a - 1) * np.exp(-x / b) / (sp.gamma(a) * b**a)

    return [
        elementwise("scipy.special.chdtr", partial(sp.chdtr, 3.5), lambda x: density(x, 1.75, 2.0), 0.3, 6),
        elementwise("scipy.special.chdtrc", partial(sp.chdtrc, 3.5), lambda x: -density(x, 1.75, 2.0), 0.3, 6),
        elementwise("scipy.special.gdtr", partial(sp.gdtr, 1.3, 2.2), lambda x: density(x, 2.2, 1 / 1.3), 0.3, 6),
        elementwise("scipy.special.pdtr (m)", partial(sp.pdtr, 3), lambda m: -np.exp(-m) * m**3 / 6, 0.5, 6),
        elementwise(
            "scipy.special.stdtr (t)",
            partial(sp.stdtr, 4.0),
            lambda t: sp.gamma(2.5) / (np.sqrt(4 * np.pi) * sp.gamma(2.0)) * (1 + t**2 / 4) ** -2.5,
            -3,
            3,
        ),
        elementwise(
            "scipy.special.bdtr (p)",
            lambda p: sp.bdtr(3, 7, p),
            lambda p: -7 * sp.comb(6, 3) * p**3 * (1 - p) ** 3,
            0.1,
            0.9,
        ),
    ]


def _polynomials() -> list[Pair]:
    n = 5

    def one(name: str, f: Any, d: Any, low: float = -0.9, high: float = 0.9) -> Pair:
        return elementwise(f"scipy.special.eval_{name}", f, d, low, high)

    return [
        one(
            "legendre",
            partial(sp.eval_legendre, n),
            lambda x: n * (x * sp.eval_legendre(n, x) - sp.eval_legendre(n - 1, x)) / (x**2 - 1),
        ),
        one("chebyt", partial(sp.eval_chebyt, n), lambda x: n * sp.eval_chebyu(n - 1, x)),
        one("chebyc", partial(sp.eval_chebyc, n), lambda x: n * sp.eval_chebys(n - 1, x)),
        one("hermite", partial(sp.eval_hermite, n), lambda x: 2 * n * sp.eval_hermite(n - 1, x)),
        one("hermitenorm", partial(sp.eval_hermitenorm, n), lambda x: n * sp.eval_hermitenorm(n - 1, x)),
        one("laguerre", partial(sp.eval_laguerre, n), lambda x: -sp.eval_genlaguerre(n - 1, 1, x), 0.2, 4),
        one("genlaguerre", partial(sp.eval_genlaguerre, n, 0.7), lambda x: -sp.eval_genlaguerre(n - 1, 1.7, x), 0.2, 4),
        one(
            "jacobi", partial(sp.eval_jacobi, n, 0.7, 1.2), lambda x: (n + 2.9) / 2 * sp.eval_jacobi(n - 1, 1.7, 2.2, x)
        ),
        one("gegenbauer", partial(sp.eval_gegenbauer, n, 0.7), lambda x: 1.4 * sp.eval_gegenbauer(n - 1, 1.7, x)),
        elementwise(
            "scipy.special.legendre_p",
            lambda x: sp.legendre_p(4, x, diff_n=1)[0],
            lambda x: sp.legendre_p(4, x, diff_n=1)[1],
            -0.9,
            0.9,
        ),
        elementwise(
            "scipy.special.assoc_legendre_p",
            lambda x: sp.assoc_legendre_p(4, 2, x, diff_n=1)[0],
            lambda x: sp.assoc_legendre_p(4, 2, x, diff_n=1)[1],
            -0.9,
            0.9,
        ),
    ]
