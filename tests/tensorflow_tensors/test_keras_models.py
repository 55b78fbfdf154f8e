"""Models of Keras 3 through gp.check_module, on each of its backends, which are chosen when Keras is imported."""

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import numpy as np
    import keras
    import gradproof as gp

    assert keras.backend.backend() == {backend!r}
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)

    def single(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def cost(model, x, y):
        return keras.ops.mean(keras.ops.square(keras.ops.subtract(model(x, training=True), y)))

    class Doubled(keras.layers.Layer):
        # The identity with a backward pass that doubles what comes from above.

        def call(self, x):
            @keras.ops.custom_gradient
            def same(x):
                def back(*args, upstream=None):
                    return 2.0 * (args[0] if upstream is None else upstream)
                return x * 1.0, back
            return same(x)

    def own(model, cost, *data):
        variables = model.trainable_variables
        if {backend!r} == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                value = cost(model, *data)
            return tape.gradient(value, [v.value for v in variables])
        if {backend!r} == "torch":
            import torch

            return list(torch.autograd.grad(cost(model, *data), [v.value for v in variables]))
        import jax

        def of_values(values):
            with keras.StatelessScope(list(zip(variables, values)), collect_losses=True):
                return cost(model, *data)

        return jax.grad(of_values)([v.value for v in variables])

    layers = keras.layers
    models = {{
        "dense": ([layers.Input((8,)), layers.Dense(16, activation="gelu"), layers.BatchNormalization(),
                   layers.Dropout(0.3), layers.Dense(4)], single(7, 8), single(7, 4)),
        "recurrent": ([layers.Input((5, 8)), layers.LSTM(6), layers.Dense(1)], single(3, 5, 8), single(3, 1)),
        "convolution": ([layers.Input((6, 6, 3)), layers.Conv2D(4, 3, activation="tanh"), layers.AveragePooling2D(2),
                         layers.Flatten(), layers.Dense(1)], single(2, 6, 6, 3), single(2, 1)),
        "table": ([layers.Input((5,)), layers.Embedding(10, 6), layers.LayerNormalization(), layers.Flatten(),
                   layers.Dense(1)], np.array([[1, 2, 3, 1, 2], [0, 4, 4, 9, 9]]), single(2, 1)),
    }}
    for name, (parts, x, y) in models.items():
        model = keras.Sequential(parts)
        before = [keras.ops.convert_to_numpy(v).tobytes() for v in model.variables]
        report = gp.check_module(model, cost, data=(x, y))
        assert report.verdict == "correct", (name, str(report))
        assert list(report.tensors) == [v.path for v in model.trainable_variables], report.tensors
        claim = {{v.path: np.zeros(v.shape, np.float32) for v in model.trainable_variables}}
        wrong = gp.check_module(model, cost, claim, data=(x, y))
        assert wrong.verdict in ("wrong", "undecided"), (name, str(wrong))
        if name != "dense":
            assert wrong.verdict == "wrong", (name, str(wrong))
        assert [keras.ops.convert_to_numpy(v).tobytes() for v in model.variables] == before, name
    dense = keras.Sequential([layers.Input((8,)), layers.Dense(3, activation="tanh"), layers.Dense(2)])
    dense.layers[0].trainable = False
    partly = gp.check_module(dense, cost, data=(single(4, 8), single(4, 2)))
    assert len(partly.tensors) == 2 and "left alone" in " ".join(partly.notes), str(partly)
    x = keras.ops.convert_to_tensor(single(4, 8))
    moved = gp.check_module(dense, lambda m, x: keras.ops.sum(m(x) ** 2), args=(x,), inputs=True)
    assert moved.verdict == "correct" and len(moved.tensors) == 3, str(moved)

    def failing(model, x):
        model(x, training=True)
        raise RuntimeError("planted")

    before = [keras.ops.convert_to_numpy(v).tobytes() for v in dense.variables]
    try:
        gp.check_module(dense, failing, args=(x,))
    except RuntimeError as error:
        assert "planted" in str(error)
    assert [keras.ops.convert_to_numpy(v).tobytes() for v in dense.variables] == before
    try:
        gp.check_module(dense, cost, "grad", data=(single(4, 8), single(4, 2)))
    except gp.InputError as error:
        assert "Keras keeps no gradients" in str(error)
    else:
        raise AssertionError
    try:
        gp.check(lambda values: cost(dense, single(4, 8), single(4, 2)), dense.trainable_variables)
    except gp.InputError as error:
        assert {backend!r} != "tensorflow" and "check_module" in str(error)
    else:
        assert {backend!r} == "tensorflow"

    class Kept(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(keras.ops.square(x)))
            return x

    penalised = keras.Sequential([layers.Input((3,)), layers.Dense(2, "tanh"), Kept(), layers.Dense(2)])
    with_losses = lambda m, x: keras.ops.mean(m(x)) + sum(m.losses)
    X = keras.ops.convert_to_tensor(single(4, 3))
    numbers = [keras.ops.convert_to_numpy(g) for g in own(penalised, with_losses, X)]
    forgotten = [keras.ops.convert_to_numpy(g) for g in own(penalised, lambda m, x: keras.ops.mean(m(x)), X)]
    for claim, verdict in ((None, "correct"), (numbers, "correct"), (forgotten, "wrong")):
        report = gp.check_module(penalised, with_losses, claim, args=(X,))
        assert report.verdict == verdict, (verdict, str(report))
    assert gp.check_module(penalised, with_losses, lambda m, x: own(m, with_losses, x), args=(X,)).verdict == "correct"

    dropped = keras.Sequential([layers.Input((3,)), layers.Dense(6, "tanh"), layers.Dropout(0.5), layers.Dense(2)])
    drawn = lambda m, x: keras.ops.mean(keras.ops.square(m(x, training=True)))
    numbers = [keras.ops.convert_to_numpy(g) for g in own(dropped, drawn, X)]
    other = gp.check_module(dropped, drawn, numbers, args=(X,))
    assert other.verdict == "undecided", str(other)
    assert "other random numbers" in str(other)
    {more}
    print("all right")
"""
DOUBLED = """
    model = keras.Sequential([layers.Input((8,)), layers.Dense(5, activation="tanh"), Doubled(), layers.Dense(2)])
    report = gp.check_module(model, cost, data=(single(4, 8), single(4, 2)))
    wrong = [name for name, t in report.tensors.items() if t.verdict == "wrong"]
    assert wrong == [v.path for v in model.trainable_variables[:2]], str(report)
    assert report.findings[0].cause == "factor", str(report)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_models(backend: str) -> None:
    for package in (backend, "keras"):
        pytest.importorskip(package)
    # PyTorch's form of custom_gradient is another one; its rules are tested where its functions are.
    more = "" if backend == "torch" else textwrap.indent(textwrap.dedent(DOUBLED), "    ").lstrip()
    script = textwrap.dedent(SCRIPT.format(backend=backend, more=more))
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-4000:]
    assert found.stdout.strip().endswith("all right")
