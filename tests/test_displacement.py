"""Claimed gradient times the displacement, and the shortcut where its rounding is nothing beside the cost."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradproof._adapters.arrays import WOBBLE, ArrayProblem, Point
from gradproof._records import Direction, Part, Ray, Tensor

SIZES = (20_000, 7, 300)
STEPS = (1e-9, -1e-7, 1e-5, -1e-3, 0.1)


class Stage:
    """A cost that is one number whatever stands in the vector, and remembers what stood there."""

    def __init__(self, value: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.work = np.empty(shape, dtype)
        self.seen: list[NDArray[Any]] = []
        self._value = value

    def free(self) -> NDArray[Any]:
        return self.work

    def cost(self) -> float:
        self.seen.append(self.work.copy())
        return self._value


def problem(cost: float, value: float = 1.0) -> tuple[ArrayProblem, list[Stage]]:
    rng = np.random.default_rng(5)
    offsets = np.cumsum([0, *SIZES]).tolist()
    tensors = tuple(Tensor(f"t{i}", (n,), n, offsets[i], "float64") for i, n in enumerate(SIZES))
    theta, claim = rng.standard_normal((2, offsets[-1]))
    stages: list[Stage] = []

    def stage(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stage:
        stages.append(Stage(value, shape, dtype))
        return stages[-1]

    fixed = np.zeros(theta.size, dtype=bool)
    return ArrayProblem(Point(tensors, theta, claim, fixed, (None,) * len(tensors), cost), stage), stages


@pytest.mark.parametrize("parts", [(0, 1, 2), (1,), (0, 2)])
@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_the_claim_times_the_displacement(parts: tuple[int, ...], share: float) -> None:
    # ``share``: of the cost at which the shortcut begins; beyond it the parameters' rounding may count.
    bare, _ = problem(0.0)
    needed = float(np.linalg.norm(bare.point.claim * bare.point.theta)) / WOBBLE
    cost = share * needed
    subject, stages = problem(cost)
    direction = Direction((7,), tuple(Part(i, 0.5 + i) for i in parts))
    samples = subject.lines([Ray(direction, STEPS)])[0]
    point = subject.point
    for claimed, work in zip(samples.claimed, stages[-1].seen, strict=True):
        true = float(np.dot((work - point.theta).astype(np.longdouble), point.claim.astype(np.longdouble)))
        size = 1e-16 * float(np.abs(point.claim * (work - point.theta)).sum())
        # Of the rounding of the parameters, no more than the cost's own rounding may be left out.
        assert abs(float(claimed) - true) <= 16.0 * size + (2.0**-53 * cost if share > 1.0 else 0.0)
        still = np.ones(point.theta.size, dtype=bool)
        for i in parts:
            still[point.tensors[i].offset : point.tensors[i].offset + point.tensors[i].size] = False
        assert np.array_equal(work[still], point.theta[still])


@pytest.mark.parametrize("value", [1e6, 1e-6, np.nan])
def test_magnitudes_are_exact_where_they_count(value: float) -> None:
    subject, stages = problem(0.0, value)
    direction = Direction((3,), (Part(0, 1.0), Part(1, 2.0), Part(2, 3.0)))
    samples = subject.lines([Ray(direction, STEPS)])[0]
    for magnitude, work in zip(samples.magnitude, stages[-1].seen, strict=True):
        exact = float(np.abs(subject.point.claim * (work - subject.point.theta)).sum())
        if value == 1e6:
            assert exact <= magnitude * (1.0 + 1e-6)
            assert 0.05 * magnitude <= value
        else:
            assert magnitude == pytest.approx(exact, rel=1e-6)
