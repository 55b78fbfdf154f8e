"""Direction . gradient of TensorFlow's tensors, which a tape differentiates once more."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradproof._adapters.tensorflow_tensors.runner import claims_of
from gradproof._adapters.tensorflow_tensors.tensors import structure_of
from gradproof._errors import InputError
from gradproof._tree import Structure, pair


def along(grads: Callable[..., Any], structure: Structure, direction: Sequence[NDArray[Any]]) -> Callable[..., Any]:
    """The cost direction . gradient.

    Args:
        grads: the user's gradient, in the nesting of the parameters or as a flat vector.
        structure: the parameters with their names, as arrays.
        direction: one array a parameter.
    """

    def cost(params: Any, *args: Any, **options: Any) -> Any:
        found = _in_order(grads(params, *args, **options), structure)
        parts = [tf.reduce_sum(g * tf.cast(tf.constant(u), g.dtype)) for g, u in zip(found, direction, strict=True)]
        return tf.add_n(parts)

    return cost


def _in_order(tree: Any, structure: Structure) -> list[Any]:
    """What a gradient holds, in the order of the parameters."""
    sizes = [leaf.array.size for leaf in structure.leaves]
    entries = claims_of(tree, structure.names, structure.root).entries
    values = list(entries.values())
    if len(values) == 1 and len(sizes) > 1 and values[0].shape.num_elements() == sum(sizes):
        parts = tf.split(tf.reshape(values[0], [-1]), sizes)
        return [tf.reshape(part, leaf.array.shape) for part, leaf in zip(parts, structure.leaves, strict=True)]
    partners = pair(structure.names, list(entries)).pairs
    missing = [name for name in structure.names if name not in partners]
    if missing:
        raise InputError.of(
            "computing direction . gradient", "`grads`", f"a gradient of {', '.join(structure.names)}",
            f"none of {', '.join(missing)}", "Return an entry for each parameter.",
        )  # fmt: skip
    return [tf.reshape(entries[partners[leaf.name]], leaf.array.shape) for leaf in structure.leaves]


def tangent(params: Any, root: str, vector: Sequence[NDArray[Any]]) -> Any:
    """A vector in the nesting of the parameters, each part of its parameter's own format."""
    likes: list[Any] = []
    structure = structure_of(params, root, likes)
    return structure.rebuild([tf.cast(tf.constant(np.asarray(v)), x.dtype) for v, x in zip(vector, likes, strict=True)])
