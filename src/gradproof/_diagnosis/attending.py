"""Self-attention with one head as a graph: dense layers before and after, a skip around it, padding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation, activations
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.models import Akin, Model, sequences, with_examples_first
from gradproof._diagnosis.unrolled import Graph, Node

Array = NDArray[Any]
#: What the roles are called.
WORDS = {
    "x": "the input", "before": "the pre-activation of the first layer", "e": "the output of the first layer",
    "q": "Q", "k": "K", "v": "V", "c": "the mix of the values", "attended": "the output of the attention",
    "sum": "the sum with the skip connection", "scores": "the scores", "p": "the attention weights",
    "output": "the output",
}  # fmt: skip
#: Names of the three, by their last letter or by words.
NAMED = (("q", "query"), ("k", "key"), ("v", "value"))


@dataclass(frozen=True, eq=False)
class Parts:
    """The tensors of a model with attention: weights and biases of each part, biases -1 where there are none.

    Attributes:
        first: the dense layer before.
        three: those of queries, keys and values.
        onto: what the mix of the values is multiplied with.
        last: the dense layer after.
        arrays: all of them as (outputs, inputs) or flat.
        turned: whether they are stored the other way round.
    """

    first: tuple[int, int] | None
    three: tuple[tuple[int, int], ...]
    onto: tuple[int, int] | None
    last: tuple[int, int] | None
    arrays: dict[int, Array]
    turned: bool


@dataclass(frozen=True, eq=False)
class Way:
    """How the parts work together.

    Attributes:
        act: activation of the first layer.
        skip: whether its output is added to that of the attention.
        scale: of the scores.
        mask: keys that count, None for all.
    """

    act: Activation
    skip: bool
    scale: float
    mask: Array | None


def models(case: Case) -> Iterator[Model]:
    """Readings of the problem as attention, the likeliest first."""
    data = with_examples_first(case)
    if data is None or any(t.complex for t in case.tensors) or not 3 <= len(case.tensors) <= 12:
        return
    for parts in _parts(case):
        weights = frozenset(i for i, array in parts.arrays.items() if parts.turned and array.ndim == 2)
        width = parts.arrays[(parts.first or parts.three[0])[0]].shape[1]
        for k, array in enumerate(data):
            for X in sequences(array, width):
                others = [other for j, other in enumerate(data) if j != k]
                for way in _ways(case, parts, X, others):
                    reading = Reading(case, parts, X, way, weights)
                    yield from _with_labels(reading, others)


@dataclass(frozen=True, eq=False)
class Reading:
    """Tensors, inputs and a way to work together.

    Attributes:
        case: the problem.
        parts: the tensors.
        X: the inputs.
        way: how the parts work together.
        turned: matrices that are stored the other way round.
    """

    case: Case
    parts: Parts
    X: Array
    way: Way
    turned: frozenset[int]

    def graph(self) -> Graph:
        """The forward pass."""
        with np.errstate(all="ignore"):
            return _graph(self.parts, self.X, self.way)


def _with_labels(reading: Reading, others: Sequence[Array]) -> Iterator[Model]:
    graph, mask = reading.graph(), reading.way.mask
    out = graph.at["output", -1]
    for other in others:
        for Y in sequences(other, out.value.shape[-1]):
            if Y.shape == out.value.shape:
                for counts in (mask, None) if mask is not None else (None,):
                    model = Model(graph, (out.place,), (Y,), counts, reading.turned, WORDS)
                    yield replace(model, akin=_akin(reading, model))


def _akin(reading: Reading, model: Model) -> Callable[[], Iterator[Akin]]:
    """The same with another scale, and without the mask."""
    own = reading.way.scale

    def of(way: Way) -> Model:
        graph = replace(reading, way=way).graph()
        return replace(model, graph=graph, outputs=(graph.at["output", -1].place,))

    def every() -> Iterator[Akin]:
        for scale in _scales(reading.case, reading.parts):
            if scale != own:
                yield Akin(
                    of(replace(reading.way, scale=scale)), "configuration", f"scale {scale:.3g} for {own:.3g}",
                    f"The gradient is that of scores times {scale:.6g}, but the cost multiplies them by {own:.6g}.",
                    "Pass the same scale to the backward pass.", ("factor",),
                )  # fmt: skip
        if reading.way.mask is not None:
            yield Akin(
                of(replace(reading.way, mask=None)), "region", "padding not masked",
                "The gradient is that of attention to every position, but the cost leaves out those that do not "
                "count.", "Mask the scores in the backward pass as in the cost.", ("wrong-cache",),
            )  # fmt: skip

    return every


def _ways(case: Case, parts: Parts, X: Array, others: Sequence[Array]) -> Iterator[Way]:
    flags = [other for other in others if other.shape == X.shape[:2] and np.all((other == 0) | (other == 1))]
    masks = [other.astype(np.float64) for other in flags]
    acts = activations(case.lab.options) if parts.first else activations({})[:1]
    for mask, act, skip, scale in product((*masks, None), acts, (True, False), _scales(case, parts)):
        yield Way(act, skip, scale, mask)


def _scales(case: Case, parts: Parts) -> list[float]:
    """What scores may be multiplied by: a number of the user's, 1/sqrt(d), 1."""
    width = len(parts.arrays[parts.three[0][0]])
    own = [float(v) for v in case.lab.options.values() if isinstance(v, float) and v > 0.0]
    return [float(scale) for scale in dict.fromkeys((1.0 / np.sqrt(width), *own, 1.0))]


