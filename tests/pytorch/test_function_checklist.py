"""The checklist of a function: nothing is ticked that a part of the question has shown to be wrong."""

from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp


def answers(report: gp.Report) -> Mapping[str, tuple[str, str]]:
    return {item.question: (item.status, item.answer) for item in report.checklist}


def test_a_wrong_second_derivative_is_not_a_small_difference() -> None:
    class Detached(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * (x * x).detach() * v

    x = torch.linspace(-1.0, 1.3, 5, dtype=torch.float64, requires_grad=True)
    first = gp.check_function(Detached.apply, x)
    assert answers(first)["difference below 1e-7"][0] == "yes"
    second = gp.check_function(Detached.apply, x, order=2)
    assert second.verdict == "wrong"
    status, answer = answers(second)["difference below 1e-7"]
    assert status == "NO"
    assert answer.startswith("in the second derivative: ")
    right = gp.check_function(lambda t: t**3, x, order=2)
    assert right.passed
    assert answers(right)["difference below 1e-7"][0] == "yes"


def test_a_broken_law_is_not_a_small_difference() -> None:
    class Flat(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 2 * x * torch.as_strided(v, x.shape, x.stride(), v.storage_offset())

    report = gp.check_function(Flat.apply, torch.linspace(0.5, 1.5, 12, dtype=torch.float64).reshape(4, 3))
    assert report.verdict == "wrong"
    assert "layout" in [finding.cause for finding in report.findings]
    status, answer = answers(report)["difference below 1e-7"]
    assert status == "NO"
    assert "wrong beyond that: layout" in answer


@pytest.mark.parametrize("alone", [True, False])
def test_the_precision_is_that_in_which_the_function_was_evaluated(alone: bool) -> None:
    def kernel(x: Any) -> Any:
        if alone and x.dtype != torch.float32:
            raise TypeError("this kernel takes float32")
        return torch.tanh(x)

    report = gp.check_function(kernel, torch.linspace(-1.0, 1.0, 7))
    assert report.precision == ("float32" if alone else "float64")
    status, answer = answers(report)["precision"]
    assert status == ("NO" if alone else "yes")
    assert answer.startswith(report.precision)
