"""From outcomes to the report: verdicts by tensor, findings, notes."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._pipeline.options import Options
from gradproof._pipeline.tensors import RIGHT_IN_FLOAT64
from gradproof._records import (
    ChecklistItem,
    Components,
    Difference,
    Evidence,
    Finding,
    Noise,
    Place,
    Power,
    Report,
    TensorReport,
    Verdict,
    overall,
)

#: The note where nothing more could be afforded.
OUT_OF_BUDGET = "The budget ran out: what was not settled by then is undecided."
#: Chance that a mismatch above the high end went unseen, by construction of the bound.
MISS = 1e-6


@dataclass
class Found:
    """What a method found out, ready to be reported.

    Attributes:
        tensors: one report a tensor, in the user's order.
        absolute: (low, high, estimate) of each tensor's mismatch and the norms of its claim and reference.
        session: the call, with randomness as it stood; None where nothing was evaluated, and for tensors that stay
            where they are.
        drawn: what the cost draws random numbers from; None where nothing was evaluated.
        digits: how many digits of the cost are good; None where that was not measured.
        evidence: what was measured on the way.
    """

    tensors: list[TensorReport]
    absolute: list[tuple[float, float, float, float, float]]
    findings: list[Finding] = field(default_factory=list)
    components: Components = field(default_factory=Components)
    notes: list[str] = field(default_factory=list)
    precision: str = "float64"
    session: Session | None = None
    drawn: tuple[str, ...] | None = None
    digits: float | None = None
    evidence: Evidence = field(default_factory=Evidence)


def report_of(
    found: Found, options: Options, evaluations: int, seconds: float, checklist: tuple[ChecklistItem, ...]
) -> Report:
    """The report of a check."""
    tensors = {t.name: t for t in found.tensors}
    verdict = overall([t.verdict for t in found.tensors])
    power = {
        t.name: Power(t.difference.high, MISS)
        for t in found.tensors
        if t.verdict is Verdict.CORRECT and 0.0 < t.difference.high < 1.0
    }
    return Report(
        verdict,
        whole(found.absolute, options.method),
        tensors,
        tuple(sorted(found.findings, key=certainty)),
        found.components,
        evaluations,
        seconds,
        tuple(dict.fromkeys([*found.notes, *_what_helps(found, verdict)])),
        options.method,
        options.seed,
        found.precision,
        2 * sum(t.size for t in found.tensors),
        power,
        found.evidence,
        checklist=checklist,
    )


def _what_helps(found: Found, verdict: Verdict) -> list[str]:
    if verdict is Verdict.CORRECT:
        return []
    from gradproof._pipeline.advice import what_helps  # nobody asks where all is decided

    return what_helps(found.tensors, computed=found.session is None or found.session.callable_grads)


def certainty(finding: Finding) -> tuple[bool, bool, bool, int]:
    """Errors go first; among them what a repair has proven, then what has a name, then what covers most tensors."""
    unnamed = finding.cause == "unexplained"
    return finding.severity != "error", finding.repaired is None, unnamed, -len(finding.tensors)


def whole(rows: Sequence[tuple[float, float, float, float, float]], method: str) -> Difference:
    """The course notes' number over all tensors together."""
    low, high, estimate, claim, reference = (math.hypot(*(row[i] for row in rows)) for i in range(5))
    middle = min(1.0, estimate / (claim + reference)) if claim + reference > 0.0 else float(estimate > 0.0)
    middle = math.nan if math.isnan(estimate) else middle
    if method == "classic":
        return Difference(middle, math.nan, math.nan)
    top = 0.0 if high == 0.0 else min(1.0, high / (2 * claim - high)) if 2 * claim > high else 1.0
    bottom = low / (2.0 * claim + low) if low else 0.0
    return Difference(min(max(middle, bottom), top) if math.isfinite(middle) else top, bottom, top)


