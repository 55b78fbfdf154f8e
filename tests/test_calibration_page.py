"""The page on calibration lists the problems that the benchmark runs, all of them and no others."""

import itertools
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import calibration
from problems import ACTIVATIONS, SMOOTH, STATES

PAGE = (Path(__file__).parent.parent / "docs" / "calibration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<rest>.*) \|$", re.MULTILINE)


def rows(page: str, section: str) -> dict[str, list[str]]:
    """The rows of one section's table whose first cell is a name, as name to the other cells."""
    text = page.split(f"## {section}\n")[1].split("\n## ")[0]
    return {row["name"]: row["rest"].split(" | ") for row in ROW.finditer(text)}


def networks() -> dict[str, list[str]]:
    """What the page has to say of each network."""
    found = {}
    for name, sizes in calibration.NETWORKS.items():
        weights = sum(a * b + b for a, b in itertools.pairwise(sizes))
        tensors = 2 * (len(sizes) - 1)
        cells = ["-".join(map(str, sizes)), weights, tensors, calibration.FULL[name]]
        found[name] = [str(cell) for cell in cells]
    return found


def test_the_networks_are_those_of_the_benchmark() -> None:
    assert rows(PAGE, "Networks") == networks()
    said = PAGE.split("## Networks\n")[1].split("| network")[0]
    assert re.findall(r"`([^`]+)`", said) == [*ACTIVATIONS, *STATES]


def test_the_smooth_functions_are_those_of_the_benchmark() -> None:
    sizes = {name: sum(v.size for v in build(0).params.values()) for name, build in SMOOTH.items()}
    assert {name: int(cells[0]) for name, cells in rows(PAGE, "Smooth functions").items()} == sizes
    assert all(len(cells) == 2 and cells[1] for cells in rows(PAGE, "Smooth functions").values())
    assert f"drawn {calibration.FULL['smooth']} times" in PAGE


def test_the_number_of_gradients_is_that_of_the_benchmark() -> None:
    assert f"Together {len(calibration.items(calibration.FULL, 0))} gradients a seed." in PAGE


@pytest.mark.parametrize("lost", ["| `deep` |", "| `rational` |"])
def test_a_problem_that_is_left_out_is_seen(lost: str) -> None:
    page = "\n".join(line for line in PAGE.splitlines() if not line.startswith(lost)) + "\n"
    assert (rows(page, "Networks") != networks()) or {*rows(page, "Smooth functions")} != {*SMOOTH}
