"""Functions that return a report, found in a loaded file by their mark.

The decision behind it: the mark is an attribute on the function and there is no registry, so importing a file twice,
in two processes or under pytest changes nothing. A file is loaded under a private name of its own, so that two files of
the same name, or one called ``numpy.py``, do not get in each other's way.
"""

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TypeVar

from gradproof._errors import InputError
from gradproof._records import Report, StagesReport
from gradproof._stages import Stages

MARK = "__gradproof_case__"

_PREFIX = "_gradproof_cases_"

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Case:
    """A marked function in a file.

    Attributes:
        name: its name in the file.
        path: the file, as the user gave it.
        function: what to call.
    """

    name: str
    path: Path
    function: Callable[[], object]

    @property
    def label(self) -> str:
        """The name on the command line, ``FILE.py::NAME``."""
        return f"{self.path}::{self.name}"

    @property
    def line(self) -> int:
        """The line at which the function begins; 1 where it has none, such as a partial."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return int(code.co_firstlineno) if code is not None else 1

    def run(self) -> Report | StagesReport:
        """Calls the function.

        Returns:
            Its report, or that of its stages.

        Raises:
            InputError: the function demands arguments, or returns something else than a report.
        """
        doing = "running a case"
        needed = _required(self.function)
        if needed:
            got = f"a function that demands {', '.join(needed)}"
            raise InputError.of(
                doing,
                self.label,
                "a function without arguments",
                got,
                "Give its parameters defaults, or build what it needs inside.",
            )
        with _on_path(self.path.resolve().parent):
            report = self.function()
        if isinstance(report, Stages):
            return report.report
        if not isinstance(report, Report | StagesReport):
            got = f"a function returning {'None' if report is None else 'a ' + type(report).__name__}"
            raise InputError.of(
                doing, self.label, "a function returning a report", got, "End it with `return gp.check(...)`."
            )
        return report


def case(function: F) -> F:
    """Marks a function as a case for the command line and pytest.

    Args:
        function: takes no arguments and returns the report of a check, or a ``Stages`` or its report.

    Returns:
        The same function.

    Raises:
        InputError: what was marked is not a function, such as a report that was computed already.
    """
    doing, what, demanded = "marking a case", "what @gp.case stands above", "a function returning a report"
    todo = "Put the check inside a function and mark that."
    if not callable(function) or isinstance(function, type):
        got = f"the class {function.__name__}" if isinstance(function, type) else f"a {type(function).__name__}"
        raise InputError.of(doing, what, demanded, got, todo)
    try:
        setattr(function, MARK, True)
    except AttributeError:  # bound methods and built-in functions take no attributes
        got = f"a {type(function).__name__}, which cannot carry a mark"
        raise InputError.of(doing, what, demanded, got, todo) from None
    return function


def require_python_file(path: Path) -> None:
    """Refuses what cannot be a file of cases.

    Raises:
        InputError: there is no such file, or it is not a Python file.
    """
    if not path.is_file():
        got = "a folder" if path.is_dir() else "not there"
        raise InputError.of("loading cases", str(path), "a Python file", got, "Check the path.")
    if path.suffix != ".py":
        got = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
        raise InputError.of("loading cases", str(path), "a Python file (.py)", got, "Rename it, or give another file.")


def load(path: Path) -> ModuleType:
    """Runs a file as a module of its own.

    The file's folder is on ``sys.path`` meanwhile, so that it can import its neighbours.

    Args:
        path: a Python file.

    Returns:
        The module. It stays in ``sys.modules`` under its private name, as pickling its functions demands.

    Raises:
        InputError: there is no such file, or it is not a Python file.
        Exception: whatever the file itself raises.
    """
    require_python_file(path)
    import hashlib  # only a file that is loaded pays for it

    name = f"{_PREFIX}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "the suffix is .py"
    assert spec.loader is not None, "the suffix is .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _on_path(path.resolve().parent):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def cases(module: ModuleType, path: Path | None = None) -> tuple[Case, ...]:
    """The cases that a module defines itself, in the order of the file.

    Args:
        module: a loaded module.
        path: what to call its file; as the module itself says where left out.

    Returns:
        One entry a marked object, under the first name it has. Functions that were imported from elsewhere are left to
        the file that defines them.
    """
    path = path or Path(module.__file__ or module.__name__)
    found: dict[int, Case] = {}
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ != module.__name__:
            continue
        # Asked of the object's own dictionary: a mock or a lazy proxy answers yes to any attribute.
        if callable(value) and getattr(value, "__dict__", {}).get(MARK) is True:
            found.setdefault(id(value), Case(name, path, value))
    return tuple(found.values())


def select(found: Sequence[Case], name: str, path: Path) -> Case:
    """The case of a name.

    Raises:
        InputError: there is none; the message names the nearest and lists all.
    """
    named = {one.name: one for one in found}
    if name in named:
        return named[name]
    near = difflib.get_close_matches(name, named, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    listed = f"The cases there are {', '.join(named)}." if named else "Mark a function with @gp.case."
    got = "not among its cases" if named else "nothing: the file has no case"
    raise InputError.of(f"looking for a case in {path}", repr(name), "the name of a case", got, guess + listed)


def _required(function: Callable[[], object]) -> list[str]:
    """The parameters that a call without arguments would miss."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-in callables may have no signature; calling them will tell
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in variadic]


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """The folder first on ``sys.path``, with no neighbour of another folder's cases standing in its way."""
    for name in list(_strangers(folder)):
        sys.modules.pop(name, None)
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _strangers(folder: Path) -> Iterator[str]:
    """Modules that another folder's case files imported from beside them and that this folder has under the same name.

    Without this, the second of two folders that both hold a ``net.py`` would be checked with the first one's network.
    """
    others = {_folder(module) for name, module in sys.modules.items() if name.startswith(_PREFIX)} - {folder, None}
    for name, module in sys.modules.items():
        top = name.partition(".")[0]
        if not others or name.startswith(_PREFIX) or _folder(sys.modules.get(top, module), package=True) not in others:
            continue
        if (folder / f"{top}.py").exists() or (folder / top).is_dir():
            yield name


def _folder(module: ModuleType, *, package: bool = False) -> Path | None:
    """The folder that a module's file lies in; of a package, if asked, the folder that holds the package."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(file).resolve()
    return path.parent.parent if package and path.name == "__init__.py" else path.parent
