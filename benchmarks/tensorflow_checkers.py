"""tf.test.compute_gradient and gradproof side by side on ReLU networks, right and with planted errors.

The decision it rests on: the network's gradient is a tape's; a planted error is a tf.custom_gradient around the whole
cost whose backward pass spoils that gradient. compute_gradient returns two Jacobians and leaves the decision to its
caller; it is taken to pass where they differ by less than 1e-4 everywhere, the bound of most of TensorFlow's own tests.
It makes two evaluations an element, which is why it is given the small networks alone.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from running import arguments, each, table, write

import gradproof as gp

#: Layers by the number of parameters, about.
SIZES = {"1k": (12, 30, 16, 8), "10k": (40, 100, 50, 16), "100k": (64, 256, 256, 64), "1M": (128, 768, 1024, 96)}
#: Sizes that compute_gradient is given: at the next one it takes minutes a network.
THEIRS = ("1k", "10k")
EXAMPLES, WEIGHT_DECAY, BOUND = 128, 1e-3, 1e-4
Params = dict[str, Any]


def one_entry(g: Params, p: Params) -> Params:
    """One entry of a weight doubled: a large one, so that it matters."""
    flat = tf.reshape(g["W1"], [-1])
    place = tf.argmax(tf.abs(flat))
    factor = 1 + tf.one_hot(place, flat.shape[0], dtype=flat.dtype)
    return g | {"W1": tf.reshape(flat * factor, g["W1"].shape)}


PLANTS: dict[str, Callable[[Params, Params], Params]] = {
    "right": lambda g, p: g,
    "one entry doubled": one_entry,
    "one tensor +1%": lambda g, p: g | {"W2": g["W2"] * 1.01},
    "one bias zero": lambda g, p: g | {"b1": tf.zeros_like(g["b1"])},
    "sign of one layer": lambda g, p: g | {"W3": -g["W3"]},
    "no weight decay": lambda g, p: {k: v - WEIGHT_DECAY * p[k] if k[0] == "W" else v for k, v in g.items()},
}


@dataclass(frozen=True)
class Item:
    """One network with one planted error, in one precision."""

    size: str
    dtype: str
    plant: str
    seed: int
    theirs: bool


@dataclass(frozen=True)
class Seen:
    """What both said: whether compute_gradient agreed, gradproof's verdict, evaluations, and the seconds of both."""

    item: Item
    passed: bool | None
    verdict: str
    evaluations: int
    seconds: tuple[float, float]


def network(item: Item) -> tuple[Params, Any, Any]:
    """Parameters, inputs and labels; He's initialisation."""
    rng = np.random.default_rng(item.seed)
    sizes, params = SIZES[item.size], {}
    for i, (above, below) in enumerate(itertools.pairwise(sizes), start=1):
        params[f"W{i}"] = tf.cast(tf.constant(rng.standard_normal((below, above)) * np.sqrt(2 / above)), item.dtype)
        params[f"b{i}"] = tf.cast(tf.constant(0.1 * rng.standard_normal(below)), item.dtype)
    X = tf.cast(tf.constant(rng.standard_normal((EXAMPLES, sizes[0]))), item.dtype)
    return params, X, tf.constant(rng.integers(0, sizes[-1], EXAMPLES))


def cost_of(item: Item, X: Any, labels: Any) -> Callable[..., Any]:
    """The cost of the parameters, one argument each in their order, with the planted backward pass."""
    count = len(SIZES[item.size]) - 1
    names = [f"{kind}{i}" for i in range(1, count + 1) for kind in "Wb"]

    def plain(*values: Any) -> Any:
        params, A = dict(zip(names, values, strict=True)), tf.cast(X, values[0].dtype)
        for i in range(1, count + 1):
            A = A @ tf.transpose(params[f"W{i}"]) + params[f"b{i}"]
            A = tf.nn.relu(A) if i < count else A
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, A))
        return loss + WEIGHT_DECAY / 2 * tf.add_n([tf.reduce_sum(params[n] ** 2) for n in names if n[0] == "W"])

    def cost(*values: Any) -> Any:
        def back(v: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(values)
                value = plain(*values)
            found = dict(zip(names, tape.gradient(value, values), strict=True))
            spoilt = PLANTS[item.plant](found, dict(zip(names, values, strict=True)))
            return [v * spoilt[name] for name in names]

        return plain(*values), back

    ruled: Callable[..., Any] = tf.custom_gradient(cost)
    return ruled


def theirs(item: Item) -> tuple[bool, float]:
    """Whether compute_gradient finds both Jacobians of one network alike, and its seconds."""
    params, X, labels = network(item)
    compiled = tf.function(cost_of(item, X, labels))
    began = time.perf_counter()
    theoretical, numerical = tf.test.compute_gradient(compiled, list(params.values()))
    pairs = zip(theoretical, numerical, strict=True)
    passed = max(float(np.abs(a - b).max()) for a, b in pairs) < BOUND
    return passed, time.perf_counter() - began


def check(item: Item) -> Seen:
    """Both checkers on one network."""
    passed, seconds = theirs(item) if item.theirs else (None, float("nan"))
    params, X, labels = network(item)
    cost = cost_of(item, X, labels)
    began = time.perf_counter()
    report = gp.check(lambda p: cost(*p.values()), params)
    return Seen(item, passed, str(report.verdict), report.evaluations, (seconds, time.perf_counter() - began))


def main() -> int:
    """Runs all of it and prints the tables."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--networks", type=int, default=5, help="networks of each kind (default 5)")
    parser.add_argument("--sizes", default="1k,10k,100k,1M", help="some of 1k,10k,100k,1M (default all)")
    settings: argparse.Namespace = parser.parse_args()
    count, sizes = (1, ["1k"]) if settings.short else (settings.networks, settings.sizes.split(","))
    kinds = list(itertools.product(sizes, ("float64", "float32"), PLANTS))
    work = [
        Item(*kind, 20_000 + 1000 * settings.seed + i, kind[0] == "1k" or (kind[0] in THEIRS and i == 0))
        for kind in kinds
        for i in range(count)
    ]
    seen = list(each(check, work, settings.workers))
    rows = []
    for size, dtype, plant in kinds:
        some = [s for s in seen if (s.item.size, s.item.dtype, s.item.plant) == (size, dtype, plant)]
        said, asked = [s.verdict for s in some], [s for s in some if s.passed is not None]
        rows.append([
            f"{size} {dtype}, {plant}", len(some), f"{sum(bool(s.passed) for s in asked)} of {len(asked)}",
            said.count("correct"), said.count("undecided"), said.count("wrong"), median(s.evaluations for s in some),
            median(s.seconds[0] for s in asked) if asked else None, median(s.seconds[1] for s in some),
        ])  # fmt: skip
    headers = ["networks", "number", "compute_gradient agrees", "correct", "undecided", "wrong", "evaluations",
               "s compute_gradient", "s gradproof"]  # fmt: skip
    table("compute_gradient and gradproof on ReLU networks", headers, rows)
    write(settings.json, "tensorflow_checkers", settings, {"rows": rows, "headers": headers})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
