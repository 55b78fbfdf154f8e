"""Every component with its own error bar: the course notes' loop with better steps.

The decision behind it: bounds on a tensor's mismatch follow from the bars of its elements without any probability, so
this is the method that others can be held against.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError, Mapper, Meter
from gradproof._localisation.components import Measured, measure_components, rows
from gradproof._pipeline.batching import many_at_once
from gradproof._pipeline.edges import Work
from gradproof._pipeline.evidence import known, points_of, traced
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, prepare, stand_still
from gradproof._pipeline.probing import OTHER_NUMBERS
from gradproof._pipeline.repeats import first_calls, unsteady
from gradproof._pipeline.reporting import OUT_OF_BUDGET, Found, flat_offsets, looked_at, nothing
from gradproof._pipeline.tensors import REASONS, ROUNDED, TAKEN_BACK, ZERO
from gradproof._records import (
    Components,
    Difference,
    Direction,
    Elements,
    Estimate,
    Evidence,
    Finding,
    Part,
    Place,
    Source,
    Tensor,
    TensorReport,
    Verdict,
    Weighting,
)
from gradproof._verdict.judge import KINK_MARGIN, KINK_PENALTY, Judge, Outcome, Seeds, default_scales
from gradproof._verdict.settle import Settlement, combined, settle
from gradproof._verdict.staircase import steps_close, steps_far

#: Bounds on a mismatch, its estimate, and the norms of claim and reference, in units of the gradient.
Row = tuple[float, float, float, float, float]
#: Components kept for the list of the worst.
KEPT = 1000
#: Seeds of the probes that confirm a tensor whose elements are wrong.
CONFIRMING = 77_003
#: What may keep probes of a whole tensor from an answer, and says nothing against its elements.
NO_DOUBT = ("noise", "close", "domain")
#: What probes of a whole tensor say that find claim and reference both zero to rounding.
NEXT_TO_ZERO = "zero"
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
    scales = default_scales([c.stats for c in place.claimed])
    tensors, absolute, batches = [], [], []
    exhausted = False
    for i, t in enumerate(session.tensors):
        measured: list[Measured] = []
        if t.name in claims.values and not exhausted:
            target = place.claimed[i].aim.aim / 10.0 * (place.claimed[i].stats.claim or 1.0) / math.sqrt(max(t.size, 1))
            moving = np.flatnonzero(~place.fixed[t.offset : t.offset + t.size]).tolist()
            try:
                for batch in measure_components(place.reference, i, moving, scales[i], target):
                    measured.append(batch)
            except BudgetExhaustedError:
                exhausted = True
                notes.append(f"The budget ran out in {t.name}.")
        try:
            report, row = _judged(place, i, t, measured, exhausted)
        except BudgetExhaustedError:
            exhausted = True
            notes.append(f"The budget ran out in {t.name}.")
            report, row = _judged(place, i, t, [], exhausted)
        broken = [f for f in findings if t.name in f.tensors and f.severity == "error"]
        if broken:
            wrong = Verdict.WRONG
            report = TensorReport(
                t.name, t.shape, wrong, report.difference, broken[0].message, report.tolerance, report.size
            )
        tensors.append(report)
        absolute.append(row)
        batches += measured
    work = Work(session, options, meter, spread, still, notes)
    if any(t.verdict is Verdict.WRONG for t in tensors) and not exhausted:
        tensors = _without_rounding(work, place, tensors, absolute)
    notes += [f"{t.name}: {t.reason}." for t in tensors if t.verdict is Verdict.CORRECT and ZERO in t.reason]
    found = Found(tensors, absolute, findings, notes=notes)
    found.evidence = _evidence(place, found, batches, flat_offsets(session))
    listed = rows(place.reference.evaluator.problem, batches, flat_offsets(session))
    found.components = Components(tuple(listed[:KEPT]), len(listed), sum(t.size for t in tensors))
    if any(t.verdict is Verdict.WRONG for t in tensors) and not exhausted:
        from gradproof._pipeline.explaining import explain  # only a wrong gradient pays for the diagnosis

        guilty = [i for i, t in enumerate(tensors) if t.verdict is Verdict.WRONG and t.name in claims.values]
        outcomes = {i: _outcome(absolute[i]) for i in guilty}
        explain(work, place, dict.fromkeys(guilty, place), outcomes, found)
    masks = _masks(place, batches)
    found.findings = [_placed(f, masks) if f.cause in SEARCHED else f for f in found.findings]
    return looked_at(found, session, still.random, place.reference.noise)


def _outcome(row: Row) -> Outcome:
    """Of a wrong tensor, in units of the gradient."""
    return Outcome("wrong", *row[:3], row[4], absolute=True)


def _without_rounding(
    work: Work, place: Place0, tensors: Sequence[TensorReport], absolute: Sequence[Row]
) -> list[TensorReport]:  # fmt: skip
    """The reports, undecided where the mismatch is no more than the claim's own rounding."""
    from gradproof._pipeline.claim_rounding import without_rounding  # only a mismatch pays for it

    wrong = [i for i, t in enumerate(tensors) if t.verdict is Verdict.WRONG and not t.reason]
    try:
        doubted = without_rounding(work, dict.fromkeys(wrong, place), {i: _outcome(absolute[i]) for i in wrong})
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


