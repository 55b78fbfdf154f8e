"""What a report says, before anybody decides how it looks.

The decision behind it: content is decided once. Every form of a report lays out the same ``Outline``, whose strings are
finished sentences and cells; nothing in it was computed from anything but the report.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradproof._records import ChecklistItem, Component, Components, Finding, Report, TensorReport, Verdict
from gradproof._report import wording
from gradproof._report.headline import errors, headline, highest, named, reason

#: How many tensors and components a reader is shown; the others are counted.
TENSORS = 20
COMPONENTS = 10

_LINE = 199
_URGENCY = (Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT)


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor's line in the table."""

    tensor: str
    shape: str
    verdict: str
    difference: str
    reason: str


@dataclass(frozen=True, slots=True)
class Element:
    """One component's line in the table of the worst."""

    place: str
    position: str
    claimed: str
    reference: str


@dataclass(frozen=True, slots=True)
class Outline:
    """The content of a report, top to bottom.

    Attributes:
        verdict: what the colours stand for.
        headline: one or two sentences that would do alone.
        findings: for each finding its labelled sentences.
        rows: the tensors that are shown, wrong ones first.
        unlisted: a sentence counting the others; "" where all are shown.
        worst: heading of the worst components; "" where none was measured.
        elements: the worst components.
        remarks: labelled sentences: notes, what would have been missed, the course notes' scale.
        cost: what the check has cost.
        checklist: the course notes' checklist: question and answer.
        origin: labelled: what was run, and with what.
    """

    verdict: Verdict
    headline: str
    findings: tuple[tuple[tuple[str, str], ...], ...]
    rows: tuple[Row, ...]
    unlisted: str
    worst: str
    elements: tuple[Element, ...]
    remarks: tuple[tuple[str, str], ...]
    cost: str
    checklist: tuple[tuple[str, str], ...] = ()
    origin: tuple[tuple[str, str], ...] = ()


def outline(report: Report, most_tensors: int = TENSORS, most_components: int = COMPONENTS) -> Outline:
    """The content of a report for people, with the rows of so many tensors and components at most."""
    tensors = sorted(report.tensors.values(), key=lambda tensor: _URGENCY.index(tensor.verdict))
    shown, rest = tensors[:most_tensors], tensors[most_tensors:]
    heading, elements = worst_components(report.worst(most_components))
    first = next(iter(errors(report)), None) if report.verdict is Verdict.WRONG else None
    return Outline(
        verdict=report.verdict,
        headline=f"gradproof: {report.verdict.upper()}. {headline(report)}",
        findings=tuple(_finding(f, _before(report, f), told=f is first) for f in report.findings),
        rows=tuple(_row(tensor) for tensor in shown),
        unlisted=f"{wording.counted(len(rest), 'more tensor')}: {_tally(rest)}." if rest else "",
        worst=heading,
        elements=elements,
        remarks=_remarks(report),
        cost=_cost(report),
        checklist=answered(report.checklist),
        origin=_origin(report),
    )


def answered(checklist: Sequence[ChecklistItem]) -> tuple[tuple[str, str], ...]:
    """The checklist's questions, each with its status and answer in words."""
    return tuple((item.question, f"{item.status}: {wording.plain(item.answer)}") for item in checklist)


def one_line(report: Report) -> str:
    """The report in one line of less than 200 characters: ``repr(report)``."""
    about = ""
    subject = ""
    correct = sum(tensor.verdict is Verdict.CORRECT for tensor in report.tensors.values())
    if report.verdict is Verdict.CORRECT:
        high = highest(report)
        about = "nothing to check" if not report.tensors else f"difference at most {wording.above(high)}"
    else:
        guilty = named(report, report.verdict)
        subject = f" {wording.name(guilty[0], 24)}" if guilty else ""
        subject += f" and {len(guilty) - 1:,} more" if len(guilty) > 1 else ""
        found = errors(report)
        if report.verdict is Verdict.WRONG:
            about = _short(found[0]) if found else "wrong"
        else:
            about = wording.elided(wording.plain(reason(report, guilty)) or "undecided", 60)
    line = (
        f"<Report {report.verdict.upper()}{subject}: {about}; {correct:,}/{len(report.tensors):,} tensors correct; "
        f"{wording.counted(report.evaluations, 'evaluation')}>"
    )
    return wording.elided(wording.spaced(line), _LINE)


def _short(finding: Finding) -> str:
    """``factor 2.000000 in all of W2``."""
    factor = f" {wording.fitted(finding.factor, bar=False)}" if finding.factor else ""
    place = wording.name(str(finding.where), 40)
    return f"{wording.name(finding.cause, 30)}{factor} in {place}"


def _before(report: Report, finding: Finding) -> list[float]:
    """The differences of the tensors that a finding explains."""
    return [float(report.tensors[name].difference) for name in finding.tensors if name in report.tensors]


def _fall(before: Sequence[float]) -> str:
    """How the difference was before a fix, the largest of several tensors, if all are known."""
    if not before or not all(math.isfinite(number) for number in before):
        return "is at most "
    return f"falls from {max(before):.1e} to at most "


