"""``zero``: a gradient was never computed, or is cut off from the cost; its L2 term may still be there."""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect

#: So many elements are not all zero by chance.
FEWEST = 2


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a data part of exactly zero."""
    zero = [s for s in case.open if not np.any(s.claim)]
    if sum(s.tensor.size for s in zero) < FEWEST and len(zero) < len(case.open):
        zero = []  # a number that is zero beside others that are wrong may be so by chance
    # Where the derivative is a multiple of the claim as well, the data have nothing to say here.
    decay = [s for s in case.open if np.any(s.claim) and s.moves and _only_decay(case, s) and s.fit([s.claim]) is None]
    found = []
    if zero:
        tensors = tuple(s.index for s in zero)
        names = case.names(tensors)
        verb = "is" if len(tensors) == 1 else "are"
        subject = "The claimed gradient" if len(tensors) == 1 else "The claimed gradients"
        message = f"{subject} of {names} {verb} zero everywhere, but the cost changes with {names}."
        fix = f"Compute the gradient of {names}: it is never set, set back to zero, or cut off from the cost."
        found.append(Explanation("zero", tensors, message, fix, {}, "zero everywhere", 0.5))
    if decay:
        tensors = tuple(s.index for s in decay)
        names = case.names(tensors)
        message = f"The claimed gradient of {names} holds the L2 term alone: the part that comes from the data is zero."
        fix = f"Compute the data part of the gradient of {names}: it is never set, or cut off from the cost."
        found.append(Explanation("zero", tensors, message, fix, {}, "L2 term only", 0.6))
    return found


def _only_decay(case: Case, s: Suspect) -> bool:
    """Whether a claim is an exact multiple of the parameters, as no gradient of data is by accident."""
    claim, theta = case.claims[s.index], case.thetas[s.index]
    size = float(np.vdot(theta, theta).real)
    if claim.size < 4 or not size:
        return False
    multiple = float(np.vdot(theta, claim).real) / size
    return multiple > 0.0 and bool(
        np.linalg.norm(claim - multiple * theta) <= max(1e-12, 2.0 * s.roundoff) * np.linalg.norm(claim)
    )
