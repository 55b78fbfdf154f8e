"""The blocks of README.md and docs/ run with the tests, and what they print is compared with what the page shows.

This file stands at the root because pytest asks a conftest only about files below it. The blocks of one document share
their names, from top to bottom, as a reader who types them in one after the other has them. A block of Python whose
first line is a comment with a file's name (``# check_net.py``) is written to that file instead; a block of ``console``
runs its commands in the folder of these files. The block ``text`` right behind one of Python is its output.

``...`` stands for anything in a line, alone in a line for any lines. Numbers may differ as they do between machines:
times are not compared, bounds of two digits may differ by a factor of four, numbers of evaluations by two.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example, Region, Sybil

# Keras asks for its backend once, when it is first imported, which TensorFlow does as well.
if find_spec("torch") is not None:
    os.environ.setdefault("KERAS_BACKEND", "torch")

_FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_FRAMEWORKS = ("torch", "jax", "tensorflow", "keras")
_COMMANDS = {
    "gradproof": [sys.executable, "-c", "from gradproof._cli.main import run; run()"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"],
    "python": [sys.executable],
}


@dataclass(frozen=True)
class Block:
    """A block that runs: its language, its lines, and what it must print."""

    language: str
    body: str
    shown: str = ""


def blocks(document: Document) -> Iterator[Region]:
    """The blocks of a document that run, each with its output where that follows at once."""
    found = list(_FENCE.finditer(document.text))
    for number, one in enumerate(found):
        if one["language"] not in {"python", "console"}:
            continue
        end, shown = one.end(), ""
        following = found[number + 1] if number + 1 < len(found) else None
        between = document.text[one.end() : following.start()] if following else "-"
        if one["language"] == "python" and following and following["language"] in {"", "text"} and not between.strip():
            end, shown = following.end(), following["body"]
        yield Region(one.start(), end, Block(one["language"], one["body"], shown), evaluate)


def evaluate(example: Example) -> str | None:
    """Runs a block; what differs from the page, None where nothing does."""
    block: Block = example.parsed
    for framework in _FRAMEWORKS:
        named = re.search(rf"^import {framework}\b", example.document.text, re.MULTILINE)
        if named and os.environ.get("TESTS_REQUIRE_ALL") != "1":  # where all is required, the import fails
            pytest.importorskip(framework)
    file = _FILE.match(block.body)
    if block.language == "console":
        return _run(block.body, _folder(example.namespace))
    if file and not block.shown:
        path = _folder(example.namespace) / file[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body[file.end() :].lstrip("\n"), encoding="utf-8")
        return None
    printed = io.StringIO()
    code = compile("\n" * example.line + block.body, str(example.path), "exec")  # so that tracebacks count right
    with redirect_stdout(printed):
        exec(code, example.namespace)
    return _difference(block.shown, printed.getvalue())


def _folder(namespace: dict[str, Any]) -> Path:
    """The folder of one document's files, removed when the document's names go."""
    if "__folder__" not in namespace:
        namespace["__folder__"] = tempfile.TemporaryDirectory()
    return Path(namespace["__folder__"].name)


def _run(body: str, folder: Path) -> str | None:
    """Runs the lines that begin with ``$``; each is followed by what it prints."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        program, *arguments = shlex.split(line)
        if program == "pytest" and not entry_points(group="pytest11", name="gradproof"):
            arguments = ["-p", "_gradproof_pytest", *arguments]
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRADPROOF"))}
        own |= {"COLUMNS": "80"}
        own.pop("CI", None)  # pytest prints whole messages there, and not what a reader's terminal shows
        done = subprocess.run(
            [*_COMMANDS[program], *arguments], cwd=folder, env=own, encoding="utf-8", check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if told := _difference(shown, done.stdout):
            return f"$ {line}\n{told}"
    return None


def _difference(shown: str, printed: str) -> str | None:
    expected, got = _lines(shown), _lines(printed)
    if expected == ["..."]:
        return "The page shows nothing of what is printed."
    return None if _match(expected, got) else f"The page shows:\n{shown}\nWhat was printed:\n{printed}"


def _lines(text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line]


def _match(expected: Sequence[str], got: Sequence[str]) -> bool:
    if not expected:
        return not got
    if expected[0] == "...":
        return any(_match(expected[1:], got[start:]) for start in range(len(got) + 1))
    return bool(got) and _alike(expected[0], got[0]) and _match(expected[1:], got[1:])


def _alike(expected: str, got: str) -> bool:
    """Whether a line is as shown, but for what may differ between machines."""
    pieces = [_NUMBER.split(part) for part in expected.split("...")]
    pattern = ".*".join(rf"({_NUMBER.pattern})".join(map(re.escape, part)) for part in pieces)
    found = re.fullmatch(pattern, got)
    if found is None:
        return False
    numbers = [(one[0], expected[one.end() :]) for one in _NUMBER.finditer(expected)]
    return all(_near(shown, other, behind) for (shown, behind), other in zip(numbers, found.groups(), strict=True))


def _near(shown: str, got: str, behind: str) -> bool:
    if re.match(r" (ms|s|min)\b", behind) or re.match(r"s\b", behind):
        return True
    first, second = (float(text.replace(",", "")) for text in (shown, got))
    if first == second:
        return True
    small, large = sorted((abs(first), abs(second)))
    if re.match(r" (cost )?evaluations?\b", behind):
        return large <= 2 * small
    if "." not in shown and "e" not in shown:
        return False
    if "e" in shown and len(re.sub(r"e.*|\D", "", shown)) <= 2:
        return large <= 4 * small
    return large - small <= 1e-5 * large


pytest_collect_file = Sybil(
    parsers=[blocks],
    patterns=["README.md", "docs/*.md", "docs/howto/*.md", "docs/explanation/*.md", "docs/reference/*.md"],
).pytest()
