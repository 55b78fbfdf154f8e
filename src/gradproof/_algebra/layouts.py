"""``layout``: the same numbers in another order in memory give the same gradient."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._algebra.backward import Answer, Asked, Cotangents, Layout, Slot
from gradproof._algebra.comparing import ROUNDINGS, Gap, Rounding, Trial, attempt, listed, told
from gradproof._records import Finding

#: How far inputs are moved to part those that are equal, relative.
APART = 1e-3


def of_cotangents(trial: Trial) -> Iterator[Finding]:
    """Cotangents that lie in memory in another order."""
    gaps: dict[int, Gap] = {}
    words: list[str] = []
    for layout in Layout:
        if not any(_fits(layout, slot) for slot in trial.backward.outputs):
            continue
        if layout.repeats and any("cotangent" in name for name, when in trial.plain.changed if when == "backward"):
            continue  # it is written to, which was said, and what shares memory cannot be
        laid: Cotangents = tuple(
            u if u is None or not _fits(layout, slot) else layout.values(u)
            for u, slot in zip(trial.cotangents[0], trial.backward.outputs, strict=True)
        )
        expected = attempt(trial.backward.gradients, Asked(laid)) if layout.repeats else trial.plain
        if isinstance(expected, Exception):
            return  # linearity has said so
        found = attempt(trial.backward.gradients, Asked(laid, layout=layout))
        if isinstance(found, Exception):
            yield trial.finding(
                "layout", trial.everywhere(),
                f"The backward pass fails for a cotangent that is {layout}: {told(found)}.",
                "Call .contiguous() on the gradient that the backward pass is given, or use reshape in place of view.",
                "fails for a cotangent that is not contiguous",
            )  # fmt: skip
            return
        there = trial.rounding_of(Asked(laid), expected) if layout.repeats else trial.rounding
        off = trial.gaps(found.gradients, expected.gradients, there=(there,))
        if trial.backward.draws:
            # Numbers that a backward pass draws itself are dealt out in the order of memory; it is wrong for that.
            off = {i: gap for i, gap in off.items() if trial.names[i] in trial.right}
        if off:
            gaps |= {i: gap for i, gap in off.items() if i not in gaps}
            words.append(str(layout))
    if gaps:
        names = listed([trial.names[i] for i in gaps])
        yield trial.finding(
            "layout", gaps,
            f"The gradient of {names} is another one where the cotangent is {_either(words)}, though its numbers are "
            f"the same.",
            "Call .contiguous() on the gradient that the backward pass is given, or follow its strides.", "cotangent",
        )  # fmt: skip


def of_inputs(trial: Trial) -> Iterator[Finding]:
    """Inputs that lie in memory in another order."""
    if not trial.backward.laid_out or trial.backward.draws:
        return
    indifferent = [layout for layout in Layout if not layout.repeats and _indifferent(trial, layout)]
    for number, slot in enumerate(trial.backward.inputs):
        gaps: dict[int, Gap] = {}
        words, forward = [], []
        for layout in Layout:
            if not _fits(layout, slot) or layout in indifferent:
                continue
            found = _against(trial, number, layout, trial.backward.values)
            if found and not layout.repeats:  # which of several equal elements is taken may be left to chance
                found = found if found[1] else _against(trial, number, layout, _parted(trial))
            if found is not None and found[1]:
                forward.append(str(layout))
            elif found is not None and found[0]:
                gaps |= {i: gap for i, gap in found[0].items() if i not in gaps}
                words.append(str(layout))
        if gaps:
            names = listed([trial.names[i] for i in gaps])
            yield trial.finding(
                "layout", gaps,
                f"The gradient of {names} is another one where {slot.name} is {_either(words)}, though all numbers "
                f"are the same.",
                f"Call .contiguous() on {slot.name} where it is saved, or follow its strides.", "input",
            )  # fmt: skip
        if forward:
            whole = {number: Gap(1.0, np.ones(slot.shape, dtype=bool))}
            yield trial.finding(
                "layout", whole,
                f"The function itself returns something else where {slot.name} is {_either(forward)}, though its "
                f"numbers are the same.",
                f"Call .contiguous() on {slot.name} at the start, or follow its strides.", "forward pass",
                severity="warning",
            )  # fmt: skip


def _indifferent(trial: Trial, layout: Layout) -> bool:
    """Whether all inputs together can lie so, and nothing changes: then none of them has to be tried alone."""
    numbers = tuple(i for i, slot in enumerate(trial.backward.inputs) if _fits(layout, slot))
    if len(numbers) < 2:
        return False
    found = attempt(trial.backward.gradients, Asked(trial.cotangents[0], inputs=(numbers, layout)))
    if isinstance(found, Exception):
        return False
    rounding = trial.rounding
    return _alike(trial, trial.plain, found, rounding) and not trial.gaps(found.gradients, trial.plain.gradients)


def _against(
    trial: Trial, number: int, layout: Layout, values: tuple[NDArray[Any], ...]
) -> tuple[dict[int, Gap], bool] | None:
    """Gaps between an input in the usual order and in another, and whether the outputs differ; None for neither."""
    given = tuple(layout.values(v) if i == number else v for i, v in enumerate(values))
    asked = Asked(trial.cotangents[0], values=given)
    here = not layout.repeats and values is trial.backward.values
    usual = trial.plain if here else attempt(trial.backward.gradients, asked)
    laid = attempt(trial.backward.gradients, replace(asked, inputs=((number,), layout)))
    if any(isinstance(part, Exception) for part in (usual, laid)):
        return None  # a function may ask for contiguous inputs, and says so by refusing others
    rounding = Rounding(trial.backward, asked, usual, singly=layout.repeats)  # measured where something differs
    alike = _alike(trial, usual, laid, rounding)
    theirs, mine = (_shared(part, number, layout) for part in (usual, laid))
    gaps = trial.gaps(mine, theirs, there=(rounding,)) if alike else {}
    if alike and not gaps:
        return None
    if layout.repeats and rounding.hides(max(trial.tolerance.values())):
        return None  # equal rows make many a function singular
    return gaps, not alike


def _shared(answer: Answer, number: int, layout: Layout) -> list[NDArray[Any] | None]:
    """The gradients; of an input whose elements share memory only sums over those, as equal elements may trade them."""
    found = list(answer.gradients)
    gradient = found[number]
    if gradient is not None and layout.repeats:
        axes = tuple(range(gradient.ndim)) if layout is Layout.EXPANDED else 0
        found[number] = np.broadcast_to(gradient.sum(axis=axes, keepdims=True), gradient.shape)
    return found


def _alike(trial: Trial, one: Answer, other: Answer, rounding: Rounding) -> bool:
    """Whether two forward passes returned the same, up to rounding."""
    tolerance = max(trial.tolerance.values())
    for i, (mine, theirs) in enumerate(zip(one.outputs, other.outputs, strict=True)):
        if mine.shape != theirs.shape:
            return False
        a, b = (np.where(np.isfinite(part), part, 0.0) for part in (mine, theirs))
        apart = float(np.linalg.norm(a - b))
        if apart > tolerance * (np.linalg.norm(a) + np.linalg.norm(b)) and apart > ROUNDINGS * rounding.outputs[i]:
            return False
    return True


def _parted(trial: Trial) -> tuple[NDArray[Any], ...]:
    """The inputs with equal elements moved apart."""
    rng = np.random.default_rng(17)
    return tuple(v * (1.0 + APART * rng.standard_normal(v.shape)) for v in trial.backward.values)


def _fits(layout: Layout, slot: Slot) -> bool:
    return layout.fits(slot.shape, complex_numbers=slot.complex)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, or {words[-1]}"
