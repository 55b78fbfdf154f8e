"""The pytest plugin: the fixture, the marker, cases as tests, and one line a check at the end.

The decision behind it: pytest loads its plugins at every start, in every project of an environment, so this module
stands beside the package and imports nothing but pytest until something of gradproof is used. Whatever a test checked
travels as a property of its result, so that it arrives from the workers of pytest-xdist like everything else.
"""

import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradproof._cases import Case
    from gradproof._cases.outcomes import Outcome
    from gradproof._records import Report, StagesReport
    from gradproof._settings import Table

#: As in the settings, which would cost every start of pytest the package and NumPy.
PATTERNS = ("check_*.py", "*_checks.py")
#: What a file must contain to be loaded, as for the command line.
WORD = b"gradproof"
#: The property of a test result that holds what was checked, as JSON.
PROPERTY = "gradproof"

_SETTINGS = ("method", "tolerance", "budget", "seed", "workers")
_FORMS = ("html", "json", "sarif")
_CASE: pytest.StashKey["Case"] = pytest.StashKey()
_OUTCOMES: pytest.StashKey[list["Outcome"]] = pytest.StashKey()
_TABLE: pytest.StashKey["Table"] = pytest.StashKey()
_FILES: pytest.StashKey[Sequence[str]] = pytest.StashKey()
_FLAGS: pytest.StashKey[Mapping[str, Any]] = pytest.StashKey()
#: The attribute of a test result that holds the outcomes themselves, where something is written from them.
_SENT = "gradproof_outcomes"
_MARKER = (
    "gradproof(method=, tolerance=, budget=, seed=, workers=, strict=): settings for the gradient checks of a test; "
    "tests that use the fixture, and cases, have it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("gradproof", "gradient checks")
    for form in _FORMS:
        group.addoption(f"--gradproof-{form}", metavar="FILE", help=f"write all checks of the run to one {form} file")
    group.addoption("--gradproof-seed", metavar="N", help="of the random directions, where a check does not say it")
    group.addoption("--gradproof-budget", metavar="N", help="most cost evaluations, or seconds as 30s")
    group.addoption("--gradproof-tolerance", metavar="X", help="the difference that must never pass")
    group.addoption("--gradproof-workers", metavar="N", help="processes for a check; -1 for one a processor")
    group.addoption("--gradproof-method", metavar="METHOD", help="auto, probe, exhaustive or classic")
    group.addoption("--gradproof-exhaustive", action="store_true", help="the same as --gradproof-method=exhaustive")
    group.addoption("--gradproof-strict", action="store_true", default=None, help="undecided fails a test, too")
    group.addoption("--no-gradproof", action="store_true", help="leave out cases and skip tests that use the fixture")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and in the main process what gathers the results."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_FLAGS] = _flags(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Gathering(config), "gradproof-gathering")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "_CaseFile | None":
    """A file of cases, where its name is that of one and it speaks of gradproof."""
    if file_path.suffix != ".py" or parent.config.getoption("no_gradproof"):
        return None
    if not any(fnmatchcase(file_path.name, pattern) for pattern in _patterns(parent.config)):
        return None
    return _CaseFile.from_parent(parent, path=file_path) if WORD in file_path.read_bytes() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what uses the fixture, refuses settings that are none, and skips where that was asked for."""
    leave_out = pytest.mark.skip(reason="--no-gradproof") if config.getoption("no_gradproof") else None
    for item in items:
        if "gradproof" in getattr(item, "fixturenames", ()):
            item.add_marker("gradproof")
            if leave_out is not None:
                item.add_marker(leave_out)
    if hasattr(config, "workerinput"):
        return  # a worker of pytest-xdist can say it in a test's own failure only, which is where it comes up next
    for item in items:
        _marked(item)
    if leave_out is None and any(item.get_closest_marker("gradproof") for item in items):
        from gradproof._errors import InputError

        try:
            _table(config)
        except InputError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Lends the options, the marker's settings and those of the file to whatever the test checks."""
    if "gradproof" not in sys.modules and item.get_closest_marker("gradproof") is None:
        return (yield)
    from gradproof._settings import lending

    flags = item.config.stash[_FLAGS]
    with lending({**flags, **_marked(item)}, lambda: _table(item.config).values):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sends along what was checked where a file is to be written from it."""
    report = yield
    outcomes = item.stash.get(_OUTCOMES, None)
    if outcomes and call.when == "call" and any(item.config.getoption(f"gradproof_{form}") for form in _FORMS):
        vars(report)[_SENT] = [_packed(outcome) for outcome in outcomes]
    return report


@pytest.fixture
def gradproof(request: pytest.FixtureRequest) -> "_Checks":
    """The functions of gradproof; a gradient that is proven wrong fails the test with the text report.

    ``gradproof.check(cost, params, grads)`` returns the report of a gradient that is correct or undecided. An undecided
    one is warned of; under ``--gradproof-strict`` it fails the test.
    """
    return _Checks(request.node)


class _Checks:
    """The public functions, those that check among them with the test's judgement."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        import gradproof as package

        if name not in package.__all__:
            import difflib

            near = difflib.get_close_matches(name, package.__all__, n=1)
            guess = f" Did you mean {near[0]}?" if near else ""
            raise AttributeError(f"gradproof has no {name!r}.{guess}")
        thing = getattr(package, name)
        return _judged(thing, self._item) if name.partition("_")[0] == "check" else thing

    def __dir__(self) -> list[str]:
        import gradproof as package

        return list(package.__all__)


class _CaseFile(pytest.File):
    """A file whose functions marked with ``@gp.case`` are tests."""

    def collect(self) -> Iterator["_CaseItem"]:
        from gradproof._cases import cases, load
        from gradproof._cases.outcomes import told

        try:
            found = cases(load(self.path), self.path)
        except (Exception, SystemExit) as error:
            raise self.CollectError(told(error)) from None
        for case in found:
            item = _CaseItem.from_parent(self, name=case.name)
            item.stash[_CASE] = case
            item.add_marker("gradproof")
            yield item


class _CaseItem(pytest.Item):
    """A case as a test."""

    def runtest(self) -> None:
        from gradproof._errors import UndecidedWarning

        report = self.stash[_CASE].run()
        _keep(self, report)
        if _undecided(report):
            self.warn(UndecidedWarning(str(report)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        from gradproof._cases.outcomes import told
        from gradproof._errors import GradientError

        shown = isinstance(excinfo.value, GradientError | pytest.fail.Exception)
        return str(excinfo.value) if shown else told(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.stash[_CASE].line - 1, self.name


class _Gathering:
    """What all tests checked: told at the end, and written where that was asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told: list[dict[str, Any]] = []
        self._sent: list[str] = []
        self._troubles: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._told.extend(json.loads(str(value)) for name, value in report.user_properties if name == PROPERTY)
            self._sent.extend(vars(report).get(_SENT, []))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        outputs = {form: where for form in _FORMS if (where := self._config.getoption(f"gradproof_{form}"))}
        if not outputs or exitstatus == pytest.ExitCode.USAGE_ERROR:
            return
        from gradproof._errors import InputError

        try:
            _write(outputs, [_unpacked(one) for one in self._sent], self._config, int(exitstatus))
        except InputError as error:
            self._troubles.append(str(error))
            session.exitstatus = exitstatus or pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        verbosity = self._config.get_verbosity()
        shown = [one for one in self._told if verbosity > 0 or one["verdict"] != "correct"]
        if not self._troubles and not (shown or (self._told and verbosity == 0)):
            return
        terminalreporter.section("gradproof")
        for one in shown:
            colour = {"wrong": "red", "undecided": "yellow", "correct": "green"}[one["verdict"]]
            terminalreporter.write_line(f"{one['check']}: {one['line']}", **{colour: True})
        if self._told:
            terminalreporter.write_line(_count(self._told, hidden=len(shown) < len(self._told)))
        for trouble in self._troubles:
            terminalreporter.write_line(trouble, red=True)


def _flags(config: pytest.Config) -> dict[str, Any]:
    """The options that are settings of checks."""
    given = {name: config.getoption(f"gradproof_{name}") for name in _SETTINGS}
    if config.getoption("gradproof_exhaustive"):
        given["method"] = given["method"] or "exhaustive"
    texts = {name: text for name, text in given.items() if text is not None}
    strict = {} if config.getoption("gradproof_strict") is None else {"strict": True}
    if not texts:
        return strict
    from gradproof._errors import InputError
    from gradproof._settings import from_text

    try:
        return {name: from_text(name, text, f"the option --gradproof-{name}") for name, text in texts.items()} | strict
    except InputError as error:
        raise pytest.UsageError(str(error)) from None


def _marked(item: pytest.Item) -> dict[str, Any]:
    """The settings of the markers, those of the nearest first."""
    markers = [mark for mark in item.iter_markers("gradproof") if mark.args or mark.kwargs]
    if not markers:
        return {}
    from gradproof._settings import SETTINGS

    merged: dict[str, Any] = {}
    for mark in reversed(markers):
        for name, value in mark.kwargs.items():
            if name not in (*_SETTINGS, "strict") or not SETTINGS[name].accepts(value):
                raise _unusable(item, f"{name}={value!r}")
            merged[name] = value
        if mark.args:
            raise _unusable(item, repr(mark.args[0]))
    return merged


def _unusable(item: pytest.Item, got: str) -> pytest.UsageError:
    import difflib

    from gradproof._settings import SETTINGS

    known = (*_SETTINGS, "strict")
    reading = f"While reading the marker gradproof of {item.nodeid}:"
    name, _, value = got.partition("=")
    if name in known:
        one = SETTINGS[name]
        return pytest.UsageError(
            f"{reading} `{name}` should be {one.demanded}, but is {value}. Write for example {name}={one.example}."
        )
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    there = f"There are {', '.join(known)}."
    return pytest.UsageError(f"{reading} it should be given settings by name, but is given {got}. {guess}{there}")


def _table(config: pytest.Config) -> "Table":
    """``[tool.gradproof]``, read once and only when something is checked."""
    if _TABLE not in config.stash:
        from gradproof._settings import read_table, require_usable_environment

        require_usable_environment()
        config.stash[_TABLE] = read_table(config.rootpath)
    return config.stash[_TABLE]


def _patterns(config: pytest.Config) -> Sequence[str]:
    """The names of files of cases, read without the package; a table that cannot be is refused where it is used."""
    if _FILES not in config.stash:
        found: Any = None
        for folder in (config.rootpath, *config.rootpath.parents):
            file = folder / "pyproject.toml"
            text = file.read_bytes() if file.is_file() else b""
            if WORD in text and b"files" in text:
                import tomllib

                tools = tomllib.loads(text.decode("utf-8")).get("tool", {})
                if "gradproof" in tools:
                    found = tools["gradproof"].get("files")
                    break
        usable = isinstance(found, list) and all(isinstance(one, str) for one in found)
        config.stash[_FILES] = tuple(found) if usable else PATTERNS
    return config.stash[_FILES]


def _judged(check: Callable[..., "Report"], item: pytest.Item) -> Callable[..., "Report"]:
    """A function that checks, with what a test makes of its report."""
    from functools import wraps

    @wraps(check)
    def judged(*args: Any, **kwargs: Any) -> "Report":
        __tracebackhide__ = True
        import warnings

        from gradproof._errors import InputError, UndecidedWarning

        try:
            report = check(*args, **kwargs)
        except InputError as error:
            raise error.with_traceback(None) from None  # the test's own line is the one to look at
        _keep(item, report)
        if _undecided(report):
            warnings.warn(str(report), UndecidedWarning, stacklevel=2)
        return report

    return judged


def _keep(item: pytest.Item, report: "Report | StagesReport") -> None:
    """Notes what was checked on the test, for the summary, for files and for whoever reads the test's properties."""
    from gradproof._cases.outcomes import Outcome

    outcomes = item.stash.setdefault(_OUTCOMES, [])
    number = f" ({len(outcomes) + 1})" if outcomes else ""
    line = (item.reportinfo()[1] or 0) + 1
    outcomes.append(Outcome(item.path, item.name + number, line, report.verdict, report, "", report.seconds))
    told = {
        "check": item.nodeid + number,
        "verdict": str(report.verdict),
        "line": repr(report).removeprefix("<Report ").removeprefix("<Stages ").removesuffix(">"),
        "evaluations": int(report.evaluations),
        "seconds": report.seconds,
    }
    item.user_properties.append((PROPERTY, json.dumps(told)))


def _undecided(report: "Report | StagesReport") -> bool:
    """Whether a report is to be warned of; one that is wrong, or undecided under strict, fails the test right here."""
    __tracebackhide__ = True
    from gradproof._errors import GradientError
    from gradproof._records import Verdict
    from gradproof._settings import setting

    if report.verdict is Verdict.WRONG:
        raise GradientError(str(report))
    if report.verdict is Verdict.UNDECIDED and setting("strict"):
        pytest.fail(str(report))
    return report.verdict is Verdict.UNDECIDED


def _packed(outcome: "Outcome") -> str:
    """As text, which is what a result may carry from one process to another."""
    import base64
    import pickle

    return base64.b64encode(pickle.dumps(outcome)).decode("ascii")


def _unpacked(text: str) -> "Outcome":
    import base64
    import pickle

    outcome: Outcome = pickle.loads(base64.b64decode(text))
    return outcome


def _write(outputs: dict[str, str], outcomes: "list[Outcome]", config: pytest.Config, status: int) -> None:
    from gradproof._cli.outputs import require_apart, write
    from gradproof._cli.results import Results, root
    from gradproof._settings import lending, setting

    require_apart(outputs)
    with lending(config.stash[_FLAGS], lambda: _table(config).values):
        strict = bool(setting("strict"))
    seconds = sum(outcome.seconds for outcome in outcomes)
    write(Results(tuple(outcomes), min(status, 2), strict, seconds, root()), outputs, sys.stdout)


def _count(told: Sequence[dict[str, Any]], *, hidden: bool) -> str:
    counts = [
        (sum(one["verdict"] == verdict for one in told), verdict) for verdict in ("correct", "wrong", "undecided")
    ]
    listed = ", ".join(f"{count} {verdict}" for count, verdict in counts if count)
    checks = "1 check" if len(told) == 1 else f"{len(told)} checks"
    return f"{checks}: {listed}{' (-v lists all)' if hidden else ''}."
