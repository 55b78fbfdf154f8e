"""The proof of an explanation: the claim with the fix applied, judged again like any other claim.

The decision behind it: the projections that an explanation was found with cannot also prove it, so fresh directions
are drawn and the verdict's own bounds are used. An explanation whose fix does not survive this is not reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from gradproof._reference import Reference
from gradproof._verdict.judge import Judge, Seeds, relative_high
from gradproof._verdict.settle import Claimed, Settlement, combined, settle


def left_after(
    reference: Reference, claimed: Sequence[Claimed], repairs: Mapping[int, NDArray[Any]], seed: int
) -> dict[int, tuple[str, float]]:
    """What is left of each repaired tensor: status and the high end of its relative difference.

    Args:
        reference: where slopes come from.
        claimed: what the verdicts know of every tensor of the problem.
        repairs: the mended claims.
        seed: of the fresh directions.
    """
    mended = reference.reclaimed(repairs)
    problem = mended.evaluator.problem
    known = [replace(c, stats=problem.stats(i)) if i in repairs else c for i, c in enumerate(claimed)]
    settlement = Settlement({}, lambda: None, set())
    settle(Judge(mended, Seeds(seed)), known, sorted(repairs), settlement)
    left = {}
    for i, outcomes in settlement.outcomes.items():
        outcome = combined(outcomes)
        left[i] = outcome.status, relative_high(outcome.high, known[i].stats.claim if outcome.absolute else 1.0)
    return left
