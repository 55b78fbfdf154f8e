"""Jacobians and Jacobian-vector products of functions of NumPy arrays, judged from both sides.

The decision behind it: a Jacobian is judged through random cotangents, a Jacobian-vector product along random tangents,
both by the one engine; that both say the same (u . (J v) = (u J) . v) needs no measurement at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.columns import Columns
from gradproof._adapters.jacobians import Claimed, Entries, Forward, nonfinite, row_norms
from gradproof._adapters.tangents import Tangents
from gradproof._adapters.vjps import ArraySubject
from gradproof._check import Settings, judged, refused
from gradproof._errors import InputError
from gradproof._evaluation import BudgetExhaustedError
from gradproof._functions.entries import Matrix, matrices_of, placed
from gradproof._functions.judging import Chosen, asked, first_call, judge
from gradproof._functions.merging import joined, with_findings
from gradproof._functions.subject import Passed
from gradproof._guard import planned
from gradproof._records import Components, Evidence, Finding, Place, Report, TensorReport, Verdict

#: Rows whose norms lie further apart than this are judged once more, each in units of itself.
SPREAD = 100.0
#: A transposed Jacobian is tried where it explains a measured change to this, relative.
EXPLAINED = 1e-3
#: By how many last bits inputs are moved to see what rounding does, and how far beyond that a difference counts.
BITS, ROUNDINGS = (1.0, -2.0, 3.0), 16.0
#: With more outputs, a vector-Jacobian product is not asked for its rows one by one.
MOST_ROWS = 64
OUT_OF_BUDGET = "The budget did not reach for the wrong entries of the Jacobian."


def judge_arrays(passed: Passed, chosen: Chosen, settings: Settings) -> Report:
    """The report on a function of arrays with a Jacobian, a Jacobian-vector product, or both sides.

    Raises:
        InputError: it cannot be checked.
    """
    if passed.jacobian is not None and passed.vjp is not None:
        raise InputError.of("setting up the check of a function", "the claim", "one of vjp= and jacobian=", "both",
                            "Check them one after the other.")  # fmt: skip
    subject = passed.in_numpy()
    report: Report | None = None
    if passed.jacobian is not None:
        report = _judged_jacobian(subject, chosen, settings)
    elif passed.vjp is not None:
        report = judge(subject, chosen, settings)
    if passed.jvp is None:
        assert report is not None
        return report
    if report is None:
        return _judged_forward(Tangents(subject, passed.jvp), chosen, settings)
    with planned():
        part = _judged_forward(Tangents(subject, passed.jvp), chosen, settings)
        report = joined(report, part, "in the jvp")
        return _adjoint(subject, Tangents(subject, passed.jvp), report, settings)


def with_entries(
    passed: Passed, chosen: Chosen, settings: Settings, report: Report, told: frozenset[str]
) -> Report:  # fmt: skip
    """The report on a vector-Jacobian product with the wrong entries of its Jacobian, where nothing else explains it.

    Its rows are what it gives for one output at a time. Of ``told`` inputs more is known than entries say.
    """
    vague = {n for f in report.findings if f.cause in ("unexplained", "region") for n in f.tensors} - told
    if not passed.of_arrays or settings.options.method != "auto":
        return report
    subject = passed.in_numpy()
    real = not any(slot.complex for slot in (*subject.outputs, *subject.backward().inputs))
    if not vague or not real or len(subject.outputs) != 1 or subject.outputs[0].size > MOST_ROWS:
        return report
    values = [np.array(leaf.value, copy=True) for leaf in subject.structure.leaves]
    size, shape = subject.outputs[0].size, subject.outputs[0].shape
    try:
        _spending(settings)(size)
        rows = [subject.pulled(values, (unit.reshape(shape),)) for unit in np.eye(size)]
        matrices = [np.array([np.reshape(row[k], -1) for row in rows]) for k in range(len(values))]
        if any(np.shape(m) != (size, v.size) for m, v in zip(matrices, values, strict=True)):
            return report
        shapes = (shape, tuple(v.shape for v in values))
        claimed = Claimed(tuple(matrices), size, tuple(v.size for v in values), shapes)
        columns = Columns(subject, claimed.forward([], {}), _spending(settings))

        def mended(entries: Mapping[int, Entries]) -> float | None:
            right = replace(subject, claimed=replace(claimed, mended=entries))
            return _left(right, chosen, settings, sorted(vague))

        with planned():
            return placed(report, columns, matrices_of(claimed, subject.structure.names, matrices), mended, told)
    except BudgetExhaustedError:
        return replace(report, notes=(*report.notes, OUT_OF_BUDGET))


def first_of(passed: Passed, chosen: Chosen) -> Any:
    """The call that is judged first."""
    subject = passed.in_numpy()
    if passed.jacobian is None and passed.vjp is None:
        assert passed.jvp is not None
        return replace(
            Tangents(subject, passed.jvp).call(_cotangent(subject)), only=chosen.only, exclude=chosen.exclude
        )
    return first_call(subject, chosen)


def _quick(settings: Settings) -> Settings:
    return replace(settings, options=replace(settings.options, method="probe"))


def _cotangent(subject: ArraySubject) -> NDArray[Any]:
    first = subject.cotangents()[0]
    assert first is not None
    return first


def _point(subject: ArraySubject) -> tuple[list[Any], Mapping[str, Any]]:
    return subject.built([np.array(leaf.value, copy=True) for leaf in subject.structure.leaves])


def _judged_jacobian(subject: ArraySubject, chosen: Chosen, settings: Settings) -> Report:
    """The report on a Jacobian, wrong entries and rows named."""
    claimed = subject.claimed
    assert claimed is not None
    inputs, keywords = _point(subject)
    if claimed.lies_crosswise(inputs, keywords):
        turned = replace(subject, claimed=replace(claimed, turned=True))
        left = _left(turned, chosen, settings, subject.structure.names)
        call = replace(turned.call(turned.cotangents()), only=chosen.only, exclude=chosen.exclude)
        return refused(call, settings, "its Jacobian lies crosswise", [_transposed(subject, left)])
    matrices = claimed.at(inputs, keywords)
    report = judge(subject, chosen, settings)
    if settings.options.method == "classic":
        return report
    known = matrices_of(claimed, subject.structure.names, matrices)
    with planned():
        report = _each_row(subject, matrices, chosen, settings, report)
        if report.verdict is Verdict.WRONG and settings.options.method in ("auto", "exhaustive"):
            report = _explained(subject, known, chosen, settings, report)
    return _with_nonfinite(report, known)


def _each_row(
    subject: ArraySubject, matrices: Sequence[Any], chosen: Chosen, settings: Settings, report: Report
) -> Report:  # fmt: skip
    """Judges rows of very different size once more in units of themselves: a small one hides beside a large one."""
    norms = row_norms(matrices)
    if norms is None or report.verdict is Verdict.WRONG or not np.any(norms > 0.0):
        return report
    some = norms[(norms > 0.0) & np.isfinite(norms)]
    if not len(some) or some.max() <= SPREAD * some.min():
        return report
    weights = 1.0 / np.where(norms > 0.0, norms, np.median(some))
    scaled = _cotangent(subject).astype(np.float64) * weights.reshape(subject.outputs[0].shape)
    part = asked(subject, (scaled,), chosen, settings)
    return (
        joined(report, part, "with each output in units of its derivative") if part.verdict is Verdict.WRONG else report
    )


def _explained(
    subject: ArraySubject, known: Sequence[Matrix], chosen: Chosen, settings: Settings, report: Report
) -> Report:  # fmt: skip
    """The report with the wrong entries, or the transpose, that explain it."""
    claimed = subject.claimed
    assert claimed is not None
    inputs, keywords = _point(subject)
    columns = Columns(subject, claimed.forward(inputs, keywords), _spending(settings))
    wrong = [n for n, t in report.tensors.items() if t.verdict is Verdict.WRONG]
    try:
        if _looks_transposed(subject, columns):
            left = _left(replace(subject, claimed=replace(claimed, turned=True)), chosen, settings, wrong)
            if left is not None:
                kept = tuple(f for f in report.findings if f.severity != "error")
                return with_findings(replace(report, findings=kept), [_transposed(subject, left)])

        def mended(entries: Mapping[int, Entries]) -> float | None:
            return _left(replace(subject, claimed=replace(claimed, mended=entries)), chosen, settings, wrong)

        return placed(report, columns, known, mended)
    except BudgetExhaustedError:
        return replace(report, notes=(*report.notes, OUT_OF_BUDGET))


def _spending(settings: Settings) -> Any:
    def spend(evaluations: int) -> None:
        settings.meter.afford(evaluations)
        settings.meter.spend(evaluations)

    return spend


def _left(subject: ArraySubject, chosen: Chosen, settings: Settings, names: Sequence[str]) -> float | None:
    """What is left of the difference with another claim; None where that is not right."""
    with planned():
        found = asked(subject, subject.cotangents(1), chosen, _quick(settings))
    return _remaining(found, names)


def _remaining(found: Report, names: Sequence[str]) -> float | None:
    own = [found.tensors[name] for name in names if name in found.tensors]
    right = bool(own) and all(t.verdict is Verdict.CORRECT for t in own)
    return max(t.difference.high for t in own) if right else None


def _looks_transposed(subject: ArraySubject, columns: Columns) -> bool:
    """Whether the transpose of a square Jacobian gives the measured change along one direction."""
    claimed = subject.claimed
    assert claimed is not None
    if len(claimed.sizes) != 1 or claimed.sizes[0] != claimed.outputs or claimed.outputs < 2:
        return False
    inputs, keywords = _point(subject)
    every = np.arange(claimed.sizes[0])
    measured = columns.off(0, every, seed=5)[2]
    tangent = np.random.default_rng(5).standard_normal(len(every))
    turned = np.asarray(claimed.at(inputs, keywords)[0].T @ tangent).reshape(-1)
    return bool(np.linalg.norm(turned - measured) <= EXPLAINED * np.linalg.norm(measured))


def _transposed(subject: ArraySubject, left: float | None) -> Finding:
    claimed = subject.claimed
    assert claimed is not None
    masks = {
        matrix.name: np.ones(matrix.shape, dtype=bool)
        for matrix in matrices_of(claimed, subject.structure.names, None)
    }  # fmt: skip
    return Finding(
        "transposed", "error", subject.structure.names, Place(f"all of {', '.join(masks)}", masks),
        "The claimed Jacobian is the transpose of the derivative.",
        "Put the derivative of output i by element j in row i, column j.", "Jacobian", repaired=left,
    )  # fmt: skip


def _with_nonfinite(report: Report, known: Sequence[Matrix]) -> Report:
    """Adds where a dense Jacobian is not finite to what is said of that."""
    findings = []
    for finding in report.findings:
        for matrix in known:
            bad = nonfinite(matrix.claim) if matrix.input in finding.tensors and finding.cause == "contract" else None
            if bad is not None:
                i, j = (int(n) for n in np.argwhere(bad)[0])
                count = int(bad.sum())
                text = f"{matrix.name}[{i}, {j}]" if count == 1 else f"{count} entries of {matrix.name}"
                finding = replace(finding, where=Place(text, {**finding.where.masks, matrix.name: bad}, exact=True))
        findings.append(finding)
    return replace(report, findings=tuple(findings))


def _judged_forward(tangents: Tangents, chosen: Chosen, settings: Settings) -> Report:
    """The report on a Jacobian-vector product."""
    subject = tangents.subject
    u = _cotangent(subject)
    called = replace(tangents.call(u), only=chosen.only, exclude=chosen.exclude)
    report = _as_inputs(judged(lambda: called, settings), subject)
    if report.verdict is not Verdict.WRONG or settings.options.method not in ("auto", "exhaustive"):
        return report
    names = [n for n, t in report.tensors.items() if t.verdict is Verdict.WRONG]
    values = [np.array(leaf.value) for leaf in subject.structure.leaves]
    shapes = tuple(np.shape(value) for value in values)
    outputs = subject.outputs[0].size
    known = [
        Matrix(f"J[{k}]" if len(shapes) > 1 else "J", name, (outputs, int(np.prod(shape))), None)
        for k, (name, shape) in enumerate(zip(subject.structure.names, shapes, strict=True))
    ]  # fmt: skip

    def mended(entries: Mapping[int, Entries]) -> float | None:
        with planned():
            fixed = replace(tangents, off=_products(entries, outputs))
            return _remaining(judged(lambda: fixed.call(u), _quick(settings)), names)

    try:
        return placed(report, Columns(subject, tangents.forward(values), _spending(settings)), known, mended)
    except BudgetExhaustedError:
        return replace(report, notes=(*report.notes, OUT_OF_BUDGET))


def _products(entries: Mapping[int, Entries], outputs: int) -> Forward:
    """Entries times tangents."""

    def along(tangents: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        found = np.zeros(outputs)
        for k, own in entries.items():
            np.add.at(found, own.rows, own.off * tangents[k].reshape(-1)[own.columns])
        return found

    return along


def _as_inputs(report: Report, subject: ArraySubject) -> Report:
    """The report on steps along tangents as one on the inputs that they move."""
    shapes = {leaf.name: np.shape(leaf.value) for leaf in subject.structure.leaves}

    def shaped(name: str, known: TensorReport) -> TensorReport:
        return replace(known, shape=shapes[name], size=int(np.prod(shapes[name])))

    findings = []
    for finding in report.findings:
        masks = {name: np.ones(shapes[name], dtype=bool) for name in finding.tensors}
        text = f"all of {', '.join(finding.tensors)}"
        vague = finding.cause in ("region", "permuted", "upstream", "unexplained")
        fix = "Look at how the tangents of these inputs are carried forward."
        findings.append(replace(
            finding, where=Place(text, masks), fix=fix if vague else finding.fix,
            cause="unexplained" if vague else finding.cause,
            message=f"The claimed change of the outputs along tangents of {', '.join(finding.tensors)} is wrong."
            if vague else finding.message,
        ))  # fmt: skip
    return replace(
        report, tensors={name: shaped(name, t) for name, t in report.tensors.items()}, findings=tuple(findings),
        evidence=Evidence(), components=Components(),
    )  # fmt: skip


def _adjoint(subject: ArraySubject, tangents: Tangents, report: Report, settings: Settings) -> Report:
    """Says where both sides contradict one another although neither could be measured well enough."""
    undecided = [n for n, t in report.tensors.items() if t.verdict is Verdict.UNDECIDED]
    if not undecided:
        return report
    rng = np.random.default_rng([subject.seed, 421])
    values = [np.asarray(leaf.value, dtype=np.float64) for leaf in subject.structure.leaves]
    u = _cotangent(subject)
    findings = []
    for k, name in enumerate(subject.structure.names):
        if name not in undecided:
            continue
        vectors = [rng.standard_normal(v.shape) if i == k else np.zeros(v.shape) for i, v in enumerate(values)]

        def sides(bits: float, k: int = k, vectors: list[NDArray[Any]] = vectors) -> tuple[float, float, float]:
            there = [v * (1.0 + bits * np.finfo(np.float64).eps) for v in values]
            moved = tangents.forward(there)(vectors)
            back = np.asarray(subject.pulled(there, (u,))[k], dtype=np.float64)
            size = np.linalg.norm(u) * np.linalg.norm(moved) + np.linalg.norm(back) * np.linalg.norm(vectors[k])
            return float(u.reshape(-1) @ moved), float(np.vdot(back, vectors[k])), float(size)

        forward, backward, size = sides(0.0)
        rounding = max(abs(a - forward) + abs(b - backward) for a, b, _ in map(sides, BITS))
        off = abs(forward - backward)
        if off > settings.options.tolerance_of(name) * size and off > ROUNDINGS * rounding:
            masks = {name: np.ones(values[k].shape, dtype=bool)}
            findings.append(Finding(
                "unexplained", "error", (name,), Place(f"all of {name}", masks),
                f"Both claims contradict one another: u . (J v) is {forward:.6g}, (u J) . v is {backward:.6g}.",
                "One of the two is wrong: give the right one to both sides.", "jvp and vjp are not adjoint",
            ))  # fmt: skip
    return with_findings(report, findings)
