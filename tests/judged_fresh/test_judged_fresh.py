"""What is said of eighteen models' gradients, right and with every planted mistake, where drawn and after training."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import gradproof as gp

from . import models_attention, models_blocks, models_factors, models_likelihoods, models_recurrent, models_states
from .case import Array, Model, Params, Point, drawn, measured

MODULES = (models_recurrent, models_states, models_blocks, models_attention, models_factors, models_likelihoods)
MODELS: list[Model] = [model for module in MODULES for model in module.MODELS]

#: Seeds, and whether the parameters were trained first.
SEEDS = {0: False, 1: True}

#: A tensor off by more than the first is wrong, by less than the second right; between them neither is demanded.
TOLERANCE, ROUNDING = 1e-5, 1e-8

#: What the right gradients may differ from central differences, by tensor.
SLACK = 1e-8 if np.finfo(np.longdouble).eps < 1e-18 else 1e-6

#: Names that were not planted and are true of the numbers nevertheless, with what is shown to be so below.
TRUE_TOO = {
    ("gru", "W_over"): "zero",  # the state before the first step is 0: what overwrites the sum holds the L2 term alone
    ("crf", "b_first"): "swapped",  # what the first step alone adds is the gradient of the first scores
}

#: Mistakes in the layout of the numbers alone: a warning, and the verdict stays.
LAYOUT = {("dwconv_gn", "pb_flat"), ("moe", "b_squeeze")}

#: Names that claim no cause.
NO_CAUSE = {"unexplained", "region"}

#: Points by id; where a model's gradient is checked.
POINTS = [pytest.param(model, seed, id=f"{model.name}-{seed}") for seed in SEEDS for model in MODELS]


@functools.cache
def point_of(model: Model, seed: int) -> Point:
    return drawn(model, seed, trained=SEEDS[seed])


def norm(values: Any) -> float:
    return float(np.linalg.norm(values))


def vanishing(point: Point, true: Any, claim: Any) -> bool:
    """Whether a tensor's gradient and its claim are zero to the cost's rounding, as at a minimum."""
    size = norm(true) + (np.inf if claim is None else norm(claim))
    return size < 1e-9 * abs(float(point.cost(point.params)))


@dataclass(frozen=True)
class Truth:
    """What is true of one tensor's claim: its relative difference, and which elements are wrong."""

    difference: float
    mask: Array

    @property
    def verdict(self) -> str:
        """What must be said; "" where either may be."""
        return "wrong" if self.difference > TOLERANCE else "correct" if self.difference < ROUNDING else ""


def truth(right: Any, claim: Any) -> Truth:
    true = np.asarray(right)
    broken = Truth(1.0, np.ones(true.shape, bool))
    if claim is None:
        return broken
    values = np.asarray(claim)
    if [n for n in values.shape if n > 1] == [n for n in true.shape if n > 1]:
        values = values.reshape(true.shape)  # another layout of the same numbers is no mistake
    if values.shape != true.shape:
        return broken
    if not np.isfinite(values).all():
        return Truth(1.0, ~np.isfinite(values))
    off, scale = np.abs(values - true), norm(values) + norm(true)
    largest = max(np.abs(values).max(), np.abs(true).max())
    return Truth(norm(off) / scale if scale else 0.0, off > 1e-9 * largest)


def truths(point: Point, bug: str) -> dict[str, Truth]:
    """What is true of each tensor whose gradient does not vanish."""
    right, claims = point.claimed(), point.claimed(bug)
    pairs = {name: (g, claims.get(name)) for name, g in right.items()}
    return {name: truth(*pair) for name, pair in pairs.items() if not vanishing(point, *pair)}


def checked(point: Point, bug: str, with_data: bool) -> tuple[gp.Report, list[str]]:
    """The report on a gradient with a mistake, and the parameters that are not as they were, bit for bit."""
    model = point.model
    params = {name: np.array(v) for name, v in point.params.items()}

    def grads(p: Params, *data: Array, **options: float) -> Params:
        return model.grad(p, *data, bug=bug, **options)

    if with_data:
        given: dict[str, Any] = {"data": point.data, "examples_axis": 0} if model.batch else {"args": point.data}
        report = gp.check(model.cost, params, grads, options=dict(model.options) or None, seed=0, **given)
    else:
        report = gp.check(point.cost, params, lambda p: grads(p, *point.data, **model.options), seed=0)
    changed = [name for name, v in params.items() if v.tobytes() != np.asarray(point.params[name]).tobytes()]
    return report, changed


def complaints(report: gp.Report, true: dict[str, Truth], accepted: set[str]) -> Iterator[str]:
    """What a report says that is not so."""
    if any(t.verdict == "wrong" for t in true.values()) and report.verdict != "wrong":
        yield f"the whole is wrong and called {report.verdict}"
    errors = [finding for finding in report.findings if finding.severity == "error"]
    for name, one in true.items():
        said = report.tensors[name].verdict
        if one.verdict and said != one.verdict:
            yield f"{name} is {one.verdict} ({one.difference:.2g}) and called {said}: {report.tensors[name].difference}"
        about = [finding for finding in errors if name in finding.tensors]
        if one.verdict != "wrong":
            continue
        if not about:
            yield f"{name} is wrong and no finding is about it"
            continue
        said_to_be = [str(f.where) for f in about]
        place = functools.reduce(np.logical_or, (np.reshape(f.where.mask(name), one.mask.shape) for f in about))
        if (one.mask & ~place).any():
            yield f"{int((one.mask & ~place).sum())} wrong elements of {name} lie outside {said_to_be}"
        if all(f.where.exact for f in about) and not np.array_equal(place, one.mask):
            yield f"{said_to_be} is called exact, and {int(one.mask.sum())} elements of {name} are wrong"
    if any(t.verdict == "wrong" for t in true.values()) and errors:
        first = errors[0]
        if not ({first.cause, *first.also} & accepted or first.cause in NO_CAUSE):
            yield f"{first.cause} ({first.detail}) is none of {sorted(accepted)}: {first.message}"


