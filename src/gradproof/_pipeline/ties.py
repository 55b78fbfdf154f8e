"""Choices at ties and kinks: where parameters are exactly 0 or exactly equal, between which slopes a claim may choose.

The decision behind it: at a kink the cost has no derivative but one slope to each side, and any value between the two
is a legal claim. Only where it lies outside is the choice no convention. Moving one element, or all that are equal
together, shows both slopes. What is found is a warning and touches no verdict: where several kinks of different signs
meet in one element, a claim outside may still be put together from legal choices.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradproof._evaluation import BudgetExhaustedError
from gradproof._pipeline.edges import Work
from gradproof._pipeline.point import Place0
from gradproof._records import Direction, Finding, Part, Place, Region, Tensor, Weighting
from gradproof._verdict.judge import default_scales

#: Directions that are looked along in one check; each takes 48 evaluations.
MOST = 4
#: A claim must lie this many error bars outside, and by this share of the slopes.
CLEAR, SHARE = 10.0, 1e-3


def illegal_choices(work: Work, place: Place0, tensors: Sequence[int]) -> list[Finding]:
    """Findings for claims at ties that no choice allows.

    Args:
        work: the check in progress.
        place: the point, which lies on a kink.
        tensors: the tensors that the kink keeps from being judged.
    """
    scales = default_scales([c.stats for c in place.claimed])
    candidates = [(i, elements) for i in tensors for elements in _tied(work.session.tensors[i], place)]
    found: dict[int, Finding] = {}
    for i, elements in candidates[:MOST]:
        tensor = work.session.tensors[i]
        indices = [np.unravel_index(e, tensor.shape) for e in elements]
        boxes = tuple(tuple((int(n), int(n) + 1, 1) for n in index) for index in indices)
        part = Part(i, scales[i] or 1.0, Weighting.UNIT, region=Region(boxes))
        try:
            sides = place.reference.one_sided(Direction((), (part,)))
        except BudgetExhaustedError:
            break
        claim = place.claims.values[tensor.name][elements]
        if i not in found and len(sides) == 2 and _outside(sides, part.weight, claim):
            found[i] = _finding(tensor, elements)
    return list(found.values())


def _tied(tensor: Tensor, place: Place0) -> Iterator[list[int]]:
    """Elements that are exactly 0, one by one, and groups of equal ones together."""
    if tensor.complex or not tensor.size or not tensor.shape or tensor.name not in place.claims.values:
        return
    theta = np.asarray(place.theta[tensor.offset : tensor.offset + tensor.size], dtype=np.float64)
    values, counts = np.unique(theta, return_counts=True)
    for value in values[(counts > 1) & (counts < max(3, tensor.size)) & (values != 0.0)]:
        yield np.flatnonzero(theta == value).tolist()
    for element in np.flatnonzero(theta == 0.0)[:MOST]:
        yield [int(element)]


def _outside(sides: Sequence[tuple[float, float]], scale: float, claim: NDArray[np.float64]) -> bool:
    """Whether the claim is larger than both slopes or smaller than both."""
    size = scale * float(np.sum(np.abs(claim)))
    beyond = [abs(mismatch) - max(CLEAR * bar, SHARE * size) for mismatch, bar in sides]
    same = math.copysign(1.0, sides[0][0]) == math.copysign(1.0, sides[1][0])
    return same and all(b > 0.0 for b in beyond)


def _finding(tensor: Tensor, elements: Sequence[int]) -> Finding:
    mask = np.zeros(tensor.size, dtype=bool)
    mask[list(elements)] = True
    indices = [tuple(int(n) for n in np.unravel_index(e, tensor.shape)) for e in elements]
    names = [f"{tensor.name}[{', '.join(map(str, index))}]" for index in indices]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    many = len(elements) > 1
    message = (
        f"{listed} {'are exactly equal' if many else 'is exactly 0'}, on a kink of the cost, and the claimed "
        f"gradient {'of all of them together ' if many else ''}lies outside of the slopes on both sides."
    )
    fix = (
        "Share the gradient among the tied elements, or give it to one of them."
        if many
        else "Choose a value between the slopes on both sides, such as 0 or 1 for a ReLU at 0."
    )
    place = Place(listed, {tensor.name: mask.reshape(tensor.shape)}, exact=True)
    return Finding("tie", "warning", (tensor.name,), place, message, fix, detail="outside of both slopes")
