"""``clipped``: bounded by value, or brought to a norm."""

import numpy as np
import pytest
from told import WEIGHT_PLACES, Change, causes, check, fitted, net, one, silent, told

import gradproof as gp
from planted.base import leaves


def clip(bound: float) -> Change:
    return lambda g: np.clip(g, -bound, bound)


def scaled(factor: float) -> Change:
    return lambda g: factor * g


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
def test_by_value(name: str, tensor: str) -> None:
    model = net(name)
    bound = float(np.quantile(np.abs(model.right_leaf(tensor)), 0.6))
    finding = told(model, "clipped", {tensor: clip(bound)}, detail=f"at {bound:g}", proven=False)
    assert f"clipped at {bound:g}" in finding.message
    assert finding.factor is None
    assert finding.also == ()
    single = one(check(model, {tensor: lambda g: np.clip(g, -bound, bound).astype(np.float32)}), "clipped")
    assert single.tensors == (tensor,)


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
def test_to_length_one(name: str, tensor: str) -> None:
    model = net(name)
    norm = float(np.linalg.norm(model.right_leaf(tensor)))
    finding = told(model, "clipped", {tensor: lambda g: g / norm}, detail="normalised to length 1")
    fitted(finding, 1 / norm)
    assert finding.also == ("factor",)
    assert finding.where.text == f"all of {tensor}"


def test_one_bound_for_a_whole_network() -> None:
    model = net("course")
    report = check(model, {name: clip(0.1) for name in model.params})
    wrong = {name for name, t in report.tensors.items() if t.verdict == "wrong"}
    assert set(one(report, "clipped").tensors) == wrong
    assert len(wrong) > 3


def test_to_a_norm_of_everything() -> None:
    model = net("course")
    norm = float(np.sqrt(sum(np.sum(g**2) for g in model.grads(model.params, *model.data, **model.options).values())))
    finding = told(model, "clipped", {name: lambda g: 0.25 * g / norm for name in model.params})
    assert finding.detail == "clipped to norm 0.25"
    fitted(finding, 0.25 / norm)


def repeated(claim: Change) -> gp.Report:
    """The cost's own gradient has its largest size many times, as a clipped one would."""
    weigh = np.clip(np.random.default_rng(0).normal(size=(6, 6)), -0.8, 0.8)
    return gp.check(lambda p: float(np.sum(weigh * p["W"] + 0.0 * p["W"] ** 2)), {"W": np.ones((6, 6))},
                    lambda p: {"W": claim(weigh)})  # fmt: skip


def test_repeated_maxima_that_are_right_or_wrong_otherwise() -> None:
    silent(repeated(lambda g: g))
    one(repeated(lambda g: g.T.copy()), "transposed")
    one(repeated(lambda g: 2 * g), "factor")
    assert "clipped" not in causes(repeated(lambda g: g + 1e-2 * np.sin(np.arange(36.0).reshape(6, 6)) * (g < 0.8)))


def test_bounds_and_norms_that_do_nothing() -> None:
    model = net("course")
    top = max(
        float(np.max(np.abs(g))) for g in leaves(model.grads(model.params, *model.data, **model.options)).values()
    )
    silent(check(model, {name: clip(1.001 * top) for name in model.params}))
    unit = np.ones(4) / 2.0
    silent(
        gp.check(lambda p: float(unit @ p["w"]), {"w": np.arange(4.0)}, lambda p: {"w": unit / np.linalg.norm(unit)})
    )


def test_a_norm_that_is_not_round_is_a_factor() -> None:
    size = float(np.linalg.norm(net("course").right_leaf("W3")))
    for norm in (0.3713, 0.7713):
        finding = told(net("course"), "factor", {"W3": scaled(norm / size)})
        assert "clipped" not in finding.also


def test_a_bound_below_with_the_rest_wrong() -> None:
    report = check(net("course"), {"W3": lambda g: np.clip(1.3 * g, -0.1, 0.1)})
    assert report.verdict == "wrong"
    assert "clipped" not in causes(report)


def test_right() -> None:
    for name in ("course", "softmax", "normed"):
        silent(check(net(name)))
