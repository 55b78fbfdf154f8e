"""The numbers behind the pictures, as JSON that stays small.

The decision behind it: a picture cannot show more than some thousand elements, so the page carries no more. Where
there are several tensors or several reports they share that room.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._records import Elements, Points, Report, Source, Trace
from gradproof._records.evidence import BLOCKS
from gradproof._report import wording
from gradproof._report.curves import about, line_of, ranked, steps_curve, taylor_curve

#: Cells of all heat maps and points of all scatter plots of one page together.
CELLS, POINTS = 6_000, 2_000
#: A map is not made coarser than this, and a scatter plot not thinner, for the sake of others.
COARSEST, FEWEST = 4, 16
#: Pictures of at most so many tensors.
PICTURED = 400

_KNOWN = {
    Source.MEASURED: "each measured by itself",
    Source.REPAIRED: "the reference is the claim with the proven fix, to within the bound of its proof",
    Source.SAMPLED: "a part of the tensor, each measured by itself",
    Source.NOTES: "by the course notes' quotient, which has no error bar",
}


def as_json(reports: Mapping[str, Report]) -> str:
    """What the pictures of some named reports need, ready to stand between script tags."""
    shown = [
        (report, [name for name in ranked(report) if _pictured(report, name)][:PICTURED]) for report in reports.values()
    ]
    maps = [
        report.evidence.elements[name] for report, names in shown for name in names if name in report.evidence.elements
    ]
    blocks = _fitting(maps)
    points = max(FEWEST, POINTS // max(1, len(maps)))
    content = [_report(report, names, blocks, points) for report, names in shown]
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    # Neither a closing tag nor a comment can begin without this character, and JSON has another way to write it.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _pictured(report: Report, name: str) -> bool:
    return name in report.evidence.elements or line_of(report, name) is not None


def _fitting(maps: Sequence[Elements]) -> int:
    """The most blocks a side with which all maps fit into a page."""
    for blocks in range(BLOCKS, COARSEST, -1):
        sizes = (elements.cells.positions.shape for elements in maps)
        if sum(min(rows, blocks) * min(columns, blocks) for rows, columns in sizes) <= CELLS:
            return blocks
    return COARSEST


def _report(report: Report, names: Sequence[str], blocks: int, points: int) -> dict[str, Any]:
    lines: dict[Trace, int] = {}
    tensors = []
    rows = {name: row for row, name in enumerate(ranked(report))}
    for name in names:
        line = line_of(report, name)
        elements = report.evidence.elements.get(name)
        tensor = report.tensors[name]
        tensors.append(
            {
                "name": wording.spaced(wording.visible(name)) or "''",
                "short": wording.spaced(wording.name(name)),
                "row": rows[name],
                "verdict": str(tensor.verdict),
                "shape": [int(length) for length in tensor.shape],
                "tolerance": tensor.tolerance,
                "line": None if line is None else lines.setdefault(line, len(lines)),
                "along": "" if line is None else wording.spaced(about(line, wording.name(name))),
                "elements": None if elements is None else _elements(elements, blocks, points),
            }
        )
    return {"lines": [_line(line) for line in lines], "tensors": tensors}


def _line(line: Trace) -> dict[str, Any]:
    steps, taylor = steps_curve(line), taylor_curve(line)
    return {
        "steps": _short(line.steps),
        "off": _short(steps.off),
        "noise": _short(steps.noise),
        "truncation": _short(steps.truncation),
        "step": _rounded(steps.step),
        "bar": _rounded(steps.bar),
        "claimed": _short(taylor.claimed),
        "measured": _short(taylor.measured),
        "floor": _rounded(taylor.noise),
        "window": list(taylor.window) if math.isfinite(taylor.order) else None,
        "order": _rounded(taylor.order),
    }


def _elements(elements: Elements, blocks: int, points: int) -> dict[str, Any]:
    cells = elements.coarser(blocks, blocks)
    sample = elements.sample.taken(_thinned(elements.sample.positions.size, points))
    both = [np.abs(value) for part in (cells, sample) for value in (part.claimed, part.claimed - part.reference)]
    largest = max((float(np.max(part, initial=0.0, where=np.isfinite(part))) for part in both), default=0.0)
    unit = largest if 0.0 < largest < math.inf else 1.0
    rows, columns = cells.positions.shape
    return {
        "measured": elements.measured,
        "total": elements.total,
        "known": _KNOWN[elements.source],
        "allowed": elements.allowed,
        "view": list(elements.view),
        "grid": [rows, columns],
        "offset": elements.offset,
        "unit": unit,
        "cells": _packed(cells, unit),
        "sample": _packed(sample, unit),
    }


def _thinned(count: int, most: int) -> NDArray[np.int64]:
    """The worst half of what may stay, and as many spread evenly over the rest."""
    head = min(count, most - most // 2)
    rest = np.linspace(head, count - 1, min(most // 2, count - head)).astype(np.int64)
    return np.concatenate([np.arange(head), np.unique(rest)])


def _packed(points: Points, unit: float) -> dict[str, Any]:
    """Arrays of four bytes a number in base 64, in units of ``unit``; of a complex number the two parts by turns."""
    mismatch = points.claimed - points.reference
    top = int(np.max(points.positions, initial=0))
    # -1 becomes the largest number of an unsigned type; the browser reads it back as one that no position reaches.
    dtype = "<u2" if top < 2**16 - 1 else "<u4" if top < 2**32 - 1 else "<f8"
    return {
        "positions": _base64(points.positions, dtype),
        "type": dtype[1:],
        "claimed": _floats(points.claimed / unit),
        "mismatch": _floats(mismatch / unit),
        "bars": _bars(points.bars / unit),
        "complex": bool(np.iscomplexobj(mismatch)),
    }


def _floats(values: NDArray[Any]) -> str:
    flat = np.ascontiguousarray(values).reshape(-1)
    parts = flat.astype(np.complex128).view(np.float64) if np.iscomplexobj(flat) else flat
    with np.errstate(over="ignore"):
        return _base64(parts, "<f4")


def _bars(values: NDArray[np.float64]) -> str:
    """Error bars as 1000 (40 + log10) in two bytes, rounded up; 0 where there is none."""
    with np.errstate(all="ignore"):
        coded = np.ceil(1000.0 * (40.0 + np.log10(values)))
    return _base64(np.where(np.isfinite(coded), np.clip(coded, 1, 65_535), 0), "<u2")


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(dtype).tobytes()).decode("ascii")


def _short(values: Sequence[float]) -> list[float | None]:
    return [_rounded(value) for value in values]


def _rounded(value: float) -> float | None:
    """Five digits, which is more than a picture shows; None for what is not a number."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
