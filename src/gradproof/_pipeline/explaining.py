"""From wrong tensors to findings: the case is put together here and handed to the diagnosis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case
from gradproof._diagnosis.diagnose import diagnose
from gradproof._diagnosis.evidence import PROBES, Suspect, gather
from gradproof._diagnosis.proof import Left
from gradproof._diagnosis.unbroadcast import misshapen
from gradproof._evaluation import BudgetExhaustedError
from gradproof._localisation.components import Measured, components, measure_components, rows
from gradproof._localisation.search import Whereabouts, find
from gradproof._pipeline.edges import Work
from gradproof._pipeline.evidence import elements, known, points_of
from gradproof._pipeline.laboratory import Bench, shaped
from gradproof._pipeline.point import Place0
from gradproof._pipeline.reporting import Found, flat_offsets, unexplained
from gradproof._records import (
    Component,
    Components,
    Difference,
    Direction,
    Elements,
    Estimate,
    Evidence,
    Part,
    Points,
    Source,
    Stats,
    Verdict,
)
from gradproof._verdict.judge import UNIT_ROUNDOFF, Outcome, default_scales, scaled

#: Seeds of the evidence start here, apart from those of the verdicts.
EVIDENCE_SEEDS = 15_485_863
#: Elements that are measured one by one in a wrong tensor that nothing explains.
SAMPLED = 10
#: The same in one whose mismatch has a cause, and so is known without them.
SAMPLED_EXPLAINED = 4
#: Findings that do not say what an element should be.
UNTOLD = ("unexplained", "upstream")
#: Methods that do not stop at the verdict.
EXPLAINED = ("auto", "exhaustive")
#: Elements kept for the list of the worst.
KEPT = 1000


def explain(
    work: Work, place: Place0, places: Mapping[int, Place0], outcomes: Mapping[int, Outcome], found: Found
) -> None:
    """Files findings for the wrong tensors, and measures some of their elements.

    Args:
        work: the check in progress.
        place: the point of the check.
        places: where each tensor was judged.
        outcomes: what its probes said.
        found: gets the findings and the components.
    """
    wrong = [i for i, t in enumerate(found.tensors) if t.verdict is Verdict.WRONG]
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    guilty = [i for i in wrong if i in places and i in outcomes and outcomes[i].status == "wrong"]
    case: Case | None = None
    explained = work.options.method in EXPLAINED
    if explained:
        _unbroadcast(work, place, found)
    if explained and guilty:
        try:
            case = _case(work, places, outcomes, found, [i for i in guilty if found.tensors[i].name not in blamed])
            claimed = {i: places[i].claimed for i in guilty}
            with np.errstate(all="ignore"):  # candidates need not be finite; those that are not are refused
                found.findings += diagnose(case, claimed, work.options.seed)
            work.notes += case.notes
        except BudgetExhaustedError:
            work.notes.append("The budget ran out while causes were looked for.")
    if case is not None:
        for i, left in case.mended.items():
            sharpen(found, i, case.claims[i], left)
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    found.findings += unexplained(work.session, found.tensors, blamed)
    if work.options.method == "auto":
        told = {name for f in found.findings if f.cause not in UNTOLD for name in f.tensors}
        wanted = {i: SAMPLED_EXPLAINED if work.session.tensors[i].name in told else SAMPLED for i in guilty}
        _elements(work, places, outcomes, case, wanted, found)


def _unbroadcast(work: Work, place: Place0, found: Found) -> None:
    """Replaces the finding on a shape by one that says over which axes the sum is missing, where that is proven."""
    if not place.claims.misshapen:
        return
    given = place.claims.misshapen
    claims = {i: given[t.name] for i, t in enumerate(work.session.tensors) if t.name in given}
    for finding in misshapen(place.reference, place.claimed, claims, work.options.seed + EVIDENCE_SEEDS // 2):
        others = [f for f in found.findings if not (f.cause == "contract" and f.tensors == finding.tensors)]
        found.findings = [*others, finding]


def _case(
    work: Work, places: Mapping[int, Place0], outcomes: Mapping[int, Outcome], found: Found, guilty: Sequence[int]
) -> Case:
    first = next(iter(places.values()))
    suspects: dict[int, Suspect] = {}
    for i in guilty:
        place = places[i]
        stats = place.claimed[i].stats
        scale = default_scales([c.stats for c in place.claimed])[i]
        size = stats.claim
        if math.isfinite(outcomes[i].reference):
            size = max(size, outcomes[i].reference * (1.0 if outcomes[i].absolute or not size else size))
        base = EVIDENCE_SEEDS + work.options.seed * 10_007 + i * PROBES
        seeds = range(base, base + PROBES)
        known = known_probes(outcomes[i], i, stats, scale)
        suspects[i] = gather(place.reference, i, stats, scale, size or 1.0, seeds, known, _roundoff(place, i))
    claims = shaped(work.session, first.claims)
    by_tensor = {i: claims[t.name] for i, t in enumerate(work.session.tensors) if t.name in claims}
    by_tensor |= {i: s.claim for i, s in suspects.items()}
    problem = first.reference.evaluator.problem
    thetas = {i: problem.pull(i)[0] for i in range(len(problem.tensors))}

    def locate(i: int) -> Whereabouts | None:
        place = places[i]
        scale = default_scales([c.stats for c in place.claimed])[i]
        size = place.claimed[i].stats.claim or abs(outcomes[i].reference) or 1.0
        known = known_probes(outcomes[i], i, place.claimed[i].stats, scale)
        return find(place.reference, i, scale, size, EVIDENCE_SEEDS + 1 + work.options.seed * 10_007 + i, known=known)

    verdicts = {i: str(t.verdict) for i, t in enumerate(found.tensors)}
    places_of = {t.name: i for i, t in enumerate(work.session.tensors)}
    shared = [(places_of[a], places_of[b]) for a, b in first.claims.shared if a in places_of and b in places_of]
    bench = Bench(work, work.session.theta)
    return Case(problem.tensors, verdicts, thetas, by_tensor, suspects, bench, shared=shared, locate=locate)


def _roundoff(place: Place0, tensor: int) -> float:
    """Unit roundoff of a claim in lower precision than float64, else 0."""
    roundoff = place.claimed[tensor].roundoff
    return roundoff if roundoff > UNIT_ROUNDOFF else 0.0


def known_probes(outcome: Outcome, tensor: int, stats: Stats, scale: float) -> list[tuple[Direction, Estimate]]:
    """The verdict's own probes of a tensor, if it was probed alone and as a whole."""
    if len(stats.bins) != 1 or outcome.absolute or not stats.claim or outcome.tensors != (tensor,):
        return []
    part = Part(tensor, scale)
    probes = zip(outcome.seeds, outcome.probes, strict=True)
    return [(Direction((seed,), (part,)), scaled(probe, 1.0 / (scale * stats.claim))) for seed, probe in probes]


