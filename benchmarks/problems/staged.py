"""Networks whose planted faults only large parameters show, each with its right twin.

The decision it rests on: at initialisation the wrong gradient is the right one, to well below any tolerance, so that
whoever looks there alone must miss it. A kind is a hidden activation, a loss and what is done to the gradient at the
end, each with the derivative that is right and the one that is wrong; everything else is shared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.core import Array, Params

Function = Callable[[Array], Array]
#: (Z, Y) to the loss of each example, or to its derivative with respect to Z.
LossFunction = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        regimes: the names of the regime that are right.
        scale: how much the parameters are blown up for it to show.
        activation: the hidden layer's.
        slope: its derivative.
        loss: of each example, from the output Z.
        delta: its derivative with respect to Z.
        wrong_slope: the derivative that is wrong for large values.
        wrong_delta: the loss's derivative that is.
        end: what is done to the gradient at the end, wrongly.
        penalty: a further term of the cost; its gradient is what is left out wrongly.
        targets: how targets are drawn.
    """

    regimes: frozenset[str]
    scale: float = 10.0
    activation: Function = np.tanh
    slope: Function = lambda z: 1.0 - np.tanh(z) ** 2
    loss: LossFunction = lambda z, y: np.sum((z - y) ** 2, axis=0) / 2.0
    delta: LossFunction = lambda z, y: z - y
    wrong_slope: Function | None = None
    wrong_delta: LossFunction | None = None
    end: Callable[[Params], Params] | None = None
    penalty: tuple[Callable[[Params], float], Callable[[Params], Params]] | None = None
    targets: str = "normal"


@dataclass(frozen=True)
class Staged:
    """One network with its data.

    Attributes:
        kind: what is planted.
        X: inputs, one a column.
        Y: targets.
    """

    kind: Kind
    X: Array
    Y: Array

    def cost(self, params: Params) -> Any:
        """The mean loss over the examples."""
        Z2 = self._forward(params)[2]
        total = np.mean(self.kind.loss(Z2, self.Y))
        return total + self.kind.penalty[0](params) if self.kind.penalty else total

    def grads(self, params: Params) -> Params:
        """The right gradient."""
        return self._backward(params, wrong=False)

    def wrong(self, params: Params) -> Params:
        """The planted one."""
        return self._backward(params, wrong=True)

    def _forward(self, params: Params) -> tuple[Array, Array, Array]:
        Z1 = params["W1"] @ self.X + params["b1"]
        A1 = self.kind.activation(Z1)
        return Z1, A1, params["W2"] @ A1 + params["b2"]

    def _backward(self, params: Params, *, wrong: bool) -> Params:
        kind = self.kind
        slope = kind.wrong_slope if wrong and kind.wrong_slope else kind.slope
        delta = kind.wrong_delta if wrong and kind.wrong_delta else kind.delta
        Z1, A1, Z2 = self._forward(params)
        dZ2 = delta(Z2, self.Y) / self.X.shape[1]
        dZ1 = (params["W2"].T @ dZ2) * slope(Z1)
        grads = {
            "W1": dZ1 @ self.X.T,
            "b1": dZ1.sum(axis=1, keepdims=True),
            "W2": dZ2 @ A1.T,
            "b2": dZ2.sum(axis=1, keepdims=True),
        }
        if kind.penalty and not wrong:
            grads = {name: grad + kind.penalty[1](params)[name] for name, grad in grads.items()}
        return kind.end(grads) if wrong and kind.end else grads


def staged(name: str, seed: int, sizes: tuple[int, int, int] = (6, 8, 3), examples: int = 20) -> tuple[Staged, Params]:
    """A network of a kind, and its parameters at initialisation."""
    kind, rng = STAGED[name], np.random.default_rng([seed, 41])
    inputs, hidden, outputs = sizes
    X = rng.standard_normal((inputs, examples))
    Y: Array
    if kind.targets == "one-hot":
        Y = np.eye(outputs)[:, rng.integers(0, outputs, examples)]
    elif kind.targets == "signs":
        Y = rng.choice([-1.0, 1.0], (outputs, examples))
    elif kind.targets == "bits":
        Y = rng.integers(0, 2, (outputs, examples)) * 1.0
    elif kind.targets == "high":
        Y = 6.0 + rng.random((outputs, examples))
    else:
        Y = rng.standard_normal((outputs, examples))
    params = {
        "W1": 0.5 * rng.standard_normal((hidden, inputs)) / np.sqrt(inputs),
        "b1": 0.1 * rng.standard_normal((hidden, 1)),
        "W2": 0.5 * rng.standard_normal((outputs, hidden)) / np.sqrt(hidden),
        "b2": 0.1 * rng.standard_normal((outputs, 1)),
    }
    return Staged(kind, X, Y), params


