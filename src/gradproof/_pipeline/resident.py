"""The default method for tensors that stay where they are: on another device, on several ranks, or too large to copy.

The decision behind it: verdicts come from the same probes, bounds and confirmations as everywhere; only what would take
a second copy of the model is left out or done for one guilty tensor at a time. Whatever is decided here is decided from
numbers that all ranks share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradproof._evaluation import BudgetExhaustedError, Evaluator, Meter
from gradproof._localisation.points import Search, jumps, leaves_domain
from gradproof._pipeline.edges import Edges, apply_edges
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import SUMMATION, aim_of, noise_at
from gradproof._pipeline.probing import BESIDE, CANCELLED, ON_A_KINK, OTHER_NUMBERS
from gradproof._pipeline.reporting import OUT_OF_BUDGET, Found, behaved
from gradproof._pipeline.tensors import REASONS, ZERO, Own, Seen, absolute, elements_of, tensor_report
from gradproof._records import Difference, Finding, Place, Tensor, TensorReport, Verdict, spacing
from gradproof._reference import Reference
from gradproof._verdict.judge import Judge, Outcome, Seeds, default_scales
from gradproof._verdict.settle import Claimed, Settlement, combined, equalised, settle

if TYPE_CHECKING:
    from gradproof._adapters.pytorch.claimed import Claimed as Taken
    from gradproof._adapters.pytorch.problem import TensorProblem
    from gradproof._adapters.pytorch.resident import Call, Session

#: Claims that differ from call to call by no more than this many spacings of their format differ by the order in which
#: sums were formed.
ORDER, REPEATED = 256.0, 1e-12


@dataclass(frozen=True)
class Stand:
    """A point made ready for probes.

    Attributes:
        reference: measures slopes there.
        claimed: norms and aims by tensor.
        problem: the point itself.
    """

    reference: Reference
    claimed: tuple[Claimed, ...]
    problem: "TensorProblem"

    @property
    def scales(self) -> list[float]:
        """Step scales by tensor."""
        return default_scales([c.stats for c in self.claimed])


@dataclass
class Course:
    """One check in progress."""

    session: "Session"
    taken: "Taken"
    options: Options
    meter: Meter
    cost: float
    spread: float
    notes: list[str]
    findings: list[Finding]
    outcomes: dict[int, Outcome]
    remarks: dict[int, str]
    stands: dict[int, Stand]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that are checked."""
        return self.session.tensors

    @property
    def usable(self) -> list[int]:
        """Tensors of which something usable is claimed."""
        return [i for i, t in enumerate(self.tensors) if t.name in self.taken.formats]


def resident(call: "Call", options: Options, meter: Meter) -> Found:
    """Judges every tensor by probes, where it lives."""
    with call.entered() as session:
        meter.spend(session.evaluations)
        notes = [*call.notes, *session.notes]
        session, cost, spread, sources = _stand_still(session, meter)
        if sources is not None:
            names = ", ".join([*sources, *session.draws]) or "a source that was not found"
            notes.append(f"The cost draws random numbers ({names}); one pattern was frozen for the check.")
            if not call.computed:
                return _nothing(session, options, OTHER_NUMBERS, notes)
        taken = session.claimed()
        meter.spend(int(call.computed))
        said, findings = [*notes, *taken.notes], [*taken.findings]
        return _judged(Course(session, taken, options, meter, cost, spread, said, findings, {}, {}, {}), sources)


