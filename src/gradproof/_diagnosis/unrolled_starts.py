"""Slips at which the backward pass of a graph starts, and in what attention brings with it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.losses import MISTAKEN, Loss, losses
from gradproof._diagnosis.models import derivative, seeds
from gradproof._diagnosis.unrolled import Edge, Hooks, Message, flipped
from gradproof._diagnosis.unrolled_scene import Scene, Slip, cuts, only

Array = NDArray[Any]


def starts(scene: Scene) -> Iterator[Slip]:
    """Slips in the derivative of the cost by the outputs."""
    known = scene.known
    model, right = known.model, known.loss
    yield from _other_starts(scene)
    for loss in (*losses(scene.options), *MISTAKEN):
        if loss.epsilon or (loss.name == right.name and not right.epsilon):
            continue
        with np.errstate(all="ignore"):
            start = seeds(model, loss)
        if not all(np.all(np.isfinite(delta)) for delta in start.values()):
            continue
        if right.epsilon and loss.name == right.plain:
            yield Slip(
                "stabiliser", right.epsilon,
                f"The cost is {loss.name} with {right.epsilon}, and the gradient is that of the cost without it.",
                "Take the constant out of the cost (a cost computed from Z needs none), or differentiate it too.",
                Hooks(), start, True, also=("other-loss",),
            )  # fmt: skip
            continue
        said = f"The gradient is exactly that of {loss.name}, but the cost is {right.name}."
        if not loss.clear:
            said = f"The derivative at the output is wrong: {loss.name}. The cost is {right.name}."
        yield Slip(
            "other-loss", f"{loss.name} for {right.name}" if loss.clear else loss.name, said,
            f"Start the backward pass from the derivative of {right.name}, or change the cost.", Hooks(), start, True,
        )  # fmt: skip


def _other_starts(scene: Scene) -> Iterator[Slip]:
    """Outputs that count in the gradient and not in the cost, or the other way round."""
    known = scene.known
    model, right = known.model, known.loss
    start = seeds(model, right, known.scale)
    every = "Start the backward pass at the outputs that the cost takes, and at no others."
    if model.counts is not None:
        whole = seeds(model, right, known.scale, np.ones_like(model.counts))
        yield Slip(
            "region", "padding counted", "Positions that do not count in the cost count in the derivative by the "
            "outputs, where the backward pass starts.", "Multiply the derivative by the outputs by the mask.", Hooks(),
            whole,
        )  # fmt: skip
    for detail, words, cut in cuts(scene, model.graph.nodes[model.outputs[-1]]):
        fewer = {place: cut(model.graph.nodes[place], delta) for place, delta in start.items()}
        yield Slip(
            "region", detail, f"{words.capitalize()} is left out of the derivative by the outputs, where the backward "
            "pass starts.", every, Hooks(), fewer, also=("missing-path",),
        )  # fmt: skip
    if model.leftover:
        more = {**seeds(model, right), **_leftover(scene, right)}
        yield Slip(
            "other-loss", "all steps for the last", "The gradient is that of a cost over all steps, but the cost "
            "takes the last step only.", every, Hooks(), more, True,
        )  # fmt: skip
    elif len(model.outputs) > 1:
        last = seeds(model, right)
        for place in model.outputs[:-1]:
            last[place] = 0.0 * last[place]
        yield Slip(
            "other-loss", "the last step for all", "The gradient is that of a cost of the last step, but the cost "
            "takes all steps.", every, Hooks(), last, True,
        )  # fmt: skip


def _leftover(scene: Scene, loss: Loss) -> dict[int, Array]:
    nodes = scene.graph.nodes
    return {place: derivative(loss, nodes[place].value, Y) for place, Y in scene.known.model.leftover.items()}


def products(scene: Scene) -> Iterator[Slip]:
    """Softmax and products of the kind that attention has."""
    for node, slot, parent in scene.edges():
        name = scene.word(parent.role)
        if node.op == "softmax":
            for detail, said, hook in (
                ("its diagonal alone", "only the diagonal of the Jacobian", _diagonal),
                ("without the sum", "P dP without the sum over the row", _without_sum),
                ("with the plain mean", "P (dP - the plain mean of dP)", _plain_mean),
            ):
                yield Slip(
                    "other-loss", f"the softmax, {detail}", f"The derivative of the softmax is {said}.",
                    "It is P (dP - sum(P dP)), summed over the axis that the softmax is over.", only(node, slot, hook),
                    also=("missing-path",),
                )  # fmt: skip
            yield Slip(
                "transposed", "the softmax's axis", "The derivative of the softmax is summed over another axis than "
                "the softmax.", "Sum over the axis that the softmax is over.", only(node, slot, _other_axis),
                also=("other-loss", "wrong-cache"),
            )  # fmt: skip
        if node.op in ("scores", "mix") and node.value.ndim > 2:
            other = scene.word(scene.graph.nodes[node.parents[1 - slot]].role)
            words = ((scene.word(node.role), _with_turned_delta), (other, _with_turned_operand))
            for what, hook in words:
                yield Slip(
                    "transposed", f"{what} in the derivative by {name}",
                    f"The derivative by {name} takes {what if hook is _with_turned_operand else f'that by {what}'} the "
                    "other way round.", "Transpose it.", only(node, slot, _where_it_fits(hook)),
                )  # fmt: skip


def _diagonal(edge: Edge) -> Array:
    return np.asarray(edge.delta * edge.node.value * (1.0 - edge.node.value))


def _without_sum(edge: Edge) -> Array:
    return np.asarray(edge.delta * edge.node.value)


def _plain_mean(edge: Edge) -> Array:
    return np.asarray(edge.node.value * (edge.delta - edge.delta.mean(axis=-1, keepdims=True)))


def _other_axis(edge: Edge) -> Array:
    P = edge.node.value
    return np.asarray(P * (edge.delta - np.sum(P * edge.delta, axis=-2, keepdims=True)))


def _with_turned_delta(edge: Edge) -> Array:
    return edge.message(flipped(edge.delta))


def _with_turned_operand(edge: Edge) -> Array:
    turned = flipped(edge.parent(1 - edge.slot).value)
    return edge.message(left=turned) if edge.slot else edge.message(right=turned)


def _where_it_fits(hook: Message) -> Message:
    """The same, and what is right where the shapes do not allow it."""

    def tried(edge: Edge) -> Array:
        right = edge.message()
        try:
            found = hook(edge)
        except ValueError:
            return right
        return found if found.shape == right.shape else right

    return tried


def updated(scene: Scene) -> Iterator[Slip]:
    """Matrices that were updated before they were used, by a rate that is not known."""
    for node, slot, parent in scene.edges():
        if node.op != "linear" or slot != 0 or parent.op == "data":
            continue
        tensor = scene.graph.nodes[node.parents[1]].tensor
        name = scene.names[tensor]
        for each in (False, True) if scene.steps > 1 else (False,):
            yield Slip(
                "early-update", f"{name} updated before its use",
                f"The step back through {name} takes it after its update, with its gradient already taken off.",
                "Compute all gradients first, then update.",
                free=_moved(scene, node.role, tensor, each),
            )  # fmt: skip


def _moved(scene: Scene, role: str, tensor: int, each: bool) -> Any:
    gradient = scene.known.run.gradients[tensor]

    def of(rate: float) -> Hooks:
        def hook(edge: Edge) -> Array:
            W, x = edge.parent(1).value, edge.parent(0).value
            own = edge.delta.reshape(-1, edge.delta.shape[-1]).T @ x.reshape(-1, x.shape[-1]) if each else gradient
            return edge.message(right=W - rate * own)

        return Hooks({(role, 0): hook})

    return of
