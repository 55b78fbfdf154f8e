"""The pytest plugin: fixture, marker, options, cases as tests, workers of xdist, and what it costs the others."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

import _gradproof_pytest as plugin
from gradproof._cases import discovery
from gradproof._settings import PATTERNS
from test_results import SCHEMA
from written_cases import CHECKS

pytest_plugins = ["pytester"]

#: Where the package is installed as it is, pytest has found the plugin by itself.
BY_NAME = [] if entry_points(group="pytest11", name="gradproof") else ["-p", "_gradproof_pytest"]

TESTS = """
import numpy as np
import pytest

POINT = {"W": np.arange(6.0).reshape(2, 3) / 3 + 0.1}


def cost(p):
    return float(np.sum(np.sin(p["W"])))


def right(p):
    return {"W": np.cos(p["W"])}


def doubled(p):
    return {"W": 2 * np.cos(p["W"])}

"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # The warnings of these runs are their own, though ours are errors.
    return pytester.runpytest_inprocess(*BY_NAME, "-p", "no:cacheprovider", "-Wdefault", *arguments)


def tests(pytester: pytest.Pytester, *bodies: str) -> None:
    pytester.makepyfile(TESTS + "\n".join(bodies))


def test_the_plugin_is_registered_by_its_file() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\ngradproof = "_gradproof_pytest"\n' in text
    assert '"src/_gradproof_pytest.py"' in text


def test_it_looks_for_cases_where_the_command_line_does() -> None:
    assert plugin.PATTERNS == PATTERNS
    assert plugin.WORD == discovery.WORD


