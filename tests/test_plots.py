"""The pictures with matplotlib, by the numbers that are drawn."""

import builtins
import math
import sys
from collections.abc import Callable
from typing import Any

import matplotlib.figure
import numpy as np
import pytest

import gradproof as gp
import pages
from gradproof._records import Report
from gradproof._report.curves import line_of, steps_curve, straightest, taylor_curve
from gradproof._report.plots import KINDS, LEAST, plot
from test_page import staged


@pytest.fixture(scope="module")
def wrong() -> Report:
    return pages.wrong()


@pytest.fixture(scope="module")
def right() -> Report:
    return pages.right()


def lines(ax: Any) -> dict[str, tuple[Any, Any]]:
    return {line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in ax.lines}


@pytest.mark.parametrize("kind", KINDS)
def test_axes_are_returned_and_nothing_is_shown(kind: str, wrong: Report) -> None:
    ax = wrong.plot(kind)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
    assert ax.figure.axes[0] is ax
    own: Any = matplotlib.figure.Figure().subplots()
    assert wrong.plot(kind, own) is own
    own.figure.canvas.draw()


def test_the_bars_are_the_high_ends_and_the_lines_the_tolerances(wrong: Report, right: Report) -> None:
    for report in (wrong, right):
        ax: Any = report.plot("tensors")
        names = [tick.get_text() for tick in ax.get_yticklabels()]
        assert set(names) == set(report.tensors)
        for name, bar in zip(names, ax.patches, strict=True):
            assert bar.get_width() == pytest.approx(report.tensors[name].difference.high)
        across = [line for line in ax.lines if line.get_xdata()[0] == line.get_xdata()[1]]
        assert [line.get_xdata()[0] for line in across] == [report.tensors[name].tolerance for name in names]
        assert ax.get_xscale() == "log"
    assert wrong.plot().get_yticklabels()[0].get_text() == "W1"


def test_the_map_is_hot_where_it_is_wrong_and_nowhere_else(wrong: Report) -> None:
    ax = wrong.plot("heatmap")
    image = np.asarray(ax.images[0].get_array())
    assert image.shape == (20, 30)
    assert [tuple(map(int, index)) for index in np.argwhere(image > 0.0)] == pages.OFF
    assert list(ax.images[0].get_extent()) == [-0.5, 29.5, 19.5, -0.5]
    assert not np.any(np.asarray(wrong.plot("heatmap", tensor="W2").images[0].get_array()) > 0.0)


def test_what_was_not_measured_is_left_out_of_the_map() -> None:
    report = gp.check(*pages.network(planted=True), method="exhaustive", budget=1200)
    (name,) = [one for one, known in report.evidence.elements.items() if not known.complete]
    image: Any = report.plot("heatmap", tensor=name).images[0].get_array()
    known = report.evidence.elements[name]
    assert int(np.ma.count(image)) == known.measured < known.total


def test_the_residuals_are_the_elements_and_the_line_the_tolerance(wrong: Report) -> None:
    ax: Any = wrong.plot("residuals", tensor="W1")
    drawn = {c.get_label().split(" (")[0]: np.asarray(c.get_offsets()) for c in ax.collections}
    off = {(round(float(x), 12), round(float(y), 12)) for x, y in drawn["out of bounds"]}
    rows = [row for row in wrong.components if row.name == "W1" and row.index in pages.OFF]
    assert off == {(round(max(abs(row.claimed), abs(row.reference)), 12), round(abs(row.mismatch), 12)) for row in rows}
    assert len(drawn["within the error bar"]) + len(off) == 600
    x, y = lines(ax)["tolerance"]
    np.testing.assert_allclose(y / x, 2.0 * wrong.tensors["W1"].tolerance)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_the_step_curve_stands_between_rounding_and_curvature(right: Report) -> None:
    line = line_of(right, "W1")
    assert line is not None
    drawn, curve = lines(right.plot("steps", tensor="W1")), steps_curve(line)
    x, y = drawn["rounding"]
    np.testing.assert_allclose(y * x, curve.noise[-1] * curve.steps[-1])  # slope -1
    x, y = drawn["curvature"]
    np.testing.assert_allclose(y / x**2, curve.truncation[-1] / curve.steps[-1] ** 2)  # slope 2
    assert set(drawn["chosen step"][0]) == {line.step}
    seen = dict(zip(*drawn["central difference"], strict=True))
    assert len(seen) >= 2
    for step, off in seen.items():
        assert off <= curve.noise[curve.steps.index(step)] + curve.truncation[curve.steps.index(step)] + curve.bar


