"""Reports on parts of one question, and findings beside them, made into one report."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradproof._pipeline.checklist import DIFFERENCE
from gradproof._pipeline.reporting import certainty
from gradproof._records import STATUSES, ChecklistItem, Difference, Finding, Report, TensorReport, Verdict, overall

#: From worst to best.
ORDER = (Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT)
#: Notes that say nothing of a part beyond what they say of the whole.
COMMON = ("both zero", "float64 copies", "draws random numbers")


def with_findings(report: Report, findings: Sequence[Finding], notes: Iterable[str] = ()) -> Report:
    """A report with further findings: errors make their tensors wrong and stand for what is unexplained there."""
    known = [replace(f, tensors=tuple(n for n in f.tensors if n in report.tensors)) for f in findings]
    known = [f for f in known if f.tensors]
    tensors = dict(report.tensors)
    for finding in known:
        if finding.severity != "error":
            continue
        for name in finding.tensors:
            if tensors[name].verdict is not Verdict.WRONG:
                reason = f"{finding.cause}: {finding.detail}" if finding.detail else finding.cause
                tensors[name] = replace(tensors[name], verdict=Verdict.WRONG, reason=reason)
    broken = [f for f in known if f.severity == "error"]
    kept = _without_unexplained(report.findings, {n for f in broken for n in f.tensors})
    made = _made(report, tensors, [*kept, *known], notes)
    return replace(made, checklist=tuple(_questioned(item, broken) for item in report.checklist)) if broken else made


def _questioned(item: ChecklistItem, broken: Sequence[Finding]) -> ChecklistItem:
    """An answer beside findings: a small difference was measured, and is not all that was asked."""
    if item.question != DIFFERENCE or item.status != "yes":
        return item
    causes = ", ".join(dict.fromkeys(finding.cause for finding in broken))
    return replace(item, status="NO", answer=f"{item.answer} as measured, and wrong beyond that: {causes}")


def joined(report: Report, part: Report, where: str) -> Report:
    """A report with what a part of the question adds: a tensor is what it is at worst."""
    tensors = dict(report.tensors)
    for name, found in part.tensors.items():
        known = tensors.get(name)
        said = replace(found, reason=f"{where}: {found.reason}" if found.reason else where)
        if known is None:
            tensors[name] = found if found.verdict is Verdict.CORRECT else said
        elif ORDER.index(found.verdict) < ORDER.index(known.verdict):
            tensors[name] = said
    findings = [
        replace(f, message=f"{where[0].upper()}{where[1:]}: {f.message[0].lower()}{f.message[1:]}")
        for f in part.findings
        if not any(f.cause == g.cause and set(f.tensors) <= set(g.tensors) for g in report.findings)
    ]
    named = {n for f in findings if f.severity == "error" and f.cause != "unexplained" for n in f.tensors}
    kept = _without_unexplained(report.findings, named)
    already = {n for f in kept if f.severity == "error" for n in f.tensors}
    findings = [f for f in findings if f.cause != "unexplained" or not set(f.tensors) <= already]
    notes = [f"{where[0].upper()}{where[1:]}: {n}" for n in part.notes if not any(words in n for words in COMMON)]
    return replace(
        _made(report, tensors, [*kept, *findings], notes),
        difference=worse(report.difference, part.difference),
        components=report.components or part.components,
        checklist=_both(report.checklist, part.checklist, where),
    )


def _both(
    known: Sequence[ChecklistItem], further: Sequence[ChecklistItem], where: str
) -> tuple[ChecklistItem, ...]:  # fmt: skip
    """The less favourable of two answers to each question."""
    answers = {item.question: item for item in further}
    found = []
    for item in known:
        other = answers.get(item.question, item)
        worse_there = STATUSES.index(other.status) < STATUSES.index(item.status)
        found.append(replace(other, answer=f"{where}: {other.answer}") if worse_there else item)
    return tuple(found)


def worse(one: Difference, other: Difference) -> Difference:
    """The larger of two differences, bound by bound."""
    if math.isnan(one.estimate) or math.isnan(other.estimate):
        return one if math.isnan(one.estimate) else other
    return Difference(*(max(a, b) for a, b in zip(_bounds(one), _bounds(other), strict=True)))


def _bounds(difference: Difference) -> tuple[float, float, float]:
    return difference.estimate, difference.low, difference.high


def _without_unexplained(findings: Iterable[Finding], explained: set[str]) -> list[Finding]:
    """Findings without those that say no more than that something is wrong, where a cause is known now."""
    return [f for f in findings if f.cause != "unexplained" or not set(f.tensors) <= explained]


def _made(
    report: Report, tensors: dict[str, TensorReport], findings: Sequence[Finding], notes: Iterable[str]
) -> Report:  # fmt: skip
    return replace(
        report,
        tensors=tensors,
        verdict=overall([t.verdict for t in tensors.values()]),
        findings=tuple(sorted(findings, key=certainty)),
        notes=tuple(dict.fromkeys([*report.notes, *notes])),
        power={name: power for name, power in report.power.items() if tensors[name].verdict is Verdict.CORRECT},
    )
