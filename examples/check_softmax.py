"""Cases for the command line: run it with ``gradproof run examples``, or ``gradproof run examples/check_softmax.py``.

A case is a function without arguments that returns a report. pytest collects the same file, too.
"""

import numpy as np

import gradproof as gp

rng = np.random.default_rng(1)
X, Y = rng.standard_normal((30, 6)), np.eye(4)[rng.integers(0, 4, 30)]
params = {"W": 0.3 * rng.standard_normal((6, 4)), "b": 0.1 * rng.standard_normal(4)}


def cost(params, X, Y):
    Z = X @ params["W"] + params["b"]
    return -np.sum(Y * (Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True)))) / len(X)


def gradient(params, X, Y):
    Z = X @ params["W"] + params["b"]
    P = np.exp(Z) / np.sum(np.exp(Z), axis=1, keepdims=True)
    return {"W": X.T @ (P - Y) / len(X), "b": np.mean(P - Y, axis=0)}


@gp.case
def at_the_start():
    return gp.check(cost, params, gradient, data=(X, Y))


@gp.case
def after_some_training():
    trained = {name: array.copy() for name, array in params.items()}
    for _ in range(20):
        step = gradient(trained, X, Y)
        trained = {name: array - 0.5 * step[name] for name, array in trained.items()}
    return gp.check(cost, trained, gradient, data=(X, Y))
