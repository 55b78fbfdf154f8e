"""The planted sequence networks: right where they say so, wrong where they say so, and nowhere else."""

import copy
import importlib
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .base import WRONG, Planted
from .sequence_parts import (
    Gradients,
    Network,
    act,
    complex_step,
    distance,
    distances,
    moved,
    slope,
    through_bfloat16,
    trained,
)

NETWORKS = ("recurrent", "normed", "attention", "embedding")
ACTIVATIONS = ("tanh", "relu", "sigmoid")
PLACES = [(name, activation, size) for name in NETWORKS for activation in ACTIVATIONS for size in range(3)]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "recurrent": [{"temperature": 2.5}, {"lambd": 0.0}],
    "normed": [{"eps": 0.3}, {"lambd": 0.0}],
    "attention": [{"scale": 0.9}, {"lambd": 0.0}],
    "embedding": [{"keep_prob": 0.6}, {"class_weight": 3.0}],
}
#: What each network is there to show; the common recipes come on top.
SHOWN = {
    "recurrent": "truncated missing-path overwritten unbroadcast wrong-cache stabiliser configuration cotangent",
    "normed": "missing-path parametrisation swapped configuration upstream aliasing overwritten",
    "attention": "missing-path overwritten wrong-cache transposed region configuration overflow clipped",
    "embedding": "overwritten dropout missing-path accumulated stabiliser configuration region",
}
COMMON = (
    "factor sign zero transposed permuted region regulariser clipped precision contract accumulated stale "
    "not-reentrant nondeterministic aliasing bias-reduction activation-derivative early-update other-loss "
    "unbroadcast wrong-cache "
)


SLUGS = frozenset(
    """
    factor sign bias-reduction regulariser activation-derivative wrong-cache transposed permuted swapped missing-path
    zero unbroadcast overwritten accumulated aliasing early-update dropout cotangent upstream layout region
    configuration other-loss singular tie overflow precision conjugate double-backward parametrisation clipped
    truncated nondeterministic stale stabiliser not-reentrant contract unexplained
    """.split()  # noqa: SIM905
)


def module(name: str) -> ModuleType:
    return importlib.import_module(f".{name}", __package__)


def points(name: str, activation: str, size: int) -> Iterator[Network]:
    start: Network = module(name).network(0, activation, size)
    yield start
    yield trained(start, 20, 0.3)


def central(planted: Planted, step: float = 1e-5) -> Gradients:
    cost, params, _ = planted.closed()
    grads = {name: np.empty(p.shape) for name, p in params.items()}
    for name, p in params.items():
        for index in np.ndindex(p.shape):
            sides = []
            for side in (step, -step):
                changed = copy.deepcopy(params)
                changed[name][index] = p[index] + side
                sides.append(cost(changed))
            grads[name][index] = (sides[0] - sides[1]) / (2 * step)
    return grads


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "leaky"])
def test_the_slopes_of_the_activations(name: str) -> None:
    z = np.linspace(-2, 2, 8)
    assert slope(name, z) == pytest.approx(act(name, z + 1e-30j).imag / 1e-30)


@pytest.mark.parametrize(("name", "activation", "size"), PLACES)
def test_the_right_gradient_agrees_with_complex_steps(name: str, activation: str, size: int) -> None:
    for point in points(name, activation, size):
        for change in ({}, *OPTIONS[name]):
            options = {**point.options, **change}
            right = point.right(point.params, *point.data, **options)
            slopes = complex_step(point.cost, point.params, *point.data, **options)
            assert list(right) == list(point.params)
            assert max(distances(slopes, right).values()) < 1e-9, (point.name, change)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_right_gradients_agree_with_central_differences(name: str) -> None:
    """Of every cost that is used, the odd ones too."""
    for activation in ("tanh", "sigmoid"):
        seen: list[Any] = []
        for planted in module(name).planted(0, activation, 0):
            if planted.cause != "" and planted.right not in seen and planted.recipe != "targets written over":
                seen.append(planted.right)
                worst = max(distances(planted.right_gradient(), central(planted)).values())
                # At scores of two thousand the differences have lost three digits.
                assert worst < (1e-3 if planted.cause == "overflow" else 1e-6), planted
            if len(seen) > 12:
                break


@pytest.mark.parametrize("name", NETWORKS)
def test_training_lowers_the_cost(name: str) -> None:
    for activation in ACTIVATIONS:
        start, later = points(name, activation, 1)
        costs = [float(n.cost(n.params, *n.data, **n.options)) for n in (start, later)]
        assert costs[1] < 0.95 * costs[0]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "activation", "size"), PLACES)
