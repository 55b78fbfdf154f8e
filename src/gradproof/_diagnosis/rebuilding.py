"""The user's network worked out again: which layers, activations and cost reproduce what was measured.

The decision behind it: a network is only believed where its gradient agrees with every right gradient and with
every measured projection of the wrong ones, to all their digits. Nothing else of it is taken from the user but
parameters and data, so that what follows from it holds whatever the user's functions look like inside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import PLAIN, Activation, activations
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.dense import Dense, chains, columns, labels
from gradproof._diagnosis.losses import Loss, losses
from gradproof._diagnosis.masks import guesses
from gradproof._diagnosis.net import Net, backward, shaped

Array = NDArray[Any]
#: Multiplications of one forward pass, and of all that are tried, beyond which none is.
PASS, ALL = 3e7, 3e9
#: Examples beyond which no batch is worked out again.
EXAMPLES = 4_000
#: Mixed activations are tried in at most so many combinations.
MIXED = 350
#: Larger pre-activations than this come from an activation that is not the user's.
HUGE = 1e30
#: Relative difference up to which a right gradient and a rebuilt one are the same.
SAME = 3e-7


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A network whose gradient is the measured one.

    Attributes:
        net: the network on the whole batch.
        loss: its cost.
        scale: the factor in front of the cost.
    """

    net: Net
    loss: Loss
    scale: float


def rebuild(case: Case) -> Rebuilt | None:
    """The user's network on the whole batch; None where none is found whose gradient is the measured one."""
    m = case.lab.examples
    if not case.lab.data or not 0 < m <= EXAMPLES:
        return None
    for layers in chains(case):
        sizes = [layer.matrix(case.thetas[layer.weight]).shape for layer in layers]
        work = float(m * sum(a * b for a, b in sizes))
        if work > PASS:
            return None
        tries = int(max(1.0, ALL / work))
        for k, X in columns(case, range(m), sizes[0][1]):
            for Y in labels(case, range(m), sizes[-1][0], k):
                found = _search(case, layers, X, Y, tries)
                if found is not None:
                    return found
    return None


def _search(case: Case, layers: tuple[Dense, ...], X: Array, Y: Array, tries: int) -> Rebuilt | None:
    plain = [loss for loss in losses(case.lab.options) if not loss.epsilon]
    floored = [loss for loss in losses(case.lab.options) if loss.epsilon]
    shapes = _shapes(case, layers)
    usual = [shape for shape in shapes if len({act.name for act in shape[0]}) < 2 and not shape[1]]
    trials = [(shape, plain) for shape in shapes] + [(shape, floored) for shape in usual]
    hidden = [case.tensors[layer.bias].size if layer.bias >= 0 else 0 for layer in layers[:-1]]
    drawn = list(guesses(case.lab.options, hidden, X.shape[1], layers[0].turned)) if hidden and all(hidden) else []
    dropped = [(shape, plain, masks) for shape in usual[:12] for masks in drawn]
    whole: dict[int, Array] = {}
    for (acts, skips), known, masks in [*dropped, *((*trial, whole) for trial in trials)][:tries]:
        found = _with_loss(case, forward(case, layers, acts, skips, X, Y, masks), known)
        if found is not None:
            return found
    return None


def _with_loss(case: Case, net: Net, known: Sequence[Loss]) -> Rebuilt | None:
    """The network with the cost that gives the measured gradient; None where none of those known does."""
    if net.Y is None or not np.all(np.abs(net.Z[net.top]) < HUGE):
        return None
    for loss in known:
        with np.errstate(all="ignore"):
            delta = loss.delta(net.Z[net.top], net.Y)
            if not np.all(np.abs(delta) < HUGE) or not np.any(delta) or not _along_bias(case, net, delta):
                continue
            found = _scaled(case, replace(net, delta=delta))
        if found is not None and agrees(case, found[0]):
            return Rebuilt(found[0], loss, found[1])
    return None


def _along_bias(case: Case, net: Net, delta: Array) -> bool:
    """Whether the gradient of the last biases has the right direction, where that is known: a quick test."""
    bias = net.layers[-1].bias
    if bias < 0 or case.verdicts.get(bias) != "correct" or bias not in case.claims:
        return True
    claim, term = case.claims[bias].ravel(), delta.sum(axis=1)
    size, along = float(np.linalg.norm(claim)), float(claim @ term)
    if size < 1e-9 * float(np.abs(delta).sum()):
        return True
    return bool(abs(abs(along) - size * float(np.linalg.norm(term))) <= 1e-6 * abs(along))


def _shapes(case: Case, layers: Sequence[Dense]) -> list[tuple[tuple[Activation, ...], frozenset[int]]]:
    """Activations of the hidden layers and skip connections, the usual ones first."""
    hidden = len(layers) - 1
    every = activations(case.lab.options)
    alike = [((act,) * hidden, frozenset[int]()) for act in every]
    if hidden < 2:
        return alike if hidden else alike[:1]
    same = [
        k for k in range(2, hidden + 1)
        if case.tensors[layers[k - 1].weight].size == len(case.thetas[layers[k - 1].weight]) ** 2
    ]  # fmt: skip
    sets = [frozenset({k}) for k in same] + ([frozenset(same)] if len(same) > 1 else [])
    skipping = [(acts, skips) for acts, _ in alike for skips in sets]
    mixed: list[tuple[tuple[Activation, ...], frozenset[int]]] = []
    some = PLAIN[:4] if 4**hidden <= MIXED else PLAIN[:2]
    if len(some) ** hidden <= MIXED:
        mixed = [(tuple(acts), frozenset()) for acts in product(some, repeat=hidden) if len(set(acts)) > 1]
    return [*alike, *skipping, *mixed]


