"""The index of the causes in the documentation, from their pages: ``python tests/causes_index.py`` writes it."""

from pathlib import Path

from gradproof import _causes

INDEX = Path(__file__).resolve().parents[1] / "docs" / "causes.md"
PAGES = "../src/gradproof/_causes"

_HEAD = """# Causes of wrong gradients

Each name stands in a report as the cause of a finding. Its page says what it is, what it looks like in a report, how it
is told from others, and shows a wrong backward pass beside the right one. `gradproof causes SLUG` shows the same page.

| cause | what it is |
|---|---|
"""


def index() -> str:
    """The content of the index."""
    rows = (f"| [`{slug}`]({PAGES}/{slug}.md) | {_causes.page(slug).summary} |\n" for slug in _causes.slugs())
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    INDEX.write_text(index(), encoding="utf-8")
