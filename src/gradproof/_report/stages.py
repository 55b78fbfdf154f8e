"""Stages side by side: one column a stage where there is room, else one row.

The decision behind it: what is right everywhere is one line, what only some stages show comes first, and each stage
that is not correct says why in the words of its own report.
"""

import math
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from gradproof._records import Report, StageFinding, StagesReport, TensorReport, Verdict
from gradproof._report import text, wording
from gradproof._report.headline import highest
from gradproof._report.machine import as_dict as report_as_dict
from gradproof._report.outline import TENSORS, answered, outline

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Columns that stand side by side in 80 columns, and the longest name that leaves room for them.
SIDE_BY_SIDE, LONGEST = 4, 18
#: The longest name in a row of its own.
IN_ROWS = 30
#: Causes that say where and not why.
PLACES = ("region", "unexplained")
SCHEMA_VERSION = 1


def render_stages(report: StagesReport) -> str:
    """The stages as text without colours, 80 columns wide."""
    return text.written(stages_blocks(report), getattr(sys.stdout, "encoding", None))


def stages_blocks(report: StagesReport) -> Sequence["RenderableType"]:
    """The stages as what ``text.emit`` writes."""
    from rich.padding import Padding
    from rich.text import Text

    blocks: list[RenderableType] = [Text(told_headline(report), style=text.STYLES[report.verdict])]
    body: list[RenderableType] = [
        text.pairs(told_finding(finding, told=i == 0)) for i, finding in enumerate(report.findings)
    ]
    if report.stages:
        body.append(stages_table(report))
    known = {name for finding in report.findings for name in finding.tensors}
    for name, stage in report.stages.items():
        if stage.verdict is not Verdict.CORRECT:
            body.append(text.pairs(_why(name, stage, known)))
    notes = list(dict.fromkeys(note for stage in report.stages.values() for note in stage.notes))
    if notes:
        body.append(text.pairs([("Note", wording.sentence(note)) for note in notes]))
    body.append(Text(told_cost(report), style="dim"))
    if report.checklist:
        body.append(text.questions(answered(report.checklist)))
    for block in body:
        blocks.extend(("", Padding(block, (0, 0, 0, 2))))
    return blocks


def one_line(report: StagesReport) -> str:
    """The stages in one line."""
    stages = ", ".join(f"{wording.name(name, 30)} {_told(stage)}" for name, stage in report.stages.items())
    line = f"<Stages {report.verdict.upper()}: {stages or 'none checked'}; "
    line += f"{wording.counted(report.evaluations, 'evaluation')}>"
    return wording.elided(wording.spaced(line), 199)


def as_dict(report: StagesReport) -> dict[str, Any]:
    """The content of stages as dicts, lists, strings, numbers and None."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": str(report.verdict),
        "passed": report.passed,
        "stages": {name: report_as_dict(stage) for name, stage in report.stages.items()},
        "findings": [
            {
                "tensors": [*finding.tensors],
                "wrong_at": [*finding.wrong_at],
                "right_at": [*finding.right_at],
                "regime": finding.regime.name,
                "onset": finding.regime.share if math.isfinite(finding.regime.share) else None,
                "evidence": finding.regime.evidence,
                "causes": [*finding.causes],
                "message": finding.message,
                "fix": finding.fix,
                "walked": [*finding.walked],
            }
            for finding in report.findings
        ],
        "evaluations": int(report.evaluations),
        "seconds": float(report.seconds),
        "checklist": [
            {"question": item.question, "status": item.status, "answer": item.answer} for item in report.checklist
        ],
    }


def told_headline(report: StagesReport) -> str:
    """One sentence that would do alone."""
    opening = f"gradproof: {report.verdict.upper()}."
    if not report.stages:
        return f"{opening} No stage was checked yet."
    if report.verdict is Verdict.CORRECT:
        high = max(map(highest, report.stages.values()))
        where = "at the one stage checked" if len(report.stages) == 1 else f"at all {len(report.stages)} stages"
        return f"{opening} No tensor's gradient is off by more than {wording.above(high)} {where}."
    if report.findings:
        return f"{opening} {report.findings[0].message}"
    names = [wording.name(name) for name, stage in report.stages.items() if stage.verdict is report.verdict]
    return f"{opening} {len(names)} of {wording.counted(len(report.stages), 'stage')}: {', '.join(names)}."


def told_finding(finding: StageFinding, *, told: bool) -> list[tuple[str, str]]:
    """A finding's labelled sentences; ``told`` where the headline has said its message already."""
    regime = finding.regime
    way = f" {regime.share:.0%} of the way from {finding.walked[0]} to {finding.walked[1]}"
    where = way if math.isfinite(regime.share) else ""
    rows = [
        ("Stages", "" if told else wording.sentence(finding.message)),
        ("Regime", wording.sentence(f"{regime.name}:{where}{': ' if where else ' '}{regime.evidence}")),
        ("Cause", ", ".join(finding.causes)),
        ("Fix", wording.sentence(finding.fix)),
    ]
    return [row for row in rows if row[1]]


