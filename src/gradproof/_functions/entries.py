"""From a wrong Jacobian to its wrong entries, named by row (output) and column (element of the input).

The decision behind it: that u.J is wrong is proven by the engine; where is looked up afterwards, and believed only if
the Jacobian with the measured entries in place of the claimed ones is right when it is judged like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.columns import Columns
from gradproof._adapters.jacobians import LARGEST, Claimed, Entries, is_sparse, stored, support
from gradproof._functions.merging import with_findings
from gradproof._records import Finding, Place, Report, Verdict

#: Ratios of claimed to measured entries that have a name: the negative, and simple factors.
NAMED = (-1.0, 2.0, 0.5, -2.0, -0.5, 3.0, 1.0 / 3.0, 4.0, 0.25)
#: How near a ratio comes to a number.
NEAR = 1e-5
#: Findings that a place in the Jacobian says more than.
VAGUE = ("unexplained", "region", "upstream", "factor", "sign", "zero", "permuted", "transposed")


@dataclass(frozen=True)
class Matrix:
    """The Jacobian of one input, as far as it is known.

    Attributes:
        name: ``J``, or ``J[0]`` and ``J[1]`` where there are several.
        input: the input that it belongs to.
        shape: outputs and elements of the input.
        claim: the claimed matrix; None where it is known as a product alone.
    """

    name: str
    input: str
    shape: tuple[int, int]
    claim: Any


#: Whether a claim with other entries is right: the relative difference that is left, or None.
Left = Callable[[Mapping[int, Entries]], float | None]


def placed(
    report: Report, columns: Columns, matrices: Sequence[Matrix], left: Left, named: frozenset[str] = frozenset()
) -> Report:  # fmt: skip
    """The report with the wrong entries of each wrong Jacobian but those of inputs of which more is known."""
    found: dict[int, tuple[Entries, bool]] = {}
    for k, matrix in enumerate(matrices):
        known = report.tensors.get(matrix.input)
        if known is None or known.verdict is not Verdict.WRONG or matrix.input in named:
            continue
        if any(f.cause == "contract" and f.severity == "error" and matrix.input in f.tensors for f in report.findings):
            continue
        entries, complete = columns.wrong(k)
        if len(entries):
            found[k] = entries, complete
    whole = {k: entries for k, (entries, complete) in found.items() if complete}
    repaired = left(whole) if whole and len(whole) == len(found) else None  # proven where every entry is known
    findings, told = [], set()
    for k, (entries, complete) in found.items():
        finding = said(matrices[k], entries, complete=complete)
        own = [f for f in report.findings if f.severity == "error" and matrices[k].input in f.tensors]
        proven = [f for f in own if f.repaired is not None and f.cause not in VAGUE]
        everywhere = finding.where.text.startswith("all of")
        if (complete and repaired is None) or proven or everywhere:
            report = _with_mask(report, own, finding.where.masks)
            continue
        findings.append(replace(finding, repaired=repaired))
        told.add(matrices[k].input)
    kept = tuple(f for f in report.findings if f.cause not in VAGUE or not set(f.tensors) <= told)
    return with_findings(replace(report, findings=kept), findings)


def _with_mask(report: Report, own: Sequence[Finding], masks: Mapping[str, NDArray[np.bool_]]) -> Report:
    """The report with the wrong entries added to findings that have another place already."""
    findings = tuple(
        replace(f, where=replace(f.where, masks={**masks, **f.where.masks})) if f in own else f
        for f in report.findings
    )  # fmt: skip
    return replace(report, findings=findings)


def said(matrix: Matrix, entries: Entries, *, complete: bool) -> Finding:
    """What is wrong with some entries of a Jacobian."""
    masks: dict[str, NDArray[np.bool_]] = {}
    if matrix.shape[0] * matrix.shape[1] <= LARGEST:
        mask = np.zeros(matrix.shape, dtype=bool)
        mask[entries.rows, entries.columns if complete else slice(None)] = True
        masks[matrix.name] = mask
    text = _text(matrix, entries) if complete else _pattern(matrix, entries)
    worst = int(np.argmax(np.abs(entries.off)))
    row, column, value = int(entries.rows[worst]), int(entries.columns[worst]), float(entries.measured[worst])
    claimed = value + float(entries.off[worst])
    cause, detail, factor = _kind(matrix, entries)
    words = {
        "omitted nonzero": f"The sparse Jacobian leaves out {text}, where the derivative is not zero",
        "never computed": f"The claimed Jacobian is 0 at {text}, where the derivative is not",
    }.get(
        detail, f"The claimed Jacobian is wrong at {text}" + (f", {detail} times what it should be" if factor else "")
    )
    one = "" if len(entries) == 1 else f"{matrix.name}[{row}, {column}] is "
    message = f"{words}: {one}claimed {claimed:.6g}, measured {value:.6g}."
    fix = (
        f"Mend the derivative of output {row} by element {column} of {matrix.input}"
        + (", and give it a place in the sparsity pattern." if detail == "omitted nonzero" else ".")
        if len(entries) == 1
        else f"Look at how {text} is computed: rows are outputs, columns are elements of {matrix.input}."
    )
    return Finding(
        cause, "error", (matrix.input,), Place(text, masks, exact=complete), message, fix, detail,
        factor=(factor, NEAR) if factor else None,
    )  # fmt: skip


def _kind(matrix: Matrix, entries: Entries) -> tuple[str, str, float | None]:
    """Cause, detail and factor of entries that are all wrong in the same way."""
    claimed = entries.measured + entries.off
    size = np.abs(entries.measured)
    if np.all(np.abs(claimed) <= NEAR * size) and np.all(size > 0.0):
        if is_sparse(matrix.claim):
            columns = np.unique(entries.columns)
            kept = [stored(matrix.claim, entries.rows[entries.columns == j], int(j)) for j in columns]
            if not np.concatenate(kept).any():
                return "zero", "omitted nonzero", None
        return "zero", "never computed", None
    if np.all(size > 0.0):
        ratios = claimed / entries.measured
        for number in NAMED:
            if np.all(np.abs(ratios - number) <= NEAR * abs(number)):
                return ("sign", "-1", number) if number == -1.0 else ("factor", f"{number:.4g}", number)
    return "region", "", None


def _text(matrix: Matrix, entries: Entries) -> str:
    """A place in a Jacobian, all wrong entries being known: ``J[3, 5]``, ``row 3 of J``, ``column 5 of J``."""
    rows, columns = np.unique(entries.rows), np.unique(entries.columns)
    if len(entries) == 1:
        return f"{matrix.name}[{rows[0]}, {columns[0]}]"
    if _everything(matrix, entries):
        return f"all of {matrix.name}"
    if len(rows) <= 4 and all(_whole_row(matrix, entries, int(i)) for i in rows):
        return f"{_counted('row', rows)} of {matrix.name}"
    if len(columns) <= 4 and len(rows) > 1 and (len(rows) * len(columns) == len(entries)):
        whole = len(rows) == matrix.shape[0] or len(rows) > 2
        if whole:
            return f"{_counted('column', columns)} of {matrix.name}"
    first = f"{matrix.name}[{entries.rows[0]}, {entries.columns[0]}]"
    return f"{len(entries)} entries of {matrix.name}, the first {first}"


def _everything(matrix: Matrix, entries: Entries) -> bool:
    """Whether all entries are wrong, or all that are claimed not to be zero."""
    if len(entries) == matrix.shape[0] * matrix.shape[1]:
        return True
    if matrix.claim is None or matrix.shape[0] > len(entries):
        return False
    known = [support(matrix.claim, i) for i in range(matrix.shape[0])]
    wrong = [set(entries.columns[entries.rows == i].tolist()) for i in range(matrix.shape[0])]
    pairs = zip(known, wrong, strict=True)
    return all(row is not None and set(np.flatnonzero(row).tolist()) <= own for row, own in pairs)


def _whole_row(matrix: Matrix, entries: Entries, row: int) -> bool:
    wrong = np.zeros(matrix.shape[1], dtype=bool)
    wrong[entries.columns[entries.rows == row]] = True
    known = None if matrix.claim is None else support(matrix.claim, row)
    return bool(wrong.sum() > 1 and (wrong.all() if known is None else np.all(wrong[known])))


def _pattern(matrix: Matrix, entries: Entries) -> str:
    """The same where some columns were looked at."""
    rows = np.unique(entries.rows)
    if len(rows) <= 4 < matrix.shape[0]:
        return f"{_counted('row', rows)} of {matrix.name}"
    return f"at least {len(np.unique(entries.columns))} columns of {matrix.name}"


def _counted(word: str, numbers: NDArray[np.intp]) -> str:
    listed = [str(int(n)) for n in numbers]
    return f"{word} {listed[0]}" if len(listed) == 1 else f"{word}s {', '.join(listed[:-1])} and {listed[-1]}"


def matrices_of(claimed: Claimed, names: Sequence[str], found: Sequence[Any] | None) -> list[Matrix]:
    """The Jacobians of the inputs under their names."""
    many = len(names) > 1
    shapes = [(claimed.outputs, size) for size in claimed.sizes]
    return [
        Matrix(f"J[{k}]" if many else "J", name, shapes[k], None if found is None else found[k])
        for k, name in enumerate(names)
    ]
