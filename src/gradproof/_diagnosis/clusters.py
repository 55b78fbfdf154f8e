"""Tensors whose fitted numbers agree, since one slip in a formula usually touches several of them alike."""

from collections.abc import Sequence
from dataclasses import dataclass

#: Two fitted numbers agree within this many of their errors, or this relative distance if that is more.
ERRORS, RELATIVE = 5.0, 1e-7


@dataclass(frozen=True, slots=True)
class Fitted:
    """One number fitted on one tensor.

    Attributes:
        tensor: the tensor's place in the problem.
        value: the number.
        error: how far it may be off.
        thin: whether the tensor alone is too small for the fit to prove anything.
    """

    tensor: int
    value: float
    error: float
    thin: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """Tensors that agree on a number.

    Attributes:
        tensors: their places in the problem, in the user's order.
        value: the number, from the sharpest of them.
        error: how far it may be off.
        solid: whether this is more agreement than chance gives: a tensor with enough elements, or two that agree.
    """

    tensors: tuple[int, ...]
    value: float
    error: float
    solid: bool


def clusters(fits: Sequence[Fitted]) -> list[Cluster]:
    """Groups fits whose numbers agree, the largest group first."""
    groups: list[list[Fitted]] = []
    for fit in sorted(fits, key=lambda f: f.value):
        if groups and _agree(groups[-1][-1], fit):
            groups[-1].append(fit)
        else:
            groups.append([fit])
    found = []
    for group in groups:
        best = min(group, key=lambda f: f.error)
        solid = len(group) > 1 or not group[0].thin
        found.append(Cluster(tuple(sorted(f.tensor for f in group)), best.value, best.error, solid))
    return sorted(found, key=lambda c: -len(c.tensors))


def _agree(a: Fitted, b: Fitted) -> bool:
    near = max(ERRORS * (a.error + b.error), RELATIVE * max(abs(a.value), abs(b.value)))
    return abs(a.value - b.value) <= near
