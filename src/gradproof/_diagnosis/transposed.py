"""``transposed``: the claim is the gradient with its axes exchanged."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by exchanged axes, of whole gradients and of their data parts."""
    found = []
    for s in case.open:
        for words, turn in turns(s.claim):
            turned = turn(s.claim)
            if np.array_equal(turned, s.claim):
                continue
            repaired = turned if s.leaves_nothing(turned) else _beside_decay(s, turned, turn(s.theta))
            if repaired is not None:
                message = f"The gradient of {s.name} is {words}."
                fix = f"Undo that in the line that computes the gradient of {s.name}."
                found.append(Explanation("transposed", (s.index,), message, fix, {s.index: repaired}, words, 1.0))
                break
    return found


def _beside_decay(s: Suspect, turned: NDArray[Any], theta: NDArray[Any]) -> NDArray[Any] | None:
    """The data part turned and the L2 term left as it is: reference = turned claim + b (theta - turned theta)."""
    fit = s.fit([s.theta - theta], known=turned)
    return None if fit is None or fit.thin else turned + fit.coefficients[0] * (s.theta - theta)


def turns(claim: NDArray[Any]) -> Iterator[tuple[str, Any]]:
    """Ways to exchange axes that keep the shape."""
    if claim.ndim < 2:
        return
    if claim.ndim == 2 and claim.shape[0] == claim.shape[1]:
        yield "the transpose of what it should be", np.transpose
    elif claim.ndim > 2:
        for order in permutations(range(claim.ndim)):
            if order != tuple(range(claim.ndim)) and tuple(claim.shape[k] for k in order) == claim.shape:
                yield f"with its axes in the order {order}", lambda a, order=order: np.transpose(a, order)
