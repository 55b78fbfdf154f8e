"""A function judged from all sides: all outputs together, each alone, and by the laws of a backward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Call
from gradproof._algebra.alone import MOST
from gradproof._algebra.backward import Answer, Asked, Backward, Cotangents, Returned, Slot
from gradproof._algebra.comparing import attempt, listed, told
from gradproof._algebra.laws import Tried, tried
from gradproof._check import Settings, judged, refused
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._functions.explaining import explained
from gradproof._functions.merging import joined, with_findings
from gradproof._functions.subject import Subject
from gradproof._guard import planned
from gradproof._records import Finding, Place, Report, Verdict

#: What PyTorch and JAX say of gradients whose form does not fit.
REFUSED = (
    "returned an invalid gradient", "returned an incorrect number of gradients", "expected Variable or None",
    "Custom VJP bwd rule", "Custom JVP rule",
)  # fmt: skip
#: Evaluations that the laws take at most, as a rule.
LAWS = 80


@dataclass(frozen=True)
class Chosen:
    """Which inputs are checked, by patterns of their names."""

    only: Sequence[str] = ()
    exclude: Sequence[str] = ()


def judge(subject: Subject, chosen: Chosen, settings: Settings) -> Report:
    """The report on a function with its backward pass."""
    everything = subject.cotangents()
    first = attempt(subject.backward().gradients, Asked(everything))
    broken = _malformed(subject, first)
    if broken is not None:
        return refused(first_call(subject, chosen), settings, "its gradient is of no form that fits", [broken])
    report = asked(subject, everything, chosen, settings)
    if settings.options.method == "classic":
        return report
    with planned():
        return _further(subject, (everything, first), chosen, settings, report)


def first_call(subject: Subject, chosen: Chosen) -> Call:
    """The call that is judged first."""
    return replace(subject.call(subject.cotangents()), only=chosen.only, exclude=chosen.exclude)


def _further(
    subject: Subject, asked_first: tuple[Cotangents, Any], chosen: Chosen, settings: Settings, report: Report
) -> Report:  # fmt: skip
    """The report with what the laws and each output alone say, given the first cotangents and what they gave."""
    everything = asked_first[0]
    tested = _laws(subject, asked_first, report, settings) if settings.options.method == "auto" else Tried(())
    failing = any(f.severity == "error" and f.detail == "undefined cotangent" for f in tested.findings)
    if not failing:
        report = _each_alone(subject, everything, chosen, settings, report)
    if settings.options.method == "auto":
        measured = [name for name, found in report.tensors.items() if found.verdict is Verdict.WRONG]
        report, findings = _lawful(report, tested.findings)
        report = with_findings(report, findings, tested.notes)
        report = explained(
            subject,
            report,
            measured,
            lambda u, repair: asked(subject, u, chosen, _quick(settings), repair),
            tested.answers,
        )
    return report


def _malformed(subject: Subject, found: Any) -> Finding | None:
    """What is wrong with the form of what the backward pass returns, where the framework itself refuses it."""
    if not isinstance(found, RuntimeError | TypeError | ValueError) or not any(
        words in str(found) for words in REFUSED
    ):
        return None
    masks = {slot.name: np.ones(slot.shape, dtype=bool) for slot in subject.backward().inputs}
    names = tuple(masks)
    return Finding(
        "contract", "error", names, Place(f"all of {listed(names)}", masks), f"{told(found)}.",
        "Return one gradient an argument of the forward pass, of the argument's shape, or None.", "refused",
        also=("unbroadcast",),
    )  # fmt: skip


def asked(
    subject: Subject, cotangents: Cotangents, chosen: Chosen, settings: Settings, repair: Any = None
) -> Report:  # fmt: skip
    """The report on a function seen through given cotangents."""
    return judged(lambda: replace(subject.call(cotangents, repair), only=chosen.only, exclude=chosen.exclude), settings)


def _quick(settings: Settings) -> Settings:
    """The same without looking for causes."""
    return replace(settings, options=replace(settings.options, method="probe"))


def _each_alone(
    subject: Subject, everything: Cotangents, chosen: Chosen, settings: Settings, report: Report
) -> Report:  # fmt: skip
    """Judges each output alone, the others' cotangents undefined."""
    outputs = [(k, slot) for k, slot in enumerate(subject.outputs) if everything[k] is not None]
    if len(outputs) < 2:
        return report
    parts: dict[str, Report] = {}
    for k, slot in outputs[:MOST]:
        alone = tuple(u if i == k else None for i, u in enumerate(everything))
        parts[slot.name] = asked(subject, alone, chosen, settings)
    if len(outputs) > MOST:
        words = f"Each of the first {MOST} outputs was judged alone; the others together with all."
        report = with_findings(report, (), [words])
    wrong = {name: part for name, part in parts.items() if part.verdict is Verdict.WRONG}
    if wrong and len(wrong) < len(parts):
        report = _forgotten(report, parts)
    if len(wrong) == len(parts) and report.verdict is Verdict.WRONG:
        return report  # it is wrong through and through, and the whole has said why
    for name, part in parts.items():
        known = [f for f in report.findings if f.cause == "missing-path" and f.detail == f"through {name}"]
        told = {n for f in known for n in f.tensors}
        rest = tuple(f for f in part.findings if f.cause != "zero" or not set(f.tensors) <= told)
        part = replace(part, findings=rest)
        report = joined(report, part, f"for {name} alone")
    return report


