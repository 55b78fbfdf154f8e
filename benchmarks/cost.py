"""What a check costs: evaluations and seconds, against going through the parameters one by one.

The decision it rests on: the seconds of a check are held against the seconds of as many bare evaluations of the same
cost in the same process, so that what the checker itself takes is seen; what is extrapolated says so.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from running import THREADS

os.environ.update(dict.fromkeys(THREADS, "1"))

import numpy as np
from peers import course_quotients
from problems import Array, Problem, classifier, plant, residual_network
from running import arguments, table, write

import gradproof as gp

SIZES = {"10k": (60, 80, 50, 20, 3), "100k": (200, 300, 120, 30, 3), "1M": (1000, 700, 400, 60, 3)}
STEPS = {"10k": 300, "100k": 300, "1M": 100}
# The slow checkers are timed on this many components and extrapolated to all.
COMPONENTS = {"10k": 1000, "100k": 200, "1M": 30}
TENSORS = 200
SMALL = 50_000
FIGURES = (
    "parameters",
    "verdict",
    "evaluations",
    "high",
    "seconds",
    "bare",
    "ratio",
    "busy",
    "gradients",
    "own",
    "fresh",
)
REPETITIONS, REPETITIONS_SMALL = 5, 25


def vector_cost(problem: Problem) -> tuple[Any, Array]:
    """The cost of the flat vector, as the course notes and SciPy want it."""
    shapes = [(name, value.shape, value.size) for name, value in problem.params.items()]

    def value(x: Array) -> float:
        params, start = {}, 0
        for name, shape, size in shapes:
            params[name] = x[start : start + size].reshape(shape)
            start += size
        return float(problem.cost(params))

    return value, np.concatenate([value.ravel() for value in problem.params.values()])


def loop_seconds(problem: Problem, components: int) -> float:
    """Seconds of the course notes' loop over all parameters, extrapolated from some."""
    value, x = vector_cost(problem)
    start = time.perf_counter()
    course_quotients(value, x, range(components))
    return (time.perf_counter() - start) * x.size / components


