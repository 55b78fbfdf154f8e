"""Slips in the backward pass of a model that was recognised as a graph.

The decision behind it: a slip is named where its backward pass gives all the wrong gradients that it touches, to all
their digits, and leaves those alone that are right. The mended claim is the right gradient of the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.models import seeds
from gradproof._diagnosis.reading import ALL, Recognised, recognise
from gradproof._diagnosis.rebuilding import same
from gradproof._diagnosis.unrolled import Run, backward, summed_again
from gradproof._diagnosis.unrolled_scene import Scene, Slip
from gradproof._diagnosis.unrolled_starts import products, starts, updated
from gradproof._diagnosis.unrolled_steps import steps
from gradproof._diagnosis.unrolled_sums import sums

Array = NDArray[Any]
#: Relative difference up to which claims are the same.
WITHIN = 2e-7
#: Ranks of one slip that gives all tensors, and of one that is made in the gradient of each.
SINGLE, MERGED = 2.0, 2.1
#: A number that was found and is smaller than this is no slip.
FAINT = 1e-9


def explain(case: Case) -> Sequence[Explanation]:
    """Slips in models with steps or attention that could be recognised."""
    with np.errstate(all="ignore"):
        known = recognise(case)
        if known is None:
            return []
        case.truths.update({s.index: known.right[s.index] for s in case.open if s.index in known.right})
        names = {i: tensor.name for i, tensor in enumerate(case.tensors)}
        scene = Scene(known, names, case.lab.examples, case.lab.options)
        tried = chain(starts(scene), steps(scene), sums(scene), products(scene), _of_others(known), updated(scene))
        found: dict[tuple[int, ...], list[tuple[int, Slip]]] = {}
        for slip in islice(tried, max(1, int(ALL / known.model.effort))):
            for tensors, others in _explained(case, known, slip):
                found.setdefault(tensors, []).append((others, slip))
    # A slip that also gives what another cause explains goes first: it is one slip in place of two.
    ordered = {t: [slip for _, slip in sorted(fitting, key=lambda f: -f[0])] for t, fitting in found.items()}
    return _told(case, known, ordered)


def _told(case: Case, known: Recognised, found: Mapping[tuple[int, ...], Sequence[Slip]]) -> list[Explanation]:
    """One explanation for each slip, and one for the same slip in the gradients of several tensors."""
    told: dict[tuple[str, str], Explanation] = {}
    for number, (tensors, fitting) in enumerate(found.items()):
        new = _explanation(known, tensors, fitting)
        key = (new.cause, new.detail if len(tensors) == 1 else str(number))
        old = told.get(key)
        if old is None:
            told[key] = new
            continue
        both = (*old.tensors, *tensors)
        others = case.names(sorted(both[1:]))
        told[key] = replace(
            old, tensors=both, repairs={**old.repairs, **new.repairs}, rank=MERGED,
            message=f"{old.message.partition(' The same')[0]} The same happens in the gradient of {others}.",
        )  # fmt: skip
    return list(told.values())


def _of_others(known: Recognised) -> Iterator[Slip]:
    """Gradients of other models of the same tensors."""
    for akin in known.model.akin():
        yield Slip(akin.cause, akin.detail, akin.message, akin.fix, model=akin.model, also=akin.also)


def _explanation(known: Recognised, tensors: tuple[int, ...], fitting: Sequence[Slip]) -> Explanation:
    first = fitting[0]
    also = dict.fromkeys((*first.also, *(slip.cause for slip in fitting[1:])))
    also.pop(first.cause, None)
    repairs = {i: known.right[i] for i in tensors}
    return Explanation(first.cause, tensors, first.message, first.fix, repairs, first.detail, SINGLE, also=tuple(also))


def _explained(case: Case, known: Recognised, slip: Slip) -> Iterator[tuple[tuple[int, ...], int]]:
    """The open tensors that a slip accounts for, if it leaves right ones alone, and how many others it gives."""
    run = _passed(case, known, slip)
    if run is None:
        return
    given = known.given(case, run)
    whole = max(float(np.linalg.norm(g)) for g in known.right.values())
    tensors: list[int] = []
    others = 0
    for i, gradient in given.items():
        floor = 1e-13 * (whole + known.run.size[i])
        if same(gradient, known.right[i], FAINT, floor):
            continue
        if case.verdicts.get(i) == "correct":
            return
        if case.verdicts.get(i) == "wrong":
            if i not in case.claims or not same(gradient, case.claims[i], WITHIN, floor):
                return
            if i in case.explained or i not in case.suspects:
                others += 1
            else:
                tensors.append(i)
    if tensors:
        yield tuple(tensors), others


def _passed(case: Case, known: Recognised, slip: Slip) -> Run | None:
    """The backward pass with a slip, its free number taken from the claims."""
    model = slip.model or known.model
    if slip.free is not None:
        start = seeds(known.model, known.loss, known.scale)
        rate = _rate(case, known, backward(model.graph, start, slip.free(1.0)))
        return backward(model.graph, start, slip.free(rate)) if abs(rate) > FAINT else None
    if slip.seeds is None and slip.model is None and (run := summed_again(known.run, slip.hooks)) is not None:
        return run
    start = dict(slip.seeds) if slip.seeds is not None else seeds(model, known.loss, known.scale)
    run = backward(model.graph, start, slip.hooks)
    if slip.scaled:
        factor = _factor(case, known, run)
        run = backward(model.graph, {place: factor * delta for place, delta in start.items()}, slip.hooks)
    return run


def _rate(case: Case, known: Recognised, run: Run) -> float:
    """How much of the change that a slip makes there is in the claims."""
    moved, right, claims = _side_by_side(case, known, known.given(case, run))
    change = moved - right
    size = float(change @ change)
    return float(change @ (claims - right)) / size if size and np.isfinite(size) else 0.0


def _factor(case: Case, known: Recognised, run: Run) -> float:
    """The factor at which a backward pass gives the claims."""
    plain = {i: g - known.decay[i] * case.thetas[i] for i, g in known.given(case, run).items()}
    taken, _, claims = _side_by_side(case, known, plain)
    decayed = np.concatenate([(known.decay[i] * case.thetas[i]).ravel() for i in _compared(case, plain)])
    size = float(taken @ taken)
    return float(taken @ (claims - decayed)) / size if size and np.isfinite(size) else 0.0


def _compared(case: Case, given: Mapping[int, Array]) -> list[int]:
    return [s.index for s in case.open if s.index in given and s.index in case.claims]


def _side_by_side(case: Case, known: Recognised, given: Mapping[int, Array]) -> tuple[Array, Array, Array]:
    """What is given, what is right and what is claimed, of all wrong tensors."""
    chosen = _compared(case, given)
    return (
        np.concatenate([given[i].ravel() for i in chosen]),
        np.concatenate([known.right[i].ravel() for i in chosen]),
        np.concatenate([case.claims[i].ravel() for i in chosen]),
    )
