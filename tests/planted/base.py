"""What a planted fault is: a cost, a gradient with one known mistake, and the answers that count as right.

The decision behind it: nothing here knows how a diagnosis works. The names of the wrong tensors come from comparing the
planted gradient with the right one, never from what the author of a recipe thought they would be.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tree = Any
Cost = Callable[..., float]
Grads = Callable[..., Tree]

#: Relative differences norm(claimed - right) / norm(right): a planted tensor is wrong above, an untouched one below.
WRONG = 1e-4
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Model:
    """A network: ``cost(params, *data, **options)`` and ``grads(params, *data, fault=..., **options)``.

    ``grads`` without ``fault`` is the right gradient; what a fault looks like is the model's own affair.
    """

    name: str
    cost: Cost
    grads: Grads
    params: Tree
    data: tuple[Array, ...]
    examples_axis: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def right_leaf(self, name: str) -> Array:
        """One tensor of the right gradient."""
        leaf: Array = leaves(self.grads(self.params, *self.data, **self.options))[name]
        return leaf

    def plant(
        self,
        recipe: str,
        cause: str,
        fault: Any = None,
        *,
        layer: str = "all",
        also: Iterable[str] = (),
        also_with: Iterable[str] = (),
        cost: Cost | None = None,
        right: Grads | None = None,
        grads: Grads | None = None,
        params: Tree = None,
        data: tuple[Array, ...] | None = None,
        options: Mapping[str, Any] | None = None,
        fresh: Callable[[], Grads] | None = None,
    ) -> "Planted":
        """A fault in this network, with the wrong tensors found by comparison.

        Args:
            recipe: what is planted, in words.
            cause: the slug that is right when data and options are passed; "" for a right gradient.
            fault: handed to ``grads`` of the model; None leaves it right.
            layer: "first", "middle", "last" or "all".
            also: slugs that count as right as well when data and options are not passed.
            also_with: slugs that count as right as well even when they are.
            cost: in place of the model's.
            right: the right gradient of that cost, in place of the model's.
            grads: the wrong gradient, in place of the model's with ``fault``.
            params: in place of the model's.
            data: in place of the model's.
            options: in place of the model's.
            fresh: makes a new gradient function, for faults that depend on earlier calls.
        """
        wrong = grads if grads is not None else partial(self.grads, fault=fault)
        planted = Planted(
            model=self.name,
            recipe=recipe,
            cause=cause,
            accepts=frozenset({cause, *also, *also_with}),
            accepts_with=frozenset({cause, *also_with}),
            layer=layer,
            tensors=(),
            cost=cost if cost is not None else self.cost,
            grads=wrong if fresh is None else fresh(),
            params=self.params if params is None else params,
            data=self.data if data is None else data,
            examples_axis=self.examples_axis,
            options=dict(self.options if options is None else options),
            fresh=fresh,
            right=right if right is not None else self.grads,
        )
        found = differences(planted.right_gradient(), planted.claimed())
        object.__setattr__(planted, "tensors", tuple(name for name, off in found.items() if off > WRONG))
        object.__setattr__(planted, "faint", any(SAME <= off <= WRONG for off in found.values()))
        return planted


@dataclass(frozen=True, eq=False)
class Planted:
    """One gradient with a known fault, or a right one.

    Attributes:
        model: the name of the network.
        recipe: what was planted, in words: "dW2 times 2".
        cause: the slug that is right when data and options are passed; "" for a right gradient.
        accepts: the slugs that count as right without data and options.
        accepts_with: the slugs that count as right with them.
        layer: "first", "middle", "last" or "all".
        tensors: the names of the wrong tensors; of a stateful fault those that its second call gets wrong.
        cost: ``cost(params, *data, **options)``.
        grads: ``grads(params, *data, **options)``, wrong.
        params: where.
        data: the batch.
        examples_axis: the axis of the data that counts examples.
        options: keyword arguments of both functions.
        fresh: for stateful faults, makes a new gradient function that has not been called by a check yet.
        right: the right gradient of the cost.
        faint: whether some tensor is off by so little that no answer could be called right or wrong.
    """

    model: str
    recipe: str
    cause: str
    accepts: frozenset[str]
    accepts_with: frozenset[str]
    layer: str
    tensors: tuple[str, ...]
    cost: Cost
    grads: Grads
    params: Tree
    data: tuple[Array, ...]
    examples_axis: int
    options: dict[str, Any]
    fresh: Callable[[], Grads] | None = None
    right: Grads | None = None
    faint: bool = False

    def __repr__(self) -> str:
        return f"<{self.model}: {self.recipe}>"

    def closed(self) -> tuple[Callable[[Tree], float], Tree, Callable[[Tree], Tree]]:
        """Cost, parameters and gradient with data and options bound: nothing but the parameters can be varied."""
        whole = self.arguments()
        cost, grads, data, options = whole["cost"], whole["grads"], whole["data"], whole["options"]

        def closed_cost(params: Tree) -> float:
            value: float = cost(params, *data, **options)
            return value

        def closed_grads(params: Tree) -> Tree:
            return grads(params, *data, **options)

        return closed_cost, whole["params"], closed_grads

    def arguments(self) -> dict[str, Any]:
        """The arguments of a check, with copies of all arrays and without the memory of earlier calls."""
        return {
            "cost": self.cost,
            "params": copy.deepcopy(self.params),
            "grads": self.grads if self.fresh is None else self.fresh(),
            "data": copy.deepcopy(self.data),
            "examples_axis": self.examples_axis,
            "options": dict(self.options),
        }

    def claimed(self) -> Tree:
        """The planted gradient at the parameters; of a stateful fault what the second call returns."""
        _, params, grads = self.closed()
        if self.fresh is not None:
            grads(params)
        return grads(params)

    def right_gradient(self) -> Tree:
        """The right gradient at the parameters."""
        assert self.right is not None
        return self.right(copy.deepcopy(self.params), *copy.deepcopy(self.data), **self.options)


def leaves(tree: Tree, path: str = "") -> dict[str, Any]:
    """Name -> array (or None, or whatever stands there), named by key paths: "W1", "layers.0.weight"."""
    if isinstance(tree, Mapping):
        pairs: Iterable[tuple[Any, Any]] = tree.items()
    elif isinstance(tree, list | tuple):
        pairs = enumerate(tree)
    else:
        return {path: tree}
    return {
        name: leaf
        for key, branch in pairs
        for name, leaf in leaves(branch, f"{path}.{key}" if path else str(key)).items()
    }


def replaced(tree: Tree, changes: Mapping[str, Any]) -> Tree:
    """The tree with the named leaves replaced; ``...`` takes a leaf out of its dictionary."""

    def walk(branch: Tree, path: str) -> Tree:
        if isinstance(branch, Mapping):
            at = {key: f"{path}.{key}" if path else str(key) for key in branch}
            return {key: walk(branch[key], at[key]) for key in branch if changes.get(at[key]) is not ...}
        if isinstance(branch, list | tuple):
            return type(branch)(walk(item, f"{path}.{i}" if path else str(i)) for i, item in enumerate(branch))
        return changes.get(path, branch)

    unknown = set(changes) - set(leaves(tree))
    assert not unknown, f"no tensor is named {sorted(unknown)}"
    return walk(tree, "")


def changing(right: Grads, **changes: Callable[[Array], Any]) -> Grads:
    """The gradient with the named leaves put through a function (for dots in names, pass ``**{"a.b": ...}``)."""

    def grads(params: Tree, *data: Array, **options: Any) -> Tree:
        gradient = right(params, *data, **options)
        named = leaves(gradient)
        return replaced(gradient, {name: change(named[name]) for name, change in changes.items()})

    return grads


def relative(right: Array, claimed: Any) -> float:
    """norm(claimed - right) / norm(right); infinite for what is no finite array of that shape, axes of 1 aside."""
    if not isinstance(claimed, np.ndarray) or claimed.squeeze().shape != right.squeeze().shape:
        return float("inf")
    if not np.all(np.isfinite(claimed)):
        return float("inf")
    error = float(np.linalg.norm(claimed.reshape(right.shape) - right))
    size = float(np.linalg.norm(right))
    return 0.0 if error == 0 else float("inf") if size == 0 else error / size


def differences(right: Tree, claimed: Tree) -> dict[str, float]:
    """Name -> relative difference, in the order of the right gradient; a claim dW1 belongs to W1."""
    named = leaves(claimed)
    return {
        name: relative(np.asarray(leaf), named.get(name, named.get(f"d{name}"))) for name, leaf in leaves(right).items()
    }
