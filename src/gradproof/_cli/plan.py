"""``gradproof plan``: what the checks of the cases in files would cost.

The decision behind it: a case is run as it is, and each check in it is planned instead of made, so that a case needs to
say nothing twice.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from gradproof._cases import Case, cases, load, require_python_file, select
from gradproof._cli.run import COULD_NOT_RUN, NO_CASES, NOTHING_WRONG, working
from gradproof._errors import InputError
from gradproof._plan import plans
from gradproof._report import text, wording
from gradproof._report.plan import plan_blocks


def plan_files(files: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Writes the plans of the cases in files.

    Args:
        files: paths of Python files, each with ``::NAME`` behind it where only one case is meant.
        out: where the plans go.
        err: where errors and progress go.

    Returns:
        The exit status: 2 if a case could not run, 5 if there was none, else 0.

    Raises:
        InputError: a file is not there, is no Python file or has no case of the name asked for.
    """
    status = NO_CASES
    for one in _chosen(files):
        label = wording.elided(wording.visible(one.label), wording.IN_SENTENCES)
        try:
            with working(err, f"planning {label}"):
                found = plans(one.function)
        except Exception as error:
            out.flush()
            trouble = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            text.emit(err, f"gradproof: {label} could not run. {wording.visible(trouble)}")
            status = COULD_NOT_RUN
            continue
        for each in found:
            text.emit(out, label, *plan_blocks(each), "")
        status = NOTHING_WRONG if status == NO_CASES else status
    if status == NO_CASES:
        text.emit(err, "gradproof: no cases found. Mark a function that returns a report with @gp.case.")
    return status


def _chosen(files: Sequence[str]) -> Iterator[Case]:
    targets = [_target(file) for file in files]
    for path, _ in targets:
        require_python_file(path)
    for path, name in targets:
        found = cases(load(path), path)
        yield from (select(found, name, path),) if name else found


def _target(file: str) -> tuple[Path, str]:
    path, _, name = file.rpartition("::")
    return (Path(path), name) if path and not Path(file).exists() else (Path(file), "")
