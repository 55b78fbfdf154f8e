"""Faults that any network can have, because they change a finished tensor of its gradient and nothing else."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .base import Array, Grads, Model, Planted, Tree, changing, leaves

Change = Callable[[Array], Any]


def by(factor: float) -> Change:
    """Times a number."""
    return lambda g: g * factor


def zeroed(*where: slice) -> Change:
    """A part set to zero."""

    def change(g: Array) -> Array:
        g = g.copy()
        g[where] = 0
        return g

    return change


def leafwise(model: Model, weights: Mapping[str, str], biases: Mapping[str, str]) -> Iterator[Planted]:
    """Faults of one tensor each.

    Args:
        model: the network.
        weights: "first", "middle", "last" -> the name of a weight there.
        biases: the same for biases.
    """
    m = model.data[0].shape[model.examples_axis]
    right = model.grads
    for layer, name in (*weights.items(), *biases.items()):

        def one(recipe: str, cause: str, change: Change, *also: str, name: str = name, layer: str = layer) -> Planted:
            grads = changing(right, **{name: change})
            return model.plant(f"{name} {recipe}", cause, grads=grads, layer=layer, also_with=also)

        size = model.right_leaf(name).size
        yield one("times 2", "factor", by(2.0))
        yield one("times 1/2", "factor", by(0.5))
        yield one("negated", "sign", by(-1.0))
        yield one("zero", "zero", np.zeros_like)
        yield one("is None", "zero", lambda g: None, "contract")
        yield one("absent", "contract", lambda g: ..., "zero")
        yield one("with a NaN", "contract", with_nan, "singular")
        yield one("reversed", "permuted", lambda g: np.flip(g, 0).copy())
        yield one("rolled", "permuted", lambda g: np.roll(g, 1, axis=0))
        if name not in weights.values():
            continue
        yield one("times m", "factor", by(m))
        yield one("times 1/m", "factor", by(1 / m))
        yield one("reversed along the last axis", "permuted", lambda g: np.flip(g, -1).copy())
        yield one("flipped along its last two axes", "permuted", lambda g: np.flip(g, (-1, -2)).copy())
        yield one("shuffled along the first axis", "permuted", lambda g: g[np.roll(np.arange(len(g))[::-1], 1)].copy())
        yield one("with its last slice zero", "region", zeroed(slice(-1, None)))
        yield one("with every second slice zero", "region", zeroed(slice(None, None, 2)))
        yield one("with the end of the last axis zero", "region", lambda g: np.append(g[..., :-1], 0 * g[..., -1:], -1))
        yield one("rounded to bfloat16", "precision", brain)
        if size >= 20:
            yield one("rounded to float16", "precision", lambda g: g.astype(np.float16).astype(np.float64))
        bound = float(np.quantile(np.abs(model.right_leaf(name)), 0.6))
        yield one("clipped by value", "clipped", clipping(bound))
        yield one("a slice short", "contract", lambda g: g[:-1])
        yield one("off at random by a thousandth", "unexplained", lambda g: noise(g, 1e-3), "precision")
        yield one("off at random", "unexplained", lambda g: noise(g, 1.0))
        unit = changing(right, **{name: lambda g: g / np.linalg.norm(g)})
        yield model.plant(f"{name} normalised", "clipped", grads=unit, layer=layer, also=("factor",))
        yield model.plant(f"{name} added up over calls", "accumulated", fresh=adding(model, (name,)), layer=layer)
    names = tuple(leaves(model.params))
    yield model.plant("everything negated", "sign", grads=changing(right, **dict.fromkeys(names, by(-1.0))))
    yield model.plant("everything zero", "zero", grads=changing(right, **dict.fromkeys(names, np.zeros_like)))
    yield model.plant("everything added up over calls", "accumulated", fresh=adding(model, names))
    shapes = {name: leaf.shape for name, leaf in leaves(model.params).items()}
    for name, other in itertools.combinations(names, 2):
        if shapes[name] == shapes[other]:
            yield model.plant(f"{name} and {other} exchanged", "swapped", grads=exchanging(right, name, other))


def clipping(bound: float) -> Change:
    """No entry beyond a bound."""
    return lambda g: np.clip(g, -bound, bound)


def with_nan(g: Array) -> Array:
    """The first entry NaN."""
    g = g.copy()
    g.flat[0] = np.nan
    return g


def brain(g: Array) -> Array:
    """Eight bits of mantissa."""
    bits = (g.astype(np.float32).view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    return np.asarray(bits.view(np.float32).astype(np.float64))


def noise(g: Array, scale: float) -> Array:
    """Off at random, relative to the root mean square."""
    rng = np.random.default_rng([3, g.size])
    return np.asarray(g + scale * np.sqrt(np.mean(g**2)) * rng.normal(size=g.shape))


def adding(model: Model, names: tuple[str, ...]) -> Callable[[], Grads]:
    """Gradients of the named tensors added up over calls."""

    def fresh() -> Grads:
        total: dict[str, Array] = {}

        def add(name: str) -> Change:
            def change(g: Array) -> Array:
                total[name] = total.get(name, 0.0) + g
                return total[name]

            return change

        return changing(model.grads, **{name: add(name) for name in names})

    return fresh


def exchanging(right: Grads, one: str, other: str) -> Grads:
    """The gradients of two tensors of one shape, exchanged."""

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        named = leaves(right(params, *data, **options))
        swap = {one: lambda g: named[other].copy(), other: lambda g: named[one].copy()}
        return changing(right, **swap)(params, *data, **options)

    return grads
