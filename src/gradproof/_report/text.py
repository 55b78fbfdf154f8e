"""The report as text, for terminals, pipes and exception messages.

The decision behind it: rich lays the lines out, but only ever gets ``Text`` objects, so that no name is read as markup,
and always writes into memory, so that the last word on colours and on characters that a stream cannot show is ours.
"""

import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from gradproof._records import Components, Report, Verdict
from gradproof._report import wording
from gradproof._report.outline import Element, Outline, Row, outline, worst_components

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

WIDTH = 80
#: How wide a line may become to keep a name whole: the longest name of a table and the other columns.
LONGEST = wording.IN_TABLES + 120

#: Wider lines are harder to read, narrower ones cannot hold the table.
_NARROWEST, _WIDEST = 60, 120
_REASON = 22
_GAP = 2
_ASCII = str.maketrans({"±": "+-", "×": "x", "·": "-", "–": "-", "—": "-", "’": "'", "→": "->", "≤": "<=", "…": "..."})
STYLES = {Verdict.CORRECT: "bold green", Verdict.WRONG: "bold red", Verdict.UNDECIDED: "bold yellow"}


def render(report: Report) -> str:
    """The report as text without colours and without a line break at its end.

    It has 80 columns, or as many as its longest name needs, up to ``LONGEST``. Characters that standard output lacks
    are written in ASCII, since printing is what becomes of most strings.
    """
    return written(_blocks(outline(report), WIDTH), getattr(sys.stdout, "encoding", None))


def render_components(worst: Components) -> str:
    """Measured components as the text of a report lists them."""
    from rich.text import Text

    heading, elements = worst_components(worst)
    if not elements:
        return "No component was measured one by one."
    return written([Text(heading), _elements(elements)], getattr(sys.stdout, "encoding", None))


def written(blocks: Sequence["RenderableType"], encoding: str | None) -> str:
    """Renderables as a string of 80 columns without colours, in characters that an encoding has."""
    return encodable(_laid_out(blocks, WIDTH, colour=False, widening=True), encoding)


def write(report: Report, stream: TextIO) -> None:
    """Writes the report: in colour only to a terminal, and only where NO_COLOR does not forbid it."""
    emit(stream, *_blocks(outline(report), width_of(stream)))


def emit(stream: TextIO, *blocks: "RenderableType") -> None:
    """Writes rich renderables as a report would be written, each on lines of its own.

    Args:
        stream: where to; characters that its encoding lacks are written in ASCII.
        blocks: what to write; strings are taken literally.
    """
    text = _laid_out(blocks, width_of(stream), colour=coloured(stream), widening=not stream.isatty()) + "\n"
    stream.write(encodable(text, getattr(stream, "encoding", None)))


def coloured(stream: TextIO) -> bool:
    """Whether colours may be written: to a terminal that knows them, without NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Columns to use on a stream: a terminal's own within reason, 80 elsewhere."""
    if not stream.isatty():
        return WIDTH
    return min(max(shutil.get_terminal_size((WIDTH, 24)).columns, _NARROWEST), _WIDEST)


def encodable(text: str, encoding: str | None) -> str:
    """The text in characters that an encoding has; None stands for one that has all."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")
    return text


def pairs(rows: Sequence[tuple[str, "str | Text"]]) -> "Table":
    """Labelled sentences, the labels in a column of their own; strings are taken literally."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, sentence in rows:
        grid.add_row(Text(label, style="bold"), Text(sentence) if isinstance(sentence, str) else sentence)
    return grid


def questions(checklist: Sequence[tuple[str, str]]) -> "Table":
    """The checklist as a table."""
    return table(("checklist", "answer"), checklist, folding=(0, 1))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], folding: Sequence[int]) -> "Table":
    """A table without rules.

    Args:
        header: one word a column.
        rows: the cells; one that reads as a verdict gets its colour.
        folding: the columns whose cells may be broken over lines; all others keep theirs whole.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, head in enumerate(header):
        grid.add_column(Text(head), no_wrap=column not in folding, overflow="fold")
    styles = {str(verdict): style for verdict, style in STYLES.items()}
    for row in rows:
        # A column that keeps its cells whole says so to rich's measure, too, which counts words.
        cells = (cell if column in folding else cell.replace(" ", wording.TIE) for column, cell in enumerate(row))
        grid.add_row(*(Text(cell, style=styles.get(cell.lower(), "")) for cell in cells))
    return grid


def _blocks(content: Outline, width: int) -> list["RenderableType"]:
    from rich.padding import Padding
    from rich.text import Text

    blocks: list[RenderableType] = [Text(content.headline, style=STYLES[content.verdict])]
    body: list[RenderableType] = [pairs(finding) for finding in content.findings]
    if content.rows:
        body.extend(_tensors(content.rows, width))
        if content.unlisted:
            body[-1:] = [_stacked(body[-1], Text(content.unlisted))]
    if content.elements:
        body.append(_stacked(Text(content.worst, style="bold"), _elements(content.elements)))
    body.append(pairs(content.remarks))
    body.append(Text(content.cost, style="dim"))
    if content.checklist:
        body.append(questions(content.checklist))
    for block in body:
        blocks.extend(("", Padding(block, (0, 0, 0, 2))))
    return blocks


def _tensors(rows: Sequence[Row], width: int) -> list["RenderableType"]:
    """The table of tensors; the reasons as a column where there is room for it, else below."""
    from rich.cells import cell_len

    header = ("tensor", "shape", "verdict", "difference")
    cells = [(row.tensor, row.shape, row.verdict, row.difference) for row in rows]
    used = sum(max(cell_len(row[column]) for row in (header, *cells)) + _GAP for column in range(len(header)))
    reasons = [(row.tensor, row.reason) for row in rows if row.reason]
    if not reasons:
        return [table(header, cells, folding=(0,))]
    if used + _REASON + _GAP <= width:
        wide = [(*cell, row.reason) for cell, row in zip(cells, rows, strict=True)]
        return [table((*header, "reason"), wide, folding=(0, 4))]
    return [table(header, cells, folding=(0,)), table(("tensor", "reason"), reasons, folding=(0, 1))]


def _elements(elements: Sequence[Element]) -> "Table":
    cells = [(row.place, row.position, row.claimed, row.reference) for row in elements]
    return table(("component", "position", "claimed", "reference"), cells, folding=(0,))


def _stacked(*blocks: "RenderableType") -> "RenderableType":
    from rich.console import Group

    return Group(*blocks)


def _laid_out(blocks: Sequence["RenderableType"], width: int, *, colour: bool, widening: bool) -> str:
    """The blocks as lines; a block that cannot keep its words whole is ``widening`` beyond the width, or folds them."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.text import Text

    memory = io.StringIO()
    console = Console(
        file=memory,
        width=max(width, LONGEST),
        height=25,
        color_system="standard" if colour else None,
        force_terminal=colour,
        force_jupyter=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for block in (Text(block) if isinstance(block, str) else block for block in blocks):
        needed = Measurement.get(console, console.options, block).minimum if widening else 0
        console.print(block, width=max(width, needed))
    lines = wording.spaced(memory.getvalue()).splitlines()
    return "\n".join(line.rstrip() for line in lines)
