"""``wrong-cache``: the claim is the cotangent times an array at hand, where it should be times another one.

Where every output depends on one element of an input, as on a gain, the Jacobian is an array of the output's shape,
and so is the claim. That the claim's is an input or an output, number for number, and the measured one is not, says
which array was taken.
"""

import numpy as np

from gradproof._adapters.blocks import SAME, Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike


def explain(scene: Scene) -> Said | None:
    """Whether the cotangent is multiplied by another array."""
    if len(scene.blocks) != 1 or not scene.wrong:
        return None
    block = scene.blocks[0]
    pair = _multipliers(block)
    if pair is None:
        return None
    claimed, measured = pair
    if np.ptp(claimed) <= SAME * block.size:
        return None
    bench = scene.bench
    arrays = [*zip(scene.inputs, bench.values, strict=True), *zip(scene.outputs, bench.here, strict=True)]
    shape = bench.here[block.output].shape
    claimed, measured = _as_output(block, claimed), _as_output(block, measured)
    for name, array in arrays:
        try:
            laid = np.broadcast_to(array, shape)
        except ValueError:
            continue
        if alike(laid, claimed) and not alike(laid, measured) and np.ptp(laid):
            return Said(
                "wrong-cache", f"{name}",
                f"In the gradient of {{name}} the cotangent is multiplied by {name}, where another array belongs.",
                f"Multiply by what {{name}} is multiplied by in the forward pass, not by {name}.",
            )  # fmt: skip
    return None


def _multipliers(block: Block) -> tuple[Array, Array] | None:
    """Claimed and measured entries, (lead, rows), where every output depends on the same one element in both."""
    floor = SAME * block.size
    claimed, measured = block.stacked(block.claimed), block.stacked(block.measured)
    both = (np.abs(claimed) > floor) | (np.abs(measured) > floor)
    if np.any(both.sum(axis=2) > 1):
        return None
    return claimed.sum(axis=2).reshape(block.y.shape), measured.sum(axis=2).reshape(block.y.shape)


def _as_output(block: Block, array: Array) -> Array:
    axes = (*(b for _, b in block.lead), *block.rows)
    return np.transpose(array, np.argsort(axes))
