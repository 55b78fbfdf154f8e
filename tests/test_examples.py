"""The examples do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_pytest_plugin import BY_NAME

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
GRADPROOF = ["-c", "from gradproof._cli.main import run; run()"]

#: How each is run, and what must be among its output.
RUNS = {
    "numpy_network.py": (
        [str(EXAMPLES / "numpy_network.py")],
        ["gradproof: WRONG. ", "regulariser (missing)", "Add lambd/m", "gradproof: CORRECT. "],
    ),
    "scipy_jac.py": ([str(EXAMPLES / "scipy_jac.py")], ["gradproof: CORRECT. "]),
    "test_with_pytest.py": (
        ["-m", "pytest", *BY_NAME, "-p", "no:cacheprovider", str(EXAMPLES / "test_with_pytest.py")],
        ["3 passed", "= gradproof ="],
    ),
    # Where there is no GPU it says so and does nothing else.
    "triton_kernel.py": ([str(EXAMPLES / "triton_kernel.py")], []),
    "check_softmax.py": ([*GRADPROOF, "run", str(EXAMPLES)], ["::at_the_start", "2 cases: 2 correct."]),
}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_an_example(name: str, tmp_path: Path) -> None:
    command, said = RUNS[name]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRADPROOF"))}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=own, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    text = " ".join(done.stdout.split())
    assert [part for part in said if part not in text] == []
