"""``region``: one example is left out of a gradient, or counted twice, whatever the model is.

Tried with the data: a batch that holds nothing but that example, as often as there are examples, loses the same share
to the same slip. So what is missing at the point of the check is a known multiple of the claim for that batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.evidence import Suspect

Array = NDArray[Any]
#: A fitted share is the one expected within this, relative.
NEAR = 1e-6


@dataclass(frozen=True)
class Kind:
    """How often an example enters, and what that makes of a batch of copies of it.

    Attributes:
        share: what must be added of the claim for copies.
        cause: what it is called.
        words: what is done with the example.
    """

    share: float
    cause: str
    words: str


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by the last or the first example."""
    m = case.lab.examples
    if m < 2 or not case.lab.callable or not any(s.clear for s in case.open):
        return []
    kinds = (Kind(1.0 / (m - 1), "region", "left out of"), Kind(-1.0 / (m + 1), "accumulated", "counted twice in"))
    found: list[Explanation] = []
    left = {s.index for s in case.open}
    for example, words in ((m - 1, "last"), (0, "first")):
        there = case.lab.visit(data=case.lab.batch([example] * m)) if left else None
        if there is None:
            continue
        for kind in kinds:
            mended = {s.index: _repaired(s, there, kind) for s in case.open if s.index in left}
            repairs = {i: repaired for i, repaired in mended.items() if repaired is not None}
            if repairs:
                found.append(_explanation(case, repairs, words, kind))
                left -= set(repairs)
    return found


def _repaired(s: Suspect, there: Elsewhere, kind: Kind) -> Array | None:
    """The claim with what is missing added; None where that is not it."""
    copies = there.claims.get(s.name)
    if not s.clear or copies is None or copies.shape != s.claim.shape or not np.all(np.isfinite(copies)):
        return None
    plain = s.claim + kind.share * copies
    if s.leaves_nothing(plain):
        return plain
    # Weight decay is in both claims, and is missing in neither.
    fit = s.fit([s.theta], known=plain) if np.any(s.theta) else None
    if fit is None or fit.thin:
        return None
    whole = s.fit([copies, s.theta], known=s.claim)
    if whole is not None and abs(whole.coefficients[0] - kind.share) > NEAR * abs(kind.share) + 5.0 * whole.errors[0]:
        return None
    return np.asarray(plain + fit.coefficients[0] * s.theta)


def _explanation(case: Case, repairs: dict[int, Array], words: str, kind: Kind) -> Explanation:
    tensors = tuple(sorted(repairs))
    many = "" if len(tensors) == 1 else "s"
    fix = "Let the loop or slice go over all examples, each of them once."
    return Explanation(
        kind.cause, tensors,
        f"The {words} example is {kind.words} the gradient{many} of {case.names(tensors)}.", fix, repairs,
        f"the {words} example {kind.words.split(' ')[0]} {kind.words.split(' ')[1]}", 2.6, also=("missing-path",),
    )  # fmt: skip