def test_faults_are_wrong_where_they_say_and_nowhere_else(name: str, activation: str, size: int, seed: int) -> None:
    for planted in module(name).planted(seed, activation, size):
        away = seen_from_outside(planted)
        wrong = tuple(tensor for tensor, d in away.items() if d > WRONG)
        assert wrong == planted.tensors, (planted, away)
        assert (planted.cause == "") == (wrong == ()), (planted, away)
        assert all(d < 2e-9 for tensor, d in away.items() if tensor not in wrong), (planted, away)


def seen_from_outside(planted: Planted) -> dict[str, float]:
    """How far off each tensor is for someone who calls the planted gradient; who calls again where it has a memory."""
    assert planted.right is not None
    arguments = planted.arguments()
    grads, params, data, options = (arguments[key] for key in ("grads", "params", "data", "options"))
    places = [params] if planted.fresh is None else [params, params, moved(planted.params)]
    truths = [planted.right(copy.deepcopy(p), *planted.data, **options) for p in places]
    answers = [grads(p, *data, **options) for p in places]
    worst = dict.fromkeys(planted.params, 0.0)
    for truth, answer in zip(truths, answers, strict=True):
        for tensor, d in distances(truth, answer).items():
            worst[tensor] = max(worst[tensor], d)
    return worst


@pytest.mark.parametrize("name", NETWORKS)
def test_the_answers_that_count_as_right(name: str) -> None:
    causes = Counter[str]()
    for planted in module(name).planted(0, "tanh", 1):
        causes[planted.cause] += 1
        assert planted.layer in ("first", "middle", "last", "all")
        assert planted.accepts_with <= planted.accepts
        assert planted.cause in planted.accepts_with
        assert planted.accepts <= SLUGS | ({""} if planted.cause == "" else set())
    assert {*COMMON.split(), *SHOWN[name].split()} <= set(causes)
    assert causes[""] > 20


@pytest.mark.parametrize("name", NETWORKS)
def test_recipes_have_names_of_their_own_and_come_out_the_same_again(name: str) -> None:
    first, second = (list(module(name).planted(1, "relu", 0)) for _ in range(2))
    counts = Counter((p.model, p.recipe) for p in first)
    assert max(counts.values()) == 1, counts.most_common(3)
    for one, other in zip(first, second, strict=True):
        assert one.recipe == other.recipe
        assert one.tensors == other.tensors
        np.testing.assert_equal(one.claimed(), other.claimed())


@pytest.mark.parametrize("name", NETWORKS)
def test_few_faults_are_left_out(name: str) -> None:
    places = [(seed, activation) for seed in range(2) for activation in (*ACTIVATIONS, "leaky")]
    counts = [sum(1 for _ in module(name).planted(*place, 0)) for place in places]
    assert min(counts) > 0.97 * max(counts)


@pytest.mark.parametrize("name", NETWORKS)
def test_checking_one_leaves_the_others_alone(name: str) -> None:
    every = list(module(name).planted(0, "tanh", 0))
    before = [(copy.deepcopy(p.params), copy.deepcopy(p.data)) for p in every]
    for planted in every:
        planted.claimed()
        planted.claimed()
    for planted, (params, data) in zip(every, before, strict=True):
        np.testing.assert_equal(planted.params, params)
        np.testing.assert_equal(planted.data, data)
    arrays = [id(p) for planted in every for p in planted.params.values()]
    assert len(arrays) == len(set(arrays))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_faults_with_different_causes_are_the_same(name: str) -> None:
    """The same gradient under two names would make one of the two answers wrong."""
    plain = [p for p in module(name).planted(0, "tanh", 0) if p.cause and p.fresh is None]
    for i, one in enumerate(plain):
        for other in plain[:i]:
            if one.cost is other.cost and one.options == other.options and one.tensors == other.tensors:
                same = identical(one.claimed(), other.claimed())
                assert not same or one.cause in other.accepts_with, (one, other)


def identical(one: Gradients, other: Gradients) -> bool:
    """None and NaN are like nothing."""
    return set(one) == set(other) and all(g is not None and distance(g, other[name]) < 1e-9 for name, g in one.items())


def test_bfloat16_keeps_eight_bits() -> None:
    assert through_bfloat16(np.array([1.0, 1.0 + 2**-7, 1.0 + 2**-9])).tolist() == [1.0, 1.0 + 2**-7, 1.0]
