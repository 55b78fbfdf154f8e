"""The backward pass of a function as a function of its own: inputs and cotangents to gradients.

The decision behind it: the second derivative is the derivative of the first. What reverse mode makes of a backward pass
(``create_graph=True``) is judged like any other claim, against the measured derivative of that backward pass, in the
inputs and in the cotangents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradproof._adapters.pytorch.functions import Function, Pass, looked_at
from gradproof._adapters.pytorch.target import outputs_of
from gradproof._adapters.pytorch.tensors import moved_array
from gradproof._tree import Structure


@dataclass(frozen=True)
class Second:
    """A backward pass as a function.

    Attributes:
        function: whose backward pass it is.
        cotangents: the cotangents at which it is taken, in the outputs' own formats.
        claim: the user's own backward pass; None for reverse mode.
    """

    function: Function
    cotangents: tuple[torch.Tensor, ...]
    claim: Pass | None

    @classmethod
    def of(cls, function: Function, cotangents: Sequence[torch.Tensor], claim: Pass | None) -> "Second":
        """At cotangents of double precision."""
        pairs = zip(cotangents, function.outputs, strict=True)
        return cls(function, tuple(u.to(dtype) for u, (_, dtype) in pairs), claim)

    def as_function(self) -> Function:
        """The backward pass, taken apart like any function.

        A gradient that reverse mode knows no way back from claims a derivative of zero: whoever adds it to a cost, as a
        gradient penalty does, gets that without a word.
        """
        count = len(self.cotangents)
        names = ["cotangent"] if count == 1 else [f"cotangents[{i}]" for i in range(count)]
        tensors = (*self.function.tensors, *self.cotangents)
        structure = Structure.of(list(tensors), "inputs", moved_array)
        structure = structure.renamed([*self.function.structure.names, *names]).listed()
        found = looked_at(replace(
            self.function, call=self, build=_build, structure=structure, tensors=tensors, writes=False
        ))  # fmt: skip
        return replace(found, reached=(True,) * len(found.outputs))

    def __call__(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """The gradients, with a graph of their own where anything needs one."""
        count = len(self.function.tensors)
        inputs, given = list(tensors[:count]), list(tensors[count:])
        deeper = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if self.claim is not None:
            return [t for t in self.claim(inputs, given) if t is not None]
        with torch.enable_grad():
            inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in inputs]
            outputs = outputs_of(self.function.safely(inputs))
            pairs = [(o, u.to(o.dtype)) for o, u in zip(outputs, given, strict=True) if o.requires_grad]
            if not pairs:
                return [torch.zeros_like(t) for t in inputs]
            found = torch.autograd.grad(
                [o for o, _ in pairs], inputs, [u for _, u in pairs], create_graph=deeper, allow_unused=True
            )
        return [torch.zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)]

    def trouble(self, tensors: Sequence[torch.Tensor]) -> str:
        """Why the backward pass cannot be differentiated; "" where it can."""
        with torch.enable_grad(), self.function.behind.after_call():
            leaves = [t.detach().clone().requires_grad_() for t in tensors]
            gradients = self(*leaves)
            connected = [g for g in gradients if g.requires_grad]
            try:  # all of the graph is run, also nodes that lead nowhere, as those do that refuse
                torch.autograd.backward(connected, [torch.ones_like(g) for g in connected])
            except RuntimeError as error:
                words = str(error).strip().splitlines()[0]
                once = "once_differentiable" in words
                return "it is marked with @once_differentiable" if once else f"RuntimeError: {words}"
        reached = any(leaf.grad is not None for leaf in leaves)
        moving = any(bool(g.any()) for g in gradients)
        return "it is cut off from the graph (detached)" if moving and not reached else ""


def _build(tensors: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    return tensors, {}
