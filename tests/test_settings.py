"""Settings: the call over the flag over the environment over the file over the default."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._cli.main import main
from gradproof._errors import InputError
from gradproof._settings import (
    SETTINGS,
    Table,
    from_text,
    lending,
    read_table,
    require_usable_environment,
    setting,
)

POINT = np.array([0.3, -1.2])


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.chdir(tmp_path)


def variable(name: str) -> str:
    return "GRADPROOF_" + name.upper().replace("-", "_")


def checked(**given: Any) -> gp.Report:
    return gp.check(lambda p: float(np.sum(np.sin(p))), POINT, np.cos, **given)


def table(folder: Path, content: str) -> Path:
    path = folder / "pyproject.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_each_source_goes_over_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked().seed == 0
    with lending({}, lambda: {"seed": 1}):
        assert checked().seed == 1
        monkeypatch.setenv("GRADPROOF_SEED", "2")
        assert checked().seed == 2
        with lending({"seed": 3}, lambda: {"seed": 1}):
            assert checked().seed == 3
            assert checked(seed=4).seed == 4
            assert checked(seed=0).seed == 0
        assert checked().seed == 2
    assert checked().seed == 2
    monkeypatch.setenv("GRADPROOF_SEED", " ")
    assert checked().seed == 0


@pytest.mark.parametrize("how", ["variable", "flag", "file"])
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("method", "probe", "probe"), ("tolerance", "0.25", 0.25), ("tolerance", "p=0.25", {"p": 0.25}),
     ("budget", "12", 12), ("seed", "7", 7)],
)  # fmt: skip
def test_every_setting_of_a_check_reaches_it(
    how: str, name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(report: gp.Report) -> Any:
        tolerance = next(iter(report.tensors.values())).tolerance
        return {"method": report.method, "tolerance": tolerance, "budget": report.evaluations, "seed": report.seed}[
            name
        ]

    plain = seen(checked())
    if how == "variable":
        monkeypatch.setenv(variable(name), text)
    with lending({name: value} if how == "flag" else {}, lambda: {name: value} if how == "file" else {}):
        changed = seen(checked())
    assert changed != plain
    assert changed <= value if name == "budget" else changed == (0.25 if name == "tolerance" else value)


def test_workers_of_the_settings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF_WORKERS", "2")
    with pytest.raises(InputError, match="sent to another process"):  # a cost inside a function cannot be sent
        checked()
    assert checked(workers=1)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("method", "classic", "classic"), ("method", "fast", None),
        ("tolerance", "1e-3", 1e-3), ("tolerance", "W*=1e-3, b=0.5", {"W*": 1e-3, "b": 0.5}), ("tolerance", "2", None),
        ("tolerance", "nan", None), ("tolerance", "W=", None), ("tolerance", "W=1e-3,b", None),
        ("budget", "500", 500), ("budget", "30s", "30s"), ("budget", "1.5s", "1.5s"), ("budget", "0", None),
        ("budget", "s", None), ("budget", "-3s", None),
        ("seed", "0", 0), ("seed", "-1", None), ("seed", "1.5", None),
        ("workers", "-1", -1), ("workers", "4", 4), ("workers", "0", None), ("workers", "-2", None),
        ("strict", "Yes", True), ("strict", "off", False), ("strict", "maybe", None),
        ("files", "a_*.py, b_*.py", ["a_*.py", "b_*.py"]), ("files", "a,,b", None),
        ("junit-xml", "-", "-"),
    ],
)  # fmt: skip
def test_text_is_read_or_refused(name: str, text: str, value: Any) -> None:
    if value is not None:
        assert from_text(name, text, "here") == value
        return
    with pytest.raises(InputError, match=r"While reading the settings: here should be .*, but is .*\. Write"):
        from_text(name, text, "here")


@pytest.mark.parametrize("name", SETTINGS)
def test_the_example_of_each_setting_is_one(name: str, tmp_path: Path) -> None:
    table(tmp_path, f"[tool.gradproof]\n{name} = {SETTINGS[name].example}\n")
    assert read_table(tmp_path).values.keys() == {name}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sed = 3", r"'sed' should be a setting, but is unknown\. Did you mean seed\? There are method, "),
        ("colour = 3", r"'colour' should be a setting, but is unknown\. There are method, "),
        ("seed = -3", "`seed` should be an integer of at least 0, but is -3"),
        ("seed = true", "`seed` should be an integer"),
        ("strict = 1", "`strict` should be true or false"),
        ("tolerance = {}", "`tolerance` should be a number between 0 and 1, or such numbers by name"),
        ("paths = 'checks'", "`paths` should be a list"),
        ("paths = []", "`paths` should be a list"),
        ("seed =", "should be TOML, but is not"),
    ],
)
def test_a_table_that_cannot_be_is_refused(line: str, said: str, tmp_path: Path) -> None:
    table(tmp_path, f"[tool.gradproof]\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_table(tmp_path)


def test_the_nearest_file_with_a_table_is_taken(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    table(inner, "[tool.other]\nseed = 1\n")
    assert read_table(inner) == Table()
    table(tmp_path, "[tool.gradproof]\nseed = 2\n")
    assert read_table(inner) == Table({"seed": 2}, tmp_path)
    table(tmp_path / "a", "[tool.gradproof]\njunit_xml = 'x'\n")
    assert read_table(inner) == Table({"junit-xml": "x"}, tmp_path / "a")


def test_variables_are_settings_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPROOF", "off")
    monkeypatch.setenv("GRADPROOF_JUNIT_XML", "x")
    require_usable_environment()
    assert setting("junit-xml") == "x"
    monkeypatch.setenv("GRADPROOF_BUGDET", "3")
    with pytest.raises(InputError, match=r"'GRADPROOF_BUGDET'.*Did you mean GRADPROOF_BUDGET\?"):
        require_usable_environment()
    assert main(["run"]) == 2
    monkeypatch.delenv("GRADPROOF_BUGDET")
    assert main(["run"]) == 5
    monkeypatch.setenv("GRADPROOF_SEED", "first")
    assert main(["run"]) == 2


def test_the_command_line_hands_all_three_to_its_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "import numpy as np, gradproof as gp\n@gp.case\ndef net():\n"
    source += "    return gp.check(lambda p: float(np.sin(p)), 0.3, np.cos)\n"
    (tmp_path / "check_net.py").write_text(source, encoding="utf-8")

    def seed(*arguments: str) -> str:
        assert main(["run", *arguments]) == 0
        return capsys.readouterr().out.partition("Seed ")[2].partition(".")[0]

    assert seed() == "0"
    table(tmp_path, "[tool.gradproof]\nseed = 1\n")
    assert seed() == "1"
    monkeypatch.setenv("GRADPROOF_SEED", "2")
    assert seed() == "2"
    assert seed("--seed", "3") == "3"


def test_workers_know_the_functions_of_a_file_of_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside.py").write_text("import numpy as np\ndef inner(p):\n    return np.sin(p)\n", encoding="utf-8")
    source = "import numpy as np, gradproof as gp\nfrom beside import inner\n"
    source += "def cost(p):\n    return float(np.sum(inner(p)))\n"
    source += "@gp.case\ndef net():\n    return gp.check(cost, np.ones(3), np.cos)\n"
    source += "@gp.case\ndef local():\n    return gp.check(lambda p: cost(p), np.ones(3), np.cos)\n"
    (tmp_path / "check_net.py").write_text(source, encoding="utf-8")
    assert main(["run", "check_net.py::net", "--workers", "2"]) == 0
    capsys.readouterr()
    assert main(["run", "check_net.py::local", "--workers", "2"]) == 2
    assert "Define it at the top level" in " ".join(capsys.readouterr().err.split())


def test_paths_in_the_file_start_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path, "[tool.gradproof]\npaths = ['mine']\nfiles = ['grad_*.py']\njson = 'out/a.json'\n")
    for name in ("mine/grad_a.py", "mine/check_b.py", "other/grad_c.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("import gradproof as gp\n@gp.case\ndef c():\n    return gp.check(lambda p: p, 1.0, 1.0)\n")
    monkeypatch.chdir(tmp_path / "other")
    assert main(["run", "--list"]) == 0
    assert capsys.readouterr().out == "../mine/grad_a.py::c\n".replace("/", str(Path("/")))
    assert main(["run"]) == 0
    assert (tmp_path / "out" / "a.json").exists()
    assert main(["run", "--json", "here.json"]) == 0
    assert (tmp_path / "other" / "here.json").exists()


def test_a_flag_can_take_back_what_the_file_says(tmp_path: Path) -> None:
    table(tmp_path, "[tool.gradproof]\nstrict = true\n")
    source = "import numpy as np, gradproof as gp\n@gp.case\ndef c():\n"
    source += "    return gp.check(lambda p: float(np.sin(p)), 0.3, np.cos, budget=1)\n"
    (tmp_path / "check_a.py").write_text(source, encoding="utf-8")
    assert main(["run"]) == 1
    assert main(["run", "--no-strict"]) == 0


def test_a_check_alone_reads_no_file(tmp_path: Path) -> None:
    table(tmp_path, "[tool.gradproof]\nseed = 1\n")
    program = (
        "import sys, gradproof as gp; report = gp.check(lambda p: p * p, 2.0, 4.0); "
        "print(report.seed, 'tomllib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]
