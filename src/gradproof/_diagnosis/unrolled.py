"""A model as a graph of a few operations, with a backward pass in which any step can be done otherwise.

The decision behind it: models that are no chain of layers (steps that share weights, attention) are written down once
as a forward pass. The right gradient, and the gradient that any slip in any of its steps would give, follow from that
alone, so that every slip is written once for all models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation

Array = NDArray[Any]
#: What a node's operation takes beside its parents.
Setting = Activation | Array | float | None


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the forward pass, examples on the first axis and features on the last.

    Attributes:
        place: in the graph.
        role: what it is; the same at every step.
        step: the step it belongs to; -1 before the first and where there are none.
        op: the operation that made it; ``"data"`` or ``"parameter"`` where none did.
        value: what it holds.
        parents: what it was made of.
        setting: the activation, the mask or the scale.
        tensor: of a parameter its place in the problem, else -1.
    """

    place: int
    role: str
    step: int
    op: str
    value: Array
    parents: tuple[int, ...] = ()
    setting: Setting = None
    tensor: int = -1


#: Value of an operation from those of its parents.
Value = Callable[[Setting, tuple[Array, ...]], Array]


def _linear(_: Setting, given: tuple[Array, ...]) -> Array:
    x, W = given
    return np.asarray(x @ W.T)


def _softmax(mask: Setting, given: tuple[Array, ...]) -> Array:
    return softmax_of(given[0], mask, -1)


def softmax_of(S: Array, mask: Setting, axis: int) -> Array:
    """Along an axis, over the keys that a mask (examples, keys) leaves."""
    scores = np.where(mask[:, None, :] > 0, S, -1e30) if isinstance(mask, np.ndarray) else S
    e = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _act(act: Setting, given: tuple[Array, ...]) -> Array:
    assert isinstance(act, Activation)
    return np.asarray(act.value(given[0]))


def number(setting: Setting) -> float:
    """A scale."""
    assert isinstance(setting, float)
    return setting


VALUES: Mapping[str, Value] = {
    "linear": _linear,
    "bias": lambda _, given: np.asarray(given[0] + given[1]),
    "add": lambda _, given: np.asarray(given[0] + given[1]),
    "times": lambda _, given: np.asarray(given[0] * given[1]),
    "act": _act,
    "scores": lambda scale, given: np.asarray(number(scale) * given[0] @ flipped(given[1])),
    "softmax": _softmax,
    "mix": lambda _, given: np.asarray(given[0] @ given[1]),
}


def flipped(array: Array) -> Array:
    """With the last two axes exchanged."""
    return np.swapaxes(array, -1, -2)


def through_softmax(P: Array, delta: Array) -> Array:
    """Back through a softmax along the last axis."""
    return np.asarray(P * (delta - np.sum(P * delta, axis=-1, keepdims=True)))


@dataclass
class Graph:
    """A forward pass as it is written down.

    Attributes:
        nodes: in the order of the forward pass.
        at: nodes by role and step.
        parameters: nodes of parameters by tensor.
    """

    nodes: list[Node] = field(default_factory=list)
    at: dict[tuple[str, int], Node] = field(default_factory=dict)
    parameters: dict[int, Node] = field(default_factory=dict)

    def data(self, role: str, value: Array, step: int = -1) -> Node:
        """Something that is given."""
        return self._new(Node(len(self.nodes), role, step, "data", value))

    def parameter(self, tensor: int, value: Array) -> Node:
        """A tensor of the problem, a matrix as (outputs, inputs)."""
        if tensor not in self.parameters:
            node = Node(len(self.nodes), f"parameter {tensor}", -1, "parameter", value, tensor=tensor)
            self.parameters[tensor] = self._new(node)
        return self.parameters[tensor]

    def make(self, op: str, role: str, *parents: Node, step: int = -1, setting: Setting = None) -> Node:
        """What an operation makes of its parents."""
        value = VALUES[op](setting, tuple(p.value for p in parents))
        places = tuple(p.place for p in parents)
        return self._new(Node(len(self.nodes), role, step, op, value, places, setting))

    def _new(self, node: Node) -> Node:
        self.nodes.append(node)
        self.at[node.role, node.step] = node
        return node


@dataclass(frozen=True, eq=False)
class Edge:
    """A step back from a node to one of its parents.

    Attributes:
        run: the backward pass so far.
        node: from where.
        slot: to which parent.
        delta: the derivative by the node.
    """

    run: "Run"
    node: Node
    slot: int
    delta: Array

    def parent(self, slot: int) -> Node:
        """One of the node's parents."""
        return self.run.graph.nodes[self.node.parents[slot]]

    def message(self, delta: Array | None = None, *, left: Array | None = None, right: Array | None = None) -> Array:
        """What goes back, by default what should; with another derivative or other operands where given."""
        d = self.delta if delta is None else delta
        values = [self.parent(slot).value for slot in range(len(self.node.parents))]
        one = values[0] if left is None else left
        two = (values[1] if len(values) > 1 else one) if right is None else right
        return back(self.node, self.slot, d, one, two)


