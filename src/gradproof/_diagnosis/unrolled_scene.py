"""What a slip in the backward pass of a graph is, and what of a recognised model slips are looked for in.

The decision behind it: a slip is given as what is done otherwise at one kind of node, so that at every step of a
sequence the same happens.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.models import Model
from gradproof._diagnosis.reading import Recognised
from gradproof._diagnosis.unrolled import Graph, Hooks, Message, Node, Total, plain_total

Array = NDArray[Any]


@dataclass(frozen=True)
class Slip:
    """One slip.

    Attributes:
        cause: its slug.
        detail: the variant in a few words.
        message: one sentence saying what is done.
        fix: one sentence saying what to do.
        hooks: what is done otherwise.
        seeds: derivatives of the cost by the outputs that are taken instead.
        scaled: whether those may have another factor in front.
        free: what is done otherwise for a number that is not known, and how it is called.
        model: the model whose gradient that is, where it is another one.
        also: causes that would look the same.
    """

    cause: str
    detail: str
    message: str
    fix: str
    hooks: Hooks = field(default_factory=Hooks)
    seeds: Mapping[int, Array] | None = None
    scaled: bool = False
    free: Callable[[float], Hooks] | None = None
    model: Model | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Scene:
    """A recognised model with the user's words for it.

    Attributes:
        known: the model.
        names: of the tensors.
        examples: how many.
        options: the user's.
    """

    known: Recognised
    names: Mapping[int, str]
    examples: int
    options: Mapping[str, Any]

    @property
    def graph(self) -> Graph:
        """The forward pass."""
        return self.known.model.graph

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.known.model.steps

    def word(self, role: str) -> str:
        """What a role is called."""
        return self.known.model.words.get(role, role)

    def edges(self) -> Iterator[tuple[Node, int, Node]]:
        """A step back of every kind: a node, the slot, and the parent there."""
        seen = set()
        for node in reversed(self.graph.nodes):  # the last steps, which have all their parents
            for slot, place in enumerate(node.parents):
                if (node.role, slot) not in seen:
                    seen.add((node.role, slot))
                    yield node, slot, self.graph.nodes[place]

    def kept(self, shape: tuple[int, ...], like: Node) -> Iterator[tuple[str, int]]:
        """Roles and shifts against the step of a node at which the forward pass left something of a shape."""
        for (role, step), node in self.graph.at.items():
            if role in self.known.model.words and node.value.shape == shape:
                shift = step - like.step
                if step in (-1, like.step) and like.step < 0:
                    yield role, 0
                elif like.step >= 0 and step >= 0 and shift in (0, -1):
                    yield role, shift

    def at(self, role: str, shift: int, step: int) -> Node | None:
        """The node with a role at a shift from a step."""
        return self.graph.at.get((role, step + shift if step >= 0 else -1))


def only(node: Node, slot: int, hook: Message) -> Hooks:
    """One kind of step back done otherwise."""
    return Hooks({(node.role, slot): hook})


def total(role: str, hook: Total) -> Hooks:
    """What one kind of node makes of what it is sent done otherwise."""
    return Hooks({}, {role: hook})


# What is left out, by where: steps, examples, positions.

#: Derivative by a node with a part of it left out.
Cut = Callable[[Node, Array], Array]


def cuts(scene: Scene, like: Node) -> Iterator[tuple[str, str, Cut]]:
    """Parts that a loop or slice may leave out, with what keeps of a derivative only the rest."""
    last = scene.steps - 1
    if like.step >= 0 and last > 0:
        for step, words in ((0, "the first step"), (last, "the last step")):
            yield f"{words} left out", words, all_but(step)
    if scene.examples > 1:
        for e, words in ((-1, "the last example"), (0, "the first example")):
            yield f"{words} left out", words, _without(e, 0)
    if like.step < 0 and like.value.ndim > 2:
        for k, words in ((-1, "the last position"), (0, "the first position")):
            yield f"{words} left out", words, _without(k, 1)


def all_but(step: int) -> Cut:
    return lambda node, delta: np.zeros_like(delta) if node.step == step else delta


def none_but(step: int) -> Cut:
    return lambda node, delta: delta if node.step == step else np.zeros_like(delta)


def _without(index: int, axis: int) -> Cut:
    def cut(node: Node, delta: Array) -> Array:
        kept = delta.copy()
        kept[(slice(None),) * axis + (index,)] = 0.0
        return kept

    return cut


def cut_message(cut: Cut) -> Message:
    return lambda edge: edge.message(cut(edge.node, edge.delta))


def cut_total(cut: Cut) -> Total:
    return lambda node, sent: cut(node, plain_total(node, sent))
