"""Slips in the gradient of one parameter alone: what its operation makes of it takes another array, or not all of it.

Another array is ``wrong-cache``, an example or a use left out ``missing-path``, one example for all ``bias-reduction``.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.graph import Array, Edge, Flow, Graph, Node, Swap
from gradproof._diagnosis.graph_slip import GraphSlip, cached, nothing, twice
from gradproof._diagnosis.operations import Linear
from gradproof._diagnosis.recognised import Recognised


def slips(known: Recognised) -> Iterator[GraphSlip]:
    """All slips in what operations hand to their parameters."""
    graph = known.graph
    for n, node in enumerate(graph.nodes):
        for k, i in enumerate(node.inputs):
            if graph.nodes[i].tensor < 0:
                continue
            edge = Edge(n, k)
            yield from _another_input(graph, edge)
            yield from _another_error(graph, edge)
            yield from _examples(graph, edge)
    yield from _uses(graph)


def _another_input(graph: Graph, edge: Edge) -> Iterator[GraphSlip]:
    node = graph.nodes[edge.node]
    if node.kind == "shift" or not isinstance(node.about, Linear):
        return
    wanted, tensor = graph.nodes[node.inputs[0]], graph.nodes[node.inputs[1]]
    for _, other in cached(graph, wanted):
        yield GraphSlip(
            "wrong-cache", f"{other.name} for {wanted.name}", {edge: _of_input(node.about, other.value)},
            f"The gradient of {tensor.name} is computed with {other.name} where {wanted.name} belongs.",
            f"Use {wanted.name}, what {tensor.name} met in the forward pass.",
        )  # fmt: skip
    for slope in _slopes(graph, wanted):
        yield GraphSlip(
            "wrong-cache", "the derivative of an activation for the activation",
            {edge: _of_input(node.about, slope)},
            f"The gradient of {tensor.name} is computed with the derivative of an activation where {wanted.name} "
            "belongs.",
            f"Use {wanted.name}, what {tensor.name} met in the forward pass.",
        )  # fmt: skip


def _slopes(graph: Graph, like: Node) -> Iterator[Array]:
    for node in graph.nodes:
        if node.kind == "activation" and node.value.shape == like.value.shape:
            yield node.about.slope(graph.nodes[node.inputs[0]].value)


def _of_input(how: Linear, x: Array) -> Swap:
    return lambda goes, came, flow: how.to_weight(x, came)


def _another_error(graph: Graph, edge: Edge) -> Iterator[GraphSlip]:
    """What came back to another node in place of what came back to this one."""
    node = graph.nodes[edge.node]
    tensor = graph.nodes[node.inputs[edge.input]]
    for n, other in enumerate(graph.nodes):
        if n <= edge.node or other.tensor >= 0 or other.value.shape != node.value.shape:
            continue
        yield GraphSlip(
            "wrong-cache", f"the derivative by {other.name} for that by {node.name}",
            {edge: _of_error(n, node.backs[edge.input])},
            f"The gradient of {tensor.name} is computed with the derivative by {other.name} where that by {node.name} "
            "belongs.",
            f"Use what has come back as far as {node.name}.",
        )  # fmt: skip


def _of_error(other: int, back: Callable[[Array], Array]) -> Swap:
    return lambda goes, came, flow: back(flow.gradient(other))


def _examples(graph: Graph, edge: Edge) -> Iterator[GraphSlip]:
    """One example for the sum, or one left out of it."""
    m = graph.examples
    node = graph.nodes[edge.node]
    tensor, back = graph.nodes[node.inputs[edge.input]], node.backs[edge.input]
    if m < 2 or len(node.value) != m:
        return
    for e, words in ((0, "first"), (m - 1, "last")):
        if node.kind == "shift":
            for by, times in ((1.0, "only"), (float(m), "times m")):
                yield GraphSlip(
                    "bias-reduction", f"{words} example {times}", {edge: _one(back, e, by)},
                    f"The gradient of {tensor.name} is that of the {words} example alone"
                    + (f", times the number of examples, {m}." if by > 1.0 else "."),
                    "Sum over the examples.",
                )  # fmt: skip
        yield GraphSlip(
            "missing-path", f"the {words} example left out", {edge: _all_but(back, e)},
            f"The {words} example is left out of the sum in the gradient of {tensor.name}.",
            "Let the loop or slice cover all examples.", also=("region",),
        )  # fmt: skip


def _one(back: Callable[[Array], Array], example: int, by: float) -> Swap:
    def swap(goes: Array, came: Array, flow: Flow) -> Array:
        alone = np.zeros_like(came)
        alone[example] = came[example]
        return by * back(alone)

    return swap


def _all_but(back: Callable[[Array], Array], example: int) -> Swap:
    def swap(goes: Array, came: Array, flow: Flow) -> Array:
        rest = came.copy()
        rest[example] = 0.0
        return back(rest)

    return swap


def _uses(graph: Graph) -> Iterator[GraphSlip]:
    """A layer that is used several times: one use left out, counted twice, or alone."""
    uses = {i: graph.users(i) for i in graph.parameters.values()}
    again = {i: edges for i, edges in uses.items() if len(edges) > 1}
    if not again:
        return
    count = max(len(edges) for edges in again.values())
    groups = [(i,) for i in again] + ([tuple(again)] if len(again) > 1 else [])
    for group in groups:
        names = " and ".join(graph.nodes[i].name for i in group)
        for use in range(count):
            yield from _of_use(names, [again[i] for i in group], use, count)


def _of_use(names: str, edges: list[list[Edge]], use: int, count: int) -> Iterator[GraphSlip]:
    words = ("first", "second", "third", "fourth")[use]
    here = [row[use] for row in edges if use < len(row)]
    others = [edge for row in edges for k, edge in enumerate(row) if k != use]
    yield GraphSlip(
        "missing-path", f"{words} use of {names} left out", dict.fromkeys(here, nothing),
        f"{names} is used {count} times, and what comes back from its {words} use is left out.".replace(
            f"{names} is", f"{names} {'are' if ' and ' in names else 'is'}"
        ),
        f"Add up the gradients of {names} over all uses.", also=("overwritten",),
    )  # fmt: skip
    if count > 2:
        yield GraphSlip(
            "missing-path", f"only the {words} use of {names}", dict.fromkeys(others, nothing),
            f"Only what comes back from the {words} of {count} uses of {names} is kept.",
            f"Add up the gradients of {names} over all uses.", also=("overwritten",),
        )  # fmt: skip
    yield GraphSlip(
        "accumulated", f"{words} use of {names} twice", dict.fromkeys(here, twice),
        f"What comes back from the {words} use of {names} is counted twice.",
        f"Add up the gradients of {names} over all uses, each of them once.",
    )  # fmt: skip
