"""Options that the cost honours and the gradient does not."""

from typing import Any

import numpy as np
from tiny import check, one, only, tiny

from planted.base import Array, Tree
from planted.course import Fault, on, slope


def test_right_at_the_default_of_the_signature() -> None:
    x = np.linspace(-1.0, 1.0, 9)
    params = {"w": np.linspace(0.2, 1.5, 9)}

    def cost(params: Tree, power: float = 2.0) -> float:
        return float(np.sum(np.abs(params["w"] - x) ** power))

    def grads(params: Tree, power: float = 2.0) -> Tree:
        return {"w": 2 * (params["w"] - x)}

    finding = only(one(cost, params, grads, options={"power": 3.0}))
    assert (finding.cause, finding.detail, finding.also) == ("configuration", "right at power = 2.0", ())
    assert one(cost, params, grads, options={"power": 2.0}).findings == ()


def test_a_factor_that_is_the_option() -> None:
    model = tiny(temperature=3.7)
    finding = only(check(model, fault={("delta", 3): lambda delta, run: delta * run.temperature}, vary=["temperature"],
                         options={"temperature": 3.7}))  # fmt: skip
    assert (finding.cause, finding.also) == ("configuration", ())
    assert "temperature" in finding.message


def test_a_common_number_is_not_put_down_to_an_option() -> None:
    model = tiny(temperature=2.0)
    options = {"temperature": 2.0}
    finding = only(check(model, fault={("delta", 3): lambda delta, run: delta * 2}, options=options))
    assert finding.cause == "factor"
    varied = only(check(model, fault={("delta", 3): lambda delta, run: delta * 2}, options=options, vary="temperature"))
    assert varied.cause == "factor", "it is wrong at temperature 1 as well"


def test_a_slope_taken_for_granted() -> None:
    fault: Fault = {("slope", 0): lambda act, run: np.where(act == 1, act, 0.01)}
    finding = only(check(tiny("leaky", alpha=0.3), fault=fault, data=False))
    assert (finding.cause, finding.detail) == ("configuration", "right at alpha = 0.01")
    fault = {("slope", k): on(k, lambda act, run, k: slope("elu", run.Z[k], 1.0)) for k in (1, 2)}
    finding = only(check(tiny("elu", alpha=0.3), fault=fault, data=False))
    assert (finding.cause, finding.detail) == ("configuration", "right at alpha = 1.0")


def test_a_derivative_that_a_linear_activation_hides_is_no_configuration() -> None:
    report = check(tiny("leaky", alpha=0.3), fault={("slope", 2): lambda act, run: np.ones_like(act)}, data=False)
    assert "configuration" not in {f.cause for f in report.findings}


def test_an_option_that_is_ignored() -> None:
    x = np.linspace(-1.0, 1.0, 9)

    def cost(params: Tree, **options: Any) -> float:
        return float(np.sum(np.exp(options["alpha"] * params["w"] * x)))

    def grads(params: Tree, **options: Any) -> Tree:
        return {"w": 0.7 * x * np.exp(0.7 * params["w"] * x)}

    finding = only(one(cost, {"w": np.linspace(0.2, 1.5, 9)}, grads, options={"alpha": 0.4}))
    assert (finding.cause, finding.detail) == ("configuration", "ignores alpha")


def test_an_option_that_must_not_be_zero_is_left_out() -> None:
    def cost(params: Tree, *data: Array, alpha: float) -> float:
        if alpha not in (0.4,):
            raise ValueError(alpha)
        return float(np.sum(np.sin(params["w"]) ** 2) * alpha)

    def grads(params: Tree, *data: Array, alpha: float) -> Tree:
        return {"w": np.cos(params["w"]) ** 3}

    report = one(cost, {"w": np.linspace(0.2, 1.5, 9)}, grads, options={"alpha": 0.4})
    assert only(report).cause == "unexplained"
    assert any("other options was left out: ValueError" in note for note in report.notes)
