"""TensorFlow's tensors and variables, and NumPy's arrays.

The decision behind it: a variable is both a number and a place. It is handed to the user's code as itself, since models
read their variables wherever they are; only the place that the code then looks at is another one.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._records import BFloat16
from gradproof._tree import Structure

#: Formats that a check moves, and the NumPy format that holds all their numbers.
HELD = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.float32,
    "complex128": np.complex128,
    "complex64": np.complex64,
}
#: Formats that are evaluated at copies in double precision.
LOWER = ("float32", "float16", "bfloat16", "complex64")


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor, a variable, or a variable of Keras that keeps its numbers in one."""
    return isinstance(value, tf.Tensor | tf.Variable) or is_keras_variable(value)


def is_keras_variable(value: Any) -> bool:
    """Whether a value is a variable of Keras on TensorFlow."""
    keras = sys.modules.get("keras")
    kind = getattr(keras, "Variable", None)
    return kind is not None and isinstance(value, kind) and isinstance(value.value, tf.Variable)


def place_of(value: Any) -> Any:
    """The variable of TensorFlow that a leaf keeps its numbers in; None of a tensor."""
    if isinstance(value, tf.Variable):
        return value
    return value.value if is_keras_variable(value) else None


def format_of(value: Any) -> str:
    """The name of a tensor's format."""
    return str(tf.as_dtype(value.dtype).name)


def is_inexact(value: Any) -> bool:
    """Whether a value is a tensor or array of floating-point or complex numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fc"
    return is_tensor(value) and (tf.as_dtype(value.dtype).is_floating or tf.as_dtype(value.dtype).is_complex)


def is_lower(name: str) -> bool:
    """Whether a format is one of less than double precision."""
    return name in LOWER


def wider(name: str) -> str:
    """The same kind of number in double precision."""
    return "complex128" if name.startswith("complex") else "float64" if name in HELD else name


def dense(value: Any) -> Any:
    """A gradient as a tensor: of slices, with those of one index added up."""
    return tf.convert_to_tensor(value) if isinstance(value, tf.IndexedSlices) else value


def array_of(value: Any) -> NDArray[Any]:
    """The numbers of a tensor."""
    found = tf.convert_to_tensor(place_of(value) if is_keras_variable(value) else value)
    if found.dtype == tf.bfloat16:
        return np.array(tf.cast(found, tf.float32).numpy()).view(BFloat16)
    return np.array(found.numpy())


def numbers_of(value: Any) -> NDArray[Any] | None:
    """The same of a tensor that holds numbers; None while functions are traced, and of text and handles."""
    if isinstance(value, tf.IndexedSlices):
        return array_of(dense(value)) if isinstance(value.values, tf.__internal__.EagerTensor) else None
    if not is_tensor(value) or is_symbolic(value):
        return None
    dtype = tf.as_dtype(value.dtype)
    return array_of(value) if dtype.is_numpy_compatible and dtype not in (tf.string, tf.resource, tf.variant) else None


def is_symbolic(value: Any) -> bool:
    """Whether a tensor stands for numbers that are not known yet, while a function is traced."""
    return isinstance(value, tf.Tensor) and not isinstance(value, tf.__internal__.EagerTensor)


def of_array(array: NDArray[Any], like: Any) -> Any:
    """Other numbers as a tensor of the format of one, or of a variable."""
    return tf.cast(tf.constant(np.array(array, subok=False)), tf.as_dtype(like.dtype))


def structure_of(tree: Any, root: str, collected: list[Any]) -> Structure:
    """Takes parameters apart.

    Args:
        tree: the nesting.
        root: the user's name for it.
        collected: is given the leaves as they are, in order; arrays of NumPy as tensors.

    Raises:
        InputError: a tensor is of a format that is not moved, or holds no numbers yet.
    """

    def moved(value: Any) -> NDArray[Any] | None:
        if is_symbolic(value):
            raise InputError.of(
                "reading the tensors to be checked", root, "numbers", "a tensor of a function that is being traced",
                "Call gradproof outside of tf.function.",
            )  # fmt: skip
        if not is_inexact(value):
            return None
        refuse(value, root)
        collected.append(tf.constant(value) if isinstance(value, np.ndarray) else value)
        return array_of(value)

    return Structure.of(tree, root, moved)


def refuse(value: Any, name: str) -> None:
    """Refuses formats that are not moved.

    Raises:
        InputError: the format is one of eight bits or fewer.
    """
    if format_of(value) not in HELD:
        raise InputError.of(
            "reading the tensors to be checked", name, f"of one of the formats {', '.join(HELD)}",
            f"of dtype {format_of(value)}", "Convert it with tf.cast(x, tf.float32).",
        )  # fmt: skip


def entries_of(tree: Any, root: str = "grads") -> dict[str, Any]:
    """All tensors, arrays and numbers of a nesting by name, also while a function is traced."""
    tokens: dict[int, tuple[Any, Any]] = {}

    def stand_in(value: Any) -> NDArray[Any] | None:
        known = isinstance(value, tf.IndexedSlices | np.ndarray | np.generic | float | complex) or is_tensor(value)
        if not known:
            return None
        token = np.empty(0)
        tokens[id(token)] = token, dense(value)
        return token

    found = Structure.of(tree, root, stand_in)
    return {leaf.name: tokens[id(leaf.value)][1] for leaf in found.leaves}


def plain(returned: Any) -> Any:
    """A returned cost as NumPy knows it."""
    if not is_tensor(returned):
        return returned
    array = array_of(returned)
    if array.size == 1 and array.dtype.kind == "f":
        return np.float64(array.reshape(()))
    return np.asarray(array)


def watched(tape: Any, leaves: Sequence[Any]) -> list[Any]:
    """What a tape is asked the gradients of: tensors, and the variables behind the rest."""
    found = [leaf if place_of(leaf) is None else place_of(leaf) for leaf in leaves]
    for value in found:
        tape.watch(value)
    return found
