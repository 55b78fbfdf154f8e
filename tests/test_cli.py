"""The command line: exit statuses, streams and the demo."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradproof import network
from gradproof._cli.demo import NAMES, SCENES, demo
from gradproof._cli.main import main
from gradproof._cli.run import working
from gradproof._cli.workflow import walk
from gradproof._records import Components, Difference, Report, TensorReport, Verdict
from written_cases import file


@pytest.mark.parametrize(
    ("names", "status", "strict"),
    [
        (("right",), 0, 0),
        (("wrong",), 1, 1),
        (("right", "wrong"), 1, 1),
        (("undecided", "right"), 0, 1),
        (("broken",), 2, 2),
        (("broken", "undecided"), 2, 2),
        (("broken", "wrong"), 1, 1),
        (("raising",), 1, 1),
        (("nothing",), 2, 2),
        (("leaving", "right"), 2, 2),
        ((), 5, 5),
        (("interrupted", "right"), 130, 130),
    ],
)
def test_exit_status(tmp_path: Path, names: tuple[str, ...], status: int, strict: int) -> None:
    path = file(tmp_path, *names)
    assert main(["run", path]) == status
    assert main(["run", "--strict", path]) == strict


def test_reports_go_out_and_warnings_to_the_other_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", file(tmp_path, "right", "undecided", "wrong", "broken")])
    shown = capsys.readouterr()
    assert "::right\ngradproof: CORRECT." in shown.out.replace("\n" + str(tmp_path), str(tmp_path))
    assert "4 cases: 1 correct, 1 wrong, 1 undecided, 1 could not run" in shown.out
    assert "warning" in shown.err
    assert "KeyError: 'W9'" in shown.err
    assert "KeyError" not in shown.out
    assert "_cases.py" not in shown.err
    assert "\x1b" not in shown.out + shown.err


def test_one_case_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path, "right", "wrong")
    assert main(["run", f"{path}::right"]) == 0
    assert main(["run", f"{path}::right", f"{path}::right"]) == 0
    assert "1 case: 1 correct" in capsys.readouterr().out
    assert main(["run", f"{path}::rihgt"]) == 2
    assert "Did you mean right? The cases there are right, wrong." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rnu", "x"],
        ["run", "missing.py"],
        ["run", "::x"],
        ["run", "x.py::"],
        ["run", "-k", "and", "x.py"],
        ["run", "--method", "fast"],
        ["run", "--seed", "first"],
        ["run", "--budget", "30 minutes"],
        ["run", "--json", "-", "--sarif", "-"],
        ["run", "--json", "a", "--sarif", "a"],
    ],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err
    assert not shown.out


def test_a_missing_file_is_refused_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", file(tmp_path, "wrong"), str(tmp_path / "missing.py")]) == 2
    assert "WRONG" not in capsys.readouterr().out


def test_a_file_that_does_not_load_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "syntax.py"
    broken.write_text("def f(:\n", encoding="utf-8")
    assert main(["run", str(broken), file(tmp_path, "right")]) == 2
    shown = capsys.readouterr()
    assert "SyntaxError" in shown.err
    assert "1 correct, 1 could not run" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum", "x.py"], "'rum' should be one of demo, run, plan, causes, but is unknown. Did you mean run?"),
        (["run", "--sed", "3"], "'--sed' should be one of --list, --strict, "),
        (["run", "--sed", "3"], "but is unknown. Did you mean --seed?"),
        (["run", "--sarf=x"], "Did you mean --sarif?"),
        (["run", "--see", "3"], "'--see'"),  # no abbreviations
        (["causes", "factor", "--json", "-"], "'--json' should be one of --help, but is unknown. See --help."),
    ],
)
def test_what_nobody_knows_gets_the_nearest(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_help_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ([], ["run"], ["demo"], ["causes"]):
        assert main([*command, "--help"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("gradproof de", "demo"), ("gradproof run --junit", "--junit-xml"), ("gradproof run --method pro", "probe")],
)
def test_a_shell_is_told_what_could_follow(tmp_path: Path, typed: str, offered: str) -> None:
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed)), "COMP_TYPE": "9"}
    process = piped(**asked, _ARGCOMPLETE_STDOUT_FILENAME=str(answer), _ARGCOMPLETE_IFS=" ")
    process.communicate()
    assert offered in answer.read_text(encoding="utf-8").split()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gradproof ")
    assert main(["--help"]) == 0
    assert "130  interrupted" in capsys.readouterr().out


def piped(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", "from gradproof._cli.main import run; run()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})


def test_a_reader_that_goes_away_is_no_trouble(tmp_path: Path) -> None:
    process = piped("run", file(tmp_path, "right"))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ascii_streams_work(tmp_path: Path) -> None:
    process = piped("run", file(tmp_path, "right", "undecided"), PYTHONIOENCODING="ascii")
    out, err = process.communicate()
    assert process.returncode == 0
    assert "CORRECT" in out.decode("ascii")
    assert "undecided" in err.decode("ascii")


def exact(cost: Any, params: Any, grads: Any, *, method: str, args: Any, options: Any) -> Report:
    """A check that is told the right gradient, for the demo's own logic."""
    claimed, right = grads(params, *args, **options), network.gradients(params, *args, **options)
    tensors = {}
    for name, array in params.items():
        gap = float(np.linalg.norm(claimed[f"d{name}"] - right[f"d{name}"]) / np.linalg.norm(right[f"d{name}"]))
        verdict = Verdict.WRONG if gap > 1e-6 else Verdict.CORRECT
        tensors[name] = TensorReport(name, array.shape, verdict, Difference(gap, gap, gap), "", 1e-5, array.size)
    verdict = Verdict.WRONG if any(one.verdict is Verdict.WRONG for one in tensors.values()) else Verdict.CORRECT
    most = max(float(one.difference) for one in tensors.values())
    return Report(
        verdict, Difference(most, most, most), tensors, (), Components(), 60, 0.1, (), method, 0, "float64", 4422
    )


