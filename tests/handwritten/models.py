"""Modules whose layers are the hand-written ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .layers import LAYERS


@dataclass(frozen=True)
class Case:
    """A module with its cost and data, and what is wrong with it.

    Attributes:
        name: kind of model, layer and slip.
        module: the model.
        data: the batch.
        slip: "" where everything is right.
        causes: the causes that are right about it.
        harmless: whether the slip changes nothing that this model's parameters depend on.
    """

    name: str
    module: nn.Module
    data: tuple[Any, ...]
    slip: str
    causes: tuple[str, ...]
    harmless: bool = False


class Applied(nn.Module):
    """One hand-written operation with its parameters."""

    def __init__(self, kind: str, slip: str, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.operation = LAYERS[kind].make(slip)
        self.parts = nn.ParameterList([nn.Parameter(torch.randn(s) / (s[-1] ** 0.5)) for s in shapes])

    def forward(self, x: Any) -> Any:
        """The operation on the input and its parameters."""
        return self.operation(x, *self.parts)


class Table(Applied):
    """Rows of a table."""

    def forward(self, index: Any) -> Any:
        """The rows, one a position."""
        return torch.stack([self.operation(self.parts[0], row) for row in index])


class Attending(nn.Module):
    """Attention with projections."""

    def __init__(self, slip: str, width: int) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (nn.Linear(width, width) for _ in range(3))
        self.operation = LAYERS["attention"].make(slip)

    def forward(self, x: Any) -> Any:
        """What each position sees of those before it."""
        return self.operation(self.queries(x), self.keys(x), self.values(x))


class Last(nn.Module):
    """The mean over positions."""

    def forward(self, x: Any) -> Any:
        """(batch, positions, width) to (batch, width)."""
        return x.mean(1)


def cost(module: nn.Module, X: Any, Y: Any) -> Any:
    """Cross-entropy."""
    return nn.functional.cross_entropy(module(X), Y)


def _perceptron(layer: str, slip: str) -> nn.Module:
    def slipped(kind: str) -> str:
        return slip if kind == layer else ""

    return nn.Sequential(
        nn.Linear(5, 6),
        Applied("tanh", slipped("tanh")),
        Applied("linear", slipped("linear"), (6, 6), (6,)),
        Applied("norm", slipped("norm"), (6,), (6,)),
        Applied("leaky", slipped("leaky")),
        Applied("dropout", slipped("dropout")),
        Applied("scale", slipped("scale"), (1,)),
        nn.Linear(6, 3),
    )


def _convolutional(layer: str, slip: str) -> nn.Module:
    return nn.Sequential(
        Applied("convolution", slip if layer == "convolution" else "", (4, 2, 3)), nn.Tanh(), nn.Flatten(),
        nn.Linear(24, 3),
    )  # fmt: skip


def _sequential(layer: str, slip: str) -> nn.Module:
    return nn.Sequential(
        Table("rows", slip if layer == "rows" else "", (7, 4)), Attending(slip if layer == "attention" else "", 4),
        nn.LayerNorm(4), Last(), nn.Linear(4, 3),
    )  # fmt: skip


MODELS = {
    "perceptron": (_perceptron, ("tanh", "linear", "norm", "leaky", "dropout", "scale"), (12, 5)),
    "convolution": (_convolutional, ("convolution",), (9, 2, 8)),
    "sequence": (_sequential, ("rows", "attention"), (6, 5)),
}


#: Slips in what nothing depends on here (the first layer's input), in sums that PyTorch makes itself, in limits that no
#: number reaches, between tensors of other shapes, and rounding that single precision allows.
HARMLESS = {
    ("linear", "dW cut off"),
    ("linear", "dW in bfloat16"),
    ("linear", "dx and dW exchanged"),
    ("scale", "not summed"),
    ("convolution", "dx with the kernel unflipped"),
}


def cases(seed: int) -> Iterator[Case]:
    """Each model right, and with each slip of its hand-written layers."""
    for name, (build, layers, shape) in MODELS.items():
        slips = [("", ""), *((layer, slip) for layer in layers for slip in LAYERS[layer].slips)]
        for layer, slip in slips:
            torch.manual_seed(seed)
            module = build(layer, slip)
            X = torch.randint(0, 7, shape) if name == "sequence" else torch.randn(shape)
            Y = torch.randint(0, 3, shape[:1])
            causes = LAYERS[layer].slips[slip][0] if slip else ()
            harmless = (layer, slip) in HARMLESS
            yield Case(f"{name}: {layer}: {slip or 'right'}", module, (X, Y), slip, causes, harmless)
