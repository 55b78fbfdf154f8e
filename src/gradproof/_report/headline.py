"""The first sentence of a report.

The decision behind it: whoever reads no further must not be misled, so the first sentence carries the verdict, its
tensors and its bound, and says nothing that the report does not hold.
"""

from collections.abc import Sequence

from gradproof._records import Finding, Report, TensorReport, Verdict
from gradproof._report import wording


def headline(report: Report) -> str:
    """One to three sentences that would do alone: what is known, of which tensors, and of how many."""
    if not report.tensors:
        return "There was no tensor to check." if report.verdict is Verdict.CORRECT else "No tensor was judged."
    if report.verdict is Verdict.CORRECT:
        return _all_correct(report)
    guilty = named(report, report.verdict)
    if report.verdict is Verdict.WRONG:
        found = errors(report)
        said = wording.sentence(found[0].message) if found else ""
        said = said or _wrong("The", guilty)
        if found and (others := [name for name in guilty if name not in found[0].tensors]):
            said += f" {_wrong('Further, the', others)}"
    else:
        why = reason(report, guilty)
        subject = wording.names(guilty) or "The gradient"
        said = wording.sentence(f"{subject} cannot be judged{': ' + why if why else ''}")
        said += " Nothing was proven wrong."
    correct = named(report, Verdict.CORRECT)
    verb = "is" if len(report.tensors) == 1 else "are"
    return f"{said} {len(correct):,} of {wording.counted(len(report.tensors), 'tensor')} {verb} correct."


def _wrong(opening: str, tensors: Sequence[str]) -> str:
    subject, verb = ("gradient", "is") if len(tensors) == 1 else ("gradients", "are")
    return f"{opening} claimed {subject} of {wording.names(tensors)} {verb} wrong."


def _all_correct(report: Report) -> str:
    # A tensor can be correct without a small interval: where claim and reference are both zero to rounding, 0/0 says
    # nothing. Such tensors are counted apart instead of spoiling the bound of the others.
    bounded = _bounded(report)
    zero = len(report.tensors) - len(bounded)
    size = sum(tensor.size for tensor in report.tensors.values())
    basis = (
        f"({wording.counted(len(report.tensors), 'tensor')}, {wording.counted(size, 'parameter')}, "
        f"{wording.counted(report.evaluations, 'evaluation')})"
    )
    if not bounded:
        return f"Claim and reference are zero as far as the cost can tell {basis}."
    most = highest(report)
    bound = f"off by more than {wording.above(most)}" if most else "off at all"
    said = f"No tensor's gradient is {bound} {basis}."
    if zero:
        verb = "is" if zero == 1 else "are"
        said += f" Of these, {wording.counted(zero, 'tensor')} {verb} zero as far as the cost can tell."
    return said


def _bounded(report: Report) -> list[TensorReport]:
    return [tensor for tensor in report.tensors.values() if tensor.difference.high <= tensor.tolerance]


def highest(report: Report) -> float:
    """The largest bound on the difference of a correct tensor that has one."""
    return max((tensor.difference.high for tensor in _bounded(report)), default=0.0)


def errors(report: Report) -> list[Finding]:
    """The findings that make their tensors wrong."""
    return [finding for finding in report.findings if finding.severity == "error"]


def named(report: Report, verdict: Verdict) -> list[str]:
    """The tensors of a verdict."""
    return [tensor.name for tensor in report.tensors.values() if tensor.verdict is verdict]


def reason(report: Report, tensors: Sequence[str]) -> str:
    """The first reason that any of these tensors has; "" where none has one."""
    return next((report.tensors[name].reason for name in tensors if report.tensors[name].reason), "")
