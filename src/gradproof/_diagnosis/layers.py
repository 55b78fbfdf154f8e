"""Layers, read off the names and the order of the tensors.

The decision behind it: users name the tensors of a layer alike (W2 and b2, layers.1.weight and layers.1.bias), and list
layers from input to output. Where the names say nothing, every tensor is a layer of its own and nothing is concluded
from the order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gradproof._records import Tensor

_NUMBERED = re.compile(r"^(?P<head>.*?[A-Za-z_]*?)_?(?P<number>\d+)(?P<tail>[^\d.]*)$")


@dataclass(frozen=True, slots=True)
class Layer:
    """Tensors that belong together.

    Attributes:
        key: what they share, ``2`` or ``layers.1``.
        tensors: their places in the problem.
        weights: those with two axes or more that are longer than 1.
        biases: the others.
    """

    key: str
    tensors: tuple[int, ...]
    weights: tuple[int, ...]
    biases: tuple[int, ...]


def layers(tensors: Sequence[Tensor]) -> tuple[Layer, ...]:
    """Groups tensors by what their names share, in the order in which the groups first appear."""
    groups: dict[str, list[int]] = {}
    for i, tensor in enumerate(tensors):
        groups.setdefault(key_of(tensor.name), []).append(i)
    found = []
    for key, members in groups.items():
        thick = tuple(i for i in members if sum(n > 1 for n in tensors[i].shape) > 1)
        found.append(Layer(key, tuple(members), thick, tuple(i for i in members if i not in thick)))
    return tuple(found)


def key_of(name: str) -> str:
    """What the name of a tensor says of its layer: ``2`` of W2, ``layers.1`` of layers.1.bias."""
    head, dot, last = name.rpartition(".")
    numbered = _NUMBERED.match(last)
    if numbered:
        return f"{head}{dot}{numbered['number']}"
    if head:
        return head
    # Wx, bx and Wy, by: one letter for the kind, the rest for the layer.
    plain = re.fullmatch(r"[WUVwb]_?(?P<rest>[a-z]{1,2})", last)
    return plain["rest"] if plain else last
