"""The source keeps the rules of its rooms, and the rules are seen to catch what they forbid."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from architecture import (
    FACE,
    FRAMEWORK_ROOMS,
    LAZY_EXCEPTIONS,
    PLUGIN,
    ROOMS,
    THIRD_PARTY,
    cycle,
    modules,
    room,
    violations,
)

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"

#: The most modules of our own that `import gradproof` may load. Who raises it asks first whether the new ones could
#: wait until they are used.
OWN_AT_MOST = 60
#: Rooms that are loaded when they are used.
LOADED_LATER = frozenset({"_causes", "_cli", "_report", "callbacks", "network"})

# Run in a fresh interpreter: this one has loaded frameworks for other tests. Compiled modules register helpers without
# a spec; those are nothing that was imported.
PROBE = """
import sys
sys.path[:0] = sys.argv[1:]
before = set(sys.modules)
import gradproof
print(*sorted(name for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None)))
"""


def broken(tmp_path: Path, **files: str) -> list[str]:
    """The rules that a made-up package breaks; a key is the path of a module below the package."""
    for name, text in files.items():
        if name == PLUGIN:
            path = tmp_path / f"{PLUGIN}.py"
        else:
            path = (tmp_path / "gradproof").joinpath(*name.split("/")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [violation.rule for violation in violations(tmp_path)]


def test_the_source_keeps_the_rules() -> None:
    assert len(modules(SOURCE)) > 30, "the reader found next to nothing to read"
    assert [str(violation) for violation in violations(SOURCE)] == []


PLANTED = {
    "a wall": ({"_numerics/noise": "from gradproof._records import Tensor"}, ["wall"]),
    "a wall, plain import": ({"_numerics/noise": "import gradproof._records.work"}, ["wall"]),
    "a wall, relative": ({"_numerics/noise": "from .._records import Tensor"}, ["wall"]),
    "a wall, relative, whole room": ({"_numerics/noise": "from .. import _tree", "_tree": ""}, ["wall"]),
    "a wall, inside a function": ({"_tree": "def f():\n    from gradproof import _check", "_check": ""}, ["wall"]),
    "a wall, for types": (
        {"_tree": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gradproof._check import check"},
        ["wall"],
    ),
    "a wall, by name": ({"_tree": "import importlib\nimportlib.import_module('gradproof._check')"}, ["wall"]),
    "the face from within": ({"_tree": "import gradproof"}, ["wall"]),
    "a client uses the engine": ({"network/training": "from gradproof._check import check"}, ["wall"]),
    "the lazy import, at the start": ({"_records/report": "from gradproof._report.text import render"}, ["wall"]),
    "a framework in the core": ({"_reference": "def f():\n    import torch"}, ["outsider"]),
    "a training framework in the engine": ({"_adapters/lightning": "import lightning"}, ["outsider"]),
    "PyTorch in a callback": ({"callbacks/skorch": "import torch"}, ["outsider"]),
    "a framework by name": ({"_verdict/judge": "__import__('jax.numpy')"}, ["outsider"]),
    "SciPy anywhere but the adapters": ({"_numerics/bounds": "from scipy import stats"}, ["outsider"]),
    "NumPy in the errors": ({"_errors": "import numpy as np"}, ["outsider"]),
    "rich outside the rendering": ({"_check": "def f():\n    from rich.table import Table"}, ["outsider"]),
    "rich at the start": ({"_report/text": "from rich.table import Table"}, ["outsider"]),
    "the plugin pays": ({PLUGIN: "from gradproof._check import check"}, ["thrift"]),
    "a room nobody knows": ({"_extras": ""}, ["room"]),
    "a junk drawer": ({"_report/utils": ""}, ["name"]),
    "an underscore inside": ({"_report/_text": ""}, ["name"]),
    "a circle of modules": (
        {
            "_report/text": "from gradproof._report import outline",
            "_report/outline": "from gradproof._report.text import render",
        },
        ["cycle"],
    ),
}

NEAR_MISSES = {
    "allowed by the table": {"_tree": "from gradproof._errors import InputError"},
    "the room's own modules": {"_numerics/noise": "from gradproof._numerics.ladder import FIRST_STEP"},
    "relative, in the room": {"_numerics/noise": "from .ladder import FIRST_STEP", "_numerics/ladder": ""},
    "the named lazy import": {"_records/report": "def f():\n    from gradproof._report.text import render"},
    "a framework in its place": {"_adapters/torch": "import torch"},
    "a training framework in its place": {"callbacks/lightning": "from lightning.pytorch import Callback"},
    "SciPy in its place": {"_adapters/scipy": "from scipy import sparse"},
    "rich for types": {
        "_report/text": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rich.table import Table"
    },
    "rich when used": {"_report/text": "def f():\n    from rich.table import Table"},
    "the plugin, when asked": {PLUGIN: "import pytest\ndef f():\n    from gradproof._check import check"},
    "the standard library": {"_errors": "import math\nfrom collections import abc"},
    "a text that names a framework": {"_reference": "'''import torch'''\nname = 'torch'"},
    "the face takes all": {"__init__": "from gradproof._check import check", "_check": ""},
    "an entry of the package": {"_cli/__main__": "from gradproof._cli.main import run"},
    "a circle broken by a function": {
        "_report/text": "from gradproof._report import outline",
        "_report/outline": "def f():\n    from gradproof._report.text import render",
    },
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_caught(tmp_path: Path, what: str) -> None:
    files, expected = PLANTED[what]
    assert broken(tmp_path, **files) == expected


@pytest.mark.parametrize("what", NEAR_MISSES)
def test_a_near_miss_passes(tmp_path: Path, what: str) -> None:
    assert broken(tmp_path, **NEAR_MISSES[what]) == []


def test_a_violation_says_where_and_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "gradproof").mkdir()
    (tmp_path / "gradproof" / "_tree.py").write_text("\nfrom gradproof._check import check\n", encoding="utf-8")
    assert [str(found) for found in violations(tmp_path)] == [
        "gradproof/_tree.py:2: _tree may not import _check, only _errors (wall)"
    ]


def test_a_circle_is_found_in_the_direction_of_its_arrows() -> None:
    circle = cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert circle[0] == circle[-1]
    assert set(pairwise(circle)) == {("a", "b"), ("b", "c"), ("c", "a")}
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_a_circle_of_rooms_is_caught_where_the_modules_form_none(tmp_path: Path) -> None:
    # One module of _cases looks at _cli and another module of _cli looks back: no module imports itself through others.
    files = {"_cases/a": "from gradproof._cli import x", "_cli/x": "", "_cli/y": "from gradproof._cases import b"}
    assert broken(tmp_path, **files, **{"_cases/b": ""}) == ["wall", "cycle"]


def test_the_table_itself_has_no_circle() -> None:
    assert cycle({here: allowed for here, allowed in ROOMS.items() if here != FACE}) == []


def test_the_table_names_only_rooms() -> None:
    named = {name for here, allowed in ROOMS.items() if here != FACE for name in allowed}
    named |= {name for pair in LAZY_EXCEPTIONS for name in pair} | FRAMEWORK_ROOMS
    named |= {name for allowed in THIRD_PARTY.values() for name in allowed}
    assert named - set(ROOMS) == set()


def documented_rooms(text: str) -> dict[str, frozenset[str]]:
    """The rooms table of the documentation: `room` | what lives there | what it may import."""
    rooms = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and re.fullmatch(r"`\w+`", cells[0]):
            allowed = re.findall(r"`(\w+)`", cells[2])
            rooms[cells[0].strip("`")] = frozenset(allowed or {cells[2]} & {"everything"})
    return rooms


def test_the_documented_table_is_the_one_that_is_tested() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert documented_rooms(text) == dict(ROOMS)
    assert documented_rooms(text.replace("| `_tree` |", "| `_trees` |")) != dict(ROOMS)


def loaded_by_importing(folder: Path) -> set[str]:
    """The modules that `import gradproof` loads, in a fresh interpreter that looks into this folder first."""
    command = [sys.executable, "-c", PROBE, str(folder)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def packages(loaded: set[str]) -> set[str]:
    """The packages among them that do not come with Python."""
    return {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names


def own(loaded: set[str]) -> set[str]:
    return {name for name in loaded if room(name) is not None}


def test_importing_the_package_loads_numpy_and_little_else() -> None:
    loaded = loaded_by_importing(SOURCE)
    assert packages(loaded) == {"gradproof", "numpy"}
    assert len(own(loaded)) <= OWN_AT_MOST
    assert {room(name) for name in own(loaded)} & LOADED_LATER == set()


@pytest.mark.parametrize("name", ["torch", "scipy", "rich", "a_framework_nobody_knows_yet"])
def test_the_probe_sees_what_is_planted(tmp_path: Path, name: str) -> None:
    files = {"gradproof/__init__": f"import {name}.inner", f"{name}/__init__": "", f"{name}/inner": ""}
    for file, text in files.items():
        path = (tmp_path / file).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert packages(loaded_by_importing(tmp_path)) == {"gradproof", name}


def test_the_probe_counts_what_is_ours(tmp_path: Path) -> None:
    (tmp_path / "gradproof" / "_cli").mkdir(parents=True)
    text = "import colorsys\nfrom gradproof import _errors, _cli"
    for file, content in {"__init__": text, "_errors": "", "_unused": "", "_cli/__init__": ""}.items():
        (tmp_path / "gradproof" / f"{file}.py").write_text(content, encoding="utf-8")
    loaded = loaded_by_importing(tmp_path)
    assert "colorsys" in loaded
    assert packages(loaded) == {"gradproof"}
    assert own(loaded) == {"gradproof", "gradproof._errors", "gradproof._cli"}


def test_a_dotted_name_lies_in_its_room() -> None:
    assert room("gradproof._numerics.noise") == "_numerics"
    assert room("gradproof") == FACE
    assert room(PLUGIN) == PLUGIN
    assert room("gradproofs._numerics") is None
