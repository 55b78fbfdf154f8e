"""Every component with its own error bar: the course notes' loop with better steps.

The decision behind it: bounds on a tensor's mismatch follow from the bars of its elements without any probability
(``one_by_one``), so this is the method that others can be held against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError, Mapper, Meter
from gradproof._localisation.components import Measured, rows
from gradproof._pipeline.batching import many_at_once
from gradproof._pipeline.edges import Work
from gradproof._pipeline.evidence import known, points_of, traced
from gradproof._pipeline.one_by_one import Row, elements, judged, unmeasured
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, prepare, stand_still
from gradproof._pipeline.probing import OTHER_NUMBERS
from gradproof._pipeline.repeats import first_calls, unsteady
from gradproof._pipeline.reporting import OUT_OF_BUDGET, Found, flat_offsets, looked_at, nothing
from gradproof._pipeline.tensors import REASONS, ZERO
from gradproof._records import (
    Components,
    Elements,
    Evidence,
    Finding,
    Place,
    Source,
    TensorReport,
    Verdict,
)
from gradproof._verdict.judge import Outcome

#: Components kept for the list of the worst.
KEPT = 1000
#: Findings whose place is better known from the elements than from any search.
SEARCHED = ("unexplained",)


def exhaustive(session: Session, options: Options, meter: Meter, spread: Mapper | None) -> Found:
    """Measures every component."""
    still = stand_still(session, meter)
    session = still.session
    notes = []
    if still.random is not None:
        notes.append("The cost draws random numbers; one pattern was frozen for the check.")
        if not session.callable_grads:
            return looked_at(nothing(session, options, OTHER_NUMBERS, notes=notes), session, still.random)
    calls = first_calls(session, meter)
    session, claims = calls.session, calls.calls[0]
    still = replace(still, session=session)
    notes += claims.notes
    findings = [*claims.findings, *unsteady(calls, (), 1e-5, lambda _: None, session.call.options or {})]
    try:
        if spread is None:
            still = many_at_once(still, options, meter)
            if still.session.rows > session.rows:
                notes.append(f"Costs were evaluated {still.session.rows} at a time, which took less time for each.")
        place = prepare(still, session.theta, claims, options, (meter, spread))
    except BudgetExhaustedError:
        return nothing(session, options, REASONS["budget"], findings, [*notes, OUT_OF_BUDGET])
    tensors: list[TensorReport] = []
    absolute: list[Row] = []
    batches: list[Measured] = []
    places: dict[int, Place0] = {}
    exhausted = False
    for i, t in enumerate(session.tensors):
        one = unmeasured(place, i, t, REASONS["budget"] if exhausted else "nothing is claimed for it")
        if (t.name in claims.values and not exhausted) or not place.claimed[i].stats.moving:
            measured: list[Measured] = []
            try:
                for batch in elements(place, i):
                    measured.append(batch)
                one = judged(place, i, t, measured)
            except BudgetExhaustedError:
                exhausted = True
                notes.append(f"The budget ran out in {t.name}.")
                one = replace(unmeasured(place, i, t, REASONS["budget"]), measured=tuple(measured))
        report = one.report
        broken = [f for f in findings if t.name in f.tensors and f.severity == "error"]
        if broken:
            report = replace(report, verdict=Verdict.WRONG, reason=broken[0].message)
        places[i] = one.place
        tensors.append(report)
        absolute.append(one.row)
        batches += one.measured
    work = Work(session, options, meter, spread, still, notes)
    if any(t.verdict is Verdict.WRONG for t in tensors) and not exhausted:
        tensors = _without_rounding(work, places, tensors, absolute)
    notes += [f"{t.name}: {t.reason}." for t in tensors if t.verdict is Verdict.CORRECT and ZERO in t.reason]
    found = Found(tensors, absolute, findings, notes=notes)
    found.evidence = _evidence(place, found, batches, flat_offsets(session))
    listed = rows(place.reference.evaluator.problem, batches, flat_offsets(session))
    found.components = Components(tuple(listed[:KEPT]), len(listed), sum(t.size for t in tensors))
    if any(t.verdict is Verdict.WRONG for t in tensors) and not exhausted:
        from gradproof._pipeline.explaining import explain  # only a wrong gradient pays for the diagnosis

        guilty = [i for i, t in enumerate(tensors) if t.verdict is Verdict.WRONG and t.name in claims.values]
        outcomes = {i: _outcome(absolute[i]) for i in guilty}
        explain(work, place, {i: places[i] for i in guilty}, outcomes, found)
    masks = _masks(place, batches)
    found.findings = [_placed(f, masks) if f.cause in SEARCHED else f for f in found.findings]
    return looked_at(found, session, still.random, place.reference.noise)


def _outcome(row: Row) -> Outcome:
    """Of a wrong tensor, in units of the gradient."""
    return Outcome("wrong", *row[:3], row[4], absolute=True)


def _without_rounding(
    work: Work, places: Mapping[int, Place0], tensors: Sequence[TensorReport], absolute: Sequence[Row]
) -> list[TensorReport]:  # fmt: skip
    """The reports, undecided where the mismatch is no more than the claim's own rounding."""
    from gradproof._pipeline.claim_rounding import without_rounding  # only a mismatch pays for it

    wrong = [i for i, t in enumerate(tensors) if t.verdict is Verdict.WRONG and not t.reason]
    try:
        doubted = without_rounding(work, {i: places[i] for i in wrong}, {i: _outcome(absolute[i]) for i in wrong})
    except BudgetExhaustedError:
        return [*tensors]
    return [
        replace(
            t, verdict=Verdict.UNDECIDED, reason=REASONS[doubted[i].reason], difference=replace(t.difference, low=0.0)
        )
        if i in doubted
        else t
        for i, t in enumerate(tensors)
    ]


