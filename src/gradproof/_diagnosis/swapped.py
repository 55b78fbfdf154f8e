"""``swapped``: two gradients stand in each other's place."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation

#: Two claims are one where they differ by no more than this share of themselves.
ONE = 1e-13


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by two exchanged gradients, and by one that was returned in another's place."""
    open_ = [s for s in case.open if s.clear]
    takes: dict[int, int] = {}
    for s in open_:
        for j, claim in case.claims.items():
            fits = j != s.index and claim.size == s.claim.size and _alike(claim, s.claim)
            if fits and s.leaves_nothing(claim.reshape(s.claim.shape)):
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


def copies(case: Case) -> Sequence[Explanation]:
    """Explanations by the gradient of another tensor, which is returned in this one's place too."""
    found = []
    for s in case.open:
        size = float(np.linalg.norm(s.claim))
        if not size or s.tensor.size < 2 or np.ptp(np.abs(s.claim)) <= ONE * size:
            continue
        for j, claim in case.claims.items():
            shown = claim.reshape(s.claim.shape) if claim.size == s.claim.size and _alike(claim, s.claim) else None
            if j != s.index and shown is not None and np.linalg.norm(shown - s.claim) <= ONE * size:
                found.append(_copy(case, s.index, j))
                break
    taken = {e.tensors[0] for e in found}
    # Of two that are wrong alike neither is known to be the copy.
    return [e for e in found if not any(_same(case, e.tensors[0], i) for i in taken - set(e.tensors))]


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether both are complex or both real."""
    return np.iscomplexobj(one) == np.iscomplexobj(other)


def _same(case: Case, one: int, other: int) -> bool:
    first: NDArray[Any] = case.claims[one].ravel()
    return bool(first.size == case.claims[other].size and np.array_equal(first, case.claims[other].ravel()))


def _copy(case: Case, tensor: int, of: int) -> Explanation:
    name, other = case.tensors[tensor].name, case.tensors[of].name
    truth = case.truths.get(tensor)
    return Explanation(
        "swapped", (tensor,), f"What is returned as the gradient of {name} is the gradient of {other}, number for "
        "number.", f"Return the gradient of {name} in its own place.", {} if truth is None else {tensor: truth},
        f"copy of {other}'s gradient", 2.2, also=("overwritten", "wrong-cache"),
    )  # fmt: skip
