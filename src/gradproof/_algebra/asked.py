"""``contract``: asked for fewer gradients it gives the same ones, and what it returns has the right form."""

from collections.abc import Iterator

import numpy as np

from gradproof._algebra.comparing import Gap, Trial, attempt, listed, told
from gradproof._records import Finding, spacing

#: More inputs than this are not asked for one by one.
MOST = 8


def fewer(trial: Trial) -> Iterator[Finding]:
    """Asks for the gradient of one input at a time."""
    count = len(trial.backward.inputs)
    if count < 2:
        return
    for i, slot in enumerate(trial.backward.inputs[:MOST]):
        whole = {i: Gap(1.0, np.ones(slot.shape, dtype=bool))}
        asked = trial.asked(needed=(i,))
        found = attempt(trial.backward.gradients, asked)
        if isinstance(found, Exception):
            yield trial.finding(
                "contract", whole,
                f"The backward pass fails where the gradient of {slot.name} alone is asked for: {told(found)}.",
                "Ask ctx.needs_input_grad which gradients are wanted, and return None for the others.",
                "fails where fewer gradients are needed",
            )  # fmt: skip
        elif gaps := trial.gaps(found.gradients, trial.plain.gradients):
            names = listed([trial.names[j] for j in gaps])
            yield trial.finding(
                "contract", gaps,
                f"The gradient of {names} is another one where it alone is asked for.",
                "Let no gradient depend on which others are needed (ctx.needs_input_grad).",
                "depends on what else is needed",
            )  # fmt: skip


def form(trial: Trial) -> Iterator[Finding]:
    """Shape, format and device of what the user's code returns, which frameworks adapt in silence."""
    for one in trial.backward.returned(trial.asked()):
        shape, name = one.demanded
        whole = {i: gap for i, gap in trial.everywhere().items() if one.slot < 0 or i == one.slot}
        if one.shape != shape:
            yield trial.finding(
                "contract", whole,
                f"The backward pass returns a gradient of shape {one.shape} for {one.what} of shape {shape}; the "
                f"framework sums it to that in silence.",
                f"Return it in the shape {shape}.", "shape", severity="warning", also=("unbroadcast",),
            )  # fmt: skip
        if spacing(one.format) > spacing(name):
            yield trial.finding(
                "contract", whole,
                f"The backward pass returns a gradient of {one.format} for {one.what} of {name}: digits are lost.",
                f"Compute it in {name}.", "dtype", severity="warning", also=("precision",),
            )  # fmt: skip
        if one.place[0] != one.place[1]:
            yield trial.finding(
                "contract", whole,
                f"The backward pass returns a gradient on {one.place[0]} for {one.what} on {one.place[1]}.",
                f"Return it on {one.place[1]}.", "device", severity="warning",
            )  # fmt: skip