def back(node: Node, slot: int, d: Array, one: Array, two: Array) -> Array:
    """The derivative by a parent of a node, from that by the node and the values of its parents."""
    match node.op, slot:
        case "linear", 0:
            return np.asarray(d @ two)
        case "linear", _:
            return np.asarray(d.reshape(-1, d.shape[-1]).T @ one.reshape(-1, one.shape[-1]))
        case "bias", 1:
            return np.asarray(d.reshape(-1, d.shape[-1]).sum(axis=0))
        case "times", _:
            return np.asarray(d * (two if slot == 0 else one))
        case "act", _:
            assert isinstance(node.setting, Activation)
            return np.asarray(d * node.setting.slope(one))
        case "scores", 0:
            return np.asarray(number(node.setting) * d @ two)
        case "scores", _:
            return np.asarray(number(node.setting) * flipped(d) @ one)
        case "softmax", _:
            return through_softmax(node.value, d)
        case "mix", 0:
            return np.asarray(d @ flipped(two))
        case "mix", _:
            return np.asarray(flipped(one) @ d)
        case _:
            return d


@dataclass
class Run:
    """What a backward pass has found.

    Attributes:
        graph: the model.
        delta: derivatives by the nodes, by place.
        gradients: by tensor.
        size: by tensor the sum of what was added up without signs, which says what rounding may come to.
    """

    graph: Graph
    delta: dict[int, Array] = field(default_factory=dict)
    gradients: dict[int, Array] = field(default_factory=dict)
    size: dict[int, float] = field(default_factory=dict)


Message = Callable[[Edge], Array]
#: What a node is sent, by whom, to what it makes of that.
Total = Callable[[Node, list[tuple[Node, Array]]], Array]


@dataclass(frozen=True)
class Hooks:
    """What is done otherwise.

    Attributes:
        messages: steps back by the node's role and the slot of the parent.
        totals: sums of what a node is sent by its role; ``""`` stands for all that have none of their own.
    """

    messages: Mapping[tuple[str, int], Message] = field(default_factory=dict)
    totals: Mapping[str, Total] = field(default_factory=dict)


RIGHT = Hooks()


def plain_total(node: Node, sent: list[tuple[Node, Array]]) -> Array:
    """The sum."""
    return sum((array for _, array in sent), np.zeros_like(node.value))


def backward(graph: Graph, seeds: Mapping[int, Array], hooks: Hooks = RIGHT) -> Run:
    """The backward pass from the derivatives by some nodes.

    Args:
        graph: the model.
        seeds: derivatives of the cost by nodes, by place.
        hooks: what is done otherwise.
    """
    run = Run(graph)
    sent: dict[int, list[tuple[Node, Array]]] = {}
    last: list[tuple[Node, int]] = []
    for node in reversed(graph.nodes):
        if node.op in ("data", "parameter"):
            continue
        given = sent.pop(node.place, [])
        if node.place in seeds:
            given = [(node, seeds[node.place]), *given]
        total = hooks.totals.get(node.role) or hooks.totals.get("") or plain_total
        run.delta[node.place] = total(node, given)
        for slot, place in enumerate(node.parents):
            parent = graph.nodes[place]
            if parent.op == "parameter":
                last.append((node, slot))
            elif parent.op != "data":
                sent.setdefault(place, []).append((node, _sent(run, node, slot, hooks)))
    _summed(run, last, hooks)
    return run


def _summed(run: Run, last: list[tuple[Node, int]], hooks: Hooks) -> None:
    """Adds up what tensors are sent, once all derivatives are known, so that any of them can be taken."""
    for node, slot in last:
        tensor = run.graph.nodes[node.parents[slot]].tensor
        part = _sent(run, node, slot, hooks)
        run.gradients[tensor] = run.gradients[tensor] + part if tensor in run.gradients else part
        run.size[tensor] = run.size.get(tensor, 0.0) + float(np.abs(part).sum())


def summed_again(run: Run, hooks: Hooks) -> Run | None:
    """A pass in which only sums of tensors differ from another pass; None where more than that differs."""
    last = [
        (node, slot)
        for node in reversed(run.graph.nodes)
        for slot, place in enumerate(node.parents)
        if run.graph.nodes[place].op == "parameter"
    ]
    touched = {run.graph.nodes[n.parents[k]].tensor for n, k in last if (n.role, k) in hooks.messages}
    if hooks.totals or not set(hooks.messages) <= {(node.role, slot) for node, slot in last}:
        return None
    other = Run(run.graph, run.delta)
    _summed(other, [(n, k) for n, k in last if run.graph.nodes[n.parents[k]].tensor in touched], hooks)
    return Run(run.graph, run.delta, {**run.gradients, **other.gradients}, {**run.size, **other.size})


def _sent(run: Run, node: Node, slot: int, hooks: Hooks) -> Array:
    edge = Edge(run, node, slot, run.delta[node.place])
    hook = hooks.messages.get((node.role, slot))
    return edge.message() if hook is None else hook(edge)
