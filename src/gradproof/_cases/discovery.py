"""Which files hold cases, and which of their cases are meant.

The decision behind it: a file that is found by its name alone is loaded only if it speaks of gradproof, since to load a
file is to run it and ``check_links.py`` may be anybody's script. A file that is named is taken at its word.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from gradproof._cases.marked import require_python_file
from gradproof._errors import InputError

#: What a file must contain to be loaded where only its name was matched.
WORD = b"gradproof"

#: Folders in which nobody keeps cases of their own, besides hidden ones and virtual environments.
_OTHERS = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})
_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")

Matcher = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """A file, and the one case in it that is meant; "" for all."""

    path: Path
    name: str = ""


def targets(asked: Sequence[str], patterns: Sequence[str]) -> list[Target]:
    """The files that are meant by what was asked for, each once.

    Args:
        asked: files, folders, or ``FILE.py::NAME``.
        patterns: what the names of files in a folder must match.

    Raises:
        InputError: something of it is not there, or is neither a folder nor a Python file.
    """
    found: dict[Target, None] = {}
    for one in asked:
        target = _target(one)
        if target.path.is_dir() and not target.name:
            found.update(dict.fromkeys(map(Target, _files(target.path, patterns))))
        else:
            require_python_file(target.path)
            found[target] = None
    return list(found)


def matcher(expression: str) -> Matcher:
    """What tells whether a case is meant by an expression, as in pytest's ``-k``.

    Args:
        expression: pieces of names, upper and lower case alike, joined by ``and``, ``or``, ``not`` and brackets; a
            name matches where it contains the piece.

    Returns:
        A function of a case's label.

    Raises:
        InputError: it is no such expression.
    """
    tokens = _TOKEN.findall(expression)
    tree, rest = _either(tokens, expression)
    if rest:
        raise _nonsense(expression)
    return lambda label: tree(label.lower())


def _target(one: str) -> Target:
    """``FILE.py::NAME`` in its parts; a file whose own name contains ``::`` is taken as it is."""
    path, separator, name = one.rpartition("::")
    if not separator or Path(one).exists():
        return Target(Path(one))
    if not name or not path:
        raise InputError.of(
            "reading the arguments",
            repr(one),
            "FILE.py or FILE.py::NAME",
            "half of it",
            "Complete it, or leave out ::.",
        )
    return Target(Path(path), name)


def _files(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files of cases in a folder and below it, in the order of their names."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _passed_over(Path(here, name)))
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix == ".py" and any(fnmatchcase(name, one) for one in patterns) and _speaks_of_it(path):
                yield path


def _passed_over(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _OTHERS or (folder / "pyvenv.cfg").exists()


def _speaks_of_it(path: Path) -> bool:
    try:
        return WORD in path.read_bytes()
    except OSError:
        return False


def _either(tokens: Sequence[str], whole: str) -> tuple[Matcher, Sequence[str]]:
    left, rest = _both(tokens, whole)
    while rest and rest[0].lower() == "or":
        right, rest = _both(rest[1:], whole)
        left = _any(left, right)
    return left, rest


def _both(tokens: Sequence[str], whole: str) -> tuple[Matcher, Sequence[str]]:
    left, rest = _one(tokens, whole)
    while rest and rest[0].lower() == "and":
        right, rest = _one(rest[1:], whole)
        left = _all(left, right)
    return left, rest


def _one(tokens: Sequence[str], whole: str) -> tuple[Matcher, Sequence[str]]:
    if not tokens or tokens[0].lower() in {"and", "or", ")"}:
        raise _nonsense(whole)
    first, rest = tokens[0].lower(), tokens[1:]
    if first == "not":
        inner, rest = _one(rest, whole)
        return (lambda label: not inner(label)), rest
    if first == "(":
        inner, rest = _either(rest, whole)
        if not rest or rest[0] != ")":
            raise _nonsense(whole)
        return inner, rest[1:]
    return (lambda label: first in label), rest


def _any(left: Matcher, right: Matcher) -> Matcher:
    return lambda label: left(label) or right(label)


def _all(left: Matcher, right: Matcher) -> Matcher:
    return lambda label: left(label) and right(label)


def _nonsense(expression: str) -> InputError:
    return InputError.of(
        "reading the arguments", f"-k {expression!r}", "names joined by and, or, not and brackets", "something else",
        "Write for example -k 'net and not slow'.",
    )  # fmt: skip
