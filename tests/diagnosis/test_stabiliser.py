"""An epsilon inside a logarithm of the cost only."""

from typing import Any

import pytest
from tiny import check, only, tiny

from planted.course import Network


def floored(floor: float) -> Any:
    model = tiny()
    network = Network("tanh", floor=floor)
    return type(model)("floored", network.cost, network.grads, model.params, model.data, 1, model.options)


@pytest.mark.parametrize("floor", [1e-2, 1e-4])
def test_an_epsilon_in_the_cost_only(floor: float) -> None:
    finding = only(check(floored(floor), tiny().grads))
    assert finding.cause == "stabiliser"
    assert f"{floor:.3g}" in finding.detail
    assert set(finding.tensors) == set(tiny().params)
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


def test_without_data_it_is_not_named() -> None:
    report = check(floored(1e-2), tiny().grads, data=False)
    assert "stabiliser" not in {f.cause for f in report.findings}


def test_another_loss_is_no_stabiliser() -> None:
    report = check(tiny(), fault={("delta", 3): lambda delta, run: delta * run.A[3]})
    assert "stabiliser" not in {f.cause for f in report.findings}


def test_right() -> None:
    model = floored(1e-2)
    report = check(model, model.grads)
    assert report.passed
    assert report.findings == ()
