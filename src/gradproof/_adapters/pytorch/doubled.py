"""A function of tensors and its backward pass, both run in double precision.

The decision behind it: entries of a Jacobian are told apart by more digits than single precision has. Where the user's
code gives double precision for float64 copies of its inputs, with or without a mode that watches its operations, both
passes are run so; where it does not, there is nothing to look at.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from gradproof._adapters.pytorch.functions import Function, Pass, reversed_by_framework
from gradproof._adapters.pytorch.precision import Widening, double
from gradproof._adapters.pytorch.target import outputs_of
from gradproof._adapters.pytorch.tensors import array_of, wider
from gradproof._adapters.randomness import Snapshot
from gradproof._algebra.backward import Cotangents

Arrays = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class DoubledTensors:
    """A function at its inputs.

    Attributes:
        function: the function, taken apart.
        claim: its backward pass.
        random: the random state that every call begins with.
        watched: whether operations have to be watched for lower precision.
    """

    function: Function
    claim: Pass
    random: Snapshot
    watched: bool

    @cached_property
    def values(self) -> tuple[NDArray[np.float64], ...]:
        """The numbers of the inputs."""
        return tuple(array_of(t.detach().to(wider(t.dtype))).copy() for t in self.function.tensors)

    def outputs(self, values: Arrays) -> tuple[NDArray[np.float64], ...]:
        """What the function returns at other inputs."""
        with self._around(), torch.no_grad():
            return tuple(array_of(y).copy() for y in outputs_of(self.function.safely(self._tensors(values))))

    def gradients(self, values: Arrays, cotangents: Cotangents) -> tuple[NDArray[np.float64], ...]:
        """What the backward pass gives at other inputs."""
        with self._around():
            given = [None if u is None else torch.from_numpy(np.array(u, dtype=np.float64)) for u in cotangents]
            tensors = self._tensors(values)
            found = self.claim(tensors, given)
            filled = [torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True)]
            return tuple(array_of(g.to_dense()).astype(np.float64) for g in filled)

    def _tensors(self, values: Arrays) -> list[torch.Tensor]:
        devices = [t.device for t in self.function.tensors]
        return [torch.from_numpy(np.array(v)).to(d) for v, d in zip(values, devices, strict=True)]

    @contextmanager
    def _around(self) -> Iterator[None]:
        """Double precision, the same random numbers for every call, and nothing left behind."""
        devices = {"cpu", *(t.device.type for t in self.function.tensors)}
        try:
            with self.function.behind.after_call(), double(Widening() if self.watched else None, devices):
                yield
        finally:
            self.random.restore()


def doubled(function: Function, claim: Pass | None) -> DoubledTensors | None:
    """The function in double precision; None where it has none, or any number is complex."""
    if any(t.is_complex() for t in function.tensors) or any(dtype.is_complex for _, dtype in function.outputs):
        return None
    for watched in (False, True):
        made = DoubledTensors(function, claim or reversed_by_framework(function), function.random(), watched)
        try:
            found = made.outputs(made.values)
            back = made.gradients(made.values, tuple(np.ones_like(y) for y in found))
        except Exception:  # whatever it is, the code knows no double precision
            continue
        if all(y.dtype == np.float64 for y in found) and len(back) == len(made.values):
            return made
    return None
