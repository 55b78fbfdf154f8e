"""The course notes' loop, against the same loop written down a second time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp

Array = NDArray[np.float64]
RNG = np.random.default_rng(4)
PARAMS = {"W1": RNG.standard_normal((4, 3)), "b1": RNG.standard_normal((4, 1)), "W2": RNG.standard_normal((1, 4))}
X, Y = RNG.standard_normal((3, 7)), RNG.integers(0, 2, (1, 7)).astype(float)


def cost(p: dict[str, Any]) -> float:
    a = np.tanh(p["W1"] @ X + p["b1"])
    y = 1.0 / (1.0 + np.exp(-(p["W2"] @ a)))
    return float(-np.mean(Y * np.log(y) + (1.0 - Y) * np.log(1.0 - y)))


def grads(p: dict[str, Any]) -> dict[str, Any]:
    a = np.tanh(p["W1"] @ X + p["b1"])
    dz2 = (1.0 / (1.0 + np.exp(-(p["W2"] @ a))) - Y) / X.shape[1]
    dz1 = (p["W2"].T @ dz2) * (1.0 - a**2)
    return {"dW1": dz1 @ X.T, "db1": dz1.sum(axis=1, keepdims=True), "dW2": dz2 @ a.T}


def notes_loop(p: dict[str, Any], claim: dict[str, Any], epsilon: float = 1e-7) -> tuple[Array, float]:
    """The notes' steps: one vector, one component up and down, one number."""
    theta = np.concatenate([p[name].reshape(-1) for name in p])
    grad = np.concatenate([claim["d" + name].reshape(-1) for name in p])

    def unrolled(vector: Array) -> dict[str, Array]:
        found, first = {}, 0
        for name, value in p.items():
            found[name] = vector[first : first + value.size].reshape(value.shape)
            first += value.size
        return found

    approximate = np.zeros(theta.size)
    for i in range(theta.size):
        plus, minus = theta.copy(), theta.copy()
        plus[i] = plus[i] + epsilon
        minus[i] = minus[i] - epsilon
        approximate[i] = (cost(unrolled(plus)) - cost(unrolled(minus))) / (2 * epsilon)
    numerator = np.linalg.norm(grad - approximate)
    denominator = np.linalg.norm(grad) + np.linalg.norm(approximate)
    return approximate, float(numerator / denominator)


def perturbed(name: str, factor: float) -> dict[str, Any]:
    found = grads(PARAMS)
    found[name] = found[name] * factor
    return found


@pytest.mark.parametrize("claim", [grads(PARAMS), perturbed("dW1", 2.0), perturbed("db1", 1.001), perturbed("dW2", -1)])
def test_the_number_is_that_of_the_loop(claim: dict[str, Any]) -> None:
    approximate, number = notes_loop(PARAMS, claim)
    report = gp.check(cost, PARAMS, claim, method="classic")
    assert float(report.difference) == pytest.approx(number, rel=1e-12)
    rows = sorted(report.worst(100), key=lambda row: row.position)
    # Bit for bit: the same step, the same two costs, the same quotient.
    assert [row.reference for row in rows] == approximate.tolist()
    np.testing.assert_array_equal([row.claimed for row in rows], gp.to_vector([claim["d" + name] for name in PARAMS]))
    first = 0
    for name, value in PARAMS.items():
        own, part = claim["d" + name].reshape(-1), approximate[first : first + value.size]
        first += value.size
        expected = np.linalg.norm(own - part) / (np.linalg.norm(own) + np.linalg.norm(part))
        assert float(report.tensors[name].difference) == pytest.approx(expected, rel=1e-12)


def test_the_verdict_is_undecided_and_the_reason_said() -> None:
    for claim in (grads, perturbed("dW1", 2.0)):
        report = gp.check(cost, PARAMS, claim, method="classic")
        assert report.verdict == "undecided"
        for tensor in report.tensors.values():
            assert (tensor.verdict, "no error bar" in tensor.reason) == ("undecided", True)
            assert np.isnan([tensor.difference.low, tensor.difference.high]).all()
        assert all(np.isnan(row.error_bar) for row in report.worst())
        assert any("course notes' arithmetic" in note for note in report.notes)
        assert np.isnan(report.difference.high)


def test_it_costs_two_evaluations_a_component_besides_the_first_look() -> None:
    report = gp.check(cost, PARAMS, grads(PARAMS), method="classic")
    assert report.classic_evaluations == 2 * 20
    assert report.evaluations == 2 * 20 + 3


def test_the_worst_come_first() -> None:
    claim = grads(PARAMS)
    claim["dW1"][3, 1] += 1.0
    report = gp.check(cost, PARAMS, claim, method="classic")
    rows = report.worst(5)
    assert (rows[0].name, rows[0].index, rows[0].position) == ("W1", (3, 1), 10)
    assert [abs(row.mismatch) for row in rows] == sorted((abs(row.mismatch) for row in rows), reverse=True)
    assert rows.complete


def test_a_right_network_of_the_notes_is_in_the_good_band() -> None:
    number = float(gp.check(cost, PARAMS, grads, method="classic").difference)
    assert 0.0 < number < 1e-6


def test_zero_over_zero_is_zero() -> None:
    report = gp.check(lambda p: 1.0, PARAMS, {name: np.zeros_like(v) for name, v in PARAMS.items()}, method="classic")
    assert float(report.difference) == 0.0
    assert [float(t.difference) for t in report.tensors.values()] == [0.0] * 3


def test_components_beside_which_the_cost_has_no_value_are_left_out() -> None:
    at = {"y": np.array([0.0, 1.0])}
    with np.errstate(invalid="ignore"):
        report = gp.check(lambda p: float(np.sum(np.sqrt(p["y"]))), at, {"y": np.array([0.0, 0.5])}, method="classic")
    assert [row.index for row in report.worst()] == [(1,)]
    assert not report.worst().complete
    assert float(report.difference) < 1e-7


def test_a_random_cost_is_frozen_for_the_loop() -> None:
    rng = np.random.default_rng(1)

    def noisy(w: Array) -> float:
        return float(np.sum(w**2 * rng.random(w.shape)))

    report = gp.check(noisy, np.ones(4), lambda w: 2.0 * w * rng.random(w.shape), method="classic")
    assert float(report.difference) < 1e-6
