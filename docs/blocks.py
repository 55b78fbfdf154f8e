"""Counts the blocks of code in README.md and docs/: ``python docs/blocks.py``.

What runs with the tests, as conftest.py reads it: ``python`` and ``console``. A block of ``py`` is Python that is shown
and not run; its page has to say why.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "docs/howto", "docs/explanation", "docs/reference")
_FENCE = re.compile(r"^```([\w-]*)[^\n]*\n.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Count:
    """The blocks of some pages.

    Attributes:
        run: blocks of Python and of a terminal that run.
        compared: those whose page shows what they print.
        shown: blocks of Python that do not run.
    """

    run: int
    compared: int
    shown: int


def pages() -> dict[str, str]:
    """Name to text of every page that may have blocks that run."""
    found = [ROOT / "README.md", *(path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md")))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}


def counted(text: str) -> Count:
    """The blocks of one page."""
    fences = [(match[1], match.start(), match.end()) for match in _FENCE.finditer(text)]
    run = compared = 0
    for number, (language, _, end) in enumerate(fences):
        if language not in ("python", "console"):
            continue
        run += 1
        behind = fences[number + 1] if number + 1 < len(fences) else None
        printed = behind is not None and behind[0] in ("", "text") and not text[end : behind[1]].strip()
        compared += language == "console" or printed
    return Count(run, compared, sum(language == "py" for language, _, _ in fences))


def main() -> None:
    """Prints a line a page and the sums."""
    counts = {name: counted(text) for name, text in pages().items()}
    for name, count in counts.items():
        if count.run or count.shown:
            print(f"{name:40} {count.run:3} run, {count.compared:3} with output, {count.shown:3} not run")
    sums = [sum(getattr(count, part) for count in counts.values()) for part in ("run", "compared", "shown")]
    print(f"{'all':40} {sums[0]:3} run, {sums[1]:3} with output, {sums[2]:3} not run")


if __name__ == "__main__":
    main()
