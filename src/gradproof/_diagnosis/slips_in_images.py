"""Slips that only images and tables can have: overlapping windows, repeated rows, edges and positions left out.

A contribution that another one overwrites is ``overwritten``, an edge or a position left out ``region``, a sum over
positions that stops at one of them ``bias-reduction``, inputs read one place off ``wrong-cache``.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.graph import Array, Edge, Flow, Graph, Swap
from gradproof._diagnosis.graph_slip import GraphSlip
from gradproof._diagnosis.images import Pooled, rimmed, to_kernel, unpooled
from gradproof._diagnosis.operations import Linear, Looked
from gradproof._diagnosis.recognised import Recognised


def slips(known: Recognised) -> Iterator[GraphSlip]:
    """All slips in images and tables."""
    graph = known.graph
    for n, node in enumerate(graph.nodes):
        if node.kind == "pool":
            yield from _pooling(graph, n)
        elif node.kind == "rows":
            yield from _looking_up(graph, n)
        elif node.kind == "convolution":
            yield from _rolled(graph, n)
        elif node.kind == "shift" and node.value.ndim > 2:
            yield from _positions(graph, n)
        if node.value.ndim > 2 and node.inputs:
            yield from _edges(graph, n)


def _pooling(graph: Graph, n: int) -> Iterator[GraphSlip]:
    node = graph.nodes[n]
    about: Pooled = node.about
    X = graph.nodes[node.inputs[0]].value
    at = f"The step back through the windows of layer {node.layer}"
    variants = (
        ("overwritten", "assign", "assigns where windows overlap, so that a cell keeps one window's share alone",
         "Add up (+=) what windows hand to a cell."),
        ("tie", "ties", "hands the whole derivative to every cell that ties for the largest",
         "Hand it to one of them, or share it."),
        ("wrong-cache", "mean", "shares the derivative among all cells of a window, as for a mean",
         "Hand it to the cell that was the largest in the forward pass."),
        ("wrong-cache", "first", "hands the derivative to the first cell of each window",
         "Hand it to the cell that was the largest in the forward pass."),
    )  # fmt: skip
    for cause, how, words, fix in variants:
        yield GraphSlip(
            cause, f"windows: {how}", {Edge(n, 0): _unpooled(X, about, how)}, f"{at} {words}.", fix, kind=f"pool {how}"
        )


def _unpooled(X: Array, about: Pooled, how: str) -> Swap:
    return lambda goes, came, flow: unpooled(came, X, about, how)


def _looking_up(graph: Graph, n: int) -> Iterator[GraphSlip]:
    node = graph.nodes[n]
    about: Looked = node.about
    name = graph.nodes[node.inputs[0]].name
    fix = f"Add up contributions with np.add.at(d{name}, indices, d) instead of d{name}[indices] = d or += d."

    def scattered(of: Callable[[Array, Array, Array], None]) -> Swap:
        def swap(goes: Array, came: Array, flow: Flow) -> Array:
            made = np.zeros_like(goes)
            of(made, about.indices, about.each(came))
            return made

        return swap

    for of, words in ((_assigned, "repeated indices"), (_once_an_example, "indices repeated within an example")):
        yield GraphSlip(
            "overwritten", words, {Edge(n, 0): scattered(of)},
            f"Of rows of {name} that are looked up more than once, contributions are overwritten instead of added"
            f" ({words}).",
            fix,
        )  # fmt: skip
    counts = np.maximum(np.bincount(about.indices.ravel(), minlength=len(graph.nodes[node.inputs[0]].value)), 1)
    for times, words in ((1.0 * counts, "multiplied"), (1.0 / counts, "divided")):
        yield GraphSlip(
            "accumulated", f"{words} by the counts", {Edge(n, 0): _times(times[:, None])},
            f"Each row of the gradient of {name} is {words} by the number of times that the row is looked up.",
            "Add every contribution once, and leave the counts out.", also=("overwritten",),
        )  # fmt: skip
    positions = about.indices.shape[1]
    if positions > 1:
        for chosen, words in (
            (slice(0, -1), "the last position left out"),
            (slice(1, None), "the first position left out"),
            (slice(0, 1), "only the first position"),
            (slice(-1, None), "only the last position"),
        ):
            yield GraphSlip(
                "region", words, {Edge(n, 0): scattered(_only(chosen))},
                f"Of the positions that {name} is looked up at, {words.replace(' left out', ' is left out')}"
                + ("." if "left" in words else " is kept."),
                "Let the loop or slice cover all positions.", also=("missing-path",),
            )  # fmt: skip


def _times(by: Array) -> Swap:
    return lambda goes, came, flow: goes * by


def _assigned(made: Array, indices: Array, each: Array) -> None:
    made[indices] = each


def _once_an_example(made: Array, indices: Array, each: Array) -> None:
    for row, values in zip(indices, each, strict=True):
        made[row] += values


def _only(chosen: slice) -> Callable[[Array, Array, Array], None]:
    return lambda made, indices, each: np.add.at(made, indices[:, chosen], each[:, chosen])


def _rolled(graph: Graph, n: int) -> Iterator[GraphSlip]:
    """The gradient of a kernel with its input read one place off."""
    node = graph.nodes[n]
    how: Linear = node.about
    x, kernel = graph.nodes[node.inputs[0]], graph.nodes[node.inputs[1]]
    around = rimmed(x.value, how.rim)
    for axis, along in ((2, "down"), (3, "across")):
        for by in (1, -1):
            yield GraphSlip(
                "wrong-cache", f"the input of {kernel.name} one place {along}",
                {Edge(n, 1): _of_input(np.roll(around, by, axis=axis))},
                f"The gradient of {kernel.name} is computed with {x.name} read one place off ({along}).",
                f"Use {x.name} at the places that {kernel.name} met in the forward pass.",
            )  # fmt: skip


def _of_input(around: Array) -> Swap:
    return lambda goes, came, flow: to_kernel(around, came, 0)


def _positions(graph: Graph, n: int) -> Iterator[GraphSlip]:
    node = graph.nodes[n]
    bias = graph.nodes[node.inputs[1]]
    for index, words in (((0, 0), "first"), ((-1, -1), "last")):
        yield GraphSlip(
            "bias-reduction", f"{words} position only", {Edge(n, 1): _of_position(index)},
            f"The gradient of {bias.name} is that of the {words} position of the image alone.",
            "Sum over examples, height and width.",
        )  # fmt: skip


def _of_position(index: tuple[int, int]) -> Swap:
    return lambda goes, came, flow: np.asarray(came[:, :, index[0], index[1]].sum(axis=0))


def _edges(graph: Graph, n: int) -> Iterator[GraphSlip]:
    node = graph.nodes[n]
    for axis, what in ((2, "row"), (3, "column")):
        for at, words in ((-1, "last"), (0, "first")):
            yield GraphSlip(
                "region", f"{words} {what} of the image left out", {Edge(n, -1): _without(axis, at)},
                f"On the way back the {words} {what} of every image is left out from the derivative by {node.name} on.",
                "Let the loop or slice cover the whole image.", also=("missing-path",),
            )  # fmt: skip


def _without(axis: int, at: int) -> Swap:
    def swap(goes: Array, came: Array, flow: Flow) -> Array:
        changed = goes.copy()
        np.moveaxis(changed, axis, 0)[at] = 0.0
        return changed

    return swap
