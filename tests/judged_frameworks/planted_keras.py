"""Models of Keras, right and with slips, judged on the backend of the environment; run as a script, one per backend.

The truth is the backend's own reverse mode: a slip changes one tensor of it, so that all others stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import gradproof as gp

BACKEND = keras.backend.backend()
Gradient = Callable[..., list[Any]]


def cost(model: Any, x: Any, y: Any) -> Any:
    """Mean square, and what the layers add."""
    value = ops.mean(ops.square(ops.subtract(model(x, training=True), y)))
    return value + sum(model.losses) if model.losses else value


def reverse(model: Any, x: Any, y: Any) -> list[Any]:
    """The backend's reverse mode, written as its users write it."""
    variables = model.trainable_variables
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = cost(model, x, y)
        return [tf.convert_to_tensor(g) for g in tape.gradient(value, [v.value for v in variables])]
    if BACKEND == "torch":
        import torch

        return list(torch.autograd.grad(cost(model, x, y), [v.value for v in variables]))
    import jax

    def of_values(values: Sequence[Any]) -> Any:
        with keras.StatelessScope(list(zip(variables, values, strict=True)), collect_losses=True):
            return cost(model, x, y)

    return list(jax.grad(of_values)([v.value for v in variables]))


def models(rng: np.random.Generator) -> dict[str, tuple[Any, Any, Any]]:
    """Models with a batch each."""

    def single(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    parts = {
        "penalised": ([layers.Input((5,)), layers.Dense(6, "gelu", kernel_regularizer="l2"), layers.Dense(1)],
                      single(7, 5)),
        "normalised": ([layers.Input((5,)), layers.Dense(6, use_bias=False), layers.BatchNormalization(),
                        layers.Activation("tanh"), layers.Dense(1)], single(7, 5)),
        "dropped": ([layers.Input((5,)), layers.Dense(6, "tanh"), layers.Dropout(0.4, seed=3), layers.Dense(5, "tanh"),
                     layers.GaussianNoise(0.1, seed=4), layers.Dense(1)], single(7, 5)),
        "recurrent": ([layers.Input((6,), dtype="int32"), layers.Embedding(7, 3, mask_zero=True), layers.GRU(3),
                       layers.Dense(1)], rng.integers(0, 7, (7, 6)).astype(np.int32)),
    }  # fmt: skip
    return {name: (keras.Sequential(made), x, single(7, 1)) for name, (made, x) in parts.items()}


def slipped(place: int, slip: Callable[[Any], Any]) -> Gradient:
    """A gradient with a slip in one tensor."""

    def gradient(model: Any, x: Any, y: Any) -> list[Any]:
        found = reverse(model, x, y)
        found[place] = slip(found[place])
        return found

    return gradient


def first_entry(gradient: Any) -> Any:
    """The largest entry too large by a tenth."""
    array = np.array(ops.convert_to_numpy(gradient))
    array.flat[int(np.abs(array).argmax())] *= 1.1
    return ops.convert_to_tensor(array)


#: Slips far above the tolerance; of each, what it does to one tensor, and the causes that may name it.
SLIPS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "twice": (lambda g: 2 * g, {"factor"}),
    "sign": (lambda g: -g, {"sign"}),
    "zero": (lambda g: 0 * g, {"zero"}),
    "one entry": (first_entry, {"region"}),
}


def held(model: Any) -> list[Any]:
    """What the variables hold, among them averages and the states of random numbers."""
    return [np.asarray(ops.convert_to_numpy(v)).tobytes() for v in model.variables]


def judged(name: str, case: tuple[Any, Any, Any], slip: str, place: int) -> None:
    """The right gradient by the framework, by hand where state decides, and a slip in one tensor."""
    model, x, y = case
    before = held(model)
    for grads in (None, reverse) if name in ("normalised", "dropped") else (None,):
        report = gp.check_module(model, cost, grads, data=(x, y))
        assert report.verdict == "correct", (name, str(report))
        assert held(model) == before, name
    spoil, causes = SLIPS[slip]
    report = gp.check_module(model, cost, slipped(place, spoil), data=(x, y))
    for number, (path, tensor) in enumerate(report.tensors.items()):
        assert tensor.verdict == ("wrong" if number == place else "correct"), (name, slip, path, str(report))
    assert {finding.cause for finding in report.findings} <= causes | {"unexplained"}, (name, slip, str(report))
    assert held(model) == before, (name, slip)


def another_model(x: Any, y: Any) -> None:
    """A cost that another model's penalty is part of, and the gradient without it where it is none of the model's."""
    model = keras.Sequential([layers.Input((5,)), layers.Dense(2, "tanh"), layers.Dense(1)])
    teacher = keras.Sequential([layers.Input((5,)), layers.Dense(1, kernel_regularizer="l2")])

    def taught(model: Any, x: Any, y: Any) -> Any:
        return cost(model, x, y) + ops.mean(ops.square(model(x) - teacher(x))) + sum(teacher.losses)

    assert gp.check_module(model, taught, data=(x, y)).verdict == "correct"
    assert gp.check_module(model, taught, reverse, data=(x, y)).verdict == "wrong"


if __name__ == "__main__":
    keras.utils.set_random_seed(12)
    chosen = models(np.random.default_rng(34))
    for place, (key, slip) in enumerate(zip(chosen, SLIPS, strict=True)):
        judged(key, chosen[key], slip, place)
    another_model(*chosen["penalised"][1:])
    print("all right")
