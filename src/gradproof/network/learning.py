"""How the errors fall with more examples, and training one step at a time.

The decision behind it: a learning curve over the number of examples answers whether more data would help, so all its
points share one dev set and each trains on the first part of one training set, which makes them comparable.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np

from gradproof.network.optimisers import OPTIMIZERS, State, random_mini_batches
from gradproof.network.propagation import backward_propagation, forward_propagation
from gradproof.network.refusals import demand_choice, demand_examples, refusal
from gradproof.network.training import accuracy, split_examples, train
from gradproof.network.types import Array, Hidden, OptimizerName, Output, Parameters


@dataclass(frozen=True)
class LearningPoint:
    """One point of a learning curve.

    Attributes:
        examples: Number of training examples.
        train_error: Share of these misclassified after training on them.
        dev_error: Share of the dev examples misclassified.
    """

    examples: int
    train_error: float
    dev_error: float


def learning_curve(
    X: Array,
    Y: Array,
    layer_dims: Sequence[int],
    sizes: Sequence[int],
    *,
    seed: int,
    dev: float = 0.2,
    hidden: Hidden = "relu",
    output: Output = "softmax",
    **settings: Any,
) -> tuple[LearningPoint, ...]:
    """Trains on growing numbers of examples and measures the errors.

    Both errors close together and high speak of bias, far apart of variance; more data helps where the dev error still
    falls.

    Args:
        X: Examples, (n_0, m).
        Y: Labels, (n_L, m).
        layer_dims: n_0, n_1, ..., n_L.
        sizes: Numbers of training examples, increasing.
        seed: Fixes everything random.
        dev: Share of examples held back, the same ones for all sizes.
        hidden: "relu", "tanh" or "sigmoid".
        output: "softmax" or "sigmoid".
        **settings: As ``train`` takes them: epochs, lambd, keep_prob, ....

    Returns:
        One point a size.

    Raises:
        ValueError: As ``train``, or the sizes do not increase within the training examples.
    """
    splitting, drawing = (int(s.integers(2**31)) for s in np.random.default_rng(seed).spawn(2))
    sets = split_examples(X, Y, seed=splitting, dev=dev, test=0.0)
    most = sets["train"][0].shape[1]
    rising = all(a < b for a, b in pairwise(sizes))
    if not sizes or not rising or sizes[0] < 1 or sizes[-1] > most:
        demanded = f"increasing numbers from 1 to the {most} training examples"
        raise refusal(
            "drawing a learning curve", "sizes", demanded, repr(sizes), f"Pass for example ({most // 2}, {most})."
        )
    if not sets["dev"][0].shape[1]:
        raise refusal("drawing a learning curve", "dev", "a share that leaves dev examples", repr(dev), "0.2 is usual.")
    points = []
    for size in sizes:
        some = (sets["train"][0][:, :size], sets["train"][1][:, :size])
        run = train(*some, layer_dims, seed=drawing, dev=0.0, hidden=hidden, output=output, **settings)
        unseen = accuracy(run.parameters, *sets["dev"], hidden=hidden, output=output)
        points.append(LearningPoint(size, run.train_error, 1.0 - unseen))
    return tuple(points)


def training_step(
    X: Array,
    Y: Array,
    *,
    seed: int,
    mini_batch_size: int = 64,
    learning_rate: float = 1e-3,
    optimizer: OptimizerName = "adam",
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    hidden: Hidden = "relu",
    output: Output = "softmax",
) -> Callable[[Parameters, int], Parameters]:
    """Returns a function that takes one step of training, for loops of one's own.

    Args:
        X: Training examples, (n_0, m).
        Y: Their labels, (n_L, m).
        seed: Fixes the batches and the dropout masks.
        mini_batch_size: Examples in each mini-batch.
        learning_rate: Length of a step.
        optimizer: "gd", "momentum" or "adam".
        lambd: Weight of the L2 term.
        keep_prob: Probability of keeping a hidden node.
        hidden: "relu", "tanh" or "sigmoid".
        output: "softmax" or "sigmoid".

    Returns:
        ``step(parameters, i) -> parameters``: takes the next mini-batch, whatever i, and changes nothing in place. It
        remembers what its optimiser remembers, so it belongs to one run.

    Raises:
        ValueError: Sizes or names that do not fit.
    """
    demand_choice("training", "optimizer", optimizer, OPTIMIZERS)
    demand_examples("training", X, Y)
    batching, dropping = np.random.default_rng(seed).spawn(2)
    # The first batches are cut here, so that sizes that do not fit are refused before any step.
    batches = chain(
        random_mini_batches(X, Y, mini_batch_size, seed=batching), _endless(X, Y, mini_batch_size, batching)
    )
    way = OPTIMIZERS[optimizer]
    state: State | None = None
    taken = 0

    def step(parameters: Parameters, i: int) -> Parameters:
        nonlocal state, taken
        batch_X, batch_Y = next(batches)
        AL, caches = forward_propagation(
            batch_X, parameters, hidden=hidden, output=output, keep_prob=keep_prob, rng=dropping
        )
        grads = backward_propagation(AL, batch_Y, caches, lambd)
        taken += 1
        moved, state = way.step(
            parameters, grads, way.start(parameters) if state is None else state, taken, learning_rate
        )
        return moved

    return step


def _endless(X: Array, Y: Array, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    while True:
        yield from random_mini_batches(X, Y, size, seed=rng)