def _parts(case: Case) -> Iterator[Parts]:
    pairs = _pairs(case)
    shapes = [case.tensors[w].shape for w, _ in pairs]
    for at in range(len(pairs) - 2):
        after = pairs[at + 3 :]
        if at > 1 or len(after) > 2 or len({tuple(s) for s in shapes[at : at + 3]}) != 1:
            continue
        first = pairs[0] if at else None
        three = _by_name(case, pairs[at : at + 3])
        onto, last = (after[0] if after else None), (after[1] if len(after) > 1 else None)
        readings = [(onto, last)] if last or not onto else [(onto, None), (None, onto)]
        for (o, e), turned in product(readings, (True, False)):
            arrays: dict[int, Array] = {}
            for weight, bias in (p for p in (first, *three, o, e) if p):
                arrays[weight] = case.thetas[weight].T if turned else case.thetas[weight]
                if bias >= 0:
                    arrays[bias] = case.thetas[bias].ravel()
            chain = [arrays[p[0]].shape for p in (first, three[2], o, e) if p]
            fits = all(a[0] == b[1] for a, b in pairwise(chain))
            if fits and all(
                b < 0 or arrays[b].size == len(arrays[w]) for w, b in (p for p in (first, *three, o, e) if p)
            ):
                yield Parts(first, three, o, e, arrays, turned)


def _pairs(case: Case) -> list[tuple[int, int]]:
    """Weights with their biases, in the user's order; nothing where they cannot be told."""
    pairs = []
    for layer in case.layers:
        if len(layer.weights) != 1 or len(layer.biases) > 1 or case.thetas[layer.weights[0]].ndim != 2:
            return []
        pairs.append((layer.weights[0], layer.biases[0] if layer.biases else -1))
    return pairs


def _by_name(case: Case, three: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Queries, keys and values by their names, else in this order."""
    found = []
    for letter, word in NAMED:
        mine = [p for p in three if (name := case.tensors[p[0]].name.lower()).endswith(letter) or word in name]
        if len(mine) != 1:
            return tuple(three)
        found.append(mine[0])
    return tuple(found)


def _dense(graph: Graph, parts: Parts, role: str, pair: tuple[int, int], x: Node) -> Node:
    weight, bias = pair
    name = role if bias < 0 else f"{role}, without biases"
    made = graph.make("linear", name, x, graph.parameter(weight, parts.arrays[weight]))
    return made if bias < 0 else graph.make("bias", role, made, graph.parameter(bias, parts.arrays[bias]))


def _graph(parts: Parts, X: Array, way: Way) -> Graph:
    graph = Graph()
    e = graph.data("x", X)
    if parts.first:
        e = graph.make("act", "e", _dense(graph, parts, "before", parts.first, e), setting=way.act)
    q, k, v = (_dense(graph, parts, role, pair, e) for role, pair in zip("qkv", parts.three, strict=True))
    scores = graph.make("scores", "scores", q, k, setting=way.scale)
    p = graph.make("softmax", "p", scores, setting=way.mask)
    out = graph.make("mix", "c", p, v)
    if parts.onto:
        out = _dense(graph, parts, "attended", parts.onto, out)
    if way.skip and out.value.shape == e.value.shape:
        out = graph.make("add", "sum", e, out)
    if parts.last:
        _dense(graph, parts, "output", parts.last, out)
    else:
        graph.at["output", -1] = out
    return graph
