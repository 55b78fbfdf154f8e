"""A report below a notebook's cell: static, styled in place, readable on light and dark grounds.

The decision behind it: a notebook's own colours are not known, so text takes them over, lines are of a grey that
shows on either, and only what has a ground of its own (the verdict) has colours of its own. There is no script, as most
places that show notebooks would drop it.
"""

import math

from gradproof._records import Difference, Report, StagesReport, TensorReport, Verdict
from gradproof._report import wording
from gradproof._report.curves import ranked
from gradproof._report.headline import headline
from gradproof._report.outline import TENSORS, Outline, answered, outline
from gradproof._report.page.markup import Markup, on_axis, said, sentence, tag, together
from gradproof._report.stages import told_cost, told_finding, told_headline

#: Colours of marks, which need less contrast than text, on either ground.
_MIDDLE = {Verdict.CORRECT: "#2f9e62", Verdict.WRONG: "#d9483d", Verdict.UNDECIDED: "#b98412"}
#: Grounds on which white can be read, and which stand out from white and from black.
_GROUNDS = {Verdict.CORRECT: "#17713f", Verdict.WRONG: "#b3201a", Verdict.UNDECIDED: "#835400"}
_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = f"padding:3px 14px 3px 0;text-align:left;border:0;border-bottom:{_LINE};background:none;font-weight:normal"
_MONO = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px"
_FAINT = "opacity:.75"


def render(report: Report) -> str:
    """The report as a piece of HTML."""
    content = outline(report)
    parts = [_verdict(report.verdict, headline(report), content.cost)]
    parts += [_pairs(finding) for finding in content.findings]
    if content.rows:
        parts.append(_tensors(report, content))
    if content.elements:
        parts.append(_elements(content))
    parts.append(_pairs(content.remarks))
    parts += [_titled("Checklist", content.checklist), _titled("Origin", content.origin)]
    return _whole(parts)


def render_stages(report: StagesReport) -> str:
    """The stages side by side as a piece of HTML."""
    parts = [_verdict(report.verdict, told_headline(report).partition(". ")[2], told_cost(report))]
    parts += [_pairs(tuple(told_finding(finding, told=n == 0))) for n, finding in enumerate(report.findings)]
    if report.stages:
        parts.append(_stages(report))
    parts.append(_titled("Checklist", answered(report.checklist)))
    parts += [_titled("Origin", outline(stage).origin) for stage in list(report.stages.values())[:1]]
    return _whole(parts)


def _whole(parts: list[Markup]) -> str:
    return tag("div", together(parts), style="font-size:13px;line-height:1.5;max-width:860px;color:inherit")


def _stages(report: StagesReport) -> Markup:
    """A row a tensor, a column a stage."""
    names = list(dict.fromkeys(name for stage in report.stages.values() for name in ranked(stage)))
    rows = [_row([said("tensor"), *(said(wording.name(name)) for name in report.stages)], "th", _FAINT)]
    for name in names[:TENSORS]:
        cells = [tag("span", said(wording.name(name, wording.IN_TABLES)), style=_MONO)]
        for tensor in (stage.tensors.get(name) for stage in report.stages.values()):
            cells.append(said("not there") if tensor is None else _cell(tensor))
        rows.append(_row(cells))
    left = f"{wording.counted(len(names) - TENSORS, 'more tensor')}." if len(names) > TENSORS else ""
    return together([_table(rows), tag("div", said(left), style=f"margin-top:4px;{_FAINT}")])


def _cell(tensor: TensorReport) -> Markup:
    dot = tag("span", said("●"), style=f"color:{_MIDDLE[tensor.verdict]}", aria_hidden="true")
    return together([dot, said(f" {tensor.verdict}, {wording.difference(tensor.difference)}")])


