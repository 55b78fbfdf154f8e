"""Models that are no chain of layers, recognised by their gradient.

The decision behind it: as with chains of layers, a reading is only believed where its gradient agrees with every right
gradient and with every measured projection of the wrong ones, to all their digits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis import attending, recurrent
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.losses import Loss, losses
from gradproof._diagnosis.models import Model, seeds, shaped
from gradproof._diagnosis.rebuilding import SAME, same
from gradproof._diagnosis.unrolled import Run, backward

Array = NDArray[Any]
#: Effort of one pass, and of all that are tried, beyond which none is; see ``Model.effort``.
PASS, ALL = 1e8, 3e9
#: What a reading costs at least.
LEAST = 1e5
#: Readings that are tried, and those that are tried with a constant in the logarithms of the cost.
READINGS, FLOORED = 400, 12
#: Larger outputs than this come from an activation that is not the user's.
HUGE = 1e30


@dataclass(frozen=True, eq=False)
class Recognised:
    """A model whose gradient is the measured one.

    Attributes:
        model: the forward pass.
        loss: its cost.
        scale: the factor in front of the cost.
        decay: the coefficient of the L2 term by tensor.
        run: the right backward pass.
        right: the right gradients as the tensors are stored.
    """

    model: Model
    loss: Loss
    scale: float
    decay: Mapping[int, float]
    run: Run
    right: Mapping[int, Array]

    def given(self, case: Case, run: Run) -> dict[int, Array]:
        """The gradients of a backward pass with the L2 terms, as the tensors are stored."""
        found = shaped(case, self.model, run.gradients)
        return {i: g + self.decay[i] * case.thetas[i] if self.decay[i] else g for i, g in found.items()}


def recognise(case: Case) -> Recognised | None:
    """The model whose gradient is the measured one; None where none is found."""
    if not case.lab.data or not case.open:
        return None
    left = ALL
    for floored, most in ((False, READINGS), (True, FLOORED)):
        known = [loss for loss in losses(case.lab.options) if bool(loss.epsilon) is floored]
        for model in islice(chain(recurrent.models(case), attending.models(case)), most):
            if model.effort > PASS:
                return None
            for loss in known:
                start = _start(case, model, loss)
                left -= LEAST if start is None else model.effort
                found = _with_loss(case, model, loss, start) if start is not None and left > 0.0 else None
                if found is not None:
                    return found
    return None


def _start(case: Case, model: Model, loss: Loss) -> dict[int, Array] | None:
    """The derivatives of a cost by the outputs; None where it is not the user's."""
    with np.errstate(all="ignore"):
        start = seeds(model, loss)
        usable = all(np.all(np.abs(delta) < HUGE) for delta in start.values())
        return start if usable and _along_last(case, model, start) else None


def _with_loss(case: Case, model: Model, loss: Loss, start: Mapping[int, Array]) -> Recognised | None:
    with np.errstate(all="ignore"):
        run = backward(model.graph, start)
        gradients = shaped(case, model, run.gradients)
        if len(gradients) < len(case.tensors) or not all(np.all(np.isfinite(g)) for g in gradients.values()):
            return None
        for scale, decay in _coefficients(case, gradients):
            found = _agreeing(case, gradients, run.size, scale, decay)
            if found is not None:
                run = backward(model.graph, seeds(model, loss, scale))
                known = Recognised(model, loss, scale, found, run, {})
                return Recognised(model, loss, scale, found, run, known.given(case, run))
    return None


def _along_last(case: Case, model: Model, start: Mapping[int, Array]) -> bool:
    """Whether the gradient of the last biases has the right direction, where that is known: a quick test."""
    node = model.graph.nodes[model.outputs[0]]
    if node.op != "bias":
        return True
    tensor = model.graph.nodes[node.parents[1]].tensor
    term = sum((d.reshape(-1, d.shape[-1]).sum(axis=0) for d in start.values()), np.zeros(node.value.shape[-1]))
    suspect = case.suspects.get(tensor)
    if case.verdicts.get(tensor) == "correct" and tensor in case.claims:
        claim = case.claims[tensor].ravel()
    elif suspect is not None and suspect.elements is not None:
        claim = suspect.elements.ravel()
    else:
        return True
    size, along = float(np.linalg.norm(claim)), float(claim @ term)
    return bool(abs(abs(along) - size * float(np.linalg.norm(term))) <= 1e-4 * size * float(np.linalg.norm(term)))


def _coefficients(case: Case, gradients: Mapping[int, Array]) -> Iterator[tuple[float, float]]:
    """The factor in front of the cost and of the L2 term, from tensors that tell of both, right ones first."""
    order = sorted(gradients, key=lambda i: -gradients[i].size)
    right = [i for i in order if case.verdicts.get(i) == "correct"]
    for i in dict.fromkeys((*right[:2], *order[:2])):
        g, theta = gradients[i], case.thetas[i]
        if not np.any(g):
            continue
        for terms in ([g], [g, theta]):
            values = _fitted(case, i, terms)
            if values is not None and values[0]:
                yield values[0], (values[1] if len(values) > 1 else 0.0)


def _fitted(case: Case, tensor: int, terms: Sequence[Array]) -> list[float] | None:
    suspect = case.suspects.get(tensor)
    if suspect is not None:
        fit = suspect.fit(terms) if suspect.clear else None
        if fit is None or (fit.thin and suspect.tensor.size > len(terms) + 2):
            return None
        known = [case.nice(v, e) for v, e in zip(*fit.pairs, strict=True)]
        return [n.value if n else v for n, v in zip(known, fit.coefficients, strict=True)]
    if case.verdicts.get(tensor) != "correct" or tensor not in case.claims:
        return None
    claim = case.claims[tensor].ravel()
    if len(claim) <= len(terms):
        return None
    table = np.stack([t.ravel() for t in terms], axis=1)
    values = np.linalg.lstsq(table, claim, rcond=None)[0]
    if np.linalg.norm(table @ values - claim) > SAME * np.linalg.norm(claim):
        return None
    return [float(v) for v in values]


def _agreeing(
    case: Case, gradients: Mapping[int, Array], size: Mapping[int, float], scale: float, decay: float
) -> dict[int, float] | None:
    """The coefficient of the L2 term by tensor; None where a gradient does not agree with what is known of it."""
    found: dict[int, float] = {}
    seen = 0
    whole = max(float(np.linalg.norm(g)) for g in gradients.values()) * abs(scale)
    for i, gradient in gradients.items():
        suspect = case.suspects.get(i)
        for rate in dict.fromkeys((decay, 0.0)):
            given = scale * gradient + rate * case.thetas[i]
            if suspect is not None and suspect.clear:
                if suspect.leaves_nothing(given):
                    found[i] = rate
            elif case.verdicts.get(i) == "correct" and i in case.claims:
                if same(given, case.claims[i], SAME, 1e-12 * (whole + abs(scale) * size[i])):
                    found[i] = rate
            elif case.verdicts.get(i) != "correct":
                found[i] = rate
            if i in found:
                seen += suspect is not None or case.verdicts.get(i) == "correct"
                break
        if i not in found:
            return None
    return found if seen > 1 else None
