"""``transposed`` in the step back: weights carry the error to the layer below the wrong way round.

Where they do so after they were updated, it is ``early-update``.
"""

from collections.abc import Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Array, Hook, Pass


def faults(site: Site) -> Iterator[Fault]:
    """Slips in the weights that carry the error to this layer."""
    if site.top:
        return
    above = site.layer + 1
    W, name = site.net.W[above], site.names[above]
    stored = f"{name}.T" if not site.net.layers[above - 1].turned else name
    if W.shape[0] == W.shape[1] and not np.array_equal(W, W.T):
        yield Fault(
            "transposed", "W for its transpose in the step back", ("weights", above), lambda value, run, layer: value.T,
            f"The step from layer {above} to layer {site.layer} multiplies by {name} the wrong way round.",
            f"Multiply by {stored} there.",
        )  # fmt: skip
    for part, move in (("", _updated), (" (its L2 term left out)", _updated_by_data)):
        station = ("weights", above)
        rate = site.fitted(station, move)
        if rate is not None and abs(rate) > 1e-6:
            yield Fault(
                "early-update", f"learning rate {rate:.6g}", station, _at(rate, move),
                f"The step from layer {above} to layer {site.layer} uses {name} after it was updated with a learning "
                f"rate of {rate:.6g}{part}.",
                "Compute all gradients first, and update the parameters after that.", (rate, 1e-6 * abs(rate)),
            )  # fmt: skip


def _updated(value: Array, run: Pass, layer: int) -> Array:
    return value - run.full[layer]


def _updated_by_data(value: Array, run: Pass, layer: int) -> Array:
    return value - run.data[layer]


def _at(rate: float, move: Hook) -> Hook:
    return lambda value, run, layer: value + rate * (move(value, run, layer) - value)