def sharpen(found: Found, i: int, claim: NDArray[Any], left: Left) -> None:
    """Narrows the difference of a tensor whose derivative is known through a proven fix."""
    off, size, right = (float(np.linalg.norm(x)) for x in (claim - left.repaired, claim, left.repaired))
    bar = left.absolute
    total = size + right
    low, high = max(0.0, off - bar) / (total + bar), min(1.0, (off + bar) / max(total - bar, 1e-300))
    tensor = found.tensors[i]
    if high - low < tensor.difference.high - tensor.difference.low:
        found.tensors[i] = replace(tensor, difference=Difference(min(off / total, high), low, high))
        found.absolute[i] = (max(0.0, off - bar), off + bar, off, size, right)


def _narrow(found: Found, i: int, points: Points) -> None:
    """Narrows the difference of a tensor whose elements were measured one by one, all of them."""
    if not points.positions.size or not np.all(np.isfinite(points.bars)):
        return
    apart = np.abs(points.claimed - points.reference)
    off, size, right = (float(np.linalg.norm(x)) for x in (apart, points.claimed, points.reference))
    least, most = (
        float(np.linalg.norm(np.maximum(0.0, apart - points.bars))),
        float(np.linalg.norm(apart + points.bars)),
    )
    bar, total = float(np.linalg.norm(points.bars)), size + right
    low, high = least / (total + bar), min(1.0, most / max(total - bar, 1e-300))
    before = found.tensors[i].difference
    if high - low < before.high - before.low and low <= before.high and high >= before.low:
        found.tensors[i] = replace(found.tensors[i], difference=Difference(min(off / total, high), low, high))
        found.absolute[i] = (least, most, off, size, right)


