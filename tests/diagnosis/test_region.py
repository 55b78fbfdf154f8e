"""``region``: a part of one tensor, whose place is searched for."""

from typing import Any

import numpy as np
import pytest
from told import WEIGHT_PLACES, Change, causes, check, fitted, net, silent, told

import gradproof as gp
from planted import attention


def zeroed(*where: Any) -> Change:
    def change(g: Any) -> Any:
        g = g.copy()
        g[where] = 0.0
        return g

    return change


def entry(g: Any) -> Any:
    g = g.copy()
    g.flat[np.argmax(np.abs(g))] *= 1.5
    return g


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
def test_zero_in_a_row_or_in_columns(name: str, tensor: str) -> None:
    model = net(name)
    rows = model.right_leaf(tensor).shape[0]
    row = told(model, "region", {tensor: zeroed(rows - 1)}, detail="zero", proven=False)
    assert row.where.text == f"row {rows - 1} of {tensor}"
    assert row.where.exact
    assert row.where.mask(tensor).sum() == model.right_leaf(tensor)[0].size
    assert row.where.text in row.message
    assert row.where.text in row.fix
    columns = told(model, "region", {tensor: zeroed(slice(None), slice(2, None))}, detail="zero", proven=False)
    assert "column" in columns.where.text


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
def test_one_element(name: str, tensor: str) -> None:
    model = net(name)
    finding = told(model, "region", {tensor: entry}, detail="element", proven=False)
    index = np.unravel_index(np.argmax(np.abs(model.right_leaf(tensor))), model.right_leaf(tensor).shape)
    assert finding.where.text == f"{tensor}[{index[0]}, {index[1]}]"
    assert finding.where.mask(tensor).sum() == 1


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
def test_a_factor_on_a_row_is_a_factor_with_a_place(name: str, tensor: str) -> None:
    def first_row(g: Any) -> Any:
        return np.concatenate([3.0 * g[:1], g[1:]])

    finding = told(net(name), "factor", {tensor: first_row}, detail="factor 3")
    assert finding.where.text == f"row 0 of {tensor}"
    assert finding.also == ("region",)
    fitted(finding, 3.0, 1e-6)
    assert "in row 0 of" in finding.fix


def test_a_triangle_and_a_noisy_tile() -> None:
    triangle = told(net("course"), "region", {"W3": np.triu}, proven=False)
    assert triangle.where.text == "the lower triangle of W3 (without the diagonal)"
    noise = np.random.default_rng(0).normal(size=(3, 3))

    def tile(g: Any) -> Any:
        g = g.copy()
        g[3:, 3:] += noise
        return g

    finding = told(net("course"), "region", {"W3": tile}, proven=False)
    assert "3:" in finding.where.text
    assert finding.where.mask("W3").sum() == 9


@pytest.mark.parametrize("change", [lambda g: g + 0.1 * np.cos(np.arange(g.size)).reshape(g.shape), lambda g: g**3])
def test_wrong_all_over_is_no_region(change: Change) -> None:
    report = check(net("course"), {"W3": change})
    assert causes(report) == {"unexplained"}
    assert report.findings[0].where.mask("W3").all()


def test_what_is_wrong_wherever_it_is_not_zero_is_no_region() -> None:
    """Rows of words that no example holds are zero in any gradient."""
    used = np.arange(8)[:, None] < 5
    weigh = np.where(used, np.random.default_rng(0).normal(size=(8, 4)), 0.0)
    noise = np.where(used, np.random.default_rng(1).normal(size=(8, 4)), 0.0)
    report = gp.check(lambda p: float(np.sum(weigh * p["E"])), {"E": np.ones((8, 4))}, lambda p: {"E": weigh + noise})
    assert causes(report) == {"unexplained"}


def test_a_row_of_nearly_nothing_is_right() -> None:
    def nudged(g: Any) -> Any:
        return np.concatenate([g[:-1], g[-1:] * (1 + 1e-9)])

    silent(check(net("course"), {"W3": nudged}))
    silent(check(net("softmax")))


def test_attention_that_saturates_is_no_branch() -> None:
    """With parameters ten times as large the softmax is one-hot and hides what went wrong inside it."""
    for fault in attention.planted(0, "tanh", 1):
        if fault.recipe in ("Wq for its transpose", "nothing through the softmax"):
            report = gp.check(**fault.arguments())
            assert "branch" not in {f.detail for f in report.findings}, report
