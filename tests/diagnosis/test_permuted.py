"""``permuted``: the right numbers at the wrong places."""

from typing import Any

import numpy as np
import pytest
from told import PLACES, WEIGHT_PLACES, Change, causes, check, net, silent, told

import gradproof as gp

MOVES: dict[str, tuple[Change, str]] = {
    "reversed": (lambda g: np.flip(g, 0).copy(), "reversed along axis 0"),
    "rolled": (lambda g: np.roll(g, 2, axis=0), "shifted along axis 0"),
}
WIDE: dict[str, tuple[Change, str]] = {
    "reversed columns": (lambda g: np.flip(g, 1).copy(), "reversed along axis 1"),
    "reversed twice": (lambda g: np.flip(g).copy(), "reversed along axes 0 and 1"),
    "rolled twice": (lambda g: np.roll(g, (1, 1), axis=(0, 1)), "shifted along axes 0 and 1"),
}


@pytest.mark.parametrize(("name", "tensor"), PLACES)
@pytest.mark.parametrize("words", MOVES)
def test_along_the_first_axis(name: str, tensor: str, words: str) -> None:
    change, detail = MOVES[words]
    finding = told(net(name), "permuted", {tensor: change}, detail=detail)
    assert detail in finding.message
    assert finding.where.text == f"all of {tensor}"
    assert finding.factor is None
    assert finding.also == ()


@pytest.mark.parametrize(("name", "tensor"), WEIGHT_PLACES)
@pytest.mark.parametrize("words", WIDE)
def test_along_both_axes(name: str, tensor: str, words: str) -> None:
    change, detail = WIDE[words]
    told(net(name), "permuted", {tensor: change}, detail=detail)


def test_rows_and_columns_in_another_order() -> None:
    order = [1, 0, 2, 5, 4, 3]
    finding = told(net("course"), "permuted", {"W3": lambda g: g[order]})
    assert finding.detail == "rows in the order 1, 0, 2, 5, 4, 3"
    shuffled = told(net("course"), "permuted", {"W3": lambda g: g[:, [2, 0, 1, 3, 4, 5]]})
    assert shuffled.detail == "columns in the order 1, 2, 0, 3, 4, 5"
    single = check(net("course"), {"W3": lambda g: g[order].astype(np.float32)})
    assert [f.detail for f in single.findings] == ["rows in the order 1, 0, 2, 5, 4, 3"]


def test_the_other_memory_order() -> None:
    finding = told(net("course"), "permuted", {"W4": lambda g: g.ravel(order="F").reshape(g.shape)})
    assert finding.detail.startswith("filled in ")


def test_the_data_part_alone() -> None:
    model = net("course")

    def grads(params: Any, *data: Any, **options: Any) -> Any:
        return model.grads(params, *data, fault={("dW", 3): lambda g, run: np.roll(g, 1, axis=0)}, **options)

    (finding,) = check(model, grads=grads).findings
    assert (finding.cause, finding.tensors, finding.detail) == ("permuted", ("W3",), "shifted along axis 0")
    assert finding.repaired is not None
    assert finding.repaired < 1e-6


@pytest.mark.parametrize(
    "change",
    [
        lambda g: 2 * np.flip(g, 0),
        lambda g: np.flip(g, 0) + 1e-3,
        lambda g: np.random.default_rng(0).permutation(g.ravel()).reshape(g.shape),
        lambda g: np.concatenate([g[:1], g[:-1]]),
    ],
)
def test_what_is_no_order(change: Change) -> None:
    report = check(net("course"), {"W3": change})
    assert report.verdict == "wrong"
    assert "permuted" not in causes(report)


def plain(g: Any, claim: Any) -> gp.Report:
    return gp.check(lambda p: float(np.sum(g * np.sin(p["v"]))), {"v": np.full(g.shape, 0.4)}, lambda p: {
        "v": claim * np.cos(p["v"])})  # fmt: skip


def test_gradients_that_are_the_same_in_another_order() -> None:
    rng = np.random.default_rng(0)
    row = rng.normal(size=5)
    even = np.concatenate([row, row[::-1]])
    for order in (np.arange(10)[::-1], [1, 0, 2, 3, 4, 5, 6, 7, 9, 8]):
        report = plain(even, even[order])
        assert bool(report) == np.array_equal(even, even[order])
        assert causes(report) <= {"permuted", "region"}
    rows = rng.normal(size=(5, 4))
    rows[1] = rows[0]
    lost = rows.copy()
    lost[1] = rng.normal(size=4)
    assert "permuted" not in causes(plain(rows, lost)), "one row twice is no order"
    same = np.full((4, 3), 0.7)
    silent(plain(same, np.roll(same, 1, axis=0)))


def test_two_elements_prove_nothing() -> None:
    pair = np.array([0.3, 1.7])
    report = plain(pair, pair[::-1])
    assert causes(report) == {"unexplained"}


def test_right() -> None:
    for name in ("course", "softmax", "normed"):
        silent(check(net(name)))
