"""Functions of JAX as pairs: the gradient is what its reverse mode gives, in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradproof as gp
from wild import Pair
from wild.points import Draw


def one(name: str, function: Any, low: float, high: float) -> Pair:
    """A function of one number, at several at once: their weighted sum as a cost, jax.grad as its gradient."""

    def check(seed: int) -> gp.Report:
        rng = np.random.default_rng([seed, 5])
        bounds = (low - 0.05 * abs(low), high + 0.05 * abs(high))
        with jax.enable_x64(True):
            weights = jnp.asarray(rng.uniform(0.5, 1.5, 8))
            cost = jax.jit(lambda x: jnp.sum(weights * function(x)))
            point = jnp.asarray(rng.uniform(low, high, 8))
            return gp.check(cost, point, jax.jit(jax.grad(cost)), seed=seed, bounds=bounds)

    return Pair(f"jax.{name}", check)


def several(name: str, function: Any, *draws: Draw) -> Pair:
    """A function of arrays with any outputs: reverse mode as check_function takes it."""

    def check(seed: int) -> gp.Report:
        rng = np.random.default_rng([seed, 6])
        with jax.enable_x64(True):
            inputs = [jnp.asarray(draw(rng)) for draw in draws]
            return gp.check_function(jax.jit(function), *inputs, seed=seed)

    return Pair(f"jax.{name}", check)