def _forgotten(report: Report, parts: dict[str, Report]) -> Report:
    """Names outputs that a gradient knows nothing of, while it is right for the others."""
    findings = []
    for name, part in parts.items():
        for zero in (f for f in part.findings if f.cause == "zero" and f.severity == "error"):
            others = [other for key, other in parts.items() if key != name]
            tensors = [
                n for n in zero.tensors
                if all(other.tensors[n].verdict is Verdict.CORRECT for other in others)
                and any(other.tensors[n].difference.high < 1.0 for other in others)
            ]  # fmt: skip
            if tensors:
                subject = " and ".join(tensors)
                findings.append(Finding(
                    "missing-path", "error", tuple(tensors), zero.where,
                    f"The gradient of {subject} lacks what comes through {name}; through the others it is right.",
                    f"Add the part that the cotangent of {name} sends back.", f"through {name}",
                    repaired=max(part.tensors[n].difference.high for part in others for n in tensors),
                ))  # fmt: skip
    return with_findings(report, findings)


def _lawful(report: Report, findings: Sequence[Finding]) -> tuple[Report, list[Finding]]:
    """The report and the broken laws beside one another: what is said of a tensor twice is said once.

    What is not linear in the cotangent may look like a factor, or like anything, for one cotangent; that is left out.
    Limits are the one exception, being a cause of that kind.
    """
    clipped = {n for f in report.findings if f.cause == "clipped" and f.repaired is not None for n in f.tensors}
    crooked = {n for f in findings if f.cause == "cotangent" for n in f.tensors} - clipped
    kept = tuple(
        f for f in report.findings
        if f.severity != "error" or f.cause == "contract" or not set(f.tensors) <= crooked
    )  # fmt: skip
    new = [f for f in findings if f.cause != "cotangent" or not set(f.tensors) <= clipped]
    new = [f for f in new if not any(g.cause == f.cause and set(f.tensors) <= set(g.tensors) for g in kept)]
    return replace(report, findings=kept), new


def _laws(subject: Subject, asked_first: tuple[Cotangents, Any], report: Report, settings: Settings) -> Tried:
    """What the laws say, given the first cotangents and answer; nothing where the budget does not reach for them."""
    try:
        settings.meter.afford(LAWS)
    except BudgetExhaustedError:
        return Tried((), ("The budget did not reach for the laws of a backward pass (cotangents, layouts, calls).",))
    backward = Counted(subject.backward(), settings.meter)
    tolerance = {slot.name: settings.options.tolerance_of(slot.name, slot.format) for slot in backward.inputs}
    right = [name for name, found in report.tensors.items() if found.verdict is Verdict.CORRECT]
    with np.errstate(all="ignore"):
        everything, first = asked_first
        given = first if isinstance(first, Answer) else None
        return tried(backward, (everything, subject.cotangents(1)), tolerance, right, given)


@dataclass(frozen=True)
class Counted:
    """A backward pass whose calls are counted."""

    pass_: Backward
    meter: Meter

    @property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""
        return self.pass_.inputs

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that have cotangents."""
        return self.pass_.outputs

    @property
    def values(self) -> tuple[Any, ...]:
        """The numbers of the inputs."""
        return self.pass_.values

    @property
    def laid_out(self) -> bool:
        """Whether inputs can be given in other layouts."""
        return self.pass_.laid_out

    @property
    def draws(self) -> bool:
        """Whether the function draws random numbers."""
        return self.pass_.draws

    def gradients(self, asked: Asked) -> Answer:
        """A forward and a backward pass."""
        self.meter.spend(1)
        return self.pass_.gradients(asked)

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """Two backward passes through one forward pass."""
        self.meter.spend(1)
        return self.pass_.twice(asked)

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The first backward pass, made after another forward and backward pass."""
        self.meter.spend(2)
        return self.pass_.interleaved(asked, other)

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """Gradients as the user's code returned them."""
        self.meter.spend(1)
        return self.pass_.returned(asked)

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """What the function returns where nothing is differentiated."""
        found = self.pass_.undifferentiated(asked)
        self.meter.spend(1 if found else 0)
        return found

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """What forward mode makes of tangents."""
        found = self.pass_.pushed(tangents)
        self.meter.spend(0 if found is None else 1)
        return found
