"""Networks in several hands' styles, each with its right gradient and planted bugs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from models_base import Array, Model

Activation = tuple[Callable[[Array], Array], Callable[[Array], Array]]


def _sigmoid(z: Array) -> Any:
    return 0.5 * (1 + np.tanh(z / 2))


ACTIVATIONS: dict[str, Activation] = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "softplus": (lambda z: np.logaddexp(0, z), _sigmoid),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
    ),
}


def _softmax(z: Array, axis: int = 0) -> Any:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _log_softmax(z: Array, axis: int = 0) -> Any:
    shifted = z - z.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


MLP_BUGS = (
    "no 1/m",
    "extra 1/m below",
    "dW2 doubled",
    "dZ sign",
    "l2 missing",
    "l2 doubled",
    "l2 without m",
    "l2 sign",
    "l2 on the biases",
    "ones on the biases",
    "l1",
    "derivative missing",
    "derivative at A",
    "derivative of another function",
    "Z for A",
    "A of another layer",
    "W not transposed",
    "dW for W",
    "updated W",
    "db mean",
    "db total",
    "db first example",
    "dW at ones",
    "softmax derivative twice",
    "squared error's delta",
    "softmax diagonal",
    "last example dropped",
    "severed",
    "columns missing",
    "rows permuted",
    "assembled from stale A",
    "biases swapped",
)


def course_mlp(name: str, *, activation: str, zero_biases: bool, trained: int, seed: int, dtype: Any = float) -> Model:
    """Three layers of the course's notation: examples in columns, L2 weight decay, softmax output."""
    rng = np.random.default_rng(seed)
    n, m, lambd = (4, 5, 5, 3), 7, 0.6
    X = rng.normal(size=(n[0], m)).astype(dtype)
    Y = np.eye(n[3])[:, rng.integers(0, n[3], m)].astype(dtype)
    act, act_prime = ACTIVATIONS[activation]
    other = ACTIVATIONS["sigmoid" if activation != "sigmoid" else "tanh"][1]
    parameters: dict[str, Array] = {}
    for layer in (1, 2, 3):
        parameters[f"W{layer}"] = (rng.normal(size=(n[layer], n[layer - 1])) / np.sqrt(n[layer - 1])).astype(dtype)
        bias = np.zeros((n[layer], 1)) if zero_biases else rng.normal(size=(n[layer], 1)) * 0.3
        parameters[f"b{layer}"] = bias.astype(dtype)

    def forward(p: Any) -> dict[str, Array]:
        cache = {"A0": X}
        for layer in (1, 2, 3):
            cache[f"Z{layer}"] = p[f"W{layer}"] @ cache[f"A{layer - 1}"] + p[f"b{layer}"]
            cache[f"A{layer}"] = act(cache[f"Z{layer}"]) if layer < 3 else _softmax(cache["Z3"])
        return cache

    def cost(p: Any) -> Any:
        decay = sum(np.sum(p[f"W{layer}"] ** 2) for layer in (1, 2, 3))
        return -np.sum(Y * _log_softmax(forward(p)["Z3"])) / m + lambd / (2 * m) * decay

    def backward(p: Any, bug: str = "") -> dict[str, Array]:
        cache = forward(p)
        grads: dict[str, Array] = {}
        dZ = (cache["A3"] - Y) / (1 if bug == "no 1/m" else m)
        if bug == "dZ sign":
            dZ = -dZ
        if bug == "softmax derivative twice":
            dZ = dZ * cache["A3"] * (1 - cache["A3"])
        if bug == "squared error's delta":
            dZ = dZ * cache["A3"] * (1 - cache["A3"]) * 2
        if bug == "softmax diagonal":
            dZ = -(Y * (1 - cache["A3"])) / m
        for layer in (3, 2, 1):
            W, below = p[f"W{layer}"], cache[f"A{layer - 1}"]
            if layer == 3 and bug == "Z for A":
                below = cache["Z2"]
            if layer == 3 and bug == "A of another layer":
                below = cache["A1"]
            if layer == 2 and bug == "assembled from stale A":
                below = act(0.9 * cache["Z1"])
            if bug == "last example dropped":
                dZ = dZ * (np.arange(m) < m - 1)
            if bug == "extra 1/m below" and layer == 1:
                dZ = dZ / m
            decay = {
                "l2 missing": 0 * W,
                "l2 doubled": 2 * lambd / m * W,
                "l2 without m": lambd * W,
                "l2 sign": -lambd / m * W,
                "l1": lambd / m * np.sign(W),
            }.get(bug, lambd / m * W)
            grads[f"W{layer}"] = dZ @ below.T + decay
            db = dZ.sum(axis=1, keepdims=True)
            if bug == "db mean":
                db = dZ.mean(axis=1, keepdims=True)
            if bug == "db total" and layer == 2:
                db = np.full_like(db, dZ.sum())
            if bug == "db first example" and layer == 2:
                db = dZ[:, :1]
            if bug == "dW at ones" and layer == 1:
                db = (dZ @ below.T).sum(axis=1, keepdims=True)
            if bug == "l2 on the biases":
                db = db + lambd / m * p[f"b{layer}"]
            if bug == "ones on the biases":
                db = db + lambd / m
            grads[f"b{layer}"] = db
            if layer == 1:
                break
            if bug == "W not transposed" and layer == 2:
                W = W.T
            if bug == "dW for W" and layer == 2:
                W = grads["W2"]
            if bug == "updated W":
                W = W - 0.1 * grads[f"W{layer}"]
            z = cache[f"Z{layer - 1}"]
            prime = act_prime(z)
            if bug == "derivative missing" and layer == 2:
                prime = np.ones_like(z)
            if bug == "derivative at A":
                prime = act_prime(act(z))
            if bug == "derivative of another function":
                prime = other(z)
            dZ = (W.T @ dZ) * prime
            if bug == "severed" and layer == 3:
                dZ = 0 * dZ
        if bug == "dW2 doubled":
            grads["W2"] = 2 * grads["W2"]
        if bug == "columns missing":
            grads["W2"][:, 4:] = 0
        if bug == "rows permuted":
            grads["W2"] = grads["W2"][[1, 0, 2, 3, 4]]
        if bug == "biases swapped":
            grads["b1"], grads["b2"] = grads["b2"], grads["b1"]
        return {key: grads[key] for key in p}

    for _ in range(trained):
        step = backward(parameters)
        parameters = {key: (leaf - 0.5 * step[key]).astype(dtype) for key, leaf in parameters.items()}
    tolerance = 1e-5 if dtype is float else 1e-3
    return Model(name, cost, parameters, backward, MLP_BUGS, prefixed=True, tolerance=tolerance)


