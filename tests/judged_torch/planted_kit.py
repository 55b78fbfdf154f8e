"""Operators with their right backward pass and slips planted in it, and the truth about each of them.

The truth does not come from the package that is judged: it is PyTorch's reverse mode through plain operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

VISIBLE = 1e-4  # A slip counts where it changes a gradient by more than this, relative to it, in float64.


@dataclass(frozen=True)
class Operator:
    """A function of tensors written three times: plainly, as a forward pass, and as a backward pass with slips.

    Attributes:
        name: what it is called.
        plain: ``plain(*inputs)`` in operations PyTorch differentiates by itself.
        forward: ``forward(ctx, *inputs)`` of the ``autograd.Function``.
        backward: ``backward(ctx, slip, *cotangents)``; slip is "" for the right one.
        inputs: ``inputs(generator, examples)`` in float64.
        slips: slip to the causes that name it, the planted one first.
        laws: slips that no single gradient shows: layout, aliasing, a second call.
        order: 2 where the derivative of the backward pass is judged.
        clone: whether the function writes into its first input, which must not be a leaf then.
        batched: whether the number of examples may be one.
    """

    name: str
    plain: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: Callable[[torch.Generator, int], tuple[Any, ...]]
    slips: Mapping[str, str] = field(default_factory=dict)
    laws: tuple[str, ...] = ()
    order: int = 1
    clone: bool = False
    batched: bool = True


def rand(generator: torch.Generator, *shape: int) -> Any:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def written(operator: Operator, slip: str = "") -> Callable[..., Any]:
    """The operator as a ``torch.autograd.Function`` with one slip in its backward pass."""

    class Written(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            return operator.forward(ctx, *inputs)

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            return operator.backward(ctx, slip, *cotangents)

    if operator.clone:
        return lambda first, *rest: Written.apply(first.clone(), *rest)
    apply: Callable[..., Any] = Written.apply
    return apply


def differentiable(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def pullback(function: Callable[..., Any], inputs: tuple[Any, ...], seed: int) -> list[Any]:
    """The gradients in the floating-point inputs for a random cotangent, the same for the same seed."""
    leaves = [value.detach().clone().requires_grad_() if differentiable(value) else value for value in inputs]
    outputs = function(*leaves)
    outputs = [out for out in (outputs if isinstance(outputs, tuple) else (outputs,)) if differentiable(out)]
    generator = torch.Generator().manual_seed(seed)
    wide = [torch.complex128 if out.is_complex() else torch.float64 for out in outputs]
    cotangents = [
        torch.randn(out.shape, generator=generator, dtype=kind).to(out.dtype)
        for out, kind in zip(outputs, wide, strict=True)
    ]
    targets = [leaf for leaf in leaves if differentiable(leaf)]
    return list(torch.autograd.grad(outputs, targets, cotangents, allow_unused=True))


def gap(claimed: Any, true: Any) -> float:
    """How far a gradient is from the true one, relative to the true one; inf where it is no gradient."""
    if true is None:
        true = torch.zeros(()) if claimed is None else torch.zeros_like(claimed)
    if claimed is None:
        claimed = torch.zeros_like(true)
    if not bool(torch.isfinite(claimed).all()):
        return float("inf")
    wide = torch.complex128 if true.is_complex() else torch.float64
    distance, size = (claimed.to(wide) - true.to(wide)).norm(), true.to(wide).norm()
    if float(distance) == 0.0:
        return 0.0
    return float(distance / size) if float(size) else float("inf")


def gaps(operator: Operator, slip: str, inputs: tuple[Any, ...]) -> dict[str, float]:
    """Per input, the largest distance of the claimed gradient from the true one over two cotangents."""
    wide = tuple(widened(value) for value in inputs)
    names = [f"inputs[{index}]" for index, value in enumerate(inputs) if differentiable(value)]
    largest = dict.fromkeys(names, 0.0)
    for seed in (11, 12):
        claimed = pullback(written(operator, slip), inputs, seed)
        true = pullback(operator.plain, wide, seed)
        for name, one, other in zip(names, claimed, true, strict=True):
            largest[name] = max(largest[name], gap(one, other))
    return largest


def widened(value: Any) -> Any:
    if not differentiable(value):
        return value
    return value.to(torch.complex128 if value.is_complex() else torch.float64)


def keeping(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that keeps all of its inputs for ``kept``."""

    def forward(ctx: Any, *inputs: Any) -> Any:
        ctx.save_for_backward(*[value for value in inputs if isinstance(value, torch.Tensor)])
        ctx.others = [None if isinstance(value, torch.Tensor) else (value,) for value in inputs]
        return plain(*inputs)

    return forward


def kept(ctx: Any) -> list[Any]:
    tensors = iter(ctx.saved_tensors)
    return [next(tensors) if other is None else other[0] for other in ctx.others]
