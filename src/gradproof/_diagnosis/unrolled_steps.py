"""Slips in the steps back through a graph: another derivative, another matrix, another array than the right one.

Each is written once for all models: a step back takes a derivative, what the forward pass left behind, and a matrix,
and a slip takes another one of its kind.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import PLAIN, Activation
from gradproof._diagnosis.unrolled import Edge, Message, Node
from gradproof._diagnosis.unrolled_scene import Scene, Slip, only

Array = NDArray[Any]


def steps(scene: Scene) -> Iterator[Slip]:
    """Slips in single steps back, the simplest first."""
    yield from _slopes(scene)
    yield from _carried(scene)
    yield from _inputs(scene)
    yield from _errors(scene)


def _slopes(scene: Scene) -> Iterator[Slip]:
    """Activations: their derivative missing, at another point, of another function."""
    for node, slot, parent in scene.edges():
        if not isinstance(node.setting, Activation) or node.role not in scene.known.model.words:
            continue
        name, act = scene.word(node.role), node.setting
        fix = f"Multiply by the derivative of {act.name} at {scene.word(parent.role)} of the same step."
        if node.step < 0:
            fix = f"Multiply by the derivative of {act.name} at {scene.word(parent.role)}."
        yield Slip(
            "activation-derivative", "missing", f"On the way back through {name} the derivative of {act.name} is "
            "missing.", fix, only(node, slot, lambda edge: edge.delta),
        )  # fmt: skip
        yield Slip(
            "activation-derivative", f"derivative of {act.name} at A",
            f"The derivative of {act.name} is taken at {name}, the activation itself, and not before it.", fix,
            only(node, slot, lambda edge: edge.message(left=edge.node.value)),
        )  # fmt: skip
        for other in PLAIN:
            if other.name != act.name:
                yield Slip(
                    "activation-derivative", f"derivative of {other.name}",
                    f"On the way back through {name}, {act.name}, the derivative is that of {other.name}.", fix,
                    only(node, slot, _slope_of(other)),
                )  # fmt: skip
        for formula, words in ((_product, "a(1 - a)"), (_square, "1 - a^2")):
            yield Slip(
                "activation-derivative", f"{words} for the derivative of {act.name}",
                f"On the way back through {name}, {act.name}, the derivative is {words} of its value a.", fix,
                only(node, slot, formula),
            )  # fmt: skip
        for shift, words in ((-1, "before"), (1, "after")) if scene.steps > 1 else ():
            yield Slip(
                "activation-derivative", f"derivative of the step {words}",
                f"On the way back through {name} the derivative of {act.name} is that of the step {words}.", fix,
                only(node, slot, _slope_at(parent.role, shift)), also=("wrong-cache",),
            )  # fmt: skip


def _product(edge: Edge) -> Array:
    return np.asarray(edge.delta * edge.node.value * (1.0 - edge.node.value))


def _square(edge: Edge) -> Array:
    return np.asarray(edge.delta * (1.0 - edge.node.value**2))


def _slope_of(act: Activation) -> Message:
    return lambda edge: np.asarray(edge.delta * act.slope(edge.parent(0).value))


def _slope_at(role: str, shift: int) -> Message:
    def hook(edge: Edge) -> Array:
        other = edge.run.graph.at.get((role, edge.node.step + shift))
        return edge.message(left=None if other is None else other.value)

    return hook


def _carried(scene: Scene) -> Iterator[Slip]:
    """Steps back through a matrix: transposed, another one, negative, cut off."""
    for node, slot, parent in scene.edges():
        if node.op != "linear" or slot != 0 or parent.op == "data":
            continue
        tensor = scene.graph.nodes[node.parents[1]].tensor
        name, W = scene.names[tensor], scene.graph.parameters[tensor].value
        back = f"The step back through {name}"
        if W.shape[0] == W.shape[1]:
            yield Slip(
                "transposed", f"{name} in the step back", f"{back} takes {name} the other way round.",
                "Multiply by the transpose of what the forward pass multiplies by.",
                only(node, slot, lambda edge: edge.message(right=edge.parent(1).value.T)),
            )  # fmt: skip
            yield Slip(
                "missing-path", f"only the diagonal of {name}", f"{back} takes only the diagonal of {name}.",
                f"Multiply by the whole of {name}.",
                only(node, slot, lambda edge: edge.message(right=np.diag(np.diag(edge.parent(1).value)))),
                also=("region",),
            )  # fmt: skip
        yield Slip(
            "sign", f"{name} in the step back", f"{back} has the wrong sign.", f"Take the minus sign out of {back}.",
            only(node, slot, lambda edge: -edge.message()),
        )  # fmt: skip
        for other, array in scene.graph.parameters.items():
            for value, words in ((array.value, ""), (array.value.T, ", transposed,")):
                if other != tensor and value.shape == W.shape:
                    yield Slip(
                        "wrong-cache", f"{scene.names[other]} for {name} in the step back",
                        f"{back} takes {scene.names[other]}{words} where {name} belongs.", f"Multiply by {name}.",
                        only(node, slot, _with_matrix(value)),
                    )  # fmt: skip
        if parent.step != node.step or parent.role in ("h", "reset"):
            yield from _cut_off(scene, node, slot, name)


def _with_matrix(value: Array) -> Message:
    return lambda edge: edge.message(right=value)


def _cut_off(scene: Scene, node: Node, slot: int, name: str) -> Iterator[Slip]:
    """What goes back through time: nothing, or not beyond some steps."""
    if scene.steps < 2:
        return
    fix = f"Carry the error of the state back through {name} at every step, down to the first."
    yield Slip(
        "missing-path", "nothing carried back", f"Nothing is carried back through {name} to the step before.", fix,
        only(node, slot, lambda edge: 0.0 * edge.message()), also=("truncated",),
    )  # fmt: skip
    for length in range(2, scene.steps):
        for first in range(length):
            yield Slip(
                "truncated", f"after {length} steps",
                f"The way back through time stops after every {length} steps: nothing is carried back through {name} "
                "there.", fix, only(node, slot, _every(length, first)),
            )  # fmt: skip


def _every(length: int, first: int) -> Message:
    return lambda edge: edge.message() * float(edge.node.step % length != first)


def _inputs(scene: Scene) -> Iterator[Slip]:
    """Gradients of matrices, and products, with another array than the one of the forward pass."""
    for node, slot, parent in scene.edges():
        if node.op == "linear" and slot == 1:
            used, place = scene.graph.nodes[node.parents[0]], 0
            what = f"The gradient of {scene.names[parent.tensor]}"
        elif node.op in ("scores", "mix", "times"):
            used, place = scene.graph.nodes[node.parents[1 - slot]], 1 - slot
            what = f"The derivative by {scene.word(parent.role)}"
        else:
            continue
        if node.op == "times":
            yield Slip(
                "missing-path", f"{scene.word(used.role)} missing",
                f"{what} is not multiplied by {scene.word(used.role)}.", f"Multiply it by {scene.word(used.role)}.",
                only(node, slot, lambda edge: edge.delta), also=("wrong-cache", "activation-derivative"),
            )  # fmt: skip
        for role, shift in scene.kept(used.value.shape, node):
            other = scene.at(role, shift, node.step)
            if other is None or other is used:
                continue
            named, right = _when_said(scene, role, shift, node), _said(scene, used, node)
            for nothing in (False, True) if shift else (False,):
                yield Slip(
                    "wrong-cache", f"{named} for {right}", f"{what} is computed with {named} where {right} belongs.",
                    f"Use {right}, what the forward pass used.", only(node, slot, _taking(role, shift, place, nothing)),
                )  # fmt: skip


def _said(scene: Scene, used: Node, node: Node) -> str:
    return _when_said(scene, used.role, used.step - node.step if node.step >= 0 else 0, node)


def _when_said(scene: Scene, role: str, shift: int, node: Node) -> str:
    when = {0: "of the step itself", -1: "of the step before", 1: "of the step after"}
    return f"{scene.word(role)} {when[shift]}" if node.step >= 0 else scene.word(role)


def _taking(role: str, shift: int, place: int, nothing: bool) -> Message:
    """Another array; where there is none at a step, the right one or nothing."""

    def hook(edge: Edge) -> Array:
        step = edge.node.step
        other = edge.run.graph.at.get((role, step + shift if step >= 0 else -1))
        if other is None or (shift and other.step < 0 and other.role != edge.parent(place).role):
            return 0.0 * edge.message() if nothing else edge.message()
        return edge.message(left=other.value) if place == 0 else edge.message(right=other.value)

    return hook


def _errors(scene: Scene) -> Iterator[Slip]:
    """Gradients of tensors with the derivative by something else."""
    for node, slot, parent in scene.edges():
        if parent.op != "parameter":
            continue
        for (role, step), other in scene.graph.at.items():
            same = other.value.shape == node.value.shape and step == node.step and other.op not in ("data", "parameter")
            if role not in scene.known.model.words or not same or other is node:
                continue
            name = scene.names[parent.tensor]
            yield Slip(
                "wrong-cache", f"the derivative by {scene.word(role)} in the gradient of {name}",
                f"The gradient of {name} is computed with the derivative of the cost by {scene.word(role)}.",
                "Use the derivative by what the forward pass made with it.",
                only(node, slot, _with_error(role)), also=("activation-derivative",),
            )  # fmt: skip


def _with_error(role: str) -> Message:
    return lambda edge: edge.message(edge.run.delta[edge.run.graph.at[role, edge.node.step].place])