def softmax_regression(seed: int) -> Model:
    """Nested parameters, a Python float among them: the inverse temperature."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)

    def cost(p: Any) -> Any:
        scores = (X @ p["linear"]["weight"] + p["linear"]["bias"]) * p["head"]["heat"]
        return -np.mean(_log_softmax(scores, 1)[np.arange(9), y])

    def backward(p: Any, bug: str = "") -> Any:
        raw = X @ p["linear"]["weight"] + p["linear"]["bias"]
        probs = _softmax(raw * p["head"]["heat"], 1)
        probs[np.arange(9), y] -= 1
        probs /= 9 if bug != "mean over the wrong axis" else 3
        delta = probs * (1 if bug == "temperature ignored" else p["head"]["heat"])
        dbias = delta.sum(axis=0)
        if bug == "bias not summed":
            dbias = delta[0]
        heat = float(np.sum(probs * raw))
        return {"linear": {"weight": X.T @ delta, "bias": dbias}, "head": {"heat": heat}}

    params = {"linear": {"weight": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}, "head": {"heat": 1.7}}
    bugs = ("temperature ignored", "mean over the wrong axis", "bias not summed")
    return Model("softmax regression", cost, params, backward, bugs)


def convolution(seed: int) -> Model:
    """One channel, two 3 x 3 kernels, ReLU, 2 x 2 max pool, dense logistic output."""
    rng = np.random.default_rng(seed)
    images, labels = rng.normal(size=(3, 6, 6)), np.array([1.0, 0.0, 1.0])

    def windows(x: Array) -> Array:
        return np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))

    def pooled(a: Array) -> Array:
        return a.reshape(a.shape[0], a.shape[1], 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(*a.shape[:2], 2, 2, 4)

    def forward(p: Any) -> tuple[Array, Array, Array]:
        z = np.einsum("nijab,kab->nkij", windows(images), p["kernel"]) + p["shift"][:, None, None]
        blocks = pooled(np.maximum(z, 0))
        return z, blocks, blocks.max(-1).reshape(3, -1) @ p["dense"] + p["offset"]

    def cost(p: Any) -> Any:
        s = forward(p)[2]
        return np.mean(np.logaddexp(0, s) - labels * s)

    def backward(p: Any, bug: str = "") -> Any:
        z, blocks, s = forward(p)
        ds = (_sigmoid(s) - labels) / 3
        best = blocks.max(-1)
        dbest = (ds[:, None] * p["dense"]).reshape(best.shape)
        mask = blocks == best[..., None]
        if bug == "first of each window":
            mask = np.zeros_like(mask)
            mask[..., 0] = True
        spread = mask * dbest[..., None]
        if bug == "average pool":
            spread = np.broadcast_to(dbest[..., None] / 4, mask.shape)
        da = spread.reshape(3, 2, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(z.shape)
        dz = da * (z > 0) if bug != "relu derivative missing" else da
        if bug == "border forgotten":
            dz[..., -1] = 0
        dkernel = np.einsum("nijab,nkij->kab", windows(images), dz)
        if bug == "flipped kernel":
            dkernel = dkernel[:, ::-1, ::-1]
        dense = best.reshape(3, -1).T @ ds
        return {"kernel": dkernel, "shift": dz.sum((0, 2, 3)), "dense": dense, "offset": np.array(ds.sum())}

    params = {
        "kernel": rng.normal(size=(2, 3, 3)) / 3,
        "shift": np.array([0.2, 0.4]),
        "dense": rng.normal(size=8),
        "offset": np.array(0.1),
    }
    bugs = ("first of each window", "average pool", "relu derivative missing", "border forgotten", "flipped kernel")
    return Model("convolution and max pool", cost, params, backward, bugs)


def layer_norm(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    X, T, eps = rng.normal(size=(6, 3)), rng.normal(size=(6, 5)), 1e-5

    def forward(p: Any) -> tuple[Array, Array, Array]:
        h = X @ p["W"]
        spread = np.sqrt(h.var(axis=1, keepdims=True) + eps)
        unit = (h - h.mean(axis=1, keepdims=True)) / spread
        return unit, spread, unit * p["gamma"] + p["beta"]

    def cost(p: Any) -> Any:
        return 0.5 * np.sum((np.tanh(forward(p)[2]) - T) ** 2) / 6

    def backward(p: Any, bug: str = "") -> Any:
        unit, spread, out = forward(p)
        dout = (np.tanh(out) - T) * (1 - np.tanh(out) ** 2) / 6
        dunit = dout * p["gamma"]
        mean, var = dunit.mean(1, keepdims=True), (dunit * unit).mean(1, keepdims=True)
        if bug == "mean path missing":
            mean = 0 * mean
        if bug == "variance path missing":
            var = 0 * var
        dh = (dunit - mean - unit * var) / spread
        if bug == "variance for deviation":
            dh = dh / spread
        dgamma, dbeta = (dout * unit).sum(0), dout.sum(0)
        if bug == "gamma and beta swapped":
            dgamma, dbeta = dbeta, dgamma
        return {"W": X.T @ dh, "gamma": dgamma, "beta": dbeta}

    params = {"W": rng.normal(size=(3, 5)), "gamma": 1 + 0.2 * rng.normal(size=5), "beta": 0.1 * rng.normal(size=5)}
    bugs = ("mean path missing", "variance path missing", "variance for deviation", "gamma and beta swapped")
    return Model("layer norm", cost, params, backward, bugs)


def batch_norm(seed: int) -> Model:
    """The bias before the normalisation has no effect: its gradient is zero, and is claimed as rounding noise."""
    rng = np.random.default_rng(seed)
    X, y, m = rng.normal(size=(8, 4)), rng.normal(size=8), 8

    def forward(p: Any) -> tuple[Array, Array, Array, Array]:
        h = X @ p["W1"] + p["b1"]
        scale = 1 / np.sqrt(h.var(axis=0) + 1e-3)
        unit = (h - h.mean(axis=0)) * scale
        a = np.maximum(unit * p["gamma"] + p["beta"], 0)
        return unit, scale, a, a @ p["w2"]

    def cost(p: Any) -> Any:
        return np.mean((forward(p)[3] - y) ** 2)

    def backward(p: Any, bug: str = "") -> Any:
        unit, scale, a, out = forward(p)
        dout = 2 * (out - y) / m
        da = np.outer(dout, p["w2"]) * (a > 0)
        dunit = da * p["gamma"]
        dh = scale * (dunit - dunit.mean(0) - unit * (dunit * unit).mean(0))
        if bug == "statistics taken as constants":
            dh = scale * dunit
        if bug == "variance path missing":
            dh = scale * (dunit - dunit.mean(0))
        if bug == "mean path missing":
            dh = scale * (dunit - unit * (dunit * unit).mean(0))
        dgamma = (da * unit).sum(0) if bug != "gamma averaged" else (da * unit).mean(0)
        return {"W1": X.T @ dh, "b1": dh.sum(0), "gamma": dgamma, "beta": da.sum(0), "w2": a.T @ dout}

    params = {
        "W1": rng.normal(size=(4, 3)),
        "b1": rng.normal(size=3),
        "gamma": np.array([1.0, 0.8, 1.3]),
        "beta": rng.normal(size=3),
        "w2": rng.normal(size=3),
    }
    bugs = ("statistics taken as constants", "variance path missing", "mean path missing", "gamma averaged")
    return Model("batch norm", cost, params, backward, bugs, prefixed=True)


def simple_rnn(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    xs, T = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 2, 2))

    def forward(p: Any) -> tuple[list[Array], list[Array]]:
        hidden, outputs = [np.zeros((4, 2))], []
        for x in xs:
            hidden.append(np.tanh(p["Wxh"] @ x + p["Whh"] @ hidden[-1] + p["bh"]))
            outputs.append(p["Why"] @ hidden[-1] + p["by"])
        return hidden, outputs

    def cost(p: Any) -> Any:
        return sum(0.5 * np.sum((o - t) ** 2) for o, t in zip(forward(p)[1], T, strict=True))

    def backward(p: Any, bug: str = "") -> Any:
        hidden, outputs = forward(p)
        g = {key: np.zeros_like(leaf) for key, leaf in p.items()}
        carried = np.zeros((4, 2))
        for t in range(4, -1, -1):
            dy = outputs[t] - T[t]
            g["Why"] += dy @ hidden[t + 1].T
            g["by"] += dy.sum(1, keepdims=True)
            if bug == "truncated" and t < 3:
                carried = 0 * carried
            dh = p["Why"].T @ dy + (0 if bug == "no carried gradient" else carried)
            da = dh * (1 - hidden[t + 1] ** 2)
            before = hidden[t + 1] if bug == "wrong time step" else hidden[t]
            g["Whh"] = da @ before.T + (0 if bug == "overwritten" else g["Whh"])
            g["Wxh"] += da @ xs[t].T
            g["bh"] += da.sum(1, keepdims=True)
            carried = (p["Whh"] if bug == "W not transposed" else p["Whh"].T) @ da
        if bug == "clipped to 1":
            g = {key: np.clip(leaf, -1, 1) for key, leaf in g.items()}
        return g

    shapes = {"Wxh": (4, 3), "Whh": (4, 4), "Why": (2, 4), "bh": (4, 1), "by": (2, 1)}
    params = {key: 0.5 * rng.normal(size=shape) for key, shape in shapes.items()}
    bugs = (
        "truncated", "no carried gradient", "wrong time step", "overwritten", "W not transposed", "clipped to 1",
    )  # fmt: skip
    return Model("simple recurrent net", cost, params, backward, bugs)


class Head(NamedTuple):
    """One attention head's weights."""

    query: Any
    key: Any
    value: Any
    out: Any


