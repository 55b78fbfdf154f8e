"""Whether a suspect's claim is right under other circumstances, for a few evaluations.

The decision behind it: an experiment that turns out negative should cost next to nothing, so two projections are
measured there. Only what an explanation rests on is judged with the verdict's own probes.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Elsewhere
from gradproof._diagnosis.evidence import BARS, CLEAR, Suspect, rms

#: A claim agrees where no more than this share of it is left beside the error bars.
RESOLVED = 1e-7
#: Error bars aimed at, relative to the claim.
SHARP = 1e-8


def agrees(there: Elsewhere, suspect: Suspect, probes: int = 2) -> bool | None:
    """Whether the claim is right there along a few directions; None where that cannot be told.

    Args:
        there: the other circumstances.
        suspect: a wrong tensor.
        probes: how many of its directions are measured.
    """
    claim = there.claims.get(suspect.name)
    if claim is None or not np.all(np.isfinite(claim)) or not len(suspect.directions):
        return None
    directions = suspect.directions[:: max(1, len(suspect.directions) // probes)][:probes]
    reference = there.reference
    claimed = reference.evaluator.problem.project(directions, suspect.index, [claim])[:, 0]
    size = float(np.sqrt(np.mean(claimed**2)))
    if size == 0.0:
        return None
    found = [e for e in reference.measure(directions, SHARP * size) if e.measured]
    if not found:
        return None
    if any(abs(e.mismatch) > CLEAR * e.bar + RESOLVED * size for e in found):
        return False
    if all(abs(e.mismatch) <= BARS * e.bar + RESOLVED * size and e.bar <= 1e-4 * size for e in found):
        return True
    return None


def left(there: Elsewhere, suspect: Suspect, probes: int = 2) -> float | None:
    """The mismatch there along a few directions, relative to the claim; None where it cannot be measured."""
    claim = there.claims.get(suspect.name)
    if claim is None or not np.all(np.isfinite(claim)) or not len(suspect.directions):
        return None
    directions = suspect.directions[:probes]
    claimed = there.reference.evaluator.problem.project(directions, suspect.index, [claim])[:, 0]
    size = rms(claimed)
    found = there.reference.measure(directions, SHARP * size) if size else []
    if not found or not all(e.measured for e in found):
        return None
    return rms(np.array([max(0.0, abs(e.mismatch) - BARS * e.bar) for e in found])) / size


def all_agree(there: Elsewhere, suspects: Sequence[Suspect]) -> bool:
    """Whether the claims of all suspects are right there, the largest looked at first."""
    ordered = sorted(suspects, key=lambda s: -s.tensor.size)
    if not ordered or agrees(there, ordered[0]) is not True:
        return False
    verdicts = there.wrong([s.index for s in ordered])
    return all(verdicts.get(s.index) == "correct" for s in ordered)


def reacts(there: Elsewhere, suspect: Suspect) -> bool:
    """Whether the measured derivative is another one there than at the point of the check."""
    if not len(suspect.directions):
        return False
    target = float(np.max(np.abs(suspect.measured))) * 1e-6
    found = there.reference.measure(suspect.directions[:1], target or 1e-12)[0]
    if not found.measured:
        return False
    moved = abs((found.slope - found.mismatch) - float(suspect.measured[0]))
    return bool(moved > CLEAR * (found.bar + float(suspect.bars[0])))
