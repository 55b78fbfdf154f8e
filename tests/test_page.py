"""The page as a file: complete, closed, escaped and small, without a browser."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
import pages
from gradproof._pipeline.evidence import known
from gradproof._records import Elements, Evidence, Points, Report, Source, Tensor, Verdict
from gradproof._report import page as pages_of
from gradproof._report import wording
from gradproof._report.outline import outline
from gradproof._report.page.data import CELLS
from gradproof._report.page.markup import said, sentence, tag
from gradproof._report.page.whole import POLICY

MOST = 300_000
VOID = {"meta", "img", "input", "br", "hr", "link"}


class Reader(HTMLParser):
    """Balance of tags, identifiers, attributes, and the text that is read."""

    def __init__(self, page: str) -> None:
        HTMLParser.__init__(self)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def numbers(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def report() -> Report:
    return pages.wrong()


def test_it_is_one_closed_document(report: Report) -> None:
    page = report.to_html()
    reader = Reader(page)
    assert reader.open == []
    assert page.startswith("<!doctype html>")
    policies = [given for name, given in reader.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert [given["content"] for given in policies] == [POLICY]
    assert "'none'" in POLICY
    links = [given.get(key) for _, given in reader.tags for key in ("src", "href", "action", "data") if key in given]
    assert links == ["#main"]
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    identifiers = [given["id"] for _, given in reader.tags if "id" in given]
    assert len(set(identifiers)) == len(identifiers)


def test_it_says_what_the_text_says(report: Report) -> None:
    words = Reader(report.to_html()).words
    content = outline(report)
    told = [text for finding in content.findings for pair in finding for text in pair]
    told += [text for pair in content.remarks for text in pair]
    told += [content.cost, content.headline.split(". ", 1)[1]]
    told += [cell for row in content.rows for cell in (row.tensor, row.difference)]
    told += [cell for row in content.elements for cell in (row.place, row.claimed, row.reference)]
    missing = [text for text in told if " ".join(wording.spaced(text).split()) not in words]
    assert missing == []


def test_it_is_written_where_it_is_asked_for(report: Report, tmp_path: Path) -> None:
    page = report.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert report.to_html(str(tmp_path / "other.html")) == page


def test_what_is_hostile_is_shown(tmp_path: Path) -> None:
    page = pages.hostile().to_html(tmp_path / "hostile.html")
    reader = Reader(page)
    assert reader.open == []
    assert not [given for name, given in reader.tags if name == "img" or any(key.startswith("on") for key in given)]
    assert [given.get("type") for name, given in reader.tags if name == "script"] == ["application/json", None]
    for name in pages.HOSTILE:
        assert wording.spaced(wording.name(name)) in "".join(reader.text)
    assert len(page) < MOST


@pytest.mark.parametrize("text", pages.HOSTILE)
def test_every_way_into_the_markup_escapes(text: str) -> None:
    for made in (said(text), sentence(text), tag("p", said(text), title=text)):
        reader = Reader(made)
        assert [name for name, _ in reader.tags if name not in ("p", "span")] == []
        assert all(set(given) <= {"title", "class"} for _, given in reader.tags)
        made.encode("utf-8")


def test_numbers_stay_whole_in_sentences() -> None:
    assert sentence("off by 6.2e-08 in W2[4, 7]") == (
        'off by <span class="unbroken">6.2e-08</span> in W2<span class="unbroken">[4, 7]</span>'
    )


def unpacked(text: str, dtype: str) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_the_numbers_are_those_of_the_report(report: Report) -> None:
    (content,) = numbers(report.to_html())
    shown = {tensor["name"]: tensor for tensor in content["tensors"]}
    assert list(shown) == ["W1", "b1", "W2", "b2"]
    for name, elements in report.evidence.elements.items():
        tensor, cells = shown[name], elements.cells
        assert tensor["elements"]["grid"] == list(cells.positions.shape)
        packed, unit = tensor["elements"]["cells"], tensor["elements"]["unit"]
        np.testing.assert_array_equal(unpacked(packed["positions"], "<u2"), cells.positions.reshape(-1))
        np.testing.assert_allclose(unpacked(packed["claimed"], "<f4") * unit, cells.claimed.reshape(-1), rtol=1e-6)
        mismatch = (cells.claimed - cells.reference).reshape(-1)
        np.testing.assert_allclose(unpacked(packed["mismatch"], "<f4") * unit, mismatch, rtol=1e-6)
        bars = unit * 10.0 ** (unpacked(packed["bars"], "<u2") / 1000.0 - 40.0)
        assert np.all(bars >= cells.bars.reshape(-1) * (1.0 - 1e-12)), "a bar is never made smaller"
        np.testing.assert_allclose(bars, cells.bars.reshape(-1), rtol=3e-3)
        line = content["lines"][tensor["line"]]
        assert line["step"] in line["steps"]


def test_complex_elements_carry_both_parts() -> None:
    params = np.array([1.0 + 2.0j, -0.5 + 0.25j])
    made = gp.check(lambda z: float(np.sum(np.abs(z) ** 2)), params, 2.1 * params, method="exhaustive")
    (content,) = numbers(made.to_html())
    elements = content["tensors"][0]["elements"]
    assert elements["cells"]["complex"]
    parts = unpacked(elements["cells"]["claimed"], "<f4") * elements["unit"]
    np.testing.assert_allclose(parts[::2] + 1j * parts[1::2], 2.1 * params, rtol=1e-6)


def large(tensors: int, shape: tuple[int, int], base: Report) -> Report:
    """A report on so many wrong tensors whose elements are all known, each with a bar of its own."""
    rng = np.random.default_rng(3)
    kept: dict[str, Elements] = {}
    size = shape[0] * shape[1]
    for number in range(tensors):
        claimed = rng.standard_normal(size)
        points = Points(np.arange(size), claimed, claimed + 1e-3 * rng.standard_normal(size), 1e-9 * rng.random(size))
        one = Tensor(f"layers.{number}.weight", shape, size, 0, "float64")
        kept[one.name] = known(one, 0, points, Source.MEASURED, tolerance=1e-5, norms=(1.0, 1.0))
    first = base.tensors["W1"]
    named = {name: type(first)(name, shape, Verdict.WRONG, first.difference, "", 1e-5, size) for name in kept}
    values = {key: getattr(base, key) for key in base.__dataclass_fields__}
    traces = dict.fromkeys(kept, base.evidence.traces["W1"])
    return Report(**(values | {"tensors": named, "evidence": Evidence(traces, kept)}))


@pytest.mark.parametrize(("tensors", "shape"), [(1, (1000, 1000)), (4, (500, 500)), (100, (100, 100))])
def test_a_million_parameters_stay_small(report: Report, tensors: int, shape: tuple[int, int]) -> None:
    page = large(tensors, shape, report).to_html()
    assert len(page.encode("utf-8")) < MOST
    (content,) = numbers(page)
    grids = [tensor["elements"]["grid"] for tensor in content["tensors"]]
    assert len(grids) == tensors
    assert sum(rows * columns for rows, columns in grids) <= CELLS
    assert max(max(grid) for grid in grids) <= 64


def test_several_reports_stand_side_by_side(report: Report) -> None:
    page = pages_of.render({"at the start": pages.right(), "<b>trained</b>": report})
    reader = Reader(page)
    links = [given["href"] for name, given in reader.tags if name == "a"]
    assert links == ["#main", "#report-0", "#report-1"]
    assert "at the start ✓ correct<b>trained</b> ✕ wrong" in reader.words
    assert len(numbers(page)) == 2


def test_no_tensor_no_report_no_trouble() -> None:
    assert Reader(pages_of.render({})).open == []
    nothing = gp.check(lambda p: 1.0, {"W": np.zeros((0, 3))}, {"W": np.zeros((0, 3))}, method="exhaustive")
    assert Reader(nothing.to_html()).open == []


def test_the_files_of_the_page_are_in_the_wheel() -> None:
    # Hatchling takes what lies in the package's folder; what git does not know is left out.
    own = Path(pages_of.__file__).parent
    from gradproof._report.page.whole import SCRIPTS

    assert {path.name for path in own.iterdir() if path.suffix in (".js", ".css")} == {*SCRIPTS, "page.css"}


def test_it_ends_with_the_checklist_and_its_origin(report: Report) -> None:
    words = Reader(report.to_html()).words
    content = outline(report)
    assert len(report.checklist) == 6
    for item in report.checklist:
        assert f"{item.question}" in words
        assert item.answer in words
    assert [text for pair in content.origin for text in pair if text not in words] == []
    told = dict(content.origin)
    assert "pages.py, lines " in told["Claimed gradient"]
    assert f"NumPy {np.__version__}" in told["Software"]
    assert f"gradproof {gp.__version__}" in told["Software"]
    assert "– not checked" in words


def test_what_was_not_measured_has_no_tick() -> None:
    shown = Reader(gp.check(lambda p: float(p @ p), np.ones(3), lambda p: 2 * p).to_html()).words
    assert "regulariser in both– not checked" in shown
    assert "at more than one stage– not checked" in shown
    assert "at more than one stage✓" not in shown


def staged() -> gp.Stages:
    """A cost with an upper side that the gradient does not know, at two sizes."""

    def cost(p: Any) -> float:
        return float(np.sum(np.minimum(p["<w>"], 3.0) ** 2 + 0.1 * p["<w>"]))

    made = gp.Stages(cost, lambda p: {"<w>": 2.0 * p["<w>"] + 0.1}, scales=(1, 10))
    made.at("initialisation", {"<w>": np.linspace(0.5, 1.0, 4)})
    return made


def test_stages_have_one_verdict_and_one_checklist_above_their_reports(tmp_path: Path) -> None:
    stages = staged()
    assert stages.verdict == "wrong"
    page = stages.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    reader = Reader(page)
    assert reader.open == []
    words = reader.words
    assert "right at initialisation and wrong at initialisation x 10" in words
    assert (
        words.count("yes2 stages: initialisation, initialisation x 10")
        + words.count("yes 2 stages: initialisation, initialisation x 10")
        == 3
    )  # of all, and in the report of each
    assert "this is one point" not in words
    assert stages.findings[0].regime.evidence in words
    assert len(numbers(page)) == 2
    assert [given["href"] for name, given in reader.tags if name == "a"] == ["#main", "#report-0", "#report-1"]


def test_one_stage_is_one_point() -> None:
    stages = gp.Stages(lambda p: float(p @ p), lambda p: 2 * p)
    stages.at("initialisation", np.ones(3))
    assert "this is one point" in Reader(stages.to_html()).words
