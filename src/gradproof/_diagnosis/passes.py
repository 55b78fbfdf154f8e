"""Slips in the backward pass of a rebuilt network, looked for from the last layer down.

The decision behind it: layers are taken in the order in which a backward pass makes them. What is claimed of a layer is
held against what the pass gives there with all slips found so far; where it differs, every slip that is known is
tried at that layer, and the one that gives the claim to all its digits is kept for the layers below. So one slip made
at every layer, and different slips at different layers, come out like a single one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis import (
    activation_derivative,
    bias_sum,
    dropout_step,
    missing_path,
    other_loss,
    step_back,
    wrong_cache,
)
from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.fault import Fault, Site
from gradproof._diagnosis.net import Hook, Net, Pass, backward, shaped
from gradproof._diagnosis.numbering import counted_from, first_number
from gradproof._diagnosis.rebuilding import rebuild, same

Array = NDArray[Any]
Slips = Callable[[Site], Iterator[Fault]]
#: Slips by cause, the simplest first.
FAULTS: tuple[Slips, ...] = (
    other_loss.faults,
    activation_derivative.faults,
    dropout_step.faults,
    step_back.faults,
    wrong_cache.faults,
    bias_sum.faults,
    missing_path.faults,
)
#: Stations that spoil one tensor alone, and whether it is the weight.
LOCAL = {"input": True, "dW": True, "db": False}


@dataclass(eq=False)
class Scene:
    """A network with what is claimed of it.

    Attributes:
        net: the network.
        claims: by tensor.
        hooks: slips that were found so far.
        loss: name of the cost, where it is known.
        plain: the cost without its epsilon, and the epsilon.
        within: relative difference up to which claims are the same.
    """

    net: Net
    claims: Mapping[int, Array]
    hooks: dict[tuple[str, int], Hook] = field(default_factory=dict)
    loss: str = ""
    plain: tuple[str, str] = ("", "")
    within: float = 2e-7


@dataclass(frozen=True)
class Slip:
    """A slip that was found.

    Attributes:
        fault: what it is.
        layer: where.
        tensors: the wrong tensors that it accounts for.
        also: causes of other slips that would look the same.
    """

    fault: Fault
    layer: int
    tensors: tuple[int, ...]
    also: tuple[str, ...]


def explain(case: Case) -> Sequence[Explanation]:
    """Slips in the backward pass of a network that could be worked out again on the whole batch."""
    if not case.open:
        return []
    with np.errstate(all="ignore"):
        found = rebuild(case)
    if found is None:
        return []
    name = f"{found.loss.name} with {found.loss.epsilon}" if found.loss.epsilon else found.loss.name
    scene = Scene(found.net, case.claims, loss=name, plain=(found.loss.plain, found.loss.epsilon))
    right = backward(found.net)
    repairs: dict[int, Array] = {}
    for layer in range(found.net.top, 0, -1):
        repairs |= shaped(found.net, right, layer, case.thetas)
    case.truths.update({s.index: repairs[s.index] for s in case.open if s.index in repairs})
    first = first_number(case, found.net.layers[0].weight)
    return [counted_from(e, first) for e in explanations(slips(case, [scene]), repairs)]


def explanations(found: Sequence[Slip], repairs: Mapping[int, Array]) -> list[Explanation]:
    """One explanation for the same slip at several layers."""
    groups: dict[tuple[str, str], list[Slip]] = {}
    for slip in found:
        groups.setdefault((slip.fault.cause, slip.fault.detail), []).append(slip)
    told = []
    for (cause, detail), group in groups.items():
        tensors = tuple(sorted({i for slip in group for i in slip.tensors}))
        first, where = group[0].fault, _layers(sorted({slip.layer for slip in group}))
        if not tensors:
            continue
        message = first.message.replace("{layer}", where)
        if len(group) > 1 and "{layer}" not in first.message:
            others = _layers(sorted({slip.layer for slip in group[1:]} - {group[0].layer}))
            message += f" The same happens at {others}." if len({slip.layer for slip in group}) > 1 else ""
        also = tuple(dict.fromkeys(name for slip in group for name in (*slip.fault.also, *slip.also) if name != cause))
        told.append(
            Explanation(
                cause, tensors, message, first.fix, {i: repairs[i] for i in tensors if i in repairs}, detail, 2.0,
                first.factor, also=also,
            )
        )  # fmt: skip
    return told


def _layers(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    return f"layers {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def slips(case: Case, scenes: Sequence[Scene]) -> list[Slip]:
    """The slips that all scenes show alike, from the last layer down to the first that nothing accounts for."""
    found: list[Slip] = []
    counts: dict[int, list[int]] = {}
    above: int | None = None
    wrong = {s.index for s in case.open}
    top = scenes[0].net.top
    names = {n: case.tensors[layer.weight].name for n, layer in enumerate(scenes[0].net.layers, 1)}
    for layer in range(top, 0, -1):
        dense = scenes[0].net.layers[layer - 1]
        here = {i for i in dense.tensors if i in wrong}
        if not _matches(case, scenes, layer, [scene.hooks for scene in scenes], dense.tensors):
            chosen = _at(case, scenes, layer, names)
            if not chosen:
                break
            for fault, tensors, also, hooks in chosen:
                for scene, hook in zip(scenes, hooks, strict=True):
                    scene.hooks[fault.station] = hook
                counts[len(found)] = []
                local = fault.station[0] in LOCAL
                mine = tuple(i for i in here if i in tensors) if local else ()
                found.append(Slip(fault, layer, mine, also))
                here -= set(mine)
                if not local:
                    above = len(found) - 1
        if above is not None:
            counts[above] += sorted(here)
    return [Slip(s.fault, s.layer, (*s.tensors, *counts[k]), s.also) for k, s in enumerate(found)]


def clean(case: Case, scene: Scene) -> bool:
    """Whether a scene shows no slip at all."""
    return all(
        _matches(case, [scene], layer, [{}], scene.net.layers[layer - 1].tensors)
        for layer in range(scene.net.top, 0, -1)
    )


Chosen = tuple[Fault, tuple[int, ...], tuple[str, ...], list[Hook]]


def _at(case: Case, scenes: Sequence[Scene], layer: int, names: Mapping[int, str]) -> list[Chosen]:
    """The slip that gives the claims of a layer, or one for its weights and one for its biases."""
    dense = scenes[0].net.layers[layer - 1]
    offered = _offered(case, scenes, layer, names)
    whole = _fitting(case, scenes, layer, offered, dense.tensors)
    if whole:
        return whole
    chosen: list[Chosen] = []
    for tensor in dense.tensors:
        if _matches(case, scenes, layer, [s.hooks for s in scenes], (tensor,)):
            continue
        weight = tensor == dense.weight
        fits = _fitting(case, scenes, layer, [o for o in offered if LOCAL.get(o[0].station[0]) is weight], (tensor,))
        if not fits:
            return []
        chosen += fits
    return chosen


def _offered(
    case: Case, scenes: Sequence[Scene], layer: int, names: Mapping[int, str]
) -> list[tuple[Fault, list[Hook]]]:
    """Slips known at a layer in every scene."""
    lists: list[dict[tuple[str, str, tuple[str, int]], Fault]] = []
    for scene in scenes:
        dense = scene.net.layers[layer - 1]
        run = backward(scene.net, scene.hooks, layer)
        bias = scene.claims.get(dense.bias)
        site = Site(
            scene.net, layer, scene.hooks, run, dense.matrix(scene.claims[dense.weight]),
            None if bias is None else bias.reshape(-1, 1), case.lab.options, scene.loss, scene.plain, names,
        )  # fmt: skip
        known: dict[tuple[str, str, tuple[str, int]], Fault] = {}
        with np.errstate(all="ignore"):
            for slips_of in FAULTS:
                for fault in slips_of(site):
                    known.setdefault((fault.cause, fault.detail, fault.station), fault)
        lists.append(known)
    shared = [key for key in lists[0] if all(key in known for known in lists)]
    return [(lists[0][key], [known[key].hook for known in lists]) for key in shared]


def _fitting(
    case: Case,
    scenes: Sequence[Scene],
    layer: int,
    offered: Sequence[tuple[Fault, list[Hook]]],
    tensors: tuple[int, ...],
) -> list[Chosen]:
    """The first slip that gives the claims of some tensors of a layer, with the others that do so too."""
    fits = []
    for fault, hooks in offered:
        tried = [{**scene.hooks, fault.station: hook} for scene, hook in zip(scenes, hooks, strict=True)]
        if _matches(case, scenes, layer, tried, tensors):
            fits.append((fault, hooks))
    if not fits:
        return []
    fault, hooks = fits[0]
    also = tuple(dict.fromkeys(other.cause for other, _ in fits[1:] if other.cause != fault.cause))
    return [(fault, tensors, also, hooks)]


def _matches(
    case: Case,
    scenes: Sequence[Scene],
    layer: int,
    hooks: Sequence[Mapping[tuple[str, int], Hook]],
    tensors: Sequence[int],
) -> bool:
    """Whether passes with these slips give what is claimed of some tensors of a layer."""
    for scene, planted in zip(scenes, hooks, strict=True):
        with np.errstate(all="ignore"):
            run: Pass = backward(scene.net, planted, layer)
        given = shaped(scene.net, run, layer, case.thetas)
        for i in tensors:
            if i in case.explained:
                continue
            floor = 1e-13 * float(np.abs(run.delta[layer]).sum())
            if i not in scene.claims or not same(given[i], scene.claims[i], scene.within, floor):
                return False
    return True
