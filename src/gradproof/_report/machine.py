"""The report for machines.

The decision behind it: whatever is written here can be read by any JSON parser. Numbers that are not finite become
None, since JSON knows none, and ``schema_version`` rises whenever a key changes its meaning or disappears.
"""

import json
import math
from typing import Any

import numpy as np

from gradproof._records import Component, Difference, Elements, Evidence, Finding, Origin, Report, TensorReport, Trace

SCHEMA_VERSION = 1

#: A place of more elements than this is given by its text and its count; a list would dwarf the rest of the report.
_LISTED = 1_000


def as_dict(report: Report) -> dict[str, Any]:
    """The content of a report as dicts, lists, strings, numbers and None.

    Complex numbers are written as ``[real, imaginary]``; names are the keys of ``tensors`` as the user wrote them.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": str(report.verdict),
        "passed": report.passed,
        "difference": _interval(report.difference),
        "tensors": {name: _tensor(tensor) for name, tensor in report.tensors.items()},
        "findings": [_finding(finding) for finding in report.findings],
        "components": {
            "measured": int(report.components.measured),
            "total": int(report.components.total),
            "complete": report.components.complete,
            "rows": [_component(component) for component in report.components],
        },
        "power": {
            name: {"size": _number(power.size), "miss_probability": _number(power.miss_probability)}
            for name, power in report.power.items()
        },
        "evidence": _evidence(report.evidence),
        "evaluations": int(report.evaluations),
        "classic_evaluations": int(report.classic_evaluations),
        "seconds": _number(report.seconds),
        "notes": list(report.notes),
        "method": report.method,
        "seed": int(report.seed),
        "precision": report.precision,
        "origin": _origin(report.origin),
        "checklist": [
            {"question": item.question, "status": item.status, "answer": item.answer} for item in report.checklist
        ],
        "software": dict(report.software),
    }


def as_json(content: dict[str, Any]) -> str:
    """Such content as JSON, in ASCII, so that no encoding and no lone surrogate in a name can spoil it."""
    return json.dumps(content, indent=2, allow_nan=False)


def _number(value: object) -> float | list[float | None] | None:
    if isinstance(value, complex | np.complexfloating):
        return [_real(float(value.real)), _real(float(value.imag))]
    return None if value is None else _real(float(value))  # type: ignore[arg-type]


def _real(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(difference: Difference) -> dict[str, Any]:
    return {
        "estimate": _number(difference.estimate),
        "low": _number(difference.low),
        "high": _number(difference.high),
    }


def _tensor(tensor: TensorReport) -> dict[str, Any]:
    return {
        "shape": [int(length) for length in tensor.shape],
        "size": int(tensor.size),
        "verdict": str(tensor.verdict),
        "difference": _interval(tensor.difference),
        "tolerance": _number(tensor.tolerance),
        "reason": tensor.reason,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.cause,
        "severity": finding.severity,
        "detail": finding.detail,
        "tensors": list(finding.tensors),
        "where": {
            "text": str(finding.where),
            "exact": finding.where.exact,
            "elements": {name: _elements(mask) for name, mask in finding.where.masks.items()},
        },
        "factor": None if finding.factor is None else [_number(number) for number in finding.factor],
        "also": list(finding.also),
        "message": finding.message,
        "fix": finding.fix,
        "repaired": _number(finding.repaired),
    }


def _elements(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    """How many elements of a tensor are meant, and which in row-major order where they are few enough to list."""
    count = int(np.count_nonzero(mask))
    listed = [int(position) for position in np.flatnonzero(mask)] if count <= _LISTED else None
    return {"count": count, "of": int(np.size(mask)), "positions": listed}


def _evidence(evidence: Evidence) -> dict[str, Any]:
    """The first line along each set of tensors, and how many elements are known; not the elements themselves."""
    first = {lines[0].tensors: lines[0] for lines in evidence.traces.values()}
    return {
        "traces": [_trace(line) for line in first.values()],
        "elements": {name: _known(elements) for name, elements in evidence.elements.items()},
    }


def _trace(line: Trace) -> dict[str, Any]:
    return {
        "tensors": list(line.tensors),
        "steps": [_number(step) for step in line.steps],
        "plus": [_number(value) for value in line.plus],
        "minus": [_number(value) for value in line.minus],
        "slope": _number(line.slope),
        "mismatch": _number(line.mismatch),
        "error_bar": _number(line.bar),
        "step": _number(line.step),
    }


def _known(elements: Elements) -> dict[str, Any]:
    return {
        "source": str(elements.source),
        "measured": int(elements.measured),
        "total": int(elements.total),
        "allowed": _number(elements.allowed),
    }


def _origin(origin: Origin | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    return {
        "function": origin.function,
        "file": origin.file,
        "line": int(origin.line),
        "end_line": int(origin.end_line),
    }


def _component(component: Component) -> dict[str, Any]:
    return {
        "name": component.name,
        "index": [int(position) for position in component.index],
        "position": int(component.position),
        "claimed": _number(component.claimed),
        "reference": _number(component.reference),
        "error_bar": _number(component.error_bar),
    }
