"""What ``run`` writes besides the text, and where to.

The decision behind it: each form is a function from the results to a text, in one table; so several can be written at
once, and any of them to standard output, which the text for people then leaves to it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from gradproof._cli.results import Results
from gradproof._errors import InputError

STANDARD_OUTPUT = "-"


def _json(results: Results) -> str:
    from gradproof._cli.document import document

    return document(results)


def _junit(results: Results) -> str:
    from gradproof._cli.junit import junit

    return junit(results)


def _sarif(results: Results) -> str:
    from gradproof._cli.sarif import sarif

    return sarif(results)


def _html(results: Results) -> str:
    """One page for all cases that have a report; what became of the others is said in the text and the other forms."""
    from gradproof._report.page import render

    reports = {
        f"{outcome.label}: {stage}" if stage else outcome.label: report
        for outcome in results.outcomes
        for stage, report in outcome.reports.items()
    }
    if not reports:
        raise InputError.of(
            "writing the page", "the run", "one with at least one report", "without any",
            "Look at the text above for what kept the cases from running.",
        )  # fmt: skip
    return render(reports)


#: Setting -> what writes it; the flag is ``--`` and its name.
FORMS: Mapping[str, Callable[[Results], str]] = {"json": _json, "html": _html, "junit-xml": _junit, "sarif": _sarif}


def require_apart(outputs: Mapping[str, str]) -> None:
    """Refuses two forms that would be written to one place.

    Raises:
        InputError: there are two.
    """
    seen: dict[str, str] = {}
    for name, where in outputs.items():
        other = seen.setdefault(where, name)
        if other != name:
            place = "standard output" if where == STANDARD_OUTPUT else where
            raise InputError.of(
                "reading the arguments", f"what --{name} is written to", "a place of its own",
                f"{place}, as of --{other}", "Name another file for one of them.",
            )  # fmt: skip


def write(results: Results, outputs: Mapping[str, str], out: TextIO) -> None:
    """Writes each form to its place; one that cannot be written does not keep the others from it.

    Raises:
        InputError: there was one; the first, if there were several.
    """
    troubles = []
    for name, where in outputs.items():
        try:
            _write(name, FORMS[name](results) + "\n", where, out)
        except InputError as error:
            troubles.append(error)
    if troubles:
        raise troubles[0]


def _write(name: str, content: str, where: str, out: TextIO) -> None:
    if where == STANDARD_OUTPUT:
        out.write(content)
        return
    try:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        Path(where).write_text(content, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError.of(
            "writing the results", f"the file {where} of --{name}", "one that can be written", f"not ({reason})",
            "Name another file.",
        ) from None  # fmt: skip
