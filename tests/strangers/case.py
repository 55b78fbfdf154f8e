"""A case: a cost, a claimed gradient, and what is planted in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tree = Any
Function = Callable[..., Any]
Names = str  # slugs separated by blanks


@dataclass
class Case:
    """One gradient to judge; ``expect`` is empty for a right gradient."""

    model: str
    name: str
    cost: Function
    grads: Function
    right: Function
    params: Tree
    data: tuple[Any, ...] = ()
    examples_axis: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Function] | None = None
    expect: frozenset[str] = frozenset()
    accept: frozenset[str] = frozenset()
    tolerance: float = 1e-5
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_right(self) -> bool:
        """Whether nothing is planted."""
        return not self.expect

    def __str__(self) -> str:
        """Model and name."""
        return f"{self.model}/{self.name}"


def leaves(tree: Tree) -> list[Any]:
    """Give the arrays of a nesting in the user's order."""
    if isinstance(tree, Mapping):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves(value)]
    if is_dataclass(tree):
        return [leaf for f in fields(tree) for leaf in leaves(getattr(tree, f.name))]
    return [tree]


def tree_map(fn: Function, tree: Tree, *rest: Tree) -> Tree:
    """Apply a function to the arrays of nestings with one structure."""
    if isinstance(tree, Mapping):
        return {key: tree_map(fn, value, *(r[key] for r in rest)) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(fn, *values) for values in zip(tree, *rest, strict=True)))
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(fn, *values) for values in zip(tree, *rest, strict=True))
    if is_dataclass(tree) and not isinstance(tree, type):
        values = {f.name: tree_map(fn, *(getattr(t, f.name) for t in (tree, *rest))) for f in fields(tree)}
        return type(tree)(**values)
    return fn(tree, *rest)


def train(
    grads: Function, params: Tree, data: tuple[Any, ...], options: dict[str, Any], rate: float, steps: int
) -> Tree:
    """Descend a little."""
    for _ in range(steps):
        params = tree_map(
            lambda p, g: np.asarray(p - rate * np.asarray(g).reshape(np.shape(p)), p.dtype),
            params,
            grads(params, *data, **options),
        )
    return params


Post = tuple[Callable[[Tree], Tree], Names, Names]


def build(
    model: str,
    cost: Function,
    grads: Function,
    params: Tree,
    bugs: Mapping[str, tuple[Names, Names]],
    *,
    data: tuple[Any, ...] = (),
    axis: int | None = None,
    options: dict[str, Any] | None = None,
    terms: dict[str, Function] | None = None,
    post: Mapping[str, Post] | None = None,
    rate: float = 0.1,
    steps: int = 30,
    tolerance: float = 1e-5,
    extra: dict[str, Any] | None = None,
) -> list[Case]:
    """Make the right cases and the planted ones of a model whose gradient takes ``bug=``."""
    options = dict(options or {})
    common: dict[str, Any] = {
        "data": data,
        "examples_axis": axis,
        "options": options,
        "terms": terms,
        "tolerance": tolerance,
        "extra": dict(extra or {}),
    }
    trained = train(grads, params, data, options, rate, steps)
    out = [
        Case(model, "right", cost, grads, grads, params, **common),
        Case(model, "right-trained", cost, grads, grads, trained, **common),
    ]

    def planted(bug: str) -> Function:
        return lambda p, *d, **o: grads(p, *d, bug=bug, **o)

    def spoilt(change: Callable[[Tree], Tree]) -> Function:
        return lambda p, *d, **o: change(grads(p, *d, **o))

    for number, (name, (expect, accept)) in enumerate(bugs.items()):
        at = trained if number % 3 == 2 else params
        sets = frozenset(expect.split()), frozenset(accept.split())
        out.append(Case(model, name, cost, planted(name), grads, at, expect=sets[0], accept=sets[1], **common))
    for name, (change, expect, accept) in (post or {}).items():
        sets = frozenset(expect.split()), frozenset(accept.split())
        out.append(Case(model, name, cost, spoilt(change), grads, params, expect=sets[0], accept=sets[1], **common))
    return out


def on(key: str, fn: Callable[[Array], Any]) -> Callable[[Tree], Tree]:
    """Change one entry of a flat dict of gradients."""
    return lambda g: {**g, key: fn(np.array(g[key]))}


def noisy(size: float, seed: int = 5) -> Callable[[Array], Array]:
    """Give relative noise, the same on every call."""
    return lambda g: g * (1 + size * np.random.default_rng(seed).standard_normal(g.shape))


def sigmoid(x: Array) -> Array:
    """Logistic function."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(x: Array) -> Array:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    shares: Array = e / e.sum(-1, keepdims=True)
    return shares
