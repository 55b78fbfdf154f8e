"""``overflow`` and ``region`` (a branch): right at smaller or larger parameters, wrong here.

The parameters are scaled as a whole and the claim is judged there. A formula that is wrong is wrong at any scale; one
that overflows, or switches to another formula beyond a threshold, is exactly right on one side of it.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.elsewhere import RESOLVED, all_agree, left
from gradproof._diagnosis.evidence import Suspect, rms
from gradproof._diagnosis.saying import gradient_of

#: How much smaller and larger the parameters are tried.
SMALLER, LARGER = 0.1, 10.0
#: A mismatch that has sunk below this share of itself half way there is fading and not switched off.
FADING = 0.2
#: How often the way to where the claim is right is halved, towards where it turns right.
HALVINGS = 4


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by the size of the parameters."""
    if not case.lab.callable or not case.open:
        return []
    for scale in (SMALLER, LARGER):
        there = case.lab.visit(theta={i: theta * scale for i, theta in case.thetas.items()})
        if there is None or not all_agree(there, case.open) or not _abrupt(case, scale):
            continue
        if scale < 1.0 and all(_flushed(there, s) for s in case.open):
            return [_overflow(case)]
        return [_branch(case, scale)]
    return []


def _abrupt(case: Case, scale: float) -> bool:
    """Whether on the way there it is exactly right as well, or as wrong as here: a slip that fades away is neither.

    Where every term of a mismatch is of a higher power in the parameters than the gradient, it sinks below any bound,
    and where larger parameters saturate what it goes through it sinks even faster.
    """
    largest = max(case.open, key=lambda s: s.tensor.size)
    here = rms(largest.mismatch) / (rms(largest.measured + largest.mismatch) or 1.0)
    wrong, right = 0.0, 1.0
    for _ in range(HALVINGS):
        half = (wrong + right) / 2.0
        there = case.lab.visit(theta={i: theta * scale**half for i, theta in case.thetas.items()})
        seen = None if there is None else left(there, largest)
        if seen is None or RESOLVED < seen < FADING * here:
            return False
        wrong, right = (wrong, half) if seen <= RESOLVED else (half, right)
    return True


def _flushed(there: Elsewhere, s: Suspect) -> bool:
    """Whether elements of a claim are exactly zero that are not so at smaller parameters."""
    now = there.claims.get(s.name)
    return now is not None and bool(np.any((s.claim == 0.0) & (now != 0.0)))


def _overflow(case: Case) -> Explanation:
    tensors = tuple(s.index for s in case.open)
    names = case.names(tensors)
    message = (
        f"{gradient_of(names, len(tensors))} right with all parameters times {SMALLER:g}; here elements of it are "
        "exactly zero where the cost changes."
    )
    fix = (
        "Look for an exponential that overflows in the backward pass, and write it so that its argument is never "
        "positive."
    )
    return Explanation("overflow", tensors, message, fix, {}, "zero", 4.0, also=("region", "clipped"))


def _branch(case: Case, scale: float) -> Explanation:
    tensors = tuple(s.index for s in case.open)
    names = case.names(tensors)
    message = (
        f"{gradient_of(names, len(tensors))} right with all parameters times {scale:g} and wrong here: the formula "
    )
    message += "for values of this size is wrong."
    fix = "Look at branches on the size of a value (np.where, clip, thresholds) in the backward pass."
    also = ("overflow", "clipped", "stabiliser", "other-loss") if scale < 1.0 else ("stabiliser", "tie", "other-loss")
    return Explanation("region", tensors, message, fix, {}, "branch", 4.5, also=also)
