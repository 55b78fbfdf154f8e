"""``transposed``: what the backward pass does with a cotangent is what the Jacobian does with it, not its transpose."""

import numpy as np

from gradproof._adapters.blocks import Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike


def explain(scene: Scene) -> Said | None:
    """Whether the claimed Jacobian is the transpose of the measured one."""
    if len(scene.wrong) != len(scene.blocks) or not scene.wrong:
        return None
    mended = []
    for block in scene.blocks:
        turned = _turned(block)
        if turned is None or not alike(turned, block.measured) or alike(turned, block.claimed):
            return None
        mended.append(turned)
    return Said(
        "transposed", "the Jacobian",
        "For {name} the cotangent is multiplied by the Jacobian, and not by its transpose.",
        "A cotangent goes back through the transpose of what the forward pass multiplies by: W^T for W, p^T for p, the "
        "sum from the other end for a running sum.", mended=tuple(mended),
    )  # fmt: skip


def _turned(block: Block) -> Array | None:
    """The claimed entries with rows and columns exchanged; None where they are not of the same shape."""
    first, second, third = block.counts
    shape = block.claimed.shape
    if shape[first : first + second] != shape[first + second :] or not second:
        return None
    if np.prod(shape[first + second :]) < 2:
        return None
    order = (*range(first), *range(first + second, first + second + third), *range(first, first + second))
    return np.transpose(block.claimed, order)
