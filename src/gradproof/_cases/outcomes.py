"""What becomes of a case.

The decision behind it: nothing that a case does ends the run but an interruption, so whoever runs cases gets a record
of each, those that could not run among them.
"""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradproof._cases import marked
from gradproof._cases.marked import Case
from gradproof._errors import GradientError, InputError
from gradproof._records import Report, StagesReport, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case, or of a file that could not be loaded.

    Attributes:
        path: the file, as the user gave it.
        name: the case; "" for a file.
        line: where it begins.
        verdict: None where the case could not run.
        report: of a check or of its stages; None where there is none: the case could not run, or raised
            ``GradientError`` itself.
        trouble: why it could not run, or the error it raised.
        seconds: how long it took.
    """

    path: Path
    name: str
    line: int
    verdict: Verdict | None
    report: Report | StagesReport | None = None
    trouble: str = ""
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """``FILE.py::NAME``, or the file."""
        return f"{self.path}::{self.name}" if self.name else str(self.path)

    @property
    def stages(self) -> StagesReport | None:
        """The report where it is one of stages."""
        return self.report if isinstance(self.report, StagesReport) else None

    @property
    def reports(self) -> Mapping[str, Report]:
        """The reports by stage; that of a single check by ``""``."""
        if isinstance(self.report, StagesReport):
            return self.report.seen
        return {} if self.report is None else {"": self.report}


def outcome_of(one: Case) -> Outcome:
    """Runs a case."""
    began = time.perf_counter()
    verdict: Verdict | None = None
    report: Report | StagesReport | None = None
    trouble = ""
    try:
        report = one.run()
        verdict = report.verdict
    except GradientError as error:
        verdict, trouble = Verdict.WRONG, str(error)
    except (Exception, SystemExit) as error:
        trouble = told(error)
    return Outcome(one.path, one.name, one.line, verdict, report, trouble, time.perf_counter() - began)


def unloadable(path: Path, error: BaseException) -> Outcome:
    """The outcome of a file that could not be loaded."""
    return Outcome(path, "", getattr(error, "lineno", None) or 1, None, trouble=told(error))


def told(error: BaseException) -> str:
    """The user's own lines of a traceback: what lies above the case is the business of whoever runs it."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, SystemExit):
        return "It left through sys.exit; put that under `if __name__ == '__main__':`."
    whole = traceback.TracebackException.from_exception(error)
    running = [number for number, frame in enumerate(whole.stack) if frame.filename == marked.__file__]
    below = whole.stack[running[0] + 1 :] if running else whole.stack
    package = str(Path(__file__).parent.parent)
    frames = [frame for frame in below if not frame.filename.startswith((package, "<frozen"))]
    lines = [*traceback.StackSummary.from_list(frames).format(), *whole.format_exception_only()]
    return "".join(lines).rstrip()
