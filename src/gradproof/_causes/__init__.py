"""What each cause is: one page a cause, as package data beside this file.

The decision behind it: a page is written once, as Markdown that reads well where it lies. The command line shows it,
the documentation links to it, and the tests run the example in it. What pages there are is what files there are.
"""

import difflib
from dataclasses import dataclass
from importlib import resources

from gradproof._errors import InputError

_ENDING = ".md"


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say about one cause.

    Attributes:
        slug: the name of the cause, as it stands in ``finding.cause``.
        text: the page, in Markdown: the slug as its title, what the cause is, what it looks like in a report, an
            example that runs, and what it is confused with.
    """

    slug: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence."""
        _, _, body = self.text.partition("\n\n")
        paragraph, _, _ = body.partition("\n\n")
        first, stop, _ = " ".join(paragraph.split()).partition(". ")
        return first + stop.rstrip()

    @property
    def example(self) -> str:
        """The Python code of the page."""
        _, _, after = self.text.partition("```python\n")
        code, _, _ = after.partition("```")
        return code


def slugs() -> tuple[str, ...]:
    """The causes that have a page, in alphabetical order."""
    names = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)))


def page(slug: str) -> Page:
    """The page of a cause.

    Args:
        slug: the name of the cause.

    Raises:
        InputError: there is no such cause; the message names the nearest one.
    """
    known = slugs()
    if slug not in known:
        near = difflib.get_close_matches(slug.lower().replace("_", "-"), known, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        todo = f"{guess}Run `gradproof causes` for the list."
        raise InputError.of("looking up a cause", "its name", "one that gradproof knows", repr(slug), todo)
    text = resources.files(__name__).joinpath(f"{slug}{_ENDING}").read_text(encoding="utf-8")
    return Page(slug, text)
