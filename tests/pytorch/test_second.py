"""Second derivatives of PyTorch's: double backward passes and Hessians."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp


def normal(*shape: int) -> Any:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def cubed(backward: Any, *, once: bool = False) -> Any:
    class Cubed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            ctx.square = x.detach() ** 2
            return x**3

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return backward(ctx, *ctx.saved_tensors, v)

    class Once(Cubed):
        backward = staticmethod(torch.autograd.function.once_differentiable(Cubed.backward))

    return (Once if once else Cubed).apply


RIGHT = cubed(lambda ctx, x, v: 3 * x**2 * v)


@pytest.mark.parametrize(
    "backward",
    [
        lambda ctx, x, v: 3 * ctx.square * v,
        lambda ctx, x, v: 3 * x.detach() * x * v,
    ],
)
def test_what_was_saved_as_a_constant(backward: Any) -> None:
    assert gp.check_function(cubed(backward), normal(5)).verdict == "correct"
    report = gp.check_function(cubed(backward), normal(5), order=2)
    assert report.verdict == "wrong"
    assert [f.cause for f in report.findings] == ["double-backward"], str(report)
    assert report.findings[0].tensors == ("inputs[0]",)
    assert report.tensors["cotangent"].verdict == "correct"


def test_what_cannot_be_differentiated() -> None:
    once = cubed(lambda ctx, x, v: 3 * x**2 * v, once=True)
    report = gp.check_function(once, normal(5), order=2)
    assert [(f.cause, f.detail) for f in report.findings] == [("double-backward", "not differentiable")]
    assert "once_differentiable" in report.findings[0].message
    cut = cubed(lambda ctx, x, v: (3 * x**2 * v).detach())
    report = gp.check_function(cut, normal(5), order=2)
    assert report.findings[0].cause == "double-backward"
    assert "detached" in report.findings[0].message


def test_right_second_derivatives() -> None:
    for function, given in (
        (RIGHT, (normal(5),)),
        (torch.tanh, (normal(3, 4),)),
        (torch.matmul, (normal(3, 4), normal(4, 2))),
        (torch.relu, (normal(3, 4),)),
        (lambda x: (x.sin(), x.exp()), (normal(4),)),
        (lambda x: torch.softmax(x, -1), (normal(3, 4),)),
        (lambda x: x[1:] * 2, (normal(4),)),
    ):
        report = gp.check_function(function, *given, order=2)
        assert report.verdict == "correct", str(report)
        assert not report.findings


def test_a_wrong_first_derivative_is_said_as_it_is() -> None:
    report = gp.check_function(cubed(lambda ctx, x, v: 6 * x**2 * v), normal(5), order=2)
    assert report.findings[0].cause == "factor"


def cost(p: Any) -> Any:
    return (p["w"].sin() * p["w"]).sum() * p["b"].exp().sum()


def grads(p: Any) -> Any:
    return dict(zip(p, torch.autograd.grad(cost(p), list(p.values()), create_graph=True), strict=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_hessians() -> None:
    params = {"w": normal(3), "b": normal(2)}
    assert gp.check_hessian(grads, params).verdict == "correct"
    blocks = torch.func.hessian(cost)(params)
    assert gp.check_hessian(grads, params, blocks).verdict == "correct"
    assert gp.check_hessian(grads, params, torch.func.hessian(cost)).verdict == "correct"
    blocks["w"]["b"][0, 1] += 0.1
    report = gp.check_hessian(grads, params, blocks)
    assert report.verdict == "wrong"
    assert "not symmetric" in [f.detail for f in report.findings]
    assert any("w[0] and b[1]" in f.message for f in report.findings), str(report)
    cut = gp.check_hessian(lambda p: {k: g.detach() for k, g in grads(p).items()}, params)
    assert cut.verdict == "wrong"
    single = {k: v.float() for k, v in params.items()}
    assert gp.check_hessian(grads, single).verdict == "correct"


def scaled(first: Any) -> Any:
    """x^2 w, or what ``first`` makes of its gradient in x."""

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return x**2 * w

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w = ctx.saved_tensors
            return first(2 * v * x * w), v * x**2

    return Scaled.apply


def test_one_of_several_gradients_that_is_cut_off() -> None:
    """Reverse mode takes it for a constant wherever it is added to something else."""
    assert gp.check_function(scaled(lambda g: g), normal(5), normal(5), order=2).verdict == "correct"
    report = gp.check_function(scaled(torch.Tensor.detach), normal(5), normal(5), order=2)
    assert report.verdict == "wrong"
    assert [f.cause for f in report.findings] == ["double-backward"], str(report)


def test_a_gradient_that_is_a_constant_indeed() -> None:
    class Shifted(torch.autograd.Function):
        """x and a gate that only its sign matters of."""

        @staticmethod
        def forward(ctx: Any, x: Any, gate: Any) -> Any:
            return x + torch.sign(gate)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return v, torch.zeros_like(v)

    report = gp.check_function(Shifted.apply, normal(5), normal(5) + 0.5, order=2)
    assert report.verdict == "correct", str(report)
