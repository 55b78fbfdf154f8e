"""``other-loss``: the backward pass starts from the derivative of another cost; ``stabiliser`` is a case of its own.

There it is that of the cost without the constant that keeps its logarithm finite.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.losses import MISTAKEN, Loss, losses
from gradproof._diagnosis.net import Array, Hook


def faults(site: Site) -> Iterator[Fault]:
    """Slips in the derivative of the cost by the last layer."""
    Y = site.net.Y
    if not site.top or Y is None or not site.loss:
        return
    Z = site.net.Z[site.layer]
    for loss in (*losses(site.options), *MISTAKEN):
        if loss.epsilon:
            continue
        with np.errstate(all="ignore"):
            delta = loss.delta(Z, Y)
        if not np.all(np.isfinite(delta)) or not np.any(delta):
            continue
        scale = _scale(site, delta)
        if scale is not None:
            yield _fault(site, loss, scale)


def _scale(site: Site, delta: Array) -> float | None:
    """The factor at which this derivative gives the claims of the last layer."""
    part = (site.weight - site.net.decay * site.net.W[site.layer]).ravel()
    term = (delta @ site.net.A[site.layer - 1].T).ravel()
    size = float(term @ term)
    scale = float(term @ part) / size if size else 0.0
    if not scale or np.linalg.norm(scale * term - part) > 1e-6 * np.linalg.norm(part):
        return None
    return scale


def _of(loss: Loss, scale: float) -> Hook:
    make: Callable[[Array, Array], Array] = loss.delta
    return lambda value, run, layer: scale * make(run.net.Z[layer], run.net.Y if run.net.Y is not None else 0.0 * value)


def _fault(site: Site, loss: Loss, scale: float) -> Fault:
    plain, epsilon = site.plain
    station = ("delta", site.layer)
    if loss.name == plain and epsilon:
        return Fault(
            "stabiliser", epsilon, station, _of(loss, scale),
            f"The cost is {plain} with {epsilon}, and the gradient is that of the cost without it.",
            "Take the constant out of the cost (a cost computed from Z needs none), or differentiate it too.",
            also=("other-loss",),
        )  # fmt: skip
    if loss.clear:
        return Fault(
            "other-loss", f"{loss.name} for {site.loss}", station, _of(loss, scale),
            f"The gradient is exactly that of {loss.name}, but the cost is {site.loss}.",
            f"Start the backward pass from the derivative of {site.loss}, or change the cost.",
        )  # fmt: skip
    return Fault(
        "other-loss", loss.name, station, _of(loss, scale),
        f"The derivative at the output is wrong: {loss.name}. The cost is {site.loss}.",
        f"Start the backward pass from the derivative of {site.loss} by the last Z.",
    )  # fmt: skip
