"""Slips where derivatives meet: a branch left out or counted twice, an example or an output left out on the way.

A branch left out is ``missing-path``, counted twice ``accumulated``, changed in place before it is used ``aliasing``.
"""

from collections.abc import Iterator

import numpy as np

from gradproof._diagnosis.graph import Array, Edge, Flow, Graph, Swap
from gradproof._diagnosis.graph_slip import GraphSlip, nothing, twice, without
from gradproof._diagnosis.recognised import Recognised


def slips(known: Recognised) -> Iterator[GraphSlip]:
    """All slips in what comes back to a node."""
    graph = known.graph
    for n, node in enumerate(graph.nodes):
        if node.tensor >= 0 or node.kind == "data":
            continue
        users = graph.users(n)
        if len(users) > 1:
            for edge in users:
                yield from _branch(graph, n, edge)
        yield from _left_out(graph, n)


def _branch(graph: Graph, n: int, edge: Edge) -> Iterator[GraphSlip]:
    """One of several branches that lead back to a node."""
    node, user = graph.nodes[n], graph.nodes[edge.node]
    skip = user.kind == "sum"
    name = f"the skip connection to {user.name}" if skip else f"{user.name}"
    yield GraphSlip(
        "missing-path", "skip connection left out" if skip else "only the skip connection", {edge: nothing},
        f"What comes back to {node.name} through {name} is left out.",
        f"Add what comes back through {name} to the other branch, with += where = overwrites it.",
        kind=f"missing {user.kind}", also=("overwritten",),
    )  # fmt: skip
    yield GraphSlip(
        "accumulated", "skip connection twice" if skip else "a branch twice", {edge: twice},
        f"What comes back to {node.name} through {name} is added twice.", "Add it once.",
        kind=f"twice {user.kind}", also=("factor", "missing-path"),
    )  # fmt: skip
    if not skip:
        return
    for other in user.inputs:
        made = graph.nodes[other]
        if other != n and made.kind == "activation":
            slope = made.about.slope(graph.nodes[made.inputs[0]].value)
            yield GraphSlip(
                "aliasing", "changed in place before the skip connection", {edge: _times(slope)},
                f"{name.capitalize()} brings back the derivative after the activation of layer {user.layer}, as if it "
                "were multiplied in place by the derivative of the activation.",
                "Keep what has come back for the skip connection: multiply into another array.",
                kind="in place", also=("activation-derivative",),
            )  # fmt: skip


def _times(slope: Array) -> Swap:
    return lambda goes, came, flow: np.asarray(goes * slope)


def _left_out(graph: Graph, n: int) -> Iterator[GraphSlip]:
    """An example or a unit left out of all that comes back to a node."""
    node, m = graph.nodes[n], graph.examples
    at = "the derivative of the cost by the output" if n == graph.output else f"the derivative by {node.name}"
    if m > 1 and len(node.value) == m:
        for e, words in ((m - 1, "last"), (0, "first")):
            yield GraphSlip(
                "missing-path", f"the {words} example left out", {Edge(n, -1): without(e)},
                f"On the way back the {words} example is left out from {at} on.",
                "Let the loop or slice cover all examples.", also=("region",),
            )  # fmt: skip
    if node.value.ndim == 2 and node.value.shape[1] > 1:
        for unit, words in ((node.value.shape[1] - 1, "last"), (0, "first")):
            yield GraphSlip(
                "region", f"the {words} unit left out", {Edge(n, -1): _without_unit(unit)},
                f"On the way back the {words} unit is left out from {at} on.",
                "Let the loop or slice cover all units.", also=("missing-path",),
            )  # fmt: skip


def _without_unit(unit: int) -> Swap:
    def swap(goes: Array, came: Array, flow: Flow) -> Array:
        changed = goes.copy()
        changed[:, unit] = 0.0
        return changed

    return swap