def _sigmoid(z: Array) -> Array:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z > 0, 1.0, small) / (1.0 + small))


def _softplus(z: Array) -> Array:
    return np.asarray(np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))))


def _softmax(z: Array) -> Array:
    weights = np.exp(z - z.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0)))


def _cross_entropy(z: Array, y: Array) -> Array:
    return np.asarray(-np.sum(y * _log_softmax(z), axis=0))


def _naive_softmax(z: Array) -> Array:
    weights = np.exp(z)
    return np.asarray(np.nan_to_num(weights / weights.sum(axis=0)))


def _bernoulli(z: Array, y: Array) -> Array:
    return np.asarray(np.sum(_softplus(z) - y * z, axis=0))


def _bernoulli_through_a(z: Array, y: Array) -> Array:
    a = _sigmoid(z)
    return np.asarray(np.nan_to_num(((1 - y) / (1 - a) - y / a) * a * (1 - a), posinf=0.0, neginf=0.0))


def _stabilised(epsilon: float) -> dict[str, Any]:
    """-log(p + epsilon)."""

    def delta(z: Array, y: Array) -> Array:
        p = _softmax(z)
        known = np.sum(y * p, axis=0)
        return np.asarray((p - y) * known / (known + epsilon))

    return {
        "loss": lambda z, y: -np.log(np.sum(y * _softmax(z), axis=0) + epsilon),
        "delta": delta,
        "wrong_delta": lambda z, y: _softmax(z) - y,
        "targets": "one-hot",
    }


def _clamped(least: float) -> dict[str, Any]:
    """-log(max(p, least))."""
    return {
        "loss": lambda z, y: -np.maximum(np.sum(y * _log_softmax(z), axis=0), np.log(least)),
        "delta": lambda z, y: (_softmax(z) - y) * (np.sum(y * _log_softmax(z), axis=0) > np.log(least)),
        "wrong_delta": lambda z, y: _softmax(z) - y,
        "targets": "one-hot",
    }


def _huber(bound: float) -> dict[str, Any]:
    def loss(z: Array, y: Array) -> Array:
        r = np.abs(z - y)
        return np.asarray(np.sum(np.where(r < bound, r**2 / 2, bound * (r - bound / 2)), axis=0))

    return {"loss": loss, "delta": lambda z, y: np.clip(z - y, -bound, bound), "wrong_delta": lambda z, y: z - y}


def _elementwise(bound: float) -> Callable[[Params], Params]:
    return lambda grads: {name: np.clip(grad, -bound, bound) for name, grad in grads.items()}


def _norm(bound: float) -> Callable[[Params], Params]:
    def end(grads: Params) -> Params:
        size = np.sqrt(sum(float(np.sum(grad**2)) for grad in grads.values()))
        return {name: grad * min(1.0, bound / size) for name, grad in grads.items()}

    return end


def _max_norm(bound: float, weight: float) -> tuple[Callable[[Params], float], Callable[[Params], Params]]:
    def term(params: Params) -> float:
        return float(weight * max(0.0, float(np.linalg.norm(params["W1"])) - bound) ** 2)

    def gradient(params: Params) -> Params:
        size = float(np.linalg.norm(params["W1"]))
        pull = 2.0 * weight * max(0.0, size - bound) / size
        return {name: (pull * value if name == "W1" else 0.0 * value) for name, value in params.items()}

    return term, gradient


def _swish(z: Array) -> Array:
    return np.asarray(z * _sigmoid(z))


def _swish_slope(z: Array) -> Array:
    s = _sigmoid(z)
    return np.asarray(s + z * s * (1 - s))


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