def test_a_right_gradient_passes_and_a_wrong_one_fails_with_the_report(pytester: pytest.Pytester) -> None:
    tests(
        pytester,
        "def test_right(gradproof):\n    assert gradproof.check(cost, POINT, right).passed\n",
        "def test_wrong(gradproof):\n    gradproof.check(cost, POINT, doubled)\n",
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    shown = result.stdout.str()
    assert "E       gradproof.GradientError: gradproof: WRONG. The gradient of W is 2.000000" in shown
    assert "Fix    Divide the gradient of W by 2." in shown
    assert ">       gradproof.check(cost, POINT, doubled)" in shown
    assert "_gradproof_pytest.py" not in shown  # the test's own line is the last one shown
    result.stdout.re_match_lines([r"=+ gradproof =+", r"\S+::test_wrong: WRONG W: factor 2\.0+ in all of W; .*"])
    result.stdout.fnmatch_lines(["2 checks: 1 correct, 1 wrong (-v lists all)."])
    assert "::test_right: CORRECT" not in shown
    assert "::test_right: CORRECT" in run(pytester, "-v").stdout.str()
    assert "= gradproof =" in run(pytester, "-q").stdout.str()  # wrong ones are always told


def test_nothing_is_told_where_nothing_was_checked(pytester: pytest.Pytester) -> None:
    tests(pytester, "def test_plain():\n    pass\n")
    result = run(pytester)
    result.assert_outcomes(passed=1)
    assert "= gradproof =" not in result.stdout.str()


def test_an_undecided_one_warns_and_under_strict_fails(pytester: pytest.Pytester) -> None:
    tests(pytester, "def test_it(gradproof):\n    gradproof.check(cost, POINT, right, budget=3)\n")
    run(pytester).assert_outcomes(passed=1, warnings=1)
    run(pytester, "--gradproof-strict").assert_outcomes(failed=1)
    pytester.makepyprojecttoml("[tool.gradproof]\nstrict = true\n[tool.pytest.ini_options]\n")
    run(pytester).assert_outcomes(failed=1)


def test_the_warning_stands_at_the_line_of_the_check(pytester: pytest.Pytester) -> None:
    tests(pytester, "def test_it(gradproof):\n    gradproof.check(cost, POINT, right, budget=3)\n")
    (source,) = pytester.path.glob("test_*.py")
    line = len(source.read_text(encoding="utf-8").splitlines())
    assert f"{source.name}:{line}: UndecidedWarning" in run(pytester).stdout.str()


@pytest.mark.parametrize("name", ["to_vector", "locate", "case", "InputError", "network"])
def test_the_fixture_offers_what_the_package_does(pytester: pytest.Pytester, name: str) -> None:
    tests(
        pytester,
        f"def test_it(gradproof):\n    import gradproof as gp\n    assert gradproof.{name} is gp.{name}\n"
        "    assert set(gp.__all__) == set(dir(gradproof))\n",
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_name_that_is_not_there_gets_the_nearest(pytester: pytest.Pytester) -> None:
    tests(pytester, "def test_it(gradproof):\n    gradproof.chek(cost, POINT, right)\n")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*gradproof has no 'chek'. Did you mean check?"])


def test_what_cannot_be_checked_fails_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    tests(pytester, "def test_it(gradproof):\n    gradproof.check(cost, POINT, right, seed=-1)\n")
    shown = run(pytester).stdout.str()
    assert "InputError: While setting up the check: `seed` should be" in shown
    assert "_check.py" not in shown


SEEN = "def test_it(gradproof):\n    assert gradproof.check(cost, POINT, right{}).seed == {}\n"


@pytest.mark.parametrize(
    ("arguments", "variable", "table", "marker", "call", "seed"),
    [
        ((), "", "", "", "", 0),
        ((), "", "seed = 1", "", "", 1),
        ((), "2", "seed = 1", "", "", 2),
        (("--gradproof-seed=3",), "2", "seed = 1", "", "", 3),
        (("--gradproof-seed=3",), "2", "seed = 1", "@pytest.mark.gradproof(seed=4)\n", "", 4),
        (("--gradproof-seed=3",), "2", "seed = 1", "@pytest.mark.gradproof(seed=4)\n", ", seed=5", 5),
    ],
)
def test_each_source_goes_over_the_next(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variable: str,
    table: str,
    marker: str,
    call: str,
    seed: int,
) -> None:
    monkeypatch.setenv("GRADPROOF_SEED", variable)
    pytester.makepyprojecttoml(f"[tool.gradproof]\n{table}\n[tool.pytest.ini_options]\n")
    plain = "def test_plain():\n    import gradproof as gp\n"
    plain += f"    assert gp.check(cost, POINT, right{call}).seed == {seed}\n"
    tests(pytester, marker + SEEN.format(call, seed), marker + plain)
    run(pytester, *arguments).assert_outcomes(passed=2)


def test_the_first_check_of_a_process_takes_the_settings_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("[tool.gradproof]\nseed = 1\n[tool.pytest.ini_options]\n")
    tests(pytester, SEEN.format("", 1))
    pytester.runpytest_subprocess(*BY_NAME, "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_nearest_marker_goes_first(pytester: pytest.Pytester) -> None:
    tests(
        pytester,
        "pytestmark = pytest.mark.gradproof(seed=1, method='probe')\n@pytest.mark.gradproof(seed=2)",
        "def test_it(gradproof):\n    report = gradproof.check(cost, POINT, right)\n"
        "    assert (report.seed, report.method) == (2, 'probe')\n",
    )
    run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--gradproof-seed=first", "--gradproof-seed should be an integer of at least 0, but is 'first'"),
        ("--gradproof-method=fast", "--gradproof-method should be one of auto, "),
    ],
)
def test_an_option_that_cannot_be_is_bad_usage(pytester: pytest.Pytester, option: str, said: str) -> None:
    tests(pytester, SEEN.format("", 0))
    result = run(pytester, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("sede=3", "Did you mean seed? There are method, tolerance, budget, seed, workers, strict."),
        ("seed='x'", "`seed` should be an integer of at least 0, but is 'x'. Write for example seed=7."),
        ("3", "it should be given settings by name, but is given 3."),
        ("json='x'", "it should be given settings by name"),
    ],
)
def test_a_marker_that_cannot_be_is_bad_usage(pytester: pytest.Pytester, marker: str, said: str) -> None:
    tests(pytester, f"@pytest.mark.gradproof({marker})\ndef test_it():\n    pass\n")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize(
    ("content", "variable", "said"),
    [("sede = 3", "", "Did you mean seed?"), ("seed = 'x'", "", "`seed` should be"), ("", "x", "GRADPROOF_SEED")],
)
def test_settings_that_cannot_be_are_bad_usage_where_they_are_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, content: str, variable: str, said: str
) -> None:
    pytester.makepyprojecttoml(f"[tool.gradproof]\n{content}\n[tool.pytest.ini_options]\n")
    monkeypatch.setenv("GRADPROOF_SEED", variable)
    tests(pytester, "def test_it(gradproof):\n    gradproof.check(cost, POINT, right)\n")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stdout.str() + result.stderr.str()
    result = run(pytester, "-n1")
    result.assert_outcomes(failed=1)
    assert said in result.stdout.str()
    tests(pytester, "def test_plain():\n    pass\n")
    run(pytester).assert_outcomes(passed=1)


