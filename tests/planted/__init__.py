"""Networks with planted faults, to score a diagnosis on."""

from collections.abc import Collection, Iterator

from . import convolution, course, softmax
from .base import Model, Planted

__all__ = ["Model", "Planted", "everything"]


def everything(seed: int = 0, sizes: Collection[str] = ("small", "medium", "large")) -> Iterator[Planted]:
    """Every planted fault and every right gradient of every network of these sizes."""
    for network in (course, softmax, convolution):
        for activation in network.ACTIVATIONS:
            for size in network.SIZES:
                if size in sizes:
                    yield from network.planted(seed, activation, size)
