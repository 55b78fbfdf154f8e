"""Which files are looked into, and which of their cases are meant."""

from pathlib import Path

import pytest

from gradproof._cases.discovery import Target, matcher, targets
from gradproof._cli.main import main
from gradproof._errors import InputError
from gradproof._settings import PATTERNS
from written_cases import BODIES, HEAD, file


def written(folder: Path, *names: str, content: str = "import gradproof\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def found(folder: Path) -> list[str]:
    return [one.path.relative_to(folder).as_posix() for one in targets([str(folder)], PATTERNS)]


def test_a_folder_is_searched_by_name_and_in_order(tmp_path: Path) -> None:
    written(tmp_path, "check_b.py", "check_a.py", "sub/net_checks.py", "sub/deep/check_c.py")
    written(tmp_path, "net.py", "checks.py", "check_.txt", "sub/recheck_a.py")
    assert found(tmp_path) == ["check_a.py", "check_b.py", "sub/net_checks.py", "sub/deep/check_c.py"]


def test_scripts_of_others_are_not_run(tmp_path: Path) -> None:
    written(tmp_path, "check_links.py", content="raise SystemExit('this was run')\n")
    assert found(tmp_path) == []
    assert targets([str(tmp_path / "check_links.py")], PATTERNS) == [Target(tmp_path / "check_links.py")]


def test_folders_of_others_are_passed_over(tmp_path: Path) -> None:
    written(tmp_path, *(f"{folder}/check_a.py" for folder in (".hidden", "build", "node_modules", "mine", "venv")))
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert found(tmp_path) == ["mine/check_a.py"]


def test_each_is_meant_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "check_a.py")
    monkeypatch.chdir(tmp_path)
    assert targets([".", "check_a.py", "./check_a.py"], PATTERNS) == [Target(Path("check_a.py"))]
    assert targets(["check_a.py::net"], PATTERNS) == [Target(Path("check_a.py"), "net")]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        targets([str(tmp_path / "missing")], PATTERNS)
    with pytest.raises(InputError, match="a folder"):
        targets([f"{tmp_path}::net"], PATTERNS)


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        ("net", {"check_net.py::relu", "check_net.py::tanh"}),
        ("RELU", {"check_net.py::relu", "check_loss.py::relu6"}),
        ("net and relu", {"check_net.py::relu"}),
        ("net and not relu", {"check_net.py::tanh"}),
        ("not net", {"check_loss.py::relu6", "check_loss.py::hinge"}),
        ("tanh or hinge", {"check_net.py::tanh", "check_loss.py::hinge"}),
        ("not (tanh or hinge)", {"check_net.py::relu", "check_loss.py::relu6"}),
        ("tanh or loss and relu", {"check_net.py::tanh", "check_loss.py::relu6"}),
        ("not not tanh", {"check_net.py::tanh"}),
        ("::relu", {"check_net.py::relu", "check_loss.py::relu6"}),
    ],
)
def test_an_expression_means_cases(expression: str, meant: set[str]) -> None:
    labels = {"check_net.py::relu", "check_net.py::tanh", "check_loss.py::relu6", "check_loss.py::hinge"}
    assert {label for label in labels if matcher(expression)(label)} == meant


@pytest.mark.parametrize("expression", ["and", "a and", "a b", "(a", "a)", "not", "or a", "()"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(InputError, match="should be names joined by and, or, not and brackets"):
        matcher(expression)


def test_cases_are_listed_or_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path, "right", "wrong", "interrupted")
    assert main(["run", "--list", path]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{path}::{name}" for name in ("right", "wrong", "interrupted")]
    assert main(["run", "--list", path, "-k", "::int"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{path}::interrupted"]
    assert main(["run", path, "-k", "::right"]) == 0
    assert "1 case: 1 correct." in capsys.readouterr().out
    assert main(["run", path, "-k", "nobody"]) == 5
    assert "-k 'nobody'" in capsys.readouterr().err
    assert main(["run", "--list", path, "-k", "nobody"]) == 5


def test_a_listing_says_what_did_not_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, "check_a.py", content=HEAD + f"@case\ndef right():\n    {BODIES['right']}\n")
    written(tmp_path, "check_b.py", content="import gradproof\n1 / 0\n")
    assert main(["run", "--list", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"{tmp_path / 'check_a.py'}::right"]
    assert "ZeroDivisionError" in shown.err
