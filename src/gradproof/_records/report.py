"""What people keep: the report and what it is made of.

The decision behind it: a record holds numbers and names; how it looks is the business of ``_report``, which
``Report`` asks for when it is printed (the one lazy import of this room).
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import GradientError, UndecidedWarning
from gradproof._records.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Modules whose versions a report states, with the names by which people know them.
_TOLD = {
    "gradproof": "gradproof", "numpy": "NumPy", "scipy": "SciPy", "torch": "PyTorch", "jax": "JAX",
    "tensorflow": "TensorFlow", "keras": "Keras", "autograd": "autograd",
}  # fmt: skip


def _software() -> dict[str, str]:
    """Name to version of Python and of what the process has loaded; nothing is imported for it."""
    found = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for module, name in _TOLD.items():
        version = getattr(sys.modules.get(module), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


class Verdict(StrEnum):
    """What is known about a claimed gradient; equal to the strings "correct", "wrong" and "undecided"."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Difference:
    """The relative difference norm(reference - claimed) / (norm(reference) + norm(claimed)) as an interval.

    Attributes:
        estimate: the most likely value; what ``float()`` gives.
        low: a bound below; NaN where no error bar is known.
        high: a bound above, at most 1; NaN where no error bar is known.
    """

    estimate: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.estimate


@dataclass(frozen=True, slots=True)
class Component:
    """One measured element of a gradient.

    Attributes:
        name: the tensor.
        index: the element's position in it.
        position: its position in the flat vector, as ``gp.locate`` counts.
        claimed: the claimed derivative (complex where the tensor is).
        reference: the measured one.
        error_bar: how far the reference may be off; NaN where the method knows none.
    """

    name: str
    index: tuple[int, ...]
    position: int
    claimed: complex
    reference: complex
    error_bar: float

    @property
    def mismatch(self) -> complex:
        """Claimed minus reference."""
        return self.claimed - self.reference


