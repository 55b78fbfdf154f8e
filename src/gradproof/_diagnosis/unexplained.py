"""``unexplained``: wrong, at this place, and none of the causes that were tried fits."""

from collections.abc import Sequence

from gradproof._diagnosis.case import Case, Explanation


def explain(case: Case) -> Sequence[Explanation]:
    """One explanation a tensor that says where and no more."""
    found = []
    for s in case.open:
        where = case.places.get(s.index)
        places = {} if where is None or where.kind == "all" else {s.index: where}
        message = f"The gradient of {s.name} is wrong" + (f" in {where.text}." if places and where else ".")
        fix = f"Look at the lines that compute the gradient of {s.name}; report.worst() shows measured elements."
        found.append(Explanation("unexplained", (s.index,), message, fix, places=places, rank=9.0))
    return found
