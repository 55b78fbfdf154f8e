"""``--json``: all results in one document, as ``gradproof/_report/schema.json`` describes it."""

import sys
from typing import Any

from gradproof._cases.outcomes import Outcome
from gradproof._cli.results import Results, lines_of
from gradproof._records import Report
from gradproof._report.machine import SCHEMA_VERSION, as_dict, as_json
from gradproof._report.stages import as_dict as stages_as_dict


def document(results: Results) -> str:
    """The results as JSON."""
    return as_json(
        {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "gradproof", "version": version()},
            "status": results.status,
            "strict": results.strict,
            "seconds": results.seconds,
            "cases": [_case(outcome, results) for outcome in results.outcomes],
        }
    )


def version() -> str:
    """The loaded package's own version: a source folder on the path has no metadata, or that of another version."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _case(outcome: Outcome, results: Results) -> dict[str, Any]:
    lines = lines_of(outcome, results.root)
    return {
        "label": outcome.label,
        "file": str(outcome.path),
        "name": outcome.name or None,
        "line": outcome.line,
        "lines": {"file": lines.file, "first": lines.first, "last": lines.last},
        "verdict": None if outcome.verdict is None else str(outcome.verdict),
        "trouble": outcome.trouble or None,
        "seconds": outcome.seconds,
        "report": as_dict(outcome.report) if isinstance(outcome.report, Report) else None,
        "stages": None if outcome.stages is None else stages_as_dict(outcome.stages),
    }