def stages_table(report: StagesReport) -> "RenderableType":
    """One column a stage where there is room, else one row."""
    names = list(report.stages)
    if len(names) > SIDE_BY_SIDE or max(map(len, names)) > LONGEST:
        each = [(wording.name(n, IN_ROWS), *_row(stage)) for n, stage in report.stages.items()]
        return text.table(("stage", "verdict", "at most", "wrong", "evaluations"), each, folding=(0, 3))
    tensors = list(dict.fromkeys(name for stage in report.stages.values() for name in stage.tensors))
    order = sorted(tensors, key=lambda name: min(_urgency(stage.tensors.get(name)) for stage in report.stages.values()))
    rows: list[tuple[str, ...]] = [
        (wording.name(name, wording.IN_TABLES), *(_cell(stage.tensors.get(name)) for stage in report.stages.values()))
        for name in order[:TENSORS]
    ]
    if len(order) > TENSORS:
        rows.append((f"{len(order) - TENSORS:,} more", *("" for _ in names)))
    rows.append(("all", *(_told(stage) for stage in report.stages.values())))
    return text.table(("tensor", *map(wording.name, names)), rows, folding=(0,))


def _row(stage: Report) -> tuple[str, str, str, str]:
    guilty = [name for name, tensor in stage.tensors.items() if tensor.verdict is Verdict.WRONG]
    high = max((t.difference.high for t in stage.tensors.values()), default=math.nan)
    return _told(stage), wording.above(high), wording.names(guilty) or "none", f"{stage.evaluations:,}"


def _urgency(tensor: TensorReport | None) -> int:
    order = [Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT]
    return 3 if tensor is None else order.index(tensor.verdict)


def _cell(tensor: TensorReport | None) -> str:
    if tensor is None:
        return "not checked"
    if tensor.verdict is Verdict.CORRECT:
        return wording.difference(tensor.difference)
    if tensor.verdict is Verdict.WRONG:
        return f"WRONG {tensor.difference.estimate:.1e}" if math.isfinite(tensor.difference.estimate) else "WRONG"
    return "undecided"


def _told(stage: Report) -> str:
    return "WRONG" if stage.verdict is Verdict.WRONG else str(stage.verdict)


def _why(name: str, stage: Report, known: Collection[str]) -> list[tuple[str, str]]:
    """A stage that is not correct, in the words of its own report.

    What only some stages show has been said above, with the regime; the place that it has in one stage adds nothing.
    """
    content = outline(stage)
    said = content.headline.partition(". ")[2] or content.headline
    rows = [(f"{wording.name(name, LONGEST)}", said)]
    for finding, lines in zip(stage.findings, content.findings, strict=True):
        if finding.cause not in PLACES or not set(finding.tensors) <= set(known):
            rows += [(f"  {label}", sentence) for label, sentence in lines if label in ("Cause", "Fix", "Proof")]
    return rows


def told_cost(report: StagesReport) -> str:
    """What the checks and the ways between them have cost."""
    own = sum(stage.evaluations for stage in report.stages.values())
    between = report.evaluations - own
    parts = [f"{wording.counted(own, 'cost evaluation')} at {wording.counted(len(report.stages), 'stage')}"]
    if between:
        parts.append(f"{between:,} between them")
    return f"{', '.join(parts)}, {wording.duration(report.seconds)}."
