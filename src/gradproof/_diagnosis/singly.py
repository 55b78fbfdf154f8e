"""Layers taken apart with one example at a time, where the whole batch cannot be worked out again.

The decision behind it: with one example the gradient of a layer's weights is its error times its input, both of which
can be read off the claims. So inputs, dropout masks, skip connections and activations are known without knowing the
cost, or what the network looks like above and before its dense layers. The error at the lowest right layer is taken
from the claims; at the output it is measured. That the layers were understood is verified against derivatives
measured with the same examples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation, activations
from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.dense import Dense, columns, labels, stretches
from gradproof._diagnosis.dropout import in_use
from gradproof._diagnosis.evidence import gather
from gradproof._diagnosis.losses import Loss, losses
from gradproof._diagnosis.net import Net, backward, shaped
from gradproof._diagnosis.numbering import counted_from, first_number
from gradproof._diagnosis.passes import LOCAL, Scene, Slip, clean, explanations, slips
from gradproof._diagnosis.rebuilding import forward

Array = NDArray[Any]
#: Examples that are looked at.
LOOKED = 5
#: Outputs up to which the error at the output is measured.
OUTPUTS = 12
#: Chains of layers that are tried.
TAILS = 3
#: Seeds of the projections that verify a layer.
SEEDS = 32_452_843
#: Sample sizes beyond this are not repaired example by example.
REPAIRED = 48


@dataclass(frozen=True, eq=False)
class One:
    """What one example shows of a chain of layers.

    Attributes:
        there: the cost with that example alone.
        claims: by tensor.
        inputs: of each layer, (n, 1), by layer; without those that the claims do not show.
        decay: the coefficient of the L2 term.
    """

    there: Elsewhere
    claims: Mapping[int, Array]
    inputs: Mapping[int, Array]
    decay: float


def explain(case: Case) -> Sequence[Explanation]:
    """Slips in the backward pass through dense layers, seen with one example at a time."""
    if not case.open or not case.lab.callable or case.lab.examples < 1:
        return []
    tried: set[tuple[int, ...]] = set()
    for layers in stretches(case):
        top = _top(case, layers)
        if top is None or (key := tuple(layer.weight for layer in layers[: top + 1])) in tried or len(tried) > TAILS:
            continue
        tried.add(key)
        measured = top == len(layers) - 1 and _wrong(case, layers[top])
        with np.errstate(all="ignore"):
            found = _explained(case, layers[: top + 1], measured=measured)
        if found:
            return found if in_use(case) else [e for e in found if e.cause != "dropout"]
    return []


def _wrong(case: Case, layer: Dense) -> bool:
    return any(case.verdicts.get(i) == "wrong" for i in layer.tensors)


def _top(case: Case, layers: Sequence[Dense]) -> int | None:
    """The lowest layer with nothing but right ones above it and itself, or the last; None where all is right."""
    wrong = [k for k, layer in enumerate(layers) if _wrong(case, layer)]
    if not wrong:
        return None
    return min(max(wrong) + 1, len(layers) - 1)


def _explained(case: Case, layers: tuple[Dense, ...], measured: bool) -> list[Explanation]:
    m = case.lab.examples
    examples = list(dict.fromkeys([0, m // 2, m - 1, m // 4, (3 * m) // 4]))[:LOOKED]
    looked = {e: one for e in examples if (one := _look(case, layers, e)) is not None}
    if len(looked) < min(2, m):
        return []
    shown = [
        Shown(e, one, error) for e, one in looked.items() if (error := _error(case, layers, one, measured)) is not None
    ]
    if len(shown) < len(looked):
        return []
    known = _loss(case, layers, shown) if measured else None
    for act, skips in _readings(case, layers):
        found = [_net(case, layers, s, act, skips) for s in shown]
        nets = [net for net, _ in found if net is not None]
        if len(nets) < len(found):
            continue
        sure = all(known for _, known in found) or len(layers) == 1
        told = _told(case, nets, shown, sure, known) or _together(case, nets, shown, sure)
        if told:
            told = _with_below(case, told, layers)
            repairs = {} if measured else _repairs(case, layers, act, skips)
            first = first_number(case, layers[0].weight)
            return [
                replace(counted_from(e, first), message=_seen(counted_from(e, first).message), rank=2.5)
                for e in explanations(told, repairs)
            ]
    return []


def _seen(message: str) -> str:
    """The message with how that was found out."""
    return f"{message.removesuffix('.')} (seen with single examples)."


@dataclass(frozen=True, eq=False)
class Shown:
    """One example with the derivative of the cost by the last of the layers.

    Attributes:
        example: its number.
        one: what it shows.
        error: the derivative by the last Z.
    """

    example: int
    one: One
    error: Array


def _error(case: Case, layers: Sequence[Dense], one: One, measured: bool) -> Array | None:
    """The derivative by the last Z: claimed where the claim is right, else measured."""
    bias = layers[-1].bias
    if not measured or case.verdicts.get(bias) == "correct":
        return one.claims[bias].reshape(-1, 1)
    return one.there.measured(bias)[0].reshape(-1, 1) if case.tensors[bias].size <= OUTPUTS else None


def _with_below(case: Case, told: list[Slip], layers: Sequence[Dense]) -> list[Slip]:
    """The slips, the lowest of which spoils what comes before these layers too, if all of that is wrong."""
    own = {i for layer in layers for i in layer.tensors}
    first = min(own)
    deltas = [k for k, slip in enumerate(told) if slip.fault.station[0] not in LOCAL]
    outside = {s.index for s in case.open if s.index not in own and (s.index < first or not _in_a_run(case, s.index))}
    right = any(case.verdicts.get(i) == "correct" for i in range(first))
    if not deltas or not outside or right or not _wrong(case, layers[0]):
        return told
    lowest = told[deltas[-1]]
    told[deltas[-1]] = replace(lowest, tensors=tuple(sorted({*lowest.tensors, *outside})))
    return told


def _in_a_run(case: Case, tensor: int) -> bool:
    return any(tensor in layer.tensors and len(layer.tensors) > 1 for layer in case.layers)


def _loss(case: Case, layers: Sequence[Dense], shown: Sequence[Shown]) -> Loss | None:
    """The cost whose derivative by the last Z is the measured one in all examples."""
    last, top = layers[-1], len(layers)
    pairs = []
    for s in shown:
        a = s.one.inputs.get(top)
        Y = next(labels(case, [s.example], len(s.error), -1), None)
        if a is None or Y is None:
            return None
        pairs.append((last.matrix(case.thetas[last.weight]) @ a + case.thetas[last.bias].reshape(-1, 1), Y))
    measured = np.concatenate([s.error for s in shown])
    for loss in losses(case.lab.options):
        with np.errstate(all="ignore"):
            delta = np.concatenate([loss.delta(Z, Y) for Z, Y in pairs])
        size = float(np.sum(delta * delta))
        if not np.isfinite(size) or not size:
            continue
        scale = float(np.sum(delta * measured)) / size
        if np.linalg.norm(scale * delta - measured) <= 1e-6 * np.linalg.norm(measured):
            return loss
    return None


def _told(case: Case, nets: Sequence[Net], shown: Sequence[Shown], sure: bool, known: Loss | None) -> list[Slip]:
    """The slips that single examples show; none where they do not hold."""
    name = "" if known is None else f"{known.name} with {known.epsilon}" if known.epsilon else known.name
    plain = ("", "") if known is None else (known.plain, known.epsilon)
    scenes = [Scene(net, s.one.claims, loss=name, plain=plain, within=2e-6) for net, s in zip(nets, shown, strict=True)]
    showing = [k for k, scene in enumerate(scenes) if not clean(case, scene)]
    if len(showing) < min(2, case.lab.examples):
        return []
    chosen = [scenes[k] for k in showing]
    told = [slip for slip in slips(case, chosen) if slip.tensors]
    if not told or not (sure or all(clean(case, scene) for scene in chosen)):
        return []
    lowest = min(slip.layer for slip in told)
    held = [_holds(case, nets[k], shown[k].one.there, lowest) for k in showing[:2]]
    return told if all(held) else []


def _together(case: Case, nets: Sequence[Net], shown: Sequence[Shown], sure: bool) -> list[Slip]:
    """The slips that only a batch shows, one of a few examples."""
    if len(nets) < 2 or not sure:
        return []
    there = case.lab.visit(data=case.lab.batch([s.example for s in shown]))
    if there is None:
        return []
    named = {i: there.claims.get(case.tensors[i].name) for layer in nets[0].layers for i in layer.tensors}
    claims = {i: claim for i, claim in named.items() if claim is not None and np.all(np.isfinite(claim))}
    net = stacked(nets, claims)
    if net is None:
        return []
    scene = Scene(net, claims, within=2e-6)
    told = [slip for slip in slips(case, [scene]) if slip.tensors]
    return told if told and _holds(case, net, there, min(slip.layer for slip in told)) else []


def stacked(nets: Sequence[Net], claims: Mapping[int, Array]) -> Net | None:
    """Examples side by side, with the factor in front of their sum from a right gradient of the last layer."""
    first, last = nets[0], nets[0].layers[-1]
    if any(np.any(D != 1.0) for net in nets for D in net.D.values()) or not {*last.tensors} <= set(claims):
        return None

    def beside(name: str) -> dict[int, Array]:
        return {k: np.concatenate([getattr(net, name)[k] for net in nets], axis=1) for k in getattr(first, name)}

    delta = np.concatenate([net.delta for net in nets], axis=1)
    total, claim = delta.sum(axis=1), claims[last.bias].ravel()
    size = float(total @ total)
    scale = float(total @ claim) / size if size else 0.0
    if not scale or np.linalg.norm(scale * total - claim) > 1e-5 * np.linalg.norm(claim):
        return None
    dW, W = last.matrix(claims[last.weight]), first.W[first.top]
    rest = dW - scale * delta @ beside("A")[first.top - 1].T
    decay = float(np.sum(rest * W) / np.sum(W * W))
    return replace(
        first, Z=beside("Z"), A=beside("A"), F=beside("F"), D=beside("D"), delta=scale * delta, Y=None,
        decay=decay if abs(decay) * np.linalg.norm(W) > 1e-9 * np.linalg.norm(dW) else 0.0,
    )  # fmt: skip


def _look(case: Case, layers: Sequence[Dense], example: int) -> One | None:
    there = case.lab.visit(data=case.lab.batch([example]))
    if there is None:
        return None
    named = {i: there.claims.get(case.tensors[i].name) for layer in layers for i in layer.tensors}
    claims = {i: claim for i, claim in named.items() if claim is not None and np.all(np.isfinite(claim))}
    if len(claims) < len(named):
        return None
    inputs: dict[int, Array] = {}
    decays: list[float] = []
    for n, layer in enumerate(layers, 1):
        W, dW = layer.matrix(case.thetas[layer.weight]), layer.matrix(claims[layer.weight])
        found = taken_apart(dW, claims[layer.bias].reshape(-1, 1), W)
        if found is not None:
            inputs[n] = found[0]
            decays.append(found[1])
    return One(there, claims, inputs, float(np.median(decays)) if decays else 0.0)


def taken_apart(dW: Array, error: Array, W: Array) -> tuple[Array, float] | None:
    """A and c in dW = error a^T + c W; None where dW is nothing of the kind."""
    size = float(np.sum(error * error))
    if not size or len(error) < 2 or not np.any(dW):
        return None
    off = np.eye(len(error)) - error @ error.T / size
    rest, term = off @ dW, off @ W
    weight = float(np.sum(term * term))
    c = float(np.sum(rest * term)) / weight if weight > 1e-20 * float(np.sum(W * W)) else 0.0
    c = c if abs(c) * np.linalg.norm(W) > 1e-10 * np.linalg.norm(dW) else 0.0
    if np.linalg.norm(rest - c * term) > 1e-8 * np.linalg.norm(dW):
        return None
    return (dW - c * W).T @ error / size, c


def _readings(case: Case, layers: Sequence[Dense]) -> Iterator[tuple[Activation, frozenset[int]]]:
    """Activations and skip connections that are tried."""
    square = [
        k for k in range(2, len(layers))
        if len(set(layers[k - 1].matrix(case.thetas[layers[k - 1].weight]).shape)) == 1
    ]  # fmt: skip
    sets = [frozenset[int](), *(frozenset({k}) for k in square)] if len(layers) > 1 else [frozenset[int]()]
    for act in activations(case.lab.options)[: None if len(layers) > 1 else 1]:
        for skips in sets:
            yield act, skips


def _mask(
    case: Case, layers: Sequence[Dense], one: One, act: Activation, skips: frozenset[int], layer: int
) -> Array | None:
    """What dropout multiplied a hidden layer by, read off its inputs and outputs; None where they do not fit."""
    below, above = one.inputs.get(layer), one.inputs.get(layer + 1)
    if below is None or above is None:
        return None
    dense = layers[layer - 1]
    W = dense.matrix(case.thetas[dense.weight])
    with np.errstate(all="ignore"):
        F = act.value(W @ below + case.thetas[dense.bias].reshape(-1, 1))
        whole = F + below if layer in skips else F
    if not np.all(np.isfinite(whole)) or whole.shape != above.shape or not np.any(whole):
        return None
    if np.linalg.norm(whole - above) <= 1e-7 * np.linalg.norm(whole):
        return np.ones_like(whole)
    live = np.abs(whole) > 1e-9 * np.max(np.abs(whole))
    ratio = np.where(live, above / np.where(live, whole, 1.0), 0.0)
    kept = np.abs(ratio) > 1e-6
    scale = float(np.median(ratio[kept])) if np.any(kept) else 0.0
    # One factor on all units is another activation, not dropout, unless the options know it.
    if scale < 1.0 - 1e-9 or np.any(np.abs(ratio[kept] - scale) > 1e-6 * scale):
        return None
    if np.all(kept[live]) and not _known(case, scale):
        return None
    return np.where(kept | ~live, scale, 0.0)


def _known(case: Case, scale: float) -> bool:
    return any(
        isinstance(value, float)
        and value > 0.0
        and (abs(scale * value - 1.0) < 1e-6 or abs(scale * (1 - value) - 1) < 1e-6)
        for value in case.lab.options.values()
    )


def _net(
    case: Case, layers: tuple[Dense, ...], shown: Shown, act: Activation, skips: frozenset[int]
) -> tuple[Net | None, bool]:
    """The layers with one example, as claims and the forward pass show them, and whether any claim bears that out."""
    width = layers[0].matrix(case.thetas[layers[0].weight]).shape[1]
    one, error = shown.one, shown.error
    X = one.inputs.get(1)
    if X is None:
        X = next((found for _, found in columns(case, [shown.example], width)), None)
    if X is None:
        return None, False
    masks: dict[int, Array] = {}
    acts = [act] * (len(layers) - 1)
    borne_out = 0
    net = forward(case, layers, acts, skips, X, None, masks)
    for k in range(1, len(layers)):
        mask = _mask(case, layers, replace(one, inputs={**one.inputs, k: net.A[k - 1]}), act, skips, k)
        doubtful = case.verdicts.get(layers[k].weight) == "wrong" and case.verdicts.get(layers[k - 1].bias) == "correct"
        borne_out += mask is not None
        if mask is None or doubtful:
            mask = _mask_of_error(net, one, k, layers, error)
        if mask is not None and np.any(mask != 1.0):
            masks[k] = mask
            net = forward(case, layers, acts, skips, X, None, masks)
    outputs = next(labels(case, [shown.example], len(error), -1), None)
    return replace(net, delta=error, decay=one.decay, Y=outputs), borne_out > 0


def _mask_of_error(net: Net, one: One, layer: int, layers: Sequence[Dense], error: Array) -> Array | None:
    """The mask that the claimed error of a layer shows, where its output is not to be had."""
    above = error if layer + 1 == len(layers) else one.claims[layers[layer].bias].reshape(-1, 1)
    whole = net.W[layer + 1].T @ above * net.slope(layer)
    claimed = one.claims[layers[layer - 1].bias].reshape(-1, 1)
    live = np.abs(whole) > 1e-12 * np.max(np.abs(whole), initial=0.0)
    ratio = np.where(live, claimed / np.where(live, whole, 1.0), 0.0)
    kept = np.abs(ratio) > 1e-9
    scale = float(np.median(ratio[kept])) if np.any(kept) else 0.0
    if scale < 1.0 - 1e-9 or np.any(np.abs(ratio[kept] - scale) > 1e-6 * scale):
        return None
    return np.where(kept, scale, 0.0)


def _holds(case: Case, net: Net, there: Elsewhere, layer: int) -> bool:
    """Whether the derivative measured with these examples is that of the layers without a slip."""
    given = shaped(net, backward(net), layer, case.thetas)
    tensor = net.layers[layer - 1].weight
    reference = there.reference
    stats = reference.evaluator.problem.stats(tensor)
    size = float(np.linalg.norm(given[tensor]))
    if not size:
        return False
    suspect = gather(reference, tensor, stats, stats.scale or 1.0, size, range(SEEDS, SEEDS + 8))
    if len(suspect.measured) < 3:
        return False
    values = suspect.problem.project(suspect.directions, tensor, [given[tensor]])[:, 0]
    typical = float(np.sqrt(np.mean(suspect.measured**2)))
    sharp = float(np.sqrt(np.mean(suspect.bars**2))) <= 1e-4 * typical
    allowed = np.maximum(3.0 * suspect.bars, 1e-6 * typical)
    return sharp and bool(np.all(np.abs(values - suspect.measured) <= allowed))


def _repairs(case: Case, layers: tuple[Dense, ...], act: Activation, skips: frozenset[int]) -> dict[int, Array]:
    """The gradient of the whole batch from its examples, where they are few and nothing is dropped out."""
    m = case.lab.examples
    nets: list[Net] = []
    for e in range(m if m <= REPAIRED else 0):
        one = _look(case, layers, e)
        error = None if one is None else _error(case, layers, one, measured=False)
        net = None if one is None or error is None else _net(case, layers, Shown(e, one, error), act, skips)[0]
        if net is None or any(np.any(D != 1.0) for D in net.D.values()):
            return {}
        nets.append(net)
    whole = stacked(nets, case.claims) if nets else None
    if whole is None:
        return {}
    run = backward(whole)
    found: dict[int, Array] = {}
    for layer in range(whole.top, 0, -1):
        found |= shaped(whole, run, layer, case.thetas)
    return {i: gradient for i, gradient in found.items() if i in case.suspects}