def _verdict(verdict: Verdict, first: str, cost: str) -> Markup:
    ground = f"background:{_GROUNDS[verdict]};color:#fff;border-radius:99px;padding:2px 10px;font-weight:600"
    badge = tag("span", said(verdict.upper()), style=ground + ";font-size:12px;white-space:nowrap;margin-right:4px")
    line = tag("div", together([badge, said(" "), tag("b", sentence(first))]), style="font-size:15px")
    return together([line, tag("div", said(cost), style=f"margin-top:4px;font-size:12px;{_FAINT}")])


def _pairs(rows: tuple[tuple[str, str], ...]) -> Markup:
    plain = "border:0;text-align:left;vertical-align:top;background:none"
    lines = []
    for label, text in rows:
        cells = [
            tag("td", said(label), style=f"padding:1px 18px 1px 0;white-space:nowrap;{plain};{_FAINT}"),
            tag("td", sentence(text), style=f"padding:1px 0;{plain}"),
        ]
        lines.append(tag("tr", together(cells), style="background:none"))
    return _table(lines) if lines else Markup("")


def _table(rows: list[Markup]) -> Markup:
    style = "border-collapse:collapse;margin:12px 0 0;border:0;color:inherit;font-size:13px;background:none"
    return tag("table", tag("tbody", together(rows)), style=style)


def _row(cells: list[Markup], kind: str = "td", style: str = "") -> Markup:
    return tag("tr", together(tag(kind, cell, style=f"{_CELL};{style}") for cell in cells), style="background:none")


def _tensors(report: Report, content: Outline) -> Markup:
    rows = [_row([said(head) for head in ("tensor", "shape", "verdict", "difference", "1e-16 … 1")], "th", _FAINT)]
    for name, row in zip(ranked(report), content.rows, strict=False):
        tensor = report.tensors[name]
        reason = tag("div", said(row.reason), style=f"font-size:12px;{_FAINT}") if row.reason else Markup("")
        dot = tag("span", said("●"), style=f"color:{_MIDDLE[tensor.verdict]}", aria_hidden="true")
        rows.append(
            _row(
                [
                    together([tag("span", said(row.tensor), style=_MONO), reason]),
                    said(row.shape),
                    together([dot, said(f" {row.verdict}")]),
                    tag("span", said(row.difference), style=_MONO + ";white-space:nowrap"),
                    _bar(tensor.difference, tensor.tolerance, _MIDDLE[tensor.verdict]),
                ]
            )
        )
    left = tag("div", said(content.unlisted), style=f"margin-top:4px;{_FAINT}") if content.unlisted else Markup("")
    return together([_table(rows), left])


def _bar(difference: Difference, tolerance: float, colour: str) -> Markup:
    """The high end of a difference as a bar on a logarithmic axis, with the tolerance as a line."""
    high = difference.estimate if math.isnan(difference.high) else difference.high
    bar = tag("span", style=f"position:absolute;left:0;top:4px;height:6px;width:{on_axis(high)}%;background:{colour}")
    line = "position:absolute;top:0;height:14px;border-left:2px solid currentColor"
    mark = tag("span", style=f"{line};left:{on_axis(tolerance)}%")
    grey = "rgba(128,128,128,.4)"
    axis = "display:inline-block;position:relative;vertical-align:middle;width:150px;height:14px;background:"
    axis += f"linear-gradient({grey},{grey}) 0 50%/100% 1px no-repeat"
    return tag("span", together([bar, mark]), style=axis, aria_hidden="true")


def _elements(content: Outline) -> Markup:
    rows = [_row([said(head) for head in ("component", "position", "claimed", "reference")], "th", _FAINT)]
    for element in content.elements:
        cells = (element.place, element.position, element.claimed, element.reference)
        rows.append(_row([tag("span", said(cell), style=_MONO) for cell in cells]))
    title = tag("div", tag("b", said(content.worst)), style="margin-top:14px")
    return together([title, _table(rows)])


def _titled(title: str, rows: tuple[tuple[str, str], ...]) -> Markup:
    """Labelled sentences under a title; nothing where there are none."""
    head = tag("div", tag("b", said(title)), style="margin-top:14px;margin-bottom:-8px")
    return together([head, _pairs(rows)]) if rows else Markup("")
