"""``overwritten``: rows of a table that are looked up more than once get one of their contributions instead of the sum.

Tried with the data: with all indices different the gradient is right, with one of them repeated it is wrong. Where the
claim is off by the number of uses itself, that is ``accumulated`` and has a repair.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.elsewhere import RESOLVED, SHARP
from gradproof._diagnosis.evidence import BARS, Suspect
from gradproof._records import Direction, Part, Region

Array = NDArray[Any]
#: Seeds of the directions along which all rows but one are probed.
ROWS = (49_979_687, 49_979_693)


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations of tables by what is done with repeated indices."""
    found = []
    for s in case.open:
        for place, indices in _indices(case, s):
            explanation = _counted(s, indices) or _repeated(case, s, place, indices)
            if explanation is not None:
                found.append(explanation)
                break
    return found


def _indices(case: Case, s: Suspect) -> Iterator[tuple[int, Array]]:
    """Integer arrays of the data that may index the rows of a tensor, with some row twice."""
    if not s.tensor.shape or s.tensor.size < 2:
        return
    for k, array in enumerate(case.lab.data):
        found = np.asarray(array)
        if found.dtype.kind in "iu" and found.size and found.min() >= 0 and found.max() < s.tensor.shape[0]:
            counts = np.bincount(found.ravel(), minlength=s.tensor.shape[0])
            if counts.max() > 1:
                yield k, found


def _counted(s: Suspect, indices: Array) -> Explanation | None:
    counts = np.bincount(indices.ravel(), minlength=s.tensor.shape[0]).astype(np.float64)
    times = np.maximum(counts, 1.0).reshape(-1, *([1] * (s.claim.ndim - 1)))
    for repaired, words, fix in (
        (s.claim / times, "multiplied", "Add every contribution once, and do not multiply by the counts."),
        (s.claim * times, "divided", "Sum the contributions, and do not divide by the counts."),
    ):
        if s.leaves_nothing(repaired):
            return Explanation(
                "accumulated", (s.index,),
                f"Each row of the gradient of {s.name} is {words} by the number of times that the row is looked up.",
                fix, {s.index: repaired}, f"{words} by the counts", 2.0, also=("overwritten",),
            )  # fmt: skip
    return None


def _right_but_for(there: Elsewhere, s: Suspect, row: int) -> bool:
    """Whether all rows but one are right there: what is overwritten is the row that is repeated, and no other."""
    claim = there.claims.get(s.name)
    if claim is None or not np.all(np.isfinite(claim)):
        return False
    around = ((row, row + 1, 1), *((0, n, 1) for n in s.tensor.shape[1:]))
    rest = Part(s.index, s.stats.scale or 1.0, region=Region((around,), outside=True))
    size = float(np.sqrt(np.sum(np.abs(claim) ** 2))) * (s.stats.scale or 1.0)
    found = there.reference.measure([Direction((seed,), (rest,)) for seed in ROWS], SHARP * size)
    return all(e.measured and abs(e.mismatch) <= BARS * e.bar + RESOLVED * size for e in found)


def _repeated(case: Case, s: Suspect, place: int, indices: Array) -> Explanation | None:
    """Judges the claim with different indices, and with one of them repeated."""
    lab = case.lab
    if not lab.callable or lab.examples < 1:
        return None
    verdicts = []
    elsewhere: bool | None = None
    for repeat in (False, True):
        data = list(lab.batch([0]) if indices.size > s.tensor.shape[0] else lab.data)
        shape = np.shape(data[place])
        size = int(np.prod(shape))
        if size < 2 and repeat:
            data = list(lab.batch([0, min(1, lab.examples - 1)]))
            shape = np.shape(data[place])
            size = int(np.prod(shape))
        if size > s.tensor.shape[0] or size < (2 if repeat else 1):
            return None
        chosen = np.arange(size)
        if repeat:
            chosen[-1] = chosen[0]
        data[place] = chosen.reshape(shape).astype(indices.dtype)
        there = lab.visit(data=tuple(data))
        if there is None:
            return None
        verdicts.append(there.wrong([s.index]).get(s.index, "undecided"))
        if repeat and verdicts == ["correct", "wrong"]:
            elsewhere = _right_but_for(there, s, int(chosen[0]))
    if not elsewhere:
        return None
    return Explanation(
        "overwritten", (s.index,),
        f"The gradient of {s.name} is right where all indices are different and wrong where one is repeated: of rows "
        "that are looked up more than once, contributions are overwritten instead of added.",
        f"Add up contributions with np.add.at(d{s.name}, indices, d) instead of d{s.name}[indices] = d or += d.", {},
        "repeated indices", 2.0,
    )  # fmt: skip
