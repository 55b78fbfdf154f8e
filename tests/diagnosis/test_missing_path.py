from functools import partial
from typing import Any

import numpy as np
import pytest
from rebuilt import check, hidden, model, named, nothing, rows_network

import gradproof as gp


def without(example: int) -> Any:
    def hook(delta: Any, run: Any) -> Any:
        delta = delta.copy()
        delta[:, example] = 0
        return delta

    return hook


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_last_example(layer: int) -> None:
    report = check(model(), {("delta", layer): without(-1)})
    named(report, "missing-path", *hidden(layer), detail="the last example")


def test_any_cost_with_examples_in_rows() -> None:
    cost, grads, params, data = rows_network("own")
    report = gp.check(cost, params, partial(grads, bug="last 2"), data=data)
    wrong = [f"layers.{k}.{name}" for k in range(2) for name in ("weight", "bias")]
    named(report, "missing-path", *wrong, detail="the last example")


def test_skip_connection() -> None:
    net = model("tanh", skip=3)
    named(check(net, {("skip", 3): lambda dA, run: 0 * dA}), "missing-path", *hidden(2), detail="skip connection")
    named(check(net, {("skip", 3): lambda dA, run: 2 * dA}), "accumulated", *hidden(2), detail="twice")
    nothing(check(net))


def test_near_miss() -> None:
    # An example in the middle is not the end of a loop.
    report = check(model(), {("delta", 2): without(4)})
    assert {f.cause for f in report.findings} <= {"upstream", "unexplained"}, report
    # An example without error contributes nothing.
    assert np.all(np.isfinite(model().data[0]))
