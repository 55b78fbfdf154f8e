"""Faults that only large parameters show: found by stages, missed at initialisation; and what the guard costs.

The decision it rests on: a case counts as planted only if the wrong gradient really is the right one at initialisation
and really is not at the other stage, by the gradients themselves and not by any check; right twins are checked at the
same stages, where a single "wrong" would be a false alarm.
"""

import argparse
import os
import statistics
import time
import warnings
from typing import Any

from running import THREADS

os.environ.update(dict.fromkeys(THREADS, "1"))

import numpy as np
from problems import Params
from problems.staged import STAGED, Staged, staged
from running import arguments, each, table, write

import gradproof as gp
from gradproof import _guard

#: The wrong gradient is right up to this, relative, at initialisation, and off by more than this at the other stage.
HIDDEN, SHOWN = 1e-7, 1e-4
REPETITIONS = 2000


def difference(one: Params, other: Params) -> float:
    """norm(one - other) / (norm(one) + norm(other)), the largest of the tensors'."""
    found = []
    for name, value in one.items():
        size = float(np.linalg.norm(value) + np.linalg.norm(other[name]))
        found.append(float(np.linalg.norm(value - other[name])) / size if size else 0.0)
    return max(found)


def measured(case: tuple[str, int]) -> dict[str, Any] | None:
    """One kind on one seed; None where the draw hides nothing or shows nothing."""
    name, seed = case
    net, params = staged(name, seed)
    scale = net.kind.scale
    large = {key: scale * value for key, value in params.items()}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if difference(net.wrong(params), net.grads(params)) > HIDDEN:
            return None
        if not difference(net.wrong(large), net.grads(large)) > SHOWN:
            return None
        wrong, right = (judged(net, grads, params, scale) for grads in (net.wrong, net.grads))
    regime = wrong.findings[0].regime.name if wrong.findings else "none"
    first, second = wrong.stages.values()
    return {
        "kind": name,
        "missed at initialisation": first.verdict == "correct",
        "found by stages": second.verdict == "wrong",
        "regime": regime,
        "named": regime in net.kind.regimes,
        "twin": str(right.verdict),
        "between": wrong.evaluations - first.evaluations - second.evaluations,
    }


def judged(net: Staged, grads: Any, params: Params, scale: float) -> gp.StagesReport:
    stages = gp.Stages(net.cost, grads, scales=(1, scale))
    stages.at("initialisation", params)
    return stages.report


def guard_microseconds() -> dict[str, float]:
    """What the guard adds to a check, by the clock: asking before it and counting after it."""
    theta = np.random.default_rng(0).standard_normal(100_000)
    found: dict[str, list[float]] = {"asking": [], "counting": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gp.CheckCostWarning)  # which is rightly given here, once
        for _ in range(REPETITIONS):
            theta *= 1.0 + 1e-9  # a loop of training, the case that is looked at longest
            begin = time.perf_counter()
            _guard.overheard()
            _guard.switched_off()
            _guard.demand_no_training()
            middle = time.perf_counter()
            _guard.count(difference, theta, 0.0)
            found["asking"].append(middle - begin)
            found["counting"].append(time.perf_counter() - middle)
    return {name: 1e6 * statistics.median(seconds) for name, seconds in found.items()}


def rows(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """All kinds on all seeds."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    cases = [(name, seed) for name in STAGED for seed in seeds]
    return [row for row in each(measured, cases, settings.workers) if row is not None]


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, help="seeds of each kind (default 10; with --short 2)")
    settings = parser.parse_args()
    settings.seeds = settings.seeds or (2 if settings.short else 10)
    found = rows(settings)
    kinds = []
    for name in STAGED:
        own = [row for row in found if row["kind"] == name]
        regimes = sorted({row["regime"] for row in own})
        counts = [sum(row[key] for row in own) for key in ("missed at initialisation", "found by stages", "named")]
        twins = [sum(row["twin"] == verdict for row in own) for verdict in ("correct", "undecided", "wrong")]
        kinds.append([name, len(own), *counts, ", ".join(regimes), "/".join(map(str, twins))])
    table(
        "Faults that only large parameters show (twins: correct/undecided/wrong)",
        ["kind", "planted", "missed at init", "found", "regime right", "regimes named", "twins"],
        kinds,
    )
    totals = {key: sum(row[key] for row in found) for key in ("missed at initialisation", "found by stages", "named")}
    totals |= {f"twins {v}": sum(row["twin"] == v for row in found) for v in ("correct", "undecided", "wrong")}
    between = statistics.median(row["between"] for row in found)
    guard = guard_microseconds()
    print(f"\n{len(found)} planted: {totals}; median evaluations between two stages: {between:g}")
    print(f"guard: asking {guard['asking']:.1f} us, counting {guard['counting']:.1f} us a check")
    write(settings.json, "stages", settings, {"rows": found, "totals": totals, "between": between, "guard": guard})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
