"""What is called with the tensors that a check moves: a cost, a cost of a module, or a function with cotangents.

The decision behind it: each is a function of a list of tensors, so that one runner evaluates and differentiates them
all; how the tensors get to where the user's code looks for them is the target's own business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from gradproof._tree import Structure


class Target(Protocol):
    """A function of a list of tensors."""

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """What the user's code returns."""


@dataclass(frozen=True)
class Plain:
    """A cost of a nesting of tensors."""

    function: Callable[..., Any]
    structure: Structure

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The cost, given the nesting."""
        return self.function(self.structure.rebuild(list(tensors)), *args, **options)


@dataclass(frozen=True)
class OfModule:
    """A cost of a module, whose parameters are exchanged for the time of a call.

    Attributes:
        function: the cost, given the module.
        module: the user's module.
        slots: for each tensor the places that hold it: the module that owns it and its name there.
    """

    function: Callable[..., Any]
    module: torch.nn.Module
    slots: tuple[tuple[tuple[torch.nn.Module, str], ...], ...]

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The cost, given the module with these parameters and further inputs after the data."""
        count = len(self.slots)
        with exchanged(self.slots, tensors[:count]):
            return self.function(self.module, *_placed(args, tensors[count:]), **options)

    def holding(self, tensors: Sequence[torch.Tensor]) -> AbstractContextManager[None]:
        """The module with these parameters for as long as it is entered."""
        return exchanged(self.slots, tensors[: len(self.slots)])


def _placed(args: Sequence[Any], moved: Sequence[torch.Tensor]) -> list[Any]:
    """The arguments with moved tensors in the places that are marked for them."""
    left = iter(moved)
    return [next(left) if isinstance(arg, Moved) else arg for arg in args]


@dataclass(frozen=True)
class Moved:
    """Stands among the arguments for one that the check moves."""


@contextmanager
def exchanged(
    slots: Sequence[Sequence[tuple[torch.nn.Module, str]]], tensors: Sequence[torch.Tensor]
) -> Iterator[None]:
    """Puts tensors in the place of a module's parameters, and these back."""
    kept = [(owner, name, owner._parameters[name]) for places in slots for owner, name in places]
    try:
        for places, tensor in zip(slots, tensors, strict=True):
            for owner, name in places:
                owner._parameters[name] = tensor  # what functional calls do as well
                _refresh(owner)
        yield
    finally:
        for owner, name, parameter in kept:
            owner._parameters[name] = parameter
        for owner in {id(owner): owner for owner, _, _ in kept}.values():
            _refresh(owner)


def _refresh(owner: torch.nn.Module) -> None:
    """A recurrent layer keeps its weights in a list as well."""
    if isinstance(owner, torch.nn.RNNBase):
        owner._flat_weights = [getattr(owner, name, None) for name in owner._flat_weights_names]


@dataclass(frozen=True)
class OfFunction:
    """A function of tensors, seen through cotangents: the sum of conj(cotangent) . output, real part.

    Attributes:
        function: what the user's function returns for tensors.
        cotangents: one an output that is differentiated, in their order; None for one that is left out.
    """

    function: Callable[[Sequence[torch.Tensor]], Any]
    cotangents: tuple[torch.Tensor | None, ...]

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Outputs with cotangents, added up."""
        total = None
        for output, cotangent in zip(outputs_of(self.function(tensors)), self.cotangents, strict=True):
            if cotangent is not None:
                part = _product(output, cotangent)
                total = part if total is None else total + part
        return total


def _product(output: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    """Real part of the sum of an output times the conjugate of a cotangent in double precision."""
    if output.dtype is torch.float64 and not cotangent.is_complex() and output.device == cotangent.device:
        return (output * cotangent).sum()  # most often: nothing to convert
    wide = output.to(torch.complex128 if output.is_complex() else torch.float64)
    part = (wide * cotangent.to(output.device).conj()).sum()
    return part.real if part.is_complex() else part


def outputs_of(returned: Any) -> list[torch.Tensor]:
    """The floating-point and complex tensors in what a function returns, in their order."""
    if isinstance(returned, torch.Tensor):
        return [returned] if returned.is_floating_point() or returned.is_complex() else []
    if isinstance(returned, Mapping):
        return [tensor for part in returned.values() for tensor in outputs_of(part)]
    if isinstance(returned, list | tuple):
        return [tensor for part in returned for tensor in outputs_of(part)]
    if hasattr(returned, "__dataclass_fields__"):
        return [tensor for part in vars(returned).values() for tensor in outputs_of(part)]
    return []
