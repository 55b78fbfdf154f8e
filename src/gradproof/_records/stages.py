"""The same check at several stages, as people keep it."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradproof._errors import GradientError, UndecidedWarning
from gradproof._records.report import STATUSES, ChecklistItem, Report, Verdict, overall

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Regime:
    """What makes a claim wrong on the way from a stage at which it is right to one at which it is wrong.

    Attributes:
        name: ``saturation``, ``overflow``, ``clipping``, ``stabiliser``, ``kink``, ``branch`` (a threshold), ``zero``
            (hidden by a zero at the right stage) or ``unknown``.
        share: where on the straight way between the two it turns wrong, 0 at the right stage, 1 at the wrong one; NaN
            where unknown.
        evidence: what was seen there.
    """

    name: str
    share: float
    evidence: str


@dataclass(frozen=True, slots=True)
class StageFinding:
    """A fault that only some stages show.

    Attributes:
        tensors: the names it is about.
        wrong_at: the stages at which they are wrong.
        right_at: the stages at which they are right.
        regime: what makes the difference.
        causes: the causes that the reports of the wrong stages name for these tensors.
        message: a sentence saying what is wrong where.
        fix: a sentence saying where to look.
        walked: the two stages, right and wrong, between which the regime was looked for.
    """

    tensors: tuple[str, ...]
    wrong_at: tuple[str, ...]
    right_at: tuple[str, ...]
    regime: Regime
    causes: tuple[str, ...]
    message: str
    fix: str
    walked: tuple[str, str]


#: The question that several stages answer and one does not.
_SEEN = "at more than one stage"


def _largest(report: Report) -> float:
    """The largest bound on the difference; a correct tensor may have none, where claim and reference are zero."""
    tensors = report.tensors.values()
    bounds = [t.difference.high for t in tensors if t.verdict is not Verdict.CORRECT or t.difference.high < 1.0]
    return max(bounds, default=0.0)


def _stages_seen(item: ChecklistItem, report: "StagesReport") -> ChecklistItem:
    names = [name for name, stage in report.stages.items() if stage.evaluations]
    if len(names) < 2:
        return item
    return ChecklistItem(item.question, "yes", f"{len(names)} stages: {', '.join(names)}")


@dataclass(frozen=True)
class StagesReport:
    """The reports of several stages side by side.

    Attributes:
        stages: name of a stage to its report, in the order in which they were checked.
        findings: the faults that only some stages show.
        evaluations: evaluations of the cost in all, with those between the stages.
        seconds: wall time of the checks, without that of training.
    """

    stages: Mapping[str, Report]
    findings: tuple[StageFinding, ...]
    evaluations: int
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Correct only if correct at every stage; wrong if wrong at any; undecided where no stage was checked."""
        return overall([report.verdict for report in self.stages.values()]) if self.stages else Verdict.UNDECIDED

    @property
    def passed(self) -> bool:
        """Whether the gradient was proven correct at every stage."""
        return self.verdict is Verdict.CORRECT

    @property
    def checklist(self) -> tuple[ChecklistItem, ...]:
        """The course notes' checklist over all stages: the least favourable answer of each question."""
        # Of equally favourable answers, that of the stage with the largest difference.
        reports = sorted(self.stages.values(), key=_largest, reverse=True)
        found = []
        for items in zip(*(report.checklist for report in reports), strict=True):
            worst = min(items, key=lambda item: STATUSES.index(item.status))
            found.append(self._with_others(worst))
        return tuple(found)

    @property
    def seen(self) -> Mapping[str, Report]:
        """The reports of the stages, each knowing of the others: its checklist says at how many stages was checked."""
        return {
            name: replace(report, checklist=tuple(self._with_others(item) for item in report.checklist))
            for name, report in self.stages.items()
        }

    def _with_others(self, item: ChecklistItem) -> ChecklistItem:
        return _stages_seen(item, self) if item.question == _SEEN else item

    def raise_if_wrong(self) -> None:
        """Raises where the gradient is wrong at any stage and warns where it is undecided.

        Raises:
            GradientError: the gradient is wrong at a stage; the message is the text report.
        """
        if self.verdict is Verdict.WRONG:
            raise GradientError(str(self))
        if self.verdict is Verdict.UNDECIDED:
            warnings.warn(str(self), UndecidedWarning, stacklevel=2)

    def __getitem__(self, name: str) -> Report:
        return self.stages[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        from gradproof._report.stages import render_stages

        return render_stages(self)

    def __repr__(self) -> str:
        from gradproof._report.stages import one_line

        return one_line(self)

    def _repr_html_(self) -> str:
        from gradproof._report.notebook import render_stages

        return render_stages(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """The stages side by side, and the report of each, as one page for a browser.

        Args:
            path: where to write the page, in UTF-8; nowhere where left out.

        Returns:
            The page, which needs neither a network nor another file.
        """
        from gradproof._report.page import write

        return write(self.seen, path, self)

    def plot(self, kind: str = "stages", ax: "Axes | None" = None, *, tensor: str | None = None) -> "Axes":
        """Draws a picture with matplotlib, and shows nothing.

        Args:
            kind: ``"stages"`` (the differences of all tensors, stage by stage), or a kind of ``Report.plot``, which
                draws the last stage.
            ax: as for ``Report.plot``.
            tensor: as for ``Report.plot``.

        Returns:
            The axes.

        Raises:
            InputError: no stage was checked, there is no such kind or tensor, or nothing of it could be drawn.
            ImportError: matplotlib is not installed.
        """
        from gradproof._report.plots import plot

        return plot(kind, self.stages, ax, tensor)

    def to_dict(self) -> dict[str, Any]:
        """The content for machines: names, strings, numbers, lists and None, ready for ``json.dumps``."""
        from gradproof._report.stages import as_dict

        return as_dict(self)