def test_the_taylor_remainder_has_slope_two_where_right_and_one_where_wrong(right: Report, wrong: Report) -> None:
    for report, order in ((right, 2.0), (wrong, 1.0)):
        ax = report.plot("taylor", tensor="W1")
        (label,) = [label for label in lines(ax) if label.startswith("straightest")]
        assert float(label.rsplit(" ", 1)[1]) == pytest.approx(order, abs=0.05)
        x, y = lines(ax)["with the claim"]
        line = line_of(report, "W1")
        assert line is not None
        np.testing.assert_array_equal(x, line.steps)
        np.testing.assert_array_equal(y, np.maximum(np.abs(line.plus), np.abs(line.minus)))
    assert "with the reference" in lines(wrong.plot("taylor"))
    _, y = lines(wrong.plot("taylor"))["with the reference"]
    assert y[-1] < 1e-2 * taylor_curve(line_of(wrong, "W1") or pytest.fail("no line")).claimed[-1]


def test_the_stages_are_drawn_side_by_side(right: Report, wrong: Report) -> None:
    ax: Any = plot("stages", {"initial": right, "trained": wrong})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["initial", "trained"]
    drawn = [np.asarray(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 2][: len(right.tensors)]
    heights = {tuple(float(f"{y:.6e}") for y in line) for line in drawn}
    for name in right.tensors:
        pair = (right.tensors[name].difference.high, wrong.tensors[name].difference.high)
        assert tuple(float(f"{max(y, LEAST):.6e}") for y in pair) in heights
    assert [text.get_text() for text in ax.texts] == ["W1"]


def test_the_straightest_stretch_is_found_and_noise_is_not_taken_for_one() -> None:
    steps = [10.0**k for k in range(-8, 0)]
    bent = [step**2 if step > 1e-5 else 1e-11 * (1.0 + k % 2) for k, step in enumerate(steps)]
    (first, last), order = straightest(steps, bent, 1e-10 * 0.9)
    assert (first, last) == (4, 7)
    assert order == pytest.approx(2.0)
    assert math.isnan(straightest(steps, [1e-12] * 8, 1e-11)[1])
    assert math.isnan(straightest([1.0], [1.0], 0.0)[1])


def test_names_are_not_read_as_formulas() -> None:
    ax = pages.hostile().plot("tensors")
    ax.figure.canvas.draw()
    dollar = gp.check(
        lambda p: float(np.sum(p["$\\frac{$"] ** 2)), {"$\\frac{$": np.ones(3)}, {"$\\frac{$": np.ones(3)}
    )
    dollar.plot("taylor").figure.canvas.draw()


def test_what_cannot_be_drawn_says_so(right: Report, wrong: Report) -> None:
    refused: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: right.plot("pie"), ["tensors, heatmap", "'pie'"]),
        (lambda: right.plot("heatmap"), ["element by element", 'method="exhaustive"']),
        (lambda: pages.wrong("auto").plot("heatmap", tensor="b1"), ["b1", "element by element"]),
        (lambda: wrong.plot("steps", tensor="W9"), ["W1, b1, W2 and b2", "'W9'"]),
        (lambda: plot("stages", {}), ["at least one report"]),
    ]
    for call, words in refused:
        with pytest.raises(gp.InputError) as caught:
            call()
        assert [word for word in words if word not in str(caught.value)] == []


def test_without_matplotlib_the_command_is_named(right: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **given: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *more, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "gradproof\[plot\]"'):
        right.plot()


def test_stages_draw_themselves_side_by_side() -> None:
    stages = staged()
    ax: Any = stages.plot()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["initialisation", "initialisation x 10"]
    own: Any = stages.plot("tensors")
    last: Any = stages["initialisation x 10"].plot("tensors")
    assert [bar.get_width() for bar in own.patches] == [bar.get_width() for bar in last.patches]
    with pytest.raises(gp.InputError, match="at least one report"):
        gp.Stages(lambda p: float(p @ p), lambda p: 2 * p).plot()
