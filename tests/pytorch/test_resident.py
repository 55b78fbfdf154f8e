"""Tensors that are checked where they live: the same verdicts as on the flat path, and nothing left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from models import MODELS, SLIPS, Case, case

import gradproof as gp
from gradproof._adapters.pytorch import residing

#: Square weights, of which a transpose is another gradient.
SQUARE = ("dense", "attentive")


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model counts as a large one."""
    monkeypatch.setattr(residing, "LARGE", -1)


@contextmanager
def flat() -> Iterator[None]:
    """No model counts as a large one."""
    before, residing.LARGE = residing.LARGE, 10**12
    try:
        yield
    finally:
        residing.LARGE = before


def both(found: Case, **options: Any) -> tuple[Any, Any]:
    """The reports of both paths."""
    there = gp.check_module(found.module, found.cost, data=found.data, **options)
    with flat():
        return there, gp.check_module(found.module, found.cost, data=found.data, **options)


def agree(found: Case, slip: str, seed: int) -> None:
    """Both paths must say the same of every tensor, and the truth."""
    there, here = both(found, seed=seed, method="probe")
    assert "checked in place" in " ".join(there.notes)
    assert "checked in place" not in " ".join(here.notes)
    assert {n: t.verdict for n, t in there.tensors.items()} == {n: t.verdict for n, t in here.tensors.items()}
    for name, tensor in there.tensors.items():
        wrong = slip != "right" and name == found.slipping
        assert tensor.verdict != ("correct" if wrong else "wrong"), (name, tensor.reason)
    assert there.verdict == ("correct" if slip == "right" else "wrong")


@pytest.mark.parametrize(("model", "slip"), [(m, s) for m in MODELS for s in SLIPS if s != "transposed" or m in SQUARE])
@pytest.mark.usefixtures("in_place")
def test_both_paths_say_the_same(model: str, slip: str) -> None:
    agree(case(model, slip, torch.float32, seed=1_001), slip, seed=3)


@pytest.mark.parametrize("slip", ["right", "slightly off", "one row"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("in_place")
def test_both_paths_say_the_same_in_float64(model: str, slip: str) -> None:
    found = case(model, slip, torch.float64, seed=1_002)
    before = {name: value.clone() for name, value in found.module.state_dict().items()}
    agree(found, slip, seed=4)
    assert all(torch.equal(value, before[name]) for name, value in found.module.state_dict().items())


@pytest.mark.parametrize(
    ("slip", "cause", "detail"),
    [
        ("doubled", "factor", "factor 2"),
        ("sign", "sign", None),
        ("zero", "zero", None),
        ("transposed", "transposed", None),
    ],
)
@pytest.mark.usefixtures("in_place")
def test_causes_are_told_of_tensors_that_stay_where_they_are(slip: str, cause: str, detail: str | None) -> None:
    found = case("dense", slip, torch.float32, seed=1_003)
    report = gp.check_module(found.module, found.cost, data=found.data)
    causes = [(f.cause, f.detail) for f in report.findings if f.severity == "error"]
    assert [c for c, _ in causes] == [cause]
    assert detail is None or causes[0][1] == detail
    assert report.findings[0].tensors == (found.slipping,)


def answers(report: gp.Report) -> dict[str, tuple[str, str]]:
    return {item.question: (item.status, item.answer) for item in report.checklist}


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.usefixtures("in_place")
def test_the_checklist_says_what_was_evaluated_where_it_lives(dropout: bool) -> None:
    torch.manual_seed(2)
    drops = [torch.nn.Dropout(0.5)] if dropout else []
    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), *drops, torch.nn.Linear(4, 1))
    there, here = both(Case(module, lambda m, x: m(x).square().mean(), (torch.randn(6, 5),), ""))
    told = answers(there)
    assert told["dropout off or frozen"][0] == "yes"
    assert ("frozen: one pattern of" if dropout else "none found") in told["dropout off or frozen"][1]
    assert told["precision"][0] == "yes"
    assert told["precision"][1].startswith("float64, ")
    assert told["regulariser in both"][0] == "not checked"
    assert "nothing was evaluated" not in " ".join(answer for _, answer in told.values())
    assert {q: s for q, (s, _) in told.items()} == {q: s for q, (s, _) in answers(here).items()}


@pytest.mark.usefixtures("in_place")
def test_a_wrong_row_is_found_where_it_lives() -> None:
    found = case("dense", "one row", torch.float64, seed=1_004)
    report = gp.check_module(found.module, found.cost, data=found.data)
    mask = report.findings[0].where.mask(found.slipping)
    assert mask[-1].all()
    assert not mask[:-1].any()


@pytest.mark.usefixtures("in_place")
def test_a_factor_is_told_from_projections_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradproof._pipeline import guilty

    monkeypatch.setattr(guilty, "GUILTY", 0)
    found = case("dense", "doubled", torch.float32, seed=1_005)
    report = gp.check_module(found.module, found.cost, data=found.data)
    finding = report.findings[0]
    assert finding.cause == "factor"
    assert finding.factor is not None
    assert float(finding.factor[0]) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.usefixtures("in_place")
def test_claims_that_are_not_numbers_or_are_missing() -> None:
    found = case("dense", "right", torch.float32, seed=1_006)
    found.cost(found.module, *found.data).backward()
    grads = {name: p.grad.clone() for name, p in found.module.named_parameters() if p.grad is not None}
    right = gp.check_module(found.module, found.cost, grads, data=found.data, method="probe")
    assert right.verdict == "correct"
    grads["inner.0.bias"][2] = float("nan")
    del grads["inner.4.bias"]
    report = gp.check_module(found.module, found.cost, grads, data=found.data, method="probe")
    wrong = {name for name, t in report.tensors.items() if t.verdict == "wrong"}
    assert wrong == {"inner.0.bias", "inner.4.bias"}
    assert {f.detail for f in report.findings} == {"NaN", "missing"}
