"""What a report says about each tensor, held against what is true of it.

The truth is the relative difference between the claimed gradient and the right one, both written by hand; 0 means that
the claim is the right gradient itself. A false alarm is WRONG on such a claim, a miss is CORRECT on a claim that is off
by more than the tolerance. Undecided is neither, and is counted.
"""

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from problems import Params, Problem, relative_difference
from problems.core import Gradient

import gradproof as gp

# The claimed and the right gradient are rounded too: an interval may miss the truth by this much without being wrong.
ROUNDING = 1e-12


class Interval(Protocol):
    """A relative difference with its bounds."""

    @property
    def low(self) -> float:
        """What it is at least."""

    @property
    def high(self) -> float:
        """What it is at most."""


class TensorLike(Protocol):
    """What is read of a tensor's part of a report."""

    @property
    def verdict(self) -> Any:
        """Equal to "correct", "wrong" or "undecided"."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def difference(self) -> Interval:
        """The relative difference."""

    @property
    def tolerance(self) -> float:
        """What must not pass."""


@dataclass(frozen=True)
class Judgement:
    """One tensor's verdict beside the truth.

    Attributes:
        tensor: its name.
        verdict: "correct", "wrong" or "undecided".
        reason: the report's reason.
        low: low end of the relative difference.
        high: high end.
        tolerance: what must not pass.
        true: the true relative difference of the claim.
    """

    tensor: str
    verdict: str
    reason: str
    low: float
    high: float
    tolerance: float
    true: float

    @property
    def false_alarm(self) -> bool:
        """A right gradient called wrong."""
        return self.verdict == "wrong" and self.true == 0.0

    @property
    def missed(self) -> bool:
        """A gradient off by more than the tolerance called correct."""
        return self.verdict == "correct" and self.true > self.tolerance

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth; False where there is no interval."""
        return self.low - ROUNDING <= self.true <= self.high + ROUNDING

    @property
    def out_of_interval(self) -> bool:
        """Whether there is an interval and it does not hold the truth."""
        return not (math.isnan(self.low) or math.isnan(self.high) or self.covered)


@dataclass(frozen=True)
class Outcome:
    """One check, judged.

    Attributes:
        family: what kind of problem it was.
        seed: what it was drawn from.
        judgements: one for each tensor.
        evaluations: cost evaluations of the check.
        seconds: its wall time.
        crash: the exception where the check raised one, else "".
    """

    family: str
    seed: int
    judgements: tuple[Judgement, ...] = ()
    evaluations: int = 0
    seconds: float = 0.0
    crash: str = ""


def judge(
    tensors: Mapping[str, TensorLike], claimed: Mapping[str, Any], right: Mapping[str, Any]
) -> tuple[Judgement, ...]:
    """Holds every tensor of a report against the truth.

    Args:
        tensors: the report's ``tensors``.
        claimed: the gradient that was checked.
        right: the right gradient.

    Returns:
        One judgement for each tensor, in the order of ``right``.
    """
    return tuple(
        Judgement(
            tensor=name,
            verdict=str(tensors[name].verdict),
            reason=tensors[name].reason,
            low=tensors[name].difference.low,
            high=tensors[name].difference.high,
            tolerance=tensors[name].tolerance,
            true=relative_difference(claimed[name], right[name]),
        )
        for name in right
    )


def checked(
    family: str, seed: int, problem: Problem, grads: Gradient | None = None, settings: Mapping[str, Any] | None = None
) -> Outcome:
    """Checks a problem and judges the report; an exception is an outcome too.

    Args:
        family: for the outcome.
        seed: for the outcome, and the seed of the check.
        problem: the cost, the point and the right gradient.
        grads: the claimed gradient; None for the right one.
        settings: further arguments of ``gradproof.check``.

    Returns:
        The outcome.
    """
    claim = grads or problem.grads
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            # A benchmark is a loop of checks: what warns people who check in a loop is meant to happen here.
            warnings.simplefilter("ignore")
            report = gp.check(problem.cost, problem.params, claim, seed=seed, **(settings or {}))
    except Exception as error:
        crash = f"{type(error).__name__}: {error}"
        return Outcome(family, seed, seconds=time.perf_counter() - start, crash=crash)
    judgements = judge(report.tensors, claim(problem.params), problem.grads(problem.params))
    return Outcome(family, seed, judgements, report.evaluations, report.seconds)


@dataclass
class Tally:
    """Counts over outcomes.

    Attributes:
        checks: outcomes.
        tensors: tensors judged.
        verdicts: how often each verdict.
        false_alarms: tensors called wrong whose claim was right.
        missed: tensors called correct that are off by more than the tolerance.
        uncovered: tensors with an interval that does not hold the truth.
        reasons: why tensors were undecided.
        evaluations: of each check.
        seconds: of each check.
        crashes: what was raised.
    """

    checks: int = 0
    tensors: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    false_alarms: int = 0
    missed: int = 0
    uncovered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, judgements: Iterable[Judgement] | None = None) -> None:
        """Counts an outcome; only the given judgements of it where some are given."""
        self.checks += 1
        self.seconds.append(outcome.seconds)
        if outcome.crash:
            self.crashes.append(outcome.crash)
            return
        self.evaluations.append(outcome.evaluations)
        for judgement in outcome.judgements if judgements is None else judgements:
            self.tensors += 1
            self.verdicts[judgement.verdict] += 1
            self.false_alarms += judgement.false_alarm
            self.missed += judgement.missed
            self.uncovered += judgement.out_of_interval
            if judgement.verdict == "undecided":
                self.reasons[reason_word(judgement.reason)] += 1

    @property
    def mean_evaluations(self) -> float:
        """Mean number of cost evaluations of a check."""
        return sum(self.evaluations) / max(len(self.evaluations), 1)

    @property
    def mean_seconds(self) -> float:
        """Mean wall time of a check."""
        return sum(self.seconds) / max(len(self.seconds), 1)

    @property
    def summary(self) -> dict[str, Any]:
        """The counts for JSON: of the lists of evaluations and seconds only the sums."""
        sums = {"evaluations": sum(self.evaluations), "seconds": sum(self.seconds)}
        return {**vars(self), "verdicts": dict(self.verdicts), "reasons": dict(self.reasons), **sums}


def reason_word(reason: str) -> str:
    """The first of the known reasons for being undecided that a sentence names."""
    words = ("jump", "kink", "noise", "rounding", "budget", "precision", "scale", "random")
    return next((word for word in words if word in reason.lower()), reason[:40] or "no reason given")


def histogram(counts: Counter[str]) -> str:
    """Counts in one cell, ``kink 3, noise 1``."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


__all__ = ["Interval", "Judgement", "Outcome", "Params", "Tally", "checked", "histogram", "judge", "reason_word"]
