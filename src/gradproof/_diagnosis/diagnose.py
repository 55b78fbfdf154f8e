"""From a case to findings: causes in stages, the simplest explanation first, each proven by its fix.

The decision behind it: later stages cost more (repeated calls, other data, a search for the place), so they see only
what earlier ones left open. Within a stage the simplest explanation of a tensor goes first and the others that fit as
well are named beside it. What nothing explains is said to be unexplained, with its place: a wrong cause would be worse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import rms
from gradproof._diagnosis.proof import Left, left_after
from gradproof._diagnosis.table import STAGES, Stages
from gradproof._records import Finding, Place
from gradproof._verdict.settle import Claimed

#: Where the derivative itself is zero, this share of a mismatch is what a fitted number may leave of it.
VANISHED = 1e-6
#: A stage is asked again, for what its last answers left open, up to so many times.
ROUNDS = 3
#: A proof that leaves more than this is none, however coarse the measurements are.
LOOSEST = 0.05
#: A fix that changes an element by less than this, relative, leaves it as it is.
ROUNDING = 1e-12
#: By so many of its errors a fitted number, and with it what it changes, may be off.
FITTED = 10.0
#: Seeds of proofs start here, apart from those of verdicts and evidence.
PROOF_SEEDS = 611_953


def diagnose(
    case: Case, claimed: Mapping[int, Sequence[Claimed]], seed: int, stages: Stages | None = None
) -> list[Finding]:
    """Explains the wrong tensors of a case.

    Args:
        case: what is known; its ``explained`` is filled in.
        claimed: for each wrong tensor what the verdicts know of all tensors where it was judged.
        seed: of the directions that proofs use.
        stages: the causes to ask; all where left out.

    Returns:
        Findings, the simplest first; ``case.mended`` holds the claims that were proven right.
    """
    found: list[Finding] = []
    for number, stage in enumerate(STAGES if stages is None else stages):
        for again in range(ROUNDS):
            before = len(found)
            offered = [e for cause in stage for e in cause(case)] if case.open else []
            for chosen in choose(offered, {s.index for s in case.open}):
                finding = _proven(case, chosen, claimed, seed + PROOF_SEEDS * (ROUNDS * number + again + 1))
                if finding is not None:
                    found.append(finding)
                    case.explained.update(chosen.tensors)
            if len(found) == before:
                break
    return found


def choose(offered: Sequence[Explanation], wanted: set[int]) -> list[Explanation]:
    """The simplest explanations that cover as many of the wanted tensors as can be, none of them twice."""
    left, chosen = set(wanted), []
    ranked = sorted(offered, key=lambda e: (e.rank, -len(e.tensors)))
    for explanation in ranked:
        if explanation.tensors and set(explanation.tensors) <= left:
            rivals = (
                other.cause
                for other in ranked
                if other is not explanation and set(other.tensors) & set(explanation.tensors)
            )
            also = dict.fromkeys((*explanation.also, *rivals))
            also.pop(explanation.cause, None)
            chosen.append(replace(explanation, also=tuple(also)))
            left -= set(explanation.tensors)
    return chosen


def _proven(case: Case, chosen: Explanation, claimed: Mapping[int, Sequence[Claimed]], seed: int) -> Finding | None:
    """The finding of an explanation, its fix applied and judged; None where the fix does not hold."""
    repaired: float | None = None
    mended: dict[int, Left] = {}
    for source in {case.suspects[i].source for i in chosen.repairs if i in case.suspects}:
        members = {i: r for i, r in chosen.repairs.items() if i in case.suspects and case.suspects[i].source is source}
        left = left_after(source, claimed[min(members)], members, seed)
        for i in members:
            tolerance = claimed[i][i].aim.tolerance
            if i not in left:
                return None
            mended[i] = left[i]
            taken_off = float(np.linalg.norm(case.claims[i] - left[i].repaired))
            if not left[i].relative <= tolerance and (
                left[i].status == "correct" or left[i].absolute <= VANISHED * taken_off
            ):
                continue  # the derivative is zero, and next to nothing of the mismatch is left
            if left[i].status == "wrong" or not left[i].relative <= max(tolerance, _resolution(case, i)):
                return None
            repaired = max(repaired or 0.0, left[i].relative)
    case.mended.update(mended)
    return Finding(
        chosen.cause,
        chosen.severity,
        tuple(case.tensors[i].name for i in chosen.tensors),
        place_of(case, chosen),
        chosen.message,
        chosen.fix,
        detail=chosen.detail,
        factor=chosen.factor,
        also=chosen.also,
        repaired=repaired,
    )


def _resolution(case: Case, tensor: int) -> float:
    """The relative difference that measurements of this tensor can see at all."""
    suspect = case.suspects[tensor]
    size, bars = rms(suspect.measured), rms(suspect.bars) if len(suspect.bars) else math.inf
    return min(LOOSEST, 100.0 * bars / size) if size else LOOSEST


def place_of(case: Case, chosen: Explanation) -> Place:
    """Where an explanation holds: the places found, what a fix changes, all of the other tensors."""
    masks, texts, exact = {}, [], True
    whole = [i for i in chosen.tensors if i not in chosen.places]
    for i, where in chosen.places.items():
        masks[case.tensors[i].name] = where.mask
        texts.append(where.text)
        # A search sees a sample of a large place: what is not proven by a fix may hold a right element.
        exact = exact and where.exact and (i in chosen.repairs or bool(np.all(where.verified[where.mask])))
    for i in whole:
        changed = _changed(case, chosen, i)
        masks[case.tensors[i].name] = np.ones(case.tensors[i].shape, dtype=bool) if changed is None else changed
        exact = exact and changed is not None
    if whole:
        texts.append(_layers_or_names(case, whole))
    return Place(", ".join(texts), masks, exact)


def _changed(case: Case, chosen: Explanation, tensor: int) -> NDArray[np.bool_] | None:
    """The elements that a fix changes beyond rounding, and beyond what is uncertain of a fitted number in it.

    None where there is no fix.
    """
    if tensor not in chosen.repairs:
        return None
    claim, repaired = case.claims[tensor], chosen.repairs[tensor]
    size = np.maximum(np.abs(claim), np.abs(repaired))
    fitted = 0.0 if chosen.factor is None or not chosen.factor[0] else abs(chosen.factor[1] / chosen.factor[0])
    off: NDArray[np.bool_] = np.abs(claim - repaired) > max(ROUNDING, FITTED * fitted) * size
    return off


def _layers_or_names(case: Case, tensors: Sequence[int]) -> str:
    """``all of W2``, or ``layers 1-2`` where whole numbered layers are meant."""
    chosen = set(tensors)
    full = [layer for layer in case.layers if set(layer.tensors) <= chosen]
    covered = {i for layer in full for i in layer.tensors}
    if len(tensors) > 2 and covered == chosen and len(full) > 1:
        keys = [layer.key for layer in full]
        heads = {key.rpartition(".")[0] for key in keys}
        tails = [key.rpartition(".")[2] for key in keys]
        if len(heads) == 1 and all(tail.isdigit() for tail in tails):
            numbers = sorted(int(tail) for tail in tails)
            head = next(iter(heads)) or "layers"
            if numbers == list(range(numbers[0], numbers[-1] + 1)):
                return f"{head} {numbers[0]}-{numbers[-1]}"
    return f"all of {case.names(sorted(tensors))}"
