"""The proof of an explanation: the claim with the fix applied, judged again like any other claim.

The decision behind it: the projections that an explanation was found with cannot also prove it, so fresh directions
are drawn and the verdict's own bounds are used. An explanation whose fix does not survive this is not reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from gradproof._reference import Reference
from gradproof._verdict.judge import Judge, Seeds, relative_high
from gradproof._verdict.settle import Claimed, Settlement, combined, settle


@dataclass(frozen=True)
class Left:
    """What is left of a mismatch once a fix is applied.

    Attributes:
        status: the verdict on the repaired claim.
        relative: the high end of its relative difference.
        absolute: the high end of the norm of its mismatch, so no element is off by more.
        repaired: the repaired claim.
    """

    status: str
    relative: float
    absolute: float
    repaired: NDArray[Any]


def left_after(
    reference: Reference, claimed: Sequence[Claimed], repairs: Mapping[int, NDArray[Any]], seed: int
) -> dict[int, Left]:
    """What is left of each repaired tensor.

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
        size = known[i].stats.claim
        own = outcome.absolute or not size
        relative = relative_high(outcome.high, size if own else 1.0)
        left[i] = Left(outcome.status, relative, outcome.high * (1.0 if own else size), repairs[i])
    return left
