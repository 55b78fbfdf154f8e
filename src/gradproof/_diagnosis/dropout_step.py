"""``dropout`` on the way back: the mask or its scale missing, applied twice, or another mask than on the way forth."""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook


def faults(site: Site) -> Iterator[Fault]:
    """Slips in the step back through this layer's dropout."""
    layer = site.layer
    if site.top or np.all(site.net.D[layer] == 1.0):
        return
    D = site.net.D[layer]
    s = float(np.max(D))
    at = f"on the way back through the dropout of {{layer}}, {'1/keep_prob' if s != 1.0 else 'the scale'}"
    step = "Multiply dA by the mask of the forward pass and divide by keep_prob, once each."
    variants: list[tuple[str, str, Callable[[Array], Array]]] = [
        ("mask missing", "The mask is missing on the way back through the dropout of {layer}", lambda D: s + 0.0 * D),
        (
            "mask and 1/keep_prob missing", "Mask and 1/keep_prob are missing on the way back past {layer}",
            lambda D: 1.0 + 0.0 * D,
        ),
        ("1/keep_prob missing", f"{at.capitalize()} is missing".replace("{Layer}", "{layer}"), lambda D: D / s),
        ("1/keep_prob twice", f"{at.capitalize()} is applied twice", lambda D: D * s),
    ]  # fmt: skip
    for detail, message, make in variants:
        yield Fault(
            "dropout", detail, ("mask", layer), _made(make),
            f"{message}.", step, also=("factor",) if "keep_prob" in detail and "mask" not in detail else (),
        )  # fmt: skip
    for by, words in ((1, "one example late"), (-1, "one example early")):
        yield Fault(
            "dropout", f"mask of the next example, {words}", ("mask", layer),
            _rolled(by),
            f"The mask on the way back through the dropout of {{layer}} is {words}.",
            "Use the mask of the forward pass as it is.",
        )  # fmt: skip
    for k, mask in site.net.D.items():
        if k != layer and mask.shape == D.shape and not np.all(mask == 1.0):
            yield Fault(
                "dropout", f"mask of layer {k}", ("mask", layer), _of(k),
                f"The mask on the way back through the dropout of {{layer}} is that of layer {k}.",
                "Use each layer's own mask.",
            )  # fmt: skip
    other = _other_mask(site, s)
    if other is not None:
        yield Fault(
            "dropout", "another mask", ("mask", layer), lambda value, run, k: other,
            "The mask on the way back through the dropout of {layer} is not that of the forward pass.",
            "Keep the mask of the forward pass and use it again; draw none in the backward pass.",
        )  # fmt: skip


def _made(make: Callable[[Array], Array]) -> Hook:
    return lambda value, run, layer: make(run.net.D[layer])


def _rolled(by: int) -> Hook:
    return lambda value, run, layer: np.roll(run.net.D[layer], by, axis=1)


def _of(k: int) -> Hook:
    return lambda value, run, layer: run.net.D[k]


def _other_mask(site: Site, scale: float) -> Array | None:
    """With one example: the mask that the claimed error shows, if it is one."""
    if site.net.examples != 1 or site.bias is None:
        return None
    whole = (site.run.carried[site.layer] + site.run.skipped.get(site.layer, 0.0)) * site.net.slope(site.layer)
    seen = np.abs(whole) > 1e-12 * np.max(np.abs(whole), initial=0.0)
    ratio = np.where(seen, site.bias / np.where(seen, whole, 1.0), 0.0)
    kept = np.abs(ratio - scale) < 1e-6 * scale
    if not np.all(kept | (np.abs(ratio) < 1e-9)) or not np.any(seen):
        return None
    return np.where(kept, scale, 0.0)
