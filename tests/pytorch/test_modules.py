"""Modules through gp.check_module."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import gradproof as gp


class Scaled(torch.autograd.Function):
    """x W^T with a gradient of W that is off by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x @ w.t()

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        x, w = ctx.saved_tensors
        return v @ w, 3 * v.t() @ x


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.weight = nn.Parameter(torch.randn(3, 6) / 3)

    def forward(self, x: Any) -> Any:
        return Scaled.apply(torch.tanh(self.first(x)), self.weight)


def classified(module: Any, X: Any, Y: Any) -> Any:
    return nn.functional.cross_entropy(module(X), Y)


@pytest.fixture
def batch() -> tuple[Any, Any]:
    random = torch.Generator().manual_seed(3)
    return torch.randn(12, 5, generator=random), torch.randint(0, 3, (12,), generator=random)


def stack() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(5, 8),
        nn.BatchNorm1d(8),
        nn.GELU(),
        nn.Dropout(0.3),
        nn.Linear(8, 6),
        nn.LayerNorm(6),
        nn.Linear(6, 3),
    )


def test_a_right_module(batch: tuple[Any, Any]) -> None:
    module = stack()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    report = gp.check_module(module, classified, data=batch)
    assert report.verdict == "correct", str(report)
    assert list(report.tensors) == [name for name, _ in module.named_parameters()]
    assert any("3: aten.bernoulli" in note for note in report.notes), report.notes
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert module.training
    assert torch.equal(torch.get_rng_state(), random)


def test_a_wrong_module_is_named(batch: tuple[Any, Any]) -> None:
    report = gp.check_module(Custom(), classified, data=batch)
    assert [(f.cause, f.tensors) for f in report.findings] == [("factor", ("weight",))]


def test_gradients_that_are_held(batch: tuple[Any, Any]) -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    classified(module, *batch).backward()
    assert gp.check_module(module, classified, "grad", data=batch).verdict == "correct"
    module[2].weight.grad.mul_(-1)
    report = gp.check_module(module, classified, "grad", data=batch)
    assert [(f.cause, f.tensors) for f in report.findings] == [("sign", ("2.weight",))]
    classified(module, *batch).backward()  # adds up what was not set to zero
    assert gp.check_module(module, classified, "grad", data=batch).verdict == "wrong"


def test_inputs_on_request(batch: tuple[Any, Any]) -> None:
    report = gp.check_module(Custom(), classified, data=batch, inputs=True)
    assert "inputs[0]" in report.tensors
    assert report.tensors["inputs[0]"].verdict == "correct"


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(4, 5, num_layers=2, batch_first=True, bidirectional=True),
        nn.GRU(4, 5, batch_first=True),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True).eval(),
        nn.Sequential(nn.Conv1d(6, 3, 3, padding=1), nn.ReLU(), nn.AvgPool1d(2)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.Softplus()),
    ],
    ids=["lstm", "gru", "transformer", "transformer in eval", "conv", "weight norm"],
)
def test_modules_of_the_library(module: Any) -> None:
    torch.manual_seed(0)
    X = torch.randn(3, 6, 4)

    weights = torch.randn(3, 6, 10)

    def weighed(module: Any, X: Any) -> Any:
        out = module(X)
        out = out[0] if isinstance(out, tuple) else out
        return (out * weights[:, : out.shape[1], : out.shape[2]]).mean()

    report = gp.check_module(module, weighed, data=X)
    assert report.verdict == "correct", str(report)


def test_rounding_of_what_cancels_is_not_called_wrong() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
    # The mean of the squares of a normalised output hardly depends on anything.
    report = gp.check_module(module, lambda m, X: (m(X) ** 2).mean(), data=torch.randn(5, 4))
    assert report.verdict != "wrong", str(report)
    assert report.tensors["1.weight"].verdict == "correct"


def test_tied_weights_are_judged_once_and_said(batch: tuple[Any, Any]) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(5, 5, bias=False)
            self.decoder = nn.Linear(5, 5, bias=False)
            self.decoder.weight = self.encoder.weight

        def forward(self, x: Any) -> Any:
            return self.decoder(torch.tanh(self.encoder(x)))

    report = gp.check_module(Tied(), lambda m, X: (m(X) ** 2).mean(), data=batch[0])
    assert list(report.tensors) == ["encoder.weight"]
    assert report.verdict == "correct"
    assert any("decoder.weight" in note for note in report.notes)


def test_frozen_parameters_are_left_alone(batch: tuple[Any, Any]) -> None:
    module = Custom()
    module.weight.requires_grad_(False)
    report = gp.check_module(module, classified, data=batch)
    assert report.verdict == "correct"
    assert "weight" not in report.tensors
    assert any("weight" in note for note in report.notes)


def test_a_claim_by_name(batch: tuple[Any, Any]) -> None:
    module = nn.Linear(5, 3)

    def claim(module: Any, X: Any, Y: Any) -> dict[str, Any]:
        delta = torch.softmax(module(X), 1) - nn.functional.one_hot(Y, 3)
        return {"weight": delta.t() @ X / len(X), "bias": delta.mean(0)}

    assert gp.check_module(module, classified, claim, data=batch).verdict == "correct"
    missing = gp.check_module(module, classified, lambda *a: {"weight": claim(*a)["weight"]}, data=batch)
    assert missing.tensors["bias"].verdict == "wrong"
    assert missing.findings[0].cause == "contract"


