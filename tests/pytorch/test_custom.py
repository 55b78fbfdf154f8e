"""Modules whose custom functions are looked at one by one."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import gradproof as gp


def squash(slope: Any) -> Any:
    """tanh with another derivative, ``slope(x, y)``."""

    class Squash(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = torch.tanh(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return v * slope(*ctx.saved_tensors)

    return Squash


def project(weight: Any) -> Any:
    """x W^T with another gradient of W, with ``setup_context``."""

    class Project(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, w: Any) -> Any:
            return x @ w.t()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w = ctx.saved_tensors
            return v @ w, weight(v, x)

    return Project


class Applied(nn.Module):
    """A custom function with the parameters it takes."""

    def __init__(self, function: Any, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ParameterList([nn.Parameter(torch.randn(shape)) for shape in shapes])

    def forward(self, x: Any) -> Any:
        return self.function.apply(x, *self.parts)


class Odd(nn.Module):
    """Something that no model of a network knows."""

    def forward(self, x: Any) -> Any:
        return torch.sin(x) * x.mean(-1, keepdim=True)


class Cut(nn.Module):
    """A use of the input that no gradient comes back through, in PyTorch's own operations."""

    def forward(self, x: Any) -> Any:
        return x * x.detach()


RIGHT = squash(lambda x, y: 1 - y * y)
WEIGHT = project(lambda v, x: v.t() @ x)


def cost(module: Any, x: Any, y: Any) -> Any:
    return ((module(x) - y) ** 2).sum()


def report_on(*layers: nn.Module, **options: Any) -> gp.Report:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), *layers, Odd(), nn.Linear(5, 3)).double()
    data = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    return gp.check_module(module, cost, data=data, **options)


def test_the_function_and_the_layer_are_named() -> None:
    report = report_on(Applied(squash(lambda x, y: 1 - torch.tanh(y) ** 2)))
    found = report.findings[0]
    assert (found.cause, found.detail) == ("activation-derivative", "at the output"), str(report)
    assert found.tensors == ("0.weight", "0.bias"), str(report)
    assert "Squash in 1 (Applied)" in found.message, str(report)
    assert [f.cause for f in report.findings if f.severity == "error"] == ["activation-derivative"]


def test_parameters_of_a_function_are_named_as_in_the_module() -> None:
    torch.manual_seed(1)
    report = report_on(Applied(RIGHT), Applied(project(lambda v, x: v.t() @ x.flip(0)), (5, 5)))
    found = report.findings[0]
    assert (found.cause, found.tensors) == ("permuted", ("2.parts.0",)), str(report)
    assert "the gradient of 2.parts.0 is that of the function with argument 0" in found.message, str(report)


def test_a_place_that_the_module_tells_stays() -> None:
    torch.manual_seed(1)
    report = report_on(Applied(RIGHT), Applied(project(lambda v, x: v[:-1].t() @ x[:-1]), (5, 5)))
    found = report.findings[0]
    assert (found.cause, found.detail, found.also) == ("region", "the last example left out", ("missing-path",))
    assert found.repaired is not None

    def one_row(v: Any, x: Any) -> Any:
        gradient = v.t() @ x
        gradient[3] = 0.0
        return gradient

    found = report_on(Applied(RIGHT), Applied(project(one_row), (5, 5))).findings[0]
    assert (found.cause, found.where.text) == ("region", "row 3 of 2.parts.0")


def test_what_lies_behind_the_wrong_input_alone_is_blamed() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)
            self.slipped, self.right = squash(lambda x, y: y * (1 - y)), RIGHT

        def forward(self, x: Any) -> Any:
            return self.slipped.apply(self.first(x)) + self.right.apply(self.second(x))

    torch.manual_seed(2)
    report = report_on(Two())
    found = next(f for f in report.findings if f.cause == "activation-derivative")
    assert set(found.tensors) == {"0.weight", "0.bias", "1.first.weight", "1.first.bias"}, str(report)
    assert report.tensors["1.second.weight"].verdict == "correct"


def test_near_misses() -> None:
    # What is cut off in PyTorch's own operations is no fault of a custom function.
    report = report_on(Applied(RIGHT), Cut())
    assert report.verdict == "wrong"
    assert all("judged by itself" not in f.message for f in report.findings), str(report)
    # A gradient that was computed beforehand is not that of the function as it is now.
    module = nn.Sequential(nn.Linear(4, 5), Applied(RIGHT)).double()
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    grads = {name: torch.randn_like(p) for name, p in module.named_parameters()}
    report = gp.check_module(module, cost, grads, data=(x, y))
    assert all("judged by itself" not in f.message for f in report.findings), str(report)


def test_right_ones_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a right module was taken apart")

    monkeypatch.setattr("gradproof._functions.layers.in_layers", refuse)
    report = report_on(Applied(RIGHT), Applied(WEIGHT, (5, 5)))
    assert report.verdict == "correct", str(report)
    assert not report.findings
    with pytest.raises(AssertionError, match="taken apart"):
        report_on(Applied(squash(lambda x, y: y)))


def test_classes_stay_as_they_were() -> None:
    slipped = squash(lambda x, y: y)
    before = dict(vars(slipped)), dict(vars(WEIGHT))
    report = report_on(Applied(slipped), Applied(WEIGHT, (5, 5)))
    assert "judged by itself" in report.findings[0].message, str(report)
    assert (dict(vars(slipped)), dict(vars(WEIGHT))) == before


def test_the_budget_is_kept() -> None:
    whole = report_on(Applied(squash(lambda x, y: y * (1 - y))))
    some = report_on(Applied(squash(lambda x, y: y * (1 - y))), budget=whole.evaluations - 40)
    assert some.evaluations <= whole.evaluations - 40
    assert some.verdict == "wrong"


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_functions_in_either_precision(kind: Any) -> None:
    torch.manual_seed(3)
    x = torch.randn(5, 4, dtype=kind)
    report = gp.check_function(squash(lambda x, y: 1 - torch.tanh(y) ** 2).apply, x)
    assert (report.findings[0].cause, report.findings[0].detail) == ("activation-derivative", "at the output")
    assert gp.check_function(RIGHT.apply, x).verdict == "correct"


def test_random_numbers_are_those_of_the_check() -> None:
    class Dropped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            mask = (torch.rand_like(x) > 0.4).to(x.dtype)
            ctx.save_for_backward(mask)
            return x * mask / 0.6

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            return v / 0.6

    torch.manual_seed(4)
    module = nn.Sequential(nn.Linear(4, 5), Applied(Dropped), Odd(), nn.Linear(5, 3)).double()
    data = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    state = torch.get_rng_state()
    report = gp.check_module(module, cost, data=data)
    assert (report.findings[0].cause, report.findings[0].detail) == ("dropout", "mask forgotten"), str(report)
    assert torch.equal(torch.get_rng_state(), state)
