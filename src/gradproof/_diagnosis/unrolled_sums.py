"""Slips in what a graph adds up on the way back: parts left out, written over, counted twice, of the wrong size."""

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from gradproof._diagnosis.unrolled import Hooks, Node, Total, plain_total
from gradproof._diagnosis.unrolled_scene import (
    Scene,
    Slip,
    all_but,
    cut_message,
    cut_total,
    cuts,
    none_but,
    only,
    total,
)

Array = NDArray[Any]


def sums(scene: Scene) -> Iterator[Slip]:
    """Slips in sums, the simplest first."""
    yield from _sums(scene)
    yield from _branches(scene)
    yield from _parts(scene)


def _sums(scene: Scene) -> Iterator[Slip]:
    """Gradients of tensors that are summed over a part only."""
    for node, slot, parent in scene.edges():
        if parent.op != "parameter":
            continue
        name = scene.names[parent.tensor]
        bias = ("bias-reduction", "unbroadcast") if node.op == "bias" else ()
        if node.step >= 0 and scene.steps > 1:
            for step, words in ((0, "first"), (scene.steps - 1, "last")):
                yield Slip(
                    "overwritten", f"only the {words} step", f"The gradient of {name} holds what the {words} step "
                    "gives and not the sum over all steps, as if it were assigned in the loop.",
                    f"Add up over the steps: d{name} += ... where it says d{name} = ....",
                    only(node, slot, cut_message(none_but(step))), also=("missing-path", *bias),
                )  # fmt: skip
        for detail, words, cut in cuts(scene, node):
            yield Slip(
                "region", detail, f"{words.capitalize()} is left out of the sum in the gradient of {name}.",
                "Let the loop or slice go over all of them.", only(node, slot, cut_message(cut)),
                also=("missing-path",),
            )  # fmt: skip


def _branches(scene: Scene) -> Iterator[Slip]:
    """What several uses of one array send back: one missing, twice, or written over by later ones."""
    for role, users in _users(scene).items():
        name = scene.word(role)
        for user, words in users:
            yield Slip(
                "missing-path", f"{words} missing", f"What comes back to {name} through {words} is left out.",
                "Add up what comes back through all uses.", total(role, _weighted({user: 0.0})), also=("overwritten",),
            )  # fmt: skip
            yield Slip(
                "accumulated", f"{words} twice", f"What comes back to {name} through {words} is added twice.",
                "Add up what comes back through all uses, once each.", total(role, _weighted({user: 2.0})),
                also=("factor", "missing-path"),
            )  # fmt: skip
            if scene.steps > 1:
                yield Slip(
                    "missing-path", f"{words} at the last step only",
                    f"What comes back to {name} through {words} is taken at the last step only.",
                    "Add up what comes back through all uses at every step.",
                    total(role, _weighted({user: 0.0}, scene.steps - 1)), also=("region",),
                )  # fmt: skip
        for chosen in _subsets(len(users)):
            lost = {users[k][0]: 0.0 for k in chosen}
            words = " and ".join(users[k][1] for k in chosen)
            yield Slip(
                "overwritten", f"{words} lost",
                f"What comes back to {name} through {words} is lost, as if another use were assigned and not added.",
                f"Add up what comes back to {name}: += where it says =.", total(role, _weighted(lost)),
                also=("missing-path",),
            )  # fmt: skip


def _users(scene: Scene) -> dict[str, list[tuple[str, str]]]:
    """Roles that are used in several ways, with the roles that use them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for node, _, parent in scene.edges():
        if parent.op not in ("data", "parameter"):
            matrix = scene.graph.nodes[node.parents[1]].tensor if node.op == "linear" else -1
            words = scene.names[matrix] if matrix >= 0 else f"{scene.word(node.role)}"
            found.setdefault(parent.role, []).append((node.role, words))
    return {role: users for role, users in found.items() if len(users) > 1}


def _subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Two or more of several, but not all."""
    for bits in range(1, 2**count - 1) if count < 6 else ():
        chosen = tuple(k for k in range(count) if bits >> k & 1)
        if len(chosen) > 1:
            yield chosen


def _weighted(weights: Mapping[str, float], spared: int = -2) -> Total:
    """The sum with other weights, but at one step."""

    def hook(node: Node, sent: list[tuple[Node, Array]]) -> Array:
        if node.step == spared:
            return plain_total(node, sent)
        return plain_total(node, [(user, weights.get(user.role, 1.0) * array) for user, array in sent])

    return hook


def _parts(scene: Scene) -> Iterator[Slip]:
    """Derivatives of which a part is left out, negative, times a number."""
    inner = [node for node, _, _ in _first_of_role(scene)]
    for words, step in (("first", 0), ("last", scene.steps - 1)) if scene.steps > 1 else ():
        yield Slip(
            "region", f"{words} step left out", f"The backward pass leaves out the {words} step of the sequence.",
            "Let the loop go over all steps.", Hooks({}, {"": cut_total(all_but(step))}), also=("missing-path",),
        )  # fmt: skip
    for node in inner:
        name = f"the derivative of the cost by {scene.word(node.role)}"
        for detail, words, cut in cuts(scene, node):
            yield Slip(
                "region", detail, f"From {name} on, {words} is left out.", "Let the loop or slice go over all of them.",
                total(node.role, cut_total(cut)), also=("missing-path",),
            )  # fmt: skip
        yield Slip(
            "sign", f"negative at {scene.word(node.role)}", f"{name[:1].upper()}{name[1:]} has the wrong sign.",
            "Take the minus sign out.", total(node.role, _times(-1.0)),
        )  # fmt: skip
        yield Slip(
            "zero", f"zero at {scene.word(node.role)}", f"{name[:1].upper()}{name[1:]} is zero, as if never computed.",
            "Compute it.", total(node.role, _times(0.0)), also=("missing-path",),
        )  # fmt: skip
        for factor, text in _factors(scene):
            yield Slip(
                "factor", f"factor {text}", f"{name[:1].upper()}{name[1:]} is {text} times what it should be.",
                f"Divide it by {text}.", total(node.role, _times(factor)),
            )  # fmt: skip


def _first_of_role(scene: Scene) -> Iterator[tuple[Node, int, Node]]:
    seen = set()
    for node, slot, parent in scene.edges():
        if (
            node.role in scene.known.model.words
            and node.role not in seen
            and node.place not in scene.known.model.outputs
        ):
            seen.add(node.role)
            yield node, slot, parent


def _times(factor: float) -> Total:
    return lambda node, sent: factor * plain_total(node, sent)


def _factors(scene: Scene) -> Iterator[tuple[float, str]]:
    """Numbers of the model by which something may be multiplied once too often."""
    numbers = {"m": float(scene.examples), "T": float(scene.steps), "2": 2.0}
    for node in scene.graph.nodes:
        if node.op == "scores" and isinstance(node.setting, float):
            numbers["the scale of the scores"] = node.setting
    for text, value in numbers.items():
        if value > 0.0 and value != 1.0:
            yield value, text
            yield 1.0 / value, f"1/({text})" if " " in text else f"1/{text}"
