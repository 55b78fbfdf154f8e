"""``sign``: the negative, of whole gradients and of their data parts."""

from typing import Any

import numpy as np
import pytest
from told import PLACES, causes, check, fitted, net, silent, told

import gradproof as gp
from planted.base import leaves


@pytest.mark.parametrize(("name", "tensor"), PLACES)
def test_the_negative(name: str, tensor: str) -> None:
    finding = told(net(name), "sign", {tensor: np.negative}, detail="the negative")
    fitted(finding, -1.0)
    assert finding.message == f"The gradient of {tensor} is the negative of what it should be."
    assert finding.fix == f"Multiply the gradient of {tensor} by -1."
    assert finding.where.text == f"all of {tensor}"
    assert finding.also == ()


@pytest.mark.parametrize("name", ["course", "softmax"])
def test_the_whole_gradient(name: str) -> None:
    model = net(name)
    finding = told(model, "sign", dict.fromkeys(leaves(model.params), np.negative), data=True)
    assert finding.message.startswith("The gradients of ")


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_a_negative_error_leaves_the_weight_decay(layer: int) -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        return model.grads(params, *data, fault={("delta", layer): lambda delta, run: -delta}, **options)

    biases, weights = check(model, grads=grads).findings
    assert (biases.cause, biases.detail) == ("sign", "the negative")
    assert (weights.cause, weights.detail) == ("sign", "the negative, in the data part")
    assert biases.tensors == tuple(f"b{k + 1}" for k in range(layer))
    assert weights.tensors == tuple(f"W{k + 1}" for k in range(layer))
    assert weights.also == ("regulariser",)
    fitted(weights, -1.0)
    assert weights.repaired is not None
    assert weights.repaired < 1e-6


def test_of_a_part_with_its_place() -> None:
    model = net("course")

    def last_row(g: Any) -> Any:
        return np.concatenate([g[:-1], -g[-1:]])

    finding = told(model, "sign", {"W3": last_row})
    assert finding.where.text == "row 5 of W3"
    assert finding.where.exact
    assert finding.also == ("region",)
    assert "row 5 of W3" in finding.fix
    fitted(finding, -1.0)


@pytest.mark.parametrize(
    "change",
    [
        np.abs,
        lambda g: -np.abs(g),
        lambda g: -(1 + 1e-4) * g + 1e-3 * np.sign(g),
        lambda g: np.where(np.random.default_rng(0).random(g.shape) < 0.5, -g, g),
    ],
)
def test_what_is_not_the_negative(change: Any) -> None:
    report = check(net("course"), {"W3": change})
    assert report.verdict == "wrong"
    for finding in report.findings:
        assert finding.cause not in ("sign", "factor") or not finding.where.mask("W3").all(), finding


def test_the_negative_of_nearly_minus_one_is_a_factor() -> None:
    finding = told(net("course"), "factor", {"W3": lambda g: -1.001 * g}, detail="factor -1.001")
    fitted(finding, -1.001)


def test_two_faults_at_once() -> None:
    model = net("course")
    changes: dict[str, Any] = {"b3": np.negative, "W2": lambda g: g.T.copy()}
    report = check(model, changes)
    found = {f.cause: f for f in report.findings}
    assert {cause: f.tensors for cause, f in found.items()} == {"sign": ("b3",), "transposed": ("W2",)}
    assert all(f.repaired is not None and f.repaired < 1e-6 for f in report.findings)


def complex_check(changes: Any = None) -> gp.Report:
    rng = np.random.default_rng(0)
    A, T, Z = (rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)) for _ in range(3))
    s = rng.normal(size=3) + 1j * rng.normal(size=3)

    def cost(p: Any) -> float:
        return float(np.sum(np.abs(A @ p["Z"] - T) ** 2) + np.sum(np.abs(p["s"]) ** 4))

    def grads(p: Any) -> Any:
        right = {"Z": 2 * A.conj().T @ (A @ p["Z"] - T), "s": 4 * np.abs(p["s"]) ** 2 * p["s"]}
        return {**right, **{name: change(right[name]) for name, change in (changes or {}).items()}}

    return gp.check(cost, {"Z": Z, "s": s}, grads)


@pytest.mark.parametrize(
    ("change", "cause", "detail"),
    [
        (np.negative, "sign", "the negative"),
        (lambda g: 2.0 * g, "factor", "factor 2"),
        (lambda g: g.T.copy(), "transposed", "the transpose of what it should be"),
        (lambda g: g[::-1].copy(), "permuted", "reversed along axis 0"),
        (np.zeros_like, "zero", "zero everywhere"),
    ],
)
def test_complex_parameters(change: Any, cause: str, detail: str) -> None:
    silent(complex_check())
    (finding,) = complex_check({"Z": change}).findings
    assert (finding.cause, finding.detail, finding.tensors) == (cause, detail, ("Z",))
    assert finding.where.mask("Z").shape == (4, 4)
    if cause not in ("transposed", "zero"):
        (small,) = complex_check({"s": change}).findings
        assert (small.cause, small.detail, small.tensors) == (cause, detail, ("s",))


@pytest.mark.parametrize("change", [np.conj, lambda g: 1j * g, lambda g: g.real + 0j, lambda g: -g.conj()])
def test_what_only_complex_gradients_can_have_is_no_real_factor(change: Any) -> None:
    for name in ("Z", "s"):
        report = complex_check({name: change})
        assert report.verdict == "wrong"
        assert not causes(report) & {"sign", "factor", "transposed", "permuted", "regulariser", "clipped"}


def test_right_and_next_to_right() -> None:
    for name in ("course", "softmax", "normed"):
        silent(check(net(name)))
    report = check(net("course"), {"W1": lambda g: g * (1 - 1e-9)})
    silent(report)
