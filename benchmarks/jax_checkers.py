"""jax.test_util.check_grads and gradproof side by side on ReLU networks, right and with planted errors.

The decision it rests on: the network's gradient is jax.grad's; a planted error is a jax.custom_vjp around the whole
cost whose backward pass spoils that gradient. Both checkers are given the same function, in float64 (with 64 bits
switched on, as check_grads needs) and in float32, with their defaults. Times include what each compiles.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads
from running import arguments, each, table, write

import gradproof as gp

#: Layers by the number of parameters, about.
SIZES = {"10k": (40, 100, 50, 16), "100k": (64, 256, 256, 64), "1M": (128, 768, 1024, 96)}
EXAMPLES, WEIGHT_DECAY = 128, 1e-3
Params = dict[str, Any]


def one_entry(g: Params, p: Params) -> Params:
    """One entry of a weight doubled: a large one, so that it matters."""
    flat = g["W1"].reshape(-1)
    place = jnp.argmax(jnp.abs(flat))
    return g | {"W1": flat.at[place].multiply(2.0).reshape(g["W1"].shape)}


PLANTS: dict[str, Callable[[Params, Params], Params]] = {
    "right": lambda g, p: g,
    "one entry doubled": one_entry,
    "one tensor +1%": lambda g, p: g | {"W2": g["W2"] * 1.01},
    "one bias zero": lambda g, p: g | {"b1": jnp.zeros_like(g["b1"])},
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


@dataclass(frozen=True)
class Seen:
    """What both said: whether check_grads passed, gradproof's verdict, and the seconds of both."""

    item: Item
    passed: bool
    verdict: str
    seconds: tuple[float, float]


def network(item: Item) -> tuple[Params, Any, Any]:
    """Parameters, inputs and labels; He's initialisation."""
    rng = np.random.default_rng(item.seed)
    sizes, params = SIZES[item.size], {}
    for i, (above, below) in enumerate(itertools.pairwise(sizes), start=1):
        params[f"W{i}"] = jnp.asarray(rng.standard_normal((below, above)) * np.sqrt(2 / above), item.dtype)
        params[f"b{i}"] = jnp.asarray(0.1 * rng.standard_normal(below), item.dtype)
    X = jnp.asarray(rng.standard_normal((EXAMPLES, sizes[0])), item.dtype)
    return params, X, jnp.asarray(rng.integers(0, sizes[-1], EXAMPLES))


def cost_of(item: Item, X: Any, labels: Any) -> Callable[[Params], Any]:
    """The cost with the planted backward pass, compiled."""

    def cost(params: Params) -> Any:
        A, depth = X, len(params) // 2
        for i in range(1, depth + 1):
            A = A @ params[f"W{i}"].T + params[f"b{i}"]
            A = jax.nn.relu(A) if i < depth else A
        loss = -jnp.mean(jax.nn.log_softmax(A)[jnp.arange(EXAMPLES), labels])
        return loss + WEIGHT_DECAY / 2 * sum(jnp.sum(W**2) for name, W in params.items() if name[0] == "W")

    def backward(params: Params, v: Any) -> tuple[Params]:
        spoilt = PLANTS[item.plant](jax.grad(cost)(params), params)
        return ({name: v * g for name, g in spoilt.items()},)

    ruled = jax.custom_vjp(cost)
    ruled.defvjp(lambda params: (cost(params), params), backward)
    compiled: Callable[[Params], Any] = jax.jit(ruled)
    return compiled


def theirs(item: Item) -> tuple[bool, float]:
    """Whether check_grads passes one network, and its seconds."""
    with jax.enable_x64(True) if item.dtype == "float64" else nullcontext():
        params, X, labels = network(item)
        began = time.perf_counter()
        try:
            check_grads(cost_of(item, X, labels), (params,), order=1, modes=("rev",))
            passed = True
        except AssertionError:
            passed = False
        return passed, time.perf_counter() - began


def check(item: Item) -> Seen:
    """Both checkers on one network."""
    passed, seconds = theirs(item)
    with jax.enable_x64(True) if item.dtype == "float64" else nullcontext():
        params, X, labels = network(item)
        cost = cost_of(item, X, labels)
        began = time.perf_counter()
        report = gp.check(cost, params, jax.jit(jax.grad(cost)))
        return Seen(item, passed, str(report.verdict), (seconds, time.perf_counter() - began))


def main() -> int:
    """Runs all of it and prints the tables."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--networks", type=int, default=10, help="networks of each kind (default 10)")
    parser.add_argument("--sizes", default="10k,100k", help="some of 10k,100k,1M (default 10k,100k)")
    settings: argparse.Namespace = parser.parse_args()
    count, sizes = (1, ["10k"]) if settings.short else (settings.networks, settings.sizes.split(","))
    kinds = list(itertools.product(sizes, ("float64", "float32"), PLANTS))
    work = [Item(*kind, 10_000 + 1000 * settings.seed + i) for kind in kinds for i in range(count)]
    seen = list(each(check, work, settings.workers))
    rows = []
    for size, dtype, plant in kinds:
        some = [s for s in seen if (s.item.size, s.item.dtype, s.item.plant) == (size, dtype, plant)]
        said = [s.verdict for s in some]
        rows.append([
            f"{size} {dtype}, {plant}", len(some), sum(s.passed for s in some), said.count("correct"),
            said.count("undecided"), said.count("wrong"), *(median(s.seconds[i] for s in some) for i in range(2)),
        ])  # fmt: skip
    headers = [
        "networks",
        "number",
        "check_grads passes",
        "correct",
        "undecided",
        "wrong",
        "s check_grads",
        "s gradproof",
    ]
    table("check_grads and gradproof on ReLU networks", headers, rows)
    write(settings.json, "jax_checkers", settings, {"rows": rows, "headers": headers})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
