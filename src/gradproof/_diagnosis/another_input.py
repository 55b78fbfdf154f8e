"""``wrong-cache`` where the layer cannot be worked out again: dW is the right error times another array than the input.

With one example a right gradient of the weights is error times input. Where the biases are right and the claim of the
weights is that error times something, that something is not what the layer got; measured elements show that it
differs from it nearly everywhere, and not in a few rows or columns or by a factor.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.dense import Dense
from gradproof._diagnosis.singly import taken_apart

#: Inputs that are measured, and examples that are looked at.
MEASURED, EXAMPLES = 12, 2
#: Inputs that are measured at a second unit.
AGAIN = 3

Array = NDArray[Any]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations of weights whose biases are right."""
    if not case.lab.callable or case.lab.examples < 2:
        return []
    return [e for s in case.open if (e := _explanation(case, s.index)) is not None]


def _explanation(case: Case, weight: int) -> Explanation | None:
    layer = next(layer for layer in case.layers if weight in layer.tensors)
    if len(layer.tensors) != 2 or case.tensors[weight].complex or len(case.tensors[weight].shape) != 2:
        return None
    bias = next(i for i in layer.tensors if i != weight)
    if case.verdicts.get(bias) != "correct" or case.tensors[bias].size < 2:
        return None
    shape, n = case.tensors[weight].shape, case.tensors[bias].size
    for turned in (False, True):
        if shape[1 if turned else 0] == n and _differs(case, Dense(weight, bias, turned)):
            name = case.tensors[weight].name
            return Explanation(
                "wrong-cache", (weight,),
                f"With one example the gradient of {name} is the right error of its layer times an array that is not "
                "what the layer got in the forward pass.",
                f"Look at which cached array {name}'s gradient is computed with: it must be the input of the layer "
                "itself, after its activation and dropout.", {}, "another array for the input", 2.6,
            )  # fmt: skip
    return None


def _differs(case: Case, dense: Dense) -> bool:
    """Whether the array in place of the input is another one in every example that is looked at."""
    for e in (0, case.lab.examples - 1)[:EXAMPLES]:
        there = case.lab.visit(data=case.lab.batch([e]))
        if there is None:
            return False
        dW, db = (there.claims.get(case.tensors[i].name) for i in (dense.weight, dense.bias))
        if dW is None or db is None or not np.all(np.isfinite(dW)):
            return False
        W = dense.matrix(case.thetas[dense.weight])
        found = taken_apart(dense.matrix(dW), db.reshape(-1, 1), W)
        if found is None:
            return False
        claimed, decay = found[0].ravel(), found[1]
        unit = int(np.argmax(np.abs(db.ravel())))
        columns = range(len(claimed))[:MEASURED]
        places = np.arange(W.size).reshape(dW.shape)
        values, bars = there.measured(dense.weight, [int(dense.matrix(places)[unit, j]) for j in columns])
        error = float(db.ravel()[unit])
        given = (values - decay * W[unit, list(columns)]) / error
        bars = bars / abs(error)
        if not _same_for_another_unit(there, dense, (W, places, db.ravel(), decay), given):
            return False
        off = np.abs(given - claimed[: len(given)]) > np.maximum(10.0 * bars, 1e-5 * np.max(np.abs(given)))
        if np.count_nonzero(off) < max(2, 0.7 * len(off)) or _proportional(given, claimed[: len(given)]):
            return False
    return True


def _same_for_another_unit(there: Elsewhere, dense: Dense, known: tuple[Any, Any, Any, float], given: Array) -> bool:
    """Whether a second unit gets the same inputs, which of a square matrix tells on which axis they are."""
    W, places, db, decay = known
    units = np.argsort(-np.abs(db))
    if len(units) < 2 or db[units[1]] == 0.0:
        return False
    other, few = int(units[1]), list(range(min(AGAIN, len(given))))
    values, bars = there.measured(dense.weight, [int(dense.matrix(places)[other, j]) for j in few])
    again = (values - decay * W[other, few]) / float(db[other])
    near = np.maximum(10.0 * bars / abs(float(db[other])), 1e-5 * np.max(np.abs(given)))
    return bool(np.all(np.abs(again - given[few]) <= near))


def _proportional(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(abs(one @ other) >= (1.0 - 1e-8) * np.linalg.norm(one) * np.linalg.norm(other))
