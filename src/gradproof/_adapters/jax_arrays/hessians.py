"""Direction . gradient of arrays of JAX, which JAX differentiates once more."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.jax_arrays.trees import entries_of, structure_of
from gradproof._adapters.vectors import fitting
from gradproof._errors import InputError
from gradproof._tree import Structure, pair


def along(
    grads: Callable[..., Any], structure: Structure, direction: Sequence[NDArray[Any]]
) -> Callable[..., Any]:  # fmt: skip
    """The cost direction . gradient.

    Args:
        grads: the user's gradient, in the nesting of the parameters or as a flat vector.
        structure: the parameters with their names, as arrays.
        direction: one array a parameter.
    """

    def cost(params: Any, *args: Any, **options: Any) -> Any:
        found = _in_order(grads(params, *args, **options), structure)
        return sum(jnp.sum(g * jnp.asarray(u, jnp.asarray(g).dtype)) for g, u in zip(found, direction, strict=True))

    return cost


def _in_order(tree: Any, structure: Structure) -> list[Any]:
    """What a gradient holds, in the order of the parameters."""
    sizes = [leaf.array.size for leaf in structure.leaves]
    bare = structure.names == (structure.root,)
    entries = entries_of(tree, structure.root if bare else "grads")
    values = list(entries.values())
    if len(values) == 1 and values[0].size == sum(sizes):
        parts = jnp.split(values[0].reshape(-1), np.cumsum(sizes)[:-1])
        return [part.reshape(leaf.array.shape) for part, leaf in zip(parts, structure.leaves, strict=True)]
    partners = pair(structure.names, list(entries)).pairs
    missing = [name for name in structure.names if name not in partners]
    if missing:
        raise InputError.of(
            "computing direction . gradient", "`grads`", f"a gradient of {', '.join(structure.names)}",
            f"none of {', '.join(missing)}", "Return an entry for each parameter.",
        )  # fmt: skip
    return fitting([entries[partners[name]] for name in structure.names], structure.leaves)


def tangent(params: Any, root: str, vector: Sequence[NDArray[Any]]) -> Any:
    """A vector in the nesting of the parameters, each part of its parameter's own format, as jax.jvp demands it."""
    likes: list[Any] = []
    structure = structure_of(params, root, likes)
    return structure.rebuild([jnp.asarray(v, like.dtype) for v, like in zip(vector, likes, strict=True)])
