"""A two-layer network in NumPy whose backward pass forgets the regulariser: found, mended, checked again.

Run it with ``python examples/numpy_network.py``.
"""

import numpy as np

import gradproof as gp

rng = np.random.default_rng(0)
X, y = rng.standard_normal((40, 8)), rng.integers(0, 2, 40)
params = {
    "W1": 0.5 * rng.standard_normal((8, 5)),
    "b1": 0.1 * rng.standard_normal(5),
    "W2": 0.5 * rng.standard_normal(5),
    "b2": np.array([0.1]),
}


def forward(params, X):
    A1 = np.tanh(X @ params["W1"] + params["b1"])
    return A1, A1 @ params["W2"] + params["b2"]


def cost(params, X, y, lambd):
    _, score = forward(params, X)
    weights = sum(np.sum(params[name] ** 2) for name in ("W1", "W2"))
    return np.mean(np.logaddexp(0.0, score) - y * score) + lambd / (2 * len(y)) * weights


def backward(params, X, y, lambd):
    A1, score = forward(params, X)
    dscore = (1.0 / (1.0 + np.exp(-score)) - y) / len(y)
    dZ1 = np.outer(dscore, params["W2"]) * (1.0 - A1**2)
    return {
        "dW1": X.T @ dZ1,  # the regulariser is missing here,
        "db1": dZ1.sum(axis=0),
        "dW2": A1.T @ dscore,  # and here
        "db2": np.array([dscore.sum()]),
    }


def mended(params, X, y, lambd):
    grads = backward(params, X, y, lambd)
    return {**grads, **{f"d{name}": grads[f"d{name}"] + lambd / len(y) * params[name] for name in ("W1", "W2")}}


if __name__ == "__main__":
    for grads in (backward, mended):
        report = gp.check(cost, params, grads, data=(X, y), options={"lambd": 0.7})
        print(report, end="\n\n")
