"""Layers taken apart with one example at a time, where the whole batch cannot be worked out again.

The decision behind it: with one example the gradient of a layer's weights is its error times its input, both of which can
be read off the claims. So inputs, dropout masks, skip connections and activations are known without knowing the cost or
what the network looks like above and before its dense layers; what is right above the lowest right layer is taken from
the claims, and at the output it is measured. That the layers were understood is verified against derivatives
measured with that one example.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation, activations
from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.dense import Dense, columns, dense_tails, labels
from gradproof._diagnosis.evidence import gather
from gradproof._diagnosis.net import Net, backward, shaped
from gradproof._diagnosis.passes import Scene, clean, explanations, slips
from gradproof._diagnosis.rebuilding import forward

Array = NDArray[Any]
#: Examples that are looked at.
LOOKED = 5
#: Outputs up to which the error at the output is measured.
OUTPUTS = 12
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
    for layers in dense_tails(case):
        top = _top(case, layers)
        if top is None:
            continue
        found = _explained(case, layers[: top + 1], measured=top == len(layers) - 1 and _wrong(case, layers[top]))
        if found:
            return found
    return []


def _wrong(case: Case, layer: Dense) -> bool:
    return any(case.verdicts.get(i) == "wrong" for i in layer.tensors)


def _top(case: Case, layers: Sequence[Dense]) -> int | None:
    """The lowest layer with nothing but right ones above it and itself, or the last; None where all is right."""
    wrong = [k for k, layer in enumerate(layers) if _wrong(case, layer)]
    if not wrong:
        return None
    top = min(max(wrong) + 1, len(layers) - 1)
    # A layer whose weights alone are wrong still has its error in its biases.
    return top if all(layer.bias >= 0 for layer in layers[: top + 1]) else None


def _explained(case: Case, layers: tuple[Dense, ...], measured: bool) -> list[Explanation]:
    m = case.lab.examples
    examples = list(dict.fromkeys([0, m // 2, m - 1, m // 4, (3 * m) // 4]))[:LOOKED]
    looked = {e: one for e in examples if (one := _look(case, layers, e)) is not None}
    examples, seen = list(looked), list(looked.values())
    if len(seen) < min(2, m):
        return []
    errors: list[Array] = []
    for one in seen:
        last = layers[-1]
        if not measured or case.verdicts.get(last.bias) == "correct":
            errors.append(one.claims[last.bias].reshape(-1, 1))
        elif case.tensors[last.bias].size <= OUTPUTS:
            errors.append(one.there.measured(last.bias)[0].reshape(-1, 1))
        else:
            return []
    for act, skips in _readings(case, layers, seen):
        nets = [
            net for e, one, error in zip(examples, seen, errors, strict=False)
            if (net := _net(case, layers, one, act, skips, error, e)) is not None
        ]  # fmt: skip
        if len(nets) < len(seen):
            continue
        scenes = [Scene(net, one.claims, within=2e-6) for net, one in zip(nets, seen, strict=True)]
        showing = [k for k, scene in enumerate(scenes) if not clean(case, scene)]
        if len(showing) < min(2, m):
            continue
        nets, shown = [nets[k] for k in showing], [seen[k] for k in showing]
        found = slips(case, [scenes[k] for k in showing])
        told = [slip for slip in found if slip.tensors]
        if told and _holds(case, nets, shown, min(s.layer for s in told)):
            return [
                replace(e, message=f"{e.message} (Seen with one example at a time.)", rank=2.5)
                for e in explanations(told, _repairs(case, layers, act, skips, nets[0]))
            ]
    return []


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
    """a and c in dW = error a^T + c W; None where dW is nothing of the kind."""
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


def _readings(
    case: Case, layers: Sequence[Dense], seen: Sequence[One]
) -> Iterator[tuple[Activation, frozenset[int]]]:
    """Activations and skip connections that the inputs of some layer show."""
    hidden = range(1, len(layers))
    if not hidden:
        yield activations(case.lab.options)[0], frozenset()
        return
    square = [k for k in hidden if k > 1 and len(set(layers[k - 1].matrix(case.thetas[layers[k - 1].weight]).shape)) == 1]
    for act in activations(case.lab.options):
        for skips in (frozenset[int](), *(frozenset({k}) for k in square)):
            shown = sum(
                _mask(case, layers, one, act, skips, k) is not None for one in seen for k in hidden
            )
            if shown >= len(seen):
                yield act, skips


def _input(case: Case, layers: Sequence[Dense], one: One, layer: int) -> Array | None:
    return one.inputs.get(layer)


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
        isinstance(value, float) and value > 0.0 and (abs(scale * value - 1.0) < 1e-6 or abs(scale * (1 - value) - 1) < 1e-6)
        for value in case.lab.options.values()
    )


def _net(
    case: Case,
    layers: tuple[Dense, ...],
    one: One,
    act: Activation,
    skips: frozenset[int],
    error: Array,
    example: int,
) -> Net | None:
    """The layers with one example, as far as claims and the forward pass show them."""
    width = layers[0].matrix(case.thetas[layers[0].weight]).shape[1]
    X = one.inputs.get(1)
    if X is None:
        X = next((found for _, found in columns(case, [example], width)), None)
    if X is None:
        return None
    masks: dict[int, Array] = {}
    net = forward(case, layers, [act] * (len(layers) - 1), skips, X, None, masks)
    for k in range(1, len(layers)):
        # Inputs that were read off carry less rounding than a long way forward, and nothing that is wrong below.
        shown = replace(one, inputs={**one.inputs, k: net.A[k - 1]})
        mask = _mask(case, layers, shown, act, skips, k)
        doubtful = case.verdicts.get(layers[k].weight) == "wrong" and case.verdicts.get(layers[k - 1].bias) == "correct"
        if mask is None or doubtful:
            mask = _mask_of_error(net, one, k, layers, error)
        if mask is not None:
            masks[k] = mask
        net = forward(case, layers, [act] * (len(layers) - 1), skips, X, None, masks)
    outputs = next(labels(case, [example], len(error), -1), None)
    return replace(net, delta=error, decay=one.decay, Y=outputs)


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


def _holds(case: Case, nets: Sequence[Net], seen: Sequence[One], layer: int) -> bool:
    """Whether the derivative measured with one example is that of the layers without a slip."""
    for net, one in zip(nets[:2], seen[:2], strict=False):
        run = backward(net)
        dense = net.layers[layer - 1]
        given = shaped(net, run, layer, case.thetas)
        tensor = dense.weight
        reference = one.there.reference
        stats = reference.evaluator.problem.stats(tensor)
        size = float(np.linalg.norm(given[tensor]))
        if not size:
            return False
        suspect = gather(reference, tensor, stats, stats.scale or 1.0, size, range(SEEDS, SEEDS + 8))
        values = suspect.problem.project(suspect.directions, tensor, [given[tensor]])[:, 0]
        noise = float(np.sqrt(np.mean(suspect.bars**2))) if len(suspect.bars) else np.inf
        allowed = np.maximum(3.0 * suspect.bars, 1e-6 * float(np.sqrt(np.mean(suspect.measured**2))))
        if len(values) < 3 or noise > 1e-4 * np.sqrt(np.mean(values**2)) or np.any(np.abs(values - suspect.measured) > allowed):
            return False
    return True


def _repairs(
    case: Case, layers: tuple[Dense, ...], act: Activation, skips: frozenset[int], first: Net
) -> dict[int, Array]:
    """The gradient of the whole batch as the sum over its examples, where they are few and nothing is dropped out."""
    m = case.lab.examples
    wrong = {s.index for s in case.open}
    if m > REPAIRED or any(np.any(D != 1.0) for D in first.D.values()) or _wrong(case, layers[-1]):
        return {}
    sums: dict[int, Array] = {}
    for e in range(m):
        one = _look(case, layers, e)
        net = None if one is None else _net(
            case, layers, one, act, skips, one.claims[layers[-1].bias].reshape(-1, 1), e
        )
        if net is None or one is None:
            return {}
        run = backward(replace(net, decay=0.0))
        for n in range(1, len(layers) + 1):
            for i, gradient in shaped(net, run, n, case.thetas).items():
                sums[i] = sums.get(i, 0.0) + gradient
    bias = layers[-1].bias
    size = float(np.vdot(sums[bias], sums[bias]))
    scale = float(np.vdot(sums[bias], case.claims[bias])) / size if size else 0.0
    found = {}
    for i in wrong & set(sums):
        s = case.suspects[i]
        whole = scale * sums[i]
        fit = None if s.leaves_nothing(whole) else s.fit([s.theta], known=whole)
        found[i] = whole if fit is None else whole + fit.coefficients[0] * s.theta
    return found
