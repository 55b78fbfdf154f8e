"""The checkers of SciPy, autograd, JAX and TensorFlow beside gradproof, on the same ReLU networks, in one run.

The decision it rests on: a ReLU network is what people train, and where fixed steps cross kinks. All are given the same
planted mistakes in float64, with their defaults: SciPy's and autograd's a hand-written gradient in NumPy, those of JAX
and TensorFlow a rule around the whole cost in their own arrays. Who needs two evaluations an element is asked on the
smallest networks alone.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax_checkers
import numpy as np
import tensorflow_checkers
from peers import Slope, Value, autograd_check_grads, gradproof_check, scipy_check_grad
from problems import Array
from running import arguments, each, table, write

SIZES = {"10k": (40, 100, 50, 16), "100k": (64, 256, 256, 64), "1M": (128, 768, 1024, 96)}
EXAMPLES, WEIGHT_DECAY = 128, 1e-3
#: Those who make evaluations for each element, and the most parameters that they are asked about.
SLOW = ("scipy check_grad", "tensorflow compute_gradient")
ASKED = 10_000
Grads = dict[str, Array]


def one_entry(g: Grads, p: Grads) -> Grads:
    """One entry of a weight doubled: a large one, so that it matters."""
    W = g["W1"].copy()
    W.reshape(-1)[np.argmax(np.abs(W))] *= 2.0
    return g | {"W1": W}


PLANTS: dict[str, Callable[[Grads, Grads], Grads]] = {
    "right": lambda g, p: g,
    "one entry doubled": one_entry,
    "one tensor +1%": lambda g, p: g | {"W2": g["W2"] * 1.01},
    "one bias zero": lambda g, p: g | {"b1": np.zeros_like(g["b1"])},
    "sign of one layer": lambda g, p: g | {"W3": -g["W3"]},
    "no weight decay": lambda g, p: {k: v - WEIGHT_DECAY * p[k] if k[0] == "W" else v for k, v in g.items()},
}


@dataclass(frozen=True)
class Item:
    """One network with one planted mistake, and who is asked."""

    checker: str
    size: str
    plant: str
    seed: int


def numpy_network(item: Item) -> tuple[Value, Slope, Array]:
    """Cost and gradient of the flat vector of the parameters, and the point."""
    rng = np.random.default_rng(item.seed)
    sizes = SIZES[item.size]
    depth = len(sizes) - 1
    shapes = {
        f"{kind}{i}": ((below, above) if kind == "W" else (below,))
        for i, (above, below) in enumerate(itertools.pairwise(sizes), start=1)
        for kind in "Wb"
    }
    scale = {name: np.sqrt(2 / shape[1]) if len(shape) == 2 else 0.1 for name, shape in shapes.items()}
    x = np.concatenate([scale[n] * rng.standard_normal(int(np.prod(s))) for n, s in shapes.items()])
    X, labels = rng.standard_normal((EXAMPLES, sizes[0])), rng.integers(0, sizes[-1], EXAMPLES)
    ends = np.cumsum([int(np.prod(s)) for s in shapes.values()])[:-1]

    def parts(flat: Array) -> Grads:
        pieces = np.split(flat, ends)
        return {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}

    def forward(p: Grads) -> list[Array]:
        layers = [X]
        for i in range(1, depth + 1):
            Z = layers[-1] @ p[f"W{i}"].T + p[f"b{i}"]
            layers.append(np.maximum(Z, 0) if i < depth else Z)
        return layers

    def value(flat: Array) -> float:
        p = parts(flat)
        Z = forward(p)[-1]
        top = Z.max(axis=1, keepdims=True)
        loss = np.mean(np.log(np.exp(Z - top).sum(axis=1)) + top[:, 0] - Z[np.arange(EXAMPLES), labels])
        return float(loss + WEIGHT_DECAY / 2 * sum(np.sum(p[f"W{i}"] ** 2) for i in range(1, depth + 1)))

    def slope(flat: Array) -> Array:
        p = parts(flat)
        layers = forward(p)
        delta = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(EXAMPLES), labels] -= 1.0
        delta /= EXAMPLES
        g: Grads = {}
        for i in range(depth, 0, -1):
            g[f"W{i}"] = delta.T @ layers[i - 1] + WEIGHT_DECAY * p[f"W{i}"]
            g[f"b{i}"] = delta.sum(axis=0)
            delta = (delta @ p[f"W{i}"]) * (layers[i - 1] > 0)
        spoilt = PLANTS[item.plant](g, p)
        return np.concatenate([spoilt[name].reshape(-1) for name in shapes])

    return value, slope, x


def in_numpy(checker: Callable[[Value, Array, Slope, int], object]) -> Callable[[Item], str]:
    """A checker of functions of a flat vector."""

    def ask(item: Item) -> str:
        value, slope, x = numpy_network(item)
        return str(getattr(checker(value, x, slope, item.seed), "verdict", ""))

    return ask


def jax_check_grads(item: Item) -> str:
    """``jax.test_util.check_grads`` in float64."""
    passed, _ = jax_checkers.theirs(jax_checkers.Item(item.size, "float64", item.plant, item.seed))
    return "correct" if passed else "wrong"


def tensorflow_compute_gradient(item: Item) -> str:
    """``tf.test.compute_gradient`` in float64, read at 1e-4."""
    asked = tensorflow_checkers.Item(item.size, "float64", item.plant, item.seed, theirs=True)
    return "correct" if tensorflow_checkers.theirs(asked)[0] else "wrong"


CHECKERS: dict[str, Callable[[Item], str]] = {
    "gradproof": in_numpy(gradproof_check),
    "autograd check_grads": in_numpy(autograd_check_grads),
    "jax check_grads": jax_check_grads,
    "scipy check_grad": in_numpy(scipy_check_grad),
    "tensorflow compute_gradient": tensorflow_compute_gradient,
}


def answered(item: Item) -> tuple[Item, str, float]:
    """What one checker says of one network, and how long it takes."""
    began = time.perf_counter()
    return item, CHECKERS[item.checker](item), time.perf_counter() - began


def main() -> int:
    """Runs all of it and prints the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--networks", type=int, default=3, help="networks of each kind (default 3)")
    settings: argparse.Namespace = parser.parse_args()
    sizes, count = (["10k"], 1) if settings.short else (list(SIZES), settings.networks)
    work = [
        Item(checker, size, plant, 30_000 + 1000 * settings.seed + i)
        for checker in CHECKERS
        for size in sizes
        for plant in PLANTS
        for i in range(1 if checker in SLOW else count)
        if size == "10k" or checker not in SLOW
    ]
    seen = list(each(answered, work, settings.workers))
    rows = []
    for size in sizes:
        for plant in PLANTS:
            row: list[object] = [f"{size}, {plant}"]
            for checker in CHECKERS:
                some = [(said, s) for item, said, s in seen
                        if (item.checker, item.size, item.plant) == (checker, size, plant)]  # fmt: skip
                right = "correct" if plant == "right" else "wrong"
                row.append(f"{sum(said == right for said, _ in some)} of {len(some)}" if some else "-")
                row.append(median(s for _, s in some) if some else None)
            rows.append(row)
    headers = ["network", *(h for checker in CHECKERS for h in (checker, "s"))]
    table("Right answers on ReLU networks in float64", headers, rows)
    write(settings.json, "relu_checkers", settings, {"rows": rows, "headers": headers})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
