"""From a wrong module to the custom function whose backward pass is wrong, and why.

The decision behind it: what spoils the gradients of many layers is one backward pass, and that can be judged by itself,
as a function at what it is given in the module. If it is wrong there, its cause is the module's, and the tensors that
it spoils are those behind the inputs whose gradient is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradproof._adapters.pytorch.custom import Called, called
from gradproof._adapters.pytorch.reaching import Reach
from gradproof._adapters.randomness import Snapshot
from gradproof._algebra.comparing import attempt, listed
from gradproof._check import Settings
from gradproof._evaluation import BudgetExhaustedError
from gradproof._functions.judging import Chosen, asked, judge
from gradproof._functions.merging import with_findings
from gradproof._functions.naming import NAMELESS, named, without
from gradproof._functions.subject import Passed, Subject
from gradproof._records import Finding, Place, Report, Verdict

#: Functions that are looked at.
MOST = 12
#: What ends a look at them early, in a note.
OUT_OF_BUDGET = "The budget did not reach for the custom functions one by one, which might have told the cause."


@dataclass(frozen=True)
class Whole:
    """A module with its cost, as the user passed them."""

    module: Any
    cost: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any]

    def called(self) -> list[Called]:
        """The custom functions in it."""
        reach = Reach.of([("cost", self.cost), ("module", self.module), ("args", self.args)], [])
        return called(self.module, self.cost, self.args, self.options, Snapshot.of(reach.sources))


def in_layers(report: Report, whole: Whole, settings: Settings) -> Report:
    """The report with what is wrong in single functions, in place of findings that name no cause."""
    vague = _vague(report)
    calls = attempt(whole.called) if vague else ()
    if isinstance(calls, Exception):
        return report
    findings: list[Finding] = []
    for call in calls[:MOST]:
        left = vague - {n for f in findings for n in f.tensors}
        try:
            findings += _of_function(call, left, report, settings) if left else []
        except BudgetExhaustedError:
            report = replace(report, notes=(*report.notes, OUT_OF_BUDGET))
            break
    told = frozenset(n for f in findings for n in f.tensors)
    kept = tuple(
        without(f, told) if f.cause in NAMELESS else f
        for f in report.findings
        if f.cause not in NAMELESS or not set(f.tensors) <= told
    )
    return with_findings(replace(report, findings=kept), findings) if findings else report


def _vague(report: Report) -> set[str]:
    """Wrong tensors of which no cause is known."""
    errors = [f for f in report.findings if f.severity == "error"]
    known = {n for f in errors if f.cause not in NAMELESS for n in f.tensors}
    return {n for f in errors if f.cause in NAMELESS for n in f.tensors} - known


def _of_function(call: Called, vague: set[str], report: Report, settings: Settings) -> list[Finding]:
    """What is wrong with a function, of the tensors that it spoils."""
    if not vague & frozenset().union(*call.behind):
        return []
    passed = Passed(call.apply, call.args, {}, seed=settings.options.seed)
    subject = attempt(passed.opened)
    seen = subject if isinstance(subject, Exception) else attempt(_judged, subject, settings)
    if isinstance(seen, BudgetExhaustedError):
        raise seen
    if isinstance(seen, Exception) or seen.verdict is not Verdict.WRONG:
        return []
    found, placed = [], {n for f in report.findings if f.cause == "region" for n in f.tensors}
    for finding in seen.findings:
        if finding.severity == "error" and finding.cause != "unexplained":
            behind = frozenset[str]().union(*(call.behind[k] for k in _places(finding, call)))
            wanted = vague & behind if finding.cause not in NAMELESS else (vague & behind) - placed
            tensors = [n for n in report.tensors if n in wanted]
            if tensors:
                found.append(_told(call, finding, tensors, report))
                vague = vague - set(tensors)
    return found


def _judged(subject: Subject, settings: Settings) -> Report:
    """The report on a function; causes are looked for where it is measured to be wrong."""
    quick = replace(settings, options=replace(settings.options, method="probe"))
    seen = asked(subject, subject.cotangents(), Chosen(), quick)
    if seen.verdict is not Verdict.WRONG:
        return seen
    return named(subject, judge(subject, Chosen(), settings), settings)[0]


def _places(finding: Finding, call: Called) -> list[int]:
    """The arguments that a finding is about."""
    return [k for k in range(len(call.args)) if f"inputs[{k}]" in finding.tensors]


def _told(call: Called, finding: Finding, tensors: Sequence[str], report: Report) -> Finding:
    masks = {n: np.ones(report.tensors[n].shape, dtype=bool) for n in tensors}
    whole = Place(f"all of {listed(tensors)}", masks)
    place = next((f.where for f in report.findings if f.cause == "region" and [*f.tensors] == [*tensors]), whole)
    where = f" in {call.layer}" if call.layer else ""
    first = _renamed(call, finding.message)
    return replace(
        finding, tensors=tuple(tensors), where=place,
        message=f"{call.name}{where}, judged by itself, is wrong: {first[:1].lower()}{first[1:]}",
        fix=_renamed(call, finding.fix), detail=_renamed(call, finding.detail),
    )  # fmt: skip


def _renamed(call: Called, words: str) -> str:
    """Words about the arguments of a function with the names of parameters where they are such."""
    for k, parameter in enumerate(call.parameters):
        words = words.replace(f"inputs[{k}]", parameter or f"argument {k} of {call.name}")
    return words
