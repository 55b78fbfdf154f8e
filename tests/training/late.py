"""A model whose planted fault shows only after some training, and its right twin.

The activation is the softplus function. The wrong backward pass takes its slope for 1 where it is nearly 1, which no
unit reaches at initialisation and training towards a large target does.
"""

from typing import Any

import torch
from torch import nn

#: From here on the wrong slope is 1; the right one is 0.95 there.
THRESHOLD = 3.0
#: What training is to reach.
TARGET = 60.0


class Late(torch.autograd.Function):
    """Softplus with a slope that is rounded."""

    @staticmethod
    def forward(ctx: Any, z: Any) -> Any:
        ctx.save_for_backward(z)
        return nn.functional.softplus(z)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (z,) = ctx.saved_tensors
        return grads[0] * torch.where(z > THRESHOLD, 1.0, torch.sigmoid(z))


class Activation(nn.Module):
    """Softplus, with the right backward pass or the one that shows late."""

    def __init__(self, *, wrong: bool) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, z: Any) -> Any:
        return Late.apply(z) if self.wrong else nn.functional.softplus(z)


def model(*, wrong: bool = False) -> nn.Sequential:
    """A small net, its weights always the same, with all that must stay undisturbed: statistics and random numbers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), Activation(wrong=wrong), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 1)
    )  # fmt: skip


def late_model(*, wrong: bool = True) -> nn.Sequential:
    """The net without normalisation, which would keep the fault from showing."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), Activation(wrong=wrong), nn.Linear(6, 1))


def data(examples: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets; float32."""
    generator = torch.Generator().manual_seed(7)
    x = 0.5 * torch.randn(examples, 4, generator=generator)
    return x, TARGET + x.sum(dim=1, keepdim=True)


def alike(one: Any, other: Any) -> bool:
    """Whether two sets of tensors are the same, bit for bit."""
    first, second = list(one), list(other)
    return len(first) == len(second) > 0 and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
