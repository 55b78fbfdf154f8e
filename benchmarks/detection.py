"""How often gradproof sees a planted bug, and whether its interval holds the true difference.

The decision it rests on: a miss is a gradient that is off by more than the tolerance and called correct, and none may
happen; what is off by less may be called anything but must still lie in the interval.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

from problems import BUGS, classifier, plant
from running import arguments, each, table, write
from scoring import Judgement, Outcome, Tally, checked

NETWORKS = {"n = 594": (20, 16, 10, 8), "n = 85,170": (784, 100, 60, 10)}
SETTINGS = (("tanh", "random biases"), ("tanh", "trained"), ("relu", "random biases"), ("relu", "trained"))
WEIGHT_DECAY = 1e-4

FULL = {"n = 594": 12, "n = 85,170": 2}
SHORT = {"n = 594": 2, "n = 85,170": 0}

STRIDE = 100_000


@dataclass(frozen=True)
class Item:
    """One wrong gradient to be checked.

    Attributes:
        network: key of ``NETWORKS``.
        activation: of the hidden layers.
        state: at initialisation or trained.
        bug: one of ``BUGS``.
        seed: draws the problem and the bug's place.
    """

    network: str
    activation: str
    state: str
    bug: str
    seed: int

    @property
    def family(self) -> str:
        """The row of the table that it counts in."""
        return f"{self.bug} | {self.network}"


@dataclass(frozen=True)
class Found:
    """What became of one planted bug.

    Attributes:
        outcome: the check.
        touched: the judgements of the tensors that the bug touches.
    """

    outcome: Outcome
    touched: tuple[Judgement, ...]


def check_one(item: Item) -> Found:
    """Builds the network, plants the bug and checks it."""
    problem = classifier(
        NETWORKS[item.network],
        item.activation,
        item.state,
        item.seed,
        {"weight_decay": WEIGHT_DECAY, "steps": 300 if item.network == "n = 594" else 150},
    )
    planted = plant(item.bug, problem, item.seed)
    outcome = checked(item.family, item.seed, problem, planted.grads)
    # A bug may change nothing: a dead layer's gradient is zero with any factor. Such a claim is right.
    touched = tuple(each for each in outcome.judgements if each.tensor in planted.tensors and each.true > 0)
    return Found(outcome, touched)


def items(repetitions: dict[str, int], seed: int) -> list[Item]:
    """All checks of a run, each with its own seed."""
    out = []
    for network in NETWORKS:
        for bug_number, bug in enumerate(BUGS):
            for setting_number, (activation, state) in enumerate(SETTINGS):
                first = ((seed * len(BUGS) + bug_number) * len(SETTINGS) + setting_number + 1) * STRIDE
                out += [Item(network, activation, state, bug, first + k) for k in range(repetitions[network])]
    return out


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="only bugs whose name contains this")
    settings: argparse.Namespace = parser.parse_args()
    work = [item for item in items(SHORT if settings.short else FULL, settings.seed) if settings.only in item.family]
    rows: dict[str, tuple[Tally, list[float]]] = {}
    everything, notable = Tally(), []
    start = time.perf_counter()
    for item, found in zip(work, each(check_one, work, settings.workers), strict=True):
        tally, true = rows.setdefault(item.family, (Tally(), []))
        tally.add(found.outcome, found.touched)
        true += [judgement.true for judgement in found.touched]
        everything.add(found.outcome)
        if found.outcome.crash:
            notable.append(f"crash      {item}: {found.outcome.crash}")
        for judgement in found.outcome.judgements:
            if judgement.missed or judgement.false_alarm or judgement.out_of_interval:
                kind = "missed" if judgement.missed else "wrong" if judgement.false_alarm else "uncovered"
                notable.append(f"{kind.ljust(10)} {item}: {judgement}")
    show(rows)
    print(
        f"\n{everything.tensors} tensors: {everything.missed} missed, "
        f"{everything.false_alarms} called wrong though right, "
        f"{everything.uncovered} intervals without the truth, {time.perf_counter() - start:.0f} s"
    )
    for line in notable:
        print(line)
    results = {name: {**tally.summary, "true": true} for name, (tally, true) in rows.items()}
    write(settings.json, "detection", settings, {"bugs": results, "all": everything.summary})
    return 1 if everything.missed or everything.false_alarms or everything.crashes else 0


def show(rows: dict[str, tuple[Tally, list[float]]]) -> None:
    """Prints one line for each bug."""
    cells = []
    for name, (tally, true) in rows.items():
        share = {word: f"{100 * count / max(tally.tensors, 1):.0f}%" for word, count in tally.verdicts.items()}
        cells.append(
            [
                name,
                statistics.median(true) if true else None,
                tally.tensors,
                *[share.get(word, "0%") for word in ("wrong", "undecided", "correct")],
                tally.missed,
                tally.uncovered,
                tally.mean_evaluations,
                tally.mean_seconds,
            ]
        )
    headers = ["bug", "true difference", "tensors", "wrong", "undecided", "correct", "missed", "uncovered"]
    table("Planted bugs, the tensors they touch", [*headers, "evaluations", "s / check"], cells)


if __name__ == "__main__":
    raise SystemExit(main())
