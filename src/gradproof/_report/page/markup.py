"""What a page says, as markup: everything that can be read without a script.

The decision behind it: a piece of markup is of a type of its own, ``Markup``, which only this file makes, and every
string becomes one by being escaped. What was not escaped is then a plain string, and no plain string is put together
with markup here.
"""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NewType

import numpy as np

from gradproof._records import ChecklistItem, Component, Report, TensorReport, Verdict
from gradproof._report import wording
from gradproof._report.curves import URGENCY, ranked
from gradproof._report.headline import headline
from gradproof._report.outline import Outline, Row, outline

Markup = NewType("Markup", str)

#: What may not be broken over two lines; none of it has a meaning in markup.
_UNBROKEN = re.compile(r"((?:± )?\b\d[\d.]*e[-+]?\d+\)?|\[[\d:, ]{1,24}\])")
#: Most rows of the table of components.
COMPONENTS = 100
#: The axis of relative differences reaches from here to 1.
DECADES = 16
_ANSWERS = {"yes": "✓", "NO": "✕", "open": "?", "not checked": "–"}
_SIGNS = {Verdict.CORRECT: "✓", Verdict.WRONG: "✕", Verdict.UNDECIDED: "?"}


def said(text: str) -> Markup:
    """The text as it is read, whatever it contains."""
    return Markup(html.escape(wording.visible(wording.spaced(text)), quote=True))


def sentence(text: str) -> Markup:
    """The text as it is read, without line breaks inside of numbers such as 6.2e-08 and W2[4, 7]."""
    return Markup(_UNBROKEN.sub(r'<span class="unbroken">\1</span>', said(text)))


def together(parts: Iterable[Markup]) -> Markup:
    """Pieces of markup in a row."""
    return Markup("".join(parts))


