"""The results of a run, in the form that every machine format is made from.

The decision behind it: a problem (what is wrong, where in the code, how bad) is worked out once; the formats differ in
spelling alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gradproof._cases.outcomes import Outcome
from gradproof._records import Finding, Report, StageFinding, StagesReport, Verdict
from gradproof._report import wording
from gradproof._report.headline import reason
from gradproof._report.stages import PLACES

#: What stands for the cause of a problem that is none of a gradient.
UNDECIDED = "undecided"
UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Results:
    """All that came out of a run.

    Attributes:
        outcomes: the cases, in the order in which they ran.
        status: the exit status.
        strict: whether undecided counts as wrong.
        seconds: how long the run took.
        root: the folder that paths in the results start from: the repository, or where the run was started.
    """

    outcomes: tuple[Outcome, ...]
    status: int
    strict: bool
    seconds: float
    root: Path


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a file; a file below the root is named from there, with slashes."""

    file: str
    first: int
    last: int
    below_root: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to look at.

    Attributes:
        outcome: the case it came from.
        cause: a slug, or ``undecided``.
        severe: whether it makes the case fail.
        tensors: the names it is about.
        message: what is the matter, in sentences.
        lines: where to look: the function that computes the gradient, else the case.
    """

    outcome: Outcome
    cause: str
    severe: bool
    tensors: tuple[str, ...]
    message: str
    lines: Lines


def root() -> Path:
    """The repository that the working directory lies in, else that directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def problems(results: Results) -> Iterator[Problem]:
    """What is wrong or undecided, and what is remarkable about the rest; not what could not run."""
    for outcome in results.outcomes:
        lines = lines_of(outcome, results.root)
        if outcome.report is None:
            if outcome.verdict is Verdict.WRONG:
                message = wording.sentence(outcome.trouble.partition("\n\n")[0])
                yield Problem(outcome, UNEXPLAINED, True, (), message, lines)
            continue
        if isinstance(outcome.report, Report):
            yield from _of_report(outcome, outcome.report, results, lines)
        else:
            yield from _of_stages(outcome, outcome.report, results, lines)


def _of_report(outcome: Outcome, report: Report, results: Results, lines: Lines) -> Iterator[Problem]:
    for finding in report.findings:
        severe = finding.severity == "error"
        yield Problem(outcome, finding.cause, severe, finding.tensors, message_of(finding), lines)
    if unnamed := _unnamed(report):
        message = f"The claimed gradient of {wording.spaced(wording.names(unnamed))} is wrong."
        yield Problem(outcome, UNEXPLAINED, True, unnamed, message, lines)
    unsettled = tuple(tensor.name for tensor in report.tensors.values() if tensor.verdict is Verdict.UNDECIDED)
    if report.verdict is Verdict.UNDECIDED or unsettled:
        why = reason(report, unsettled) or next(iter(report.notes), "")
        what = wording.spaced(wording.names(unsettled)) or "The gradient"
        message = wording.sentence(f"{what} cannot be judged{': ' + why if why else ''}")
        yield Problem(outcome, UNDECIDED, results.strict, unsettled, message, lines)


def _of_stages(outcome: Outcome, stages: StagesReport, results: Results, lines: Lines) -> Iterator[Problem]:
    """What only some stages show, and what each stage shows besides; one problem for stages that show the same."""
    if not stages.stages:
        yield Problem(outcome, UNDECIDED, results.strict, (), "No stage was checked.", lines)
    told = {name for found in stages.findings for name in found.tensors}
    for found in stages.findings:
        cause = next((one for one in found.causes if one not in PLACES), next(iter(found.causes), UNEXPLAINED))
        yield Problem(outcome, cause, True, found.tensors, message_of(found), lines)
    seen: dict[tuple[str, tuple[str, ...]], tuple[Problem, list[str]]] = {}
    for name, report in stages.stages.items():
        for one in _of_report(outcome, report, results, lines):
            if not (one.severe and set(one.tensors) <= told and one.tensors):
                seen.setdefault((one.cause, one.tensors), (one, []))[1].append(name)
    for one, names in seen.values():
        where = wording.spaced(", ".join(map(wording.name, names)))
        yield replace(one, message=f"At {where}: {one.message}")


def _unnamed(report: Report) -> tuple[str, ...]:
    """The wrong tensors that no finding is about."""
    named = {name for finding in report.findings if finding.severity == "error" for name in finding.tensors}
    wrong = (tensor.name for tensor in report.tensors.values() if tensor.verdict is Verdict.WRONG)
    return tuple(name for name in wrong if name not in named)


def lines_of(outcome: Outcome, root: Path) -> Lines:
    """Where to look: the lines of the gradient's function where they lie below the root, else the case."""
    origin = next((report.origin for report in outcome.reports.values()), None)
    if origin is not None:
        lines = _lines(Path(origin.file), origin.line, origin.end_line, root)
        if lines.below_root:
            return lines
    return _lines(outcome.path, outcome.line, outcome.line, root)


def message_of(finding: Finding | StageFinding) -> str:
    """What is wrong and what to change."""
    said = [wording.sentence(finding.message), wording.sentence(finding.fix)]
    return wording.spaced(" ".join(part for part in said if part))


def _lines(path: Path, first: int, last: int, root: Path) -> Lines:
    whole = Path(os.path.abspath(path))  # links are left as they are: the repository's own names are wanted
    try:
        return Lines(whole.relative_to(root).as_posix(), first, last, True)
    except ValueError:
        return Lines(whole.as_posix(), first, last, False)
