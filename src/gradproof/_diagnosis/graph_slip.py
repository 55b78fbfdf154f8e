"""One slip in the backward pass of a recognised network, and what slips are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from gradproof._diagnosis.graph import Array, Edge, Flow, Graph, Node, Swap


@dataclass(frozen=True, eq=False)
class GraphSlip:
    """One slip.

    Attributes:
        cause: its slug.
        detail: the variant in a few words.
        swaps: the steps that are done otherwise.
        message: one sentence.
        fix: one sentence.
        kind: what the same slip at other layers shares with it; empty where it is never made at several.
        fitted: what is fitted where a slip has a number: the swaps are then made in part; in words, "learning rate".
        also: causes that would look the same.
    """

    cause: str
    detail: str
    swaps: Mapping[Edge, Swap]
    message: str
    fix: str
    kind: str = ""
    fitted: str = ""
    also: tuple[str, ...] = field(default_factory=tuple)


def taking(array: Array) -> Swap:
    """An array that is known whatever comes back."""
    return lambda goes, came, flow: array


def nothing(goes: Array, came: Array, flow: Flow) -> Array:
    """The step left out."""
    return 0.0 * goes


def twice(goes: Array, came: Array, flow: Flow) -> Array:
    """The step made twice."""
    return 2.0 * goes


def negative(goes: Array, came: Array, flow: Flow) -> Array:
    """The step with the wrong sign."""
    return -goes


def without(example: int) -> Swap:
    """What comes back, one example left out."""

    def swap(goes: Array, came: Array, flow: Flow) -> Array:
        changed = goes.copy()
        changed[example] = 0.0
        return changed

    return swap


def cached(graph: Graph, like: Node) -> Iterator[tuple[int, Node]]:
    """Arrays of the forward pass, shaped like one of them, and not equal to it."""
    for n, node in enumerate(graph.nodes):
        if node.tensor < 0 and node.value.shape == like.value.shape and not np.array_equal(node.value, like.value):
            yield n, node
