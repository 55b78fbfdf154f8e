"""Unstructured faults on the right gradients of every other model: no cause but ``unexplained`` is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import models_deep, models_gated, models_kernel, models_shallow, models_struct
from .case import Array, Case, Function, Tree, leaves, tree_map

SOURCES = (models_gated, models_shallow, models_kernel, models_deep, models_struct)


def _one(number: int, change: Callable[[Array], Array]) -> Callable[[Tree], Tree]:
    def apply(tree: Tree) -> Tree:
        count = iter(range(10**6))
        return tree_map(lambda a: change(np.array(a, float)) if next(count) == number else a, tree)

    return apply


def _all(change: Callable[[Array], Array]) -> Callable[[Tree], Tree]:
    return lambda tree: tree_map(lambda a: change(np.array(a, float)), tree)


def _fixed(draw: Callable[[np.random.Generator, Array], Array], seed: int) -> Callable[[Array], Array]:
    return lambda a: draw(np.random.default_rng([seed, a.size]), a)


def _size(a: Array) -> float:
    return float(np.abs(a).max()) + 1e-3


def cases(seed: int) -> list[Case]:
    """Make six faults a model."""
    rng = np.random.default_rng(seed)
    out = []
    for source in SOURCES:
        for case in source.cases(seed):
            if case.name not in ("right", "right-trained"):
                continue
            sizes = [np.size(leaf) for leaf in leaves(case.params)]
            big = [k for k, size in enumerate(sizes) if size > 2] or [0]
            tag = "t" if case.name == "right-trained" else "i"
            noise = _fixed(lambda r, a: a + 0.3 * _size(a) * r.standard_normal(a.shape), seed)
            factors = _fixed(lambda r, a: a * r.uniform(0.5, 1.5, a.shape), seed)
            signs = _fixed(lambda r, a: a * np.where(r.random(a.shape) < 0.5, -1, 1), seed)
            shift = _fixed(
                lambda r, a: (
                    a + 0.01 * _size(a) * np.linspace(-1, 1, a.size).reshape(a.shape) ** 3 + 0.002 * r.random()
                ),
                seed,
            )
            small = _fixed(lambda r, a: a * (1 + 1e-3 * r.standard_normal(a.shape)), seed)
            faults: dict[str, tuple[Callable[[Tree], Tree], str]] = {
                "noise-one": (_one(int(rng.choice(big)), noise), "unexplained|region"),
                "factors-one": (_one(int(rng.choice(big)), factors), "unexplained|region"),
                "signs-one": (_one(int(rng.choice(big)), signs), "unexplained|region sign"),
                "cubic-one": (_one(int(rng.choice(big)), shift), "unexplained|region"),
                "factors-all": (_all(factors), "unexplained|region factor upstream"),
                "small-all": (_all(small), "unexplained|region factor precision upstream"),
            }
            for name, (change, sets) in faults.items():
                out.append(
                    _spoil(case, f"{name}-{tag}", lambda p, *d, g=case.right, c=change, **o: c(g(p, *d, **o)), sets)
                )
            moved = _all(_fixed(lambda r, a: a + 0.05 * r.standard_normal(a.shape), seed))
            elsewhere: Function = lambda p, *d, g=case.right, c=moved, **o: g(c(p), *d, **o)  # noqa: E731
            out.append(_spoil(case, f"at-moved-parameters-{tag}", elsewhere, "unexplained|stale early-update"))
            floats = [k for k, d in enumerate(case.data) if np.asarray(d).dtype.kind == "f"]
            if floats:
                other: Function = lambda p, *d, g=case.right, f=floats[0], **o: g(p, *_nudge(d, f), **o)  # noqa: E731
                out.append(_spoil(case, f"other-data-{tag}", other, "unexplained|other-loss wrong-cache"))
    return out


def _nudge(data: tuple[Any, ...], which: int) -> tuple[Any, ...]:
    return tuple(d + 0.1 * np.cos(7 * d) if k == which else d for k, d in enumerate(data))


def _spoil(case: Case, name: str, grads: Function, sets: str) -> Case:
    expect, _, accept = sets.partition("|")
    return Case(
        case.model,
        name,
        case.cost,
        grads,
        case.right,
        case.params,
        case.data,
        case.examples_axis,
        case.options,
        case.terms,
        frozenset(expect.split()),
        frozenset(accept.split()),
        case.tolerance,
        {**case.extra, "no_upstream": True},
    )
