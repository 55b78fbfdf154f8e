"""A plan as text: one row a method."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradproof._records import Expense, Plan
from gradproof._report import text, wording

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Rows of the table: label, the method whose numbers they are, what it says.
_ROWS = (
    ("auto, probe", "auto", "verdict per tensor"),
    ("exhaustive", "exhaustive", "every component with its error bar"),
    ("classic", "classic", "the course notes' number, no error bar"),
)
_MEANT = (
    "Nine of ten right gradients lie in these ranges; a point on kinks takes more, and so does a wrong gradient: about "
    "60 evaluations a wrong tensor, to find where and why."
)


def render_plan(plan: Plan) -> str:
    """The plan as text without colours, 80 columns wide."""
    return text.written(plan_blocks(plan), getattr(sys.stdout, "encoding", None))


def plan_blocks(plan: Plan) -> Sequence["RenderableType"]:
    """The plan as what ``text.emit`` writes."""
    size = f"{wording.counted(plan.parameters, 'parameter')} in {wording.counted(plan.tensors, 'tensor')}"
    gradient = f", one gradient {wording.duration(plan.gradient)}" if plan.gradient else ""
    blocks: list[RenderableType] = [
        f"gradproof: plan. {size}; one evaluation takes {wording.duration(plan.evaluation)}{gradient}.",
        "",
        text.table(
            ("method", "evaluations", "time", "memory", "what it says"),
            [(label, *_cells(plan.methods[name]), says) for label, name, says in _ROWS if name in plan.methods],
            folding=(4,),
        ),
        "",
        _MEANT,
    ]
    if plan.random:
        blocks.append(f"The cost draws random numbers ({', '.join(plan.random)}); a check freezes one pattern.")
    return blocks


def _cells(expense: Expense) -> tuple[str, str, str]:
    few, many = expense.evaluations
    counts = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    short, long = (wording.duration(seconds) for seconds in expense.seconds)
    time = short if short == long else f"{short} to {long}"
    return counts, time, wording.memory(expense.memory)
