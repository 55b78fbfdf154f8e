"""How often gradproof calls a right gradient wrong: it must not, on any seed.

The decision it rests on: false alarms are counted on problems that nobody tuned anything on, drawn afresh from the
seed, and undecided is shown beside them with its reasons, since a checker that never decides raises no alarm either.
"""

import argparse
import time
from dataclasses import dataclass

from problems import ACTIVATIONS, SMOOTH, STATES, classifier
from running import arguments, each, table, write
from scoring import Outcome, Tally, checked, histogram

NETWORKS = {
    "tiny": (6, 6, 5, 3),
    "small": (12, 10, 8, 4),
    "deep": (20, 16, 12, 8, 8, 3),
    "10k": (60, 80, 50, 20, 3),
    "100k": (300, 250, 100, 10),
}
"""Layer sizes: about 100, 250, 750, 10,000 and 100,000 parameters."""

FULL = {"tiny": 300, "small": 300, "deep": 200, "10k": 16, "100k": 4, "smooth": 120}
SHORT = {"tiny": 20, "small": 20, "deep": 10, "10k": 1, "100k": 0, "smooth": 10}

# Seeds of different families and of different --seed never meet.
STRIDE = 100_000


@dataclass(frozen=True)
class Item:
    """One right gradient to be checked.

    Attributes:
        network: key of ``NETWORKS``, "" for a problem of the smooth suite.
        kind: the activation, or the smooth problem.
        state: one of ``STATES``, "" for the smooth suite.
        seed: draws the problem.
        tolerance: what must not pass, None for the default.
    """

    network: str
    kind: str
    state: str
    seed: int
    tolerance: float | None = None

    @property
    def family(self) -> str:
        """The row of the table that it counts in."""
        return f"{self.network} {self.kind}, {self.state}" if self.network else self.kind


def check_one(item: Item) -> Outcome:
    """Builds the problem and checks its right gradient."""
    if item.network:
        problem = classifier(NETWORKS[item.network], item.kind, item.state, item.seed)
    else:
        problem = SMOOTH[item.kind](item.seed)
    return checked(item.family, item.seed, problem, settings={"tolerance": item.tolerance})


def items(repetitions: dict[str, int], seed: int, tolerance: float | None = None) -> list[Item]:
    """All checks of a run, each with its own seed."""
    families = [(network, kind, state) for network in NETWORKS for kind in ACTIVATIONS for state in STATES]
    families += [("", kind, "") for kind in SMOOTH]
    out = []
    for number, (network, kind, state) in enumerate(families):
        first = (seed * len(families) + number + 1) * STRIDE
        count = repetitions[network or "smooth"]
        out += [Item(network, kind, state, first + repetition, tolerance) for repetition in range(count)]
    return out


def show(tallies: dict[str, Tally], total: Tally) -> None:
    """Prints one line for each family and one for all."""
    rows = [
        [
            name,
            tally.checks,
            tally.tensors,
            tally.false_alarms,
            tally.verdicts["undecided"],
            len(tally.crashes),
            tally.mean_evaluations,
            max(tally.evaluations, default=0),
            tally.mean_seconds,
            histogram(tally.reasons),
        ]
        for name, tally in [*tallies.items(), ("all", total)]
    ]
    headers = ["right gradients", "checks", "tensors", "false alarms", "undecided", "crashes"]
    table("Right gradients", [*headers, "evaluations", "most", "s / check", "undecided because of"], rows)


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--tolerance", type=float, help="instead of the default of gradproof.check")
    parser.add_argument("--only", default="", help="only families whose name contains this")
    settings: argparse.Namespace = parser.parse_args()
    work = items(SHORT if settings.short else FULL, settings.seed, settings.tolerance)
    work = [item for item in work if settings.only in item.family]
    tallies: dict[str, Tally] = {}
    total = Tally()
    alarms = []
    start = time.perf_counter()
    for item, outcome in zip(work, each(check_one, work, settings.workers), strict=True):
        tallies.setdefault(item.family, Tally()).add(outcome)
        total.add(outcome)
        if outcome.crash:
            alarms.append(f"crash  {item}: {outcome.crash}")
        alarms += [f"wrong  {item}: {judgement}" for judgement in outcome.judgements if judgement.false_alarm]
        alarms += [f"bounds {item}: {judgement}" for judgement in outcome.judgements if judgement.out_of_interval]
    show(tallies, total)
    print(
        f"\n{total.tensors} tensors of {total.checks} right gradients: {total.false_alarms} called wrong, "
        f"{total.uncovered} intervals without the truth, {time.perf_counter() - start:.0f} s"
    )
    for line in alarms:
        print(line)
    write(
        settings.json,
        "calibration",
        settings,
        {"families": {name: tally.summary for name, tally in tallies.items()}, "all": total.summary},
    )
    return 1 if total.false_alarms or total.crashes else 0


if __name__ == "__main__":
    raise SystemExit(main())