def test_the_demo_plants_exactly_what_it_says() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert demo(None, out, err, exact) == 0
    shown = out.getvalue()
    for scene in SCENES:
        assert scene.about in shown
    assert "the course notes' loop" in shown
    assert "All came out as they must." in shown
    closing = shown[shown.index("course notes  ") :]
    assert closing.count(": a bug") == len(SCENES) - 1
    assert ": good" in closing
    assert err.getvalue() == ""


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--fast"], ["demo", "bugs"]])
def test_the_demo_comes_out_as_it_must(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "All came out as they must." in shown.out
    assert "\x1b" not in shown.out
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_one_scene_of_the_demo(name: str) -> None:
    out = io.StringIO()
    assert demo(name, out, io.StringIO(), exact) == 0
    assert out.getvalue().count("\n---") == 1


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_demo_fails_where_a_planted_bug_is_missed(name: str) -> None:
    def blind(cost: Any, params: Any, grads: Any, **given: Any) -> Report:
        return exact(cost, params, network.gradients, **given)

    out = io.StringIO()
    assert demo(name, out, io.StringIO(), blind) == 1
    assert "1 of 1 did not come out" in out.getvalue()


def test_the_walk_is_the_workflow_of_the_course_notes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo", "--fast"])
    shown = capsys.readouterr().out
    order = [
        "Forward propagation", "WRONG", "keep_prob = 1 in place of 0.9", "regulariser (missing)", "component",
        "CORRECT", "after 50 steps", "regulariser in both", "one pattern was", "Refused", "epoch", "dev error",
        "as they must",
    ]  # fmt: skip
    words = " ".join(shown.split())
    places = [words.index(word) for word in order]
    assert places == sorted(places)
    assert "\n1/8  Forward" in shown
    assert "\n8/8  Training" in shown


@pytest.mark.parametrize("planted", ["right", "another"])
def test_the_walk_fails_where_the_planted_bug_is_not_found(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(*args: Any, **options: Any) -> Any:
        return {name: 2.0 * value for name, value in network.gradients(*args, **options).items()}

    monkeypatch.setattr("gradproof._cli.workflow.without_l2", network.gradients if planted == "right" else doubled)
    out = io.StringIO()
    assert walk(out, io.StringIO(), fast=True) == 1
    assert "steps did not come out" in out.getvalue()


def test_an_unknown_scene_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "regulariszer"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Did you mean regulariser?" in said
    assert "`gradproof demo bugs` plays all." in said


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal, pipe = Terminal(), io.StringIO()
    before = sys.stdout
    threads = threading.active_count()
    with working(terminal, "checking [bold]x[/]"):
        assert "checking [bold]x[/]" in terminal.getvalue()
        assert sys.stdout is before
        assert threading.active_count() == threads
    with working(pipe, "checking"):
        pass
    assert pipe.getvalue() == ""


def test_starting_up_does_not_load_rich() -> None:
    code = "import sys, gradproof._cli.main; assert 'rich' not in sys.modules, 'rich was loaded'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
