"""The callback for Keras in the real ``fit``; here on PyTorch, which the outermost conftest.py asks Keras for."""

import os
import subprocess
import sys
import textwrap
import warnings
from typing import Any

import pytest

import gradproof as gp

pytest.importorskip("torch")
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


def test_a_backend_without_gradients_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(gp.InputError, match="KERAS_BACKEND"):
        GradientCheck(X, Y)


OTHER_BACKENDS = """
    import numpy as np
    import keras
    import gradproof as gp
    from gradproof.callbacks.keras import GradientCheck

    class Late(keras.layers.Layer):
        '''Softplus with a slope that is 1 where it should only be nearly that, which training leads to.'''

        def call(self, z):
            @keras.ops.custom_gradient
            def softplus(z):
                def back(*args, upstream=None):
                    v = args[0] if upstream is None else upstream
                    return v * keras.ops.where(z > 3.0, 1.0, keras.ops.sigmoid(z))
                return keras.ops.softplus(z), back
            return softplus(z)

    rng = np.random.default_rng(0)
    X = 0.5 * rng.normal(size=(64, 4)).astype("float32")
    Y = (60.0 + X.sum(axis=1, keepdims=True)).astype("float32")

    def net(late):
        keras.utils.set_random_seed(0)
        layers = [Late()] if late else [keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
        first = keras.layers.Dense(6, use_bias=late)  # whose gradient would be the rounding of zero
        made = keras.Sequential([keras.Input((4,)), first, *layers, keras.layers.Dense(1)])
        made.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse")
        return made

    def trained(made, callbacks, epochs):
        keras.utils.set_random_seed(1)
        return made.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=callbacks).history

    callback, checked, plain = GradientCheck(X[:16], Y[:16], steps=(0, 7)), net(False), net(False)
    told, expected = trained(checked, [callback], 5), trained(plain, [], 5)
    assert callback.stages.passed, str(callback.stages.report)
    assert told == expected, (told, expected)
    pairs = zip(checked.variables, plain.variables)
    assert all(np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)) for a, b in pairs)
    late = GradientCheck(X[:16], Y[:16], steps=(0, 60), raise_if_wrong=False)
    trained(net(True), [late], 20)
    assert late.stages["initialisation"].passed
    assert late.stages["step 60"].verdict == "wrong"
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_other_backends(backend: str) -> None:
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    script = textwrap.dedent(OTHER_BACKENDS)
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-4000:]
