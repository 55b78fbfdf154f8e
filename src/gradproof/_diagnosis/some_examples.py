"""Only some of the examples enter a gradient: the first one, half of the batch, every other one.

Tried with the data: a batch that holds nothing but one example, as often as there are examples, loses the same share to
the same slip. So the claim is the mean of the claims for copies of the examples that enter, and what is missing is
known as well.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect

Array = NDArray[np.float64]
#: More examples are not looked at one by one.
MOST = 48
#: What is left of a claim beside its examples, relative.
NEAR = 1e-8


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a part of the batch."""
    m = case.lab.examples
    suspects = [s for s in case.open if s.clear and not s.tensor.complex]
    if not 2 <= m <= MOST or not case.lab.callable or not suspects:
        return []
    copies: list[dict[int, Array]] = []
    for example in range(m):
        there = case.lab.visit(data=case.lab.batch([example] * m))
        if there is None:
            return []
        found = {s.index: there.claims.get(s.name) for s in suspects}
        copies.append({i: claim for i, claim in found.items() if claim is not None and np.all(np.isfinite(claim))})
        suspects = [s for s in suspects if s.index in copies[-1]]
        if not suspects:
            return []
    repairs: dict[int, Array] = {}
    said = ""
    for words, chosen in subsets(m):
        for s in suspects:
            parts = np.stack([claims[s.index] for claims in copies]) if s.index not in repairs else None
            repaired = None if parts is None or (said and words != said) else _repaired(s, parts, chosen)
            if repaired is not None:
                repairs[s.index], said = repaired, words
    return [_explanation(case, repairs, said)] if repairs else []


def subsets(m: int) -> Iterator[tuple[str, list[int]]]:
    """Parts of a batch that a slip may leave, with words for them."""
    half = m // 2
    yield "the first example", [0]
    yield "the last example", [m - 1]
    if m > 3:
        yield f"the first {half} of the {m} examples", [*range(half)]
        yield f"the last {m - half} of the {m} examples", [*range(half, m)]
        yield "every second example", [*range(0, m, 2)]
        yield "every second example, from the second on", [*range(1, m, 2)]


def _repaired(s: Suspect, parts: Array, chosen: Sequence[int]) -> Array | None:
    """The claim with all examples in it; None where these are not the ones that are."""
    share = 1.0 / len(chosen)  # so many of the copies enter, whether the cost is a sum or a mean
    if not np.linalg.norm(s.claim - share * parts[list(chosen)].sum(axis=0)) <= NEAR * np.linalg.norm(s.claim):
        return None
    repaired = share * parts.sum(axis=0)
    return repaired if s.leaves_nothing(repaired) else None


def _explanation(case: Case, repairs: dict[int, Array], words: str) -> Explanation:
    tensors = tuple(sorted(repairs))
    biases = {i for layer in case.layers for i in layer.biases}
    cause = "bias-reduction" if set(tensors) <= biases else "region"
    many = "" if len(tensors) == 1 else "s"
    return Explanation(
        cause, tensors, f"Nothing but {words} enters the gradient{many} of {case.names(tensors)}.",
        "Sum over all examples, each of them once.", repairs, f"only {words}", 2.6, also=("missing-path",),
    )  # fmt: skip
