"""A sweep through other sizes, scales, zeros and ties, with one report that says where what is wrong.

The decision behind it: each regime is a check of its own, by probes; only where it finds something wrong are causes
looked for there. A regime in which the function does not run, or has no finite value, says nothing.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradproof._adapters.regimes import Regime, regimes_of
from gradproof._algebra.backward import Cotangents
from gradproof._algebra.comparing import attempt
from gradproof._check import Settings
from gradproof._evaluation import BudgetExhaustedError
from gradproof._functions.judging import Chosen, asked
from gradproof._functions.merging import with_findings, worse
from gradproof._functions.subject import Passed, Subject
from gradproof._guard import planned
from gradproof._records import Finding, Report, Verdict

#: Evaluations that one regime takes at least.
LEAST = 30
#: Steps by which a singular point is looked at, and how much faster than the step a slope grows there at least.
CLOSER, GROWS = (1e-3, 1e-5, 1e-7), 2.0


@dataclass(frozen=True)
class _Seen:
    """What a regime has shown."""

    words: str
    report: Report


def in_regimes(passed: Passed, report: Report, chosen: Chosen, settings: Settings) -> Report:
    """The report with what is wrong in other regimes."""
    seen: list[_Seen] = []
    skipped: list[str] = []
    for regime in regimes_of(passed.inputs, passed.keywords, passed.seed):
        try:
            settings.meter.afford(LEAST)
        except BudgetExhaustedError:
            skipped.append(f"{regime.words} and what follows (the budget ran out)")
            break
        with planned():
            found = attempt(_looked_at, passed, regime, chosen, settings)
        if isinstance(found, Report) and found.tensors:
            seen.append(_Seen(regime.words, found))
        else:
            skipped.append(regime.words)
    return _together(report, seen, skipped)


def _looked_at(passed: Passed, regime: Regime, chosen: Chosen, settings: Settings) -> Report | None:
    """The report in one regime; None where the outputs are not finite."""
    subject = replace(passed, inputs=regime.inputs, keywords=regime.keywords).opened()
    cotangents = subject.cotangents()
    quick = replace(settings, options=replace(settings.options, method="probe"))
    found = asked(subject, cotangents, chosen, quick)
    if found.verdict is not Verdict.WRONG and not regime.singular:
        return found
    if settings.options.method == "auto":
        found = asked(subject, cotangents, chosen, settings)
    return _without_poles(subject, cotangents, found) if regime.singular else found


def _without_poles(subject: Subject, cotangents: Cotangents, report: Report) -> Report:
    """The report without gradients that are infinite where the derivative is, as that of a root at zero."""
    call = subject.call(cotangents)
    foreign = call.foreign
    assert foreign is not None
    arrays = [np.array(leaf.value, dtype=np.result_type(leaf.value, np.float64)) for leaf in foreign.structure.leaves]
    names = list(foreign.structure.names)
    poles = set()
    for finding in report.findings:
        for name, mask in finding.where.masks.items():
            if finding.cause not in ("contract", "singular", "overflow") or not mask.any() or mask.all():
                continue
            place = names.index(name)
            index = tuple(int(k) for k in np.argwhere(mask)[0])
            if _grows(call.cost, arrays, place, index):
                poles.add(name)
    kept = tuple(f for f in report.findings if not poles or not set(f.tensors) <= poles)
    tensors = {n: replace(t, verdict=Verdict.UNDECIDED) if n in poles else t for n, t in report.tensors.items()}
    verdict = Verdict.WRONG if any(t.verdict is Verdict.WRONG for t in tensors.values()) else Verdict.UNDECIDED
    return replace(report, findings=kept, tensors=tensors, verdict=verdict) if poles else report


def _grows(cost: object, arrays: Sequence[np.ndarray], place: int, index: tuple[int, ...]) -> bool:
    """Whether difference quotients grow without end as the step falls."""
    assert callable(cost)
    slopes = []
    here = float(cost([a.copy() for a in arrays]))
    for step in CLOSER:
        moved = [a.copy() for a in arrays]
        moved[place][index] += step
        slopes.append(abs(float(cost(moved)) - here) / step)
    return all(later > GROWS * earlier for earlier, later in itertools.pairwise(slopes))


def _together(report: Report, seen: Sequence[_Seen], skipped: Sequence[str]) -> Report:
    """One report: a finding for each cause and its tensors, with the regimes in which it is found and those without."""
    found: dict[tuple[str, tuple[str, ...]], tuple[Finding, list[str]]] = {}
    for one in seen:
        for finding in one.report.findings:
            if finding.severity == "error" or finding.cause == "tie":
                found.setdefault((finding.cause, finding.tensors), (finding, []))[1].append(one.words)
    findings = []
    for (_, names), (finding, where) in found.items():
        already = any(f.severity == "error" and set(names) <= set(f.tensors) for f in report.findings)
        beside = {_kind(words) for words in where} - {""}
        right = [
            one.words for one in seen
            if one.words not in where
            and _kind(one.words) in beside
            and all(_is_right(one.report, name) for name in names)
        ]  # fmt: skip
        message = f"With {_listed(where)}: {finding.message[0].lower()}{finding.message[1:]}"
        message += f" It is right with {_listed(right)}." if right else ""
        if not already:
            findings.append(replace(finding, message=message, detail=finding.detail or "in a regime"))
    wrong = [one for one in seen if one.report.verdict is Verdict.WRONG]
    difference, tensors = report.difference, dict(report.tensors)
    for one in wrong:
        difference = worse(difference, one.report.difference)
        for name, there in one.report.tensors.items():
            if name in tensors and there.verdict is Verdict.WRONG:
                here = tensors[name]
                tensors[name] = replace(here, difference=worse(here.difference, there.difference))
    notes = [f"Judged in {len(seen)} further regimes of sizes, scales, zeros and ties."]
    if skipped:
        notes.append(f"Not judged, as the function does not run or is not finite there: with {_listed(skipped)}.")
    open_ones = [one.words for one in seen if one.report.verdict is Verdict.UNDECIDED]
    if open_ones:
        notes.append(f"Undecided, which leaves the verdict as it is: with {_listed(open_ones)}.")
    return with_findings(replace(report, difference=difference, tensors=tensors), findings, notes)


def _is_right(report: Report, name: str) -> bool:
    return name in report.tensors and report.tensors[name].verdict is Verdict.CORRECT


def _kind(words: str) -> str:
    """What is varied, where a number of it says something."""
    return words.partition(" in place of ")[2] or words.partition(" times ")[0] * (" times " in words)


def _listed(words: Sequence[str]) -> str:
    """The words, with what they have in common said once."""
    groups: dict[str, list[str]] = {}
    for part in words:
        number, shared, rest = part.partition(" in place of ")
        groups.setdefault(shared + rest, []).append(number)
    return _and([_and(numbers) + rest for rest, numbers in groups.items()])


def _and(words: Sequence[str]) -> str:
    if len(words) > 8:
        return f"{', '.join(words[:7])} and {len(words) - 7} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
