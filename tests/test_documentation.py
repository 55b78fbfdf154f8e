"""The pages: which of their blocks run, and that what they take from figures is what the figures say."""

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import blocks
import comparison_table

#: What a page says of a block that does not run with it, and why.
REASON = "not run with"


def without_reason(pages: dict[str, str]) -> list[str]:
    """Pages with blocks that do not run and no word on why."""
    return [name for name, text in pages.items() if blocks.counted(text).shown and REASON not in " ".join(text.split())]


def test_a_block_that_does_not_run_has_a_reason() -> None:
    assert without_reason(blocks.pages()) == []


def test_a_planted_block_without_a_reason_is_noticed() -> None:
    page = "# A\n\n```py\nx\n```\n"
    assert without_reason({"a.md": page, "b.md": page + "These blocks are not\nrun with the page, as.\n"}) == ["a.md"]


def test_blocks_are_counted_by_kind() -> None:
    text = (
        "```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n\n```console\n$ a\n```\n\n```toml\n```\n"
    )
    assert blocks.counted(text) == blocks.Count(run=3, compared=2, shown=0)


def test_most_blocks_run() -> None:
    counts = [blocks.counted(text) for text in blocks.pages().values()]
    assert sum(count.run for count in counts) >= 4 * sum(count.shown for count in counts)


def test_the_table_beside_other_checkers_is_the_benchmarks() -> None:
    page = comparison_table.PAGE.read_text(encoding="utf-8")
    content = json.loads(comparison_table.FIGURES.read_text(encoding="utf-8"))
    assert comparison_table.renewed(page, content) == page
    other = copy.deepcopy(content)
    other["results"]["missing 1/m"]["verdicts"]["gradproof"] = {"correct": 1, "wrong": 9}
    changed = comparison_table.renewed(page, other)
    assert "wrong 9, **correct 1**" in changed
    assert "199 of 200" in changed


@pytest.mark.parametrize(
    ("verdicts", "wanted", "cell", "right"),
    [
        ({"wrong": 10}, "wrong", "wrong", 10),
        ({"correct": 10}, "wrong", "**correct**", 0),
        ({"undecided": 4, "wrong": 6}, "wrong", "wrong 6, undecided 4", 6),
        ({"undecided": 4, "wrong": 6}, "not wrong", "**wrong 6**, undecided 4", 4),
        ({"crash": 1, "correct": 2}, "correct", "correct 2, **crash 1**", 2),
    ],
)
def test_a_cell_of_that_table(verdicts: dict[str, int], wanted: str, cell: str, right: int) -> None:
    assert comparison_table.answered(verdicts, wanted) == cell
    assert comparison_table.right(verdicts, wanted) == right
