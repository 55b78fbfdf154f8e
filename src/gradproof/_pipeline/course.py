"""The course notes' loop to the letter: eps = 1e-7, one number, three bands.

The decision behind it: it is here for comparison and teaching, so it repeats the notes' arithmetic with their step and
draws no conclusion: having no error bar, its verdict is always undecided.
"""

import math

import numpy as np

from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._pipeline.evidence import known
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import claims_at, stand_still
from gradproof._pipeline.reporting import Found, looked_at
from gradproof._records import (
    Component,
    Components,
    Difference,
    Elements,
    Evidence,
    Points,
    Source,
    TensorReport,
    Verdict,
)

#: The notes' step.
EPSILON = 1e-7
#: Components kept for the list of the worst.
KEPT = 1000


def classic(session: Session, options: Options, meter: Meter) -> Found:
    """Compares every component with the two-sided quotient at a fixed step."""
    still = stand_still(session, meter)
    session = still.session
    claims = claims_at(session, session.theta, meter)
    claim, theta = claims.vector(session.tensors), session.theta
    approximate = np.full(theta.size, np.nan)
    notes = [*claims.notes, "The course notes' arithmetic, with their step of 1e-7: a number without an error bar."]
    try:
        for i in range(theta.size):
            meter.afford(2)
            ends = []
            for sign in (EPSILON, -EPSILON):
                moved = theta.copy()
                moved[i] += sign
                ends.append(float(session.one_cost(moved)))
            meter.spend(2)
            approximate[i] = (ends[0] - ends[1]) / (2.0 * EPSILON)
    except BudgetExhaustedError:
        notes.append(f"The budget ran out after {int(np.isfinite(approximate).sum())} of {theta.size} components.")
    measured = np.isfinite(approximate)
    tensors, absolute, rows, first = [], [], [], 0
    kept: dict[str, Elements] = {}
    for t in session.tensors:
        part = slice(t.offset, t.offset + t.size)
        seen = measured[part]
        off = np.where(seen, approximate[part] - claim[part], 0.0)
        sizes = [float(np.linalg.norm(x)) for x in (off, claim[part][seen], approximate[part][seen])]
        total = sizes[1] + sizes[2]
        number = sizes[0] / total if total else 0.0
        reason = "the course notes' loop knows no error bar"
        elements = t.size // 2 if t.complex else t.size
        tolerance = options.tolerance_of(t.name, claims.formats.get(t.name, "float64"))
        difference = Difference(number, math.nan, math.nan)
        tensors.append(TensorReport(t.name, t.shape, Verdict.UNDECIDED, difference, reason, tolerance, elements))
        absolute.append((0.0, 0.0, sizes[0], sizes[1], sizes[2]))
        for c in np.argsort(-np.abs(off), kind="stable")[:KEPT].tolist():
            if seen[c]:
                element = c // 2 if t.complex else c
                index = tuple(int(n) for n in np.unravel_index(element, t.shape)) if t.shape else ()
                values = claim[t.offset + c], approximate[t.offset + c]
                rows.append(Component(t.name, index, first + element, float(values[0]), float(values[1]), math.nan))
        if not t.complex and np.any(seen):
            unknown = np.full(int(seen.sum()), np.nan)
            points = Points(np.flatnonzero(seen), claim[part][seen], approximate[part][seen], unknown)
            norms = (sizes[1], sizes[2])
            kept[t.name] = known(t, first, points, Source.NOTES, tolerance=tolerance, norms=norms)
        first += elements
    rows.sort(key=lambda row: -abs(row.mismatch))
    found = Found(tensors, absolute, list(claims.findings), notes=notes, evidence=Evidence(elements=kept))
    found.components = Components(tuple(rows[:KEPT]), int(measured.sum()), int(theta.size))
    return looked_at(found, session, still.random)
