"""Recurrent models as graphs: the plain cell and the GRU, with an output at every step or at the last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import SIGMOID, TANH, Activation, activations
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.models import Model, sequences, states, with_examples_first
from gradproof._diagnosis.unrolled import Graph, Node

Array = NDArray[Any]
#: Tensors of each gate in their order: from the input, from the state, biases.
PER_GATE = 3
#: What the roles are called.
WORDS = {
    "x": "the input", "h": "the state", "z": "the pre-activation of the state", "output": "the output",
    "gate z": "the update gate", "gate r": "the reset gate", "gate n": "the candidate state",
    "reset": "the state times the reset gate", "z of z": "the pre-activation of the update gate",
    "z of r": "the pre-activation of the reset gate", "z of n": "the pre-activation of the candidate state",
    "kept part": "the update gate times the state", "new part": "what is new in the state",
}  # fmt: skip
LESS = Activation("1 - z", lambda z: 1.0 - z, lambda z: np.full_like(z, -1.0))


@dataclass(frozen=True, eq=False)
class Cell:
    """The tensors of a recurrent model.

    Attributes:
        gates: (from the input, from the state, biases) of each gate.
        readout: weights and biases of the output; biases -1 where there are none.
        arrays: all of them as (outputs, inputs) or flat.
        turned: matrices that are stored the other way round.
    """

    gates: tuple[tuple[int, int, int], ...]
    readout: tuple[int, int]
    arrays: dict[int, Array]
    turned: frozenset[int]


def models(case: Case) -> Iterator[Model]:
    """Readings of the problem as a recurrent model, the likeliest first."""
    data = with_examples_first(case)
    if data is None or any(t.complex for t in case.tensors) or not 4 <= len(case.tensors) <= 11:
        return
    for cell in [*_plain(case), *_gated(case)]:
        width = cell.arrays[cell.gates[0][0]].shape[1]
        for k, array in enumerate(data):
            for X in sequences(array, width):
                others = [other for j, other in enumerate(data) if j != k]
                yield from _of_inputs(case, cell, X, others)


def _of_inputs(case: Case, cell: Cell, X: Array, others: Sequence[Array]) -> Iterator[Model]:
    n = cell.arrays[cell.gates[0][1]].shape[0]
    starts = [state for other in others for state in states(other, n) if other.dtype.kind == "f"]
    acts = activations(case.lab.options) if len(cell.gates) == 1 else (TANH,)
    for start in (*starts, np.zeros((len(X), n))):
        for act in acts:
            with np.errstate(all="ignore"):
                graph = _plain_graph(cell, X, start, act) if len(cell.gates) == 1 else _gated_graph(cell, X, start)
            yield from _with_labels(cell, graph, X.shape[1], others)


def _with_labels(cell: Cell, graph: Graph, steps: int, others: Sequence[Array]) -> Iterator[Model]:
    outputs = tuple(graph.at["output", t].place for t in range(steps))
    width = graph.nodes[outputs[0]].value.shape[-1]
    for other in others:
        for Y in sequences(other, width) if other.ndim == 3 or width > 1 else ():
            if Y.shape[1] == steps:
                each = tuple(Y[:, t] for t in range(steps))
                leftover = dict(zip(outputs[:-1], each[:-1], strict=True))
                yield Model(graph, outputs, each, None, cell.turned, WORDS)
                yield Model(graph, outputs[-1:], each[-1:], None, cell.turned, WORDS, leftover)
        if other.ndim < 3:
            for y in states(other, width):
                yield Model(graph, outputs[-1:], (y,), None, cell.turned, WORDS)


def _plain(case: Case) -> Iterator[Cell]:
    """The plain cell: from the input, from the state, biases; and an output."""
    tensors = range(len(case.tensors))
    if len(tensors) not in (4, 5):
        return
    for chosen in permutations(tensors, len(tensors)):
        wx, wh, b, wy = chosen[:4]
        by = chosen[4] if len(tensors) == 5 else -1
        yield from _cells(case, ((wx, wh, b),), (wy, by))


def _gated(case: Case) -> Iterator[Cell]:
    """The GRU: update gate, reset gate, candidate, in that order, and an output."""
    count = len(case.tensors)
    if count != PER_GATE * PER_GATE + 2:
        return
    tensors = list(range(count))
    for by_kind in (False, True):
        three = [tensors[k:9:3] if by_kind else tensors[3 * k : 3 * k + 3] for k in range(3)]
        for one, two, three_ in permutations(three):
            for first, second in ((0, 1), (1, 0)):
                gates = tuple((g[first], g[second], g[2]) for g in (one, two, three_))
                yield from _cells(case, gates, (9, 10))


def _cells(case: Case, gates: tuple[tuple[int, int, int], ...], readout: tuple[int, int]) -> Iterator[Cell]:
    n = case.tensors[gates[0][2]].size
    thetas = {i: np.asarray(case.thetas[i]) for gate in gates for i in gate}
    thetas |= {i: np.asarray(case.thetas[i]) for i in readout if i >= 0}
    classes = thetas[readout[0]].size // n
    for turned in (False, True):
        shapes = {readout[0]: (classes, n)}
        for wx, wh, _ in gates:
            shapes |= {wx: (n, thetas[wx].size // n), wh: (n, n)}
        if all(_fits(thetas[i], shape, turned) for i, shape in shapes.items()) and all(
            thetas[i].size == size for i, size in ((readout[1], classes), *((b, n) for _, _, b in gates)) if i >= 0
        ):
            arrays = {i: np.asarray(theta, dtype=np.float64).ravel() for i, theta in thetas.items()}
            for i, shape in shapes.items():
                arrays[i] = thetas[i].reshape(shape[::-1]).T if turned else thetas[i].reshape(shape)
            yield Cell(gates, readout, arrays, frozenset(shapes) if turned else frozenset())


def _fits(theta: Array, shape: tuple[int, int], turned: bool) -> bool:
    wanted = shape[::-1] if turned else shape
    return theta.shape == wanted or (1 in shape and theta.shape in ((max(shape),), wanted))


def _add(graph: Graph, cell: Cell, role: str, gate: tuple[int, int, int], x: Node, h: Node, step: int) -> Node:
    """What a gate takes from the input and the state."""
    wx, wh, b = (graph.parameter(i, cell.arrays[i]) for i in gate)
    one = graph.make("linear", f"{role}, from the input", x, wx, step=step)
    two = graph.make("linear", f"{role}, from the state", h, wh, step=step)
    both = graph.make("add", f"{role}, without biases", one, two, step=step)
    return graph.make("bias", role, both, b, step=step)


def _output(graph: Graph, cell: Cell, h: Node, step: int) -> None:
    weight, bias = cell.readout
    role = "output" if bias < 0 else "output, without biases"
    out = graph.make("linear", role, h, graph.parameter(weight, cell.arrays[weight]), step=step)
    if bias >= 0:
        graph.make("bias", "output", out, graph.parameter(bias, cell.arrays[bias]), step=step)


def _plain_graph(cell: Cell, X: Array, start: Array, act: Activation) -> Graph:
    graph = Graph()
    h = graph.data("h", start, -1)
    for t in range(X.shape[1]):
        x = graph.data("x", X[:, t], t)
        h = graph.make("act", "h", _add(graph, cell, "z", cell.gates[0], x, h, t), step=t, setting=act)
        _output(graph, cell, h, t)
    return graph


def _gated_graph(cell: Cell, X: Array, start: Array) -> Graph:
    graph = Graph()
    h = graph.data("h", start, -1)
    for t in range(X.shape[1]):
        x = graph.data("x", X[:, t], t)
        z, r = (
            graph.make("act", f"gate {k}", _add(graph, cell, f"z of {k}", gate, x, h, t), step=t, setting=SIGMOID)
            for k, gate in zip("zr", cell.gates[:2], strict=True)
        )
        reset = graph.make("times", "reset", r, h, step=t)
        before = _add(graph, cell, "z of n", cell.gates[2], x, reset, t)
        n = graph.make("act", "gate n", before, step=t, setting=TANH)
        fresh = graph.make("times", "new part", graph.make("act", "1 - z", z, step=t, setting=LESS), n, step=t)
        kept = graph.make("times", "kept part", z, h, step=t)
        h = graph.make("add", "h", fresh, kept, step=t)
        _output(graph, cell, h, t)
    return graph
