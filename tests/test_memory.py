"""What a check costs in memory: a few vectors of the parameters' size at a time, and none for each evaluation."""

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradproof as gp
from gradproof._adapters.arrays import ArrayProblem, Point, keep_memory
from gradproof._numerics.gaussian import BLOCK
from gradproof._records import Direction, Part, Ray, Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from problems import classifier

#: Layer sizes of the network of 100,000 parameters that the benchmarks time.
LARGE = (200, 300, 120, 30, 3)


class Stage:
    """A cost of one number that notes when it was given another vector than before."""

    def __init__(self, made: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        made.append(1)
        self.work: NDArray[Any] = np.empty(shape, dtype)

    def free(self) -> NDArray[Any]:
        return self.work

    def cost(self) -> float:
        return 1.0


def problem(sizes: tuple[int, ...]) -> tuple[ArrayProblem, list[int]]:
    rng = np.random.default_rng(3)
    offsets = np.cumsum([0, *sizes]).tolist()
    tensors = tuple(Tensor(f"t{i}", (n,), n, offsets[i], "float64") for i, n in enumerate(sizes))
    theta, claim = rng.standard_normal((2, offsets[-1]))
    made: list[int] = []
    point = Point(tensors, theta, claim, np.zeros(theta.size, dtype=bool), (None,) * len(sizes), 1e9)
    return ArrayProblem(point, lambda shape, dtype: Stage(made, shape, dtype)), made


def peak_of_a_check(state: str) -> float:
    """The most memory that a check holds at a time, in vectors of the parameters' size."""
    network = classifier(LARGE, "tanh", state, 0, {"examples": 8, "steps": 20})
    gp.check(network.cost, network.params, network.grads)  # what is loaded and remembered once does not count
    tracemalloc.start()
    try:
        assert gp.check(network.cost, network.params, network.grads)
        return tracemalloc.get_traced_memory()[1] / (8.0 * network.size)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("state", ["random biases", "trained"])
def test_a_check_holds_a_bounded_number_of_vectors(state: str) -> None:
    # The point, the claim twice, the working vector, what is drawn, and each direction with its weights; measured: 18.
    assert peak_of_a_check(state) < 30.0


def test_evaluations_along_a_direction_take_no_memory_of_their_own() -> None:
    subject, made = problem((3 * BLOCK, 100, BLOCK))
    direction = Direction((4,), (Part(0, 1.0), Part(1, 2.0), Part(2, 3.0)))
    subject.lines([Ray(direction, (1e-5,))])
    tracemalloc.start()
    try:
        subject.lines([Ray(direction, tuple(1e-9 * k for k in range(1, 200)))])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * subject.point.theta.nbytes
    assert len(made) == 1


@pytest.mark.parametrize("parts", [(1, 3), (0, 2, 3), (3,)])
def test_the_pieces_of_a_block_share_one_draw(parts: tuple[int, ...]) -> None:
    subject, _ = problem((50, 60, 70, 80))
    subject.lines([Ray(Direction((9,), tuple(Part(i, 1.0) for i in parts)), (1e-5,))])
    assert len(subject._drawn) == 1


def test_a_direction_on_some_tensors_is_the_same_as_on_all() -> None:
    sizes = (BLOCK - 10, 30, 7, BLOCK + 5, 9)
    subject, _ = problem(sizes)
    whole = subject.displaced(Direction((5,), tuple(Part(i, 1.0 + i) for i in range(5))), 1.0)
    for some in ((1, 3), (4,), (0, 2), (2, 3)):
        other, _ = problem(sizes)
        found = other.displaced(Direction((5,), tuple(Part(i, 1.0 + i) for i in some)), 1.0)
        for i, tensor in enumerate(subject.tensors):
            part = slice(tensor.offset, tensor.offset + tensor.size)
            assert np.array_equal(found[part], whole[part] if i in some else subject.point.theta[part])


def test_a_hint_for_the_allocator_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        keep_memory(10**15)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000
    assert peak < 2**25
