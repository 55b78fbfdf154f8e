"""Which room may import which, and the reader that holds the source to it.

The decision behind it: the rules are data, and the reader is a function from a source folder to violations that never
imports what it reads. So a rule can be tried on a made-up package of two files, and a module that does not import
here (another framework, another platform) is still read.

A room is a first-level module or folder of the package; the pytest plugin beside the package is one as well. A room
named here need not exist yet; a room that exists must be named here.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "gradproof"
FACE = "__init__"
PLUGIN = "_gradproof_pytest"

#: Room -> the rooms it may import. Move a wall here when the work shows that it stands in the wrong place, and in
#: docs/architecture.md, whose table is compared with this one.
ROOMS: Mapping[str, frozenset[str]] = {
    room: frozenset(allowed.split())
    for room, allowed in {
        "_errors": "",
        "_causes": "_errors",
        "_guard": "_errors",
        "_settings": "_errors",
        "_tree": "_errors",
        "_records": "_errors",
        "_numerics": "",
        "_problem": "_records _tree _errors",
        "_evaluation": "_problem _records _tree _errors",
        "_algebra": "_records _errors",
        "_adapters": "_numerics _algebra _problem _tree _records _errors",
        "_reference": "_numerics _problem _evaluation _records",
        "_verdict": "_numerics _problem _reference _records",
        "_localisation": "_problem _reference _verdict _records",
        "_diagnosis": "_problem _reference _verdict _localisation _records",
        "_pipeline": "_errors _tree _records _numerics _problem _evaluation _adapters _reference _verdict"
        " _localisation _diagnosis",
        "_check": "_errors _guard _tree _records _numerics _problem _evaluation _adapters _reference _verdict"
        " _localisation _diagnosis _pipeline _settings",
        "_functions": "_errors _guard _records _evaluation _algebra _adapters _pipeline _check",
        "_plan": "_check _guard _adapters _pipeline _evaluation _records _errors",
        "_report": "_records _errors",
        "_stages": "_check _guard _records _evaluation _adapters _functions _pipeline _tree _errors",
        "callbacks": "_check _guard _stages _records _errors",
        "network": "",
        "_cases": "_check _report network _stages _records _errors",
        "_cli": "_cases _causes _check _guard _plan _report network _stages _records _settings _errors",
        PLUGIN: f"{FACE} _cases _cli _check _report _records _settings _errors",
    }.items()
} | {FACE: frozenset({"everything"})}

#: The imports that the table does not allow and that are made all the same, inside functions only: who, whom.
LAZY_EXCEPTIONS = frozenset({("_records", "_report")})

#: Packages of others -> the rooms that may import them. What is not named here belongs to FRAMEWORK_ROOMS alone.
THIRD_PARTY: Mapping[str, frozenset[str]] = {
    "numpy": frozenset(ROOMS) - {"_errors", "_causes", "_settings"},
    "rich": frozenset({"_report", "_cli"}),
    "matplotlib": frozenset({"_report", "_records"}),
    "pytest": frozenset({PLUGIN}),
    "argcomplete": frozenset({"_cli"}),
    "lightning": frozenset({"callbacks"}),
    "transformers": frozenset({"callbacks"}),
    "skorch": frozenset({"callbacks"}),
    "keras": frozenset({"callbacks", "_adapters"}),
}
FRAMEWORK_ROOMS = frozenset({"_adapters"})

#: Imported inside functions only, so that `import gradproof` does not pay for them.
SLOW = frozenset({"rich", "matplotlib", "argcomplete"})
#: Rooms that pay for nothing of ours and for no NumPy when they are imported: pytest loads its plugins at every start.
THRIFTY = frozenset({PLUGIN})

JUNK_DRAWERS = frozenset({"utils", "util", "helpers", "helper", "misc", "common"})


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement, with its target resolved to a full dotted name."""

    module: str
    target: str
    file: str
    line: int
    inside_function: bool
    for_types_only: bool

    @property
    def at_start(self) -> bool:
        """Whether it runs when the module is imported."""
        return not (self.inside_function or self.for_types_only)


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that the source breaks, and where."""

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.rule})"


def violations(source: Path) -> list[Violation]:
    """All the rules on all modules of the package below ``source``, and on the plugin beside it."""
    files = modules(source)
    imports = [found for name, path in files.items() for found in imports_of(name, path, source, frozenset(files))]
    return [
        *_unknown_rooms(files),
        *_names(files),
        *_walls(imports),
        *_outsiders(imports),
        *_thrift(imports),
        *_cycles(imports),
    ]


def modules(source: Path) -> dict[str, Path]:
    """Dotted name -> file, a package under its own name."""
    found = {}
    for path in [*sorted((source / PACKAGE).rglob("*.py")), source / f"{PLUGIN}.py"]:
        parts = path.relative_to(source).with_suffix("").parts
        if path.exists():
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str | None:
    """The room that a dotted name lies in; None where it is not ours."""
    parts = module.split(".")
    if parts[0] == PLUGIN:
        return PLUGIN
    if parts[0] != PACKAGE:
        return None
    return parts[1] if len(parts) > 1 else FACE


def imports_of(module: str, path: Path, source: Path, known: frozenset[str]) -> list[Import]:
    """Every import of one file: plain, relative, inside functions, for types only, and by a literal name."""
    reader = _Reader(module, path.name == "__init__.py", known)
    reader.visit(ast.parse(path.read_text(encoding="utf-8")))
    file = path.relative_to(source).as_posix()
    return [Import(module, target, file, line, inside, types) for target, line, inside, types in reader.found]


class _Reader(ast.NodeVisitor):
    """Collects (target, line, inside a function, for types only)."""

    def __init__(self, module: str, is_package: bool, known: frozenset[str]) -> None:
        self.module, self.is_package, self.known = module, is_package, known
        self.found: list[tuple[str, int, bool, bool]] = []
        self._inside_function = False
        self._for_types_only = False

    def _add(self, target: str, line: int) -> None:
        self.found.append((target, line, self._inside_function, self._for_types_only))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node.module or "", node.level)
        for alias in node.names:
            # `from a import b` reaches the module a.b where there is one, and else a name that a defines.
            whole = f"{base}.{alias.name}"
            self._add(whole if whole in self.known else base, node.lineno)

    def _absolute(self, target: str, level: int) -> str:
        if not level:
            return target
        parts = self.module.split(".")
        here = parts[: len(parts) - level + self.is_package]
        return ".".join([*here, target] if target else here)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
            self._add(str(node.args[0].value), node.lineno)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        before, self._inside_function = self._inside_function, True
        self.generic_visit(node)
        self._inside_function = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # the names that ast.NodeVisitor looks for
    visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
        before, self._for_types_only = self._for_types_only, self._for_types_only or name == "TYPE_CHECKING"
        for statement in node.body:
            self.visit(statement)
        self._for_types_only = before
        self.visit(test)
        for statement in node.orelse:
            self.visit(statement)


def _unknown_rooms(files: Mapping[str, Path]) -> Iterator[Violation]:
    for name in sorted({room(module) or "" for module in files} - set(ROOMS)):
        yield Violation("room", name, f"the room {name} is not in the table of rooms; add it with what it may import")


def _names(files: Mapping[str, Path]) -> Iterator[Violation]:
    for module in files:
        for part in module.split("."):
            if part.strip("_").lower() in JUNK_DRAWERS:
                yield Violation("name", module, f"{part} says nothing about what lives there; name it after its job")
        if any(part.startswith("_") and part != "__main__" for part in module.split(".")[2:]):
            yield Violation("name", module, "inside a room names carry no underscore; the room is private already")


def _walls(imports: Iterable[Import]) -> Iterator[Violation]:
    for one in imports:
        here, there = room(one.module), room(one.target)
        if here is None or there is None or here in (there, FACE) or there in ROOMS.get(here, frozenset()):
            continue
        if (here, there) in LAZY_EXCEPTIONS:
            if not one.inside_function:
                yield _at(one, "wall", f"{here} may import {there} inside functions only")
            continue
        yield _at(one, "wall", f"{here} may not import {there}, only {_listed(ROOMS.get(here, frozenset()))}")


def _outsiders(imports: Iterable[Import]) -> Iterator[Violation]:
    for one in imports:
        here, package = room(one.module) or "", one.target.split(".")[0]
        if room(one.target) is not None or package in sys.stdlib_module_names:
            continue
        if here not in THIRD_PARTY.get(package, FRAMEWORK_ROOMS):
            allowed = _listed(THIRD_PARTY.get(package, FRAMEWORK_ROOMS))
            yield _at(one, "outsider", f"{here} may not import {package}, only {allowed} may")
        if package in SLOW and one.at_start:
            yield _at(one, "outsider", f"{package} is imported inside functions only, so that it costs who uses it")


def _thrift(imports: Iterable[Import]) -> Iterator[Violation]:
    for one in imports:
        ours = room(one.target) is not None or one.target.split(".")[0] == "numpy"
        if room(one.module) in THRIFTY and ours and one.at_start:
            yield _at(one, "thrift", f"{one.module} imports {one.target} inside functions only")


def _cycles(imports: Iterable[Import]) -> Iterator[Violation]:
    rooms: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for one in imports:
        here, there = room(one.module), room(one.target)
        if here is None or there is None or one.for_types_only:
            continue
        if one.at_start:
            files.setdefault(one.module, set()).add(one.target)
        if here != there and (here, there) not in LAZY_EXCEPTIONS:
            rooms.setdefault(here, set()).add(there)
    for kind, graph in (("rooms", rooms), ("modules", files)):
        if circle := cycle(graph):
            yield Violation("cycle", circle[0], f"a circle of {kind}: " + " -> ".join(circle))


def cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """One circle of a graph, node -> what it points to; [] where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # The sorter reads an arrow as "comes after" and lists the circle from cause to effect.
        return [str(node) for node in reversed(error.args[1])]
    return []


def _at(one: Import, rule: str, message: str) -> Violation:
    return Violation(rule, f"{one.file}:{one.line}", message)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing of ours"
