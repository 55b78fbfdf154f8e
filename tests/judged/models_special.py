"""Costs that read or change more than their arguments: live arrays, random masks, caches, single precision."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from models_base import Array, Model
from models_networks import course_mlp


class LiveNet:
    """Parameters are attributes, the forward pass keeps what the backward pass reads, the cost takes no argument."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.X, self.y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
        self.W1, self.b1 = rng.normal(size=(3, 4)), np.zeros(4)
        self.W2, self.b2 = rng.normal(size=(4, 2)), rng.normal(size=2)
        self.cache: dict[str, Array] = {}
        self.calls = 0
        self.fail_at = -1
        self.failure: type[BaseException] = KeyboardInterrupt

    @property
    def params(self) -> dict[str, Array]:
        return {"W1": self.W1, "b1": self.b1, "W2": self.W2, "b2": self.b2}

    def cost(self) -> float:
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.failure("stopped")
        h = np.tanh(self.X @ self.W1 + self.b1)
        error = h @ self.W2 + self.b2 - self.y
        self.cache = {"h": h, "error": error}
        return float(0.5 * np.sum(error**2) / len(self.X))

    def backward(self, bug: str = "") -> dict[str, Array]:
        self.cost()
        h, d = self.cache["h"], self.cache["error"] / len(self.X)
        dz = (d @ self.W2.T) * (1 - h**2 if bug != "derivative missing" else 1)
        return {"dW1": self.X.T @ dz, "db1": dz.sum(0), "dW2": h.T @ d, "db2": d.sum(0)}


class DropoutNet:
    """Masks are drawn within the cost, from a Generator or from NumPy's global state."""

    def __init__(self, seed: int, generator: np.random.Generator | None) -> None:
        rng = np.random.default_rng(seed)
        self.X, self.y, self.generator = rng.normal(size=(8, 3)), rng.normal(size=8), generator
        self.params = {"W": rng.normal(size=(3, 6)), "v": rng.normal(size=6)}

    def mask(self) -> Array:
        draws = np.random.rand(8, 6) if self.generator is None else self.generator.random((8, 6))  # noqa: NPY002
        return (draws < 0.7) / 0.7

    def run(self, p: Mapping[str, Any], bug: str = "") -> tuple[float, dict[str, Array]]:
        mask = self.mask()
        h = np.tanh(self.X @ p["W"])
        d = h * mask @ p["v"] - self.y
        through = np.outer(d, p["v"]) * (1 if bug == "mask missing" else mask)
        if bug == "scale missing":
            through = np.outer(d, p["v"]) * (mask > 0)
        return 0.5 * float(d @ d), {"W": self.X.T @ (through * (1 - h**2)), "v": (h * mask).T @ d}

    def cost(self, p: Mapping[str, Any]) -> float:
        return self.run(p)[0]

    def backward(self, bug: str) -> Callable[[Mapping[str, Any]], dict[str, Array]]:
        return lambda p: self.run(p, bug)[1]


def single_precision(seed: int) -> list[Model]:
    return [
        course_mlp(f"{act} net in single precision", activation=act, zero_biases=False, trained=0, seed=seed,
                   dtype=np.float32)
        for act in ("tanh", "softplus")
    ]  # fmt: skip
