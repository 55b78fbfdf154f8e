"""The callback for Keras on PyTorch, in the real ``fit``."""

import os
import warnings
from typing import Any

import pytest

import gradproof as gp

pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("keras")

import keras

from gradproof.callbacks.keras import GradientCheck
from late import Late, alike, data

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::gradproof.UndecidedWarning", "error::gradproof.CheckCostWarning"),
]
X, Y = (part.numpy() for part in data())


def net(*, late: bool = False) -> Any:
    keras.utils.set_random_seed(0)
    if late:
        hidden = [keras.layers.Dense(6), keras.layers.Lambda(Late.apply)]
    else:
        hidden = [
            keras.layers.Dense(6, activation="softplus"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2),
        ]  # fmt: skip
    made = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1, kernel_regularizer="l2")])
    made.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", metrics=["mae"])
    return made


def trained(made: Any, callback: Any = None, epochs: int = 5) -> Any:
    keras.utils.set_random_seed(1)
    done = made.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=[callback] if callback else [])
    return done.history


def test_training_goes_the_same_way_with_and_without_it() -> None:
    checked, plain = net(), net()
    callback = GradientCheck(X[:16], Y[:16], steps=(0, 7))
    told, expected = trained(checked, callback), trained(plain)
    assert list(callback.stages) == ["initialisation", "step 7"]
    assert callback.stages.passed
    assert len(callback.stages["step 7"].tensors) == 6
    assert told == expected
    assert alike([v.value for v in checked.variables], [v.value for v in plain.variables])
    assert alike([v.value for v in checked.optimizer.variables], [v.value for v in plain.optimizer.variables])


def test_a_fault_that_shows_after_training_stops_it_there() -> None:
    with pytest.raises(gp.GradientError, match="step 60"):
        trained(net(late=True), GradientCheck(X[:16], Y[:16], steps=(0, 60)), epochs=20)
    callback = GradientCheck(X[:16], Y[:16], steps=(0, 60), raise_if_wrong=False)
    trained(net(late=True), callback, epochs=20)
    assert callback.stages["initialisation"].passed
    assert callback.stages.findings[0].regime.name == "branch"


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(gp.InputError, match="KERAS_BACKEND=torch"):
        GradientCheck(X, Y)