def scipy_seconds(problem: Problem, components: int) -> float:
    """Seconds of ``approx_fprime`` over all parameters, extrapolated from some."""
    from scipy.optimize import approx_fprime

    value, x = vector_cost(problem)
    start = time.perf_counter()
    approx_fprime(x[:components], lambda part: value(np.concatenate([part, x[components:]])))
    return (time.perf_counter() - start) * x.size / components


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What some work returns, its seconds, and those of them that the processor spent on it."""
    start, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - start, time.process_time() - busy


def bare(problem: Problem, evaluations: int) -> None:
    """So many evaluations of the cost and nothing else."""
    for _ in range(evaluations):
        problem.cost(problem.params)


def gradients_of(problem: Problem, grads: Any, seed: int) -> int:
    """How often a check calls the claimed gradient."""
    calls = []

    def counted(params: Any) -> Any:
        calls.append(1)
        return grads(params)

    gp.check(problem.cost, problem.params, counted, seed=seed)
    return len(calls)


def claimed(problem: Problem, grads: Any, count: int) -> None:
    """So many calls of the claimed gradient and nothing else."""
    for _ in range(count):
        grads(problem.params)


def fresh(problem: Problem, grads: Any, seed: int) -> float:
    """The same ratio for checks with seeds of their own, none of whose random numbers were drawn before."""
    ratios = []
    for offset in range(1, 1 + (REPETITIONS if problem.size > SMALL else REPETITIONS_SMALL)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report, _, busy = timed(partial(gp.check, problem.cost, problem.params, grads, seed=seed + 1000 * offset))
        ratios.append(busy / timed(partial(bare, problem, report.evaluations))[2])
    return statistics.median(ratios)


def measured(problem: Problem, grads: Any, seed: int) -> dict[str, Any]:
    """One check in numbers; the seconds are medians of repetitions in which check and bare evaluations take turns.

    Where other work keeps the machine busy, the ratio of the processor's own seconds is the one to go by.
    """
    problem.cost(problem.params)
    calls = gradients_of(problem, grads, seed)
    checks, alone, reverse = [], [], []
    for _ in range(REPETITIONS if problem.size > SMALL else REPETITIONS_SMALL):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report, *seconds = timed(lambda: gp.check(problem.cost, problem.params, grads, seed=seed))
        checks.append(seconds)
        alone.append(timed(partial(bare, problem, report.evaluations))[1:])
        reverse.append(timed(partial(claimed, problem, grads, calls))[2])
    ratios = [[one / other for one, other in zip(*pair, strict=True)] for pair in zip(checks, alone, strict=True)]
    own = [check[1] / (pair[1] + back) for check, pair, back in zip(checks, alone, reverse, strict=True)]
    return {
        "parameters": problem.size,
        "verdict": str(report.verdict),
        "wrong": [name for name, part in report.tensors.items() if part.verdict == "wrong"],
        "undecided": {name: part.reason for name, part in report.tensors.items() if part.verdict == "undecided"},
        "evaluations": report.evaluations,
        "high": max(part.difference.high for part in report.tensors.values()),
        "seconds": statistics.median(seconds for seconds, _ in checks),
        "bare": statistics.median(seconds for seconds, _ in alone),
        "ratio": statistics.median(ratio for ratio, _ in ratios),
        "busy": statistics.median(ratio for _, ratio in ratios),
        "gradients": calls,
        "own": statistics.median(own),
        "fresh": fresh(problem, grads, seed),
    }


def network_rows(settings: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The tanh networks, each at initialisation and after training."""
    rows = {}
    for size in settings.sizes.split(","):
        for state in ("random biases", "trained"):
            problem = classifier(SIZES[size], "tanh", state, settings.seed, {"examples": 64, "steps": STEPS[size]})
            row = measured(problem, problem.grads, settings.seed)
            row["loop"] = loop_seconds(problem, COMPONENTS[size])
            row["scipy"] = scipy_seconds(problem, COMPONENTS[size])
            rows[f"{size} tanh, {'trained' if state == 'trained' else 'initial'}"] = row
    return rows


def residual_rows(settings: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The residual network, right and with one bias of 16 numbers off by 1e-3."""
    problem = residual_network(TENSORS, settings.seed)
    wrong = plant("bias x 1.001", problem, settings.seed)
    return {
        f"residual, {TENSORS} tensors, right": measured(problem, problem.grads, settings.seed),
        f"residual, {TENSORS} tensors, {wrong.tensors[0]} x 1.001": measured(problem, wrong.grads, settings.seed),
    }


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--sizes", help="some of 10k,100k,1M (default all; with --short 10k)")
    settings = parser.parse_args()
    settings.sizes = settings.sizes or ("10k" if settings.short else ",".join(SIZES))
    rows = {**network_rows(settings), **residual_rows(settings)}
    headers = [
        "network",
        "n",
        "verdict",
        "evaluations",
        "max high",
        "s",
        "s bare",
        "ratio",
        "of CPU s",
        "gradients",
        "of CPU s with them",
        "of CPU s, new seeds",
    ]
    peers = ["loop s *", "x slower", "approx_fprime s *", "x slower"]
    cells = [
        [
            name,
            *[row[key] for key in FIGURES],
            *[cell for peer in ("loop", "scipy") for cell in (row.get(peer), slower(row, peer))],
        ]
        for name, row in rows.items()
    ]
    table("Cost of a check (* extrapolated from some components)", [*headers, *peers], cells)
    for name, row in rows.items():
        if row["wrong"] or row["undecided"]:
            print(f"{name}: wrong {row['wrong']}, undecided {row['undecided']}")
    write(settings.json, "cost", settings, rows)
    return 0


def slower(row: dict[str, Any], peer: str) -> float | None:
    """How many times as long a peer takes."""
    return float(row[peer] / row["seconds"]) if peer in row else None


if __name__ == "__main__":
    raise SystemExit(main())
