"""``region``: one step of a sequence is left out of the way back, whatever the model is.

Tried with the data. Where the last step is lost, sequences with one step more lose that one and show all the others.
Where the first is lost, sequences of one step show nothing at all, and claims do not feel the labels of the first step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.truncated import AXES, time_axes

Array = NDArray[Any]
#: A claim this small, relative, beside what it is elsewhere, is none.
NONE = 1e-12
FIX = "Let the loop go over all steps, the first and the last included."


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by the last step of sequences, or the first."""
    if not case.lab.callable or not any(s.clear for s in case.open):
        return []
    for axis in list(time_axes(case))[:AXES]:
        found = _last(case, axis) or _first(case, axis)
        if found is not None:
            return [found]
    return []


def _last(case: Case, axis: int) -> Explanation | None:
    steps = max(np.shape(a)[axis] for a in case.lab.data if np.ndim(a) > 2)
    there = _with(case, lambda a: np.concatenate([a, np.take(a, [-1], axis=axis)], axis=axis))
    if there is None:
        return None
    repairs = {s.index: r for s in case.open if (r := _repaired(s, there, steps)) is not None}
    if not repairs:
        return None
    return Explanation(
        "region", tuple(repairs),
        f"The last step of the sequences (axis {axis} of the data) is left out of the "
        f"gradient{'' if len(repairs) == 1 else 's'} of {case.names(list(repairs))}.", FIX, repairs,
        "the last step left out", 2.6, also=("missing-path",),
    )  # fmt: skip


def _repaired(s: Suspect, there: Elsewhere, steps: int) -> Array | None:
    """The claim for sequences with one step more, by a mean or a sum over the steps."""
    longer = there.claims.get(s.name)
    if not s.clear or longer is None or longer.shape != s.claim.shape or not np.all(np.isfinite(longer)):
        return None
    for share in ((steps + 1.0) / steps, 1.0):
        plain = np.asarray(share * longer)
        if s.leaves_nothing(plain):
            return plain
        # Weight decay is no mean over steps.
        fit = s.fit([s.theta], known=plain) if np.any(s.theta) else None
        if fit is not None and not fit.thin:
            return np.asarray(plain + fit.coefficients[0] * s.theta)
    return None


def _first(case: Case, axis: int) -> Explanation | None:
    one = _with(case, lambda a: np.take(a, [0], axis=axis))
    if one is None or not all(_none(s, one) for s in case.open):
        return None
    tensors = tuple(s.index for s in case.open)
    verdicts = one.wrong(tensors)
    if not all(verdicts.get(i) == "wrong" for i in tensors) or not _unfelt(case, axis):
        return None
    return Explanation(
        "region", tensors,
        f"The first step of the sequences (axis {axis} of the data) is left out of the gradients of "
        f"{case.names(tensors)}: of sequences of one step nothing is seen, and its labels change nothing.", FIX, {},
        "the first step left out", 2.7, also=("missing-path",),
    )  # fmt: skip


def _none(s: Suspect, there: Elsewhere) -> bool:
    """Whether a claim is zero, or a multiple of the parameters."""
    claim = there.claims.get(s.name)
    if claim is None or claim.shape != s.claim.shape or not np.all(np.isfinite(claim)):
        return False
    size, theta = float(np.linalg.norm(claim)), float(np.linalg.norm(s.theta))
    if size <= NONE * float(np.linalg.norm(s.claim)):
        return True
    along = abs(float(np.sum(claim * s.theta)))
    return claim.size > 1 and theta > 0.0 and along >= (1.0 - NONE) * size * theta


def _unfelt(case: Case, axis: int) -> bool:
    """Whether all wrong gradients stay as they are when some array's first step takes the place of another."""

    def changed(array: Array) -> Array:
        moved = array.copy()
        first: list[Any] = [slice(None)] * array.ndim
        first[axis] = 0
        moved[tuple(first)] = np.take(array, -1, axis=axis)
        return moved

    for k, array in enumerate(case.lab.data):
        if np.ndim(array) > 2 and not np.array_equal(changed(np.asarray(array)), array):
            data = [changed(np.asarray(a)) if j == k else a for j, a in enumerate(case.lab.data)]
            there = case.lab.visit(data=tuple(data))
            if there is not None and _same(there.claims, case) and any(_moved(there, s) for s in case.open):
                return True
    return False


def _same(claims: Mapping[str, Array], case: Case) -> bool:
    return all(
        s.name in claims
        and np.linalg.norm(claims[s.name] - s.claim) <= NONE * np.linalg.norm(s.claim)
        for s in case.open
    )  # fmt: skip


def _moved(there: Elsewhere, s: Suspect) -> bool:
    """Whether the measured derivative is another one there."""
    if not s.clear:
        return False
    found = there.reference.measure(s.directions[:1], float(s.bars[0]) or 1e-300)[0]
    return found.measured and abs(found.slope - found.mismatch - s.measured[0]) > 100.0 * (found.bar + s.bars[0])


def _with(case: Case, change: Callable[[Array], Array]) -> Elsewhere | None:
    """The cost with sequences that are changed."""
    data = tuple(change(np.asarray(a)) if np.ndim(a) > 2 else a for a in case.lab.data)
    return case.lab.visit(data=data)
