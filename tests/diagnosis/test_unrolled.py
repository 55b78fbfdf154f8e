"""The backward pass of a graph, held against differences of its forward pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradproof._diagnosis.activations import SIGMOID, TANH
from gradproof._diagnosis.unrolled import Graph, Hooks, backward, plain_total, summed_again

Array = Any
RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4, 5))
P = {0: RNG.normal(size=(5, 5)), 1: RNG.normal(size=5), 2: RNG.normal(size=(5, 5)), 3: RNG.normal(size=(5, 5))}
SEED = RNG.normal(size=(3, 4, 5))
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=float)


def attention(p: dict[int, Array]) -> Graph:
    graph = Graph()
    x = graph.data("x", X)
    e = graph.make("act", "e", graph.make("linear", "z", x, graph.parameter(0, p[0])), setting=TANH)
    q = graph.make("bias", "q", graph.make("linear", "q0", e, graph.parameter(2, p[2])), graph.parameter(1, p[1]))
    k = graph.make("linear", "k", e, graph.parameter(3, p[3]))
    s = graph.make("scores", "s", q, k, setting=0.7)
    c = graph.make("mix", "c", graph.make("softmax", "p", s, setting=MASK), e)
    graph.make("add", "out", e, c)
    return graph


def steps(p: dict[int, Array]) -> Graph:
    graph = Graph()
    h = graph.data("h", X[:, 0] * 0)
    for t in range(4):
        x = graph.data("x", X[:, t], t)
        one = graph.make("linear", "from x", x, graph.parameter(0, p[0]), step=t)
        two = graph.make("linear", "from h", h, graph.parameter(2, p[2]), step=t)
        both = graph.make("add", "both", one, two, step=t)
        gate = graph.make(
            "act", "gate", graph.make("bias", "z", both, graph.parameter(1, p[1]), step=t), setting=SIGMOID
        )
        h = graph.make("times", "h", gate, graph.make("linear", "new", x, graph.parameter(3, p[3]), step=t), step=t)
    graph.make("add", "out", h, h)
    return graph


def value(graph: Graph) -> float:
    out = graph.at["out", -1].value
    return float(np.sum(out * SEED.reshape(-1, *out.shape[1:])[: len(out)]))


def passed(graph: Graph, hooks: Hooks | None = None) -> Any:
    out = graph.at["out", -1]
    return backward(graph, {out.place: SEED.reshape(-1, *out.value.shape[1:])[: len(out.value)]}, hooks or Hooks())


@pytest.mark.parametrize("make", [attention, steps])
def test_gradients(make: Callable[[dict[int, Array]], Graph]) -> None:
    run = passed(make(P))
    for tensor, array in P.items():
        direction = RNG.normal(size=array.shape)
        h = 1e-5
        up, down = ({**P, tensor: array + sign * h * direction} for sign in (1.0, -1.0))
        slope = (value(make(up)) - value(make(down))) / (2 * h)
        assert np.sum(run.gradients[tensor] * direction) == pytest.approx(slope, rel=1e-7), tensor


def test_hooks_change_what_they_name_and_what_comes_after() -> None:
    graph = steps(P)
    right = passed(graph)
    sign = passed(graph, Hooks({("from h", 0): lambda edge: -edge.message()}))
    last = graph.at["z", 3].place
    np.testing.assert_array_equal(sign.delta[last], right.delta[last])
    assert not np.allclose(sign.gradients[0], right.gradients[0])
    none = passed(graph, Hooks({}, {"gate": lambda node, sent: 0.0 * plain_total(node, sent)}))
    assert not np.any(none.gradients[0])
    assert np.any(none.gradients[3])


def test_sums_of_tensors_alone_are_made_again() -> None:
    graph = steps(P)
    right = passed(graph)
    twice = Hooks({("z", 1): lambda edge: 2.0 * edge.message()})
    again, whole = summed_again(right, twice), passed(graph, twice)
    assert again is not None
    for tensor in P:
        np.testing.assert_array_equal(again.gradients[tensor], whole.gradients[tensor])
    np.testing.assert_allclose(again.gradients[1], 2.0 * right.gradients[1])
    assert summed_again(right, Hooks({("z", 0): lambda edge: edge.message()})) is None