def nothing(
    session: Session,
    options: Options,
    reason: str,
    findings: Sequence[Finding] | None = None,
    notes: Sequence[str] = (),
) -> Found:
    """What there is to say where nothing was measured: undecided but for what is wrong with the form of a claim."""
    if findings is None:
        findings = session.given.findings if session.given is not None else ()
    blamed = {name: f.message for f in reversed(findings) if f.severity == "error" for name in f.tensors}
    tensors = []
    for t in session.tensors:
        verdict = Verdict.WRONG if t.name in blamed else Verdict.UNDECIDED
        claimed = session.given.formats.get(t.name) if session.given is not None else None
        tolerance = options.tolerance_of(t.name, claimed or "float64")
        elements = t.size // 2 if t.complex else t.size
        unknown = Difference(math.nan, 0.0, 1.0)
        tensors.append(TensorReport(t.name, t.shape, verdict, unknown, blamed.get(t.name, reason), tolerance, elements))
    absolute = [(0.0, math.inf, math.nan, 1.0, 1.0)] * len(tensors)
    return Found(tensors, absolute, list(findings), notes=list(notes))


def unexplained(session: Session, tensors: Sequence[TensorReport], explained: set[str]) -> list[Finding]:
    """A finding for each wrong tensor that nothing else explains: a claim of zero, or simply wrong."""
    shapes = {t.name: t.shape for t in session.tensors}
    return [
        unexplained_of(tensor, np.ones(shapes[tensor.name], dtype=bool))
        for tensor in tensors
        if tensor.verdict is Verdict.WRONG and tensor.name not in explained
    ]


def unexplained_of(tensor: TensorReport, mask: NDArray[np.bool_]) -> Finding:
    """The finding on a wrong tensor that nothing else explains.

    Args:
        tensor: what is known of it.
        mask: its elements, all of them.
    """
    message = f"The gradient of {tensor.name} is off by a relative difference of at least {tensor.difference.low:.1e}."
    fix, detail = f"Look at the lines that compute the gradient of {tensor.name}.", ""
    if tensor.reason.endswith(RIGHT_IN_FLOAT64):
        message = f"Of the gradient of {tensor.name}: {tensor.reason}."
        fix = (
            "Look at what is done otherwise for that format (branches on it, casts, constants, a kernel of its own), "
            "and for differences of nearly equal numbers."
        )
        detail = "in its own precision alone"
    place = Place(tensor.name, {tensor.name: mask})
    return Finding("unexplained", "error", (tensor.name,), place, message, fix, detail)


def flat_offsets(session: Session) -> dict[str, int]:
    """Where each tensor starts in the user's flat vector, in elements."""
    offsets, first = {}, 0
    for leaf in session.caller.structure.leaves:
        offsets[leaf.name] = first
        first += leaf.array.size
    return offsets


def looked_at(found: Found, session: Session, random: tuple[str, ...] | None, noise: Noise | None = None) -> Found:
    """What was found with how the cost behaved: what it draws from, and how many of its digits are good."""
    own = {name for name in session.native_formats if name}  # what is not evaluated at float64 copies
    return replace(behaved(found, random, noise, own), session=session)


def behaved(found: Found, random: tuple[str, ...] | None, noise: Noise | None, own: Collection[str]) -> Found:
    """What was found with how the cost behaved.

    Args:
        found: what was found.
        random: what the cost draws from; empty where that was not found, None where it draws from nothing.
        noise: what its last digits are worth, where that was measured.
        own: the formats in which it was evaluated, those of float64 copies left out.
    """
    digits = None
    if noise is not None and float(noise.cost):
        size = abs(float(noise.cost))
        digits = -math.log10(
            max(min(noise.sigma, noise.sides) / size, noise.epsilon, float(np.finfo(np.float64).eps) / 2.0)
        )
    drawn = () if random is None else random or ("a source that was not found",)
    return replace(found, drawn=drawn, digits=digits, precision=" and ".join(sorted(own)) or found.precision)


def not_made(options: Options, why: str, checklist: tuple[ChecklistItem, ...]) -> Report:
    """The report of a check that was not made: undecided, with a note saying why."""
    unknown = Difference(math.nan, math.nan, math.nan)
    return Report(
        Verdict.UNDECIDED, unknown, {}, (), Components(), 0, 0.0, (why,), options.method, options.seed, "none", 0,
        checklist=checklist,
    )  # fmt: skip
