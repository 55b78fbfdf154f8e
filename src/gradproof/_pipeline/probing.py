"""The default method: probes over all tensors together, in finer precision or beside the point where they must be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.claims import INFINITE, NAN, Claims
from gradproof._adapters.numpy import Session
from gradproof._errors import InputError
from gradproof._evaluation import BudgetExhaustedError, Mapper, Meter
from gradproof._pipeline.edges import Work, apply_edges, hold_still, raised_beside
from gradproof._pipeline.evidence import traced
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, claims_at, prepare, stand_still
from gradproof._pipeline.repeats import first_calls, unsteady
from gradproof._pipeline.reporting import OUT_OF_BUDGET, Found, looked_at, nothing
from gradproof._pipeline.tensors import REASONS, ZERO, Own, Seen, absolute, tensor_report
from gradproof._pipeline.ties import illegal_choices
from gradproof._pipeline.vacuous import hiding
from gradproof._records import Evidence, Finding, Place, Tensor, TensorReport, Verdict, in_format, spacing
from gradproof._verdict.judge import Judge, Outcome, Seeds, default_scales
from gradproof._verdict.settle import Settlement, combined, equalised, settle

#: Extended precision is used where its noise is at least this many times finer.
FINER = 16.0
#: What is said of a point where the cost has no derivative.
ON_A_KINK = "a kink"
#: How far beside a kink to look, relative to the parameters.
BESIDE = 1e-2
#: A claim that changes by more than this, relative, from a jump to the point beside it is not the one that was judged.
SAME_BESIDE = 0.05
#: Seeds that judge the growth of claims from call to call, apart from those of the verdicts.
PROOF_OF_STEPS = 77_777

#: Rounding of a claim whose terms cancel, in spacings of its format beside the largest element of the whole gradient.
CANCELLED = 32.0
#: Claims in both precisions are compared at so many neighbouring points, so far off, relative to the parameters, where
#: they differ at this one; the differences are one mistake where the cosine between them is above this.
NEIGHBOURS, NEARBY, SAME_MISTAKE = 3, 1e-3, 0.9

#: Claims smaller than this share of their tensor's root mean square weigh no more than it, element by element.
LEAST_WEIGHED = 1e-3

#: Why a gradient cannot be judged that was computed before the randomness was frozen.
OTHER_NUMBERS = "the claimed gradient was computed under other random numbers; pass a function as grads"


def probing(session: Session, options: Options, meter: Meter, spread: Mapper | None) -> Found:
    """Judges every tensor by probes."""
    still = stand_still(session, meter)
    work = Work(still.session, options, meter, spread, still, [])
    if still.random is not None:
        names = ", ".join([*still.random, *work.session.draws]) or "a source that was not found"
        work.notes.append(f"The cost draws random numbers ({names}); one pattern was frozen for the check.")
        if not session.callable_grads:
            return looked_at(nothing(session, options, OTHER_NUMBERS, notes=work.notes), session, still.random)
    calls = first_calls(work.session, meter)
    work.session = calls.session
    work.still = still = replace(still, session=calls.session)
    claims = calls.calls[0]
    work.notes += claims.notes
    findings = [*claims.findings]
    tolerance = max((options.tolerance_of(n, d) for n, d in claims.formats.items()), default=1e-5)
    known = work.session.call.options or {}
    try:
        native = _native(work, claims)
        place = prepare(still, work.session.theta, claims, options, work.tools)
        place, edges = hold_still(work, place)
    except BudgetExhaustedError:
        findings += unsteady(calls, (), tolerance, lambda _: None, known)
        return nothing(work.session, options, REASONS["budget"], findings, [*work.notes, OUT_OF_BUDGET])
    outcomes, reasons, places = _judge(work, place)
    try:
        at_edges = apply_edges(place, edges, outcomes, reasons, work.notes)
        findings += at_edges.values()
        places = {i: there for i, there in places.items() if i not in at_edges}  # explained already
    except BudgetExhaustedError:
        for i in edges.domain:
            if i in outcomes and outcomes[i].status == "correct":
                outcomes[i] = replace(outcomes[i], status="undecided", reason="budget")
        work.notes.append(OUT_OF_BUDGET)
    except InputError as error:
        cause = raised_beside(work, place, edges)
        if cause is None:
            raise
        error.add_note(f"gradproof: what the cost raises there: {type(cause).__name__}: {cause}")
        raise error from cause
    right = [t.name for i, t in enumerate(work.session.tensors) if i in outcomes and outcomes[i].status == "correct"]
    findings += unsteady(calls, right, tolerance, partial(_judged, work, place), known)
    if options.method == "auto" and findings:
        from gradproof._pipeline.nonfinite import told_apart  # only a claim that is not finite pays for it

        findings = told_apart(work, findings)
    noise, grain = place.reference.noise, place.reference.evaluator.problem.grain
    tensors = [
        tensor_report(
            t, Seen(place.claimed[i], noise, outcomes.get(i), reasons.get(i, ""), grain), findings, native.get(i)
        )
        for i, t in enumerate(work.session.tensors)
    ]
    findings += [own.finding for own in native.values() if own.finding is not None and own.lost == "claim"]
    work.notes += [f"{t.name}: {t.reason}." for t in tensors if t.verdict is Verdict.CORRECT and ZERO in t.reason]
    sizes = {i: float(np.linalg.norm(claims.values[work.session.tensors[i].name])) for i in edges.domain}
    found = Found(tensors, [absolute(known, outcomes.get(i), sizes.get(i)) for i, known in enumerate(place.claimed)])
    found.findings = findings
    if options.method == "auto":
        found.findings += _hidden(work, tensors)
        stuck = [i for i, o in outcomes.items() if (i in reasons and ON_A_KINK in reasons[i]) or o.reason == "kink"]
        found.findings += illegal_choices(work, place, [i for i in stuck if outcomes[i].status != "wrong"])
    work.notes += hiding(work.session, place)
    found.notes = work.notes
    found.precision = "extended" if "extended precision" in " ".join(work.notes) else "float64"
    if any(t.verdict is Verdict.WRONG for t in found.tensors):
        from gradproof._pipeline.explaining import explain  # only a wrong gradient pays for the diagnosis

        explain(work, place, places, outcomes, found)
    found.evidence = Evidence(traced(work.session.tensors, places), found.evidence.elements)
    _end(work, found)
    return looked_at(found, work.session, still.random, place.reference.noise)


def _hidden(work: Work, tensors: Sequence[TensorReport]) -> list[Finding]:
    """Mistakes in a regulariser that parameters of zero hide."""
    if not work.session.call.options:
        return []
    parts = [(t.offset, t.offset + t.size) for t in work.session.tensors]
    zero = [i for i, (first, end) in enumerate(parts) if end > first and not np.any(work.session.theta[first:end])]
    sound = [i for i in zero if tensors[i].verdict is Verdict.CORRECT]
    if not sound:
        return []
    from gradproof._pipeline.hidden import regulariser_at_zero  # only where something is zero

    try:
        return regulariser_at_zero(work, sound)
    except BudgetExhaustedError:
        return []


def _judge(work: Work, place: Place0) -> tuple[dict[int, Outcome], dict[int, str], dict[int, Place0]]:
    """Outcomes, remarks and places by tensor: first at the point, then in finer precision, then beside it."""
    usable = [i for i, t in enumerate(work.session.tensors) if t.name in place.claims.values]
    judge = Judge(place.reference, Seeds(work.options.seed + 1))
    finer = _Finer(work, place)
    settlement = Settlement({}, finer, set())
    outcomes: dict[int, Outcome] = {}
    remarks: dict[int, str] = {}
    places = dict.fromkeys(usable, place)
    try:
        settle(judge, place.claimed, usable, settlement)
        outcomes = {i: combined(found) for i, found in settlement.outcomes.items()}
        if settlement.finest_used:
            names = ", ".join(work.session.tensors[i].name for i in sorted(settlement.finest_used))
            work.notes.append(f"Kinks or rounding hide {names} in float64; judged in extended precision (longdouble).")
            places |= {i: finer.place for i in settlement.finest_used if finer.place is not None}
        _beside(work, place, outcomes, remarks, places)
        if any(outcome.status == "wrong" for outcome in outcomes.values()):
            from gradproof._pipeline.claim_rounding import without_rounding  # only a mismatch pays for it

            for i, outcome in without_rounding(work, places, outcomes).items():
                outcomes[i] = outcome
                remarks.pop(i, None)
        sound = [i for i, o in outcomes.items() if o.status == "correct" and _is_fine(place, i)]
        if all(_needs_no_second_look(work, place, i, outcomes[i]) for i in sound):
            sound = []  # else all of them: they share their probes
        for i, outcome in equalised(judge, place.claimed, sound).items():
            outcomes[i] = replace(outcomes[i], status="wrong", low=0.0)
            remarks[i] = (
                f"single elements are off by more than the tolerance of themselves "
                f"(root mean square at least {outcome.low:.1e})"
            )
    except BudgetExhaustedError:
        outcomes = {i: combined(found) for i, found in settlement.outcomes.items()} | outcomes
        work.notes.append(OUT_OF_BUDGET)
        for i in usable:
            outcomes.setdefault(i, Outcome("undecided", 0.0, math.inf, math.nan, math.nan, "budget"))
    return outcomes, remarks, places


def _judged(work: Work, place: Place0, repairs: Mapping[int, NDArray[np.float64]]) -> float | None:
    """What is left of the difference with other claims, judged as the diagnosis judges repaired ones; None if wrong."""
    from gradproof._diagnosis.proof import left_after  # only a gradient whose calls differ pays for it

    shaped = {i: _shaped(work.session.tensors[i], r) for i, r in repairs.items()}
    try:
        left = left_after(place.reference, place.claimed, shaped, work.options.seed + PROOF_OF_STEPS)
    except BudgetExhaustedError:
        return None
    if any(found.status != "correct" for found in left.values()) or len(left) < len(shaped):
        return None
    return max(found.relative for found in left.values())


def _shaped(tensor: Tensor, flat: NDArray[np.float64]) -> NDArray[Any]:
    return (flat.view(np.complex128) if tensor.complex else flat).reshape(tensor.shape)


def _is_fine(place: Place0, i: int) -> bool:
    """Whether a claim has enough digits for its small elements to be judged."""
    claimed = place.claimed[i]
    return claimed.roundoff < 1e-15 and claimed.stats.claim > 0.0


def _needs_no_second_look(work: Work, place: Place0, i: int, outcome: Outcome) -> bool:
    """Whether the bound on a whole tensor leaves no room for what is looked for in single elements.

    That is the root mean square of the elements' own relative mismatches, of which none is divided by less than the
    smallest claim: it is at most the norm of the mismatch over sqrt(n) times that. Claims that were judged as zeros are
    rounding, whose elements have no digits to be off by.
    """
    if outcome.absolute:
        return True
    claimed, name = place.claimed[i], work.session.tensors[i].name
    smallest = float(np.min(np.abs(place.claims.values[name]), initial=math.inf))
    unit = math.sqrt(claimed.stats.moving) * max(smallest, LEAST_WEIGHED * claimed.stats.claim_rms)
    return outcome.high * claimed.stats.claim <= claimed.aim.tolerance * unit


class _Finer:
    """A judge in extended precision and where it stands, made when first asked for."""

    def __init__(self, work: Work, place: Place0) -> None:
        self._work, self._from = work, place
        self._judge: Judge | None = None
        self._asked = False
        self.place: Place0 | None = None

    def __call__(self) -> Judge | None:
        if not self._asked:
            self._asked = True
            self.place = _extended(self._work, self._from)
            if self.place is not None:
                self._judge = Judge(self.place.reference, Seeds(self._work.options.seed + 2))
        return self._judge


def _extended(work: Work, place: Place0) -> Place0 | None:
    """The point in extended precision, where the cost keeps it and it makes a difference."""
    epsilon = float(np.finfo(np.longdouble).eps)
    if epsilon > 1e-18 or work.session.caller.live:
        return None
    theta = place.theta.astype(np.longdouble)
    work.meter.afford(1)
    cost = work.session.one_cost(theta)
    work.meter.spend(1)
    exact = float(place.reference.noise.cost)
    if not isinstance(cost, np.longdouble) or abs(float(cost) - exact) > 1e-10 * abs(exact) + 1e-300:
        return None
    still = replace(work.still, cost=cost, session=work.session)
    session = replace(work.session, theta=theta)
    fine = prepare(replace(still, session=session), theta, place.claims, work.options, work.tools, place.fixed)
    if not fine.reference.noise.sigma * FINER < place.reference.noise.sigma:
        return None
    return fine


def _beside(
    work: Work, place: Place0, outcomes: dict[int, Outcome], remarks: dict[int, str], places: dict[int, Place0]
) -> None:
    """Judges tensors on a kink or jump a little beside the point, where the claim can be computed there."""
    stuck = [i for i, o in outcomes.items() if o.status == "undecided" and o.reason in ("kink", "jump")]
    if not stuck or place.reference.noise.steps_only or not work.session.callable_grads or work.session.caller.live:
        return
    rng = np.random.default_rng([work.options.seed, 11])
    theta = work.session.theta.copy()
    scales = default_scales([c.stats for c in place.claimed])
    for i, t in enumerate(work.session.tensors):
        theta[t.offset : t.offset + t.size] += BESIDE * scales[i] * rng.standard_normal(t.size)
    theta = np.where(place.fixed, work.session.theta, theta)
    theta = work.session.further_in(theta, 0.0)  # within its bounds
    work.meter.afford(3)
    try:
        claims = claims_at(work.session, theta, work.meter)
        there = prepare(work.still, theta, claims, work.options, work.tools, place.fixed)
    except BudgetExhaustedError:
        raise
    except Exception:  # the point beside may lie outside the domain, and then there is nothing to see there
        return
    finer = _Finer(work, there)
    settlement = Settlement({}, finer, set())
    settle(Judge(there.reference, Seeds(work.options.seed + 3)), there.claimed, stuck, settlement)
    for i, found in settlement.outcomes.items():
        outcome = combined(found)
        if (
            outcome.status == "correct"
            and outcomes[i].reason == "jump"
            and not _alike_beside(place, there, work.session.tensors[i].name)
        ):
            continue  # the claim itself is another one there, and says nothing of this point
        if outcome.status != "undecided":
            what = {"kink": ON_A_KINK, "jump": "a jump"}[outcomes[i].reason]
            remarks[i] = f"judged beside this point, which lies on {what}"
            outcomes[i] = outcome
            places[i] = (finer.place if i in settlement.finest_used else None) or there
            work.notes.append(
                f"{work.session.tensors[i].name} was judged at parameters moved by {BESIDE:.0%} of their size, as "
                f"{what} of the cost lies at this point."
            )


def _alike_beside(place: Place0, there: Place0, name: str) -> bool:
    """Whether a claim is about the same a little beside the point, as one is that knows of no jump."""
    here, beside = place.claims.values[name], there.claims.values[name]
    return float(np.linalg.norm(here - beside)) <= SAME_BESIDE * float(np.linalg.norm(here) + np.linalg.norm(beside))


def _native(work: Work, claims: Claims) -> dict[int, Own]:
    """For parameters in lower precision: how far the claim in the user's own precision is from the float64 one.

    Both are claims of the same reference, so the difference between them, which is known exactly, and the bound on the
    one bound the other without another evaluation. A mistake is the same at neighbouring points; what rounding does to
    sums that cancel is something else at each.
    """
    if not work.session.twin or not work.session.callable_grads:
        return {}
    own = claims_at(work.session, work.session.theta, work.meter, native=True)
    work.notes.append(
        "The cost was evaluated at float64 copies; both the claim there and the one in your own precision were judged."
    )
    found = {}
    for i, t in enumerate(work.session.tensors):
        if t.name in own.values and t.name in claims.values:
            off = _apart(own.values[t.name], claims.values[t.name])
            found[i] = Own(off, work.options.tolerance_of(t.name, own.formats[t.name]))
    for i, t in enumerate(work.session.tensors):
        broken = [f for f in own.findings if t.name in f.tensors and f.detail in (NAN, INFINITE)]
        if broken and t.name in claims.values:
            held = in_format(claims.values[t.name], own.formats[t.name])
            allowed = work.options.tolerance_of(t.name, own.formats[t.name])
            found[i] = Own(1.0, allowed, lost=_lost(work, broken[0], held), finding=_overflown(broken[0]))
    far = [i for i, mine in found.items() if mine.off > mine.tolerance and not mine.lost]
    if far:
        names = {i: work.session.tensors[i].name for i in far}
        first = {i: own.values[name] - claims.values[name] for i, name in names.items()}
        beside = [_beside_natively(work, names, number) for number in range(NEIGHBOURS)]
        largest = max((float(np.max(np.abs(v), initial=0.0)) for v in claims.values.values()), default=0.0)
        from gradproof._pipeline.claim_rounding import is_rounding  # only a difference pays for it

        bits = is_rounding(work, {i: own.values[name] for i, name in names.items()}, first)
        for i, name in names.items():
            rounded = any(i in there and not _alike(first[i], there[i]) for there in beside)
            rounded = rounded or bits[i]
            found[i] = replace(found[i], rounded=rounded)
            # Rounding of a sum that cancels, as of a bias in front of a normalisation, says nothing against the claim.
            least = CANCELLED * spacing(own.formats[name]) * largest
            if rounded and float(np.max(np.abs(first[i]))) <= least:
                del found[i]
    return found


def _lost(work: Work, broken: Finding, held: NDArray[np.float64]) -> str:
    """Why a claim is not finite in the user's own precision; ``held`` is that of float64 in the same format."""
    (mask,) = broken.where.masks.values()
    elements = held.reshape(mask.size, -1)  # a complex number is two
    if not np.any(np.all(np.isfinite(elements), axis=1) & mask.reshape(-1)):
        return "format"
    session = work.session
    if session.frozen is not None:
        session.frozen.restore()
    returned = session.caller.call(session.call.cost, session.theta.copy(), native=True)
    work.meter.spend(1)
    return "claim" if np.all(np.isfinite(returned[0] if session.caller.paired else returned)) else "cost"


