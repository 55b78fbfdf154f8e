"""The pictures of a report with matplotlib: axes in, axes out, and nothing is shown.

The decision behind it: whoever calls this has a figure or wants one to go on with, so no window is opened, no style is
set and the state of ``pyplot`` is not touched; a figure of our own is made without it. The curves are those of
``curves``, as on the page.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._records import Elements, Report, Trace, Verdict
from gradproof._report import wording
from gradproof._report.curves import about, line_of, ranked, steps_curve, taylor_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Material = TypeVar("Material", Elements, Trace)

#: Most tensors drawn as bars, and lines that get a name of their own.
BARS, NAMED = 30, 8
#: Decades on either side of the limit that a map tells apart.
REACH = 4.0
#: Differences below this are drawn as this.
LEAST = 1e-16

COLOURS = {Verdict.CORRECT: "#2f8f5b", Verdict.WRONG: "#c03028", Verdict.UNDECIDED: "#b07d12"}
_BLUE, _AMBER, _GREY = "#3b78b5", "#b07d12", "#8a919c"
#: From far below the limit to just below, and from just above to far above.
_COOL, _HOT = ("#eef2f6", "#7aa6d1"), ("#f6b858", "#aa1214")
_DOING = "drawing a report"


def plot(kind: str, reports: Mapping[str, Report], ax: "Axes | None" = None, tensor: str | None = None) -> "Axes":
    """Draws one picture.

    Args:
        kind: one of ``KINDS``.
        reports: name to report. All but ``"stages"`` draw the last one.
        ax: where to; a figure of its own is made where left out.
        tensor: which tensor; the first wrong one that there is something to show of where left out.

    Returns:
        The axes.

    Raises:
        InputError: there is no such kind or tensor, or nothing was measured of it that could be drawn.
        ImportError: matplotlib is not installed.
    """
    if kind not in KINDS:
        raise InputError.of(_DOING, "`kind`", f"one of {', '.join(KINDS)}", repr(kind), "Choose one of them.")
    if not reports:
        raise InputError.of(_DOING, "`reports`", "at least one report", "none", "Check something first.")
    _require_matplotlib()
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    report = list(reports.values())[-1]
    if kind == "stages":
        _stages(ax, reports)
    elif kind == "tensors":
        _tensors(ax, report)
    elif kind in _OF_LINES:
        lines = {name: line for name in ranked(report) if (line := line_of(report, name)) is not None}
        what = "a tensor along which a line was measured"
        _OF_LINES[kind](ax, report, *_chosen(what, report, lines, tensor))
    else:
        known = {name: report.evidence.elements[name] for name in ranked(report) if name in report.evidence.elements}
        _OF_ELEMENTS[kind](ax, report, *_chosen("a tensor measured element by element", report, known, tensor))
    return ax


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401  # asked for by itself, so that a broken installation says so
    except ModuleNotFoundError as error:
        raise ImportError(
            "While drawing a report: matplotlib is needed, and it is not installed. "
            'Install it with: pip install "gradproof[plot]"'
        ) from error


def _chosen(what: str, report: Report, known: Mapping[str, Material], tensor: str | None) -> tuple[str, Material]:
    """The tensor to draw and what is known of it: the one that was named, or the first."""
    if tensor is not None and tensor not in report.tensors:
        names = wording.spaced(wording.names(list(report.tensors), 6))
        raise InputError.of(_DOING, "`tensor`", f"one of {names}", repr(tensor), "Name one of them.")
    name = next(iter(known), None) if tensor is None else tensor
    if name is None or name not in known:
        got = "none of them" if tensor is None else f"{wording.spaced(wording.name(tensor))}, which was not"
        advice = 'Check with method="exhaustive" to measure every element; plot("tensors") draws what is known of all.'
        raise InputError.of(_DOING, "the tensor", what, got, advice)
    return name, known[name]


def _tensors(ax: "Axes", report: Report) -> None:
    """Bars of the relative differences on a logarithmic axis, with each tensor's tolerance."""
    names = ranked(report)
    shown = names[:BARS]
    for row, name in enumerate(shown):
        one = report.tensors[name]
        low, high = one.difference.low, one.difference.high
        known = not math.isnan(high)
        high = _least(high if known else one.difference.estimate)
        ax.barh(row, high, left=0.0, height=0.6, color=COLOURS[one.verdict], alpha=0.45 if known else 0.25)
        if known and low > 0.0:
            ax.plot([_least(low), high], [row, row], color=COLOURS[one.verdict], linewidth=5, solid_capstyle="butt")
        label = "tolerance" if row == 0 else None
        ax.plot([one.tolerance] * 2, [row - 0.45, row + 0.45], color="black", linewidth=1.2, label=label)
    ax.set_xscale("log")
    ax.set_xlim(LEAST, 2.0)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set_yticks(range(len(shown)), [_label(name) for name in shown])
    ax.set_xlabel("relative difference between claim and reference")
    more = f", {len(shown)} of {len(names):,} tensors" if len(names) > len(shown) else ""
    ax.set_title(f"{report.verdict}{more}", loc="left")
    if shown:
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.9, 1.12))


