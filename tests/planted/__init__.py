"""Networks with planted faults, to score a diagnosis on."""

from collections.abc import Iterator

from . import course
from .base import Model, Planted

__all__ = ["Model", "Planted", "everything"]


def everything(seed: int = 0) -> Iterator[Planted]:
    """Every planted fault and every right gradient of every network."""
    for activation in course.ACTIVATIONS:
        for size in course.SIZES:
            yield from course.planted(seed, activation, size)
