"""Costs of PyTorch tensors through gp.check."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import gradproof as gp


def network(dtype: Any = None, seed: int = 0) -> tuple[dict[str, Any], Any, Any]:
    random = torch.Generator().manual_seed(seed)
    shapes = {"W1": (6, 5), "b1": (6,), "W2": (3, 6), "b2": (3,)}
    params = {k: (torch.randn(s, generator=random, dtype=torch.float64) / 2).to(dtype) for k, s in shapes.items()}
    X = torch.randn(9, 5, generator=random, dtype=torch.float64).to(dtype)
    return params, X, torch.randn(9, 3, generator=random, dtype=torch.float64).to(dtype)


def cost(p: dict[str, Any], X: Any, Y: Any) -> Any:
    return ((torch.tanh(X @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"] - Y) ** 2).mean()


def backward(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    hidden = torch.tanh(X @ p["W1"].T + p["b1"])
    delta = 2 * (hidden @ p["W2"].T + p["b2"] - Y) / Y.numel()
    below = delta @ p["W2"] * (1 - hidden**2)
    return {"dW1": below.T @ X, "db1": below.sum(0), "dW2": delta.T @ hidden, "db2": delta.sum(0)}


def doubled(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
    return backward(p, X, Y) | {"dW2": 2 * backward(p, X, Y)["dW2"]}


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("claim", [backward, None])
def test_right(name: str, claim: Any) -> None:
    params, X, Y = network(getattr(torch, name))
    report = gp.check(cost, params, claim, data=(X, Y), examples_axis=0)
    assert report.verdict == "correct", str(report)
    assert report.difference.high < 1e-7
    assert list(report.tensors) == ["W1", "b1", "W2", "b2"]


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16"])
def test_wrong_is_found_named_and_placed(name: str) -> None:
    params, X, Y = network(getattr(torch, name))
    report = gp.check(cost, params, doubled, data=(X, Y), examples_axis=0)
    (finding,) = report.findings
    assert (finding.cause, finding.tensors) == ("factor", ("W2",))
    assert finding.factor is not None
    assert abs(finding.factor[0] - 2) < 1e-6
    assert finding.repaired is not None
    assert finding.repaired < 1e-6
    assert finding.where.mask("W2").all()


def test_wrong_by_a_little_is_wrong_and_a_near_miss_is_not() -> None:
    params, X, Y = network(torch.float64)

    def off(share: float) -> Any:
        def claim(p: dict[str, Any], X: Any, Y: Any) -> dict[str, Any]:
            return backward(p, X, Y) | {"dW1": backward(p, X, Y)["dW1"] * (1 + share)}

        return claim

    assert gp.check(cost, params, off(1e-4), args=(X, Y)).tensors["W1"].verdict == "wrong"
    assert gp.check(cost, params, off(1e-9), args=(X, Y)).verdict == "correct"


class Halved(torch.autograd.Function):
    """tanh, whose backward pass is wrong in single precision alone."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        (y,) = ctx.saved_tensors
        return v * (1 - y * y) * (0.5 if y.dtype == torch.float32 else 1.0)


def test_a_bug_in_the_users_own_precision_alone_is_found() -> None:
    def of_halved(p: Any) -> Any:
        return (Halved.apply(p) ** 2).sum()

    x = torch.linspace(-1, 2, 7)
    report = gp.check(of_halved, x)
    assert report.verdict == "wrong"
    assert "own precision" in report.tensors["p"].reason
    assert gp.check(of_halved, x.double()).verdict == "correct"


def test_constants_made_inside_and_casts_are_widened() -> None:
    scale = torch.randn(5)

    def of_casts(p: Any) -> Any:
        ones = torch.ones(5, dtype=torch.float32) * scale
        return (torch.softmax(p.to(torch.float32), 0) * ones + p.float().exp()).sum()

    report = gp.check(of_casts, torch.randn(5))
    assert report.verdict == "correct"
    assert report.difference.high < 1e-7


def test_code_that_asserts_single_precision_is_judged_in_it() -> None:
    def strict(p: Any) -> Any:
        assert p.dtype == torch.float32
        return (p**2).sum() + torch.sin(p).sum()

    x = torch.linspace(-1, 2, 30)
    right = gp.check(strict, x)
    assert right.verdict in ("correct", "undecided")
    assert any("own precision" in note for note in right.notes)
    wrong = gp.check(strict, x, lambda p: 2 * p - torch.cos(p))
    assert wrong.verdict == "wrong"


def test_claims_that_are_held_in_grad() -> None:
    params, X, Y = network(torch.float64)
    for tensor in params.values():
        tensor.requires_grad_()
    cost(params, X, Y).backward()
    before = {name: tensor.grad.clone() for name, tensor in params.items()}
    assert gp.check(cost, params, "grad", args=(X, Y)).verdict == "correct"
    assert all(torch.equal(params[name].grad, grad) for name, grad in before.items())
    params["b1"].grad *= -1
    report = gp.check(cost, params, "grad", args=(X, Y))
    assert [f.cause for f in report.findings] == ["sign"]


def test_grad_that_is_not_there_is_refused() -> None:
    params, X, Y = network(torch.float64)
    with pytest.raises(gp.InputError, match=r"\.grad"):
        gp.check(cost, params, "grad", args=(X, Y))
    with pytest.raises(gp.InputError, match="gradient"):
        gp.check(cost, params, "gradient", args=(X, Y))


def test_a_detached_path_is_a_zero_claim() -> None:
    params, X, Y = network(torch.float64)

    def severed(p: dict[str, Any], X: Any, Y: Any) -> Any:
        return cost(p | {"W1": p["W1"].detach()}, X, Y)

    report = gp.check(severed, params, args=(X, Y))
    assert [(f.cause, f.tensors) for f in report.findings] == [("zero", ("W1",))]


