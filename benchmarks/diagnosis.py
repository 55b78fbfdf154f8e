"""Whether the cause that gradproof names is the one that was planted, and what naming it costs.

The decision it rests on: the faults are those of the tests, drawn with fresh seeds. A cause counts as right where the
recipe says that it cannot be told from the planted one from there; a wrong name is counted apart from no name, since it
is worse. Each fault is checked with nothing but parameters and callable gradients, and again with data and options.
"""

import collections
import functools
import statistics
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from running import arguments, each, table, write

import gradproof as gp
from planted import Planted, everything
from planted.base import WRONG, differences, leaves

#: What is called no name rather than a wrong one.
UNNAMED = ("unexplained", "nothing")
#: Faults that one task checks, so that building a network is shared.
SHARE = 40


@dataclass(frozen=True)
class Item:
    """Every so many faults of a seed from a first one on, with data and options or without."""

    seed: int
    first: int
    every: int
    rich: bool
    only: str


@dataclass(frozen=True)
class Scored:
    """One fault and what was said of it.

    Attributes:
        model: the network.
        recipe: what was planted.
        planted: its cause; "" for a right gradient.
        layer: where.
        accepts: the causes that count as right.
        named: the cause of the first finding that is an error; "nothing" where there is none.
        verdict: of the whole gradient.
        missed: wrong tensors that were called correct.
        blamed: right tensors that were called wrong.
        repaired: whether the first finding came with a proof.
        effort: evaluations beyond the verdict's, per wrong tensor.
        by_name: whether it is the planted cause itself, and not one that cannot be told from it.
        later: whether the gradient is right at this point and goes wrong only when it is called again elsewhere.
        rich: whether data and options were passed.
    """

    model: str
    recipe: str
    planted: str
    layer: str
    accepts: frozenset[str]
    named: str
    verdict: str
    missed: tuple[str, ...]
    blamed: tuple[str, ...]
    repaired: bool
    effort: float
    by_name: bool
    later: bool
    rich: bool

    @property
    def right(self) -> bool:
        """Whether a cause was named that counts as right; no name is no cause, unless the fault has none."""
        if not self.planted:
            return self.named == "nothing" and self.verdict != "wrong"
        return self.named in self.accepts and (self.named not in UNNAMED or self.planted in UNNAMED)

    @property
    def falsely_named(self) -> bool:
        """Whether a cause was named that is not the planted one."""
        return not self.right and self.named not in UNNAMED


def score(fault: Planted, seed: int, *, rich: bool) -> Scored:
    """Checks one fault and compares what is said with what was planted."""
    later = bool(fault.cause) and right_here(fault)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named, verdict, repaired, effort = "nothing", "refused", False, 0.0
        exactly = ""
        missed: tuple[str, ...] = ()
        blamed: tuple[str, ...] = ()
        try:
            report = _checked(fault, seed, rich=rich)
            quick = _checked(fault, seed, rich=rich, method="probe")
        except gp.InputError as error:
            # Parameters changed in place are refused before anything is judged, and the error says so.
            named = "aliasing" if "changed in place" in str(error) else "nothing"
        except Exception as error:
            named, verdict = "crash", f"{type(error).__name__}: {error}"
        else:
            errors = [f for f in report.findings if f.severity == "error"] or list(report.findings[: int(later)])
            named = errors[0].cause if errors else "nothing"
            verdict = str(report.verdict)
            wrong = [name for name, t in report.tensors.items() if t.verdict == "wrong"]
            if not later:
                missed = tuple(n for n, t in report.tensors.items() if n in fault.tensors and t.verdict == "correct")
            exactly = named
            if errors and named == "region" and _is_place(errors[0], fault):
                named = fault.cause
            blamed = tuple(name for name in wrong if name not in fault.tensors)
            repaired = bool(errors) and errors[0].repaired is not None
            effort = (report.evaluations - quick.evaluations) / max(1, len(wrong))
    accepts = fault.accepts
    return Scored(
        fault.model, fault.recipe, fault.cause, fault.layer, accepts, named, verdict, missed, blamed, repaired, effort,
        exactly in fault.accepts_with, later, rich,
    )  # fmt: skip


def right_here(fault: Planted) -> bool:
    """Whether the first call at the point gives the right gradient, as that of a fault between calls may."""
    _, params, grads = fault.closed()
    try:
        found = differences(fault.right_gradient(), grads(params))
    except Exception:
        return False
    return all(off < WRONG for off in found.values())


