"""``bias-reduction`` where the examples decide: one example's error stands for the sum."""

from collections.abc import Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook, Pass


def faults(site: Site) -> Iterator[Fault]:
    """Slips in the gradient of this layer's biases alone."""
    m, layer = site.net.examples, site.layer
    if site.bias is None:
        return
    station = ("db", layer)
    fix = "Sum dZ of the layer itself over the examples."
    said = f"The gradient of the biases of layer {layer} is"
    if m > 1:
        for e, words in ((0, "first"), (m - 1, "last")):
            yield Fault(
                "bias-reduction", f"{words} example only", station, _one(e, 1.0),
                f"{said} that of the {words} example alone.", fix,
            )  # fmt: skip
            yield Fault(
                "bias-reduction", f"{words} example times m", station, _one(e, float(m)),
                f"{said} that of the {words} example times the number of examples, {m}.", fix,
            )  # fmt: skip


def _one(example: int, times: float) -> Hook:
    def hook(value: Array, run: Pass, layer: int) -> Array:
        return np.asarray(times * run.delta[layer][:, example : example + 1])

    return hook
