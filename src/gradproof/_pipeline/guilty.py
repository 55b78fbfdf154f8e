"""From wrong tensors that live elsewhere to findings: they alone come over to NumPy, as far as there is room.

The decision behind it: what a diagnosis needs of a tensor is a few times its size, so small models are explained like
any other, of large ones the guilty tensors one after the other up to a limit, and beyond that the projections that
were measured anyway must do: they still tell a constant factor and a sign.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case
from gradproof._diagnosis.diagnose import diagnose
from gradproof._diagnosis.evidence import PROBES, Suspect, gather, solve
from gradproof._diagnosis.table import ALONE, STAGES
from gradproof._evaluation import BudgetExhaustedError
from gradproof._localisation.components import components, measure_components, rows
from gradproof._localisation.search import Whereabouts, find
from gradproof._pipeline.explaining import EVIDENCE_SEEDS, KEPT, SAMPLED, known_probes, sharpen
from gradproof._pipeline.reporting import Found, unexplained_of
from gradproof._records import Component, Components, Direction, Finding, Part, Place, Region, Tensor, Verdict
from gradproof._reference import next_step
from gradproof._verdict.judge import UNIT_ROUNDOFF, Outcome

if TYPE_CHECKING:
    from gradproof._pipeline.resident import Course, Stand

#: Coordinates of a whole model up to which all of it may come over, and of guilty tensors together.
WHOLE, GUILTY = 2_000_000, 20_000_000
#: A factor is told from projections where it leaves no more than this many error bars.
BARS = 3.0


@dataclass
class Still:
    """No laboratory: the user's functions are not called under other circumstances for a model of this size."""

    examples: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    callable: bool = False
    data: tuple[Any, ...] = ()
    vary: Sequence[str] = ()
    terms: Sequence[str] = ()
    random: bool = False
    traced: bool = False

    def default(self, option: str) -> Any:
        """None: no signature is looked at."""

    def term(self, name: str) -> None:
        """None: no term is evaluated."""

    def batch(self, examples: Sequence[int]) -> tuple[Any, ...]:
        """Nothing."""
        return ()

    def visit(self, *, data: Any = None, options: Any = None, theta: Any = None) -> None:
        """None: nothing else is visited."""

    def replayed(self) -> None:
        """None: the backward pass is not run under other random numbers."""

    def again(self) -> None:
        """None: the claim is not computed again."""


def explain(course: "Course", stand: "Stand", found: Found) -> None:
    """Files findings for the wrong tensors, and measures some of their elements."""
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    wrong = [i for i, t in enumerate(found.tensors) if t.verdict is Verdict.WRONG]
    guilty = [i for i in wrong if i in course.outcomes and course.outcomes[i].status == "wrong"]
    open_ = [i for i in guilty if found.tensors[i].name not in blamed]
    case: Case | None = None
    if course.options.method == "auto" and open_:
        try:
            case = _case(course, stand, found, open_)
            if case is not None:
                whole = len(case.claims) == len(course.tensors)
                claimed = {i: course.stands[i].claimed for i in case.suspects}
                with np.errstate(all="ignore"):  # candidates need not be finite; those that are not are refused
                    found.findings += diagnose(case, claimed, course.options.seed, STAGES if whole else ALONE)
                for i, left in case.mended.items():
                    sharpen(found, i, case.claims[i], left)
            explained = case.explained if case is not None else set()
            for i in open_:
                if i not in explained:
                    found.findings += _by_slopes(course, course.stands[i], i)
            for i, finding in _by_ranks(course, stand, open_).items():
                if i in explained:
                    course.notes.append(finding.message)
                else:
                    found.findings.append(finding)
        except BudgetExhaustedError:
            course.notes.append("The budget ran out while causes were looked for.")
    blamed = {name for f in found.findings if f.severity == "error" for name in f.tensors}
    found.findings += [
        unexplained_of(found.tensors[i], np.broadcast_to(True, course.tensors[i].shape))
        for i in wrong
        if found.tensors[i].name not in blamed
    ]
    if course.options.method == "auto":
        found.components = _elements(course, case, guilty)


