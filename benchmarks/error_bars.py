"""How often a probe's true error exceeds its error bar: what the stated chances of a verdict are conditional on.

The decision it rests on: the probes are those of a check, taken from the judge itself, and the truth is the complex
step along the very same direction. Points exactly on a kink have no derivative and are counted apart. The claims are
right, or off by 1% noise, so that the bars are tried with a mismatch to be measured and without.

Functions of SciPy that nobody here wrote are tried as well, where they take complex numbers. That is seen and never
assumed: the complex step must agree with a measured slope to a few digits, far fewer than the bars are held to.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from problems import ACTIVATIONS, SMOOTH, STATES, Array, Problem, classifier, complex_step
from problems.core import Gradient
from running import arguments, each, table, write
from wild import Pair, scipy_special

from gradproof._adapters.arrays import ArrayProblem
from gradproof._adapters.numpy import Call, open_session
from gradproof._evaluation import Meter
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, prepare, stand_still
from gradproof._records import Direction
from gradproof._verdict.judge import Block, Judge, Seeds, blocks_of, default_scales, grouped, span

SIZES = (20, 16, 12, 8, 3)
WRONG_BY = 1e-2
FULL, SHORT = 60, 3
STRIDE = 100_000
# The truth is rounded as well, by this much of the sum of |claimed x direction|.
ROUNDING = 1e-15
# What a cost of others makes of complex numbers counts as its derivative if it agrees with differences to this.
LOOSE = 1e-4
WILD = "SciPy's functions"


@dataclass(frozen=True)
class Item:
    """One problem whose probes are held against the truth.

    Attributes:
        kind: an activation, a problem of the smooth suite, or a function of SciPy.
        state: one of ``STATES``, "" for the smooth suite, ``WILD`` for SciPy.
        wrong: whether the claim is off by 1% noise.
        seed: draws the problem and the noise.
    """

    kind: str
    state: str
    wrong: bool
    seed: int

    @property
    def family(self) -> str:
        """The row of the table that it counts in."""
        if self.state == WILD:
            return WILD
        return f"{self.kind}, {self.state}" if self.state else self.kind


@dataclass(frozen=True)
class Probe:
    """One measured slope beside the truth, in units of the claim's norm.

    Attributes:
        error: how far it is off.
        bar: its error bar.
        evaluations: cost evaluations it took.
    """

    error: float
    bar: float
    evaluations: int


@dataclass(frozen=True)
class Probed:
    """The probes of one problem; ``on_kink`` where it has no derivative at its point."""

    probes: tuple[Probe, ...]
    on_kink: bool


@cache
def wild_pairs() -> dict[str, Pair]:
    """SciPy's special functions by their names."""
    return {pair.name: pair for pair in scipy_special.pairs() if pair.problem is not None}


