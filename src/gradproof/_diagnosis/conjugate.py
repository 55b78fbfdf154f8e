"""``conjugate``: the claim is the complex conjugate of the gradient, as other conventions have it.

The gradient of a real cost by a complex parameter is dcost/dRe + i dcost/dIm here; dcost/dz is half its conjugate.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.saying import gradient_of

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
    """Explanations by a conjugate, one for all tensors with the same convention."""
    found, left = [], [s for s in case.open if s.tensor.complex and s.clear and np.any(s.claim.imag)]
    for factor, (words, fix, detail) in CONVENTIONS.items():
        mended = {s.index: factor * s.claim.conj() for s in left}
        repairs = {s.index: mended[s.index] for s in left if s.leaves_nothing(mended[s.index])}
        left = [s for s in left if s.index not in repairs]
        if repairs:
            count, names = len(repairs), case.names(tuple(repairs))
            message = (
                f"{gradient_of(names, count)} {words if count == 1 else words.replace('it should', 'they should')}."
            )
            found.append(Explanation("conjugate", tuple(repairs), message, fix, repairs, detail, 0.9))
    return found
