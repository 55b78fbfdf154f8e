"""The hooks themselves: what did not run fails where all is required, and the blocks in the documents run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOOKS = Path(__file__).with_name("conftest.py")
DOCUMENT_HOOKS = HOOKS.parents[1] / "conftest.py"

_SPEC = importlib.util.spec_from_file_location("conftest_of_documents", DOCUMENT_HOOKS)
assert _SPEC is not None
assert _SPEC.loader is not None
DOCUMENTS = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = DOCUMENTS
_SPEC.loader.exec_module(DOCUMENTS)

WAYS = {
    "a mark": "import pytest\n@pytest.mark.skip(reason='planted')\ndef test_a():\n    pass\n",
    "inside": "import pytest\ndef test_a():\n    pytest.skip('planted')\n",
    "a whole file": "import pytest\npytest.skip('planted', allow_module_level=True)\n",
    "a missing package": "import pytest\npytest.importorskip('no_such_package_planted')\n",
    "an expected failure": "import pytest\n@pytest.mark.xfail(reason='planted')\ndef test_a():\n    assert False\n",
}


def outcome(folder: Path, text: str, required: str, name: str = "test_planted.py") -> tuple[int, str]:
    """Exit status and output of pytest on one file, under the hooks of the tests or of the documents."""
    hooks = HOOKS if name.endswith(".py") else DOCUMENT_HOOKS
    planted = folder / name
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(text, encoding="utf-8")
    (folder / "conftest.py").write_text(hooks.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRADPROOF", "TESTS_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."]
    environment = {**own, "TESTS_REQUIRE_ALL": required}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("way", WAYS)
def test_what_did_not_run_fails_where_all_is_required(tmp_path: Path, way: str) -> None:
    status, output = outcome(tmp_path, WAYS[way], "1")
    assert status in (1, 2), output
    assert "demands that every test does" in output
    assert "planted" in output
    assert not re.search(r"\d (skipped|xfailed)", output)


def test_elsewhere_it_is_left_alone(tmp_path: Path) -> None:
    status, output = outcome(tmp_path, WAYS["inside"], "0")
    assert (status, "1 skipped" in output) == (0, True)


def test_a_graphics_card_cannot_be_installed(tmp_path: Path) -> None:
    text = "import pytest\ndef test_a():\n    pytest.skip('there is no GPU on this machine')\n"
    status, output = outcome(tmp_path, text, "1")
    assert (status, "1 skipped" in output) == (0, True), output


def test_a_test_that_ran_passes(tmp_path: Path) -> None:
    status, output = outcome(tmp_path, "def test_a():\n    pass\n", "1")
    assert (status, "1 passed" in output) == (0, True)


@pytest.mark.parametrize("name", ["README.md", "docs/page.md"])
def test_the_blocks_of_a_document_run_and_share_their_names(tmp_path: Path, name: str) -> None:
    text = "# Title\n\n```python\na = 1\n```\n\nText.\n\n```python\nassert a == 1\n```\n"
    status, output = outcome(tmp_path, text, "1", name)
    assert (status, "2 passed" in output) == (0, True), output
    status, output = outcome(tmp_path, text.replace("a = 1", "a = 2"), "1", name)
    assert (status, "1 failed, 1 passed" in output) == (1, True), output


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("a b", "a  b", True), ("a b", "a c", False), ("a b", "", False), ("", "a", False),
        ("a\n...\nd", "a\nb\nc\nd", True), ("a\n...\nd", "a\nb\nc", False), ("a ... d", "a b c d", True),
        ("...", "a", False),
        ("12 ms", "512 ms", True), ("in 0.50s", "in 9.61s", True), ("12 parameters", "13 parameters", False),
        ("40 evaluations", "55 evaluations", True), ("40 evaluations", "81 evaluations", False),
        ("40 cost evaluations", "81 cost evaluations", False),
        ("below 4.6e-08", "below 1.2e-08", True), ("below 4.6e-08", "below 1.1e-08", False),
        ("below 4.6e-08", "above 4.6e-08", False), ("3.3333333e-01", "3.3333334e-01", True),
        ("3.3333333e-01", "3.3343333e-01", False), ("0.19 x", "0.20 x", False), ("4,422", "4,422", True),
        ("W[4, 7]", "W[4, 8]", False), ("1 of 2", "2 of 2", False),
    ],
)  # fmt: skip
def test_what_a_page_shows_is_compared_with_what_is_printed(shown: str, printed: str, alike: bool) -> None:
    module = vars(DOCUMENTS)
    assert (module["_difference"](shown, printed) is None) == alike


def test_a_block_that_prints_what_the_page_does_not_show_fails(tmp_path: Path) -> None:
    status, output = outcome(tmp_path, "```python\nprint('planted')\n```\n", "1", "README.md")
    assert (status, "What was printed:\nplanted" in output) == (1, True), output
    status, output = outcome(tmp_path, "```python\nprint('planted')\n```\n\n```text\nplanted\n```\n", "1", "README.md")
    assert (status, "1 passed" in output) == (0, True), output


def test_commands_run_in_the_folder_of_the_files(tmp_path: Path) -> None:
    page = "```python\n# check_it.py\nprint('planted')\n```\n\n```console\n$ python check_it.py\nplanted\n```\n"
    status, output = outcome(tmp_path, page, "1", "docs/page.md")
    assert (status, "2 passed" in output) == (0, True), output
    status, output = outcome(tmp_path, page.replace("py\nplanted", "py\nother"), "1", "docs/page.md")
    assert (status, "1 failed, 1 passed" in output) == (1, True), output
    assert not (tmp_path / "docs" / "check_it.py").exists()


def test_a_block_in_another_language_is_left_alone(tmp_path: Path) -> None:
    status, output = outcome(tmp_path, "```text\nnot python\n```\n\n```python\na = 1\n```\n", "1", "README.md")
    assert (status, "1 passed" in output) == (0, True), output


@pytest.mark.parametrize(("demanded", "told"), [("", "2 skipped"), ("1", "2 failed")])
def test_a_page_on_a_framework_that_is_not_installed_is_skipped(tmp_path: Path, demanded: str, told: str) -> None:
    """A module of that name that fails to load stands before whatever is installed."""
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError('planted', name='jax')\n", encoding="utf-8")
    page = "```python\nimport jax\n```\n\n```python\nassert False\n```\n"
    _, output = outcome(tmp_path, page, demanded, "docs/page.md")
    assert told in output, output