def test_a_check_in_training_leaves_the_optimiser_alone(batch: tuple[Any, Any]) -> None:
    def trained(*, checked: bool) -> dict[str, Any]:
        module = stack()
        optimiser = torch.optim.Adam(module.parameters())
        for step in range(4):
            optimiser.zero_grad()
            classified(module, *batch).backward()
            if checked and step == 2:
                gp.check_module(module, classified, data=batch)
                gp.check_module(module, classified, "grad", data=batch)
            optimiser.step()
        return dict(module.state_dict())

    plain, watched = trained(checked=False), trained(checked=True)
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())


@pytest.mark.parametrize(
    ("module", "match"),
    [(3, "Module"), (nn.ReLU(), "without any"), (nn.LazyLinear(3), "uninitialised")],
    ids=["no module", "no parameters", "lazy"],
)
def test_what_is_refused(module: Any, match: str) -> None:
    with pytest.raises(gp.InputError, match=match):
        gp.check_module(module, classified, data=(torch.ones(2, 5), torch.zeros(2, dtype=torch.long)))


@pytest.mark.parametrize("large", [False, True])
def test_gradients_in_the_order_of_the_parameters(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradproof._adapters.pytorch import residing

    monkeypatch.setattr(residing, "LARGE", -1 if large else residing.LARGE)
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    data = (torch.randn(6, 4, dtype=torch.float64),)

    def squares(m: Any, x: Any) -> Any:
        return m(x).square().mean()

    def listed(m: Any, x: Any) -> Any:
        with torch.enable_grad():
            leaves = [p if p.requires_grad else p.requires_grad_() for p in m.parameters()]
            return torch.autograd.grad(squares(m, x), leaves)

    def wrong(m: Any, x: Any) -> Any:
        return [2 * g if i == 2 else g for i, g in enumerate(listed(m, x))]

    for claim in (listed, listed(module, *data)):
        assert gp.check_module(module, squares, claim, data=data).verdict == "correct"
    for claim in (wrong, wrong(module, *data)):
        report = gp.check_module(module, squares, claim, data=data)
        assert [n for n, t in report.tensors.items() if t.verdict == "wrong"] == ["2.weight"]


class Checkpointed(nn.Module):
    """A block that is run again in the backward pass, in either way, its gradient right or doubled."""

    def __init__(self, reentrant: bool, factor: float, drop: float) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.inner, self.outer, self.drop = nn.Linear(4, 3), nn.Linear(3, 2), nn.Dropout(drop)
        self.reentrant, self.factor = reentrant, factor

    def block(self, x: Any) -> Any:
        found = self.drop(torch.tanh(self.inner(x)))
        return found * self.factor - (self.factor - 1.0) * found.detach()

    def forward(self, x: Any) -> Any:
        from torch.utils.checkpoint import checkpoint

        return self.outer(checkpoint(self.block, x.detach().requires_grad_(), use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_blocks_that_the_backward_pass_runs_again(reentrant: bool, drop: float, dtype: Any) -> None:
    x = torch.randn(6, 4, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for factor, verdict in ((1.0, "correct"), (2.0, "wrong")):
        module = Checkpointed(reentrant, factor, drop).to(dtype)
        module.inner.weight.grad = torch.ones(3, 4, dtype=dtype)
        report = gp.check_module(module, lambda m, x: m(x).square().mean(), data=(x,))
        assert report.tensors["inner.weight"].verdict == verdict, report
        assert report.tensors["outer.weight"].verdict == "correct"
        assert torch.equal(module.inner.weight.grad, torch.ones(3, 4, dtype=dtype))
        assert module.outer.weight.grad is None


def test_hooks_on_the_gradient_of_a_parameter_are_told_of() -> None:
    torch.manual_seed(7)
    module = nn.Linear(3, 2)
    module.weight.register_hook(lambda v: v.clamp(-1e-3, 1e-3))
    x = torch.randn(5, 3)
    report = gp.check_module(module, lambda m, x: m(x).square().mean(), data=(x,))
    assert any("Hooks on the gradient of weight were left out" in note for note in report.notes)
    module(x).square().mean().backward()
    held = gp.check_module(module, lambda m, x: m(x).square().mean(), "grad", data=(x,))
    assert held.tensors["weight"].verdict == "wrong"


def test_a_cost_that_writes_to_the_parameters_is_refused_and_leaves_them() -> None:
    torch.manual_seed(8)
    module = nn.Embedding(5, 3, max_norm=0.5)
    before = module.weight.detach().clone()
    with pytest.raises(gp.InputError, match="weight should be left as it was"):
        gp.check_module(module, lambda m, rows: m(rows).sum(), data=(torch.tensor([0, 3, 3]),))
    assert torch.equal(module.weight, before)


def test_a_cost_that_raises_says_where() -> None:
    with pytest.raises(TypeError) as error:
        gp.check_module(nn.Linear(3, 2), lambda m, x: m(x).sum())
    assert any("raised by the cost at the given parameters" in note for note in error.value.__notes__)


@pytest.mark.parametrize(("make", "todo"), [(nn.Module.parameters, "list(params)"), (lambda m: m, "check_module")])
def test_parameters_that_are_none_are_told_what_to_pass(make: Any, todo: str) -> None:
    module = nn.Linear(3, 2)
    with pytest.raises(gp.InputError) as error:
        gp.check(lambda: module(torch.ones(1, 3)).sum(), make(module))
    assert todo in str(error.value)
    assert "`grads`" not in str(error.value)
