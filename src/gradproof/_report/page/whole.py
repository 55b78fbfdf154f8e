"""The page put together: markup, styles, scripts and numbers in one file."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from gradproof._records import Report, StagesReport
from gradproof._report import wording
from gradproof._report.page import data, markup, staged
from gradproof._report.page.markup import Markup

#: Nothing is loaded and nothing sent: the page runs what stands in it and shows what stands in it.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
#: In this order, as later ones use earlier ones.
SCRIPTS = ("formats.js", "theme.js", "tables.js", "axes.js", "charts.js", "heat.js", "start.js")


def render(reports: Mapping[str, Report], stages: StagesReport | None = None) -> str:
    """One page for some reports; several are shown side by side.

    Args:
        reports: name to report; a single one may have the name ``""``.
        stages: what is said of them together, where they are stages of one check.

    Returns:
        A whole HTML document.
    """
    together = [] if stages is None else [staged.report(stages)]
    several = [markup.stages(reports)] if len(reports) > 1 else []
    articles = [markup.report(report, name, number) for number, (name, report) in enumerate(reports.items())]
    head = markup.together(
        [
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            markup.tag("title", markup.said(_title(reports) if stages is None else _title_of(stages))),
            Markup(f"<style>{_own('page.css')}</style>"),
        ]
    )
    scripts = "\n".join(_own(name) for name in SCRIPTS)
    body = markup.together(
        [
            Markup('<a class="skip" href="#main">Skip to the verdict</a>'),
            Markup('<header><span class="mark">gradproof</span><span id="switch"></span></header>'),
            markup.tag("main", markup.together([*together, *several, *articles]), id="main"),
            Markup('<div id="tip" role="status" aria-live="polite" hidden></div>'),
            Markup(f'<script type="application/json" id="numbers">{data.as_json(reports)}</script>'),
            Markup(f'<script>(() => {{\n"use strict";\n{scripts}\n}})();</script>'),
        ]
    )
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>{body}</body>\n</html>\n'


def write(reports: Mapping[str, Report], path: str | Path | None, stages: StagesReport | None = None) -> str:
    """The page, also written to a file where one is named."""
    page = render(reports, stages)
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page


def _title(reports: Mapping[str, Report]) -> str:
    """What the browser's tab says."""
    if len(reports) == 1:
        ((name, report),) = reports.items()
        return f"{report.verdict.upper()}{' – ' + wording.name(name) if name else ''} – gradproof"
    return f"{len(reports)} reports – gradproof"


def _title_of(stages: StagesReport) -> str:
    return f"{stages.verdict.upper()} – {wording.counted(len(stages.stages), 'stage')} – gradproof"


def _own(name: str) -> str:
    return (files("gradproof._report.page") / name).read_text(encoding="utf-8")
