"""What a run was asked for: the flags over the environment over the file."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradproof._cli.outputs import FORMS, STANDARD_OUTPUT, require_apart
from gradproof._settings import PATTERNS, SETTINGS, Table, from_text, lending, read_table, setting

#: The settings that are arguments of ``check``.
OF_CHECKS = ("method", "tolerance", "budget", "seed", "workers")


@dataclass(frozen=True, slots=True)
class Request:
    """What a run was asked for.

    Attributes:
        paths: files, folders and ``FILE.py::NAME``.
        patterns: the names of files of cases in folders.
        keyword: which cases are meant, as ``-k`` takes it; "" for all.
        listing: whether the cases are only listed.
        strict: whether undecided counts as wrong.
        github: whether annotations are written.
        outputs: form to where it is written.
        flags: what the command line says for the checks inside.
        table: what ``[tool.gradproof]`` says.
    """

    paths: tuple[str, ...]
    patterns: tuple[str, ...] = PATTERNS
    keyword: str = ""
    listing: bool = False
    strict: bool = False
    github: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)


def request(asked: argparse.Namespace) -> Request:
    """Puts together the flags, the environment and the file.

    Raises:
        InputError: something of it cannot be.
    """
    table = read_table(Path.cwd())
    given = {name: vars(asked).get(name.replace("-", "_")) for name in SETTINGS}
    flags = {name: value for name, value in given.items() if value not in (None, [])}
    flags |= {name: from_text(name, flags[name], f"the flag --{name}") for name in OF_CHECKS if name in flags}
    outputs = {name: where for name in FORMS if (where := _chosen(name, flags, table))}
    require_apart(outputs)
    return Request(
        paths=tuple(_chosen("paths", flags, table) or ["."]),
        patterns=tuple(_chosen("files", flags, table) or PATTERNS),
        keyword=asked.keyword,
        listing=asked.listing,
        strict=bool(_chosen("strict", flags, table)),
        github=bool(_chosen("github", flags, table)),
        outputs=outputs,
        flags=flags,
        table=table.values,
    )


def _chosen(name: str, flags: Mapping[str, Any], table: Table) -> Any:
    """A setting of the run; paths in the file start where the file lies."""
    with lending(flags):
        value = setting(name)
    if value is not None or name not in table.values:
        return value
    value = table.values[name]
    if table.folder is None or name not in {"paths", *FORMS}:
        return value
    if name == "paths":
        return _anchored(value, table.folder)
    return value if value == STANDARD_OUTPUT else _anchored([value], table.folder)[0]


def _anchored(paths: Sequence[str], folder: Path) -> list[str]:
    return [os.path.relpath(folder / path) for path in paths]
