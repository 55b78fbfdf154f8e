"""Mini-batches, and the three ways of the course notes to take a step.

The decision behind it: a step is a function from old parameters and old state to new ones. Nothing is written in place,
so that a run can be repeated or compared from any point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gradproof.network.refusals import count_layers, demand_examples, refusal
from gradproof.network.types import Array, Gradients, Parameters, Seed

#: What an optimiser remembers: nothing, v, or v and s.
State = tuple[Gradients, ...]


def random_mini_batches(X: Array, Y: Array, mini_batch_size: int = 64, *, seed: Seed) -> list[tuple[Array, Array]]:
    """Shuffles the examples and cuts them into batches.

    Args:
        X: Examples, (n_0, m).
        Y: Labels, (n_L, m).
        mini_batch_size: Examples in each batch; the last batch has what is left.
        seed: An integer, or a generator to draw from.

    Returns:
        Pairs of copies of columns of X and Y; each example is in one of them.

    Raises:
        ValueError: X and Y do not have the same number of columns, or ``mini_batch_size`` is below 1.
    """
    doing = "cutting mini-batches"
    demand_examples(doing, X, Y)
    if mini_batch_size < 1:
        raise refusal(doing, "mini_batch_size", "at least 1", repr(mini_batch_size), "64 is a usual choice.")
    order = np.random.default_rng(seed).permutation(X.shape[1])
    cuts = [order[at : at + mini_batch_size] for at in range(0, order.size, mini_batch_size)]
    return [(X[:, cut], Y[:, cut]) for cut in cuts]


def update_parameters(parameters: Mapping[str, Array], grads: Mapping[str, Array], learning_rate: float) -> Parameters:
    """Takes one step of gradient descent, W - learning_rate dW, and returns new parameters.

    Raises:
        ValueError: The parameters are not named W1, b1, ..., WL, bL.
    """
    count_layers("updating parameters", parameters)
    return {name: p - p.dtype.type(learning_rate) * grads[f"d{name}"] for name, p in parameters.items()}


def initialize_velocity(parameters: Mapping[str, Array]) -> Gradients:
    """Returns zeros dW1, db1, ... shaped and typed like the parameters."""
    return {f"d{name}": np.zeros_like(p) for name, p in parameters.items()}


def update_parameters_with_momentum(
    parameters: Mapping[str, Array],
    grads: Mapping[str, Array],
    v: Mapping[str, Array],
    *,
    learning_rate: float,
    beta: float = 0.9,
) -> tuple[Parameters, Gradients]:
    """Takes one step along the moving average v = beta v + (1 - beta) dW.

    This is the course notes' form of momentum (B. T. Polyak, 1964, doi:10.1016/0041-5553(64)90137-5).

    Returns:
        New parameters and new v.
    """
    moved = _average(v, grads, beta, power=1)
    return update_parameters(parameters, moved, learning_rate), moved


def initialize_adam(parameters: Mapping[str, Array]) -> tuple[Gradients, Gradients]:
    """Returns two sets of zeros, v and s, shaped and typed like the parameters."""
    return initialize_velocity(parameters), initialize_velocity(parameters)


def update_parameters_with_adam(
    parameters: Mapping[str, Array],
    grads: Mapping[str, Array],
    v: Mapping[str, Array],
    s: Mapping[str, Array],
    t: int,
    *,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Parameters, Gradients, Gradients]:
    """Takes step number t of Adam (D. P. Kingma and J. Ba, 2015, doi:10.48550/arXiv.1412.6980).

    Args:
        parameters: W1, b1, ..., WL, bL.
        grads: dW1, db1, ..., dWL, dbL.
        v: Moving average of the gradient.
        s: Moving average of its square.
        t: Number of this step, from 1.
        learning_rate: Length of a step.
        beta1: Memory of v.
        beta2: Memory of s.
        epsilon: Keeps the quotient finite where s is 0.

    Returns:
        New parameters, new v, new s.

    Raises:
        ValueError: t is below 1.
    """
    if t < 1:
        raise refusal("taking a step of Adam", "t", "at least 1", repr(t), "Count the steps from 1.")
    v_new, s_new = _average(v, grads, beta1, power=1), _average(s, grads, beta2, power=2)
    steps: Gradients = {}
    for name, mean in v_new.items():
        kind: Any = mean.dtype.type
        corrected = mean / (1 - kind(beta1) ** t)
        spread = np.sqrt(s_new[name] / (1 - kind(beta2) ** t))
        steps[name] = corrected / (spread + kind(epsilon))
    return update_parameters(parameters, steps, learning_rate), v_new, s_new


def _average(old: Mapping[str, Array], grads: Mapping[str, Array], beta: float, power: int) -> Gradients:
    averaged: Gradients = {}
    for name, before in old.items():
        kept: Any = before.dtype.type(beta)
        averaged[name] = kept * before + (1 - kept) * grads[name] ** power
    return averaged


@dataclass(frozen=True)
class Optimizer:
    """How an optimiser starts and how it steps: (parameters, grads, state, t, learning_rate) to the next two."""

    start: Callable[[Mapping[str, Array]], State]
    step: Callable[[Parameters, Gradients, State, int, float], tuple[Parameters, State]]


def _descend(parameters: Parameters, grads: Gradients, state: State, t: int, rate: float) -> tuple[Parameters, State]:
    return update_parameters(parameters, grads, rate), state


def _roll(parameters: Parameters, grads: Gradients, state: State, t: int, rate: float) -> tuple[Parameters, State]:
    moved, v = update_parameters_with_momentum(parameters, grads, *state, learning_rate=rate)
    return moved, (v,)


def _adapt(parameters: Parameters, grads: Gradients, state: State, t: int, rate: float) -> tuple[Parameters, State]:
    v_old, s_old = state
    moved, v, s = update_parameters_with_adam(parameters, grads, v_old, s_old, t, learning_rate=rate)
    return moved, (v, s)


OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType(
    {
        "gd": Optimizer(lambda parameters: (), _descend),
        "momentum": Optimizer(lambda parameters: (initialize_velocity(parameters),), _roll),
        "adam": Optimizer(initialize_adam, _adapt),
    }
)
