"""Outputs whose cotangent is undefined: each output alone, the others None, and the same with zeros."""

from collections.abc import Iterator

import numpy as np

from gradproof._algebra.backward import Asked, Cotangents
from gradproof._algebra.comparing import Trial, attempt, listed, told
from gradproof._records import Finding

#: More outputs than this are not asked for one by one.
MOST = 8


def alone(trial: Trial) -> Iterator[Finding]:
    """Asks for each output alone."""
    pairs = enumerate(zip(trial.backward.outputs, trial.cotangents[0], strict=True))
    outputs = [(k, slot) for k, (slot, u) in pairs if u is not None]
    if len(outputs) < 2:
        return
    for k, slot in outputs[:MOST]:
        undefined: Cotangents = tuple(u if i == k else None for i, u in enumerate(trial.cotangents[0]))
        zeros = tuple(u if i == k or u is None else np.zeros_like(u) for i, u in enumerate(trial.cotangents[0]))
        found = attempt(trial.backward.gradients, Asked(undefined))
        if isinstance(found, Exception):
            yield trial.finding(
                "contract", trial.everywhere(),
                f"The backward pass fails where {slot.name} alone is used, so that the cotangents of the others are "
                f"undefined: {told(found)}.",
                "Take None for zero, or leave set_materialize_grads at True.", "undefined cotangent",
            )  # fmt: skip
            continue
        filled = attempt(trial.backward.gradients, Asked(zeros))
        if isinstance(filled, Exception):
            continue  # linearity has said so
        there = trial.rounding_of(Asked(zeros), filled)
        if gaps := trial.gaps(found.gradients, filled.gradients, there=(there,)):
            names = listed([trial.names[i] for i in gaps])
            yield trial.finding(
                "contract", gaps,
                f"Where {slot.name} alone is used, the gradient of {names} is another one than with cotangents of "
                f"zero for the other outputs.",
                "Take an undefined cotangent for zero.", "undefined cotangent",
            )  # fmt: skip