def _judged(
    place: Place0, i: int, tensor: Tensor, measured: Sequence[Measured], exhausted: bool
) -> tuple[TensorReport, Row]:
    known = place.claimed[i]
    elements = tensor.size // 2 if tensor.complex else tensor.size
    estimates = [e for batch in measured for e in batch.estimates]
    claim = known.stats.claim
    if len(estimates) < known.stats.moving:
        reason = REASONS["budget"] if exhausted else "nothing is claimed for it"
        difference = Difference(math.nan, 0.0, 1.0)
        report = TensorReport(
            tensor.name, tensor.shape, Verdict.UNDECIDED, difference, reason, known.aim.tolerance, elements
        )
        return report, (0.0, math.inf, math.nan, claim, claim)
    off = np.array([e.mismatch for e in estimates])
    bars = np.array([e.bar for e in estimates])
    low, high = _norm(np.maximum(0.0, np.abs(off) - bars)), _norm(np.abs(off) + bars)
    sure = _norm(np.array([_sure(e) for e in estimates]))
    reference = _norm(np.array([e.slope for e in estimates]) - off)
    estimate = _norm(off)
    total = claim + reference
    number = estimate / total if total else 0.0
    difference = Difference(number, _at(low, claim, reference, -1), _at(high, claim, reference, 1))
    # A kink or a jump that a difference of both sides steps over may cancel to nothing as well.
    zero = claim == 0.0 and low == 0.0 and not any(e.kink > 0.0 or e.jump > 0.0 for e in estimates)
    if _at(sure, claim, reference, -1) > known.aim.wrong:
        doubt = _in_steps(place, i, measured) or _doubt(place, i, jumps=any(e.jump > 0.0 for e in estimates))
        verdict, reason = (Verdict.UNDECIDED, REASONS.get(doubt, doubt)) if doubt else (Verdict.WRONG, "")
        if doubt == NEXT_TO_ZERO:
            verdict, reason = Verdict.CORRECT, _zero(high)
        if doubt in TAKEN_BACK or doubt == NEXT_TO_ZERO:
            low, difference = 0.0, replace(difference, low=0.0)
    elif difference.high <= known.aim.tolerance:
        verdict, reason = Verdict.CORRECT, ""
    elif zero:
        verdict = Verdict.CORRECT
        reason = _zero(high)
    else:
        verdict = Verdict.UNDECIDED
        met = {"jump": any(e.jump > 0.0 for e in estimates), "kink": any(e.kink > 0.0 for e in estimates)}
        reason = REASONS[next((what for what, there in met.items() if there), "noise")]
        low, difference = sure, replace(difference, low=_at(sure, claim, reference, -1))
    report = TensorReport(tensor.name, tensor.shape, verdict, difference, reason, known.aim.tolerance, elements)
    return report, (low, high, estimate, claim, reference)


def _zero(high: float) -> str:
    """What is said of a claim and a reference that are both next to zero."""
    return f"{ZERO} {ROUNDED}; a gradient with a norm below {high:.1e} would not be seen"


def _in_steps(place: Place0, i: int, measured: Sequence[Measured]) -> str:
    """Why the elements with the largest mismatch prove nothing: a cost made of steps; "" where it is none."""
    scale = default_scales([c.stats for c in place.claimed])[i]
    found = [(int(c), e) for batch in measured for c, e in zip(batch.coordinates, batch.estimates, strict=True)]
    probes = [
        (Direction((), (Part(i, scale, Weighting.UNIT, start=c, stop=c + 1),)), e, scale)
        for c, e in sorted(found, key=lambda pair: -abs(pair[1].mismatch))[:2]
    ]
    try:
        return "staircase" if steps_close(place.reference, probes) or steps_far(place.reference, probes) else ""
    except BudgetExhaustedError:
        return "budget"


def _doubt(place: Place0, i: int, *, jumps: bool) -> str:
    """Why probes do not call a tensor wrong that its elements do; "" where they agree.

    Elements one by one meet no kink that another would show, and no step at which the cost looks different: the
    confirmations that probes must pass before they say "wrong" are asked for here as well.

    Args:
        place: the point.
        i: the tensor.
        jumps: whether the jump that keeps probes from an answer was met at single elements, which were left out.
    """
    settlement = Settlement({}, lambda: None, set())
    try:
        settle(Judge(place.reference, Seeds(CONFIRMING)), place.claimed, [i], settlement)
    except BudgetExhaustedError:
        return "budget"
    outcome = combined(settlement.outcomes[i])
    if outcome.absolute and outcome.status != "wrong":  # next to zero, where the claim's own rounding counts
        return NEXT_TO_ZERO if outcome.status == "correct" else outcome.reason
    if outcome.status == "wrong" or outcome.reason in NO_DOUBT or (outcome.reason == "jump" and jumps):
        return ""
    return outcome.reason or "scale"


def _sure(estimate: Estimate) -> float:
    """What is left of an element's mismatch once its bar and the kinks seen are taken off."""
    if estimate.kink > 0.0 and abs(estimate.mismatch) < KINK_MARGIN * estimate.bar:
        return 0.0
    if estimate.jump > 0.0:
        return 0.0
    return max(0.0, abs(estimate.mismatch) - estimate.bar - KINK_PENALTY * estimate.kink_here)


def _norm(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.linalg.norm(values)) if values.size else 0.0


def _at(mismatch: float, claim: float, reference: float, side: int) -> float:
    """The course notes' number for a bound on the mismatch."""
    if mismatch == 0.0 or (side < 0 and not math.isfinite(mismatch)):
        return 0.0
    total = 2.0 * claim + mismatch if side < 0 else claim + max(reference, claim - mismatch)
    return min(1.0, mismatch / total) if total > 0.0 and math.isfinite(mismatch) else 1.0