def _overflown(broken: Finding) -> Finding:
    """The finding on a claim that is finite in float64 and not in its own precision."""
    return replace(
        broken, cause="overflow", message=f"{broken.message} That is in its own precision: in float64 it is finite.",
        fix="Look for an exponential or a square that overflows in the backward pass, and rewrite it.", detail="",
    )  # fmt: skip


def _apart(mine: NDArray[np.float64], wide: NDArray[np.float64]) -> float:
    """The course notes' number for two claims."""
    total = float(np.linalg.norm(mine) + np.linalg.norm(wide))
    return float(np.linalg.norm(mine - wide)) / total if total else 0.0


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two differences are the same mistake, by the angle between them."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return size > 0.0 and float(one @ other) > SAME_MISTAKE * size


def _beside_natively(work: Work, names: Mapping[int, str], number: int) -> dict[int, NDArray[np.float64]]:
    """Own claims minus float64 claims at a neighbouring point; nothing where the functions cannot be called there."""
    rng = np.random.default_rng([work.options.seed, 13, number])
    theta = work.session.theta * (1.0 + NEARBY * rng.standard_normal(work.session.theta.size))
    for t in work.session.tensors:  # what both claims are computed at has to be a number of the user's own format
        part = slice(t.offset, t.offset + t.size)
        theta[part] = in_format(theta[part], t.dtype)
    try:
        wide, mine = (claims_at(work.session, theta, work.meter, native=native) for native in (False, True))
    except BudgetExhaustedError:
        raise
    except Exception:  # the functions need not work elsewhere
        return {}
    return {
        i: mine.values[name] - wide.values[name]
        for i, name in names.items()
        if name in mine.values and name in wide.values
    }


