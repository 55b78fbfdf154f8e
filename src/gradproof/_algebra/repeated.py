"""Calls that repeat one another: the same again, through one forward pass, and after another one."""

from collections.abc import Iterator, Sequence

import numpy as np

from gradproof._algebra.backward import Answer, Asked
from gradproof._algebra.comparing import Gap, Trial, attempt, listed, told
from gradproof._records import Finding

#: Identical calls that are compared.
CALLS = 3
#: How much smaller the inputs of another forward pass are.
SMALLER = 0.75


def spread(answers: Sequence[Answer]) -> tuple[list[float], list[float]]:
    """How far identical calls differ by input: the norm of the difference, and relative to the sum of the norms."""
    first, sizes, relative = answers[0].gradients, [], []
    for i, mine in enumerate(first):
        norms = [0.0]
        for other in answers[1:]:
            theirs = other.gradients[i]
            if mine is not None and theirs is not None:
                norms.append(float(np.linalg.norm(np.nan_to_num(mine) - np.nan_to_num(theirs))))
        total = 2.0 * float(np.linalg.norm(np.nan_to_num(mine))) if mine is not None else 0.0
        sizes.append(max(norms))
        relative.append(max(norms) / total if total else float(max(norms) > 0.0))
    return sizes, relative


def nondeterministic(trial: Trial, off: Sequence[float]) -> Finding | None:
    """A finding where identical calls differ by more than rounding."""
    gaps = {}
    for i, size in enumerate(off):
        if size > 2.0 * trial.tolerance[trial.names[i]]:
            gaps[i] = Gap(size, np.ones(trial.backward.inputs[i].shape, dtype=bool))
    if not gaps:
        return None
    names = listed([trial.names[i] for i in gaps])
    worst = max(gap.off for gap in gaps.values())
    return trial.finding(
        "nondeterministic", gaps,
        f"Identical calls of the backward pass differ by up to {worst:.1e} in {names}.",
        "Look for memory that was never set, state that survives a call, and threads that write to one place.",
        f"relative difference {worst:.1e}",
    )  # fmt: skip


def twice(trial: Trial) -> Iterator[Finding]:
    """Two backward passes through one forward pass."""
    found = trial.kept.pop("twice")  # its first pass was one of the identical calls
    if isinstance(found, Exception):
        yield trial.finding(
            "not-reentrant", trial.everywhere(),
            f"A second backward pass through the same graph (retain_graph=True) fails: {told(found)}.",
            "Change nothing in place that the forward pass has saved.", "fails the second time", severity="warning",
        )  # fmt: skip
        return
    first, second = found
    gaps = trial.gaps(second.gradients, trial.plain.gradients)
    if gaps and not trial.gaps(first.gradients, trial.plain.gradients):
        names, inner = listed([trial.names[i] for i in gaps]), [name for name, _ in second.changed]
        why = f": it changes {listed(inner)} in place" if inner else ""
        yield trial.finding(
            "not-reentrant", gaps,
            f"The gradient of {names} is another one in a second backward pass through the same graph "
            f"(retain_graph=True){why}.",
            "Work on copies of what the forward pass has saved, such as `d = v * y` in place of `v *= y`.",
            "right once", also=("aliasing",),
        )  # fmt: skip


def stale(trial: Trial) -> Iterator[Finding]:
    """A backward pass after another forward pass with other inputs."""
    values = tuple(SMALLER * v for v in trial.backward.values)
    there = Asked(trial.cotangents[1], values=values)
    found = attempt(trial.backward.interleaved, trial.asked(), there)
    if isinstance(found, Exception):
        return  # the function need not work at other inputs
    if gaps := trial.gaps(found.gradients, trial.plain.gradients):
        names = listed([trial.names[i] for i in gaps])
        yield trial.finding(
            "stale", gaps,
            f"The gradient of {names} is another one if the function was called with other inputs in between: the "
            f"backward pass uses what the latest forward pass has left, not its own.",
            "Keep what the backward pass needs in ctx (save_for_backward), not in the class, a module or a global.",
            "of the latest forward pass",
        )  # fmt: skip


def changed(trial: Trial) -> Iterator[Finding]:
    """Inputs, outputs, cotangents and saved tensors that a pass changes in place."""
    backward = [name for name, when in trial.plain.changed if when == "backward"]
    forward = [name for name, when in trial.plain.changed if when == "forward"]
    if backward:
        what = listed(backward)
        yield trial.finding(
            "aliasing", trial.everywhere(),
            f"The backward pass changes {what} in place, which others may use after it.",
            f"Work on a copy of {what}, such as `d = v * y` in place of `v *= y`.", "changed in place",
            also=("not-reentrant",),
        )  # fmt: skip
    if forward:
        what = listed(forward)
        yield trial.finding(
            "aliasing", trial.everywhere(),
            f"The forward pass changes {what} in place and does not return it, so that nobody is told.",
            f"Work on a copy of {what}, or return it and call ctx.mark_dirty.", "changed by the forward pass",
            severity="warning",
        )  # fmt: skip
