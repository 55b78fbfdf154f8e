"""``missing-path``: an example, or the branch of a skip connection, is left out on the way back.

Counted twice, the branch is ``accumulated``; changed in place before it is used, ``aliasing``.
"""

from collections.abc import Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook, Pass


def faults(site: Site) -> Iterator[Fault]:
    """Slips in what reaches this layer."""
    m, layer = site.net.examples, site.layer
    if m > 1:
        at = f"the error of layer {layer}"
        for e, words in ((m - 1, "the last example"), (0, "the first example")):
            station = ("delta", layer)
            yield Fault(
                "missing-path", f"{words} left out", station, _without(e),
                f"On the way back {words} is left out from {at} on.", "Let the loop or slice cover all examples.",
                also=("region",),
            )  # fmt: skip
            for of, name in (("dW", f"the gradient of {site.names[layer]}"), ("db", f"the bias of layer {layer}")):
                yield Fault(
                    "missing-path", f"{words} left out", (of, layer), _sum_without(of, e),
                    f"{words.capitalize()} is left out of the sum in {name}.",
                    "Let the loop or slice cover all examples.", also=("region",),
                )  # fmt: skip
    if layer + 1 in site.net.skips:
        station = ("skip", layer + 1)
        around = f"the skip connection around layer {layer + 1}"
        yield Fault(
            "missing-path", "skip connection left out", station, lambda value, run, layer: 0.0 * value,
            f"What comes back through {around} is left out.", f"Add dA{layer + 1} to dA{layer}.",
        )  # fmt: skip
        yield Fault(
            "accumulated", "skip connection twice", station, lambda value, run, layer: 2.0 * value,
            f"What comes back through {around} is added twice.", f"Add dA{layer + 1} to dA{layer} once.",
            also=("factor",),
        )  # fmt: skip
        yield Fault(
            "aliasing", "dA changed before the skip connection", station,
            lambda value, run, layer: value * run.net.slope(layer),
            f"{around.capitalize()} brings back dZ{layer + 1} where dA{layer + 1} belongs, as if dA were multiplied "
            "in place by the derivative of the activation.",
            f"Keep dA{layer + 1} for the skip connection: compute dZ into another array.",
            also=("activation-derivative",),
        )  # fmt: skip
        yield Fault(
            "missing-path", "only the skip connection", ("weights", layer + 1), lambda value, run, layer: 0.0 * value,
            f"Only the skip connection around layer {layer + 1} brings the error back, its weights do not.",
            f"Add what {site.names[layer + 1]} carries back.",
        )  # fmt: skip


def _without(example: int) -> Hook:
    def hook(value: Array, run: Pass, layer: int) -> Array:
        value = value.copy()
        value[:, example] = 0.0
        return value

    return hook


def _sum_without(of: str, example: int) -> Hook:
    def hook(value: Array, run: Pass, layer: int) -> Array:
        delta = run.delta[layer].copy()
        delta[:, example] = 0.0
        if of == "db":
            return np.asarray(delta.sum(axis=1, keepdims=True))
        return np.asarray(delta @ run.net.A[layer - 1].T)

    return hook
