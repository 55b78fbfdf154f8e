"""What is said of a gradient, against what is true of it."""

import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradproof as gp

from . import models_deep, models_fuzz, models_gated, models_kernel, models_odd, models_shallow, models_struct
from .case import Array, Case, leaves, tree_map

#: What is said today and the reason, by model and slip.
Known = dict[tuple[str, str], tuple[str, str]]

MODULES = (models_gated, models_shallow, models_kernel, models_deep, models_struct, models_odd)

#: With the data given, a check of these takes longest; every so many slips of them are checked that way.
SELDOM = {"course": 12, "course-dropout": 8, "residual": 12, "graph": 8}
OFTEN = 3

#: Gradients that are refused before anything is measured, with words from the refusal.
REFUSED = {
    "graph/tuple-instead": "should be a nesting with the names",
    "state/updates-first": "is changed in place by the gradient",
    "state/right-but-updates": "is changed in place by the gradient",
}


@dataclass
class Told:
    """One check: the case, what is wrong in its gradient, and the report or the refusal."""

    case: Case
    masks: list[Array | None]
    beyond: bool
    report: gp.Report | None
    refusal: str = ""

    @property
    def errors(self) -> list[gp.Finding]:
        return [] if self.report is None else [f for f in self.report.findings if f.severity == "error"]

    @property
    def cause(self) -> str:
        return str(self.errors[0].cause) if self.errors else ""

    @property
    def is_named(self) -> bool:
        """Whether the first cause is the planted one itself."""
        return self.beyond and self.cause in self.case.expect


def truth(case: Case) -> tuple[list[Array | None], bool]:
    """Which elements are wrong, by tensor (None: cannot be said), and whether any tensor is beyond tolerance.

    Costs and gradients draw their masks from the global state, so that it stands at the same place for both.
    """
    np.random.seed(7)  # noqa: NPY002
    claimed = leaves(case.grads(tree_map(np.array, case.params), *case.data, **case.options))
    np.random.seed(7)  # noqa: NPY002
    right = leaves(case.right(tree_map(np.array, case.params), *case.data, **case.options))
    if len(claimed) != len(right):
        return [None] * len(right), True
    floor = case.extra.get("floor", 1e-12)
    masks: list[Array | None] = []
    beyond = False
    for claim, true in zip(claimed, right, strict=True):
        c, r = np.asarray(claim, float), np.asarray(true, float)
        if c.shape != r.shape and [n for n in c.shape if n > 1] == [n for n in r.shape if n > 1]:
            c = c.reshape(r.shape)
        if c.shape != r.shape:
            masks.append(None)
            beyond = True
        elif not np.isfinite(c).all():
            masks.append(~np.isfinite(c))
            beyond = True
        else:
            masks.append(np.abs(c - r) > 1e-9 * (np.abs(r).max() + np.abs(c).max()) + floor * 1e-3)
            scale = float(np.linalg.norm(r) + np.linalg.norm(c))
            beyond |= scale > floor and float(np.linalg.norm(c - r)) > case.tolerance * scale
    return masks, beyond


def told(case: Case, seed: int, with_data: bool) -> Told:
    """Checks the gradient of a case, closed over its data or with them given."""
    state = np.random.get_state()  # noqa: NPY002
    fresh = case.extra.get("factory")
    try:
        if fresh:
            case.grads = fresh()
        masks, beyond = truth(case)
        if fresh:
            # Its first call may well be right; the slip is in what it keeps.
            case.grads = fresh()
            beyond |= not case.is_right
        np.random.seed(7)  # noqa: NPY002
        try:
            return Told(case, masks, beyond, _report(case, seed, with_data))
        except gp.InputError as error:
            return Told(case, masks, beyond, None, str(error))
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _report(case: Case, seed: int, with_data: bool) -> gp.Report:
    params = tree_map(np.array, case.params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if with_data:
            given: dict[str, Any] = {"data": case.data or None, "options": case.options or None, "terms": case.terms}
            return gp.check(case.cost, params, case.grads, examples_axis=case.examples_axis, seed=seed, **given)
        return gp.check(
            lambda p: case.cost(p, *case.data, **case.options),
            params,
            lambda p: case.grads(p, *case.data, **case.options),
            seed=seed,
        )


@functools.cache
def everything(seed: int) -> dict[str, Told]:
    """The checks of one seed; the models that one parity closes over their data get them given at the other."""
    out: dict[str, Told] = {}
    cases = [case for module in MODULES for case in module.cases(seed)]
    for number, model in enumerate(dict.fromkeys(case.model for case in cases)):
        with_data = (number + seed) % 2 == 1
        slips = 0
        for case in (case for case in cases if case.model == model):
            slips += not case.is_right
            if case.is_right or not with_data or slips % SELDOM.get(model, OFTEN) == 0:
                out[str(case)] = told(case, seed, with_data)
    for case in models_fuzz.cases(seed)[seed % 16 :: 16]:
        out[str(case)] = told(case, seed, False)
    return out


def amiss(one: Told) -> Iterator[str]:
    """What must not be said of a gradient, whatever its cause is called."""
    if one.report is None:
        if REFUSED.get(str(one.case), "?") not in one.refusal:
            yield f"refused: {one.refusal}"
        return
    if str(one.case) in REFUSED:
        yield "is refused no more"
    verdict = one.report.verdict
    if one.case.is_right and (verdict == "wrong" or one.errors):
        yield f"is right and called {verdict}: {[str(f.cause) for f in one.errors]}"
    if one.beyond and verdict == "correct":
        yield "is wrong and called correct"
    for name, mask in zip(one.report.tensors, one.masks, strict=True):
        about = [f for f in one.errors if name in f.tensors]
        if mask is None or not about:
            continue
        said = functools.reduce(np.logical_or, (np.asarray(f.where.mask(name)).reshape(mask.shape) for f in about))
        if (mask & ~said).any():
            yield f"{int((mask & ~said).sum())} wrong elements of {name} lie outside what is said"


def misnamed(one: Told) -> str:
    """The first cause where it cannot stand for the slip, "" where it can."""
    if one.report is None or not one.errors or not one.beyond:
        return ""
    first, case = one.errors[0], one.case
    fine = case.expect | case.accept | {"unexplained"}
    if not case.extra.get("no_upstream"):
        fine |= {"upstream"}
    if first.cause in fine or case.expect & {str(a) for a in first.also}:
        return ""
    if first.cause == "region" and _exact(one, first):
        return ""
    return f"{first.cause}({first.detail})"


def _exact(one: Told, finding: gp.Finding) -> bool:
    assert one.report is not None
    pairs = zip(one.report.tensors, one.masks, strict=True)
    return all(
        mask is not None and np.array_equal(np.asarray(finding.where.mask(name)).reshape(mask.shape), mask)
        for name, mask in pairs
        if name in finding.tensors
    )