def _is_place(finding: gp.Finding, fault: Planted) -> bool:
    """Whether a place holds all wrong elements of its tensors and leaves others out: weaker, and true."""
    right, claimed = leaves(fault.right_gradient()), leaves(fault.claimed())
    for name in finding.tensors:
        mask, claim = finding.where.mask(name), claimed.get(name, claimed.get(f"d{name}"))
        off = np.abs(np.asarray(claim).reshape(mask.shape) - np.asarray(right[name]).reshape(mask.shape))
        if np.any((off > 1e-9 * off.max()) & ~mask):
            return False
    return True


def _checked(fault: Planted, seed: int, *, rich: bool, method: str = "auto") -> gp.Report:
    if rich:
        given = fault.arguments()
        return gp.check(given.pop("cost"), given.pop("params"), given.pop("grads"), seed=seed, method=method, **given)
    return gp.check(*fault.closed(), seed=seed, method=method)


def scored(item: Item) -> list[Scored]:
    """The task of one process."""
    faults = chosen(item.seed, item.only)[item.first :: item.every][:SHARE]
    return [score(fault, item.seed, rich=item.rich) for fault in faults]


@functools.lru_cache(maxsize=2)
def chosen(seed: int, only: str) -> list[Planted]:
    """All faults of a seed whose model or recipe contains some words, kept between the tasks of one process."""
    return [fault for fault in everything(seed) if only in f"{fault.model}: {fault.recipe}"]


def percent(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.1f}%" if whole else "-"


def summary(results: Sequence[Scored], rich: bool) -> list[Any]:
    """One line of figures."""
    mine = [r for r in results if r.rich == rich]
    faults = [r for r in mine if r.planted and not r.later]
    controls = [r for r in mine if not r.planted]
    solved = [r for r in faults if r.right and r.repaired and r.effort]
    return [
        "with data and options" if rich else "without",
        len(faults),
        percent(sum(r.right for r in faults), len(faults)),
        percent(sum(r.by_name for r in faults), len(faults)),
        percent(sum(r.falsely_named for r in faults), len(faults)),
        percent(sum(r.named in UNNAMED for r in faults), len(faults)),
        sum(len(r.missed) for r in faults),
        sum(len(r.blamed) for r in faults),
        len(controls),
        sum(not r.right for r in controls),
        statistics.median(r.effort for r in solved) if solved else None,
    ]


def confusion(results: Iterable[Scored]) -> None:
    """For each planted cause how often each name was given."""
    counts: dict[tuple[str, bool], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    right: collections.Counter[tuple[str, bool]] = collections.Counter()
    for r in results:
        key = r.planted or "(right)", r.rich
        counts[key][r.named] += 1
        right[key] += r.right
    rows = []
    for (cause, rich), names in sorted(counts.items()):
        total = sum(names.values())
        said = ", ".join(f"{name} {count}" for name, count in names.most_common(6))
        rows.append([cause, "with" if rich else "without", total, percent(right[cause, rich], total), said])
    table("Planted cause against named cause", ["planted", "data", "faults", "right", "named"], rows)


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on (default 1)")
    parser.add_argument("--every", type=int, default=0, help="only every so many faults (default 1; with --short 40)")
    parser.add_argument("--failures", action="store_true", help="list what was not named rightly")
    parser.add_argument("--only", default="", help="only faults whose model or recipe contains this")
    settings = parser.parse_args()
    every = settings.every or (40 if settings.short else 1)
    began = time.perf_counter()
    items = [
        Item(seed, first, every, rich, settings.only)
        for seed in range(settings.seed, settings.seed + settings.seeds)
        for first in range(seed % every, len(chosen(seed, settings.only)), SHARE * every)
        for rich in (False, True)
    ]
    results: list[Scored] = []
    for found in each(scored, items, settings.workers):
        results += found
    confusion(results)
    headers = ["", "faults", "right", "by name", "falsely named", "unnamed", "tensors missed", "tensors blamed"]
    headers += ["right gradients", "false findings", "evaluations per tensor"]
    rows = [summary(results, False), summary(results, True)]
    table("Cause named first", headers, rows)
    if settings.failures:
        for r in results:
            if not r.right or r.missed or r.blamed:
                mode, what = "with" if r.rich else "wout", f"{r.verdict}, missed {r.missed}, blamed {r.blamed}"
                print(f"{mode} {r.model}: {r.recipe} [{r.planted}] -> {r.named} ({what})")
    print(f"{time.perf_counter() - began:.0f} s")
    write(settings.json, "diagnosis", settings, {"summary": rows, "results": [vars(r) for r in results if not r.right]})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