def _end(work: Work, found: Found) -> None:
    """Looks once more at the point: a cost that drifts with every call has no derivative to speak of."""
    try:
        work.meter.afford(1)
    except BudgetExhaustedError:
        return
    again = work.session.at_point(work.session.theta)
    work.meter.spend(1)
    cost = float(work.still.cost)
    if abs(float(again) - cost) > work.still.spread + SUMMATION_AT_END * abs(cost):
        names = tuple(t.name for t in found.tensors)
        masks = {t.name: np.ones(t.shape, dtype=bool) for t in work.session.tensors}
        found.findings.append(
            Finding(
                "nondeterministic", "warning", names, Place("all tensors", masks),
                f"The cost at the point was {cost!r} at the beginning and {float(again)!r} at the end.",
                "Look for state that the cost changes when it is called: counters, running statistics, caches.",
                detail="drift",
            )
        )  # fmt: skip
        reason = "the cost drifts from call to call"
        found.tensors = [
            t
            if t.verdict is Verdict.WRONG and t.name in _blamed(found)
            else replace(t, verdict=Verdict.UNDECIDED, reason=reason)
            for t in found.tensors
        ]


#: Drift up to this, relative, is the order of summation.
SUMMATION_AT_END = 1e-13


def _blamed(found: Found) -> set[str]:
    return {n for f in found.findings if f.severity == "error" and f.cause == "contract" for n in f.tensors}
