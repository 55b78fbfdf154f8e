"""``gradproof causes``: what a cause is, with a wrong example beside a right one.

The decision behind it: pages are Markdown of four kinds of blocks (headings, paragraphs, items, code), so they are laid
out here in a few lines, as the reports are. Code stays as it is written wherever 80 columns are to be had, so that it
can be copied from the screen; on a narrower terminal it is broken rather than cut off.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from gradproof import _causes
from gradproof._report import text, wording

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

#: How far code is set in.
INDENT = 2

_FENCE = "```"
_CODE = re.compile(r"`([^`]+)`")


def causes(slug: str | None, out: TextIO) -> int:
    """Writes the page of a cause, or one line for each of them.

    Args:
        slug: the cause; all where left out.
        out: where to.

    Returns:
        The exit status, 0.

    Raises:
        InputError: there is no such cause.
    """
    if slug is None:
        text.emit(out, text.pairs([(name, _causes.page(name).summary) for name in _causes.slugs()]))
        text.emit(out, "", "gradproof causes SLUG shows one, with a wrong example beside a right one.")
    else:
        text.emit(out, *_blocks(_causes.page(slug).text))
    return 0


def _blocks(page: str) -> Iterator["RenderableType"]:
    """A page as rich lays it out, with an empty line between its parts."""
    from rich.padding import Padding
    from rich.syntax import Syntax
    from rich.text import Text

    for number, (kind, content) in enumerate(_parts(page)):
        if number:
            yield ""
        if kind == "code":
            code = Syntax(content, "python", theme="ansi_light", background_color="default", word_wrap=True)
            yield Padding(code, (0, 0, 0, INDENT))
        elif kind == "heading":
            yield Text(content, style="bold")
        elif kind == "items":
            yield text.pairs([("-", _styled(item)) for item in content.split("\n- ")])
        else:
            yield _styled(content)


def _parts(page: str) -> Iterator[tuple[str, str]]:
    """The parts of a page: (kind, content), in order."""
    for number, stretch in enumerate(page.split(_FENCE)):
        if number % 2:
            yield "code", stretch.partition("\n")[2].rstrip("\n")
            continue
        for block in filter(None, (part.strip() for part in stretch.split("\n\n"))):
            if block.startswith("#"):
                yield "heading", block.lstrip("# ")
            elif block.startswith("- "):
                yield "items", block[len("- ") :]
            else:
                yield "paragraph", block


def _styled(paragraph: str) -> "Text":
    """A paragraph with its code in bold, each piece of code on one line."""
    from rich.text import Text

    whole = Text()
    for number, piece in enumerate(_CODE.split(" ".join(paragraph.split()))):
        whole.append(piece.replace(" ", wording.TIE) if number % 2 else piece, style="bold" if number % 2 else "")
    return whole
