"""Every component of a function of tensors, with many parameter sets evaluated at once where that pays."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from torch_exhaustive import dense

import gradproof as gp
from gradproof._adapters.numpy import Call, open_session
from gradproof._adapters.translating import in_numpy
from gradproof._evaluation import Meter
from gradproof._pipeline import batching
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import stand_still

AT_A_TIME = "at a time"
EVERY = Options("exhaustive", None, 0, vectorized=False)


def normal(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def said(report: gp.Report) -> bool:
    return any(AT_A_TIME in note for note in report.notes)


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_the_verdicts_are_those_of_one_at_a_time(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GAIN", 1e6)  # taken whatever it takes
    W, x = 0.2 * normal(20, 6), normal(6, seed=1)
    alone, many = (gp.check_function(dense(batched=b, factor=factor), W, x, method="exhaustive") for b in (False, True))
    assert said(many)
    assert not said(alone), "a function without a rule for many sets is evaluated one by one"
    assert many.verdict == alone.verdict == ("correct" if factor == 1.0 else "wrong")
    places = [[f.where.text for f in report.findings] for report in (alone, many)]
    assert places[0] == places[1] == ([] if factor == 1.0 else ["inputs[0][1, 4]"])


def test_parameters_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GAIN", 1e6)
    W = normal(40, 3).requires_grad_()
    before = W.detach().clone()
    report = gp.check(lambda p: torch.tanh(p).pow(2).sum(), W, method="exhaustive")
    assert report.verdict == "correct"
    assert said(report)
    assert torch.equal(W.detach(), before)
    assert W.grad is None


class Together(torch.autograd.Function):
    """A square whose rule for many sets is not quite the square."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * v

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return x * x * (1 + 1e-7), in_dims[0]


def branching(p: Any) -> Any:
    """No ``if`` is possible for many sets at once."""
    return p.pow(2).sum() if p[0] > 0 else p.pow(3).sum()


@pytest.mark.parametrize("cost", [lambda p: Together.apply(p).sum(), branching])
def test_what_is_another_function_for_many_sets_or_none_is_evaluated_one_by_one(
    cost: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "GAIN", 1e6)
    report = gp.check(cost, normal(120).abs(), method="exhaustive")
    assert report.verdict == "correct", str(report)
    assert not said(report)


def test_parameters_of_zero_are_moved_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GAIN", 1e6)
    nothing = torch.zeros(120, dtype=torch.float64)
    assert said(gp.check(lambda p: (p + 1).pow(2).sum(), nothing, method="exhaustive"))
    assert not said(gp.check(lambda p: Together.apply(p).sum(), nothing, method="exhaustive"))


def test_random_costs_are_evaluated_one_by_one() -> None:
    def cost(p: Any) -> Any:
        return torch.nn.functional.dropout(p, 0.5).pow(2).sum()

    report = gp.check(cost, normal(120), method="exhaustive")
    assert report.verdict == "correct"
    assert not said(report)


def test_a_chunk_that_does_not_pay_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GAIN", 0.0)
    assert not said(gp.check(lambda p: p.pow(2).sum(), normal(120), method="exhaustive"))


@pytest.mark.parametrize(("memory", "most"), [(1 << 28, 256), (8 * 3000 * 16, 16), (8 * 3000 * 4, 4)])
def test_chunks_are_bounded_in_memory(memory: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MEMORY", memory)
    monkeypatch.setattr(batching, "GAIN", 1e6)
    p = normal(3000)
    session = open_session(in_numpy(Call(lambda q: q.pow(2).sum(), p, None), (), "exhaustive"))
    meter = Meter()
    still = batching.many_at_once(stand_still(session, meter), EVERY, meter)
    assert still.session.rows == most
    assert float(still.cost) == pytest.approx(float(p.pow(2).sum()), rel=1e-14)


@pytest.mark.parametrize("size", [10, 120, 1000])
def test_choosing_a_chunk_takes_a_small_share_of_the_work(size: int) -> None:
    session = open_session(in_numpy(Call(lambda q: q.pow(2).sum(), normal(size), None), (), "exhaustive"))
    meter = Meter()
    still = stand_still(session, meter)
    before = meter.count
    batching.many_at_once(still, EVERY, meter)
    assert meter.count - before <= 0.2 * 4 * size