def _case(course: "Course", stand: "Stand", found: Found, guilty: Sequence[int]) -> Case | None:
    """What the diagnosis needs of the wrong tensors for which there is room."""
    room = GUILTY
    suspects: dict[int, Suspect] = {}
    for i in guilty:
        if course.tensors[i].size <= room:
            room -= course.tensors[i].size
            suspects[i] = _suspect(course, i)
    if not suspects:
        return None
    thetas, claims = {i: s.theta for i, s in suspects.items()}, {i: s.claim for i, s in suspects.items()}
    if sum(t.size for t in course.tensors) <= WHOLE:
        others = [i for i in course.usable if i not in suspects]
        if len(others) + len(suspects) == len(course.tensors):
            for i in others:
                thetas[i], claims[i] = stand.problem.pull(i)

    def locate(i: int) -> Whereabouts | None:
        place = course.stands[i]
        size = place.claimed[i].stats.claim or abs(course.outcomes[i].reference) or 1.0
        seed = EVIDENCE_SEEDS + 1 + course.options.seed * 10_007 + i
        known = known_probes(course.outcomes[i], i, place.claimed[i].stats, place.scales[i])
        return find(place.reference, i, place.scales[i], size, seed, known=known)

    verdicts = {i: str(t.verdict) for i, t in enumerate(found.tensors)}
    lab = Still(course.session.whole.examples, dict(course.session.whole.options), random=course.session.frozen)
    return Case(course.tensors, verdicts, thetas, claims, suspects, lab, locate=locate)


def _size(outcome: Outcome, claim: float) -> float:
    """About the norm of a tensor's gradient."""
    size = claim
    if math.isfinite(outcome.reference):
        size = max(size, outcome.reference * (1.0 if outcome.absolute or not size else size))
    return size or 1.0


def _suspect(course: "Course", i: int) -> Suspect:
    stand, outcome = course.stands[i], course.outcomes[i]
    stats, scale = stand.claimed[i].stats, stand.scales[i]
    base = EVIDENCE_SEEDS + course.options.seed * 10_007 + i * PROBES
    roundoff = stand.claimed[i].roundoff
    return gather(
        stand.reference, i, stats, scale, _size(outcome, stats.claim), range(base, base + PROBES),
        known_probes(outcome, i, stats, scale), roundoff if roundoff > UNIT_ROUNDOFF else 0.0,
    )  # fmt: skip


def _by_slopes(course: "Course", stand: "Stand", i: int) -> list[Finding]:
    """A constant factor, read off projections alone."""
    tensor, stats = course.tensors[i], stand.claimed[i].stats
    if not stats.claim:
        said = f"The claimed gradient of {tensor.name} is zero throughout."
        todo = f"Compute the gradient of {tensor.name}: it is never set, or cut off from the cost."
        return [_of_all(tensor, "zero", said, todo, "zero")]
    base = EVIDENCE_SEEDS + course.options.seed * 10_007 + i * PROBES
    parts = tuple(Part(i, rms or stand.scales[i], bin=label) for label, rms, count in stats.bins if count)
    rays = [Direction((seed,), parts) for seed in range(base, base + PROBES)]
    target = 5e-9 * stand.scales[i] * _size(course.outcomes[i], stats.claim)
    first = stand.reference.measure(rays[:1], target)
    probes = [p for p in (*first, *stand.reference.measure(rays[1:], target, next_step(first[0]))) if p.measured]
    slopes = np.array([[p.slope] for p in probes])
    measured = np.array([p.slope - p.mismatch for p in probes])
    allowed = BARS * np.array([p.bar for p in probes])
    fit = solve(slopes, measured, np.maximum(allowed, 1e-300), tensor.size) if probes else None
    if fit is None or fit.thin or not fit.coefficients[0] or fit.errors[0] > 0.01 * abs(fit.coefficients[0]):
        return []
    value, error = 1.0 / fit.coefficients[0], fit.errors[0] / fit.coefficients[0] ** 2
    cause = "sign" if abs(value + 1.0) <= max(5.0 * error, 1e-6) else "factor"
    detail = "sign" if cause == "sign" else f"factor {value:.6g}"
    said = "has the wrong sign" if cause == "sign" else f"is {value:.6g} times what it should be"
    fix = "Change its sign." if cause == "sign" else f"Divide it by {value:.6g}."
    finding = _of_all(tensor, cause, f"The gradient of {tensor.name} {said}.", fix, detail)
    return [Finding(cause, "error", finding.tensors, finding.where, finding.message, fix, detail=detail,
                    factor=(value, error))]  # fmt: skip


