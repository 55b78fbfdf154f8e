"""``activation-derivative`` and ``other-loss`` at the output: every row is off by a factor that the output decides.

Where the claim is diag(r) times the Jacobian, the backward pass goes astray in its first step: in what it makes of the
cotangent. What r is as a function of the output says which derivative was forgotten there or taken for another.
"""

from collections.abc import Callable, Mapping

import numpy as np

from gradproof._adapters.blocks import SAME, Block
from gradproof._functions.signatures.said import Array, Said, Scene

#: Rows that have to be there.
LEAST = 4
#: Derivatives as functions of the output.
SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "": np.ones_like,
    "tanh": lambda y: 1.0 - y * y,
    "the sigmoid": lambda y: y * (1.0 - y),
    "the exponential": lambda y: y,
    "the square root": lambda y: 0.5 / y,
    "the square": lambda y: 2.0 * np.sqrt(np.abs(y)),
}


def explain(scene: Scene) -> Said | None:
    """Whether the rows are off by a function of the output."""
    if len(scene.blocks) != 1 or not scene.wrong:
        return None
    block = scene.blocks[0]
    if np.sum(np.abs(block.stacked(block.measured)).max(axis=2) > SAME * block.size) < LEAST:
        return None
    for right, slope in SLOPES.items():
        for taken, other in SLOPES.items():
            if right != taken:
                with np.errstate(all="ignore"):
                    wanted, used = block.along_rows(slope(block.y)), block.along_rows(other(block.y))
                if _made_of(block, wanted, used):
                    with np.errstate(all="ignore"):
                        mended = np.where(used == 0.0, block.claimed, block.claimed * wanted / used)
                    return _said(right, taken, mended)
    return None


def _made_of(block: Block, wanted: Array, used: Array) -> bool:
    """Whether the claim has one factor in every row where the measured entries have another, and no constant one."""
    if not (np.all(np.isfinite(wanted)) and np.all(np.isfinite(used))) or not np.all(wanted):
        return False
    allowed = SAME * block.size * (np.abs(wanted) + np.abs(used))
    if not np.all(np.abs(block.claimed * wanted - block.measured * used) <= allowed):
        return False
    ratio = used / wanted
    return bool(np.ptp(ratio) > SAME * float(np.max(np.abs(ratio))))


def _said(right: str, taken: str, mended: Array) -> Said | None:
    if right == "the exponential" and not taken:
        return Said(
            "other-loss", "of the logarithm of the output",
            "The gradient of {name} is exactly that of the logarithm of the output.",
            "Multiply the cotangent by the output first, or return the logarithm in the forward pass.",
            ("activation-derivative",), (mended,),
        )  # fmt: skip
    if right == "" and taken == "the exponential":
        return Said(
            "other-loss", "of another function of the output",
            "In the gradient of {name} the cotangent is multiplied by the output once too often.",
            "Leave that factor out.", ("activation-derivative",), (mended,),
        )  # fmt: skip
    if not right:
        return Said(
            "activation-derivative", f"{taken} at the output",
            f"In the gradient of {{name}} the cotangent is multiplied by the derivative of {taken} at the output, "
            "which the forward pass does not end with.", "Leave that factor out.", ("other-loss",), (mended,),
        )  # fmt: skip
    what = "missing" if not taken else f"of {taken}"
    instead = "is left out" if not taken else f"stands where it should: that of {taken}"
    return Said(
        "activation-derivative", f"{what} at the output",
        f"In the gradient of {{name}} the derivative of {right}, which the forward pass ends with, "
        + (f"{instead}." if not taken else f"is not used, but that of {taken}."),
        f"Multiply the cotangent by the derivative of {right} first, taken from the output.", (), (mended,),
    )  # fmt: skip
