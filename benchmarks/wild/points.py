"""Where functions of arrays are judged: points that are drawn from a generator."""

from collections.abc import Callable
from typing import Any

import numpy as np

#: Draws an array from a generator.
Draw = Callable[[np.random.Generator], Any]


def between(low: float, high: float, *shape: int) -> Draw:
    """Uniform numbers."""
    return lambda rng: rng.uniform(low, high, shape)


def normal(*shape: int) -> Draw:
    """Standard normal numbers."""
    return lambda rng: rng.standard_normal(shape)


def complex_normal(*shape: int) -> Draw:
    """Complex numbers whose parts are standard normal."""
    return lambda rng: rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def regular(size: int) -> Draw:
    """A square matrix far from a singular one."""
    return lambda rng: rng.standard_normal((size, size)) + 3.0 * np.eye(size)


def definite(size: int) -> Draw:
    """A symmetric matrix with eigenvalues that are positive and apart."""

    def draw(rng: np.random.Generator) -> Any:
        vectors = np.linalg.qr(rng.standard_normal((size, size)))[0]
        return (vectors * (np.arange(1, size + 1) + rng.uniform(-0.2, 0.2, size))) @ vectors.T

    return draw


def equal_eigenvalues(size: int) -> Draw:
    """A symmetric matrix whose two largest eigenvalues are one."""

    def draw(rng: np.random.Generator) -> Any:
        vectors = np.linalg.qr(rng.standard_normal((size, size)))[0]
        return (vectors * np.minimum(np.arange(1, size + 1), size - 1)) @ vectors.T

    return draw


def singular(size: int) -> Draw:
    """A square matrix of rank size - 1."""
    return lambda rng: rng.standard_normal((size, size - 1)) @ rng.standard_normal((size - 1, size))


def triangle(size: int) -> Draw:
    """A lower triangle with a diagonal far from zero."""
    return lambda rng: np.tril(rng.standard_normal((size, size)), -1) + np.diag(rng.uniform(1, 2, size))


def spread(*shape: int) -> Draw:
    """Numbers in no order, no two closer than a third."""

    def draw(rng: np.random.Generator) -> Any:
        size = int(np.prod(shape))
        return (rng.permutation(size) - size / 2 + 0.3 + rng.uniform(0, 0.6, size)).reshape(shape) * 0.8

    return draw


def with_zero(draw: Draw, *places: int) -> Draw:
    """The same with zeros at these places of the flattened array."""

    def drawn(rng: np.random.Generator) -> Any:
        found = np.array(draw(rng))
        found.flat[list(places)] = 0.0
        return found

    return drawn


def zeros(*shape: int) -> Draw:
    """Zeros."""
    return lambda rng: np.zeros(shape)
