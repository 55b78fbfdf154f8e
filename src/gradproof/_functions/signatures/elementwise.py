"""``activation-derivative``, ``missing-path`` and ``dropout``: another derivative of a function of single elements.

Every element of the output depends on its own element of the input alone, and so does the claim: both Jacobians are
then one number an element. Where these do not depend on where in the array an element is, they are functions of it,
and the claim is the derivative of another one. Where they do, and the output is the input times zero or one number,
that is a mask.
"""

import numpy as np

from gradproof._adapters.blocks import SAME, Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike

#: Rounding of the claim in the format of a lower precision is no matter of the formula: entries nearer than this.
ROUNDED = 0.01


def explain(scene: Scene) -> Said | None:
    """Whether a derivative of an elementwise function, or a mask, is another."""
    if len(scene.blocks) != 1 or not scene.wrong:
        return None
    block = scene.blocks[0]
    if block.rows or block.columns or block.mixed or block.cut or block.measured.size < 4:
        return None
    true, claimed = block.measured, block.claimed
    if np.all(np.abs(claimed - true) <= ROUNDED * np.maximum(np.abs(true), np.abs(claimed))):
        return None
    if _is_mask(true) and alike(true * block.x, block.y):
        return _mask(scene, block)
    return _activation(scene, block) if _by_value(scene, block) else None


def _is_mask(entries: Array) -> bool:
    """Whether entries are zero or one number other than 1."""
    top = float(np.max(entries))
    kept = entries > 0.5 * top
    return top > 1.01 and bool(np.any(~kept)) and alike(entries, np.where(kept, top, 0.0))


def _mask(scene: Scene, block: Block) -> Said | None:
    top = float(np.max(block.measured))
    message = f"The output is {{name}} times a mask and {top:.6g}, and the gradient is "
    fix = "Multiply the cotangent by the mask of the forward pass, and by the same scale."
    if alike(block.claimed, np.full(block.claimed.shape, top)):
        message += "not multiplied by the mask."
        return Said("dropout", "mask forgotten", message, fix, ("region",))
    if _is_mask(block.claimed) and abs(float(np.max(block.claimed)) - top) <= 1e-5 * top:
        message += "multiplied by another one."
        return Said("dropout", "another mask", message, fix, ("region", "permuted"))
    return None


def _by_value(scene: Scene, block: Block) -> bool:
    """Whether output and claim of an element are the same wherever it stands."""
    bench, k = scene.bench, block.input
    x = bench.values[k]
    turned = np.roll(x.reshape(-1), 1).reshape(x.shape)
    moved = bench.moved(k, turned - x)[block.output]
    y = bench.here[block.output]
    if not alike(moved, np.roll(y.reshape(-1), 1).reshape(y.shape)):
        return False
    values = [turned if i == k else v for i, v in enumerate(bench.values)]
    found = bench.pulled(k, [np.ones_like(y)], values)
    here = bench.pulled(k, [np.ones_like(y)])
    return alike(found, np.roll(here.reshape(-1), 1).reshape(x.shape))


def _activation(scene: Scene, block: Block) -> Said:
    x, y, claimed = block.x, block.y, block.claimed
    with np.errstate(all="ignore"):
        other_use = y / x  # what a product x g(x) gives where g is taken for a constant
    for kept in (other_use, block.measured - other_use):
        if np.all(np.isfinite(kept)) and alike(claimed, kept) and np.ptp(kept) > SAME * float(np.max(np.abs(kept))):
            return Said(
                "missing-path", "one use of two",
                "The output is {name} times something that depends on {name} as well, and the gradient lacks what goes "
                "through one of the two.", "Differentiate both factors: the product rule.", ("activation-derivative",),
            )  # fmt: skip
    forms = {
        "missing": np.ones_like(x),
        "of the sigmoid": y * (1.0 - y),
        "of tanh": 1.0 - y * y,
        "of the ReLU": (x > 0).astype(np.float64),
        "of the sigmoid at the input": _sigmoid(x) * (1.0 - _sigmoid(x)),
        "of tanh at the input": 1.0 - np.tanh(x) ** 2,
        "the output itself": y,
        "the input itself": x,
    }
    detail = next((words for words, array in forms.items() if alike(claimed, array)), "")
    detail = detail or _at_output(scene, block) or "of another function"
    said = {
        "missing": "is not multiplied by the derivative of the function",
        "at the output": "is multiplied by the derivative at the output, not at the input",
        "the output itself": "is multiplied by the output, not by the derivative",
        "the input itself": "is multiplied by the input, not by the derivative",
    }.get(detail, "is multiplied by the derivative of another function")
    return Said(
        "activation-derivative", detail,
        f"The output depends on {{name}} element by element, and its gradient {said}.",
        "Multiply the cotangent, element by element, by the derivative of the function at the input.",
    )  # fmt: skip


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _at_output(scene: Scene, block: Block) -> str:
    """Whether the claim is the derivative at the output, which is then measured there."""
    bench, k = scene.bench, block.input
    x, y = bench.values[k], bench.here[block.output]
    if x.shape != y.shape:
        return ""
    step = 1e-4 * bench.scale(k)
    right, left = (bench.moved(k, y + sign * step - x)[block.output] for sign in (1.0, -1.0))
    there = bench.pulled(k, [np.ones_like(y)])
    found = (right - left) / (2.0 * step)
    return "at the output" if np.max(np.abs(found - there)) <= 1e-4 * float(np.max(np.abs(there))) else ""