def test_exhaustive_is_a_method(pytester: pytest.Pytester) -> None:
    body = "def test_it(gradproof):\n    assert gradproof.check(cost, POINT, right).method == 'exhaustive'\n"
    tests(pytester, body)
    run(pytester, "--gradproof-exhaustive").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(failed=1)


@pytest.fixture
def cases(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.path.joinpath("check_net.py").write_text(CHECKS, encoding="utf-8")
    return pytester


def test_cases_are_tests(cases: pytest.Pytester) -> None:
    result = run(cases, "-v")
    result.assert_outcomes(passed=2, failed=1, warnings=1)
    result.stdout.re_match_lines_random(
        [r"check_net\.py::good PASSED.*", r"check_net\.py::bad FAILED.*", r"check_net\.py::jump PASSED.*"]
    )
    shown = result.stdout.str()
    assert "\ngradproof: WRONG. The gradient of W is 2.000000" in shown
    last = CHECKS.splitlines().index("def jump():")  # the decorator above it, counted from 1
    assert f"check_net.py:{last}: UndecidedWarning" in shown
    result.stdout.fnmatch_lines(["3 checks: 1 correct, 1 wrong, 1 undecided."])


def test_a_case_is_chosen_like_a_test(cases: pytest.Pytester) -> None:
    run(cases, "check_net.py::good").assert_outcomes(passed=1)
    run(cases, "-k", "good or bad").assert_outcomes(passed=1, failed=1, deselected=1)
    run(cases, "-m", "not gradproof").assert_outcomes(deselected=3)
    run(cases, "check_net.py::god").stderr.fnmatch_lines(["*not found*check_net.py::god*"])


def test_scripts_of_others_are_not_run(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("check_links.py").write_text("raise SystemExit('this was run')\n", encoding="utf-8")
    tests(pytester, "def test_plain():\n    pass\n")
    run(pytester).assert_outcomes(passed=1)


def test_the_names_of_files_are_a_setting(cases: pytest.Pytester) -> None:
    cases.makepyprojecttoml("[tool.gradproof]\nfiles = ['grad_*.py']\n[tool.pytest.ini_options]\n")
    cases.path.joinpath("grad_net.py").write_text(CHECKS, encoding="utf-8")
    result = run(cases, "-k", "good", "-v")
    result.assert_outcomes(passed=1, deselected=2)
    assert "grad_net.py::good PASSED" in result.stdout.str()


def test_a_file_of_cases_that_does_not_load_is_an_error(cases: pytest.Pytester) -> None:
    cases.path.joinpath("check_broken.py").write_text("import gradproof\n\n1 / 0\n", encoding="utf-8")
    result = run(cases)
    result.assert_outcomes(errors=1)
    shown = result.stdout.str()
    assert "check_broken.py" in shown
    assert "ZeroDivisionError" in shown
    assert "_pytest" not in shown


def test_a_case_that_cannot_run_shows_its_own_lines(pytester: pytest.Pytester) -> None:
    source = "import gradproof as gp\n\n\n@gp.case\ndef broken():\n    raise KeyError('W9')\n"
    source += "\n\n@gp.case\ndef empty():\n    pass\n"
    pytester.path.joinpath("check_net.py").write_text(source, encoding="utf-8")
    result = run(pytester)
    result.assert_outcomes(failed=2)
    shown = result.stdout.str()
    assert "line 6, in broken" in shown
    assert "KeyError: 'W9'" in shown
    assert "a function returning a report, but is a function returning None" in shown
    assert "_pytest" not in shown


def test_all_of_it_can_be_left_out(cases: pytest.Pytester) -> None:
    tests(cases, SEEN.format("", 0), "def test_plain():\n    pass\n")
    run(cases, "--no-gradproof").assert_outcomes(passed=1, skipped=1)


def test_what_was_checked_is_a_property_of_the_test(pytester: pytest.Pytester) -> None:
    body = "    gradproof.check(cost, POINT, right)\n    gradproof.check(cost, POINT, doubled)\n"
    tests(pytester, "def test_it(gradproof):\n" + body)
    run(pytester, "--junit-xml=a.xml")
    properties = ElementTree.parse(pytester.path / "a.xml").findall(".//property[@name='gradproof']")
    first, second = (json.loads(one.attrib["value"]) for one in properties)
    assert (first["verdict"], second["verdict"]) == ("correct", "wrong")
    assert first["check"].endswith("::test_it")
    assert second["check"] == first["check"] + " (2)"
    assert first["evaluations"] > 0


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_one_file_for_the_run_with_and_without_workers(cases: pytest.Pytester, workers: tuple[str, ...]) -> None:
    tests(cases, SEEN.format("", 0))
    forms = [f"--gradproof-{form}=out/a.{form}" for form in ("json", "html", "sarif")]
    result = run(cases, *forms, *workers)
    result.assert_outcomes(passed=3, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["4 checks: 2 correct, 1 wrong, 1 undecided (-v lists all)."])
    content = json.loads((cases.path / "out" / "a.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    assert sorted((one["name"], one["verdict"]) for one in content["cases"]) == [
        ("bad", "wrong"), ("good", "correct"), ("jump", "undecided"), ("test_it", "correct"),
    ]  # fmt: skip
    wrong = next(one for one in content["cases"] if one["name"] == "bad")
    assert wrong["report"]["findings"][0]["cause"] == "factor"
    assert wrong["lines"]["first"] == wrong["report"]["origin"]["line"]
    assert (cases.path / "out" / "a.sarif").exists()
    page = (cases.path / "out" / "a.html").read_text(encoding="utf-8")
    assert [name for name in ("good", "bad", "jump", "test_it") if f"::{name}" not in page] == []


def test_a_file_that_cannot_be_written_is_told(cases: pytest.Pytester) -> None:
    (cases.path / "taken").mkdir()
    result = run(cases, "--gradproof-json=taken", "-k", "good")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "that can be written" in result.stdout.str()
    assert run(cases, "--gradproof-json=taken", "-k", "bad").ret == pytest.ExitCode.TESTS_FAILED


PROBE = """
import sys, pytest
before = {name.partition(".")[0] for name in sys.modules}
status = pytest.main([*sys.argv[1:], "-q", "-p", "no:cacheprovider"])
new = {name.partition(".")[0] for name in sys.modules} - before
print("loaded:", *sorted(new - set(sys.stdlib_module_names)))
raise SystemExit(status)
"""


def loaded(folder: Path) -> set[str]:
    # Without the plugins of others, which load what they like.
    command = [sys.executable, "-c", PROBE, "-p", "_gradproof_pytest"]
    own = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_a_run_that_does_not_use_it_loads_nothing_for_it(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    (tmp_path / "check_links.py").write_text("print('a script')\n", encoding="utf-8")
    without = loaded(tmp_path)
    assert "_gradproof_pytest" in without
    assert without & {"gradproof", "numpy", "rich"} == set()
    (tmp_path / "test_used.py").write_text("def test_it(gradproof):\n    gradproof.check\n", encoding="utf-8")
    assert {"gradproof", "numpy"} <= loaded(tmp_path)


def test_the_plugin_needs_only_what_pytest_has_loaded() -> None:
    code = (
        "import sys, pytest, _pytest.cacheprovider, _pytest.capture, _pytest.terminal, _pytest.fixtures\n"
        "before = set(sys.modules)\nimport _gradproof_pytest\n"
        "print(*sorted(set(sys.modules) - before - {'_gradproof_pytest'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