def takes_complex(problem: Problem, seed: int) -> bool:
    """Whether the complex step gives a derivative: evaluated, and held against central differences."""
    rng = np.random.default_rng(seed)
    direction = {name: rng.standard_normal(value.shape) for name, value in problem.params.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            slope = complex_step(problem.cost, problem.params, direction)
        except TypeError:  # SciPy's functions of real numbers alone
            return False

        def at(step: float) -> float:
            return float(problem.cost({name: v + step * direction[name] for name, v in problem.params.items()}))

        measured = (at(1e-5) - at(-1e-5)) / 2e-5
    return bool(np.isfinite(slope)) and abs(slope - measured) <= LOOSE * abs(measured)


def made(item: Item) -> Problem | None:
    """The problem of an item; None where the complex step says nothing of it."""
    if item.state != WILD:
        return classifier(SIZES, item.kind, item.state, item.seed) if item.state else SMOOTH[item.kind](item.seed)
    maker = wild_pairs()[item.kind].problem
    assert maker is not None
    problem = maker(item.seed)
    return problem if takes_complex(problem, item.seed) else None


def noisy_claim(problem: Problem, seed: int) -> Gradient:
    """The right gradient with 1% noise on every element."""
    rng = np.random.default_rng(seed)
    factors = {name: 1 + WRONG_BY * rng.standard_normal(value.shape) for name, value in problem.params.items()}
    return lambda params: {name: factors[name] * g for name, g in problem.grads(params).items()}


def point(problem: Problem, grads: Gradient, seed: int) -> Place0:
    """A problem made ready for probes, as a check makes it."""
    session = open_session(Call(problem.cost, problem.params, grads))
    meter = Meter()
    options = Options("probe", None, seed, vectorized=False)
    claims = session.claims(session.theta)
    return prepare(stand_still(session, meter), session.theta, claims, options, (meter, None))


def displacement(place: Place0, direction: Direction) -> Array:
    """A direction as numbers: where a step of 1 along it leads, less the point."""
    problem = place.reference.evaluator.problem
    assert isinstance(problem, ArrayProblem)
    moved: Array = problem.displaced(direction, 1.0) - problem.point.theta
    return moved


def true_mismatch(problem: Problem, place: Place0, direction: Direction) -> tuple[float, float]:
    """Claimed less true slope along a direction, and how far rounding may put it off."""
    lines = place.reference.evaluator.problem
    assert isinstance(lines, ArrayProblem)
    v = displacement(place, direction)
    parts = {t.name: v[t.offset : t.offset + t.size].reshape(t.shape) for t in lines.tensors}
    claim = lines.point.claim
    slope = complex_step(problem.meant or problem.cost, problem.params, parts)
    return float(claim @ v) - slope, ROUNDING * float(np.abs(claim) @ np.abs(v))


def groups(place: Place0) -> Iterator[tuple[tuple[Block, ...], bool]]:
    """The groups of tensors that a check probes together, and then each tensor alone; and whether its claim is zero."""
    stats = [claimed.stats for claimed in place.claimed]
    scales = default_scales(stats)
    alone = [blocks_of(i, s, scales[i], zero=s.claim == 0) for i, s in enumerate(stats)]
    easy = Judge(place.reference, Seeds(0)).easy(place.claimed[0].aim)
    ordinary = [b for i, bs in enumerate(alone) if stats[i].claim for b in bs]
    yield from ((group, False) for group in grouped(ordinary, easy=easy))
    yield from (((block,), stats[i].claim == 0) for i, blocks in enumerate(alone) for block in blocks)


def check_one(item: Item) -> Probed:
    """Probes one problem as a check does and holds every probe against the complex step."""
    problem = made(item)
    if problem is None:
        return Probed((), on_kink=False)
    place = point(problem, noisy_claim(problem, item.seed) if item.wrong else problem.grads, item.seed)
    judge = Judge(place.reference, Seeds(item.seed))
    found = []
    for blocks, zero in groups(place):
        aim = replace(place.claimed[blocks[0].tensor].aim, zero=zero)
        outcome = judge.judge(blocks, aim)
        unit = span(blocks)
        for estimate, seed in zip(outcome.probes, outcome.seeds, strict=True):
            if estimate.measured:
                true, slack = true_mismatch(problem, place, judge.direction(blocks, [seed]))
                error = max(0.0, abs(estimate.mismatch - true / unit) - slack / unit)
                found.append(Probe(error, estimate.bar, estimate.evaluations))
    return Probed(tuple(found), problem.on_kink)


def items(repetitions: int, seed: int) -> list[Item]:
    """All problems of a run, each with its own seed."""
    families = [(kind, state) for kind in ACTIVATIONS for state in STATES] + [(kind, "") for kind in SMOOTH]
    families += [(name, WILD) for name in wild_pairs()]
    out = []
    for number, (kind, state) in enumerate(families):
        first = (seed * len(families) + number + 1) * STRIDE
        count = 2 if state == WILD else 2 * repetitions
        out += [Item(kind, state, k % 2 == 1, first + k) for k in range(count)]
    return out


@dataclass
class Bars:
    """Probes counted.

    Attributes:
        probes: all of them.
    """

    probes: list[Probe] = field(default_factory=list)

    @property
    def exceeded(self) -> int:
        """How many were off by more than their bar."""
        return sum(probe.error > probe.bar for probe in self.probes)

    @property
    def far(self) -> int:
        """How many were off by more than ten bars."""
        return sum(probe.error > 10 * probe.bar for probe in self.probes)

    @property
    def row(self) -> list[object]:
        """Its cells in the table."""
        if not self.probes:
            return [0, 0, 0, None, None, None]
        return [
            len(self.probes),
            self.exceeded,
            self.far,
            statistics.median(probe.error for probe in self.probes),
            statistics.median(probe.bar for probe in self.probes),
            statistics.mean(probe.evaluations for probe in self.probes),
        ]


def main() -> int:
    parser = arguments(__doc__ or "")
    settings: argparse.Namespace = parser.parse_args()
    work = items(SHORT if settings.short else FULL, settings.seed)
    rows: dict[str, Bars] = {}
    totals = {"all, right claims": Bars(), "all, claims off by 1%": Bars(), "exactly on a kink": Bars()}
    start = time.perf_counter()
    for item, found in zip(work, each(check_one, work, settings.workers), strict=True):
        if found.on_kink:
            totals["exactly on a kink"].probes += found.probes
            continue
        rows.setdefault(item.family, Bars()).probes += found.probes
        totals["all, claims off by 1%" if item.wrong else "all, right claims"].probes += found.probes
    everything = {**rows, **totals}
    headers = ["probes of", "probes", "error > bar", "> 10 bars", "median error", "median bar", "evaluations"]
    table(
        "Error bars of the probes of a check, relative to the norm of the claimed gradient",
        headers,
        [[name, *bars.row] for name, bars in everything.items()],
    )
    print(f"\n{time.perf_counter() - start:.0f} s")
    results = {name: dict(zip(headers[1:], bars.row, strict=True)) for name, bars in everything.items()}
    write(settings.json, "error_bars", settings, results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