STAGED: Mapping[str, Kind] = {
    "relu6 without its upper side": Kind(
        _of("kink"),
        activation=lambda z: np.clip(z, 0.0, 6.0),
        slope=lambda z: ((z > 0) & (z < 6)) * 1.0,
        wrong_slope=lambda z: (z > 0) * 1.0,
    ),
    "hard tanh without its bounds": Kind(
        _of("kink"),
        activation=lambda z: np.clip(z, -4.0, 4.0),
        slope=lambda z: (np.abs(z) < 4) * 1.0,
        wrong_slope=np.ones_like,
    ),
    "logits clipped in the cost": Kind(
        _of("kink"), 20.0,
        loss=lambda z, y: _cross_entropy(np.clip(z, -8.0, 8.0), y),
        delta=lambda z, y: (_softmax(np.clip(z, -8.0, 8.0)) - y) * (np.abs(z) < 8),
        wrong_delta=lambda z, y: _softmax(np.clip(z, -8.0, 8.0)) - y,
        targets="one-hot",
    ),
    "pinball loss with one side": Kind(
        _of("kink"), 20.0,
        loss=lambda z, y: np.sum(np.where(y > z, 0.8 * (y - z), 0.2 * (z - y)), axis=0),
        delta=lambda z, y: np.where(y > z, -0.8, 0.2),
        wrong_delta=lambda z, y: np.full(z.shape, -0.8),
        targets="high",
    ),
    "hinge loss without its indicator": Kind(
        _of("kink"), 10.0,
        loss=lambda z, y: np.sum(np.maximum(0.0, 4.0 - y * z), axis=0),
        delta=lambda z, y: -y * (y * z < 4),
        wrong_delta=lambda z, y: -y,
        targets="signs",
    ),
    "rate of a Poisson loss bounded in the cost": Kind(
        _of("kink"), 10.0,
        loss=lambda z, y: np.sum(np.exp(np.minimum(z, 4.0)) - y * z, axis=0),
        delta=lambda z, y: np.exp(np.minimum(z, 4.0)) * (z < 4) - y,
        wrong_delta=lambda z, y: np.exp(np.minimum(z, 4.0)) - y,
    ),
    "clamped probability": Kind(_of("kink", "stabiliser"), 20.0, **_clamped(1e-5)),
    "Huber loss without its linear part": Kind(_of("branch"), 20.0, **_huber(5.0)),
    "softplus slope rounded to 1": Kind(
        _of("branch"), activation=_softplus, slope=_sigmoid, wrong_slope=lambda z: np.where(z > 4, 1.0, _sigmoid(z))
    ),
    "tanh slope cut to 0": Kind(
        _of("branch", "saturation"), wrong_slope=lambda z: np.where(np.abs(z) > 3, 0.0, 1 - np.tanh(z) ** 2)
    ),
    "swish slope beyond a threshold": Kind(
        _of("branch"), activation=_swish, slope=_swish_slope,
        wrong_slope=lambda z: np.where(z > 4, 1.0, _swish_slope(z))
    ),
    "tanh slope from a bounded table": Kind(
        _of("branch", "clipping"), wrong_slope=lambda z: 1 - np.tanh(np.clip(z, -3.0, 3.0)) ** 2
    ),
    "penalty beyond a norm left out": Kind(_of("branch"), penalty=_max_norm(6.0, 0.3)),
    "constant inside a logarithm": Kind(_of("stabiliser"), 20.0, **_stabilised(1e-9)),
    "elements clipped": Kind(_of("clipping"), 20.0, end=_elementwise(5.0)),
    "norm clipped": Kind(_of("clipping"), 20.0, end=_norm(20.0)),
    "softmax that overflows": Kind(
        _of("overflow"), 3000.0, loss=_cross_entropy, delta=lambda z, y: _softmax(z) - y,
        wrong_delta=lambda z, y: _naive_softmax(z) - y, targets="one-hot",
    ),
    "sigmoid slope that overflows": Kind(
        _of("overflow"), 1000.0, activation=_softplus, slope=_sigmoid,
        wrong_slope=lambda z: np.nan_to_num(np.exp(z) / (1.0 + np.exp(z))),
    ),
    "cross-entropy through a saturated output": Kind(
        _of("saturation", "overflow"), 60.0, loss=_bernoulli, delta=lambda z, y: _sigmoid(z) - y,
        wrong_delta=_bernoulli_through_a, targets="bits",
    ),
    "residual through a narrow type": Kind(
        _of("overflow"), 4000.0,
        wrong_delta=lambda z, y: np.where(np.isfinite(np.float16(1e3) * (z - y).astype(np.float16)), z - y, 0.0),
    ),
}  # fmt: skip
