"""From wrong tensors to findings: the case is put together here and handed to the diagnosis."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gradproof._diagnosis.case import Case
from gradproof._diagnosis.diagnose import diagnose
from gradproof._diagnosis.evidence import PROBES, Suspect, gather
from gradproof._evaluation import BudgetExhaustedError
from gradproof._localisation.components import Measured, measure_components, rows
from gradproof._localisation.search import Whereabouts, find
from gradproof._pipeline.edges import Work
from gradproof._pipeline.laboratory import Bench, shaped
from gradproof._pipeline.point import Place0
from gradproof._pipeline.reporting import Found, flat_offsets, unexplained
from gradproof._records import Components, Tensor, Verdict
from gradproof._verdict.judge import Outcome, default_scales

#: Seeds of the evidence start here, apart from those of the verdicts.
EVIDENCE_SEEDS = 15_485_863
#: Elements of wrong tensors measured one by one in the automatic method; a larger tensor is sampled.
MEASURED, SAMPLED = 128, 16


def explain(work: Work, places: Mapping[int, Place0], outcomes: Mapping[int, Outcome], found: Found) -> None:
    """Files findings for the wrong tensors, and measures some of their elements.

    Args:
        work: the check in progress.
        places: where each tensor was judged.
        outcomes: what its probes said.
        found: gets the findings and the components.
    """
    wrong = [i for i, t in enumerate(found.tensors) if t.verdict is Verdict.WRONG]
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    guilty = [i for i in wrong if i in places and i in outcomes and outcomes[i].status == "wrong"]
    case: Case | None = None
    if work.options.method == "auto" and guilty:
        try:
            case = _case(work, places, outcomes, found, [i for i in guilty if found.tensors[i].name not in blamed])
            claimed = {i: places[i].claimed for i in guilty}
            found.findings += diagnose(case, claimed, work.options.seed)
            work.notes += case.notes
        except BudgetExhaustedError:
            work.notes.append("The budget ran out while causes were looked for.")
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    found.findings += unexplained(work.session, found.tensors, blamed)
    if work.options.method == "auto":
        _measure(work, places, guilty, found)


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
        suspects[i] = gather(place.reference, i, stats, scale, size or 1.0, range(base, base + PROBES))
    claims = shaped(work.session, first.claims)
    by_tensor = {i: claims[t.name] for i, t in enumerate(work.session.tensors) if t.name in claims}
    by_tensor |= {i: s.claim for i, s in suspects.items()}
    problem = first.reference.evaluator.problem
    thetas = {i: problem.pull(i)[0] for i in range(len(problem.tensors))}

    def locate(i: int) -> Whereabouts | None:
        place = places[i]
        scale = default_scales([c.stats for c in place.claimed])[i]
        size = place.claimed[i].stats.claim or abs(outcomes[i].reference) or 1.0
        return find(place.reference, i, scale, size, EVIDENCE_SEEDS - 1 - work.options.seed * 10_007 - i)

    verdicts = {i: str(t.verdict) for i, t in enumerate(found.tensors)}
    return Case(problem.tensors, verdicts, thetas, by_tensor, suspects, Bench(work, work.session.theta), locate=locate)


def _measure(work: Work, places: Mapping[int, Place0], wrong: Sequence[int], found: Found) -> None:
    batches: list[Measured] = []
    rng = np.random.default_rng([work.options.seed, 13])
    left = MEASURED
    try:
        for i in sorted(wrong, key=lambda i: places[i].claimed[i].stats.moving):
            tensor, place = work.session.tensors[i], places[i]
            scales = default_scales([c.stats for c in place.claimed])
            width = 2 if tensor.complex else 1
            elements = tensor.size // width
            few = elements <= left
            chosen = range(elements) if few else sorted(rng.choice(elements, min(SAMPLED, elements), replace=False))
            left -= len(chosen) if few else 0
            coordinates = [int(c) * width + k for c in chosen for k in range(width)]
            claim = place.claimed[i].stats.claim_rms or 1e-300
            target = place.claimed[i].aim.aim * claim
            batches += measure_components(place.reference, i, coordinates, scales[i], target)
    except BudgetExhaustedError:
        work.notes.append("The budget ran out while elements were measured.")
    if not batches:
        return
    total = sum(_elements(work.session.tensors[i]) for i in wrong)
    listed = rows(places[wrong[0]].reference.evaluator.problem, batches, flat_offsets(work.session))
    found.components = Components(tuple(listed), len(listed), total)


def _elements(tensor: Tensor) -> int:
    return tensor.size // 2 if tensor.complex else tensor.size