def _evidence(place: Place0, found: Found, batches: Sequence[Measured], offsets: Mapping[str, int]) -> Evidence:
    """The lines and the elements that were measured, to be looked at."""
    tensors = place.reference.evaluator.problem.tensors
    kept: dict[str, Elements] = {}
    for i, tensor in enumerate(tensors):
        points = points_of(tensor, [batch for batch in batches if batch.tensor == i])
        source = Source.MEASURED if len(points.positions) == found.tensors[i].size else Source.SAMPLED
        tolerance, norms = found.tensors[i].tolerance, found.absolute[i][3:5]
        if len(points.positions):
            kept[tensor.name] = known(tensor, offsets[tensor.name], points, source, tolerance=tolerance, norms=norms)
    return Evidence(traced(tensors, dict.fromkeys(range(len(tensors)), place)), kept)


def _masks(place: Place0, batches: Sequence[Measured]) -> dict[str, NDArray[np.bool_]]:
    """The wrong elements of each tensor, every one having been measured."""
    found: dict[str, NDArray[np.bool_]] = {}
    for i, tensor in enumerate(place.reference.evaluator.problem.tensors):
        wrong = np.zeros(tensor.size, dtype=bool)
        for batch in batches:
            if batch.tensor == i:
                wrong[batch.coordinates] = np.abs(batch.mismatch) > batch.bars
        single = np.logical_or(wrong[::2], wrong[1::2]) if tensor.complex else wrong
        found[tensor.name] = single.reshape(tensor.shape)
    return found


def _placed(finding: Finding, masks: Mapping[str, NDArray[np.bool_]]) -> Finding:
    """The finding with the place that was measured element by element."""
    own = {name: masks[name] for name in finding.tensors}
    return replace(finding, where=Place(", ".join(_said(name, mask) for name, mask in own.items()), own, exact=True))


def _said(name: str, mask: NDArray[np.bool_]) -> str:
    count = int(mask.sum())
    if count == 1 and mask.ndim:
        return f"{name}[{', '.join(str(int(k)) for k in np.argwhere(mask)[0])}]"
    return f"all of {name}" if count == mask.size else f"{count} of {mask.size} elements of {name}"
