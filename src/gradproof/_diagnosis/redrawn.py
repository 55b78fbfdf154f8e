"""``dropout``: the backward pass draws a mask of its own in place of the one that the forward pass drew."""

from collections.abc import Sequence

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.saying import gradient_of


def explain(case: Case) -> Sequence[Explanation]:
    """Claims that are right once the backward pass is dealt the random numbers of the forward pass."""
    if not case.open or not case.lab.random:
        return []
    found = case.lab.replayed()
    if found is None:
        return []
    repairs = {s.index: found[s.name] for s in case.open if s.name in found and s.leaves_nothing(found[s.name])}
    if not repairs:
        return []
    message = (
        f"{gradient_of(case.names([*repairs]), len(repairs))} right once the backward pass uses the random numbers "
        "that the forward pass has drawn: it draws its own."
    )
    fix = "Keep the mask that the forward pass has drawn, and use it in the backward pass."
    return [Explanation("dropout", tuple(repairs), message, fix, repairs, "redrawn", 0.5)]
