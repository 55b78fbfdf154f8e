"""Right backward passes are not called wrong, slips are not called correct, and nothing that is right is blamed.

Which tensors a slip spoils is told by PyTorch's reverse mode through plain operations, not by the package.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from planted_elementwise import OPERATORS  # noqa: E402
from planted_kit import VISIBLE, Operator, differentiable, gaps, pullback, written  # noqa: E402
from planted_linear import LINEAR  # noqa: E402
from planted_modules import NETWORKS, Network, parameter_gaps  # noqa: E402
from planted_reductions import REDUCTIONS  # noqa: E402

import gradproof as gp  # noqa: E402

ALL = OPERATORS + REDUCTIONS + LINEAR
EXACT = 1e-9  # A gradient nearer than this to the true one is right.


def _inputs(operator: Any) -> Any:
    inputs = operator.inputs(torch.Generator().manual_seed(5), 4)
    return tuple(value.requires_grad_() if differentiable(value) else value for value in inputs)


def _one_slip(operator: Any, place: Any) -> Any:
    """One slip of each operator, another for each place in the list."""
    names = sorted(operator.slips)
    return names[place % len(names)]


@pytest.mark.parametrize("operator", ALL, ids=lambda operator: operator.name)
def test_a_right_function_is_not_wrong(operator: Operator) -> None:
    inputs = _inputs(operator)
    assert max(gaps(operator, "", inputs).values()) < EXACT, "this case is no right one"
    report = gp.check_function(written(operator), *inputs, order=operator.order)
    assert report.verdict != "wrong", str(report)


SLIPS = [(operator, _one_slip(operator, place)) for place, operator in enumerate(ALL)]


@pytest.mark.parametrize(("operator", "slip"), SLIPS, ids=lambda value: getattr(value, "name", value))
def test_a_slip_is_not_correct(operator: Operator, slip: str) -> None:
    inputs = _inputs(operator)
    distances = gaps(operator, slip, inputs)
    spoilt = {name for name, distance in distances.items() if distance > VISIBLE}
    report = gp.check_function(written(operator, slip), *inputs, order=operator.order)
    if spoilt or slip in operator.laws:
        assert report.verdict != "correct", str(report)
    if spoilt:
        _blames_nobody(report, spoilt, distances)


def _blames_nobody(report: Any, spoilt: Any, distances: Any) -> Any:
    for name, tensor in report.tensors.items():
        if name in spoilt:
            assert tensor.verdict != "correct", str(report)
        elif distances.get(name, 1.0) < EXACT:
            assert tensor.verdict != "wrong", str(report)


def _state(module: Any) -> Any:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _unchanged(module: Any, before: Any, training: Any, gradients: Any) -> Any:
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(part.training == training for part in module.modules())
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        assert parameter.grad is gradient


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_right_module_is_not_wrong_and_left_as_it_was(network: Network, training: bool) -> None:
    module, distances, data = parameter_gaps(network, ("", "", ""), training)
    assert max(distances.values()) < EXACT, "this case is no right one"
    first = next(module.parameters())
    first.grad = torch.full_like(first, 3.0)
    before, gradients, random = _state(module), [p.grad for p in module.parameters()], torch.get_rng_state()
    report = gp.check_module(module, network.cost, args=data)
    assert report.verdict != "wrong", str(report)
    assert torch.equal(torch.get_rng_state(), random)
    _unchanged(module, before, training, gradients)


PLACED = [(network, _one_slip(network, place), place % 3) for place, network in enumerate(NETWORKS)]


@pytest.mark.parametrize(("network", "slip", "place"), PLACED, ids=lambda value: getattr(value, "name", value))
def test_a_slip_in_one_layer_is_found_there(network: Network, slip: str, place: int) -> None:
    slips = tuple(slip if index == place else "" for index in range(3))
    module, distances, data = parameter_gaps(network, slips, network.training)
    spoilt = {name for name, distance in distances.items() if distance > VISIBLE}
    assert spoilt, "this slip does not show"
    report = gp.check_module(module, network.cost, args=data)
    assert report.verdict != "correct", str(report)
    _blames_nobody(report, spoilt, distances)


def test_the_truth_sees_a_slip() -> None:
    operator = next(operator for operator in ALL if operator.name == "dense")
    right = pullback(written(operator), _inputs(operator), 1)
    slipped = pullback(written(operator, "gradient transposed"), _inputs(operator), 1)
    assert right[1] is not None
    assert slipped[1] is not None
    assert not torch.allclose(right[1], slipped[1])
    assert gaps(operator, "gradient transposed", _inputs(operator))["inputs[1]"] > VISIBLE
