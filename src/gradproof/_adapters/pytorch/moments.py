"""Tensors at a moment: copied, blown up, compared, written in place for a while.

The decision behind it: a module is the same object at every moment, so what makes a moment is what its tensors held,
its buffers among them. They are written only where they differ, and put back bit for bit. Of tensors that are checked
where they live, as they are too many or elsewhere, no copy is kept: their stages are checked and not compared.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from gradproof._adapters.pytorch.modules import named
from gradproof._adapters.pytorch.residing import Asked, reason
from gradproof._adapters.pytorch.tensors import moved_array
from gradproof._tree import Structure


@dataclass(frozen=True)
class Moment:
    """Tensors with what they held; the tensors are the user's own."""

    tensors: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]

    def unchanged(self) -> bool:
        """Whether the tensors are known to hold that still, bit for bit but for the sign of zeros."""
        pairs = list(zip(self.tensors, self.values, strict=True))
        return all(t is not value and _alike(t, value) for t, value in pairs)

    @contextmanager
    def written(self) -> Iterator[None]:
        """The tensors hold that again; what they held before comes back at the end, whatever happens."""
        other = [(t, v) for t, v in zip(self.tensors, self.values, strict=True) if not _alike(t, v)]
        kept = [tensor.detach().clone() for tensor, _ in other]
        try:
            with torch.no_grad():
                for tensor, value in other:
                    tensor.copy_(value)
            yield
        finally:
            with torch.no_grad():
                for (tensor, _), value in zip(other, kept, strict=True):
                    tensor.copy_(value)


def of_module(module: torch.nn.Module, scale: float = 1.0) -> Moment:
    """A module now, with the parameters that are checked times a number."""
    moved = list(named(module).tensors.values())
    checked = {id(tensor) for tensor in moved}
    everything = list({id(t): t for t in (*module.parameters(), *module.buffers())}.values())
    if _stay(moved, scale):
        return Moment(tuple(everything), tuple(everything))
    return Moment(tuple(everything), tuple(_times(t, scale if id(t) in checked else 1.0) for t in everything))


def of_nesting(params: Any, scale: float = 1.0) -> Moment:
    """The tensors of a nesting that a check moves, times a number."""
    tensors = _tensors(params)[1]
    return Moment(tuple(tensors), tuple(_times(t, scale) for t in tensors))


def copied(params: Any, scale: float = 1.0) -> Any:
    """The same nesting of copies, times a number, each of which requires a gradient where its original does."""
    structure, tensors = _tensors(params)
    if _stay(tensors, scale):
        return params
    return structure.rebuild([_times(t, scale).requires_grad_(t.requires_grad) for t in tensors])


def same(one: Any, other: Any) -> bool:
    """Whether two nestings are known to hold the same numbers."""
    pairs = list(zip(_tensors(one)[1], _tensors(other)[1], strict=False))
    return all(a is not b and _alike(a, b) for a, b in pairs)


def _stay(tensors: Sequence[torch.Tensor], scale: float) -> bool:
    """Whether no copy is kept of tensors at a moment."""
    return scale == 1.0 and bool(reason(tensors, Asked()))


def _tensors(params: Any) -> tuple[Structure, list[torch.Tensor]]:
    tensors: list[torch.Tensor] = []

    def collect(value: Any) -> Any:
        array = moved_array(value)
        if array is not None:
            tensors.append(value)
        return array

    return Structure.of(params, "params", collect), tensors


def _times(tensor: torch.Tensor, scale: float) -> torch.Tensor:
    value = tensor.detach().clone()
    return value if scale == 1.0 else value.mul_(scale)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.equal(one, other))
