"""``conjugate``: the claim is the complex conjugate of the gradient, as other conventions have it.

The gradient of a real cost by a complex parameter is dcost/dRe + i dcost/dIm here; dcost/dz is half its conjugate.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation

#: What the conjugate of the claim is multiplied by: what the claim then is, what to do, and the same in a few words.
CONVENTIONS = {
    1.0: (
        "the conjugate of what it should be",
        "Return dcost/dRe + i dcost/dIm, the conjugate of what is returned now.",
        "the conjugate of it",
    ),
    2.0: (
        "dcost/dz, which is half the conjugate of what it should be",
        "Return dcost/dRe + i dcost/dIm, twice the conjugate of what is returned now.",
        "half the conjugate of it",
    ),
}


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a conjugate."""
    found = []
    for s in case.open:
        if not s.tensor.complex or not s.clear or not np.any(s.claim.imag):
            continue
        for factor, (words, fix, detail) in CONVENTIONS.items():
            repaired = factor * s.claim.conj()
            if s.leaves_nothing(repaired):
                message = f"The gradient of {s.name} is {words}."
                found.append(Explanation("conjugate", (s.index,), message, fix, {s.index: repaired}, detail, 0.9))
                break
    return found
