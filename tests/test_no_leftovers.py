"""Files that are shared carry nothing of the machine they were written on, and no notes to self.

The patterns are written with brackets, so that this file does not match itself.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LEFTOVERS = {
    "the path of one machine": re.compile(
        r"(?<![\w.~/-])/(?:[h]ome|[r]oot|[U]sers|[w]ork|[o]pt|[m]nt|[s]cratch)/\w|(?<![\w.~/-])/[t]mp/\w|\b[A-Z]:\\[U]sers\b"
    ),
    "the host of a package registry": re.compile(
        r"[p]ypi\.org|[p]ythonhosted\.|[a]rtifactory|[d]ownload\.pytorch\.org|--(?:extra-)?[i]ndex-url|[c]onda\.anaconda",
        re.IGNORECASE,
    ),
    "a note to self": re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX|[H]ACK)\b"),
}


def leftovers(text: str) -> Iterator[tuple[int, str]]:
    """Line and kind of whatever should have been cleared away."""
    for number, line in enumerate(text.splitlines(), 1):
        for kind, pattern in LEFTOVERS.items():
            if pattern.search(line):
                yield number, kind


def shared_files() -> list[Path]:
    """What git tracks or would track, without what is being deleted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in sorted(set(listed.split("\0")) - {""}) if (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """The content, "" where it is not text."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8")


def test_nothing_is_left_over() -> None:
    files = shared_files()
    assert Path(__file__).resolve() in files
    assert ROOT / "pyproject.toml" in files
    found = [f"{path.relative_to(ROOT)}:{line}: {kind}" for path in files for line, kind in leftovers(text_of(path))]
    assert found == []


# The @ keeps the planted ones from being found in this file.
@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ("data = open('/@home/ada/x.npz')", "the path of one machine"),
        ("see /@tmp/h/out", "the path of one machine"),
        ("C:\\@Users\\ada", "the path of one machine"),
        ("url = 'https://p@ypi.org/simple'", "the host of a package registry"),
        ("pip install --@index-url x", "the host of a package registry"),
        ("# T@ODO: later", "a note to self"),
        ("# F@IXME", "a note to self"),
    ],
)
def test_a_planted_leftover_is_caught(planted: str, kind: str) -> None:
    assert list(leftovers("fine\n" + planted.replace("@", ""))) == [(2, kind)]


@pytest.mark.parametrize(
    "text",
    ["#!/usr/bin/env bash", "docs/work/plan.md", "https://example.org/home/page", "todo_list = mastodon", "~/work/x"],
)
def test_a_near_miss_is_left_alone(text: str) -> None:
    assert list(leftovers(text)) == []
