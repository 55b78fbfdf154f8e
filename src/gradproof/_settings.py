"""What holds for a setting that a call leaves at None: the flag, the variable, the file, in this order.

The decision behind it: a plain call reads environment variables and nothing else, so a library user pays for no file.
Only who runs cases (the command line, the pytest plugin) reads ``[tool.gradproof]``, and lends it and the flags to the
checks that run inside, through a context variable; what a call says itself always wins.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradproof._errors import InputError

PREFIX = "GRADPROOF_"
FILE = "pyproject.toml"
TABLE = f"[tool.gradproof] in {FILE}"
#: The methods that ``method=`` names.
METHODS = ("auto", "probe", "exhaustive", "classic")
#: Where cases are looked for in a folder.
PATTERNS = ("check_*.py", "*_checks.py")

_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
_SECONDS = re.compile(r"\d+(\.\d*)?s")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        demanded: what its value should be.
        example: such a value, as it is written in the file.
        accepts: whether a value read from the file is one.
        from_text: a value from a variable or a flag; raises ValueError where the text is none.
    """

    demanded: str
    example: str
    accepts: Callable[[Any], bool]
    from_text: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Lent:
    """What whoever runs cases lends to the checks inside: the flags given and, once asked for, the file's table."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    table: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, slots=True)
class Table:
    """``[tool.gradproof]`` as it was found.

    Attributes:
        values: name to value, names with hyphens.
        folder: where the file lies; relative paths in it start there. None where there is no such table.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


_LENT: ContextVar[Lent] = ContextVar("gradproof_settings")
_NOTHING = Lent()


def setting(name: str, given: Any = None) -> Any:
    """The value that holds.

    Args:
        name: one of ``SETTINGS``.
        given: what the call says itself; it wins unless it is None.

    Returns:
        The value; None where nobody says anything, so that the default holds.

    Raises:
        InputError: an environment variable holds something that cannot be its value.
    """
    if given is not None:
        return given
    lent = _LENT.get(_NOTHING)
    if name in lent.flags:
        return lent.flags[name]
    from_environment = _of_environment(name)
    return lent.table().get(name) if from_environment is None else from_environment


@contextmanager
def lending(flags: Mapping[str, Any], table: Callable[[], Mapping[str, Any]] = dict) -> Iterator[None]:
    """Lends settings to the checks that run inside.

    Args:
        flags: name to value, from the command line.
        table: what gives the file's table; called when a check asks for what nobody else says.
    """
    token = _LENT.set(Lent(flags, table))
    try:
        yield
    finally:
        _LENT.reset(token)


def from_text(name: str, text: str, source: str) -> Any:
    """The value of a setting that was written as text.

    Raises:
        InputError: the text is no such value.
    """
    try:
        return SETTINGS[name].from_text(text)
    except ValueError:
        raise _refused(name, "the settings", source, repr(text)) from None


def read_table(folder: Path) -> Table:
    """``[tool.gradproof]`` of the nearest pyproject.toml, in this folder or above it, that has one.

    Raises:
        InputError: the file is no TOML, or the table has a key that nobody knows or a value that cannot be.
    """
    for above in (folder.resolve(), *folder.resolve().parents):
        values = _table_of(above / FILE)
        if values is not None:
            return Table(_known(values, above / FILE), above)
    return Table()


def require_usable_environment() -> None:
    """Refuses an environment variable that looks like a setting and is none, or holds what cannot be one.

    Raises:
        InputError: there is one; the message names the nearest setting.
    """
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX)):
        name = _name(variable.removeprefix(PREFIX))
        if name in SETTINGS:
            _of_environment(name)
        else:
            raise _unknown("the environment", variable, name, lambda known: PREFIX + known.upper().replace("-", "_"))


def _of_environment(name: str) -> Any:
    variable = PREFIX + name.upper().replace("-", "_")
    text = os.environ.get(variable, "").strip()
    return from_text(name, text, f"the environment variable {variable}") if text else None