def _finding(finding: Finding, before: Sequence[float], *, told: bool) -> tuple[tuple[str, str], ...]:
    """A finding's labelled sentences; ``told`` where the headline has said its message already."""
    detail = f" ({wording.plain(finding.detail)})" if finding.detail else ""
    factor = f", fitted {wording.fitted(finding.factor)}" if finding.factor else ""
    said = "" if told else wording.sentence(finding.message)
    cause = f"{wording.plain(finding.cause)}{detail}{factor}{': ' + said if said else ''}"
    size = sum(int(mask.sum()) for mask in finding.where.masks.values())
    place = wording.name(str(finding.where), wording.IN_NAMES * 2)
    if size:
        place += f" ({'' if finding.where.exact else 'at most '}{wording.counted(size, 'element')})"
    proof = ""
    if finding.repaired is not None and math.isfinite(finding.repaired):
        known = before if max(before, default=0.0) > finding.repaired else ()
        proof = f"with this fix the difference {_fall(known)}{wording.above(finding.repaired)}."
    also = ", ".join(wording.plain(other) for other in finding.also)
    rows = (
        ("Cause" if finding.severity == "error" else "Warning", cause),
        ("Where", place),
        ("Fix", wording.sentence(finding.fix)),
        ("Proof", proof),
        ("Also", f"would look exactly the same from here: {also}." if also else ""),
    )
    return tuple((label, text) for label, text in rows if text)


def _row(tensor: TensorReport) -> Row:
    return Row(
        tensor=wording.name(tensor.name, wording.IN_TABLES),
        shape=wording.elided(wording.shape(tensor.shape), 24),
        verdict="WRONG" if tensor.verdict is Verdict.WRONG else str(tensor.verdict),
        difference=wording.difference(tensor.difference),
        reason=wording.plain(tensor.reason),
    )


def _tally(tensors: Sequence[TensorReport]) -> str:
    counts = [(sum(tensor.verdict is verdict for tensor in tensors), verdict) for verdict in _URGENCY]
    return ", ".join(f"{count:,} {verdict}" for count, verdict in counts if count)


def worst_components(worst: Components) -> tuple[str, tuple[Element, ...]]:
    """The heading of measured components and their lines; "" and none where none was measured."""
    return _worst_heading(worst), tuple(_element(component) for component in worst)


def _worst_heading(worst: Components) -> str:
    if not len(worst):
        return ""
    if worst.complete:
        return f"Worst components (all of {worst.total:,} measured)"
    return f"Worst components (of a sample of {worst.measured:,} out of {worst.total:,})"


def _element(component: Component) -> Element:
    index = f"[{', '.join(str(i) for i in component.index)}]" if component.index else ""
    return Element(
        place=wording.name(component.name, wording.IN_TABLES) + index.replace(" ", wording.TIE),
        position=f"#{component.position}",
        claimed=wording.with_bar(component.claimed, math.nan),
        reference=wording.with_bar(component.reference, component.error_bar),
    )


def _remarks(report: Report) -> tuple[tuple[str, str], ...]:
    rows = [("Note", wording.sentence(note)) for note in report.notes]
    sizes = [power for power in report.power.values() if math.isfinite(power.size)]
    if sizes:
        blind = max(sizes, key=lambda power: power.size)
        chance = f" (and larger ones with probability {blind.miss_probability:.0e})" if blind.miss_probability else ""
        rows.append(("Would have missed", f"errors below {wording.above(blind.size)} of a tensor{chance}."))
    number = wording.difference(report.difference)
    rows.append(
        (
            "Course notes' scale",
            f"{number}: {wording.band(report.difference)} (below 1e-7 good, above 1e-3 a bug, between suspicious).",
        )
    )
    return tuple((label, text) for label, text in rows if text)


def _cost(report: Report) -> str:
    time = wording.duration(report.seconds)
    return (
        f"{wording.counted(report.evaluations, 'cost evaluation')} "
        f"(the course notes' loop: {report.classic_evaluations:,}){', ' + time if time else ''}."
        f"{'' if report.method == 'auto' else f' Method {wording.plain(report.method)}.'}"
        f"{'' if report.precision == 'float64' else f' Cost in {wording.plain(report.precision)}.'}"
        f" Seed {report.seed}."
    )


def _origin(report: Report) -> tuple[tuple[str, str], ...]:
    """What was run and with what, so that it can be run again."""
    where = report.origin
    claimed = f"{where.function} in {where.file}, lines {where.line} to {where.end_line}" if where else ""
    rows = (
        ("Claimed gradient", wording.plain(claimed)),
        ("Method", wording.plain(report.method)),
        ("Cost evaluated in", wording.plain(report.precision)),
        ("Seed", f"{report.seed}"),
        ("Software", wording.plain(", ".join(f"{name} {version}" for name, version in report.software.items()))),
    )
    return tuple((label, text) for label, text in rows if text)
