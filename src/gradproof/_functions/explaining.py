"""Causes that only other cotangents can prove: collapsed to a number, a constant added, a conjugate missing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from gradproof._algebra.backward import Answer, Asked, Cotangents, Repair
from gradproof._algebra.comparing import attempt, listed
from gradproof._functions.merging import with_findings
from gradproof._functions.subject import Subject
from gradproof._records import Finding, Place, Report, Verdict

#: A report for other cotangents, or with the backward pass mended.
Again = Callable[[Cotangents, Repair | None], Report]

#: Gradients are multiples of one another where the cosine between them is this close to 1.
PARALLEL = 1e-6


def explained(
    subject: Subject, report: Report, measured: Sequence[str], again: Again, answers: Sequence[Answer] = ()
) -> Report:  # fmt: skip
    """The report with causes that are proven by a look through other cotangents.

    Args:
        subject: the function.
        report: what is known of it.
        measured: the inputs whose gradient was measured to be wrong.
        again: asks for other reports.
        answers: what the two sets of random cotangents gave, if they were asked.
    """
    report = _affine(subject, report, again)
    proven = {n for f in report.findings if f.repaired is not None for n in f.tensors}
    named = {n for f in report.findings if f.cause == "cotangent" for n in f.tensors}
    wrong = [n for n in measured if n not in proven | named]
    if not wrong:
        return report
    for search in (partial(_collapsed, answers), _conjugated):
        finding = search(subject, report, wrong, again)
        if finding is not None:
            weaker = {f.cause for f in report.findings if f.repaired is None and f.cause in ("region", "upstream")}
            kept = [f for f in report.findings if f.cause not in weaker or not set(f.tensors) <= set(finding.tensors)]
            return with_findings(replace(report, findings=tuple(kept)), [finding])
    return report


def _affine(subject: Subject, report: Report, again: Again) -> Report:
    """Proves that a constant is added, by taking it away."""
    findings = []
    for finding in report.findings:
        if finding.cause == "cotangent" and finding.detail == "added constant" and finding.repaired is None:
            mended = attempt(again, subject.cotangents(), Repair.WITHOUT_CONSTANT)
            finding = replace(finding, repaired=_left(mended, finding.tensors))
        findings.append(finding)
    return with_findings(replace(report, findings=()), findings)


def _left(mended: Report | Exception, names: tuple[str, ...] | list[str]) -> float | None:
    """What is left of the difference where a mended pass is right; None where it is not."""
    if isinstance(mended, Exception):
        return None
    found = [mended.tensors[name] for name in names if name in mended.tensors]
    right = len(found) == len(names) and all(t.verdict is Verdict.CORRECT for t in found)
    return max(t.difference.high for t in found) if right else None


def _collapsed(
    answers: Sequence[Answer], subject: Subject, report: Report, wrong: list[str], again: Again
) -> Finding | None:  # fmt: skip
    """Whether gradients for different cotangents are multiples of one another, and right for one of ones."""
    backward = subject.backward()
    if sum(slot.size for slot in backward.outputs) < 2:
        return None
    pair = answers or [attempt(backward.gradients, Asked(subject.cotangents(number))) for number in (0, 1)]
    if any(isinstance(part, Exception) for part in pair):
        return None
    names = [slot.name for slot in backward.inputs]
    parallel = []
    for i, slot in enumerate(backward.inputs):
        a, b = (part.gradients[i] for part in pair)
        if a is None or b is None:
            continue
        size = float(np.linalg.norm(a) * np.linalg.norm(b))
        if slot.name in wrong and size and abs(np.vdot(a, b)) >= (1.0 - PARALLEL) * size:
            parallel.append(slot.name)
    if not parallel or not any(slot.size > 1 for slot in backward.inputs if slot.name in parallel):
        return None
    ones = tuple(None if u is None else np.ones_like(u) for u in subject.cotangents())
    there = attempt(again, ones, None)
    left = _left(there, parallel)
    if left is None:
        return None
    masks = {name: np.ones(backward.inputs[names.index(name)].shape, dtype=bool) for name in parallel}
    subject_of = listed(parallel)
    return Finding(
        "cotangent", "error", tuple(parallel), Place(f"all of {subject_of}", masks),
        f"The gradient of {subject_of} is the same but for a factor, whatever the cotangent is: that is boiled down to "
        f"one number. For a cotangent of ones it is right.",
        "Use the whole gradient that the backward pass is given, element by element.", "collapsed to a number",
        repaired=left,
    )  # fmt: skip


def _conjugated(subject: Subject, report: Report, wrong: list[str], again: Again) -> Finding | None:
    """Whether the wrong gradients are right once conjugates are put in."""
    backward = subject.backward()
    if not any(slot.complex for slot in (*backward.inputs, *backward.outputs)):
        return None
    for repair, detail, message, fix in (
        (
            Repair.CONJUGATED, "factors not conjugated",
            "The gradient of {} is right once what the cotangent is multiplied by is conjugated.",
            "Multiply the cotangent by the conjugate: W.conj().T for W.T, y.conj() for y.",
        ),
        (
            Repair.CONJUGATE, "the conjugate of it",
            "The gradient of {} is the conjugate of what it should be.",
            "Return dcost/dRe + i dcost/dIm, which is the conjugate of what is returned now.",
        ),
    ):  # fmt: skip
        left = _left(attempt(again, subject.cotangents(), repair), wrong)
        if left is not None:
            shapes = {slot.name: slot.shape for slot in backward.inputs}
            masks = {name: np.ones(shapes[name], dtype=bool) for name in wrong}
            place = Place(f"all of {listed(wrong)}", masks)
            words = message.format(listed(wrong))
            return Finding("conjugate", "error", tuple(wrong), place, words, fix, detail, repaired=left)
    return None
