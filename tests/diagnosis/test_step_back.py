from typing import Any

import pytest
from rebuilt import check, hidden, model, named, nothing


@pytest.mark.parametrize("layer", [2, 3])
def test_wrong_way_round(layer: int) -> None:
    report = check(model(), {("weights", layer): lambda W, run: W.T})
    named(report, "transposed", *hidden(layer - 1), detail="in the step back")


def test_symmetric_weights_hide_it() -> None:
    params = {**model().params, "W3": (model().params["W3"] + model().params["W3"].T) / 2}
    nothing(check(model(), {("weights", 3): lambda W, run: W.T}, params=params))


def updated(layer: int, rate: float) -> Any:
    return lambda W, run: W - rate * (run.data_part[layer] + run.lambd / run.m * W)


@pytest.mark.parametrize("layer", [2, 3, 4])
def test_updated_before_use(layer: int) -> None:
    report = check(model(), {("weights", layer): updated(layer, 0.5)})
    named(report, "early-update", *hidden(layer - 1), detail="learning rate 0.5")
    factor = report.findings[0].factor
    assert factor is not None
    assert abs(float(factor[0]) - 0.5) < 1e-5


def test_updated_everywhere() -> None:
    report = check(model(), {("weights", k): updated(k, 0.1) for k in (2, 3, 4)})
    named(report, "early-update", *hidden(3))


def test_a_rate_of_zero_is_right() -> None:
    nothing(check(model(), {("weights", 3): updated(3, 0.0)}))
