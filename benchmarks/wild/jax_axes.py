"""What JAX does along axes: accumulations, orders, transforms and convolutions."""

from functools import partial

import jax.numpy as jnp
import jax.scipy.fft
from jax import lax
from jax.scipy import signal

from wild import Pair
from wild.jax_reverse import several
from wild.points import complex_normal, normal, spread, with_zero


def pairs() -> list[Pair]:
    """All of them."""
    return [*_accumulations(), *_orders(), *_transforms()]


def _accumulations() -> list[Pair]:
    a, zero = normal(3, 4), with_zero(normal(3, 4), 1, 6)
    made = [
        ("lax.cumsum", partial(lax.cumsum, axis=1, reverse=True), a),
        ("lax.cumprod", partial(lax.cumprod, axis=1), a),
        ("lax.cumprod (zeros)", partial(lax.cumprod, axis=1), zero),
        ("lax.cumlogsumexp", partial(lax.cumlogsumexp, axis=1), a),
        ("lax.cummax", partial(lax.cummax, axis=1), spread(3, 4)),
        ("lax.cummin", partial(lax.cummin, axis=0), spread(3, 4)),
        ("lax.associative_scan", partial(lax.associative_scan, jnp.multiply), a),
        ("numpy.prod", partial(jnp.prod, axis=1), a),
        ("numpy.prod (zeros)", partial(jnp.prod, axis=0), zero),
        ("numpy.prod (two zeros)", partial(jnp.prod, axis=0), with_zero(a, 1, 5)),
        ("numpy.std", partial(jnp.std, axis=1), a),
        ("numpy.var", partial(jnp.var, axis=1, ddof=1), a),
        ("numpy.corrcoef", jnp.corrcoef, a),
        ("numpy.cov", jnp.cov, a),
        ("numpy.gradient", partial(jnp.gradient, axis=1), a),
        ("numpy.trapezoid", jnp.trapezoid, a),
        ("numpy.nanmean", lambda x: jnp.nanmean(x.at[0, 1].set(jnp.nan), axis=1), a),
        ("numpy.nanstd", lambda x: jnp.nanstd(x.at[0, 1].set(jnp.nan), axis=1), a),
        ("lax.reduce_window sum", lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME"), a),
    ]
    return [several(name, f, draw) for name, f, draw in made]


def _orders() -> list[Pair]:
    made = [
        ("numpy.max", partial(jnp.max, axis=1)),
        ("numpy.sort", partial(jnp.sort, axis=1)),
        ("numpy.median", partial(jnp.median, axis=1)),
        ("numpy.quantile", lambda x: jnp.quantile(x, jnp.array([0.2, 0.7]), axis=1)),
        ("numpy.percentile", lambda x: jnp.percentile(x, 35.0, method="midpoint")),
        ("numpy.nanmedian", lambda x: jnp.nanmedian(x.at[0, 1].set(jnp.nan), axis=1)),
        ("numpy.ptp", jnp.ptp),
        ("numpy.partition", lambda x: jnp.max(jnp.partition(x, 2)[:, :2], axis=1)),
        ("lax.top_k", lambda x: lax.top_k(x, 2)[0]),
        ("lax.reduce_window max", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID")),
    ]
    return [several(name, f, spread(3, 4)) for name, f in made]


def _transforms() -> list[Pair]:
    f, real, other = jnp.fft, normal(3, 6), complex_normal(3, 6)
    made = [
        ("numpy.fft.fft", f.fft, (other,)),
        ("numpy.fft.fft (real)", f.fft, (real,)),
        ("numpy.fft.ifft2", f.ifft2, (other,)),
        ("numpy.fft.fftn", f.fftn, (other,)),
        ("numpy.fft.rfft", f.rfft, (real,)),
        ("numpy.fft.rfft (odd)", f.rfft, (normal(3, 5),)),
        ("numpy.fft.irfft", f.irfft, (other,)),
        ("numpy.fft.irfft (odd)", partial(f.irfft, n=9), (other,)),
        ("numpy.fft.rfft2", f.rfft2, (real,)),
        ("numpy.fft.irfft2", f.irfft2, (other,)),
        ("numpy.fft.hfft", f.hfft, (other,)),
        ("numpy.fft.ihfft", f.ihfft, (real,)),
        ("scipy.fft.dct", jax.scipy.fft.dct, (real,)),
        ("scipy.fft.idct", jax.scipy.fft.idct, (real,)),
        ("scipy.signal.fftconvolve", signal.fftconvolve, (normal(6), normal(3))),
        ("scipy.signal.correlate2d", signal.correlate2d, (normal(4, 4), normal(2, 2))),
        ("scipy.signal.detrend", signal.detrend, (real,)),
        ("lax.conv", lambda x, w: lax.conv(x, w, (2, 1), "SAME"), (normal(1, 2, 5, 4), normal(3, 2, 2, 3))),
    ]
    return [several(name, function, *draws) for name, function, draws in made]