def _elements(
    work: Work,
    places: Mapping[int, Place0],
    outcomes: Mapping[int, Outcome],
    case: Case | None,
    wrong: Mapping[int, int],
    found: Found,
) -> None:
    """Files the elements of the wrong tensors, each with how many are measured at most, and what is kept of them.

    Where a fix was proven, the repaired claim is the derivative of every element to within the proof's bound, and
    where a tensor was measured element by element that is known as well; only the others are sampled.
    """
    offsets = flat_offsets(work.session)
    listed: list[Component] = []
    kept: dict[str, Elements] = {}
    measured = 0
    for i in wrong:
        tensor = work.session.tensors[i]
        offset = offsets[tensor.name]
        if case is not None and (throughout := _throughout(case, i)) is not None:
            claim, reference, bars, source = throughout
            listed += components(tensor, offset, claim, reference, bars)
            flat = (array.reshape(-1) for array in (claim, reference, bars))
            points = Points(np.arange(elements(tensor)), *flat)
        else:
            mask = case.places[i].mask if case and i in case.places else None
            try:
                sample = _sample(work, places[i], outcomes[i], i, mask, wrong[i])
            except BudgetExhaustedError:
                work.notes.append("The budget ran out while elements were measured.")
                break
            listed += rows(places[i].reference.evaluator.problem, sample, offsets)
            points = points_of(tensor, sample)
            source = Source.MEASURED if len(points.positions) == elements(tensor) else Source.SAMPLED
        measured += len(points.positions)
        if source is Source.MEASURED:
            _narrow(found, i, points)
        if len(points.positions):
            norms = found.absolute[i][3:5]
            kept[tensor.name] = known(tensor, offset, points, source, tolerance=found.tensors[i].tolerance, norms=norms)
    total = sum(elements(t) for i, t in enumerate(work.session.tensors) if i in wrong)
    listed.sort(key=lambda c: -abs(c.mismatch) if math.isfinite(abs(c.mismatch)) else math.inf)
    found.components = Components(tuple(listed[:KEPT]), measured, total)
    found.evidence = Evidence(elements=kept)


def _throughout(case: Case, i: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64], Source] | None:
    """Claim, reference and error bars of a tensor whose every element is known, and how."""
    suspect, left = case.suspects.get(i), case.mended.get(i)
    if suspect is None:
        return None
    direct = suspect.elements
    if direct is not None:
        bars = suspect.bars / suspect.directions[0].parts[0].weight
        bars = np.hypot(bars[::2], bars[1::2]) if suspect.tensor.complex else bars
        return suspect.claim, direct, bars.reshape(direct.shape), Source.MEASURED
    if left is not None:
        return suspect.claim, left.repaired, np.full(suspect.claim.shape, left.absolute), Source.REPAIRED
    return None


def _sample(
    work: Work, place: Place0, outcome: Outcome, i: int, mask: NDArray[np.bool_] | None, count: int
) -> list[Measured]:
    """A few elements of a tensor, from the place of the mismatch where that is known."""
    tensor = work.session.tensors[i]
    width = 2 if tensor.complex else 1
    free = ~place.fixed[tensor.offset : tensor.offset + tensor.size].reshape(-1, width).any(axis=1)
    allowed = np.flatnonzero(free if mask is None else free & mask.reshape(-1))
    rng = np.random.default_rng([work.options.seed, 13, i])
    chosen = np.sort(rng.choice(allowed, min(count, len(allowed)), replace=False))
    coordinates = [int(c) * width + k for c in chosen for k in range(width)]
    stats = place.claimed[i].stats
    size = max(stats.claim, abs(outcome.reference) if math.isfinite(outcome.reference) and not stats.claim else 0.0)
    target = 10.0 * place.claimed[i].aim.aim * (size or 1.0) / math.sqrt(max(1, tensor.size))
    scale = default_scales([c.stats for c in place.claimed])[i]
    return list(measure_components(place.reference, i, coordinates, scale, target))
