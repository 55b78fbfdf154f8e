"""A report in a notebook: what it shows, that it shows it on any ground, and a notebook that is really run."""

import io
import re
import time
from typing import Any

import numpy as np
import pytest

import gradproof as gp
import pages
from gradproof._pipeline.progress import PATIENCE, read_progress
from gradproof._records import Report
from gradproof._report import wording
from gradproof._report.outline import outline
from test_page import Reader, staged


@pytest.fixture(scope="module")
def report() -> Report:
    return pages.wrong("auto")


def test_it_says_what_the_text_says(report: Report) -> None:
    words = Reader(report._repr_html_()).words
    content = outline(report)
    told = [text for finding in content.findings for pair in finding for text in pair]
    told += [content.cost, content.headline.split(". ", 1)[1], content.worst]
    told += [cell for row in content.rows for cell in (row.tensor, row.shape, row.difference)]
    told += [text for pair in (*content.checklist, *content.origin) for text in pair]
    told += [cell for row in content.elements for cell in (row.place, row.claimed, row.reference)]
    assert [text for text in told if " ".join(wording.spaced(text).split()) not in words] == []


@pytest.mark.parametrize("made", [pages.wrong, pages.right, pages.hostile])
def test_it_is_static_and_takes_over_the_grounds_colours(made: Any) -> None:
    shown = made()._repr_html_()
    reader = Reader(shown)
    assert reader.open == []
    assert {name for name, _ in reader.tags} <= {"div", "span", "b", "table", "tbody", "tr", "th", "td"}
    assert all(set(given) <= {"style", "class", "aria-hidden"} for _, given in reader.tags)
    styles = [given.get("style") or "" for _, given in reader.tags]
    for style in styles:
        # A colour for text comes with a ground of its own, or belongs to a mark that is no text.
        own = re.search(r"(?:^|;)color:#", style)
        assert not own or "background:#" in style or 'aria-hidden="true"' in shown[shown.index(style) :][:200]
    assert len(shown) < 100_000


def test_stages_show_themselves_side_by_side() -> None:
    stages = staged()
    shown = stages._repr_html_()
    reader = Reader(shown)
    assert reader.open == []
    assert {name for name, _ in reader.tags} <= {"div", "span", "b", "table", "tbody", "tr", "th", "td"}
    words = reader.words
    assert "right at initialisation and wrong at initialisation x 10" in words
    assert "yes: 2 stages: initialisation, initialisation x 10" in words
    assert "<w>" in words
    assert "● wrong" in words
    assert "Seed" in words


def notebook(*cells: str) -> Any:
    """The notebook after it was run in a kernel of its own."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    client = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client.NotebookClient(made, timeout=120, kernel_name="python3").execute()
    return made


@pytest.mark.filterwarnings("default")  # of the notebook's own machinery, which is not ours to mend
def test_a_notebook_shows_a_report_and_how_far_a_check_is() -> None:
    made = notebook(
        "import time\nimport numpy as np\nimport gradproof as gp\n"
        "def cost(p):\n    time.sleep(0.01)\n    return float(np.sum(p['W'] ** 3))",
        "params = {'W': np.linspace(0.5, 1.0, 12).reshape(3, 4)}\n"
        "claim = {'W': 3.1 * params['W'] ** 2}\n"
        "report = gp.check(cost, params, claim, method='exhaustive', progress=True)\nreport",
        "%matplotlib inline\nreport.plot('heatmap').figure",
    )
    outputs = made.cells[1].outputs
    written = "".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stderr")
    counts = [int(count.replace(",", "")) for count in re.findall(r"gradproof: ([\d,]+) cost evaluations", written)]
    assert len(counts) >= 1
    assert counts == sorted(counts)
    (shown,) = [one for one in outputs if one.output_type == "execute_result"]
    assert "WRONG" in shown.data["text/html"]
    assert "W[" in shown.data["text/html"]
    assert "<script" not in shown.data["text/html"]
    assert shown.data["text/plain"].startswith("<Report WRONG W")
    (drawn,) = [one for one in made.cells[2].outputs if one.output_type == "execute_result"]
    assert len(drawn.data["image/png"]) > 2_000


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def slow(p: Any) -> float:
    time.sleep(0.02)
    return float((p**3).sum())


def checked(progress: Any, params: Any) -> Report:
    return gp.check(slow, params, 3.0 * params**2, progress=progress, method="exhaustive")


def test_progress_is_shown_to_a_terminal_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    params = np.linspace(0.5, 1.0, 10)
    for stream, seen in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        report = checked(True, params)
        assert report.passed
        written = stream.getvalue()
        assert ("cost evaluations" in written) == seen
        if seen:
            *_, blank, rest = written.split("\r")
            assert (blank.strip(), rest) == ("", "")
            assert len(blank) == max(len(line) for line in written.split("\r"))


def test_a_quick_check_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    report = gp.check(lambda p: float(p**3), 1.0, 3.0, progress=True)
    assert report.seconds < PATIENCE
    assert stream.getvalue() == ""


def test_a_callable_is_told_every_count_and_anything_else_is_refused() -> None:
    counts: list[int] = []
    report = gp.check(lambda p: float(p**3), 1.0, 3.0, progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == report.evaluations
    assert read_progress(None).tell is None
    assert read_progress(False).tell is None
    with pytest.raises(gp.InputError, match="`progress`"):
        gp.check(lambda p: float(p**3), 1.0, 3.0, progress=7)  # type: ignore[arg-type]
