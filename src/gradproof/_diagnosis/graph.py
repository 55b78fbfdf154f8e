"""A network as a graph of operations, worked out again, and its backward pass with a step of it done otherwise.

The decision behind it: whatever a network is made of, its gradient is a sum over edges, each of which takes what comes
back to an operation and makes of it what goes on to one of its inputs. A slip is one edge, or what comes back to one
node, done otherwise. So a norm, a table or a layer that is used twice needs no search of its own: it needs its edges.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: What comes back to an operation in, what goes on to one of its inputs out.
Back = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Node:
    """One array of the forward pass.

    Attributes:
        kind: "parameter", "data", "product", "shift", "gain", "norm", "activation", "sum", "rows", "mean" or "shape".
        name: what it is called in sentences, as ``Z1``.
        layer: the number of the layer that it belongs to.
        value: the array; examples are rows.
        inputs: the places of the nodes that it was made of.
        backs: how the derivative goes on to each of these.
        tensor: which parameter it is; -1 for all others.
        about: what else is known of the operation.
    """

    kind: str
    name: str
    layer: int
    value: Array
    inputs: tuple[int, ...] = ()
    backs: tuple[Back, ...] = ()
    tensor: int = -1
    about: Any = None


@dataclass(frozen=True)
class Edge:
    """The step from an operation back to one of its inputs; to a place of -1, what comes back to it itself."""

    node: int
    input: int


@dataclass
class Flow:
    """A backward pass: what has come back to each node so far."""

    graph: "Graph"
    coming: dict[int, Array] = field(default_factory=dict)

    def gradient(self, node: int) -> Array:
        """What came back to a node; zeros where nothing did."""
        found = self.coming.get(node)
        return np.zeros_like(self.graph.nodes[node].value) if found is None else found


#: What goes over an edge instead: it gets what should, what came back to the operation, and the pass so far.
Swap = Callable[[Array, Array, Flow], Array]
Swaps = Mapping[Edge, Swap]


@dataclass(frozen=True, eq=False)
class Graph:
    """A forward pass on a batch.

    Attributes:
        nodes: in the order in which they were made.
        parameters: the node of each tensor.
        labels: (examples, outputs).
    """

    nodes: tuple[Node, ...]
    parameters: Mapping[int, int]
    labels: Array

    @property
    def output(self) -> int:
        """The node that the cost is a function of."""
        return len(self.nodes) - 1

    @property
    def examples(self) -> int:
        """How many examples."""
        return len(self.labels)

    def users(self, node: int) -> list[Edge]:
        """The edges that lead back to a node."""
        return [Edge(n, k) for n, made in enumerate(self.nodes) for k, i in enumerate(made.inputs) if i == node]


def backward(graph: Graph, delta: Array, swaps: Swaps | None = None) -> Flow:
    """The backward pass from a derivative by the output."""
    planted = swaps or {}
    flow = Flow(graph, {graph.output: delta})
    for n in range(graph.output, -1, -1):
        node = graph.nodes[n]
        came = flow.coming.get(n)
        if came is None or not (node.inputs or node.tensor >= 0):
            continue
        whole = planted.get(Edge(n, -1))
        if whole is not None:
            came = flow.coming[n] = whole(came, came, flow)
        for k, (i, back) in enumerate(zip(node.inputs, node.backs, strict=True)):
            if graph.nodes[i].kind == "data":
                continue
            goes = back(came)
            swap = planted.get(Edge(n, k))
            if swap is not None:
                goes = swap(goes, came, flow)
            flow.coming[i] = flow.coming[i] + goes if i in flow.coming else goes
    return flow


@dataclass
class Making:
    """A graph being made, node by node."""

    nodes: list[Node] = field(default_factory=list)
    parameters: dict[int, int] = field(default_factory=dict)

    def add(self, node: Node) -> int:
        """Adds a node and says where it is."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def value(self, node: int) -> Array:
        """The array of a node."""
        return self.nodes[node].value

    def done(self, labels: Array) -> Graph:
        """The graph."""
        return Graph(tuple(self.nodes), dict(self.parameters), labels)
