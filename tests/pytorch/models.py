"""Small models with right and wrong gradients, for two ways of checking that must say the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


class Slipped(torch.autograd.Function):
    """The identity, whose gradient is changed by a function of it."""

    @staticmethod
    def forward(ctx: Any, x: Any, slip: Any) -> Any:
        ctx.slip = slip
        return x.clone()

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        return ctx.slip(v), None


def one_element(v: Any) -> Any:
    """The largest element is 1% off."""
    factors = torch.ones(v.numel(), dtype=v.dtype, device=v.device)
    factors[v.abs().argmax()] = 1.01
    return v * factors.reshape(v.shape)


def one_row(v: Any) -> Any:
    """The last row is zero."""
    off = v.clone()
    off[-1] = 0.0
    return off


def transposed(v: Any) -> Any:
    """The transpose, of what is square."""
    return v.t() if v.dim() == 2 and v.shape[0] == v.shape[1] else v


#: Name to slip; None for a right gradient.
SLIPS: dict[str, Callable[[Any], Any] | None] = {
    "right": None,
    "doubled": lambda v: 2 * v,
    "sign": lambda v: -v,
    "zero": lambda v: torch.zeros_like(v),
    "slightly off": lambda v: v * 1.002,
    "one element": one_element,
    "one row": one_row,
    "transposed": transposed,
}


@dataclass(frozen=True)
class Case:
    """A module, its cost, data, and the parameter whose gradient may be changed."""

    module: nn.Module
    cost: Callable[..., Any]
    data: tuple[Any, ...]
    slipping: str


class Slipping(nn.Module):
    """A module of which one parameter is read through a slip."""

    def __init__(self, inner: nn.Module, name: str, slip: Callable[[Any], Any] | None) -> None:
        super().__init__()
        self.inner = inner
        self.path, _, self.leaf = name.rpartition(".")
        self.slip = slip

    def forward(self, *inputs: Any) -> Any:
        if self.slip is None:
            return self.inner(*inputs)
        owner = self.inner.get_submodule(self.path)
        kept = owner._parameters[self.leaf]
        try:
            owner._parameters[self.leaf] = Slipped.apply(kept, self.slip)
            return self.inner(*inputs)
        finally:
            owner._parameters[self.leaf] = kept


class Attention(nn.Module):
    """One head of attention with an embedding and a tied output."""

    def __init__(self, width: int = 6, words: int = 11) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, words)
        self.out.weight = self.embedding.weight

    def forward(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        scores = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) / x.shape[-1] ** 0.5, -1)
        return self.out(self.norm(x + scores @ self.value(x)))


def classified(module: Any, x: Any, y: Any) -> Any:
    out = module(x)
    return nn.functional.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))


def squared(module: Any, x: Any, y: Any) -> Any:
    return (module(x) - y).abs().square().mean()


def dense() -> Case:
    module = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 3))
    return Case(module, classified, (torch.randn(9, 6), torch.randint(0, 3, (9,))), "2.weight")


def rectified() -> Case:
    module = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))
    return Case(module, squared, (torch.randn(10, 6), torch.randn(10, 2)), "0.weight")


def normed() -> Case:
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.3), nn.Linear(8, 3))
    return Case(module, classified, (torch.randn(12, 6), torch.randint(0, 3, (12,))), "4.weight")


def convolved() -> Case:
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 9, 3)
    ).to(memory_format=torch.channels_last)
    return Case(module, classified, (torch.randn(5, 2, 6, 6), torch.randint(0, 3, (5,))), "0.weight")


def recurrent() -> Case:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 5, batch_first=True)
            self.out = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            return self.out(self.rnn(x)[0][:, -1])

    return Case(Last(), squared, (torch.randn(6, 4, 4), torch.randn(6, 2)), "out.weight")


def attentive() -> Case:
    tokens = torch.randint(0, 11, (3, 5))
    return Case(Attention(), classified, (tokens, torch.randint(0, 11, (3, 5))), "value.weight")


MODELS = {f.__name__: f for f in (dense, rectified, normed, convolved, recurrent, attentive)}


def case(model: str, slip: str, dtype: torch.dtype, seed: int) -> Case:
    """A model with a slip, in a format."""
    torch.manual_seed(seed)
    found = MODELS[model]()
    module = Slipping(found.module.to(dtype), found.slipping, SLIPS[slip])
    data = tuple(x.to(dtype) if x.is_floating_point() else x for x in found.data)
    return Case(module, found.cost, data, f"inner.{found.slipping}")
