"""The sweep through sizes, scales, zeros and ties."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp

F = torch.nn.functional


def normal(*shape: int) -> Any:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def function(forward: Any, backward: Any) -> Any:
    class Planted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return backward(*ctx.saved_tensors, v)

    return Planted.apply


def tiled(x: Any, v: Any) -> Any:
    """The slope of sin, in whole blocks of 32 once there is one."""
    found = v * x.cos()
    if x.shape[-1] > 32:
        found[..., 32 * (x.shape[-1] // 32) :] = 0
    return found


def test_a_last_tile_that_is_forgotten() -> None:
    wrong = function(torch.sin, tiled)
    assert gp.check_function(wrong, normal(3, 5)).verdict == "correct"
    report = gp.check_function(wrong, normal(3, 5), regimes=True)
    assert report.verdict == "wrong"
    message = report.findings[0].message
    assert message.startswith("With 33, 63 and 65 in place of 5 along an axis: "), str(report)
    assert message.endswith("It is right with 1, 7, 31, 32 and 64 in place of 5 along an axis.")


@pytest.mark.parametrize(
    ("forward", "backward", "given", "regime"),
    [
        (lambda x: x.prod(0), lambda x, v: v * x.prod(0) / x, (4, 3), "zeros"),
        (
            torch.nn.functional.softplus,
            lambda x, v: v * torch.where(x.abs() < 6, torch.sigmoid(x), 0 * x),
            (8, 5),
            "times 10",
        ),
        (lambda x: x.mean(0), lambda x, v: (v / 4).expand(x.shape), (4, 3), "33, 63, 64 and 65 in place of 4"),
    ],
)
def test_what_shows_in_one_regime(forward: Any, backward: Any, given: tuple[int, ...], regime: str) -> None:
    wrong = function(forward, backward)
    assert gp.check_function(wrong, normal(*given)).verdict == "correct"
    report = gp.check_function(wrong, normal(*given), regimes=True)
    assert report.verdict == "wrong", str(report)
    assert any(regime in f.message for f in report.findings if f.severity == "error"), str(report)


def test_an_illegal_choice_at_a_kink() -> None:
    report = gp.check_function(
        function(torch.relu, lambda x, v: v * (x > 0) + 3 * v * (x == 0)), normal(6, 5), regimes=True
    )
    assert [(f.cause, f.severity) for f in report.findings] == [("tie", "warning")], str(report)
    assert "With zeros among the inputs" in report.findings[0].message


@pytest.mark.parametrize(
    ("right", "given"),
    [
        (torch.matmul, (normal(3, 5), normal(5, 4))),
        (lambda x: torch.sqrt(x), (normal(3, 4).abs(),)),
        (lambda x: x.max(0), (normal(3, 4),)),
        (torch.relu, (normal(3, 4),)),
        (lambda x: torch.softmax(x, -1), (normal(3, 4),)),
        (lambda x: F.layer_norm(x, (4,)), (normal(3, 4),)),
        (lambda x, i: x[i], (normal(5, 3), torch.tensor([0, 2, 2, 4]))),
        (torch.log, (normal(3, 4).abs(),)),
        (lambda x: x.abs(), (normal(3, 4),)),
        (lambda x: x.sort(0), (normal(3, 4),)),
    ],
)
def test_right_functions_are_right_in_all_regimes(right: Any, given: Any) -> None:
    report = gp.check_function(right, *given, regimes=True)
    assert report.verdict == "correct", str(report)
    assert not report.findings
    assert any("further regimes" in note for note in report.notes)
