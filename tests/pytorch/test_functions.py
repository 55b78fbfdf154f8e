"""Functions through gp.check_function."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp


def affine(backward: Any) -> Any:
    """tanh(x W^T + b) with a backward pass."""

    class Affine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
            y = torch.tanh(x @ w.t() + b)
            ctx.save_for_backward(x, w, y)
            return y

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w, y = ctx.saved_tensors
            return backward(x, w, y, v * (1 - y**2))

    return Affine.apply


RIGHT = affine(lambda x, w, y, d: (d @ w, d.t() @ x, d.sum(0)))


def inputs(dtype: Any = None) -> tuple[Any, ...]:
    torch.manual_seed(0)
    return torch.randn(7, 5, dtype=dtype), torch.randn(4, 5, dtype=dtype), torch.randn(4, dtype=dtype)


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16"])
def test_right(name: str) -> None:
    report = gp.check_function(RIGHT, *inputs(getattr(torch, name)))
    assert report.verdict == "correct", str(report)
    assert list(report.tensors) == ["inputs[0]", "inputs[1]", "inputs[2]"]


@pytest.mark.parametrize(
    ("backward", "cause", "tensor"),
    [
        (lambda x, w, y, d: (2 * d @ w, d.t() @ x, d.sum(0)), "factor", "inputs[0]"),
        (lambda x, w, y, d: (d @ w, -d.t() @ x, d.sum(0)), "sign", "inputs[1]"),
        (lambda x, w, y, d: (d @ w, d.t() @ x, d.mean(0)), "bias-reduction", "inputs[2]"),
        (lambda x, w, y, d: (d @ w, None, d.sum(0)), "zero", "inputs[1]"),
    ],
)
def test_wrong_backward_passes_are_named(backward: Any, cause: str, tensor: str) -> None:
    report = gp.check_function(affine(backward), *inputs())
    assert (report.findings[0].cause, report.findings[0].tensors) == (cause, (tensor,)), str(report)
    assert [name for name, found in report.tensors.items() if found.verdict == "wrong"] == [tensor]


def test_only_what_requires_a_gradient_is_differentiated() -> None:
    x, w, b = inputs()
    assert list(gp.check_function(RIGHT, x, w.requires_grad_(), b).tensors) == ["inputs[1]"]
    assert list(gp.check_function(RIGHT, x, w.detach(), b, argnums=(0, 2)).tensors) == ["inputs[0]", "inputs[2]"]
    assert list(gp.check_function(RIGHT, x, w.detach(), b, argnums=0).tensors) == ["inputs[0]"]


def test_nested_inputs_and_keyword_arguments() -> None:
    def function(parts: Any, power: int, *, weight: Any, mode: str) -> Any:
        assert mode == "sum"
        return parts[0] ** power * weight, {"rest": (parts[1]["a"].sin(), None, torch.arange(3))}

    a, b = torch.randn(3), torch.randn(2, 2)
    report = gp.check_function(function, [a, {"a": b}], 3, kwargs={"weight": torch.randn(3), "mode": "sum"})
    assert set(report.tensors) == {"inputs[0].0", "inputs[0].1.a", "weight"}
    assert report.verdict == "correct"


def test_a_claim_of_ones_own() -> None:
    x, w, b = inputs(torch.float64)

    def function(x: Any, w: Any, b: Any) -> Any:
        return torch.tanh(x @ w.t() + b)

    def vjp(inputs: Any, v: Any) -> Any:
        x, w, b = inputs
        d = v * (1 - function(x, w, b) ** 2)
        return d @ w, d.t() @ x, d.sum(0)

    assert gp.check_function(function, x, w, b, vjp=vjp).verdict == "correct"
    wrong = gp.check_function(function, x, w, b, vjp=lambda i, v: (*vjp(i, v)[:2], vjp(i, 2 * v)[2]))
    assert [f.cause for f in wrong.findings] == ["factor"]
    with pytest.raises(gp.InputError, match="vjp"):
        gp.check_function(function, x, w, b, vjp=lambda i, v: vjp(i, v)[:2])


def test_complex_functions() -> None:
    z = torch.randn(5, dtype=torch.complex128)
    assert gp.check_function(lambda z: z * z.conj() + torch.exp(z), z).verdict == "correct"
    assert gp.check_function(lambda z: torch.view_as_real(z) ** 2, z).verdict == "correct"
    assert gp.check_function(torch.fft.rfft, torch.randn(8, dtype=torch.float64)).verdict == "correct"


@pytest.mark.parametrize(
    ("function", "given", "match"),
    [
        (lambda x: x, (3,), "at least one tensor"),
        (lambda x: None, (torch.ones(2),), "what it returns"),
        (7, (torch.ones(2),), "function"),
    ],
)
def test_what_is_refused(function: Any, given: tuple[Any, ...], match: str) -> None:
    with pytest.raises(gp.InputError, match=match):
        gp.check_function(function, *given)


def test_outputs_that_are_marked_as_not_differentiable_are_left_out() -> None:
    x = torch.randn(4, 3, 5)
    report = gp.check_function(torch.ops.aten.native_batch_norm, x, torch.randn(3), None, None, None, True, 0.1, 1e-3)
    assert report.verdict == "correct", str(report)
    assert any("output 1, 2" in note for note in report.notes)


def test_an_output_that_is_cut_off_is_a_zero_gradient() -> None:
    assert gp.check_function(lambda x: (x**2).detach(), torch.ones(3)).findings[0].cause == "zero"