def _heatmap(ax: "Axes", report: Report, name: str, elements: Elements) -> None:
    """log10 of mismatch over limit; a cell is the worst of its block."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb
    from matplotlib.ticker import MaxNLocator

    cells = elements.cells
    levels = np.clip(elements.levels(cells), -REACH, REACH)
    points = [(0.0, _COOL[0]), (0.5, _COOL[1]), (0.5, _HOT[0]), (1.0, _HOT[1])]
    colours = LinearSegmentedColormap.from_list("gradproof", [(place, to_rgb(colour)) for place, colour in points])
    rows, columns = elements.view
    image = ax.imshow(
        np.ma.masked_invalid(levels),
        cmap=colours,
        vmin=-REACH,
        vmax=REACH,
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        aspect="auto" if max(rows, columns) > 4 * min(rows, columns) else "equal",
        interpolation="nearest",
    )
    ax.set_title(f"{_label(name)}: {_counted(elements)}", loc="left")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    folded = len(elements.shape) == 1 and rows > 1
    ax.set_xlabel(f"folded into rows of {columns}" if folded else "column")
    ax.set_ylabel("" if folded else "row")
    if rows == 1:
        ax.set_yticks([])
        ax.set_ylabel("")
        ax.set_xlabel("element")
    figure = ax.get_figure()
    if figure is not None:
        figure.colorbar(image, ax=ax, label="log10 of mismatch over limit", shrink=0.8)


def _residuals(ax: "Axes", report: Report, name: str, elements: Elements) -> None:
    """Mismatch against size on logarithmic axes, with the tolerance as a line."""
    points = elements.sample
    off = np.abs(points.claimed - points.reference)
    size = np.maximum(np.abs(points.claimed), np.abs(points.reference))
    shown = (off > 0.0) & (size > 0.0) & np.isfinite(off)
    with np.errstate(invalid="ignore"):
        within = off <= points.bars
    out = elements.levels(points) > 0.0
    looks: list[tuple[NDArray[np.bool_], str, dict[str, Any]]] = [
        (shown & within, "within the error bar", {"facecolors": "none", "edgecolors": _GREY, "s": 14}),
        (shown & ~within & ~out, "within the limit", {"color": _BLUE, "s": 14}),
        (shown & ~within & out, "out of bounds", {"color": COLOURS[Verdict.WRONG], "s": 16}),
    ]
    for chosen, label, style in looks:
        if chosen.any():
            ax.scatter(size[chosen], off[chosen], label=f"{label} ({int(chosen.sum())})", zorder=3, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    if shown.any():
        edge = np.array([size[shown].min() / 2.0, size[shown].max() * 2.0])
        ax.plot(edge, 2.0 * report.tensors[name].tolerance * edge, color="black", linewidth=1.2, label="tolerance")
    if elements.allowed > 0.0:
        ax.axhline(elements.allowed, color=_GREY, linewidth=1.0, linestyle="--", label="its even share")
    ax.set_xlabel("size of the derivative")
    ax.set_ylabel("|claimed - reference|")
    ax.set_title(f"{_label(name)}: {_counted(elements)}", loc="left")
    ax.legend(frameon=False, fontsize="small")


def _steps(ax: "Axes", report: Report, name: str, line: Trace) -> None:
    """Error of the central difference by step, between what rounding and what curvature do to it."""
    curve = steps_curve(line)
    steps = np.array(curve.steps)
    seen = np.array(curve.off) > 0.0
    wide = np.geomspace(steps[0] / 2.0, steps[-1] * 2.0, 50)
    ax.loglog(wide, curve.noise[-1] * steps[-1] / wide, ":", color=_BLUE, label="rounding")
    if curve.truncation[-1] > 0.0:
        ax.loglog(wide, curve.truncation[-1] * (wide / steps[-1]) ** 2, "--", color=_AMBER, label="curvature")
    ax.loglog(steps[seen], np.array(curve.off)[seen], "o", color="black", markersize=4, label="central difference")
    if curve.step > 0.0:
        ax.axvline(curve.step, color=_GREY, linewidth=1.0, label="chosen step")
        ax.loglog([curve.step], [curve.bar], "o", color="black", fillstyle="none", markersize=8, label="error bar")
    heights = [height for height in (*curve.off, *curve.noise, curve.bar) if 0.0 < height < math.inf]
    if heights:
        ax.set_ylim(min(heights) / 5.0, max(heights) * 5.0)
    ax.set_xlabel("step, relative to the parameters")
    ax.set_ylabel("error of the slope, relative")
    ax.set_title(_along(line, name), loc="left")
    ax.legend(frameon=False, fontsize="small")


def _taylor(ax: "Axes", report: Report, name: str, line: Trace) -> None:
    """What the linear part leaves of the cost, with guides of slope 1 and 2 and the straightest stretch thick."""
    curve = taylor_curve(line)
    steps = np.array(curve.steps)
    wrong = report.tensors[name].verdict is Verdict.WRONG
    colour = COLOURS[Verdict.WRONG] if wrong else "black"
    first, last = curve.window
    if last > first:
        label = f"straightest, slope {curve.order:.2f}"
        stretch = slice(first, last + 1)
        ax.loglog(steps[stretch], curve.claimed[stretch], color=colour, linewidth=5, alpha=0.3, label=label)
    ax.loglog(steps, curve.claimed, "o-", color=colour, markersize=4, linewidth=1, label="with the claim")
    if wrong:
        ax.loglog(steps, curve.measured, "o", color="black", fillstyle="none", label="with the reference")
    for order, top, style in (
        (1, 3.0 * curve.claimed[-1], "-."),
        (2, (curve.measured[-1] or curve.claimed[-1]) / 3.0, "--"),
    ):
        if top > 0.0:
            ax.loglog(
                steps, top * (steps / steps[-1]) ** order, style, color=_GREY, linewidth=1, label=f"slope {order}"
            )
    if curve.noise > 0.0:
        ax.axhline(curve.noise, color=_BLUE, linestyle=":", label="rounding")
        ax.set_ylim(bottom=curve.noise / 30.0)
    ax.set_xlabel("step, relative to the parameters")
    ax.set_ylabel("remainder of the cost")
    ax.set_title(_along(line, name), loc="left")
    ax.legend(frameon=False, fontsize="small")


def _stages(ax: "Axes", reports: Mapping[str, Report]) -> None:
    """The difference of each tensor over several reports."""
    names = list(dict.fromkeys(name for report in reports.values() for name in ranked(report)))
    worst = [name for name in names if any(_is_wrong(report, name) for report in reports.values())]
    tolerances = [tensor.tolerance for report in reports.values() for tensor in report.tensors.values()]
    for name in names:
        told = [(k, one.tensors[name]) for k, one in enumerate(reports.values()) if name in one.tensors]
        heights = [_least(_height(tensor.difference.estimate, tensor.difference.high)) for _, tensor in told]
        label = _label(name) if name in worst[:NAMED] else None  # the others lie close together, far below
        colour = COLOURS[Verdict.WRONG] if name in worst else _GREY
        ax.plot([k for k, _ in told], heights, "-", color=colour, linewidth=1.0, alpha=0.6, zorder=2)
        colours = [COLOURS[tensor.verdict] for _, tensor in told]
        ax.scatter([k for k, _ in told], heights, c=colours, s=22, zorder=3)
        if label and told:
            ax.annotate(
                label,
                (told[-1][0], heights[-1]),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
    for tolerance in dict.fromkeys(tolerances):
        ax.axhline(tolerance, color="black", linewidth=1.2, label="tolerance")
    ax.set_yscale("log")
    ax.set_ylim(min(LEAST * 1e6, *(tolerances or [1.0])) / 10.0, 2.0)
    ax.set_xticks(range(len(reports)), [_label(stage) if stage else "this report" for stage in reports])
    ax.set_xlim(-0.5, len(reports) - 0.3)
    ax.set_ylabel("relative difference")
    if tolerances:
        ax.legend(frameon=False, fontsize="small", loc="upper left")


def _is_wrong(report: Report, name: str) -> bool:
    return name in report.tensors and report.tensors[name].verdict is Verdict.WRONG


def _height(estimate: float, high: float) -> float:
    return estimate if math.isnan(high) else high


def _least(difference: float) -> float:
    return LEAST if math.isnan(difference) else max(difference, LEAST)


def _label(name: str) -> str:
    """A name as matplotlib shows it: a dollar sign would begin a formula."""
    return wording.spaced(wording.name(name, 32)).replace("$", r"\$")


def _counted(elements: Elements) -> str:
    if elements.complete:
        return f"all {elements.total:,} elements"
    return f"{elements.measured:,} of {elements.total:,} elements"


def _along(line: Trace, name: str) -> str:
    return f"{_label(name)}: {about(line, _label(name))}"


_OF_ELEMENTS: Mapping[str, Callable[[Any, Report, str, Elements], None]] = {
    "heatmap": _heatmap,
    "residuals": _residuals,
}
_OF_LINES: Mapping[str, Callable[[Any, Report, str, Trace], None]] = {"steps": _steps, "taylor": _taylor}
#: The pictures that there are.
KINDS = ("tensors", "heatmap", "steps", "taylor", "residuals", "stages")
