"""A tensor's verdict from its elements, and what must agree before they call it wrong.

The decision behind it: bounds on a tensor's mismatch follow from the bars of its elements without any probability, but
a bar rests on what was seen close to the point. A cost that rounds inside is straight between two of its steps, and
neighbouring differences across a few of them agree by chance. So probes of the whole tensor must confirm a mismatch,
and where they do not, or nothing is decided, the cost is looked at across many of its steps: if it rounds, its elements
are measured once more with the noise that this is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradproof._evaluation import BudgetExhaustedError
from gradproof._localisation.components import Measured, measure_components
from gradproof._pipeline.point import Place0
from gradproof._pipeline.tensors import REASONS, ROUNDED, TAKEN_BACK, ZERO, absolute, elements_of, rounded_to
from gradproof._records import (
    Difference,
    Direction,
    Estimate,
    Noise,
    Part,
    Tensor,
    TensorReport,
    Verdict,
    Weighting,
)
from gradproof._verdict.judge import (
    KINK_MARGIN,
    KINK_PENALTY,
    STEPPED,
    Judge,
    Outcome,
    Seeds,
    default_scales,
    hides,
    may_hide_rounding,
)
from gradproof._verdict.settle import Settlement, combined, of_zero, settle
from gradproof._verdict.staircase import steps_close, steps_far

#: Bounds on a mismatch, its estimate, and the norms of claim and reference, in units of the gradient.
Row = tuple[float, float, float, float, float]
#: Seeds of the probes that confirm a tensor whose elements are wrong.
CONFIRMING = 77_003
#: What may keep probes of a whole tensor from an answer, and says nothing against its elements.
NO_DOUBT = ("noise", "close", "domain")
#: What probes of a whole tensor say that find claim and reference both zero to rounding.
NEXT_TO_ZERO = "zero"
#: An element moved by more than its tensor's own size shows no slope of this point, unless probes confirm it.
OWN_SIZE = 1.0


@dataclass(frozen=True)
class Judged:
    """A tensor as its elements show it.

    Attributes:
        report: its verdict.
        row: bounds on the mismatch, its most likely size, and the norms of claim and reference.
        measured: the elements that the verdict rests on.
        place: where they were measured, with the noise that was reckoned with.
    """

    report: TensorReport
    row: Row
    measured: tuple[Measured, ...]
    place: Place0


@dataclass(frozen=True)
class Look:
    """What the elements of one tensor say by themselves.

    Attributes:
        status: ``"correct"``, ``"wrong"`` or ``"undecided"``.
        reason: one word where undecided, words for people where correct.
        low: bound below on the mismatch.
        high: bound above.
        sure: bound below once kinks and jumps are taken off.
        estimate: its most likely size.
        reference: norm of the reference.
        difference: the same relative to the norms.
    """

    status: str
    reason: str
    low: float
    high: float
    sure: float
    estimate: float
    reference: float
    difference: Difference


def elements(place: Place0, i: int) -> Iterator[Measured]:
    """Measures every element of a tensor that may be moved, batch by batch."""
    tensor, known = place.reference.evaluator.problem.tensors[i], place.claimed[i]
    target = known.aim.aim / 10.0 * (known.stats.claim or 1.0) / math.sqrt(max(tensor.size, 1))
    moving = np.flatnonzero(~place.fixed[tensor.offset : tensor.offset + tensor.size]).tolist()
    return measure_components(place.reference, i, moving, _scale(place, i), target)


def unmeasured(place: Place0, i: int, tensor: Tensor, reason: str) -> Judged:
    """The report on a tensor whose elements could not all be measured."""
    known = place.claimed[i]
    report = TensorReport(
        tensor.name, tensor.shape, Verdict.UNDECIDED, Difference(math.nan, 0.0, 1.0), reason, known.aim.tolerance,
        elements_of(tensor),
    )  # fmt: skip
    return Judged(report, (0.0, math.inf, math.nan, known.stats.claim, known.stats.claim), (), place)


def judged(place: Place0, i: int, tensor: Tensor, measured: Sequence[Measured]) -> Judged:
    """The verdict on a tensor whose elements were measured.

    Args:
        place: the point.
        i: the tensor's place in the problem.
        tensor: the tensor.
        measured: all its elements that move.
    """
    look, probed, rounded = _look(place, i, measured), None, None
    try:
        if look.status == "wrong":
            look, probed = _confirmed(place, i, measured, look)
        rounded = probed.noise if probed is not None else None
        if look.status == "undecided" and look.reason in STEPPED and rounded is None:
            rounded = _rounded(place, i, measured)
        if rounded is not None:
            across = replace(place, reference=replace(place.reference, noise=rounded))
            again = [*elements(across, i)]
            return _reported(across, i, tensor, again, _across(across, i, again, probed))
    except BudgetExhaustedError:
        look = _undecided(look, "budget") if look.status == "wrong" or look.reason == "rounded" else look
    return _reported(place, i, tensor, measured, look)


def _reported(place: Place0, i: int, tensor: Tensor, measured: Sequence[Measured], look: Look) -> Judged:
    known, reason = place.claimed[i], look.reason
    if look.status == "undecided":
        noise = place.reference.noise
        reason = rounded_to(noise) if reason == "rounded" else REASONS.get(reason, reason)
    report = TensorReport(
        tensor.name,
        tensor.shape,
        Verdict(look.status),
        look.difference,
        reason,
        known.aim.tolerance,
        elements_of(tensor),
    )
    row = look.low, look.high, look.estimate, known.stats.claim, look.reference
    return Judged(report, row, tuple(measured), place)


def _look(place: Place0, i: int, measured: Sequence[Measured]) -> Look:
    """What elements say by themselves: "wrong" is to be confirmed."""
    known = place.claimed[i]
    estimates = [e for batch in measured for e in batch.estimates]
    claim = known.stats.claim
    off = np.array([e.mismatch for e in estimates])
    bars = np.array([e.bar for e in estimates])
    low, high = _norm(np.maximum(0.0, np.abs(off) - bars)), _norm(np.abs(off) + bars)
    sure = _norm(np.array([_sure(e) for e in estimates]))
    reference = _norm(np.array([e.slope for e in estimates]) - off)
    estimate = _norm(off)
    total = claim + reference
    number = estimate / total if total else 0.0
    difference = Difference(number, _at(low, claim, reference, -1), _at(high, claim, reference, 1))
    seen = Look("undecided", "noise", low, high, sure, estimate, reference, difference)
    # A kink or a jump that a difference of both sides steps over may cancel to nothing as well.
    kinked, jumped = any(e.kink > 0.0 for e in estimates), any(e.jump > 0.0 for e in estimates)
    if _at(sure, claim, reference, -1) > known.aim.wrong:
        return replace(seen, status="wrong", reason="")
    if difference.high <= known.aim.tolerance:
        return replace(seen, status="correct", reason="")
    if claim == 0.0 and low == 0.0 and not (kinked or jumped or place.reference.noise.rounded):
        noise = place.reference.noise
        aim = of_zero(known.aim, place.claimed, abs(float(noise.cost)))
        moved = default_scales([c.stats for c in place.claimed])[i] * float(np.max(bars, initial=0.0))
        if not hides(max(moved, noise.sigma), estimates, aim):
            return replace(seen, status="correct", reason=_zero(high))
    reason = "jump" if jumped else "kink" if kinked else "noise"
    return replace(seen, reason=reason, low=sure, difference=replace(difference, low=_at(sure, claim, reference, -1)))


def _zero(high: float) -> str:
    """What is said of a claim and a reference that are both next to zero."""
    return f"{ZERO} {ROUNDED}; a gradient with a norm below {high:.1e} would not be seen"


def _undecided(look: Look, reason: str) -> Look:
    """The look with what it proved taken back where the reason says that it did not."""
    look = replace(look, status="undecided", reason=reason)
    return replace(look, low=0.0, difference=replace(look.difference, low=0.0)) if reason in TAKEN_BACK else look


def _confirmed(place: Place0, i: int, measured: Sequence[Measured], look: Look) -> tuple[Look, Outcome | None]:
    """The look, undecided where something else than a wrong claim explains it, and what probes say.

    Elements one by one meet no kink that another would show, and no step at which the cost looks different: the
    confirmations that probes must pass before they say "wrong" are asked for here as well.
    """
    if _in_steps(place, i, measured):
        return _undecided(look, "staircase"), None
    probed = _probed(place, i)
    if probed.status == "wrong":
        return look, probed
    doubt = _doubt(place, i, measured, look, probed)
    if doubt in ("", NEXT_TO_ZERO) and probed.noise is None:
        rounded = _rounded(place, i, measured)
        if rounded is not None:
            doubt, probed = "rounded", replace(probed, noise=rounded)
    if doubt == NEXT_TO_ZERO:
        difference = replace(look.difference, low=0.0)
        return replace(look, status="correct", reason=_zero(look.high), low=0.0, difference=difference), probed
    return (_undecided(look, doubt) if doubt else look), probed


def _doubt(place: Place0, i: int, measured: Sequence[Measured], look: Look, probed: Outcome) -> str:
    """Why probes that do not call a tensor wrong keep its elements from it; "" where they agree."""
    known = place.claimed[i]
    estimates = [e for batch in measured for e in batch.estimates]
    if probed.status == "correct":
        contradicted = absolute(known, probed, None)[1] < look.sure
        if contradicted or any(p.kink for p in probed.probes):
            return "scale" if contradicted else "kink"
        return NEXT_TO_ZERO if probed.absolute else ""
    if probed.absolute:  # next to zero, where the claim's own rounding counts
        return probed.reason or "scale"
    # The jump that keeps probes from an answer was met at single elements, which were left out.
    apart = probed.reason == "jump" and any(e.jump > 0.0 for e in estimates)
    if probed.reason not in NO_DOUBT and not apart:
        return probed.reason or "scale"
    near = _norm(np.array([_sure(e) for e in estimates if e.step <= OWN_SIZE]))
    return "" if _at(near, known.stats.claim, look.reference, -1) > known.aim.wrong else "scale"


def _across(place: Place0, i: int, measured: Sequence[Measured], probed: Outcome | None) -> Look:
    """What elements say across the steps of a cost that rounds inside.

    Args:
        place: the point, with the noise that rounding inside is.
        i: the tensor.
        measured: its elements, measured with that noise.
        probed: what probes said before; None where they were not asked.
    """
    look = _look(place, i, measured)
    if look.status == "correct":
        return _undecided(look, "rounded") if probed and probed.status == "wrong" else look
    if look.status == "undecided":
        return _undecided(look, "rounded")
    if _in_steps(place, i, measured):
        return _undecided(look, "staircase")
    probed = _probed(place, i) if probed is None else probed
    return look if probed.status == "wrong" else _undecided(look, "rounded")


def _scale(place: Place0, i: int) -> float:
    return default_scales([c.stats for c in place.claimed])[i]


def _worst(place: Place0, i: int, measured: Sequence[Measured], count: int) -> list[tuple[Direction, Estimate, float]]:
    """The elements with the largest mismatch: how to move each, what was measured, and its scale."""
    scale = _scale(place, i)
    found = [(int(c), e) for batch in measured for c, e in zip(batch.coordinates, batch.estimates, strict=True)]
    return [
        (Direction((), (Part(i, scale, Weighting.UNIT, start=c, stop=c + 1),)), e, scale)
        for c, e in sorted(found, key=lambda pair: -abs(pair[1].mismatch))[:count]
    ]


def _in_steps(place: Place0, i: int, measured: Sequence[Measured]) -> bool:
    """Whether the elements with the largest mismatch prove nothing, as the cost is made of steps."""
    probes = [probe for probe in _worst(place, i, measured, 2) if probe[1].mismatch]
    return steps_close(place.reference, probes) or steps_far(place.reference, probes)


def _rounded(place: Place0, i: int, measured: Sequence[Measured]) -> Noise | None:
    """The noise that rounding inside the cost is, seen along the element that is off most; None where there is none."""
    if not may_hide_rounding(place.reference.noise):
        return None
    # Bars count: the element that is hardest to measure is the one that is rounded.
    worst = [(direction, e) for direction, e, _ in _worst(place, i, measured, len(place.fixed)) if e.measured]
    if not worst:
        return None
    return place.reference.rounded_along(max(worst, key=lambda pair: abs(pair[1].mismatch) + pair[1].bar)[0])


def _probed(place: Place0, i: int) -> Outcome:
    """What probes of the whole tensor say, with the noise of rounding inside the cost where they met any."""
    settlement = Settlement({}, lambda: None, set())
    settle(Judge(place.reference, Seeds(CONFIRMING)), place.claimed, [i], settlement)
    outcomes = settlement.outcomes[i]
    return replace(combined(outcomes), noise=next((o.noise for o in outcomes if o.noise is not None), None))


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
