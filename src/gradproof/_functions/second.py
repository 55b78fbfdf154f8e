"""``double-backward``: the derivative of a backward pass, judged like any other."""

from dataclasses import replace

import numpy as np

from gradproof._check import Settings
from gradproof._functions.judging import Chosen, asked
from gradproof._functions.merging import joined, with_findings
from gradproof._functions.subject import Subject
from gradproof._guard import planned
from gradproof._records import Finding, Place, Report, Verdict


def with_second(subject: Subject, report: Report, chosen: Chosen, settings: Settings) -> Report:
    """The report with the second derivative judged as well."""
    found = subject.second()
    if isinstance(found, str):
        masks = {name: np.ones(t.shape, dtype=bool) for name, t in report.tensors.items()}
        finding = Finding(
            "double-backward", "error", tuple(report.tensors), Place("the second derivative", masks),
            f"The backward pass cannot be differentiated: {found}.",
            "Write the backward pass with operations that can be differentiated, from saved inputs and outputs.",
            "not differentiable",
        )  # fmt: skip
        return with_findings(report, [finding])
    with planned():
        part = asked(found, found.cotangents(), chosen, settings)
    right = {n for n, t in report.tensors.items() if t.verdict is Verdict.CORRECT}
    if part.verdict is Verdict.WRONG:
        wrong = tuple(n for n, t in part.tensors.items() if t.verdict is Verdict.WRONG)
        if right >= set(wrong) & set(report.tensors):
            part = _renamed(part, wrong)
    return joined(report, part, "in the second derivative")


def _renamed(part: Report, wrong: tuple[str, ...]) -> Report:
    """A wrong second derivative beside a right first one is one fault, whatever it looks like by itself."""
    causes = [f for f in part.findings if f.severity == "error"]
    words = sorted({f.cause for f in causes} - {"unexplained", "double-backward"})
    masks = {name: np.ones(part.tensors[name].shape, dtype=bool) for name in wrong}
    known = {name: mask for f in reversed(causes) for name, mask in f.where.masks.items() if name in masks}
    repaired = [f.repaired for f in causes]
    least = min(part.tensors[name].difference.low for name in wrong)
    finding = Finding(
        "double-backward", "error", wrong, Place(f"the second derivative in {', '.join(wrong)}", {**masks, **known}),
        f"the first derivative is right, and the second is off by a relative difference of at least {least:.1e}"
        + (f"; it looks like {', '.join(words)}." if words else "."),
        "Save inputs and outputs with save_for_backward, not intermediate results made from them, and use no detached "
        "or constant copies in the backward pass.",
        ", ".join(words) or "wrong second derivative",
        also=tuple(words),
        repaired=max((r for r in repaired if r is not None), default=None) if None not in repaired else None,
    )  # fmt: skip
    return replace(part, findings=(finding, *(f for f in part.findings if f.severity != "error")))