@dataclass(frozen=True, slots=True)
class Components(Sequence[Component]):
    """Measured elements, largest mismatch first, and how many there are in all.

    Attributes:
        rows: the elements.
        measured: how many elements were measured one by one.
        total: how many elements there are in the tensors that these were taken from.
    """

    rows: tuple[Component, ...] = ()
    measured: int = 0
    total: int = 0

    @property
    def complete(self) -> bool:
        """Whether every element was measured, so that the largest mismatch here is the largest there is."""
        return self.measured == self.total

    @overload
    def __getitem__(self, index: int) -> Component: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Component, ...]: ...
    def __getitem__(self, index: int | slice) -> Component | tuple[Component, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        from gradproof._report.text import render_components

        return render_components(self)


@dataclass(frozen=True)
class Place:
    """Which elements of which tensors a finding is about.

    Attributes:
        text: the compact form, ``all of W2`` or ``W2[4, 7]``.
        masks: name to boolean array of the tensor's shape, True where wrong.
        exact: whether every True was seen to be wrong and every False to be right; else the masks are a superset.
    """

    text: str
    masks: Mapping[str, NDArray[np.bool_]]
    exact: bool = False

    def mask(self, name: str) -> NDArray[np.bool_]:
        """The wrong elements of one tensor as a boolean array of its shape.

        Raises:
            KeyError: the finding is not about that tensor.
        """
        return self.masks[name]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Finding:
    """A cause at a place, with its evidence.

    Attributes:
        cause: a slug, such as ``zero``.
        severity: ``"error"`` makes its tensors wrong; ``"warning"`` does not touch the verdict.
        tensors: the names it explains.
        where: the place.
        message: one sentence saying what is wrong.
        fix: one sentence saying what to change.
        detail: the variant in a few words.
        factor: the fitted number and its error, where the cause has one.
        also: other causes that would look exactly the same from here.
        repaired: the relative difference (high end) left once the fix is applied; None where no fix was tried.
    """

    cause: str
    severity: str
    tensors: tuple[str, ...]
    where: Place
    message: str
    fix: str
    detail: str = ""
    factor: tuple[float, float] | None = None
    also: tuple[str, ...] = ()
    repaired: float | None = None


@dataclass(frozen=True, slots=True)
class Power:
    """The smallest relative difference that a check would have caught, and the chance that it would have missed it."""

    size: float
    miss_probability: float


@dataclass(frozen=True, slots=True)
class TensorReport:
    """What is known about one tensor's claimed gradient.

    Attributes:
        name: the tensor's key path.
        shape: its shape.
        verdict: correct, wrong or undecided.
        difference: the relative difference as an interval.
        reason: why it is undecided or wrong, or a remark on a correct one; "" where there is nothing to say.
        tolerance: the relative difference that must never pass.
        size: number of elements.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    difference: Difference
    reason: str
    tolerance: float
    size: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the claimed gradient is written.

    Attributes:
        function: the name of the function that computes it.
        file: its file.
        line: its first line, that of a decorator where there is one.
        end_line: its last line.
    """

    function: str
    file: str
    line: int
    end_line: int


#: The answers of a checklist, from the least favourable to the most.
STATUSES = ("NO", "open", "not checked", "yes")


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One question of the course notes' checklist.

    Attributes:
        question: in a few words.
        status: ``"yes"``, ``"NO"``, ``"open"`` (measured, and not resolved) or ``"not checked"``.
        answer: what was measured, or what would check it.
    """

    question: str
    status: str
    answer: str


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        verdict: wrong if any tensor is, else undecided if any is, else correct.
        difference: the course notes' number over all tensors, as an interval.
        tensors: name to what is known about that tensor, in the user's order.
        findings: what is wrong or remarkable, most certain first.
        components: the elements that were measured one by one, largest mismatch first.
        evaluations: how often the cost was evaluated.
        seconds: wall time.
        notes: what a reader should know: randomness frozen, kinks met, a precision floor.
        method: the method that was used.
        seed: the seed of the random directions.
        precision: in what precision the cost was evaluated.
        classic_evaluations: what the course notes' loop costs here, two evaluations a parameter.
        power: name to the smallest error that this check would have caught in that tensor.
        evidence: what was measured: lines through the point, and elements one by one.
        origin: where the function that computes the claimed gradient is written; None where no such function is known.
        checklist: the course notes' checklist, answered from what was measured.
        software: name to version of what was loaded when the report was made.
    """

    verdict: Verdict
    difference: Difference
    tensors: Mapping[str, TensorReport]
    findings: tuple[Finding, ...]
    components: Components
    evaluations: int
    seconds: float
    notes: tuple[str, ...]
    method: str
    seed: int
    precision: str
    classic_evaluations: int
    power: Mapping[str, Power] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    origin: Origin | None = None
    checklist: tuple[ChecklistItem, ...] = ()
    software: Mapping[str, str] = field(default_factory=_software)

    @property
    def passed(self) -> bool:
        """Whether the gradient was proven correct."""
        return self.verdict is Verdict.CORRECT

    def worst(self, k: int = 10) -> Components:
        """The measured elements with the largest mismatch.

        Args:
            k: how many at most.

        Returns:
            The elements, largest mismatch first; ``.complete`` says whether all elements of the tensors they were
            taken from were measured or only a sample. Empty where none was measured. Printed they are a table.
        """
        return Components(self.components.rows[: max(k, 0)], self.components.measured, self.components.total)

    def raise_if_wrong(self) -> None:
        """Raises where the gradient is wrong and warns where it is undecided.

        Raises:
            GradientError: the gradient is wrong; the message is the text report.
        """
        if self.verdict is Verdict.WRONG:
            raise GradientError(str(self))
        if self.verdict is Verdict.UNDECIDED:
            warnings.warn(str(self), UndecidedWarning, stacklevel=2)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        from gradproof._report.text import render

        return render(self)

    def __repr__(self) -> str:
        from gradproof._report.outline import one_line

        return one_line(self)

    def _repr_html_(self) -> str:
        from gradproof._report.notebook import render

        return render(self)

    def to_dict(self) -> dict[str, Any]:
        """The content for machines: names, strings, numbers, lists and None, ready for ``json.dumps``.

        Numbers that are not finite are written as None.
        """
        from gradproof._report.machine import as_dict

        return as_dict(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """The report as one page for a browser, which needs neither a network nor another file.

        Args:
            path: where to write the page, in UTF-8; nowhere where left out.

        Returns:
            The page.
        """
        from gradproof._report.page import write

        return write({"": self}, path)

    def plot(self, kind: str = "tensors", ax: "Axes | None" = None, *, tensor: str | None = None) -> "Axes":
        """Draws a picture of the report with matplotlib, and shows nothing.

        Args:
            kind: ``"tensors"`` (bars of the relative differences with the tolerance), ``"heatmap"`` (mismatch of each
                element over its limit), ``"steps"`` (error of the slope by step, with the chosen one), ``"taylor"``
                (remainder of the cost by step), ``"residuals"`` (mismatch of elements against their size) or
                ``"stages"`` (the differences over several reports; here one).
            ax: where to draw; a figure of its own, which ``pyplot`` does not know, where left out.
            tensor: of which tensor; the first wrong one of which there is something to draw where left out.

        Returns:
            The axes; ``.figure`` is the figure, which a notebook shows after ``%matplotlib inline``.

        Raises:
            InputError: there is no such kind or tensor, or nothing was measured that could be drawn.
            ImportError: matplotlib is not installed.
        """
        from gradproof._report.plots import plot

        return plot(kind, {"": self}, ax, tensor)

    def to_json(self, path: str | PathLike[str] | None = None) -> str | None:
        """The content of ``to_dict`` as JSON, in ASCII, as ``gradproof/_report/schema.json`` describes it.

        Args:
            path: the file to write it to.

        Returns:
            The text where no path is given, else None.

        Raises:
            OSError: the file cannot be written.
        """
        from gradproof._report.machine import as_dict, as_json

        text = as_json(as_dict(self))
        if path is None:
            return text
        Path(path).write_text(text + "\n", encoding="utf-8")
        return None


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Wrong if any is, else undecided if any is, else correct; nothing to judge is correct."""
    return min(verdicts, key=[Verdict.WRONG, Verdict.UNDECIDED, Verdict.CORRECT].index, default=Verdict.CORRECT)