def forward(
    case: Case,
    layers: tuple[Dense, ...],
    acts: Sequence[Activation],
    skips: frozenset[int],
    X: Array,
    Y: Array | None,
    masks: Mapping[int, Array] | None = None,
) -> Net:
    """The forward pass, with the derivative at the output still open."""
    W, b, Z, A, F, D = {}, {}, {}, {0: X}, {}, {}
    with np.errstate(all="ignore"):
        for n, layer in enumerate(layers, 1):
            W[n] = layer.matrix(case.thetas[layer.weight])
            b[n] = case.thetas[layer.bias].reshape(-1, 1) if layer.bias >= 0 else np.zeros((len(W[n]), 1))
            Z[n] = W[n] @ A[n - 1] + b[n]
            if n < len(layers):
                F[n] = acts[n - 1].value(Z[n])
                D[n] = (masks or {}).get(n, np.ones_like(Z[n]))
                A[n] = (F[n] + A[n - 1] if n in skips else F[n]) * D[n]
    return Net(layers, W, b, Z, A, F, D, dict(enumerate(acts, 1)), skips, np.zeros_like(Z[len(layers)]), 0.0, Y)


def _scaled(case: Case, net: Net) -> tuple[Net, float] | None:
    """The factor in front of the cost and of the L2 term, from the last weights; None where nothing fits them."""
    run = backward(net, lowest=net.top)
    last = net.layers[-1].weight
    found = coefficients(case, last, shaped(net, run, net.top, case.thetas)[last])
    if found is None:
        return None
    return replace(net, delta=found[0] * net.delta, decay=found[1]), found[0]


def coefficients(case: Case, tensor: int, term: Array) -> tuple[float, float] | None:
    """A and c where the right gradient of a tensor is a times a term plus c times the tensor; None where it is not."""
    theta = case.thetas[tensor]
    suspect = case.suspects.get(tensor)
    if suspect is not None and suspect.clear:
        for terms in ([term], [term, theta]):
            fit = suspect.fit(terms)
            if fit is not None and not (fit.thin and suspect.tensor.size > len(terms) + 2):
                errors = (*fit.errors, 0.0)
                sharp = [_sharp(case, v, e) for v, e in zip(fit.coefficients, errors, strict=False)]
                return sharp[0], sum(sharp[1:])
        return None
    if case.verdicts.get(tensor) != "correct" or tensor not in case.claims:
        return None
    claim = case.claims[tensor].ravel()
    table = np.stack([term.ravel(), theta.ravel()])
    square = table @ table.T
    if not abs(square[0, 1]) < 0.999999 * np.sqrt(square[0, 0] * square[1, 1]):
        return None
    values = np.linalg.solve(square, table @ claim)
    if np.linalg.norm(values @ table - claim) > 1e-5 * np.linalg.norm(claim):
        return None
    values = np.linalg.lstsq(table.T, claim, rcond=None)[0]
    if np.linalg.norm(values @ table - claim) > SAME * np.linalg.norm(claim) or not values[0]:
        return None
    decay = float(values[1]) if abs(values[1]) * np.linalg.norm(theta) > 1e-9 * np.linalg.norm(claim) else 0.0
    return float(values[0]), decay


def _sharp(case: Case, value: float, error: float) -> float:
    known = case.nice(value, error)
    return known.value if known is not None else value


def agrees(case: Case, net: Net) -> bool:
    """Whether the gradient of a network is right wherever the truth is known, in two tensors at least."""
    run = backward(net)
    seen = 0
    for layer in range(net.top, 0, -1):
        for i, gradient in shaped(net, run, layer, case.thetas).items():
            suspect = case.suspects.get(i)
            if suspect is not None and suspect.clear:
                if not suspect.leaves_nothing(gradient):
                    return False
                seen += 1
            elif case.verdicts.get(i) == "correct" and i in case.claims:
                if not same(gradient, case.claims[i]):
                    return False
                seen += 1
    return seen > 1 or (seen == 1 and len(net.layers) == 1)


def same(one: Array, other: Array, within: float = SAME, floor: float = 0.0) -> bool:
    """Whether two gradients differ by rounding and measuring alone.

    Args:
        one: a gradient.
        other: another.
        within: relative difference that counts as none.
        floor: absolute difference that is rounding.
    """
    if np.shape(one) != np.shape(other) or not np.all(np.isfinite(one)):
        return False
    size = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return float(np.linalg.norm(one - other)) <= within * size + floor


def tensors(net: Net) -> Iterator[int]:
    """All tensors of a network."""
    for layer in net.layers:
        yield from layer.tensors
