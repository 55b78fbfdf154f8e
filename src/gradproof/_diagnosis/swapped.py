"""``swapped``: two gradients stand in each other's place."""

from collections.abc import Sequence
from itertools import permutations

from gradproof._diagnosis.case import Case, Explanation


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by two exchanged gradients, and by one that was returned in another's place."""
    open_ = [s for s in case.open if s.clear]
    takes: dict[int, int] = {}
    for s in open_:
        for j, claim in case.claims.items():
            if j != s.index and claim.size == s.claim.size and s.leaves_nothing(claim.reshape(s.claim.shape)):
                takes[s.index] = j
    found, done = [], set[int]()
    for i, j in permutations(takes, 2):
        if i < j and takes[i] == j and takes[j] == i:
            a, b = case.tensors[i].name, case.tensors[j].name
            repairs = {i: case.claims[j].reshape(case.claims[i].shape), j: case.claims[i].reshape(case.claims[j].shape)}
            message, fix = (
                f"The gradients of {a} and {b} stand in each other's place.",
                f"Return the gradients of {a} and {b} in the other order.",
            )
            found.append(Explanation("swapped", (i, j), message, fix, repairs, "exchanged", 1.0))
            done |= {i, j}
    left = [i for i in takes if i not in done]
    if left and {takes[i] for i in left} <= set(left):
        names = case.names(left)
        repairs = {i: case.claims[takes[i]].reshape(case.claims[i].shape) for i in left}
        message = f"The gradients of {names} are all right, but each stands in another's place."
        fix = f"Return the gradients of {names} in the order of the parameters."
        found.append(Explanation("swapped", tuple(left), message, fix, repairs, "in another order", 1.0))
    return found
