"""``gradproof run``: the cases in files.

The decision behind it: one case that cannot run does not keep the others from running, and what was proven wrong stays
wrong whatever else failed, so the exit status of a wrong case goes before that of a broken one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gradproof._cases import Case, cases, load, select
from gradproof._cases.discovery import Target, matcher, targets
from gradproof._cases.outcomes import Outcome, outcome_of, unloadable
from gradproof._cli.github import github
from gradproof._cli.outputs import STANDARD_OUTPUT, write
from gradproof._cli.request import Request
from gradproof._cli.results import Results, root
from gradproof._errors import InputError
from gradproof._records import Report, Verdict
from gradproof._report import text, wording
from gradproof._report.stages import stages_blocks
from gradproof._settings import lending

NOTHING_WRONG = 0
WRONG = 1
COULD_NOT_RUN = 2
NO_CASES = 5


def run(asked: Request, out: TextIO, err: TextIO) -> int:
    """Runs the cases that were asked for and writes what came of them.

    Args:
        asked: which cases, and what to write.
        out: where the reports go; the form that is written to standard output, where there is one.
        err: where warnings, errors and progress go, and the reports where a form has taken ``out``.

    Returns:
        The exit status: 1 if any case is wrong, else 2 if any could not run or a file could not be written, else 5 if
        there was none, else 0; with ``strict``, 1 instead of 0 if any is undecided.

    Raises:
        InputError: a file is not there, is no Python file or has no case of the name asked for.
    """
    began = time.perf_counter()
    meant = matcher(asked.keyword) if asked.keyword else None
    people = err if STANDARD_OUTPUT in asked.outputs.values() else out
    found: dict[str, Case] = {}
    outcomes: list[Outcome] = []
    for target in targets(asked.paths, asked.patterns):
        loaded = _loaded(target.path, err)
        if isinstance(loaded, Outcome):
            outcomes.append(loaded)
            _tell(loaded, people, err)
            continue
        chosen = _chosen(target, loaded)
        found.update((one.label, one) for one in chosen if meant is None or meant(f"{one.path.name}::{one.name}"))
    if asked.listing:
        return _listed(found, outcomes, out, err)
    for number, one in enumerate(found.values(), start=1):
        with working(err, f"checking {number} of {len(found)}: {one.label}"), lending(asked.flags, lambda: asked.table):
            outcome = outcome_of(one)
        outcomes.append(outcome)
        _tell(outcome, people, err)
    status = _status([outcome.verdict for outcome in outcomes], strict=asked.strict)
    results = Results(tuple(outcomes), status, asked.strict, time.perf_counter() - began, root())
    if outcomes:
        text.emit(people, _summary(outcomes))
    else:
        _no_cases(asked, err)
    return _written(results, asked, out, people, err)


def _chosen(target: Target, loaded: Sequence[Case]) -> Sequence[Case]:
    return [select(loaded, target.name, target.path)] if target.name else loaded


def _listed(found: dict[str, Case], broken: Sequence[Outcome], out: TextIO, err: TextIO) -> int:
    for label in found:
        out.write(text.encodable(wording.visible(label), getattr(out, "encoding", None)) + "\n")
    if not found and not broken:
        text.emit(err, "gradproof: no cases found.")
    return COULD_NOT_RUN if broken else NOTHING_WRONG if found else NO_CASES


def _no_cases(asked: Request, err: TextIO) -> None:
    if asked.keyword:
        text.emit(err, f"gradproof: no cases found that -k {wording.visible(asked.keyword)!r} is about.")
        return
    text.emit(
        err,
        f"gradproof: no cases found. Mark a function that returns a report with @gp.case, in a file that is named or "
        f"that matches {' or '.join(asked.patterns)}.",
    )


def _written(results: Results, asked: Request, out: TextIO, people: TextIO, err: TextIO) -> int:
    """The exit status, once everything else is written; what is wrong stays wrong where a file cannot be."""
    if asked.github and (commands := github(results)):
        people.write(text.encodable(commands, getattr(people, "encoding", None)) + "\n")
    try:
        write(results, asked.outputs, out)
    except InputError as error:
        err.flush()
        text.emit(err, f"gradproof: {wording.visible(str(error))}")
        return results.status if results.status in (WRONG, NO_CASES) else COULD_NOT_RUN
    return results.status


@contextmanager
def working(err: TextIO, what: str) -> Iterator[None]:
    """Shows on a terminal that something is under way; elsewhere nothing."""
    if not err.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    # Without a thread that animates it, since a case may fork workers, and without catching what the case prints.
    line = Text(wording.elided(wording.visible(what), 70))
    console = Console(file=err, no_color=not text.coloured(err))
    with Live(
        line, console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        live.refresh()
        yield


def _loaded(path: Path, err: TextIO) -> tuple[Case, ...] | Outcome:
    try:
        with working(err, f"loading {path}"):
            return cases(load(path), path)
    except (Exception, SystemExit) as error:
        return unloadable(path, error)


def _tell(outcome: Outcome, out: TextIO, err: TextIO) -> None:
    label = wording.elided(wording.visible(outcome.label), wording.IN_SENTENCES)
    if outcome.verdict is None:
        text.emit(err, f"gradproof: {label} could not run.", *map(wording.visible, outcome.trouble.splitlines()))
        return
    text.emit(out, label)
    if isinstance(outcome.report, Report):
        text.write(outcome.report, out)
        text.emit(out, "")
    elif outcome.report is not None:
        text.emit(out, *stages_blocks(outcome.report), "")
    else:
        text.emit(out, *map(wording.visible, outcome.trouble.splitlines()), "")
    if outcome.verdict is Verdict.UNDECIDED:
        out.flush()
        text.emit(err, f"gradproof: warning: {label} is undecided.")


def _summary(outcomes: Sequence[Outcome]) -> str:
    counts = [(sum(one.verdict is verdict for one in outcomes), str(verdict)) for verdict in Verdict]
    counts.append((sum(one.verdict is None for one in outcomes), "could not run"))
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{wording.counted(len(outcomes), 'case')}: {told}."


def _status(verdicts: Sequence[Verdict | None], *, strict: bool) -> int:
    if not verdicts:
        return NO_CASES
    if Verdict.WRONG in verdicts:
        return WRONG
    if None in verdicts:
        return COULD_NOT_RUN
    return WRONG if strict and Verdict.UNDECIDED in verdicts else NOTHING_WRONG