def test_randomness_is_frozen_and_put_back() -> None:
    params, X, Y = network(torch.float32)

    def dropped(p: dict[str, Any], X: Any, Y: Any) -> Any:
        hidden = torch.nn.functional.dropout(torch.tanh(X @ p["W1"].T + p["b1"]), 0.4)
        return ((hidden @ p["W2"].T + p["b2"] - Y) ** 2).mean()

    state = torch.get_rng_state()
    report = gp.check(dropped, params, args=(X, Y))
    assert torch.equal(torch.get_rng_state(), state)
    assert report.verdict == "correct", str(report)
    assert any("bernoulli" in note for note in report.notes), report.notes


def test_a_cost_that_reads_live_tensors() -> None:
    params, X, Y = network(torch.float64)
    for tensor in params.values():
        tensor.requires_grad_()
    before = {name: tensor.detach().clone() for name, tensor in params.items()}
    report = gp.check(lambda: cost(params, X, Y), params)
    assert report.verdict == "correct"
    assert all(torch.equal(params[name], value) for name, value in before.items())
    wrong = gp.check(lambda: cost(params, X, Y), params, lambda p: doubled(p, X, Y))
    assert [t for t, found in wrong.tensors.items() if found.verdict == "wrong"] == ["W2"]


def test_a_cost_that_differentiates_inside() -> None:
    def penalty(p: Any) -> Any:
        x = torch.linspace(0, 1, 4, dtype=p.dtype, requires_grad=True)
        (slope,) = torch.autograd.grad(torch.sin(x * p).sum(), x, create_graph=True)
        return (slope**2).sum()

    assert gp.check(penalty, torch.tensor([0.3, 0.5, -1.0, 2.0])).verdict == "correct"


def test_complex_parameters() -> None:
    z = torch.randn(4, dtype=torch.complex128)

    def modulus(p: Any) -> Any:
        return (p.abs() ** 2 * p.real).sum() + (p**2).imag.sum()

    assert gp.check(modulus, z).verdict == "correct"

    def conjugated(p: Any) -> Any:
        q = p.detach().requires_grad_()
        return torch.autograd.grad(modulus(q), q)[0].conj()

    assert gp.check(modulus, z, conjugated).verdict == "wrong"


def test_layouts_are_kept() -> None:
    seen = []

    def watching(p: Any) -> Any:
        seen.append(p.stride())
        return (p**3).sum()

    x = torch.randn(4, 3, dtype=torch.float64).t()
    assert gp.check(watching, x).verdict == "correct"
    assert set(seen) == {x.stride()}


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(3).to_sparse(), torch.empty(3, device="meta")],
    ids=["sparse", "meta"],
)
def test_what_has_no_plain_numbers_is_refused_by_name(tensor: Any) -> None:
    with pytest.raises(gp.InputError, match="dense tensor"):
        gp.check(lambda p: p["x"].sum(), {"x": tensor})


def test_an_interrupted_check_leaves_everything_as_it_was() -> None:
    layer = torch.nn.BatchNorm1d(5)
    x = torch.randn(6, 5)
    calls = []

    def interrupted(p: Any) -> Any:
        calls.append(0)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return (layer(torch.nn.functional.dropout(p, 0.1)) ** 3).sum()

    state, mean, count = torch.get_rng_state(), layer.running_mean.clone(), int(layer.num_batches_tracked)
    with pytest.raises(KeyboardInterrupt):
        gp.check(interrupted, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(layer.running_mean, mean)
    assert int(layer.num_batches_tracked) == count


def test_what_the_cost_returns_is_refused_with_a_pointer() -> None:
    with pytest.raises(gp.InputError, match="check_function"):
        gp.check(lambda p: p**2, torch.ones(3))
    with pytest.raises(gp.InputError, match="real number"):
        gp.check(lambda p: None, torch.ones(3))


def test_nestings_and_zero_elements() -> None:
    params = {"layers": [{"w": torch.randn(3)}, {"w": torch.zeros(0)}], "scale": torch.tensor(2.0)}

    def nested(p: Any) -> Any:
        return p["scale"] * sum((layer["w"] ** 2).sum() for layer in p["layers"])

    report = gp.check(nested, params)
    assert list(report.tensors) == ["layers.0.w", "layers.1.w", "scale"]
    assert report.verdict == "correct"


def test_numpy_users_load_no_framework() -> None:
    assert gp.check(lambda p: float((p**2).sum()), np.ones(3), lambda p: 2 * p).verdict == "correct"


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_gradient_by_another_model_that_knows_single_precision_alone(factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(9, 4, generator=generator), torch.randn(9, 1, generator=generator)
    other = torch.nn.Linear(4, 1)
    params = {"W": other.weight.detach().clone(), "b": other.bias.detach().clone()}

    def cost(p: Any, X: Any, y: Any) -> Any:
        return ((X @ p["W"].T + p["b"] - y) ** 2).mean()

    def grads(p: Any, X: Any, y: Any) -> Any:
        with torch.no_grad():
            other.weight.copy_(p["W"])
            other.bias.copy_(p["b"])
        other.zero_grad()
        ((other(X.float()) - y.float()) ** 2).mean().backward()
        assert other.weight.grad is not None
        assert other.bias.grad is not None
        return {"W": factor * other.weight.grad.clone(), "b": other.bias.grad.clone()}

    report = gp.check(cost, params, grads, data=(X, y))
    assert report.verdict == ("correct" if factor == 1.0 else "wrong"), str(report)
    assert {f.cause for f in report.findings} == (set() if factor == 1.0 else {"factor"})
    assert report.tensors["W"].tolerance == 1e-3, "that of a claim in single precision"
