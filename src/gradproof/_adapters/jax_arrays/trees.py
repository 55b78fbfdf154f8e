"""Nestings of JAX: what it has registered as a node is taken apart and put together by JAX itself.

The decision behind it: dicts, lists, tuples and dataclasses are read as everywhere, in the user's order and with keys
of any kind; models of Equinox and Flax are known to JAX alone. Names are those that JAX's users know:
``params.Dense_0.kernel``, ``layers.0.weight``.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import tree_util
from numpy.typing import NDArray

from gradproof._adapters.jax_arrays.arrays import array_of, is_array, is_inexact, refuse
from gradproof._errors import InputError
from gradproof._tree import OWN_NAME, Opened, Structure

#: Containers that need no help.
KNOWN = (dict, list, tuple, str, bytes, int, float, complex, np.ndarray, np.generic, jax.Array, type(None))


def opened(tree: Any) -> Opened | None:
    """One level of a node that JAX has registered; None for everything else."""
    if isinstance(tree, (*KNOWN, type)):
        return None
    found, treedef = tree_util.tree_flatten_with_path(tree, is_leaf=lambda part: part is not tree)
    if len(found) == 1 and not found[0][0]:
        return None  # a leaf
    children = [(_key(path[-1], tree), child) for path, child in found]

    def make(parts: Sequence[Any]) -> Any:
        return tree_util.tree_unflatten(treedef, list(parts))

    return Opened(tuple(children), make)


def _key(entry: Any, tree: Any) -> Any:
    """The name of a child; that of a variable of Flax goes by the variable's own name."""
    key = getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", str(entry))))
    module = type(tree).__module__
    return OWN_NAME if key == "value" and module.startswith("flax.nnx") else key


def structure_of(tree: Any, root: str, collected: list[Any]) -> Structure:
    """Takes parameters apart.

    Args:
        tree: the nesting.
        root: the user's name for it.
        collected: is given the leaves as they are, in order.

    Raises:
        InputError: an array is of a format that is not moved, or holds no numbers yet.
    """

    def moved(value: Any) -> NDArray[Any] | None:
        if isinstance(value, jax.core.Tracer):
            raise InputError.of(
                "reading the arrays to be checked", root, "numbers", "an array of a function that is being traced",
                "Call gradproof outside of jax.jit, jax.grad and jax.vmap.",
            )  # fmt: skip
        if not is_inexact(value):
            return None
        found = value if is_array(value) else jax.numpy.array(value)
        refuse(found, root)
        collected.append(found)
        return array_of(found)

    return Structure.of(tree, root, moved, opened)


def entries_of(tree: Any, root: str = "grads") -> dict[str, Any]:
    """All arrays and numbers of a nesting by name, also while it is traced."""
    tokens: dict[int, tuple[Any, Any]] = {}

    def stand_in(value: Any) -> NDArray[Any] | None:
        if not isinstance(value, jax.Array | np.ndarray | np.generic | float | complex):
            return None
        token = np.empty(0)
        tokens[id(token)] = token, value
        return token

    found = Structure.of(tree, root, stand_in, opened)
    return {leaf.name: tokens[id(leaf.value)][1] for leaf in found.leaves}


def holds_arrays(tree: Any) -> bool:
    """Whether a nesting holds an array of JAX."""
    return any(isinstance(leaf, jax.Array) for leaf in tree_util.tree_leaves(tree))