def _table_of(path: Path) -> Any:
    """The table, None where the file is not there or has none."""
    if not path.is_file():
        return None
    import tomllib  # only who runs cases pays for it

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError.of("reading the settings", str(path), "TOML", f"not ({error})", "Mend the file.") from None
    except OSError as error:
        raise InputError.of("reading the settings", str(path), "readable", f"not ({error})", "Mend that.") from None
    tools = content.get("tool")
    return tools.get("gradproof") if isinstance(tools, dict) else None


def _known(values: Any, path: Path) -> Mapping[str, Any]:
    source = f"[tool.gradproof] in {path}"
    if not isinstance(values, dict):
        raise InputError.of("reading the settings", source, "a table", repr(values), "Write [tool.gradproof].")
    known = {}
    for key, value in values.items():
        name = _name(key)
        if name not in SETTINGS:
            raise _unknown(source, key, name, str)
        if not SETTINGS[name].accepts(value):
            raise _refused(name, source, f"`{key}`", repr(value))
        known[name] = value
    return known


def _name(key: str) -> str:
    return key.lower().replace("_", "-")


def _unknown(source: str, key: str, name: str, written: Callable[[str], str]) -> InputError:
    import difflib

    near = difflib.get_close_matches(name, SETTINGS, n=1)
    guess = f"Did you mean {written(near[0])}? " if near else ""
    known = ", ".join(map(written, SETTINGS))
    return InputError.of(f"reading {source}", repr(key), "a setting", "unknown", f"{guess}There are {known}.")


def _refused(name: str, source: str, what: str, got: str) -> InputError:
    one = SETTINGS[name]
    return InputError.of(f"reading {source}", what, one.demanded, got, f"Write for example {one.example}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < 1.0


def _tolerance(value: Any) -> bool:
    return all(map(_fraction, value.values())) if isinstance(value, dict) and value else _fraction(value)


def _budget(value: Any) -> bool:
    return _whole(value, 1) or (isinstance(value, str) and _SECONDS.fullmatch(value) is not None)


def _workers(value: Any) -> bool:
    return _whole(value, 1) or (_whole(value, -1) and value == -1)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _accepted(value: Any, accepts: Callable[[Any], bool]) -> Any:
    if not accepts(value):
        raise ValueError
    return value


def _read_flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError
    return text.lower() in _YES


def _read_tolerance(text: str) -> Any:
    if "=" not in text:
        return _accepted(float(text), _tolerance)
    pairs = (part.rpartition("=") for part in text.split(","))
    return _accepted({pattern.strip(): float(number) for pattern, _, number in pairs}, _tolerance)


_FLAG = Setting("true or false", "true", lambda value: isinstance(value, bool), _read_flag)
_OUTPUT = Setting("the path of a file, or - for standard output", '"gradients.json"', _text, lambda text: text)

#: Every setting by its name. The first five are arguments of ``check``.
SETTINGS: Mapping[str, Setting] = {
    "method": Setting(
        f"one of {', '.join(METHODS)}", '"probe"', lambda value: value in METHODS,
        lambda text: _accepted(text, lambda value: value in METHODS),
    ),
    "tolerance": Setting(
        "a number between 0 and 1, or such numbers by name pattern", "1e-4", _tolerance, _read_tolerance,
    ),
    "budget": Setting(
        'a positive number of evaluations or seconds as "30s"', "500", _budget,
        lambda text: _accepted(text if text.endswith("s") else int(text), _budget),
    ),
    "seed": Setting(
        "an integer of at least 0", "7", lambda value: _whole(value, 0),
        lambda text: _accepted(int(text), lambda value: _whole(value, 0)),
    ),
    "workers": Setting(
        "a number of processes, or -1 for one a processor", "4", _workers,
        lambda text: _accepted(int(text), _workers),
    ),
    "paths": Setting(
        "a list of files and folders", '["checks"]', _texts,
        lambda text: _accepted(text.split(os.pathsep), _texts),
    ),
    "files": Setting(
        "a list of file name patterns", '["check_*.py"]', _texts,
        lambda text: _accepted([part.strip() for part in text.split(",")], _texts),
    ),
    "strict": _FLAG,
    "json": _OUTPUT,
    "html": _OUTPUT,
    "junit-xml": _OUTPUT,
    "sarif": _OUTPUT,
    "github": _FLAG,
}  # fmt: skip
