"""``data=`` and ``examples_axis=``: read off the shapes, or refused in four parts before the cost is called."""

from typing import Any

import numpy as np
import pytest

import gradproof as gp
from gradproof._adapters.batch import read_batch


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(3, 7), (2, 7)], 1), ([(7, 3), (7, 2)], 0), ([(7, 3), (7,)], 0), ([(7, 3, 2), (7, 4)], 0),
        ([(7, 1), (7, 1)], 0), ([(7,)], 0),
    ],
)  # fmt: skip
def test_the_axis_that_all_arrays_share(shapes: Any, axis: int) -> None:
    batch = read_batch(tuple(np.zeros(s) for s in shapes), None)
    assert batch is not None
    assert (batch.axis % len(shapes[0]), batch.examples) == (axis, 7)


def test_from_the_back_where_the_front_differs() -> None:
    batch = read_batch((np.zeros((3, 4, 7)), np.zeros((2, 7))), None)
    assert batch is not None
    assert batch.axis == -1
    assert [a.shape for a in batch.take([2, 2])] == [(3, 4, 2), (2, 2)]


def test_one_array_that_is_no_tuple_and_none() -> None:
    assert read_batch(None, None) is None
    batch = read_batch(np.arange(12.0).reshape(3, 4), 1)
    assert batch is not None
    assert batch.take([3])[0].tolist() == [[3.0], [7.0], [11.0]]


@pytest.mark.parametrize(
    ("data", "axis", "where", "rest"),
    [
        (None, 0, "`examples_axis`", "given together with `data`"),
        ((np.zeros((4, 4)), np.zeros((4, 4))), None, "`examples_axis`", "it cannot be told from the shapes"),
        ((np.zeros((3, 5)), np.zeros((4, 6))), None, "`data`", "of the shapes (3, 5), (4, 6). Pass what is no batch"),
        ((np.zeros((3, 5)), np.zeros((4, 5))), 0, "`examples_axis`", "one of equal length in all arrays"),
        ((np.zeros((3, 5)), np.zeros((4, 5))), 2, "`examples_axis`", "an axis of every array, not 2"),
        ((np.zeros((3, 5)), 0.7), None, "data[1]", "a float without axes"),
        ((np.zeros(3), object()), None, "data[1]", "an array with an axis of examples"),
    ],
)
def test_refused_before_any_evaluation(data: Any, axis: Any, where: str, rest: str) -> None:
    calls: list[int] = []

    def cost(w: Any, *data: Any) -> float:
        calls.append(1)
        return float(w @ w)

    with pytest.raises(gp.InputError) as refused:
        gp.check(cost, np.ones(3), lambda w, *data: 2 * w, data=data, examples_axis=axis)
    said = str(refused.value)
    assert where in said
    assert rest in said
    assert calls == []
    assert "setting up the check" in said
    assert said.rstrip().endswith(".")


@pytest.mark.parametrize("wrong", [{"options": [("lambd", 1)]}, {"options": {1: 2}}, {"options": 3}])
def test_options_that_are_no_keywords(wrong: Any) -> None:
    calls: list[int] = []

    def cost(w: Any) -> float:
        calls.append(1)
        return float(w @ w)

    with pytest.raises(gp.InputError, match="a mapping of keyword arguments") as refused:
        gp.check(cost, np.ones(3), lambda w: 2 * w, **wrong)
    assert 'options={"lambd": 0.7}' in str(refused.value)
    assert calls == []
