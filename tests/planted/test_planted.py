"""The planted faults are what they say: judged against differences of the cost and against the right gradient."""

import copy
from collections import Counter
from typing import Any

import numpy as np
import pytest

from . import course, everything
from .base import SAME, WRONG, Planted, differences, leaves, replaced

SLUGS = frozenset(
    """
    factor sign bias-reduction regulariser activation-derivative wrong-cache transposed permuted swapped missing-path
    zero unbroadcast overwritten accumulated aliasing early-update dropout cotangent upstream layout region
    configuration other-loss singular tie overflow precision conjugate double-backward parametrisation clipped
    truncated nondeterministic stale stabiliser not-reentrant contract unexplained
    """.split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def planted() -> list[Planted]:
    own = ("course", "softmax", "convolution")
    return [
        *(fault for fault in everything(seed=7, sizes=["small"]) if fault.model.startswith(own)),
        *course.planted(7, "tanh", "medium"),
        *course.planted(7, "relu", "large"),
    ]


def setting(fault: Planted) -> tuple[Any, ...]:
    """What the right gradient depends on."""
    numbers = (*leaves(fault.params).values(), *fault.data)
    return (fault.model, str(sorted(fault.options.items())), *(np.asarray(number).tobytes() for number in numbers))


def slopes(fault: Planted, name: str, direction: Any) -> list[float]:
    """The derivative of the cost along a direction in one tensor, at several steps: a kink spoils the larger ones."""
    theta = leaves(fault.params)[name]

    def along(step: float) -> float:
        moved = replaced(fault.params, {name: theta + step * direction})
        return fault.cost(moved, *copy.deepcopy(fault.data), **fault.options)

    found = []
    for step in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        near, far = (along(step) - along(-step)) / (2 * step), (along(2 * step) - along(-2 * step)) / (4 * step)
        found += [near, (4 * near - far) / 3]
    return found


def test_right_gradients_are_right(planted: list[Planted]) -> None:
    distinct = {setting(fault): fault for fault in planted}
    rng = np.random.default_rng(0)
    for fault in distinct.values():
        for name, gradient in leaves(fault.right_gradient()).items():
            direction = rng.normal(size=gradient.shape)
            expected = float(np.sum(direction * gradient))
            # What the rounding of the cost alone makes of differences at the largest step.
            floor = 1e-13 * abs(fault.cost(fault.params, *fault.data, **fault.options))
            off = min(abs(slope - expected) for slope in slopes(fault, name, direction))
            assert off <= 1e-6 * float(np.linalg.norm(gradient)) + floor, (fault, name)


def test_faults_differ_in_the_tensors_named_and_nowhere_else(planted: list[Planted]) -> None:
    for fault in planted:
        found = differences(fault.right_gradient(), fault.claimed())
        assert {name for name, off in found.items() if off > WRONG} == set(fault.tensors), fault
        assert all(off < SAME for name, off in found.items() if name not in fault.tensors), fault


def test_faults_are_wrong_and_controls_right(planted: list[Planted]) -> None:
    for fault in planted:
        assert bool(fault.tensors) == bool(fault.cause), fault


def test_answers_are_slugs_and_the_data_only_narrow_them(planted: list[Planted]) -> None:
    for fault in planted:
        assert fault.cause in fault.accepts_with <= fault.accepts, fault
        assert fault.accepts <= SLUGS | ({""} if not fault.cause else set()), fault
        assert fault.layer in ("first", "middle", "last", "all"), fault


def test_recipes_are_told_apart_by_their_names(planted: list[Planted]) -> None:
    counted = Counter((fault.model, fault.recipe) for fault in planted)
    assert [key for key, times in counted.items() if times > 1] == []


def test_what_a_check_changes_does_not_reach_the_next(planted: list[Planted]) -> None:
    for fault in planted:
        before = setting(fault)
        arguments = fault.arguments()
        for _ in range(2):
            arguments["grads"](arguments["params"], *arguments["data"], **arguments["options"])
        assert setting(fault) == before, fault


def test_stateful_faults_start_anew_each_time(planted: list[Planted]) -> None:
    for fault in planted:
        if fault.fresh is None:
            continue
        once, again = fault.claimed(), fault.claimed()
        assert max(differences(once, again).values()) == 0, fault


def test_other_faults_do_not_depend_on_earlier_calls(planted: list[Planted]) -> None:
    for fault in planted:
        if fault.fresh is not None:
            continue
        for one, other in zip(leaves(fault.claimed()).values(), leaves(fault.claimed()).values(), strict=True):
            np.testing.assert_array_equal(one, other)