def attention(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    x, target = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    mask = np.where(np.tril(np.ones((5, 5))) > 0, 0.0, -np.inf)

    def forward(p: Any) -> tuple[Array, Array, Array, Array, Array, Array]:
        q, k, v = x @ p.query, x @ p.key, x @ p.value
        a = _softmax(q @ k.T / np.sqrt(3) + mask, 1)
        return q, k, v, a, a @ v, a @ v @ p.out + x

    def cost(p: Any) -> Any:
        return np.mean((forward(p)[5] - target) ** 2)

    def backward(p: Any, bug: str = "") -> Head:
        q, k, v, a, mixed, out = forward(p)
        dout = 2 * (out - target) / out.size
        dmixed = dout @ p.out.T
        da = dmixed @ v.T
        ds = a * (da - (da * a).sum(1, keepdims=True))
        if bug == "softmax diagonal":
            ds = da * a * (1 - a)
        if bug == "softmax cross term missing":
            ds = a * da
        if bug != "scale forgotten":
            ds = ds / np.sqrt(3)
        dq, dk = ds @ k, ds.T @ q
        if bug == "scores not transposed":
            dk = ds @ q
        if bug == "query and key swapped":
            dq, dk = dk, dq
        dv = a.T @ dmixed if bug != "weights not transposed" else a @ dmixed
        return Head(x.T @ dq, x.T @ dk, x.T @ dv, mixed.T @ dout)

    params = Head(*(rng.normal(size=shape) for shape in ((4, 3), (4, 3), (4, 3), (3, 4))))
    bugs = (
        "softmax diagonal", "softmax cross term missing", "scale forgotten", "scores not transposed",
        "query and key swapped", "weights not transposed",
    )  # fmt: skip
    return Model("attention head", cost, params, backward, bugs)


def embedding(seed: int) -> Model:
    """A bag of words in which most of the vocabulary never occurs and some words occur twice."""
    rng = np.random.default_rng(seed)
    tokens, labels = np.array([[1, 1, 4], [2, 4, 4], [0, 1, 2]]), np.array([0, 1, 1])

    def cost(p: Any) -> Any:
        scores = np.tanh(p["table"][tokens].sum(1)) @ p["W"]
        return -np.mean(_log_softmax(scores, 1)[np.arange(3), labels])

    def backward(p: Any, bug: str = "") -> Any:
        h = np.tanh(p["table"][tokens].sum(1))
        d = (_softmax(h @ p["W"], 1) - np.eye(2)[labels]) / 3
        dsum = (d @ p["W"].T) * (1 - h**2)
        dtable = np.zeros_like(p["table"])
        if bug == "repeated words overwritten":
            dtable[tokens] = dsum[:, None, :]
        elif bug == "repeated words once":
            for row, delta in zip(tokens, dsum, strict=True):
                dtable[row] += delta
        else:
            np.add.at(dtable, tokens, dsum[:, None, :])
        if bug == "first word is padding":
            dtable[0] = 0
        if bug == "decay on unused words":
            dtable[5:] += 1e-3 * p["table"][5:]
        return {"table": dtable, "W": h.T @ d}

    params = {"table": rng.normal(size=(40, 3)), "W": rng.normal(size=(3, 2))}
    bugs = (
        "repeated words overwritten", "repeated words once", "first word is padding", "decay on unused words",
    )  # fmt: skip
    return Model("embedding", cost, params, backward, bugs)


@dataclass(frozen=True)
class Block:
    """One residual block's parameters."""

    inner: Any
    outer: Any
    bias: Any


def residual(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    x, target = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    softplus, sigmoid = ACTIVATIONS["softplus"]

    def forward(blocks: Any) -> list[Array]:
        states = [x]
        for block in blocks:
            states.append(states[-1] + softplus(states[-1] @ block.inner + block.bias) @ block.outer)
        return states

    def cost(blocks: Any) -> Any:
        return np.sum(np.log(np.cosh(forward(blocks)[-1] - target)))

    def backward(blocks: Any, bug: str = "") -> list[Block]:
        states = forward(blocks)
        d, found = np.tanh(states[-1] - target), []
        for block, state in zip(reversed(blocks), reversed(states[:-1]), strict=True):
            z = state @ block.inner + block.bias
            dz = (d @ block.outer.T) * (np.tanh(z) if bug == "derivative of another function" else sigmoid(z))
            douter = softplus(z).T @ d if bug != "z for its activation" else z.T @ d
            found.append(Block(state.T @ dz, douter, dz.sum(0)))
            through = dz @ block.inner.T
            d = through if bug == "skip forgotten" else d + (0 if bug == "only the skip" else through)
        found.reverse()
        if bug == "blocks exchanged":
            found[0], found[1] = found[1], found[0]
        return found

    params = [Block(*(0.4 * rng.normal(size=s) for s in ((4, 3), (3, 4), (3,)))) for _ in range(3)]
    bugs = (
        "derivative of another function", "z for its activation", "skip forgotten", "only the skip", "blocks exchanged",
    )  # fmt: skip
    return Model("residual net", cost, params, backward, bugs)


def tied_autoencoder(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(7, 5))

    def cost(p: Any) -> Any:
        W, b, c = p
        return np.mean((_sigmoid(X @ W + b) @ W.T + c - X) ** 2)

    def backward(p: Any, bug: str = "") -> tuple[Array, Array, Array]:
        W, b, c = p
        H = _sigmoid(X @ W + b)
        dR = 2 * (H @ W.T + c - X) / X.size
        dZ = (dR @ W) * H * (1 - H)
        encoder, decoder = X.T @ dZ, dR.T @ H
        if bug == "encoder's share missing":
            encoder = 0 * encoder
        if bug == "decoder's share missing":
            decoder = 0 * decoder
        if bug == "shares averaged":
            encoder, decoder = encoder / 2, decoder / 2
        return encoder + decoder, dZ.sum(0), dR.sum(0) if bug != "mean over examples" else dR.mean(0)

    params = (rng.normal(size=(5, 3)), rng.normal(size=3), np.zeros(5))
    bugs = ("encoder's share missing", "decoder's share missing", "shares averaged", "mean over examples")
    return Model("autoencoder with tied weights", cost, params, backward, bugs)


def all_networks(seed: int) -> list[Model]:
    models = []
    for activation in ACTIVATIONS:
        for zero_biases in (True, False):
            for trained in (0, 300):
                name = f"{activation} net, {'zero' if zero_biases else 'random'} biases, {trained} steps"
                models.append(
                    course_mlp(name, activation=activation, zero_biases=zero_biases, trained=trained, seed=seed)
                )
    makers = (
        softmax_regression, convolution, layer_norm, batch_norm, simple_rnn, attention, embedding, residual,
        tied_autoencoder,
    )  # fmt: skip
    return models + [maker(seed) for maker in makers]
