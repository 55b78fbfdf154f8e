"""``aliasing``: two gradients are one array, or a gradient is the parameter array itself.

What the gradient changes in place of the data or of its caches is seen by calling it again, before the diagnosis.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by memory that two names share."""
    open_ = {s.index for s in case.open}
    found = []
    for a, b in case.shared:
        same = a in case.claims and b in case.claims and case.claims[a].size == case.claims[b].size
        wrong = tuple(i for i in (a, b) if i in open_)
        if not same or not wrong or not np.array_equal(case.claims[a].ravel(), case.claims[b].ravel()):
            continue
        if not np.any(case.claims[a]):
            continue
        names = [case.tensors[i].name for i in (a, b)]
        found.append(
            Explanation(
                "aliasing", wrong,
                f"The gradients of {names[0]} and {names[1]} are one array: what is written to the one overwrites the "
                "other.",
                f"Give {names[0]} and {names[1]} arrays of their own, or return a copy of each.",
                detail="one array for two gradients", rank=0.4, also=("swapped",),
            )
        )  # fmt: skip
    for s in case.open:
        if s.tensor.size > 1 and np.any(s.claim) and np.array_equal(s.claim, s.theta):
            found.append(
                Explanation(
                    "aliasing", (s.index,),
                    f"What is returned as the gradient of {s.name} is {s.name} itself, number for number.",
                    f"Return the array that holds the gradient of {s.name}.",
                    detail="the parameters themselves", rank=0.3, also=("regulariser", "zero"),
                )
            )  # fmt: skip
    return found
