"""What is said of all stages together, above the reports of each."""

from gradproof._records import StagesReport
from gradproof._report import wording
from gradproof._report.page.markup import Markup, badge, checklist, pair, said, sentence, tag, together
from gradproof._report.stages import told_cost, told_finding, told_headline


def report(stages: StagesReport) -> Markup:
    """The verdict over all stages, what only some of them show, and the checklist."""
    headline = told_headline(stages).partition(". ")[2]
    parts = [
        tag("p", said("All stages"), class_="name"),
        tag("p", badge(stages.verdict)),
        tag("p", sentence(headline), class_="headline"),
        tag("p", said(told_cost(stages)), class_="cost"),
    ]
    verdict = tag("section", together(parts), class_=f"verdict {stages.verdict}")
    return tag(
        "article",
        together([verdict, _findings(stages), checklist(stages.checklist)]),
        class_="together",
        aria_label="All stages",
    )


def _findings(stages: StagesReport) -> Markup:
    if not stages.findings:
        return Markup("")
    cards = []
    for finding in stages.findings:
        place = tag("span", said(f" at {', '.join(map(wording.name, finding.wrong_at))}"), class_="place")
        title = tag("h3", together([tag("code", said(finding.regime.name)), place]))
        rows = [pair(label, text) for label, text in told_finding(finding, told=False)]
        cards.append(tag("article", together([title, tag("dl", together(rows))]), class_="finding error"))
    return tag("section", together([tag("h2", said("What only some stages show")), *cards]))