def accepted(model: Model, bug: str) -> set[str]:
    return {*model.mistakes[bug].split(), *TRUE_TOO.get((model.name, bug), "").split()}


def mistakes(model: Model, seed: int) -> Iterator[tuple[str, bool]]:
    """Every mistake with the batch closed over; every second one with it given, the others at the next seed."""
    for number, bug in enumerate(model.mistakes):
        yield bug, False
        if (model.batch or model.options) and number % 2 == seed % 2:
            yield bug, True


@pytest.mark.parametrize(("model", "seed"), POINTS)
def test_right_gradient_is_right(model: Model, seed: int) -> None:
    """By central differences; a ReLU within reach of the first step asks for a shorter one."""
    point = point_of(model, seed)
    right = point.claimed()

    def off(step: float) -> dict[str, float]:
        found = measured(point, step)
        return {
            name: norm(g - found[name]) / (norm(g) + norm(found[name]))
            for name, g in right.items()
            if not vanishing(point, g, g)
        }

    if max(off(2e-3).values()) > SLACK:
        assert max(off(1e-6).values()) <= SLACK


@pytest.mark.parametrize("with_data", [False, True], ids=["plain", "data"])
@pytest.mark.parametrize(("model", "seed"), POINTS)
def test_right_gradient_is_correct(model: Model, seed: int, with_data: bool) -> None:
    point = point_of(model, seed)
    report, changed = checked(point, "", with_data)
    assert report.verdict == "correct", str(report)
    assert not [finding for finding in report.findings if finding.severity == "error"]
    assert not changed


@pytest.mark.parametrize(("model", "seed"), POINTS)
def test_planted_mistakes_are_found_placed_and_not_misnamed(model: Model, seed: int) -> None:
    point = point_of(model, seed)
    found: list[str] = []
    for bug, with_data in mistakes(model, seed):
        report, changed = checked(point, bug, with_data)
        label = f"{bug} with data" if with_data else bug
        found += [f"{label}: {said}" for said in complaints(report, truths(point, bug), accepted(model, bug))]
        found += [f"{label}: {name} was changed" for name in changed]
    assert not found, "\n".join(found)


def test_names_that_were_not_planted_are_true_of_the_numbers() -> None:
    named = {model.name: model for model in MODELS}
    for seed in SEEDS:
        gru, crf = point_of(named["gru"], seed), point_of(named["crf"], seed)
        decay = gru.model.options["lambd"] / len(gru.data[0]) * gru.params["Wr"]
        np.testing.assert_allclose(gru.claimed("W_over")["Wr"], decay, rtol=1e-12)
        spoilt = crf.claimed("b_first")
        np.testing.assert_allclose(spoilt["b"], spoilt["start"], rtol=1e-12)


def test_every_mistake_but_those_of_layout_spoils_a_tensor_at_one_of_the_seeds() -> None:
    harmless = {
        (model.name, bug)
        for model in MODELS
        for bug in model.mistakes
        if all(one.verdict == "correct" for seed in SEEDS for one in truths(point_of(model, seed), bug).values())
    }
    assert harmless == LAYOUT


@pytest.mark.parametrize(("name", "bug"), sorted(LAYOUT))
def test_another_layout_is_a_warning(name: str, bug: str) -> None:
    model = next(model for model in MODELS if model.name == name)
    report, _ = checked(point_of(model, 0), bug, with_data=False)
    assert report.verdict == "correct"
    assert [(finding.cause, finding.severity) for finding in report.findings] == [("contract", "warning")]


def test_a_report_that_says_something_else_is_complained_of() -> None:
    """Each thing that is asked of a report is missed where it is not so."""
    model = next(model for model in MODELS if model.name == "gru")
    point = point_of(model, 0)
    report, _ = checked(point, "one_el", with_data=False)
    true, fine = truths(point, "one_el"), accepted(model, "one_el")
    finding = report.findings[0]
    assert list(complaints(report, true, fine)) == []

    def told(**changes: Any) -> str:
        return "\n".join(complaints(replace(report, **changes), true, fine))

    def judged(name: str, verdict: str) -> str:
        one = replace(report.tensors[name], verdict=gp.Verdict(verdict))
        return told(tensors={**report.tensors, name: one})

    def placed(mask: Array, *, exact: bool) -> str:
        where = replace(finding.where, masks={"Uh": mask}, exact=exact)
        return told(findings=(replace(finding, where=where),))

    mask = true["Uh"].mask
    assert "the whole is wrong and called correct" in told(verdict=gp.Verdict.CORRECT)
    assert "Uh is wrong" in judged("Uh", "undecided")
    assert "V is correct" in judged("V", "wrong")
    assert "Uh is wrong and no finding is about it" in told(findings=())
    assert "1 wrong elements of Uh lie outside" in placed(~mask, exact=False)
    assert "is called exact" in placed(np.ones_like(mask), exact=True)
    assert placed(np.ones_like(mask), exact=False) == ""
    assert "transposed" in told(findings=(replace(finding, cause="transposed"),))
