"""Cases that return stages: run, judged and written like any other."""

import json
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import gradproof as gp
from gradproof._cases import Case
from gradproof._cases.outcomes import Outcome, outcome_of
from gradproof._cli.main import main
from gradproof._cli.results import Results, problems
from test_pytest_plugin import run

pytest_plugins = ["pytester"]

SCHEMA = json.loads((files("gradproof._report") / "schema.json").read_text(encoding="utf-8"))
SOURCE = """
import numpy as np
import gradproof as gp


def cost(p):
    return np.sum(p["w"] ** 4) + np.sum(p["b"] ** 2)


def right(p):
    return {"w": 4 * p["w"] ** 3, "b": 2 * p["b"]}


def late(p):
    return {"w": np.where(np.abs(p["w"]) > 5, 0.0, 4 * p["w"] ** 3), "b": 2 * p["b"]}


START = {"w": np.array([0.5, -0.25, 0.75]), "b": np.ones(2)}


@gp.case
def good():
    stages = gp.Stages(cost, right, scales=(1, 10))
    stages.at("initialisation", START)
    return stages


@gp.case
def bad():
    stages = gp.Stages(cost, late, scales=(1, 10))
    stages.at("initialisation", START)
    return stages.report


@gp.case
def single():
    return gp.check(cost, START, right)


@gp.case
def none():
    return gp.Stages(cost, right)
"""


@pytest.fixture
def case_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "check_stages.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def ran(*arguments: str) -> int:
    try:
        return int(main(["run", *arguments]) or 0)
    except SystemExit as error:
        return int(error.code or 0)


def test_stages_are_shown_and_judged(case_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("check_stages.py::good") == 0
    shown = capsys.readouterr().out
    assert "gradproof: CORRECT. No tensor's gradient is off by more than" in shown
    assert "initialisation x 10" in shown
    assert ran("check_stages.py::bad") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "The gradient of w is right at initialisation and wrong at initialisation x 10" in shown
    assert "1 case: 1 wrong." in shown
    assert ran("check_stages.py::none") == 0
    assert ran("check_stages.py::none", "--strict") == 1
    assert "No stage was checked yet" in capsys.readouterr().out


def test_all_forms_of_stages(case_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forms = {"json": "a.json", "html": "a.html", "junit-xml": "a.xml", "sarif": "a.sarif"}
    assert ran(*(part for form, name in forms.items() for part in (f"--{form}", name)), "--github") == 1
    content = json.loads(Path("a.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    cases = {one["name"]: one for one in content["cases"]}
    assert [cases[name]["verdict"] for name in ("good", "bad", "single", "none")] == [
        "correct", "wrong", "correct", "undecided",
    ]  # fmt: skip
    assert cases["bad"]["report"] is None
    assert cases["single"]["stages"] is None
    assert [*cases["bad"]["stages"]["stages"]] == ["initialisation", "initialisation x 10"]
    assert cases["bad"]["stages"]["findings"][0]["regime"] == "branch"
    assert cases["bad"]["lines"]["first"] == 1 + SOURCE.splitlines().index("def late(p):")

    page = Path("a.html").read_text(encoding="utf-8")
    for name in ("good: initialisation x 10", "bad: initialisation", "single"):
        assert f"check_stages.py::{name}" in page
    assert "Side by side" in page

    suites = {suite.get("name"): suite for suite in ET.parse("a.xml").getroot()}
    bad = suites["check_stages.py::bad"]
    failed = [test.get("name") for test in bad.iter("testcase") if test.find("failure") is not None]
    assert failed == ["bad[initialisation x 10: w]"]
    assert len(bad.findall("testcase")) == 4

    found = json.loads(Path("a.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    assert [one["level"] for one in found] == ["error", "warning"]
    assert "is right at initialisation and wrong at initialisation x 10" in found[0]["message"]["text"]
    assert "::error file=check_stages.py" in capsys.readouterr().out


def test_a_schema_without_the_stages_refuses_them(case_file: Path) -> None:
    ran("--json", "a.json")
    content = json.loads(Path("a.json").read_text(encoding="utf-8"))
    content["cases"][1]["stages"]["findings"][0]["regime"] = "whim"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def outcome(stages: gp.Stages) -> Outcome:
    return outcome_of(Case("c", Path("f.py"), lambda: stages))


def test_what_every_stage_shows_is_one_problem() -> None:
    stages = gp.Stages(lambda w: float(np.sum(w**4)), lambda w: 8 * w**3, scales=(1, 2, 3))
    stages.at("a", np.array([0.5, 0.25, -1.0]))
    told = list(problems(Results((outcome(stages),), 1, False, 0.1, Path.cwd())))
    assert [(one.cause, one.tensors) for one in told] == [("factor", ("w",))]
    assert told[0].message.startswith("At a, a x 2, a x 3: ")


def test_stages_are_tests_for_pytest(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("check_stages.py").write_text(SOURCE, encoding="utf-8")
    result = run(pytester, "-v", "--gradproof-json", "a.json")
    result.assert_outcomes(passed=3, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["*gradproof: WRONG. The gradient of w is right at initialisation*"])
    result.stdout.fnmatch_lines(["*::bad: WRONG: initialisation correct, initialisation x 10 WRONG; *"])
    content = json.loads((pytester.path / "a.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    assert [one["verdict"] for one in content["cases"]] == ["correct", "wrong", "correct", "undecided"]
