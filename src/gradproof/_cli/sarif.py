"""``--sarif``: the results in the Static Analysis Results Interchange Format, version 2.1.0.

The decision behind it: a result points at the function that computes the gradient, since that is what has to change,
and its fingerprint holds no line numbers, so that the same fault stays the same one when lines move.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gradproof import _causes
from gradproof._cases.outcomes import Outcome
from gradproof._cli.document import version
from gradproof._cli.results import UNDECIDED, Lines, Problem, Results, lines_of, problems

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def sarif(results: Results) -> str:
    """The results as a SARIF log of one run."""
    told = list(problems(results))
    causes = sorted({one.cause for one in told})
    broken = [outcome for outcome in results.outcomes if outcome.verdict is None]
    invocation: dict[str, Any] = {"executionSuccessful": not broken, "exitCode": results.status}
    if broken:
        invocation["toolExecutionNotifications"] = [_notification(outcome, results) for outcome in broken]
    run = {
        "tool": {"driver": {"name": "gradproof", "version": version(), "rules": [_rule(slug) for slug in causes]}},
        "invocations": [invocation],
        "originalUriBaseIds": {_ROOT: {"uri": results.root.as_uri() + "/"}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, causes) for one in told],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(slug: str) -> dict[str, Any]:
    if slug in _causes.slugs():
        page = _causes.page(slug)
        short, whole = page.summary, page.text
    else:
        short = "Neither right nor wrong could be proven." if slug == UNDECIDED else f"{slug}."
        whole = short
    return {
        "id": slug,
        "shortDescription": {"text": short},
        "help": {"text": whole, "markdown": whole},
        "defaultConfiguration": {"level": "warning" if slug == UNDECIDED else "error"},
    }


def _result(one: Problem, causes: Sequence[str]) -> dict[str, Any]:
    location = _location(one.lines)
    if one.tensors:
        location["logicalLocations"] = [{"name": name, "kind": "variable"} for name in one.tensors]
    return {
        "ruleId": one.cause,
        "ruleIndex": causes.index(one.cause),
        "level": "error" if one.severe else "warning",
        "message": {"text": f"{one.outcome.name}: {one.message}"},
        "locations": [location],
        "partialFingerprints": {"gradproof/v1": _fingerprint(one)},
    }


def _location(lines: Lines) -> dict[str, Any]:
    region = {"startLine": lines.first, "endLine": lines.last}
    uri = quote(lines.file)
    if lines.below_root:
        return {"physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": _ROOT}, "region": region}}
    uri = f"file://{uri if uri.startswith('/') else '/' + uri}"
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def _fingerprint(one: Problem) -> str:
    what = json.dumps([one.lines.file, one.outcome.name, one.cause, sorted(one.tensors)])
    return hashlib.sha256(what.encode()).hexdigest()


def _notification(outcome: Outcome, results: Results) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": f"{outcome.label} could not run.\n{outcome.trouble}"},
        "locations": [_location(lines_of(outcome, results.root))],
    }
