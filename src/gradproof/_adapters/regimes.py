"""The same inputs in other sizes, at other scales, with zeros and with ties.

The decision behind it: many a kernel is right for the sizes of its author. An axis is known by its length: all axes of
one length are cut or repeated together, so that what belongs together still does; whether the function runs on what
comes out is for the function to say.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import numbers, owner_of

#: Lengths around those of tiles, and odd ones.
LENGTHS = (1, 7, 31, 32, 33, 63, 64, 65)
#: Scales of all floating-point inputs.
SCALES = (0.1, 10.0)
#: Share of the elements that are set to zero, or to the value of another one.
SHARE = 0.25
#: Lengths of axes that are changed, most common first, and the most elements of an input.
AXES, LARGEST = 3, 1_000_000


@dataclass(frozen=True)
class Regime:
    """Other inputs.

    Attributes:
        words: what is different, to follow "with".
        inputs: positional arguments.
        keywords: keyword arguments.
        singular: whether elements were set to special values.
    """

    words: str
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    singular: bool = False


def regimes_of(inputs: Sequence[Any], keywords: Mapping[str, Any], seed: int) -> Iterator[Regime]:
    """The inputs in all regimes, one after the other."""
    tree = [list(inputs), dict(keywords)]
    shapes = [array.shape for array in _arrays(tree)]
    counted = Counter(length for shape in shapes for length in shape if length > 0)
    for length, _ in counted.most_common(AXES):
        for wanted in LENGTHS:
            grown = max((np.prod([wanted if n == length else n for n in shape]) for shape in shapes), default=0)
            if wanted != length and grown <= LARGEST:
                yield _made(f"{wanted} in place of {length} along an axis", tree, _resized(length, wanted, seed))
    for scale in SCALES:
        yield _made(f"inputs times {scale:g}", tree, _scaled(scale))
    yield _made("zeros among the inputs", tree, _with_zeros(seed), singular=True)
    yield _made("equal elements among the inputs", tree, _with_ties(seed), singular=True)


Change = Callable[[NDArray[Any]], NDArray[Any]]


def _made(words: str, tree: Any, change: Change, *, singular: bool = False) -> Regime:
    changed = _mapped(tree, change)
    return Regime(words, tuple(changed[0]), changed[1], singular)


def _arrays(tree: Any) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []

    def seen(array: NDArray[Any]) -> NDArray[Any]:
        found.append(array)
        return array

    _mapped(tree, seen)
    return found


def _mapped(tree: Any, change: Change) -> Any:
    """A nesting with other arrays in it, of the same kind; those that the change leaves alone stay the same objects."""
    if isinstance(tree, dict):
        return {key: _mapped(part, change) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_mapped(part, change) for part in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(part, change) for part in tree)
    if owner_of(tree) == "torch":
        from gradproof._adapters.pytorch.tensors import of_array

        array = np.asarray(numbers(tree))
        changed = change(array)
        return tree if changed is array else of_array(changed, tree)
    if owner_of(tree) == "jax" and (own := numbers(tree)) is not None:
        from gradproof._adapters.jax_arrays.arrays import of_array

        changed = change(own)
        return tree if changed is own else of_array(changed, tree)
    if owner_of(tree) == "tensorflow" and (own := numbers(tree)) is not None:
        from gradproof._adapters.tensorflow_tensors.tensors import of_array as tensor_of

        changed = change(own)
        return tree if changed is own else tensor_of(changed, tree)
    return change(tree) if isinstance(tree, np.ndarray) else tree


def _resized(length: int, wanted: int, seed: int) -> Change:
    rng = np.random.default_rng([seed, length, wanted])

    def change(array: NDArray[Any]) -> NDArray[Any]:
        if length not in array.shape:
            return array
        found = array
        for axis, size in enumerate(array.shape):
            if size == length:
                found = np.take(found, np.arange(wanted) % length, axis=axis)
        if found.dtype.kind not in "fc" or wanted < length:
            return found
        # What is repeated is not the same, but of the same sign and size.
        return (found * rng.uniform(0.8, 1.25, found.shape)).astype(found.dtype)

    return change


def _scaled(scale: float) -> Change:
    return lambda array: (scale * array).astype(array.dtype) if array.dtype.kind in "fc" else array


def _with_zeros(seed: int) -> Change:
    rng = np.random.default_rng([seed, 41])

    def change(array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind not in "fc" or array.size < 2:
            return array
        return np.where(rng.random(array.shape) < SHARE, np.zeros((), array.dtype), array)

    return change


def _with_ties(seed: int) -> Change:
    rng = np.random.default_rng([seed, 43])

    def change(array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind not in "fc" or array.size < 2:
            return array
        flat = array.reshape(-1).copy()
        chosen = rng.permutation(flat.size)[: max(2, int(2 * SHARE * flat.size))]
        half = len(chosen) // 2
        flat[chosen[:half]] = flat[chosen[half : 2 * half]]
        return flat.reshape(array.shape)

    return change
