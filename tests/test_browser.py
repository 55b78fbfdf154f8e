"""The page in a real browser: nothing goes wrong, nothing leaves it, and it can be read by pointer and by keyboard."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradproof as gp
import pages
from gradproof._report.page import write
from test_page import staged

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
DESK = {"viewport": {"width": 1200, "height": 900}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pages.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in ("wrong", "right", "hostile", "stages", "auto", "staged")}
    wrong, right = pages.wrong(), pages.right()
    wrong.to_html(made["wrong"])
    right.to_html(made["right"])
    pages.wrong("auto").to_html(made["auto"])
    pages.hostile().to_html(made["hostile"])
    write({"initial": right, "trained": wrong}, made["stages"])
    staged().to_html(made["staged"])
    return made


@pytest.mark.parametrize("name", ["wrong", "right", "hostile", "stages", "auto", "staged"])
@pytest.mark.parametrize("settings", [DESK, DESK | {"color_scheme": "dark"}, PHONE])
def test_it_opens_and_fits(browser: Any, files: dict[str, Path], name: str, settings: dict[str, Any]) -> None:
    with pages.opened(browser, files[name], **settings) as page:
        assert page.locator("h1:visible").count() == 1
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "the page is wider than the screen"
        assert page.locator("figure:visible").count() == {"hostile": 0, "right": 2}.get(name, 4)


def test_a_planted_fault_in_a_page_is_noticed(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    for fault in ("<script>nothing()</script>", "<img src='http://localhost/x.png'>"):
        path.write_text(f"<!doctype html><title>x</title>{fault}", encoding="utf-8")
        with pytest.raises(AssertionError), pages.opened(browser, path) as page:
            page.wait_for_timeout(200)


def cell(page: Any, row: int, column: int) -> tuple[float, float]:
    """The middle of a cell of the map of W1, which has 20 x 30."""
    box = page.locator("figure .centre canvas").bounding_box()
    return box["x"] + box["width"] * (column + 0.5) / 30, box["y"] + box["height"] * (row + 0.5) / 20


def test_hovering_the_map_tells_the_element(browser: Any, files: dict[str, Path]) -> None:
    report = pages.wrong()
    known = {component.index: component for component in report.components if component.name == "W1"}
    with pages.opened(browser, files["wrong"], **DESK) as page:
        page.locator("figure").first.scroll_into_view_if_needed()
        for index in ((3, 5), (3, 8), (0, 0), (19, 29)):
            page.mouse.move(*cell(page, *index))
            tip = page.locator("#tip").inner_text()
            assert tip.startswith(f"W1[{index[0]}, {index[1]}]\n")
            told = dict(zip(tip.split("\n")[1::2], tip.split("\n")[2::2], strict=True))
            assert float(told["claimed"]) == pytest.approx(known[index].claimed, rel=1e-6)
            reference, bar = told["reference"].split(" ± ")
            assert float(reference) == pytest.approx(known[index].reference, rel=1e-6)
            assert known[index].error_bar <= float(bar) * 1.01
            assert float(bar) <= 2.0 * known[index].error_bar
            assert ("exceeded" in tip) == (index in pages.OFF)
            assert ("within the error bar" in tip) != (index in pages.OFF)
        page.mouse.move(2, 2)
        assert page.locator("#tip").is_hidden()


def test_the_keyboard_reaches_the_worst_cell_and_the_points(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], **DESK) as page:
        plots = page.locator(".plot")
        labels = [plots.nth(k).get_attribute("aria-label") for k in range(plots.count())]
        assert "4 out of bounds" in labels[0]
        assert all("Arrow keys" in label for label in labels)
        plots.nth(0).focus()
        page.keyboard.press("ArrowRight")
        first = page.locator("#tip").inner_text()
        assert any(first.startswith(f"W1[{row}, {column}]") for row, column in pages.OFF)
        page.keyboard.press("ArrowDown")
        assert page.locator("#tip").inner_text().startswith("W1[4, ")
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        for k in range(1, plots.count()):
            plots.nth(k).focus()
            page.keyboard.press("ArrowRight")
            assert page.locator("#tip").is_visible()


def test_every_control_has_a_name_and_the_tab_key_reaches_it(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], **DESK) as page:
        for role, name in (
            ("radio", "Dark"),
            ("group", "Colours"),
            ("searchbox", "Filter components"),
            ("combobox", "Tensor"),
            ("button", "mismatch"),
            ("region", "Worst components"),
            ("heading", "Findings"),
            ("link", "Skip to the verdict"),
        ):
            assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
        unnamed = page.evaluate(
            """[...document.querySelectorAll('button, input, select, [tabindex]')].filter((one) =>
            !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).length"""
        )
        assert unnamed == 0
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
        assert {"A.skip", "INPUT.", "BUTTON.", "SELECT.", "DIV.plot", "DIV.scroll"} <= reached


def column(page: Any, number: int) -> list[float]:
    cells = page.locator(f"section.components tbody tr:visible td:nth-child({number})")
    return [float(key) for key in cells.evaluate_all("(all) => all.map((one) => one.dataset.key)")]


def test_the_components_are_sorted_by_what_is_clicked(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], **DESK) as page:
        section = page.locator("section.components")
        for head, number in (("claimed", 3), ("position", 2), ("mismatch", 5)):
            button = section.get_by_role("button", name=head)
            button.click()
            assert column(page, number) == sorted(column(page, number), reverse=True)
            button.press("Enter")
            assert column(page, number) == sorted(column(page, number))
            sorted_by = section.locator("th[aria-sort]")
            assert (sorted_by.count(), sorted_by.get_attribute("aria-sort")) == (1, "ascending")
            assert len(column(page, number)) == 100


def test_the_components_are_filtered(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], **DESK) as page:
        search = page.get_by_role("searchbox", name="Filter components")
        search.fill("w1[3,")
        names = page.locator("section.components tbody tr:visible th").all_inner_texts()
        assert {f"W1[{row}, {place}]" for row, place in pages.OFF} <= set(names)
        assert all(name.startswith("W1[3,") for name in names)
        assert page.locator("section.components output").inner_text() == f"{len(names)} of 100"
        search.fill("no such thing")
        assert page.locator("section.components tbody tr:visible").count() == 0
        search.fill("")
        assert page.locator("section.components tbody tr:visible").count() == 100


def test_a_tensor_is_chosen_in_the_table_or_in_the_list(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], **DESK) as page:
        page.get_by_role("button", name="W2", exact=True).click()
        assert page.get_by_role("combobox").input_value() == "2"
        assert "Heat map of W2" in page.locator(".plot").first.get_attribute("aria-label")
        page.get_by_role("combobox").select_option("3")
        assert page.locator("tr.chosen th span").inner_text() == "b2"
        assert "0 out of bounds" in page.locator(".plot").first.get_attribute("aria-label")


def lightness(page: Any, selector: str) -> int:
    colour = page.locator(selector).first.evaluate("(one) => getComputedStyle(one).backgroundColor")
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3])


def pixel(page: Any) -> int:
    """Brightness of a cell of the map that is not off."""
    return int(
        page.locator(".centre canvas").evaluate(
            """(one) => {
              const copy = document.createElement("canvas");
              const pen = copy.getContext("2d", { willReadFrequently: true });
              pen.drawImage(one, 0, 0);
              return pen.getImageData(4, 4, 1, 1).data.slice(0, 3).reduce((a, b) => a + b);
            }"""
        )
    )


def test_light_and_dark_follow_the_system_and_the_switch(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], color_scheme="light", **DESK) as page:
        assert lightness(page, "body") > 600
        assert pixel(page) > 600
        page.emulate_media(color_scheme="dark")
        assert lightness(page, "body") < 150
        assert pixel(page) < 250
        page.locator(".switch label", has_text="Light").click()
        assert lightness(page, "body") > 600
        assert pixel(page) > 600
        page.get_by_role("radio", name="Light").press("ArrowRight")
        page.get_by_role("radio", name="Auto").press("ArrowRight")
        assert page.get_by_role("radio", name="Dark").is_checked()
        assert lightness(page, "body") < 150
        page.emulate_media(color_scheme="light")
        assert lightness(page, "body") < 150
        page.reload()
        assert page.get_by_role("radio", name="Dark").is_checked()


def contrast(page: Any, selector: str) -> float:
    """Contrast of a text with what lies behind it, as WCAG 2 defines it."""
    return float(
        page.locator(selector).first.evaluate(
            """(one) => {
              const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
              const light = (colour) => {
                const [r, g, b] = parts(colour).slice(0, 3).map((c) => c / 255)
                  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              let behind = one;
              while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
              const pair = [light(getComputedStyle(one).color), light(getComputedStyle(behind).backgroundColor)];
              return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
            }"""
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Any, files: dict[str, Path], scheme: str) -> None:
    with pages.opened(browser, files["wrong"], color_scheme=scheme, **DESK) as page:
        for selector in ("h1", ".cost", ".hint", ".badge.wrong", ".badge.correct", "figcaption", "dt", "td.shape"):
            assert contrast(page, selector) >= 4.5, selector
        page.evaluate("document.querySelector('.hint').style.color = '#7a7a7a'")  # a planted fault
        assert contrast(page, ".hint") < 4.5


def test_what_is_hostile_is_seen_and_not_run(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["hostile"], **PHONE) as page:
        assert page.evaluate("window.pwned") is None
        assert page.locator("img").count() == 0
        text = page.locator("section.tensors").inner_text()
        assert "<script>window.pwned = 1</script>" in text
        assert "\\u202egnp.exe" in text
        page.get_by_role("searchbox", name="Filter components").fill("<img src=x")
        assert page.locator("section.components tbody tr:visible").count() == 1


W = np.linspace(0.3, 1.7, 20).reshape(4, 5)
ODD: dict[str, tuple[Any, Any, Any]] = {
    "constant": (lambda p: 3.0, W, W),
    "not finite": (lambda p: float(np.sum(p**2)) if np.all(p[1] == W[1]) else math.nan, W, 2.0 * W),
    "kinks": (lambda p: float(np.sum(np.abs(p))), 0.0 * W, 0.0 * W),
    "a staircase": (lambda p: float(np.floor(1e3 * np.sum(p))), W, 0.0 * W + 1e3),
    "huge": (lambda p: float(1e300 * np.sum(p**2)), W, 2.2e300 * W),
    "complex": (lambda p: float(np.sum(np.abs(p) ** 2)), W + 1j * W, 2.1 * (W - 1j * W)),
    "a scalar": (lambda x: x * x, 3.0, 6.5),
    "linear": (lambda p: float(np.sum(p)), W, np.ones_like(W)),
    "NaN claimed": (lambda p: float(np.sum(p**2)), W, np.where(W > 1.0, np.nan, 2.0 * W)),
    "a long vector": (lambda p: float(np.sum(p**2)), np.arange(1.0, 501.0), np.zeros(500)),
    "nothing": (lambda p: 1.0, np.zeros((0, 3)), np.zeros((0, 3))),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the costs, which are odd on purpose
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("method", ["exhaustive", "classic"])
def test_what_is_odd_is_drawn_without_a_slip(browser: Any, tmp_path: Path, name: str, method: str) -> None:
    cost, params, claim = ODD[name]
    report = gp.check(cost, params, claim, method=method)
    report.to_html(tmp_path / "odd.html")
    slips = ("NaN", "undefined", "null", "[object", "Infinity")
    with pages.opened(browser, tmp_path / "odd.html", **DESK) as page:
        plots = page.locator(".plot[tabindex]")
        read = [] if name == "NaN claimed" else [page.locator("main").inner_text()]
        for k in range(plots.count()):
            plots.nth(k).focus()
            page.keyboard.press("ArrowRight")
            read.append(page.locator("#tip").inner_text())
        assert [text for text in read if any(slip in text for slip in slips)] == []
        assert plots.count() or not report.evidence.elements


def test_of_several_reports_one_is_shown_and_each_can_be(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["stages"], **DESK) as page:
        shown = page.locator("article.report:visible")
        assert (shown.count(), shown.get_attribute("aria-label")) == (1, "trained")
        page.get_by_role("link", name="initial").click()
        assert (shown.count(), shown.get_attribute("aria-label")) == (1, "initial")
        assert shown.locator("figure svg").first.bounding_box()["width"] > 400
        page.get_by_role("link", name="trained").click()
        assert shown.locator("figure").count() == 4


def test_it_can_be_read_without_scripts(browser: Any, files: dict[str, Path]) -> None:
    with pages.opened(browser, files["wrong"], java_script_enabled=False, **DESK) as page:
        text = page.locator("main").inner_text()
        assert "The gradient of W1 is 1.300000" in text
        assert "W1[3, 5]" in text
        assert page.locator(".bar:visible").count() == 4