def tag(name: str, content: Markup = Markup(""), **attributes: str) -> Markup:
    """An element; attributes are escaped, ``class_`` is ``class`` and other underscores are hyphens."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{said(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{content}</{name}>")


def badge(verdict: Verdict) -> Markup:
    """A verdict as a word with a sign, so that no colour is needed to tell it."""
    sign = tag("span", said(_SIGNS[verdict]), aria_hidden="true")
    return tag("span", Markup(f"{sign} {said(str(verdict))}"), class_=f"badge {verdict}")


def report(one: Report, name: str, number: int) -> Markup:
    """A whole report as an article."""
    content = outline(one, len(one.tensors), COMPONENTS)
    parts = [
        _verdict(one, content, name),
        _findings(one, content),
        _tensors(one, content, number),
        _evidence(number),
        _components(one, content, number),
        _power(one, number),
        _notes(content),
        checklist(one.checklist),
        _origin(content),
    ]
    return tag(
        "article",
        together(parts),
        class_="report",
        id=f"report-{number}",
        aria_label=wording.name(name) if name else "Report",
    )


def stages(reports: Mapping[str, Report]) -> Markup:
    """Several reports side by side: a row a tensor, a column a report."""
    names = list(dict.fromkeys(name for one in reports.values() for name in ranked(one)))
    heads = [tag("th", said("tensor"), scope="col")]
    for number, (stage, one) in enumerate(reports.items()):
        label = wording.name(stage) + " "
        link = tag("a", together([said(label), badge(one.verdict)]), href=f"#report-{number}", class_="stage")
        heads.append(tag("th", link, scope="col"))
    rows = []
    for name in names:
        cells = [tag("th", said(wording.name(name)), scope="row")]
        cells += [_stage(one.tensors.get(name)) for one in reports.values()]
        rows.append(tag("tr", together(cells)))
    table = tag("table", together([tag("thead", tag("tr", together(heads))), tag("tbody", together(rows))]))
    title = tag("h2", said("Side by side"), id="stages-title")
    scroll = tag("div", table, class_="scroll", tabindex="0", role="region", aria_label="Side by side")
    return tag("section", together([title, scroll]), class_="stages", aria_labelledby="stages-title")


def _stage(tensor: TensorReport | None) -> Markup:
    if tensor is None:
        return tag("td", said("not there"), class_="none")
    return tag("td", together([badge(tensor.verdict), said(" " + wording.difference(tensor.difference))]))


def _verdict(one: Report, content: Outline, name: str) -> Markup:
    stage = tag("p", said(wording.name(name)), class_="name") if name else Markup("")
    parts = [
        stage,
        tag("p", badge(one.verdict)),
        tag("h1", sentence(headline(one))),
        tag("p", said(content.cost), class_="cost"),
    ]
    return tag("section", together(parts), class_=f"verdict {one.verdict}")


def _findings(one: Report, content: Outline) -> Markup:
    if not one.findings:
        return Markup("")
    cards = []
    for finding, sentences in zip(one.findings, content.findings, strict=True):
        place = tag("span", said(" in " + wording.name(str(finding.where), wording.IN_NAMES * 2)), class_="place")
        title = tag("h3", together([tag("code", said(wording.plain(finding.cause))), place]))
        rows = [pair(label, text) for label, text in sentences if label != "Where" or finding.where.masks]
        cards.append(tag("article", together([title, tag("dl", together(rows))]), class_=f"finding {finding.severity}"))
    return tag("section", together([tag("h2", said("Findings")), *cards]))


def pair(label: str, text: str) -> Markup:
    """A labelled sentence of a list."""
    return together([tag("dt", said(label)), tag("dd", sentence(text))])


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[Markup], name: str, label: str) -> Markup:
    """A table that scripts can sort and filter.

    Args:
        heads: title of each column and how it is sorted: ``text``, ``number``, or ``""`` for not at all.
        rows: its rows.
        name: to find it by.
        label: what it is called where it is not seen.
    """
    columns = together(tag("th", said(title), scope="col", data_sort=kind) for title, kind in heads)
    body = together([tag("thead", tag("tr", columns)), tag("tbody", together(rows))])
    table = tag("table", body, id=name, class_="sortable")
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)


def _tensors(one: Report, content: Outline, number: int) -> Markup:
    if not one.tensors:
        return Markup("")
    order = [one.tensors[name] for name in ranked(one)]
    rows = [_tensor(tensor, row, place) for place, (tensor, row) in enumerate(zip(order, content.rows, strict=True))]
    heads = [("tensor", "text"), ("shape", "number"), ("verdict", "text"), ("difference", "number"), ("", "")]
    title = tag("h2", said("Tensors"))
    axis = "The bars show the relative difference between claim and reference on a logarithmic axis: solid between the "
    axis += "bounds of its interval, pale below. The line is the tolerance."
    table = _table(heads, rows, f"tensors-{number}", "Tensors")
    return tag("section", together([title, tag("p", said(axis), class_="hint"), table]), class_="tensors")


def _tensor(tensor: TensorReport, row: Row, place: int) -> Markup:
    # The word "difference" covers both the number and its picture, so the sorting key sits on the number's cell.
    reason = tag("small", said(row.reason)) if row.reason else Markup("")
    cells = [
        tag("th", together([tag("span", said(row.tensor)), reason]), scope="row", data_key=row.tensor),
        tag("td", said(row.shape), data_key=str(tensor.size), class_="shape"),
        tag("td", badge(tensor.verdict), data_key=str(URGENCY.index(tensor.verdict))),
        tag("td", said(row.difference), data_key=_key(tensor.difference.estimate)),
        tag("td", _bar(tensor), class_="chart"),
    ]
    return tag("tr", together(cells), class_=str(tensor.verdict), data_row=str(place))


def _bar(tensor: TensorReport) -> Markup:
    low, high = tensor.difference.low, tensor.difference.high
    if math.isnan(low) or math.isnan(high):  # no error bar is known
        low = high = tensor.difference.estimate
    first, last = on_axis(low), on_axis(high)
    place = f"--a:{first}%;--b:{last}%;--t:{on_axis(tensor.tolerance)}%"
    return tag("span", tag("i"), class_="bar", style=place, aria_hidden="true")


def on_axis(difference: float) -> float:
    """Where a relative difference lies on the axis, in per cent of its length."""
    if math.isnan(difference) or difference <= 0.0:
        return 0.0
    return round(100.0 * min(1.0, max(0.0, 1.0 + math.log10(difference) / DECADES)), 1)


def _evidence(number: int) -> Markup:
    """An empty place that scripts fill; it is not seen without them."""
    return tag("section", class_="evidence", id=f"evidence-{number}", hidden="hidden")


def _components(one: Report, content: Outline, number: int) -> Markup:
    if not content.elements:
        return Markup("")
    heads = [("component", ""), ("position", "number"), ("claimed", "number"), ("reference", "number")]
    heads += [("mismatch", "number"), ("relative", "number")]
    worst = one.worst(COMPONENTS)
    rows = []
    for component, element in zip(worst, content.elements, strict=True):
        off, size = abs(component.mismatch), max(abs(component.claimed), abs(component.reference))
        relative = off / size if size > 0.0 else 0.0
        cells = [
            tag("th", said(element.place), scope="row"),
            tag("td", said(element.position), data_key=str(component.position)),
            tag("td", said(element.claimed), data_key=_key(component.claimed)),
            tag("td", said(element.reference), data_key=_key(component.reference)),
            tag("td", said(_mismatch(component)), data_key=_key(off)),
            tag("td", said(f"{relative:.1e}"), data_key=_key(relative)),
        ]
        rows.append(tag("tr", together(cells)))
    heading, _, rest = content.worst.partition(" (")
    title = tag("h2", said(heading))
    about = f"{rest.removesuffix(')')[:1].upper()}{rest.removesuffix(')')[1:]}."
    if len(worst) < len(one.components):
        about += f" The {len(worst)} with the largest mismatch are listed."
    table = _table(heads, rows, f"components-{number}", heading)
    return tag("section", together([title, tag("p", said(about), class_="hint"), table]), class_="components")


def _mismatch(component: Component) -> str:
    within = abs(component.mismatch) <= component.error_bar
    return "within the error bar" if within else f"{abs(component.mismatch):.2e}"


def _power(one: Report, number: int) -> Markup:
    rows = []
    for name, power in one.power.items():
        cells = [
            tag("th", said(wording.name(name, wording.IN_TABLES)), scope="row"),
            tag("td", said(wording.above(power.size)), data_key=_key(power.size)),
            tag("td", said(f"{power.miss_probability:.0e}")),
        ]
        rows.append(tag("tr", together(cells)))
    if not rows:
        return Markup("")
    heads = [("tensor", ""), ("relative difference", "number"), ("chance to miss a larger one", "")]
    title = tag("summary", tag("h2", said("What would have been caught")))
    hint = "The smallest relative difference of a tensor that this check would have caught."
    table = _table(heads, rows, f"power-{number}", "What would have been caught")
    return tag("details", together([title, tag("p", said(hint), class_="hint"), table]), class_="power")


def _notes(content: Outline) -> Markup:
    rows = [pair(label, text) for label, text in content.remarks]
    return tag("section", together([tag("h2", said("Notes")), tag("dl", together(rows))]), class_="notes")


def checklist(items: Sequence[ChecklistItem]) -> Markup:
    """The course notes' checklist; a sign beside each status, as of verdicts."""
    if not items:
        return Markup("")
    heads = together(tag("th", said(title), scope="col") for title in ("question", "status", "measured"))
    rows = []
    for item in items:
        sign = tag("span", said(_ANSWERS.get(item.status, "")), aria_hidden="true")
        status = tag("span", together([sign, said(f" {item.status}")]), class_=f"answer {item.status.split(' ')[0]}")
        cells = [tag("th", said(item.question), scope="row"), tag("td", status), tag("td", sentence(item.answer))]
        rows.append(tag("tr", together(cells)))
    body = together([tag("thead", tag("tr", heads)), tag("tbody", together(rows))])
    hint = "The course notes' questions, answered from what was measured. What was not measured is not checked."
    table = tag("div", tag("table", body), class_="scroll", tabindex="0", role="region", aria_label="Checklist")
    title = tag("h2", said("Checklist"))
    return tag("section", together([title, tag("p", said(hint), class_="hint"), table]), class_="checklist")


def _origin(content: Outline) -> Markup:
    rows = [pair(label, text) for label, text in content.origin]
    return tag("section", together([tag("h2", said("Origin")), tag("dl", together(rows))]), class_="notes origin")


def _key(number: complex) -> str:
    """A number by which rows are sorted; complex ones by their size."""
    value = abs(number) if np.iscomplexobj(number) else float(number.real)
    return f"{value:.9g}" if math.isfinite(value) else ""
