"""``permuted`` and ``transposed``: the claim is the derivative of the function with another input turned round.

A kernel that is not flipped, a matrix that is not transposed: with that input the other way round, the function has
just the claimed derivative. It is measured there, along two directions.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from gradproof._adapters.blocks import Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike, axis_words

#: Ways to turn inputs round that are tried.
WAYS = 12


def explain(scene: Scene) -> Said | None:
    """Whether another input was taken the other way round."""
    if not scene.wrong:
        return None
    k = scene.blocks[0].input
    tried = 0
    for j, (name, value) in enumerate(zip(scene.inputs, scene.bench.values, strict=True)):
        for words, detail, turned in _ways(value) if j != k else ():
            tried += 1
            if tried > WAYS:
                return None
            if alike(turned, value) or not _gives(scene, j, turned):
                continue
            cause = "transposed" if detail == "the other way round" else "permuted"
            return Said(
                cause, f"{name} {detail}", f"The gradient of {{name}} is that of the function with {name} {words}.",
                f"Look at which way round {name} is used on the way back.", ("wrong-cache",),
            )  # fmt: skip
    return None


def _ways(value: Array) -> Iterator[tuple[str, str, Array]]:
    for axis, size in enumerate(value.shape):
        if size > 1:
            where = axis_words(axis, value.ndim)
            yield f"reversed along {where}", f"reversed along {where}", np.flip(value, axis)
    axes = [axis for axis, size in enumerate(value.shape) if size > 1]
    for one, other in combinations(axes, 2):
        if value.shape[one] == value.shape[other]:
            yield f"transposed (axes {one} and {other})", "the other way round", np.swapaxes(value, one, other)


def _gives(scene: Scene, j: int, turned: Array) -> bool:
    """Whether the derivatives there are the claimed ones, along directions drawn at random."""
    k = scene.blocks[0].input
    rng = np.random.default_rng(47)
    for _ in range(2):
        direction = rng.standard_normal(scene.bench.values[k].shape)
        there = scene.bench.at(j, turned).along(k, direction)
        if there is None or not all(alike(there[b.output], _pushed(b, direction)) for b in scene.blocks):
            return False
    return True


def _pushed(block: Block, direction: Array) -> Array:
    """What the claimed entries make of a direction, as the output lies."""
    inputs: Sequence[int] = (*(a for a, _ in block.lead), *block.columns)
    outputs: Sequence[int] = (*(b for _, b in block.lead), *block.rows)
    d = np.transpose(direction, inputs)
    first = len(block.lead)
    flat = d.reshape(int(np.prod(d.shape[:first])), -1)
    pushed = np.einsum("lrc,lc->lr", block.stacked(block.claimed), flat)
    return np.transpose(pushed.reshape(block.y.shape), np.argsort(outputs))
