"""Slips in the step back through one operation: what goes on below is not what should.

Through weights that is ``transposed``, ``early-update`` or ``wrong-cache``, through an activation
``activation-derivative``, through a norm ``missing-path`` where a branch is left out; a gain or a division that is
left out has no name of its own and is told as ``upstream``, with the place.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradproof._diagnosis.activations import PLAIN, Activation, activations
from gradproof._diagnosis.graph import Array, Edge, Node, Swap
from gradproof._diagnosis.graph_slip import GraphSlip, cached
from gradproof._diagnosis.operations import Linear, Norm, Normed, normalised, through_norm
from gradproof._diagnosis.recognised import Recognised


def slips(known: Recognised) -> Iterator[GraphSlip]:
    """All slips in steps back."""
    for n, node in enumerate(known.graph.nodes):
        match node.kind:
            case "product" | "convolution":
                yield from _through_weights(known, n)
            case "gain":
                yield from _through_gain(known, n)
            case "norm":
                yield from _through_norm(known, n)
            case "activation":
                yield from _through_activation(known, n)


def _through_weights(known: Recognised, n: int) -> Iterator[GraphSlip]:
    graph, node = known.graph, known.graph.nodes[n]
    x, weight = graph.nodes[node.inputs[0]], graph.nodes[node.inputs[1]]
    if x.kind == "data":
        return
    how, W = node.about, weight.value
    edge, at = Edge(n, 0), f"The step back through {weight.name} to {x.name}"
    if W.shape[0] == W.shape[1] and not np.array_equal(W, W.swapaxes(0, 1)):
        yield GraphSlip(
            "transposed", "W for its transpose in the step back", {edge: _by(how, W.swapaxes(0, 1))},
            f"{at} multiplies by {weight.name} the wrong way round.", f"Multiply by the transpose of {weight.name}.",
            kind="transposed",
        )  # fmt: skip
    if W.ndim > 2:
        yield GraphSlip(
            "permuted", "kernel not turned by 180 degrees in the step back", {edge: _by(how, W[..., ::-1, ::-1])},
            f"{at} takes {weight.name} as it is where the kernel turned by 180 degrees belongs, or turns it twice.",
            f"Convolve what has come back with {weight.name} turned along both of its last axes.", kind="permuted",
            also=("transposed",),
        )  # fmt: skip
    decay = known.decays.get(weight.tensor, 0.0)
    for part, c in (("", decay), (" (its L2 term left out)", 0.0)):
        yield GraphSlip(
            "early-update", "", {edge: _less_gradient(how, x.value, W, c)},
            f"{at} uses {weight.name} after it was updated with a learning rate of {{fitted}}{part}.",
            "Compute all gradients first, and update the parameters after that.", fitted="learning rate",
            kind=f"early-update{part}",
        )  # fmt: skip
        yield GraphSlip(
            "wrong-cache", f"the gradient of {weight.name} for {weight.name} in the step back",
            {edge: _by_gradient(how, x.value, W, c)},
            f"{at} takes the gradient of {weight.name}{part} where {weight.name} itself belongs.",
            f"Multiply by {weight.name}.",
        )  # fmt: skip
    for i in graph.parameters.values():
        other = graph.nodes[i]
        if other is weight or other.value.ndim != W.ndim:
            continue
        for M, words in ((other.value, other.name), (other.value.swapaxes(0, 1), f"the transpose of {other.name}")):
            if M.shape == W.shape:
                yield GraphSlip(
                    "wrong-cache", f"{words} for {weight.name} in the step back", {edge: _by(how, M)},
                    f"{at} takes {words} where {weight.name} belongs.", f"Multiply by {weight.name}.",
                )  # fmt: skip


def _by(how: Linear, W: Array) -> Swap:
    """Back through other weights."""
    return lambda goes, came, flow: how.to_input(came, W)


def _by_gradient(how: Linear, x: Array, W: Array, decay: float) -> Swap:
    return lambda goes, came, flow: how.to_input(came, how.to_weight(x, came) + decay * W)


def _less_gradient(how: Linear, x: Array, W: Array, decay: float) -> Swap:
    """After a step with a rate of 1; smaller ones are made in part."""
    return lambda goes, came, flow: goes - how.to_input(came, how.to_weight(x, came) + decay * W)


def _through_gain(known: Recognised, n: int) -> Iterator[GraphSlip]:
    graph, node = known.graph, known.graph.nodes[n]
    if graph.nodes[node.inputs[0]].kind == "data":
        return
    scale = graph.nodes[node.inputs[1]]
    at = f"The step back from {node.name}"
    yield GraphSlip(
        "upstream", f"{scale.name} left out", {Edge(n, 0): lambda goes, came, flow: came},
        f"{at} leaves {scale.name} out: everything below is wrong.", f"Multiply by {scale.name} there.",
        kind="gain left out",
    )  # fmt: skip
    for power, words in ((1, "twice"), (-2, "by division")):
        yield GraphSlip(
            "upstream", f"{scale.name} {words}", {Edge(n, 0): _by(node.about, scale.value ** (power + 1))},
            f"{at} applies {scale.name} {words}: everything below is wrong.", f"Multiply by {scale.name} once.",
            kind=f"gain {words}",
        )  # fmt: skip


def _times(by: Array) -> Swap:
    return lambda goes, came, flow: np.asarray(goes * by)


def _through_norm(known: Recognised, n: int) -> Iterator[GraphSlip]:
    graph, node = known.graph, known.graph.nodes[n]
    about: Normed = node.about
    how, s, value, edge = about.norm, about.deviation, node.value, Edge(n, 0)
    at = f"The step back through the {how.name} of layer {node.layer}"
    branches = ((False, True, "mean"), (True, False, "variance"), (False, False, "mean and variance"))
    for mean, variance, words in branches:
        yield GraphSlip(
            "missing-path", f"{how.name} without its {words}", {edge: _branches(value, s, how.axis, mean, variance)},
            f"{at} leaves out what goes through the {words}.",
            "The mean and the variance depend on every input: add both branches, "
            "dx = (dn - mean(dn) - n mean(dn n)) / std.",
            kind=f"norm without {words}",
        )  # fmt: skip
    yield GraphSlip(
        "upstream", f"{how.name} without its division", {edge: _times(s)},
        f"{at} does not divide by the standard deviation: everything below is wrong.",
        "Divide by the standard deviation there too.",
        kind="norm without division",
    )  # fmt: skip
    x = graph.nodes[node.inputs[0]].value
    other = Norm(1 - how.axis, how.eps)
    along, around = normalised(x, other)
    for words, swap in (
        (f"as a {other.name}", _branches(along, around, other.axis, True, True)),
        ("with means along the other axis", _branches(value, s, other.axis, True, True)),
    ):
        yield GraphSlip(
            "transposed", f"{how.name} {words}", {edge: swap},
            f"{at} is made {words}: along the wrong axis.", f"Take its means along axis {how.axis}, as forward.",
            kind=f"norm {words}", also=("wrong-cache",),
        )  # fmt: skip


def _branches(n: Array, deviation: Array, axis: int, mean: bool, variance: bool) -> Swap:
    return lambda goes, came, flow: through_norm(came, n, deviation, axis, mean=mean, variance=variance)


def _through_activation(known: Recognised, n: int) -> Iterator[GraphSlip]:
    graph, node = known.graph, known.graph.nodes[n]
    act: Activation = node.about
    Z = graph.nodes[node.inputs[0]]
    for detail, slope in _slopes(known, node, Z.value):
        if np.all(np.isfinite(slope)) and not np.array_equal(slope, act.slope(Z.value)):
            yield GraphSlip(
                "activation-derivative", detail, {Edge(n, 0): _sloped(slope)},
                f"The step back through the activation of layer {node.layer} ({act.name}) takes, for its derivative, "
                f"{_said(detail)}.",
                f"Multiply by the derivative of the {act.name} at {Z.name}, elementwise.", kind=detail,
            )  # fmt: skip
    for _, other in cached(graph, Z):
        if other.name != node.name:
            yield GraphSlip(
                "activation-derivative", f"at {other.name}", {Edge(n, 0): _sloped(act.slope(other.value))},
                f"The step back through the activation of layer {node.layer} ({act.name}) takes its derivative at "
                f"{other.name} instead of {Z.name}.",
                f"Take it at {Z.name}.", also=("wrong-cache",),
            )  # fmt: skip


def _said(detail: str) -> str:
    special = {"missing": "1: it is missing", "at A instead of Z": "the one at A instead of Z"}
    return special.get(detail, f"that {detail}")


def _sloped(slope: Array) -> Swap:
    return lambda goes, came, flow: np.asarray(came * slope)


def _slopes(known: Recognised, node: Node, Z: Array) -> Iterator[tuple[str, Array]]:
    act: Activation = node.about
    A = node.value
    with np.errstate(all="ignore"):
        right = act.slope(Z)
        yield "missing", np.ones_like(Z)
        yield "at A instead of Z", act.slope(A)
        for other in activations(known.case.lab.options):
            if other.name != act.name:
                yield f"of {other.name}", other.slope(Z)
        for other in PLAIN[:3]:
            yield f"of {other.name} at A", other.slope(A)
        formulas: tuple[tuple[str, Callable[[], Array]], ...] = (
            ("of a sigmoid, A(1 - A)", lambda: A * (1.0 - A)),
            ("of a tanh, 1 - A^2", lambda: 1.0 - A * A),
            ("of 1 - A", lambda: 1.0 - A),
            ("of A itself", lambda: A),
            ("applied twice", lambda: right * right),
            ("with the wrong sign", lambda: -right),
            ("in the denominator", lambda: 1.0 / right),
            ("of the other side of 0", lambda: act.slope(-Z)),
            ("with 1 where Z is negative", lambda: np.where(Z > 0, right, 1.0)),
            ("with 0 where Z is negative", lambda: np.where(Z > 0, right, 0.0)),
        )
        for words, make in formulas:
            yield words, make()
