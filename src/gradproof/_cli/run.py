"""``gradproof run``: the cases in files.

The decision behind it: one case that cannot run does not keep the others from running, and what was proven wrong stays
wrong whatever else failed, so the exit status of a wrong case goes before that of a broken one.
"""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from gradproof._cases import Case, cases, load, require_python_file, select
from gradproof._errors import GradientError, InputError
from gradproof._records import Report, Verdict
from gradproof._report import text, wording

NOTHING_WRONG = 0
WRONG = 1
COULD_NOT_RUN = 2
NO_CASES = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case, or of a file that could not be loaded.

    Attributes:
        label: ``FILE.py::NAME``, or the file.
        verdict: None where the case could not run.
        report: None where there is none: the case could not run, or raised ``GradientError`` itself.
        trouble: why it could not run, or the error it raised.
    """

    label: str
    verdict: Verdict | None
    report: Report | None = None
    trouble: str = ""


def run_files(files: Sequence[str], out: TextIO, err: TextIO, *, strict: bool = False) -> int:
    """Runs the cases in files and writes their reports.

    Args:
        files: paths of Python files, each with ``::NAME`` behind it where only one case is meant.
        out: where the reports go.
        err: where warnings, errors and progress go.
        strict: whether an undecided case counts as wrong in the exit status.

    Returns:
        The exit status: 1 if any case is wrong, else 2 if any could not run, else 5 if there was none, else 0; with
        ``strict``, 1 instead of 0 if any is undecided.

    Raises:
        InputError: a file is not there, is no Python file or has no case of the name asked for.
    """
    targets = dict.fromkeys(_target(file) for file in files)
    for path, _ in targets:
        require_python_file(path)
    outcomes = []
    found: dict[str, Case] = {}
    for path, name in targets:
        loaded = _loaded(path, err)
        if isinstance(loaded, Outcome):
            outcomes.append(loaded)
            _tell(loaded, out, err)
            continue
        chosen = (select(loaded, name, path),) if name else loaded
        found.update((one.label, one) for one in chosen)
    for one in found.values():
        with working(err, f"checking {one.label}"):
            outcome = _outcome(one)
        outcomes.append(outcome)
        _tell(outcome, out, err)
    if not outcomes:
        text.emit(err, "gradproof: no cases found. Mark a function that returns a report with @gp.case.")
        return NO_CASES
    text.emit(out, _summary(outcomes))
    return _status([outcome.verdict for outcome in outcomes], strict=strict)


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


def _target(file: str) -> tuple[Path, str]:
    """``FILE.py::NAME`` in its parts; a file whose own name contains ``::`` is taken as it is."""
    path, separator, name = file.rpartition("::")
    if not separator or Path(file).exists():
        return Path(file), ""
    if not name or not path:
        raise InputError.of(
            "reading the arguments",
            repr(file),
            "FILE.py or FILE.py::NAME",
            "half of it",
            "Complete it, or leave out ::.",
        )
    return Path(path), name


def _loaded(path: Path, err: TextIO) -> tuple[Case, ...] | Outcome:
    try:
        with working(err, f"loading {path}"):
            return cases(load(path), path)
    except (Exception, SystemExit) as error:
        return Outcome(str(path), None, trouble=_trouble(error))


def _outcome(one: Case) -> Outcome:
    try:
        report = one.run()
    except GradientError as error:
        return Outcome(one.label, Verdict.WRONG, trouble=str(error))
    except (Exception, SystemExit) as error:
        return Outcome(one.label, None, trouble=_trouble(error))
    return Outcome(one.label, report.verdict, report)


def _trouble(error: BaseException) -> str:
    """The user's own lines of a traceback; what lies above them is gradproof's business."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, SystemExit):
        return "It left through sys.exit; put that under `if __name__ == '__main__':`."
    whole = traceback.TracebackException.from_exception(error)
    here = str(Path(__file__).parent.parent)
    frames = [frame for frame in whole.stack if not frame.filename.startswith((here, "<frozen"))]
    lines = [*traceback.StackSummary.from_list(frames).format(), *whole.format_exception_only()]
    return "".join(lines).rstrip()


def _tell(outcome: Outcome, out: TextIO, err: TextIO) -> None:
    label = wording.elided(wording.visible(outcome.label), wording.IN_SENTENCES)
    if outcome.verdict is None:
        text.emit(err, f"gradproof: {label} could not run.", *map(wording.visible, outcome.trouble.splitlines()))
        return
    text.emit(out, label)
    if outcome.report is None:
        text.emit(out, *map(wording.visible, outcome.trouble.splitlines()), "")
    else:
        text.write(outcome.report, out)
        text.emit(out, "")
    if outcome.verdict is Verdict.UNDECIDED:
        out.flush()
        text.emit(err, f"gradproof: warning: {label} is undecided.")


def _summary(outcomes: Sequence[Outcome]) -> str:
    counts = [(sum(one.verdict is verdict for one in outcomes), str(verdict)) for verdict in Verdict]
    counts.append((sum(one.verdict is None for one in outcomes), "could not run"))
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{wording.counted(len(outcomes), 'case')}: {told}."


def _status(verdicts: Sequence[Verdict | None], *, strict: bool) -> int:
    if Verdict.WRONG in verdicts:
        return WRONG
    if None in verdicts:
        return COULD_NOT_RUN
    return WRONG if strict and Verdict.UNDECIDED in verdicts else NOTHING_WRONG
