"""The user's network recognised among the graphs that it may be, by its gradient.

The decision behind it: as with dense networks a graph is only believed where its gradient agrees with every right
gradient and with every measured projection of the wrong ones, to all their digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gradproof._diagnosis.blueprints import graphs
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.graph import Array, Flow, Graph, Swaps, backward
from gradproof._diagnosis.losses import Loss, losses
from gradproof._diagnosis.rebuilding import coefficients, same

#: Examples beyond which no batch is worked out again.
EXAMPLES = 500
#: A gradient of less than this share of the largest is zero but for rounding.
ZERO = 1e-12
#: Outputs larger than this come from another network.
HUGE = 1e30


@dataclass(frozen=True, eq=False)
class Recognised:
    """A graph whose gradient is the measured one.

    Attributes:
        case: what it was recognised in.
        graph: the forward pass.
        loss: the cost.
        delta: the derivative of the cost by the output.
        decays: the coefficient of the L2 term in the gradient of each tensor that has one.
    """

    case: Case
    graph: Graph
    loss: Loss
    delta: Array
    decays: Mapping[int, float] = field(default_factory=dict)

    def claimed(self, swaps: Swaps | None = None, delta: Array | None = None) -> dict[int, Array]:
        """The gradients by tensor of a backward pass that does some steps otherwise."""
        with np.errstate(all="ignore"):
            flow = backward(self.graph, self.delta if delta is None else delta, swaps)
        return {i: self.of(flow, i) for i in self.graph.parameters}

    def of(self, flow: Flow, tensor: int) -> Array:
        """The gradient of one tensor, in its shape."""
        theta = self.case.thetas[tensor]
        data = flow.gradient(self.graph.parameters[tensor]).reshape(theta.shape)
        decay = self.decays.get(tensor, 0.0)
        return np.asarray(data + decay * theta if decay else data)


def recognise(case: Case) -> Recognised | None:
    """The user's network on the whole batch; None where none is found whose gradient is the measured one."""
    if not case.lab.data or not 0 < case.lab.examples <= EXAMPLES:
        return None
    known = [loss for loss in losses(case.lab.options) if not loss.epsilon]
    for graph in graphs(case):
        if set(graph.parameters) != set(range(len(case.tensors))):
            continue
        Z, Y = graph.nodes[graph.output].value.T, graph.labels.T
        for loss in known:
            with np.errstate(all="ignore"):
                delta = loss.delta(Z, Y).T
            if np.all(np.abs(delta) < HUGE) and np.any(delta):
                found = _with(case, graph, loss, delta)
                if found is not None:
                    return found
    return None


def _with(case: Case, graph: Graph, loss: Loss, delta: Array) -> Recognised | None:
    """The graph with the cost, its factor and its L2 terms; None where they do not give the measured gradient."""
    last, bias = _last(graph)
    if bias is not None and not _along(case, bias, delta.sum(axis=0)):
        return None
    x = graph.nodes[graph.nodes[last].inputs[0]].value
    tensor = graph.nodes[graph.nodes[last].inputs[1]].tensor
    term = graph.nodes[last].about.to_weight(x, delta)
    if not np.any(term) or len(graph.users(graph.parameters[tensor])) > 1:
        return None
    found = coefficients(case, tensor, term)
    if found is None:
        return None
    scaled = found[0] * delta
    plain = Recognised(case, graph, loss, scaled)
    gradients = plain.claimed()
    decays = _decays(case, gradients, found[1])
    return None if decays is None else Recognised(case, graph, loss, scaled, decays)


def _last(graph: Graph) -> tuple[int, int | None]:
    """The last product, and the tensor that is added to it."""
    end = graph.nodes[graph.output]
    if end.kind == "shift":
        return end.inputs[0], graph.nodes[end.inputs[1]].tensor
    return graph.output, None


def _along(case: Case, bias: int, term: Array) -> bool:
    """Whether the gradient of the last biases has the right direction, where that is known: a quick test."""
    if case.verdicts.get(bias) != "correct" or bias not in case.claims or case.tensors[bias].size < 2:
        return True
    claim = case.claims[bias].ravel()
    both = float(np.linalg.norm(claim) * np.linalg.norm(term))
    return abs(abs(float(claim @ term)) - both) <= 1e-6 * both


def _decays(case: Case, gradients: Mapping[int, Array], decay: float) -> dict[int, float] | None:
    """Which tensors have the L2 term; None where some gradient is not the measured one either way."""
    floor = ZERO * max(float(np.linalg.norm(g)) for g in gradients.values())
    found: dict[int, float] = {}
    seen = 0
    for i, gradient in gradients.items():
        options = [0.0] if not decay else [0.0, decay] if gradient.ndim < 2 else [decay, 0.0]
        agreeing = [_agrees(case, i, gradient + c * case.thetas[i], floor) for c in options]
        if all(a is None for a in agreeing):
            if len(options) > 1 and options[0]:
                found[i] = options[0]
            continue
        if True not in agreeing:
            return None
        seen += 1
        if options[agreeing.index(True)]:
            found[i] = options[agreeing.index(True)]
    return found if seen > 1 else None


def _agrees(case: Case, tensor: int, gradient: Array, floor: float) -> bool | None:
    """Whether a gradient is the right one; None where the right one is not known."""
    suspect = case.suspects.get(tensor)
    if suspect is not None and suspect.clear:
        return suspect.leaves_nothing(gradient)
    if case.verdicts.get(tensor) == "correct" and tensor in case.claims:
        return same(gradient, case.claims[tensor], floor=floor)
    return None
