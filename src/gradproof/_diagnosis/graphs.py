"""Slips in the backward pass of a network with norms, tables or layers used again, recognised on the whole batch.

The decision behind it: with the network recognised, what a slip makes of every gradient is computed. A slip is believed
where it gives the claims of all tensors to all their digits; where none does, one that spoils a single tensor may
account for that tensor alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gradproof._diagnosis import slips_in_images, slips_in_parameters, slips_in_steps, slips_in_sums
from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.graph import Array, Swap
from gradproof._diagnosis.graph_slip import GraphSlip
from gradproof._diagnosis.losses import MISTAKEN, losses
from gradproof._diagnosis.rebuilding import same
from gradproof._diagnosis.recognised import Recognised, recognise

Slips = Callable[[Recognised], Iterator[GraphSlip]]
#: The simplest first.
SLIPS: tuple[Slips, ...] = (slips_in_steps.slips, slips_in_sums.slips, slips_in_images.slips, slips_in_parameters.slips)
#: Relative difference up to which a claim is what a slip gives.
WITHIN = 2e-7
#: Rounding of a gradient, relative to the largest.
FLOOR = 1e-13
#: A number that is fitted explains nothing where it is smaller than this.
SMALLEST = 1e-6

Gradients = Mapping[int, Array]


def explain(case: Case) -> Sequence[Explanation]:
    """The slip that gives the claims of all wrong tensors, or slips that give those of single ones."""
    if not case.open:
        return []
    known = recognise(case)
    if known is None:
        return []
    right = known.claimed()
    case.truths.update({s.index: right[s.index] for s in case.open})
    open_ = [s.index for s in case.open]
    other = _another_cost(known, right)
    if other is not None:
        return [other]
    offered = list(_distinct(known))
    found = [fitting for slip in offered if (fitting := _fitting(known, right, slip, open_)) is not None]
    if found:
        return [_explanation(case, found[0], [f.cause for f in found[1:]], open_, right)]
    told = []
    for tensor in open_:
        alone = [f for slip in offered if (f := _fitting(known, right, slip, [tensor])) is not None]
        if alone:
            told.append(_explanation(case, alone[0], [f.cause for f in alone[1:]], [tensor], right))
    return told


def _distinct(known: Recognised) -> Iterator[GraphSlip]:
    """All slips at one place, then the same slip at all places where it can be made."""
    kinds: dict[tuple[str, str], list[GraphSlip]] = {}
    for make in SLIPS:
        with np.errstate(all="ignore"):
            for slip in make(known):
                if slip.kind:
                    kinds.setdefault((slip.cause, slip.kind), []).append(slip)
                yield slip
    for group in kinds.values():
        if len(group) > 1:
            swaps = {edge: swap for slip in group for edge, swap in slip.swaps.items()}
            yield replace(group[0], swaps=swaps, message=f"{group[0].message} The same happens at every such step.")


def _fitting(known: Recognised, right: Gradients, slip: GraphSlip, wrong: Sequence[int]) -> GraphSlip | None:
    """The slip with its number, if it gives the claims of the wrong tensors and leaves the others as they are."""
    made = known.claimed(slip.swaps)
    if slip.fitted:
        rate = _rate(known, right, made, wrong)
        if rate is None or not abs(rate) > SMALLEST:
            return None
        slip = _in_part(slip, rate)
        made = known.claimed(slip.swaps)
    return slip if _gives(known, right, made, wrong) else None


def _gives(known: Recognised, right: Gradients, made: Gradients, wrong: Sequence[int]) -> bool:
    """Whether gradients are those that are claimed of the wrong tensors, and the right ones elsewhere."""
    case = known.case
    floor = FLOOR * max(float(np.linalg.norm(g)) for g in right.values())
    for i, gradient in made.items():
        if i in wrong:
            if not same(gradient, case.claims[i], WITHIN, floor):
                return False
        elif case.verdicts.get(i) == "correct" and not same(gradient, right[i], WITHIN, 10.0 * floor):
            return False
    return True


def _rate(known: Recognised, right: Gradients, made: Gradients, wrong: Sequence[int]) -> float | None:
    """T for which claims are the right ones and t times what the whole slip changes."""
    change = np.concatenate([(made[i] - right[i]).ravel() for i in wrong])
    wanted = np.concatenate([(known.case.claims[i] - right[i]).ravel() for i in wrong])
    size = float(change @ change)
    return float(change @ wanted) / size if np.isfinite(size) and size else None


def _in_part(slip: GraphSlip, rate: float) -> GraphSlip:
    swaps = {edge: _part(swap, rate) for edge, swap in slip.swaps.items()}
    return replace(
        slip, detail=f"{slip.fitted} {rate:.6g}", swaps=swaps, message=slip.message.replace("{fitted}", f"{rate:.6g}")
    )


def _part(swap: Swap, rate: float) -> Swap:
    return lambda goes, came, flow: goes + rate * (swap(goes, came, flow) - goes)


def _another_cost(known: Recognised, right: Gradients) -> Explanation | None:
    """The cost that all claims are the gradient of."""
    case, graph = known.case, known.graph
    wrong = [s.index for s in case.open]
    Z, Y = graph.nodes[graph.output].value.T, graph.labels.T
    for loss in (*losses(case.lab.options), *MISTAKEN):
        if loss.epsilon or loss.name == known.loss.name:
            continue
        with np.errstate(all="ignore"):
            delta = loss.delta(Z, Y).T
        if not np.all(np.isfinite(delta)) or not np.any(delta):
            continue
        made = known.claimed(delta=delta)
        base = {i: made[i] - known.decays.get(i, 0.0) * case.thetas[i] for i in made}
        scale = _scale(known, base, wrong)
        if scale is None or not _gives(known, right, known.claimed(delta=scale * delta), wrong):
            continue
        repairs = {i: right[i] for i in wrong}
        said, fix = (
            f"The gradient is exactly that of {loss.name}, but the cost is {known.loss.name}.",
            f"Start the backward pass from the derivative of {known.loss.name}, or change the cost.",
        ) if loss.clear else (
            f"The derivative at the output is wrong: {loss.name}. The cost is {known.loss.name}.",
            f"Start the backward pass from the derivative of {known.loss.name} by the output.",
        )  # fmt: skip
        detail = f"{loss.name} for {known.loss.name}" if loss.clear else loss.name
        return Explanation("other-loss", tuple(wrong), said, fix, repairs, detail, 2.0)
    return None


def _scale(known: Recognised, base: Gradients, wrong: Sequence[int]) -> float | None:
    case = known.case
    term = np.concatenate([base[i].ravel() for i in wrong])
    claim = np.concatenate([(case.claims[i] - known.decays.get(i, 0.0) * case.thetas[i]).ravel() for i in wrong])
    size = float(term @ term)
    return (float(term @ claim) / size or None) if np.isfinite(size) and size else None


def _explanation(
    case: Case, slip: GraphSlip, others: Sequence[str], tensors: Sequence[int], right: Gradients
) -> Explanation:
    also = tuple(name for name in dict.fromkeys((*slip.also, *others)) if name != slip.cause)
    return Explanation(
        slip.cause, tuple(tensors), slip.message, slip.fix, {i: right[i] for i in tensors}, slip.detail, 2.0,
        also=also,
    )  # fmt: skip
