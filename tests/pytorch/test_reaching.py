"""What a function of tensors leads to is found once, and again where a first call has made something of it."""

from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

import gradproof as gp
from gradproof._adapters import reach
from gradproof._adapters.pytorch import reaching


class Lazy:
    """Noise from a generator that the first call makes."""

    def __init__(self) -> None:
        self.generator: torch.Generator | None = None

    def __call__(self, x: Any) -> Any:
        """The input times random numbers, the same for every part of one call."""
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(3)
        return x.sin() * torch.rand(x.shape, generator=self.generator, dtype=x.dtype)


def test_a_generator_that_the_first_call_makes_stands_still() -> None:
    noisy = Lazy()
    report = gp.check_function(noisy, torch.linspace(0.1, 1.0, 5, dtype=torch.float64))
    assert report.verdict == "correct", str(report)


@pytest.mark.parametrize(("noisy", "walks"), [(False, 1), (True, 2)])
def test_walks(noisy: bool, walks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(*args: Any, **keywords: Any) -> Any:
        made.append(args)
        return reach.walk(*args, **keywords)

    monkeypatch.setattr(reaching, "walk", counted)
    function = Lazy() if noisy else torch.sin
    gp.check_function(function, torch.linspace(0.1, 1.0, 5, dtype=torch.float64))
    assert len(made) == walks


class Misread(torch.autograd.Function):
    """A product whose backward pass reads one factor as if it were contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        x, y = ctx.saved_tensors
        return v * y, v * torch.as_strided(x, x.shape, x.contiguous().stride(), x.storage_offset())


def test_inputs_that_are_laid_out_together_hide_none() -> None:
    x, y = (torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    report = gp.check_function(Misread.apply, x.requires_grad_(), y.requires_grad_())
    assert [(f.cause, f.tensors) for f in report.findings if f.severity == "error"] == [("layout", ("inputs[1]",))]
    sound = gp.check_function(torch.mul, x, y)
    assert sound.verdict == "correct"
    assert not sound.findings


def test_a_single_element_of_a_wide_gradient_is_found() -> None:
    class Slipped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            d = 3 * v * x**2
            d[0] *= 1.001  # next to nothing beside the rest
            return d

    x = torch.tensor([0.03, 1.0, 1.2, 0.9], dtype=torch.float64, requires_grad=True)
    report = gp.check_function(Slipped.apply, x)
    assert report.verdict == "wrong", str(report)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "correct"), (2.0, "wrong")])
def test_a_gradient_that_differentiates_by_itself(factor: float, verdict: str) -> None:
    """What a gradient of the user's own differentiates requires a gradient, as it did where it was written."""
    w = torch.linspace(0.1, 1.0, 5).requires_grad_()

    def cost(p: dict[str, Any]) -> Any:
        return (torch.sin(p["w"]) ** 2).sum()

    def grads(p: dict[str, Any]) -> Any:
        return {"w": factor * torch.autograd.grad(cost(p), p["w"])[0]}

    assert gp.check(cost, {"w": w}, grads).verdict == verdict


def test_passes_of_one_check() -> None:
    """A right function of one input is called so often and no more, forwards and backwards."""
    passes = {"forward": 0, "backward": 0}

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            passes["forward"] += 1
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            passes["backward"] += 1
            return 3 * v * ctx.saved_tensors[0] ** 2

    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    for seed in range(10):  # some draws take one more step of the ladder
        assert gp.check_function(Cube.apply, x, seed=seed).verdict == "correct"
    assert passes["backward"] <= 270, passes
    assert passes["forward"] <= 650, passes


def test_nothing_is_written_to_random_states_that_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    np.random.seed(5)  # noqa: NPY002
    written: list[Any] = []
    monkeypatch.setattr(np.random, "set_state", written.append)
    gp.check_function(torch.sin, torch.linspace(0.1, 1.0, 5, dtype=torch.float64))
    assert not written