def _by_ranks(course: "Course", stand: "Stand", tensors: Sequence[int]) -> dict[int, Finding]:
    """Sharded tensors of which only what some ranks hold is wrong."""
    found: dict[int, Finding] = {}
    ranks = course.session.whole.ranks
    for i in tensors if ranks.size > 1 else ():
        tensor, shard = course.tensors[i], stand.problem.spot.shards[i]
        numbers = ranks.gather([float(n) for axis in shard.box for n in axis])
        boxes = [tuple((int(a), int(b), 1) for a, b, _ in zip(*[iter(row)] * 3, strict=True)) for row in numbers]
        if len(set(boxes)) < 2:
            continue
        seen = [_wrong_in(course, course.stands[i], i, Region((box,))) for box in boxes]
        guilty = [rank for rank, wrong in enumerate(seen) if wrong]
        if guilty and len(guilty) < len(seen):
            which = ", ".join(map(str, guilty))
            mask = np.zeros(tensor.shape, dtype=bool)
            for rank in guilty:
                mask[tuple(slice(*axis) for axis in boxes[rank])] = True
            message = f"The gradient of {tensor.name} is wrong in what rank {which} holds, and right elsewhere."
            fix = f"Look at what rank {which} computes and receives in the backward pass."
            place = Place(f"{tensor.name} on rank {which}", {tensor.name: mask})
            found[i] = Finding("region", "error", (tensor.name,), place, message, fix, detail=f"rank {which}")
    return found


def _wrong_in(course: "Course", stand: "Stand", i: int, region: Region) -> bool:
    """Whether a mismatch is seen in a region of a tensor."""
    scale, stats = stand.scales[i], stand.claimed[i].stats
    base = EVIDENCE_SEEDS + course.options.seed * 10_007 + i * PROBES
    rays = [Direction((seed,), (Part(i, scale, region=region),)) for seed in (base, base + 1)]
    target = 1e-7 * scale * _size(course.outcomes[i], stats.claim)
    return any(p.measured and abs(p.mismatch) > 3.0 * p.bar for p in stand.reference.measure(rays, target))


def _of_all(tensor: Tensor, cause: str, message: str, fix: str, detail: str) -> Finding:
    place = Place(f"all of {tensor.name}", {tensor.name: np.broadcast_to(True, tensor.shape)})
    return Finding(cause, "error", (tensor.name,), place, message, fix, detail=detail)


def _elements(course: "Course", case: Case | None, wrong: Sequence[int]) -> Components:
    """Elements of the wrong tensors, largest mismatch first; known where a fix was proven, else sampled."""
    offsets, first = {}, 0
    for t in course.tensors:
        offsets[t.name] = first
        first += t.size // (2 if t.complex else 1)
    listed: list[Component] = []
    measured = 0
    for i in wrong:
        tensor, stand = course.tensors[i], course.stands[i]
        suspect = case.suspects.get(i) if case else None
        left = case.mended.get(i) if case else None
        if suspect is not None and left is not None:
            bars: NDArray[np.float64] = np.broadcast_to(np.float64(left.absolute), suspect.claim.shape)
            listed += components(tensor, offsets[tensor.name], suspect.claim, left.repaired, bars)
            measured += tensor.size // (2 if tensor.complex else 1)
            continue
        width = 2 if tensor.complex else 1
        rng = np.random.default_rng([course.options.seed, 13, i])
        chosen = np.sort(rng.choice(tensor.size // width, min(SAMPLED, tensor.size // width), replace=False))
        coordinates = [int(c) * width + k for c in chosen for k in range(width)]
        size = _size(course.outcomes[i], stand.claimed[i].stats.claim)
        target = 10.0 * stand.claimed[i].aim.aim * size / math.sqrt(max(1, tensor.size))
        try:
            sample = list(measure_components(stand.reference, i, coordinates, stand.scales[i], target))
        except BudgetExhaustedError:
            course.notes.append("The budget ran out while elements were measured.")
            break
        listed += rows(stand.problem, sample, offsets)
        measured += len(coordinates) // width
    total = sum(course.tensors[i].size // (2 if course.tensors[i].complex else 1) for i in wrong)
    listed.sort(key=lambda c: -abs(c.mismatch) if math.isfinite(abs(c.mismatch)) else math.inf)
    return Components(tuple(listed[:KEPT]), measured, total)
