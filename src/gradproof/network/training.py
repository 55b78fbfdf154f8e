"""Training, splitting, and what the errors say about bias and variance.

The decision behind it: everything random (the split, the initial weights, the batches, the dropout masks) comes from
one seed through separate streams, so that a run is reproducible bit for bit and switching dropout on changes neither
the split nor the initial weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradproof.network.objective import compute_cost
from gradproof.network.optimisers import OPTIMIZERS, random_mini_batches
from gradproof.network.propagation import backward_propagation, forward_propagation, initialize_parameters
from gradproof.network.refusals import demand_choice, demand_examples, demand_shape, refusal
from gradproof.network.types import Array, Hidden, OptimizerName, Output, Parameters, Seed

#: A difference of error rates below this is not worth acting on.
SMALL = 0.02
#: What the course notes advise.
ADVICE = {
    "bias": "Bias dominates: a larger network, longer training or another optimiser helps; more data does not.",
    "variance": "Variance dominates: more data, L2 (lambd) or dropout (keep_prob) helps.",
    "neither": "Neither bias nor variance stands out.",
    "unknown": "Without dev examples, bias and variance cannot be told apart.",
}


@dataclass(frozen=True)
class Training:
    """What a training run gave.

    Attributes:
        parameters: The trained parameters.
        costs: Mean cost of each epoch's mini-batches, as they were met.
        train_errors: Share of training examples misclassified after each epoch.
        dev_errors: The same of the dev examples; empty when there are none.
        best_epoch: The epoch, from 1, whose parameters these are: the one with the lowest cost on the dev examples
            where ``patience`` was given, else the last; 0 where there was no training.
        train_error: Share of training examples misclassified.
        dev_error: The same of the dev examples; NaN when there are none.
        test_error: The same of the test examples; NaN when there are none.
        target_error: The error that is as good as possible, such as the human-level error.
    """

    parameters: Parameters
    costs: tuple[float, ...]
    train_error: float
    dev_error: float
    test_error: float
    target_error: float = 0.0
    train_errors: tuple[float, ...] = ()
    dev_errors: tuple[float, ...] = ()
    best_epoch: int = 0

    @property
    def stopped_early(self) -> bool:
        """Whether the parameters are those of an epoch before the last."""
        return self.best_epoch < len(self.costs)

    @property
    def bias(self) -> float:
        """How much worse than possible the network does on what it has seen."""
        return self.train_error - self.target_error

    @property
    def variance(self) -> float:
        """How much worse the network does on what it has not seen; NaN without dev examples."""
        return self.dev_error - self.train_error

    @property
    def dominates(self) -> Literal["bias", "variance", "neither", "unknown"]:
        """Which of the two is larger; "neither" when both are below 0.02, "unknown" without dev examples."""
        if math.isnan(self.variance):
            return "unknown"
        if max(self.bias, self.variance) < SMALL:
            return "neither"
        return "bias" if self.bias >= self.variance else "variance"

    def __str__(self) -> str:
        shown = {"train": self.train_error, "dev": self.dev_error, "test": self.test_error}
        errors = ", ".join(
            f"{name} error {100 * error:.1f} %" for name, error in shown.items() if not math.isnan(error)
        )
        read = f"bias {100 * self.bias:.1f} % (train error minus the target of {100 * self.target_error:.1f} %)"
        if not math.isnan(self.variance):
            read += f", variance {100 * self.variance:.1f} % (dev error minus train error)"
        return f"{errors}; {read}. {ADVICE[self.dominates]}"


def split_examples(
    X: Array, Y: Array, *, seed: Seed, dev: float = 0.2, test: float = 0.2
) -> dict[str, tuple[Array, Array]]:
    """Splits the examples at random into train, dev and test sets.

    Args:
        X: Examples, (n_0, m).
        Y: Labels, (n_L, m).
        seed: An integer, or a generator to draw from.
        dev: Share of the dev set, rounded down to whole examples.
        test: Share of the test set, likewise.

    Returns:
        "train", "dev", "test", each a pair of copies of columns of X and Y (with no columns where the share is 0).

    Raises:
        ValueError: X and Y differ in their number of columns, a share is negative, or the shares add to 1 or more.
    """
    demand_examples("splitting examples", X, Y)
    m = X.shape[1]
    if dev < 0 or test < 0 or dev + test >= 1:
        todo = "Leave examples to train on."
        raise refusal("splitting examples", "dev and test", "shares from 0 with a sum below 1", f"{dev}, {test}", todo)
    cuts = np.split(np.random.default_rng(seed).permutation(m), [int(dev * m), int(dev * m) + int(test * m)])
    return {name: (X[:, cut], Y[:, cut]) for name, cut in zip(("dev", "test", "train"), cuts, strict=True)}


def train(
    X: Array,
    Y: Array,
    layer_dims: Sequence[int],
    *,
    seed: int,
    epochs: int = 30,
    mini_batch_size: int = 64,
    learning_rate: float = 1e-3,
    optimizer: OptimizerName = "adam",
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    hidden: Hidden = "relu",
    output: Output = "softmax",
    dev: float = 0.2,
    test: float = 0.0,
    target_error: float = 0.0,
    patience: int | None = None,
    parameters: Mapping[str, Array] | None = None,
) -> Training:
    """Splits the examples, trains on mini-batches, and measures the errors.

    Args:
        X: Examples, (n_0, m); their floating type is the type of the initial parameters.
        Y: Labels, (n_L, m).
        layer_dims: n_0, n_1, ..., n_L.
        seed: Fixes everything random.
        epochs: Passes over the training examples.
        mini_batch_size: Examples in each mini-batch.
        learning_rate: Length of a step.
        optimizer: "gd", "momentum" or "adam".
        lambd: Weight of the L2 term; its division is by the number of examples in the mini-batch.
        keep_prob: Probability of keeping a hidden node, in training only.
        hidden: "relu", "tanh" or "sigmoid".
        output: "softmax" or "sigmoid".
        dev: Share of examples held back to measure the variance.
        test: Share of examples held back for the final error.
        target_error: The error that is as good as possible, such as the human-level error: what bias is counted from.
        patience: Early stopping: training ends after so many epochs without a lower cost on the dev examples, and the
            parameters with the lowest one are returned. The dev cost has no L2 term and no dropout. Needs dev examples.
        parameters: Where to start; drawn (He for relu, Xavier otherwise) when not given.

    Returns:
        The trained parameters with costs and errors.

    Raises:
        ValueError: Sizes, shares or names that do not fit.
    """
    demand_choice("training", "optimizer", optimizer, OPTIMIZERS)
    if epochs < 0:
        raise refusal("training", "epochs", "at least 0", repr(epochs), "30 is enough for the digits.")
    splitting, drawing, batching, dropping = np.random.default_rng(seed).spawn(4)
    sets = split_examples(X, Y, seed=splitting, dev=dev, test=test)
    _demand_patience(patience, sets["dev"][0].shape[1])
    if not 0 <= target_error <= 1:
        todo = "Give the share of examples that people misclassify, 0 where they make no mistakes."
        raise refusal("training", "target_error", "a share from 0 to 1", repr(target_error), todo)
    if parameters is None:
        dtype = X.dtype if np.issubdtype(X.dtype, np.floating) else np.dtype(np.float64)
        method: Literal["he", "xavier"] = "he" if hidden == "relu" else "xavier"
        parameters = initialize_parameters(layer_dims, seed=drawing, method=method, dtype=dtype)
    demand_shape("training", "X", X, (layer_dims[0], X.shape[1]))
    demand_shape("training", "Y", Y, (layer_dims[-1], X.shape[1]))
    current = {name: p.copy() for name, p in parameters.items()}
    way = OPTIMIZERS[optimizer]
    state, t, costs = way.start(current), 0, []
    errors: dict[str, list[float]] = {"train": [], "dev": []}
    best, best_epoch, lowest = current, 0, math.inf
    for epoch in range(1, epochs + 1):
        total: Any = 0.0
        for batch_X, batch_Y in random_mini_batches(*sets["train"], mini_batch_size, seed=batching):
            AL, caches = forward_propagation(
                batch_X, current, hidden=hidden, output=output, keep_prob=keep_prob, rng=dropping
            )
            total += float(compute_cost(caches, batch_Y, current, lambd)) * batch_X.shape[1]
            t += 1
            grads = backward_propagation(AL, batch_Y, caches, lambd)
            current, state = way.step(current, grads, state, t, learning_rate)
        costs.append(total / sets["train"][0].shape[1])
        for name, found in errors.items():
            found.append(_error(current, *sets[name], hidden, output))
        dev_cost = -math.inf if patience is None else _cost(current, *sets["dev"], hidden, output)
        if patience is None or dev_cost < lowest:
            best, best_epoch, lowest = current, epoch, dev_cost
        elif epoch - best_epoch >= patience:
            break
    last = {name: _error(best, *pair, hidden, output) for name, pair in sets.items()}
    curves = tuple(errors["train"]), tuple(error for error in errors["dev"] if not math.isnan(error))
    return Training(
        best, tuple(costs), last["train"], last["dev"], last["test"], target_error, *curves, best_epoch=best_epoch
    )


def _demand_patience(patience: int | None, examples: int) -> None:
    if patience is None:
        return
    if patience < 1:
        raise refusal("training", "patience", "at least 1", repr(patience), "Leave it out to train all epochs.")
    if not examples:
        todo = "Give dev= a share above 0, or leave patience out."
        raise refusal("training", "patience", "given together with dev examples", "given without any", todo)


def _cost(parameters: Parameters, X: Array, Y: Array, hidden: Hidden, output: Output) -> float:
    _, caches = forward_propagation(X, parameters, hidden=hidden, output=output)
    return float(compute_cost(caches, Y, parameters))


def predict(
    parameters: Mapping[str, Array], X: Array, *, hidden: Hidden = "relu", output: Output = "softmax"
) -> NDArray[np.intp]:
    """Returns the predicted classes: for softmax their numbers, (m,); for sigmoid 0 or 1 for each output, (n_L, m).

    Raises:
        ValueError: As ``forward_propagation``.
    """
    AL, _ = forward_propagation(X, parameters, hidden=hidden, output=output)
    return _classes(AL, output)


def accuracy(
    parameters: Mapping[str, Array], X: Array, Y: Array, *, hidden: Hidden = "relu", output: Output = "softmax"
) -> float:
    """Returns the share of predictions that agree with the labels Y, (n_L, m).

    Raises:
        ValueError: As ``forward_propagation``, or Y is not shaped like the output.
    """
    AL, _ = forward_propagation(X, parameters, hidden=hidden, output=output)
    demand_shape("measuring accuracy", "Y", Y, AL.shape)
    return float(np.mean(_classes(AL, output) == _classes(Y, output)))


def _classes(A: Array, output: str) -> NDArray[np.intp]:
    if output == "softmax":
        return np.asarray(np.argmax(A, axis=0), dtype=np.intp)
    return (A > 0.5).astype(np.intp)


def _error(parameters: Parameters, X: Array, Y: Array, hidden: Hidden, output: Output) -> float:
    if X.shape[1] == 0:
        return math.nan
    return 1.0 - accuracy(parameters, X, Y, hidden=hidden, output=output)
