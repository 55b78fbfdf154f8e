"""Functions that support one lower precision alone: in their own numbers, and against a float64 twin."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp

FORMATS = [torch.float32, torch.float16, torch.bfloat16]


def kernel(dtype: Any, factor: float) -> Any:
    """tanh(x w), in one format only, with a gradient of x that is off by a factor."""

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            assert x.dtype is dtype, "another format"
            ctx.save_for_backward(x, w)
            return torch.tanh(x @ w)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w = ctx.saved_tensors
            d = v * (1 - torch.tanh(x @ w) ** 2)
            return factor * d @ w.t(), x.t() @ d

    return Kernel.apply


def twin(x: Any, w: Any) -> Any:
    assert x.dtype is w.dtype is torch.float64
    return torch.tanh(x @ w)


def given(dtype: Any) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(4)
    return (torch.randn(8, 6, generator=generator) / 2).to(dtype), torch.randn(6, 4, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", FORMATS)
def test_against_a_twin(dtype: Any) -> None:
    right = gp.check_function(kernel(dtype, 1.0), *given(dtype), twin=twin)
    assert right.verdict == "correct", str(right)
    assert not right.findings
    wrong = gp.check_function(kernel(dtype, -1.0), *given(dtype), twin=twin)
    assert [wrong.tensors[name].verdict for name in ("inputs[0]", "inputs[1]")] == ["wrong", "correct"]


def test_a_factor_against_a_twin() -> None:
    report = gp.check_function(kernel(torch.float32, 2.0), *given(torch.float32), twin=twin)
    assert [(f.cause, f.tensors) for f in report.findings] == [("factor", ("inputs[0]",))]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("factor", [1.0, 1.5, -1.0])
def test_in_its_own_precision(dtype: Any, factor: float) -> None:
    report = gp.check_function(kernel(dtype, factor), *given(dtype))
    found = report.tensors["inputs[0]"].verdict
    assert found != ("wrong" if factor == 1.0 else "correct"), str(report)
    assert report.tensors["inputs[1]"].verdict != "wrong"
    if dtype is torch.float32:
        assert found == ("correct" if factor == 1.0 else "wrong"), str(report)


def test_a_twin_that_is_another_function() -> None:
    x, w = given(torch.float32)
    far = gp.check_function(kernel(torch.float32, 1.0), x, w, twin=lambda x, w: 1.001 * torch.tanh(x @ w))
    assert any("differs by" in note for note in far.notes)
    near = gp.check_function(kernel(torch.float32, 1.0), x, w, twin=twin)
    assert not any("differs by" in note for note in near.notes)
    with pytest.raises(gp.InputError, match="twin"):
        gp.check_function(kernel(torch.float32, 1.0), x, w, twin=lambda x, w: (x @ w)[:2])
    with pytest.raises(gp.InputError, match="the same function in float64"):
        gp.check_function(kernel(torch.float32, 1.0), x, w, twin=lambda x, w: 1.5 * torch.tanh(x @ w))


@pytest.mark.parametrize(("wobble", "cause"), [(1e-7, None), (1e-2, "nondeterministic")])
def test_sums_in_no_fixed_order(wobble: float, cause: str | None) -> None:
    calls = [0]

    class Racing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.sin(x)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            calls[0] += 1
            return v * ctx.saved_tensors[0].cos() * (1.0 + wobble * (calls[0] % 5))

    report = gp.check_function(Racing.apply, given(torch.float32)[0], twin=torch.sin)
    assert (report.findings[0].cause if report.findings else None) == cause, str(report)
    assert any("Identical calls" in note for note in report.notes) is (cause is None)