def _judged(course: Course, random: tuple[str, ...] | None) -> Found:
    stand = _stand(course, course.session.problem(course.taken))
    course = _form(course, stand)
    edges = Edges({}, {}, None)
    try:
        stand, edges = _hold_still(course, stand)
    except BudgetExhaustedError:
        return _nothing(
            course.session, course.options, REASONS["budget"], [*course.notes, OUT_OF_BUDGET], course.findings
        )
    native = _native(course, stand)
    _probe(course, stand)
    try:
        course.findings.extend(apply_edges(stand, edges, course.outcomes, course.remarks, course.notes).values())
    except BudgetExhaustedError:
        for i in edges.domain:
            if i in course.outcomes and course.outcomes[i].status == "correct":
                course.outcomes[i] = replace(course.outcomes[i], status="undecided", reason="budget")
        course.notes.append(OUT_OF_BUDGET)
    noise = stand.reference.noise
    tensors = [
        tensor_report(
            t, Seen(stand.claimed[i], noise, course.outcomes.get(i), course.remarks.get(i, "")), course.findings,
            native.get(i),
        )
        for i, t in enumerate(course.tensors)
    ]  # fmt: skip
    sizes = {i: stand.problem.summary(i).whole for i in edges.domain}
    found = Found(tensors, [absolute(c, course.outcomes.get(i), sizes.get(i)) for i, c in enumerate(stand.claimed)])
    found.findings = course.findings
    found.notes = course.notes
    found.notes += [f"{t.name}: {t.reason}." for t in tensors if t.verdict is Verdict.CORRECT and ZERO in t.reason]
    found.notes += _hiding(course, stand)
    if any(t.verdict is Verdict.WRONG for t in found.tensors):
        from gradproof._pipeline.guilty import explain  # only a wrong gradient pays for it

        explain(course, stand, found)
    _end(course, found)
    own = {t.dtype for t in course.tensors if not course.session.wide}
    return behaved(found, random, noise, own - {"float64", "complex128"})


def _stand_still(session: "Session", meter: Meter) -> tuple["Session", float, float, tuple[str, ...] | None]:
    """Evaluates the cost three times; where that differs, freezes the random state and looks again.

    Returns:
        The session, the cost, how far evaluations still differ, and the sources of randomness or None.
    """
    meter.afford(3)
    values = [session.at_point() for _ in range(3)]
    meter.spend(3)
    spread = max(values) - min(values)
    if spread == 0.0:
        return session, values[0], 0.0, None
    names, frozen = session.moved(), session.freeze()
    meter.afford(2)
    again = [frozen.at_point() for _ in range(2)]
    meter.spend(2)
    still = abs(again[0] - again[1])
    if still <= SUMMATION * abs(again[0]) and (names or spread > SUMMATION * abs(values[0])):
        return frozen, again[0], still, names
    # Sums formed in no fixed order, as by atomic additions on a GPU: they are noise, and known as such.
    return session, values[0], max(spread, still), None


def _stand(course: Course, problem: "TensorProblem") -> Stand:
    """Makes a point ready: norms, and the cost's noise."""
    cost = course.cost
    if problem.spot.aside:
        course.meter.afford(1)
        cost = problem.at_point()
        course.meter.spend(1)
    evaluator = Evaluator(problem, course.meter)
    known = tuple(
        Claimed(
            problem.stats(i),
            aim_of(t.name, course.taken.formats.get(t.name, "float64"), course.options),
            spacing(course.taken.formats.get(t.name, "float64")) / 2.0,
        )
        for i, t in enumerate(course.tensors)
    )
    noise = noise_at(evaluator, known, np.float64(cost), course.spread, course.options)
    return Stand(Reference(evaluator, noise), known, problem)


