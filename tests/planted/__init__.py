"""Networks with planted faults, to score a diagnosis on."""

from collections.abc import Collection, Iterator

from . import attention, convolution, course, embedding, normed, recurrent, softmax
from .base import Model, Planted

__all__ = ["Model", "Planted", "everything"]

#: Hidden activations of the networks whose backward pass goes through a sequence, a norm or a table.
FURTHER = ("tanh", "relu", "sigmoid")


def everything(seed: int = 0, sizes: Collection[str] = ("small", "medium", "large")) -> Iterator[Planted]:
    """Every planted fault and right gradient of every network of these sizes, without those too faint to score."""
    for network in (course, softmax, convolution):
        for activation in network.ACTIVATIONS:
            for size in network.SIZES:
                if size in sizes:
                    yield from (fault for fault in network.planted(seed, activation, size) if not fault.faint)
    for module in (recurrent, normed, attention, embedding):
        for activation in FURTHER:
            for number, size in enumerate(("small", "medium", "large")):
                if size in sizes:
                    yield from module.planted(seed, activation, number)
