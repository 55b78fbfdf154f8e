"""``missing-path``: what goes through a mean, a sum or a norm of the input is left out.

A path through one number a row (the mean of a normalisation, the sum of a softmax) adds a matrix of rank one to the
Jacobian of that row. Off the diagonal, where a function of each element by itself has nothing, the claim then has one
rank less than the measured Jacobian, or two; a term that is there and counted wrongly leaves the rank as it is. Where
the number is one that the output is divided by, what is missing is the output itself times a gradient.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.blocks import Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike, axis_words

#: Singular values below this share of the largest entry are none.
RANKED = 1e-4
#: With fewer places along an axis, ranks tell nothing.
LEAST = 4
#: Ways in which places are parted.
PARTINGS = 4
#: A path through one number reaches many places: so many entries, by this share of the largest, on either side.
SPREAD, COUNTED = 3, 1e-3


def explain(scene: Scene) -> Said | None:
    """Whether a path through single numbers is left out."""
    if len(scene.blocks) != 1 or not scene.wrong or scene.blocks[0].mixed:
        return None
    block = scene.blocks[0]
    if not _beside(block):
        return _divided(scene, block)
    found = _ranks(block)
    return found if found is not None or _is_low(block) else _divided(scene, block)


def explain_sigmoid(scene: Scene) -> Said | None:
    """Whether elements that change one another are taken for sigmoids of their own."""
    if len(scene.blocks) != 1 or not scene.wrong or not _beside(scene.blocks[0]) or not _is_cut(scene.blocks[0]):
        return None
    block = scene.blocks[0]
    multipliers = block.stacked(block.claimed).sum(axis=2).reshape(block.y.shape)
    if not alike(multipliers, block.y * (1.0 - block.y)):
        return None
    where = axis_words(block.columns[0], block.x.ndim)
    return Said(
        "other-loss", "of a sigmoid",
        f"The gradient of {{name}} is that of a sigmoid of each element, y (1 - y), and an element changes the output "
        f"at other places along {where} as well.",
        f"Add what comes back from the other places along {where}: y (v - sum of v y) for a softmax.",
        ("missing-path", "activation-derivative"),
    )  # fmt: skip


def _beside(block: Block) -> bool:
    """Whether each place of the output stands beside one of the input, along one axis."""
    return block.x.shape == block.y.shape and block.rows == block.columns and len(block.rows) == 1


def _is_cut(block: Block) -> bool:
    return not block.mixed and [pair[0] for pair in block.cut] == list(block.columns)


def _is_low(block: Block) -> bool:
    """Whether the measured Jacobian has less than full rank off the diagonal, as behind a mean or a sum."""
    measured = block.stacked(block.measured)
    n = measured.shape[1]
    return all(np.all(_rank(measured[:, a][:, :, b], block.size) < n // 2) for a, b in _partings(n))


def _ranks(block: Block) -> Said | None:
    """Off the diagonal the claim has one or two ranks less, by a matrix of just that rank."""
    claimed, measured = block.stacked(block.claimed), block.stacked(block.measured)
    n = claimed.shape[1]
    lost = _lost(claimed - measured, block.size) if n >= LEAST else 0
    if not lost:
        return None
    for first, second in _partings(n):
        ranks = [_rank(part[:, first][:, :, second], block.size) for part in (claimed, measured)]
        if not np.all(ranks[0] == ranks[1] - lost):
            return None
    where = axis_words(block.columns[0], block.x.ndim)
    numbers = "one number" if lost == 1 else "two numbers"
    return Said(
        "missing-path", f"through {numbers} along {where}",
        f"The gradient of {{name}} lacks what goes through {numbers} computed from all places along {where}, such as "
        "their mean, their variance or their sum.", "Add what comes back through that.", ("other-loss",),
    )  # fmt: skip


def _lost(off: Array, size: float) -> int:
    """The rank of what is missing, 1 or 2, the same in every block and reaching many places; else 0."""
    ranks = _rank(off, size)
    lost = int(np.max(ranks))
    if not 1 <= lost <= min(2, off.shape[1] // 2) or not np.all(ranks == lost):
        return 0
    left, right = np.abs(off).max(axis=2), np.abs(off).max(axis=1)
    reached = [(part > COUNTED * part.max(axis=1, keepdims=True)).sum(axis=1) for part in (left, right)]
    return lost if all(float(np.median(count)) >= SPREAD for count in reached) else 0


def _rank(matrices: Array, size: float) -> Array:
    return np.asarray(np.sum(np.linalg.svd(matrices, compute_uv=False) > RANKED * size, axis=-1))


def _partings(n: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Places in two halves, in some ways."""
    rng = np.random.default_rng(43)
    for _ in range(PARTINGS):
        order = rng.permutation(n)
        yield order[: n // 2], order[n // 2 :]


def _divided(scene: Scene, block: Block) -> Said | None:
    """What is missing is the output, as a vector along its last axis, times something."""
    lead, rows, columns = block.counts
    y = block.y
    if not rows or y.shape[-1] < 2 or block.rows[-1] != y.ndim - 1 or not columns:
        return None
    off = np.moveaxis(block.claimed - block.measured, lead + rows - 1, -1)
    vector = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-300)
    vector = np.expand_dims(vector, tuple(range(y.ndim - 1, y.ndim - 1 + columns)))
    part = np.sum(off * vector, axis=-1, keepdims=True)
    if np.max(np.abs(off - part * vector)) > RANKED * float(np.max(np.abs(off))):
        return None
    if y.size // y.shape[-1] < SPREAD or int(np.sum(np.abs(part) > RANKED * np.max(np.abs(part)))) < 2 * SPREAD:
        return None
    measured = np.moveaxis(block.measured, lead + rows - 1, -1)
    own = np.sum(measured * vector, axis=-1, keepdims=True)
    if np.max(np.abs(measured - own * vector)) <= RANKED * block.size:
        return None  # everything is along the output
    output = scene.outputs[block.output]
    return Said(
        "missing-path", "through what the output is divided by",
        f"What is wrong with the gradient of {{name}} is along {output} itself at every place: that is what comes "
        "through a number by which the output is divided, a sum or a norm, and it is left out or counted wrongly.",
        "Add what comes back through that number: minus the cotangent times the output, summed, times its derivative.",
        ("factor", "other-loss"),
    )  # fmt: skip