def _form(course: Course, stand: Stand) -> Course:
    """Leaves out claims that are not finite, and files what a second call of a claim says."""
    from gradproof._adapters.pytorch.claimed import broken, differing

    formats = dict(course.taken.formats)
    for i in course.usable:
        t, count = course.tensors[i], stand.problem.summary(i).broken
        if count:
            course.findings.append(broken(t.name, t.shape, count // (2 if t.complex else 1) or 1))
            del formats[t.name]
    course = replace(course, taken=replace(course.taken, formats=formats))
    infinite = sum(stand.problem.summary(i).infinite for i in range(len(course.tensors)))
    if infinite:
        course.notes.append(f"{infinite} parameters are not finite; they were left where they are.")
    if course.session.whole.visited:
        for i, off in course.session.repeated(stand.problem).items():
            t = course.tensors[i]
            least = ORDER * spacing(course.taken.formats.get(t.name, t.dtype))
            if t.name in formats and off > max(least, REPEATED, ORDER * spacing(t.dtype)):
                tolerance = course.options.tolerance_of(t.name, t.dtype)
                course.findings.append(differing(t.name, t.shape, off, tolerance))
        course.meter.spend(1)
    for i, names in course.session.disagreeing(stand.problem, course.usable).items():
        t = course.tensors[i]
        course.findings.append(_between_ranks(t, names))
    return course


def _between_ranks(tensor: Tensor, ranks: Sequence[int]) -> Finding:
    which = ", ".join(map(str, ranks))
    place = Place(f"all of {tensor.name} on rank {which}", {tensor.name: np.broadcast_to(True, tensor.shape)})
    return Finding(
        "contract", "error", (tensor.name,), place,
        f"The gradient of {tensor.name} on rank {which} differs from that on the other ranks, which hold the same "
        "parameters.",
        "Add the gradients up over the ranks after the backward pass, on all of them.",
        detail=f"differs on rank {which}",
    )  # fmt: skip


def _native(course: Course, stand: Stand) -> dict[int, Own]:
    """For each tensor how far the claim in the user's own precision is from the float64 one."""
    if not (course.session.twin and course.session.whole.visited):
        return {}
    course.notes.append(
        "The cost was evaluated at float64 copies; both the claim there and the one in your own precision were judged."
    )
    summaries = {i: stand.problem.summary(i) for i in course.usable}
    found = {}
    for i, summary in summaries.items():
        tensor, (apart, size) = course.tensors[i], summary.apart
        total = size + summary.whole
        allowed = course.options.tolerance_of(tensor.name, tensor.dtype)
        found[i] = Own(apart / total if total else 0.0, allowed)
    far = [i for i, own in found.items() if own.off > own.tolerance]
    largest = max((s.peak for s in summaries.values()), default=0.0)
    for i in course.session.rounded(stand.problem, far) if far else ():
        found[i] = replace(found[i], rounded=True)
        # Rounding of a sum that cancels, as of a bias in front of a normalisation, says nothing against the claim.
        if summaries[i].apart[0] <= CANCELLED * spacing(course.tensors[i].dtype) * largest * math.sqrt(
            course.tensors[i].size
        ):
            del found[i]
    return found


def _hold_still(course: Course, stand: Stand) -> tuple[Stand, Edges]:
    """Finds and holds the coordinates that spoil every probe, if there are any."""
    jump: dict[int, list[int] | None] = {}
    domain: dict[int, list[int] | None] = {}
    search: Search | None = None
    if not stand.reference.noise.finite or stand.reference.noise.narrowed:
        stand, search, domain = _held(course, stand, leaves_domain)
    if stand.reference.noise.jump:
        stand, _, jump = _held(course, stand, jumps)
    return stand, Edges(jump, domain, search)


def _held(course: Course, stand: Stand, shows: Any) -> tuple[Stand, Search, dict[int, list[int] | None]]:
    search = Search(stand.reference, stand.scales, 104_729 + course.options.seed, stand.reference.noise)
    found = search.coordinates(shows)
    if not found:
        return stand, search, found
    masks = {}
    for i, coordinates in found.items():
        tensor = course.tensors[i]
        mask = np.zeros(tensor.size, dtype=bool)
        mask[slice(None) if coordinates is None else coordinates] = True
        masks[i] = mask
    again = _stand(course, stand.problem.fixing(masks))
    noise = again.reference.noise
    return again, replace(search, noise=noise, reference=replace(search.reference, noise=noise)), found


def _probe(course: Course, stand: Stand) -> None:
    """Outcomes by tensor: at the point, beside it where a kink is in the way, and element by element."""
    judge = Judge(stand.reference, Seeds(course.options.seed + 1))
    settlement = Settlement({}, lambda: None, set())
    course.stands |= dict.fromkeys(course.usable, stand)
    try:
        settle(judge, stand.claimed, course.usable, settlement)
        course.outcomes |= {i: combined(found) for i, found in settlement.outcomes.items()}
        _beside(course, stand)
        sound = [
            i
            for i, o in course.outcomes.items()
            if o.status == "correct" and stand.claimed[i].roundoff < 1e-15 and stand.claimed[i].stats.claim > 0.0
        ]
        for i, outcome in equalised(judge, stand.claimed, sound).items():
            course.outcomes[i] = replace(course.outcomes[i], status="wrong", low=0.0)
            course.remarks[i] = (
                f"single elements are off by more than the tolerance of themselves "
                f"(root mean square at least {outcome.low:.1e})"
            )
    except BudgetExhaustedError:
        for i, found in settlement.outcomes.items():
            course.outcomes.setdefault(i, combined(found))
        course.notes.append(OUT_OF_BUDGET)
        for i in course.usable:
            course.outcomes.setdefault(i, Outcome("undecided", 0.0, math.inf, math.nan, math.nan, "budget"))


def _beside(course: Course, stand: Stand) -> None:
    """Judges tensors on a kink or jump a little beside the point, where the claim can be computed there."""
    stuck = [i for i, o in course.outcomes.items() if o.status == "undecided" and o.reason in ("kink", "jump")]
    if not stuck or stand.reference.noise.steps_only or not course.session.whole.visited:
        return
    course.meter.afford(3)
    there = _beside_stand(course, stand)
    if there is None:
        return
    settlement = Settlement({}, lambda: None, set())
    settle(Judge(there.reference, Seeds(course.options.seed + 3)), there.claimed, stuck, settlement)
    for i, found in settlement.outcomes.items():
        outcome = combined(found)
        if outcome.status != "undecided":
            what = {"kink": ON_A_KINK, "jump": "a jump"}[course.outcomes[i].reason]
            course.remarks[i] = f"judged beside this point, which lies on {what}"
            course.outcomes[i] = outcome
            course.stands[i] = there
            course.notes.append(
                f"{course.tensors[i].name} was judged at parameters moved by {BESIDE:.0%} of their size, as "
                f"{what} of the cost lies at this point."
            )


def _beside_stand(course: Course, stand: Stand) -> Stand | None:
    """A point beside this one; None where the cost or the claim cannot be had there."""
    try:
        problem = course.session.aside(stand.problem, [BESIDE * scale for scale in stand.scales])
        course.meter.spend(1)
        return _stand(course, problem) if math.isfinite(problem.at_point()) else None
    except BudgetExhaustedError:
        raise
    except Exception:  # the point beside may lie outside the domain, and then there is nothing to see there
        return None


def _hiding(course: Course, stand: Stand) -> list[str]:
    """Conditions at this point under which some mistakes leave no trace."""
    zero = [t.name for i, t in enumerate(course.tensors) if t.size and not stand.problem.stats(i).scale]
    ones = [t.name for i, t in enumerate(course.tensors) if t.size > 1 and stand.problem.summary(i).ones]
    notes = []
    if zero and len(zero) < len(course.tensors):
        notes.append(
            f"{_named(zero)} 0 throughout: a regulariser wrongly applied there cannot show. Check after training too."
        )
    if ones:
        notes.append(
            f"{_named(ones)} 1 throughout: a factor of it that was forgotten cannot show. Check again after training."
        )
    return notes


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


def _nothing(
    session: "Session", options: Options, reason: str, notes: Sequence[str], findings: Sequence[Finding] = ()
) -> Found:
    """What there is to say where nothing was measured."""
    tensors = []
    for t in session.tensors:
        blamed = [f.message for f in findings if f.severity == "error" and t.name in f.tensors]
        verdict = Verdict.WRONG if blamed else Verdict.UNDECIDED
        unknown = Difference(math.nan, 0.0, 1.0)
        tolerance = options.tolerance_of(t.name, "float64")
        said = blamed[0] if blamed else reason
        tensors.append(TensorReport(t.name, t.shape, verdict, unknown, said, tolerance, elements_of(t)))
    rows = [(0.0, math.inf, math.nan, 1.0, 1.0)] * len(tensors)
    return Found(tensors, rows, list(findings), notes=list(notes))


def _end(course: Course, found: Found) -> None:
    """Looks once more at the point: a cost that drifts with every call has no derivative to speak of."""
    try:
        course.meter.afford(1)
    except BudgetExhaustedError:
        return
    again = course.session.at_point()
    course.meter.spend(1)
    if abs(again - course.cost) <= course.spread * 8.0 + SUMMATION * abs(course.cost):
        return
    names = tuple(t.name for t in found.tensors)
    masks = {t.name: np.broadcast_to(True, t.shape) for t in course.tensors}
    found.findings.append(
        Finding(
            "nondeterministic", "warning", names, Place("all tensors", masks),
            f"The cost at the point was {course.cost!r} at the beginning and {again!r} at the end.",
            "Look for state that the cost changes when it is called: counters, running statistics, caches.",
            detail="drift",
        )
    )  # fmt: skip
    blamed = {n for f in found.findings if f.severity == "error" and f.cause == "contract" for n in f.tensors}
    found.tensors = [
        t
        if t.verdict is Verdict.WRONG and t.name in blamed
        else replace(t, verdict=Verdict.UNDECIDED, reason="the cost drifts from call to call")
        for t in found.tensors
    ]
