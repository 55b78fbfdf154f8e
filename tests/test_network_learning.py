"""Early stopping, learning curves, steps one at a time, and what the errors are read as."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradproof import network

X, Y = network.load_digits()
FEW = X[:, :300], Y[:, :300]
DIMS = (64, 16, 10)


def cost_of(run: network.Training, examples: Any) -> float:
    return float(network.cost(run.parameters, *examples))


def held_out(seed: int, examples: Any) -> Any:
    """The dev examples that ``train`` holds back with this seed."""
    return network.split_examples(*examples, seed=np.random.default_rng(seed).spawn(4)[0], dev=0.2, test=0.0)["dev"]


def test_early_stopping_returns_the_epoch_with_the_lowest_dev_cost() -> None:
    patient = {"seed": 2, "epochs": 60, "learning_rate": 0.02, "mini_batch_size": 16}
    stopped = network.train(*FEW, DIMS, patience=3, **patient)  # type: ignore[arg-type]
    assert stopped.stopped_early
    assert len(stopped.costs) == stopped.best_epoch + 3 < 60
    dev = held_out(2, FEW)
    costs = []
    for epoch in range(1, len(stopped.costs) + 1):
        run = network.train(*FEW, DIMS, **{**patient, "epochs": epoch})  # type: ignore[arg-type]
        assert not run.stopped_early
        costs.append(cost_of(run, dev))
    assert int(np.argmin(costs)) + 1 == stopped.best_epoch
    assert cost_of(stopped, dev) == min(costs)
    assert stopped.dev_error == stopped.dev_errors[stopped.best_epoch - 1]
    assert stopped.train_error == stopped.train_errors[stopped.best_epoch - 1]


def test_curves_have_a_point_an_epoch_and_end_where_training_ends() -> None:
    run = network.train(*FEW, DIMS, seed=1, epochs=4, dev=0.2)
    assert len(run.costs) == len(run.train_errors) == len(run.dev_errors) == 4
    assert (run.train_errors[-1], run.dev_errors[-1]) == (run.train_error, run.dev_error)
    alone = network.train(*FEW, DIMS, seed=1, epochs=4, dev=0.0)
    assert (len(alone.train_errors), alone.dev_errors) == (4, ())
    assert math.isnan(alone.dev_error)


def test_no_epoch_gives_the_initial_parameters() -> None:
    run = network.train(*FEW, DIMS, seed=1, epochs=0, patience=2)
    assert (run.best_epoch, run.costs, run.train_errors) == (0, (), ())


def test_bias_is_counted_from_the_stated_human_level() -> None:
    run = network.train(*FEW, DIMS, seed=1, epochs=1, target_error=0.1)
    assert run.bias == run.train_error - 0.1
    assert "minus the target of 10.0 %" in str(run)
    given = {"parameters": {}, "costs": (), "train_error": 0.08, "dev_error": 0.1, "test_error": math.nan}
    # The same errors are bias against people who make none, and variance against people who make 7.5 % of them.
    assert network.Training(**given, target_error=0.0).dominates == "bias"  # type: ignore[arg-type]
    assert network.Training(**given, target_error=0.075).dominates == "variance"  # type: ignore[arg-type]


def test_a_learning_curve_shares_its_dev_examples_and_is_reproducible() -> None:
    curve = network.learning_curve(*FEW, DIMS, (30, 120, 240), seed=3, epochs=30, learning_rate=0.01)
    assert [point.examples for point in curve] == [30, 120, 240]
    assert curve[-1].dev_error < curve[0].dev_error
    assert curve[0].train_error <= 0.05
    assert curve == network.learning_curve(*FEW, DIMS, (30, 120, 240), seed=3, epochs=30, learning_rate=0.01)
    assert curve[1:2] == network.learning_curve(*FEW, DIMS, (120,), seed=3, epochs=30, learning_rate=0.01)
    assert curve != network.learning_curve(*FEW, DIMS, (30, 120, 240), seed=4, epochs=30, learning_rate=0.01)


def test_steps_take_every_example_once_an_epoch_and_leave_their_argument() -> None:
    start = network.initialize_parameters(DIMS, seed=0)
    kept = {name: array.copy() for name, array in start.items()}
    step = network.training_step(*FEW, seed=5, mini_batch_size=300, optimizer="gd", learning_rate=0.1, lambd=0.7)
    moved = step(start, 0)
    by_hand = network.update_parameters(start, network.gradients(start, *FEW, lambd=0.7), 0.1)
    assert all(np.allclose(moved[name], by_hand[name], rtol=0, atol=1e-14) for name in start)
    assert all(np.array_equal(start[name], kept[name]) for name in start)


@pytest.mark.parametrize("keep_prob", [1.0, 0.8])
def test_steps_are_reproducible_and_descend(keep_prob: float) -> None:
    runs = []
    for _ in range(2):
        parameters = network.initialize_parameters(DIMS, seed=0)
        step = network.training_step(*FEW, seed=5, keep_prob=keep_prob, learning_rate=0.01)
        for i in range(100):
            parameters = step(parameters, i)
        runs.append(parameters)
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert network.cost(runs[0], *FEW) < 0.6 * network.cost(network.initialize_parameters(DIMS, seed=0), *FEW)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: network.train(*FEW, DIMS, seed=0, patience=0), "patience should be at least 1"),
        (lambda: network.train(*FEW, DIMS, seed=0, patience=2, dev=0.0), "given together with dev examples"),
        (lambda: network.train(*FEW, DIMS, seed=0, target_error=1.5), "target_error should be a share"),
        (lambda: network.learning_curve(*FEW, DIMS, (), seed=0), "sizes should be increasing"),
        (lambda: network.learning_curve(*FEW, DIMS, (20, 10), seed=0), "sizes should be increasing"),
        (lambda: network.learning_curve(*FEW, DIMS, (20, 241), seed=0), "240 training examples"),
        (lambda: network.learning_curve(*FEW, DIMS, (20,), seed=0, dev=0.0), "dev should be"),
        (lambda: network.training_step(*FEW, seed=0, mini_batch_size=0), "mini_batch_size should be at least 1"),
        (lambda: network.training_step(FEW[0], FEW[1][:, 1:], seed=0), "Y should be"),
        (lambda: network.training_step(*FEW, seed=0, optimizer="best"), "optimizer should be one of"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_is_refused_before_any_step(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert str(caught.value).startswith("While ")
