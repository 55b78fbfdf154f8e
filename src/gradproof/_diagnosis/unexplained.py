"""``unexplained``: wrong, at this place, and none of the causes that were tried fits."""

from collections.abc import Sequence

from gradproof._diagnosis.case import Case, Explanation

#: What a reader can rule out.
TRIED = "a constant factor, a sign, a term in the parameters, a transpose, another order, a part of the tensor"


def explain(case: Case) -> Sequence[Explanation]:
    """What can be said of any mismatch: which tensors, and what was tried in vain."""
    if not case.open:
        return []
    tensors = tuple(s.index for s in case.open)
    names = case.names(tensors)
    subject, verb = ("gradient", "is") if len(tensors) == 1 else ("gradients", "are")
    message = f"The {subject} of {names} {verb} wrong in a way that none of the causes tried explains ({TRIED})."
    fix = f"Look at the lines that compute the {subject} of {names}; report.worst() shows measured elements."
    return [Explanation("unexplained", tensors, message, fix, rank=9.0)]
