"""The laws, in the order in which they are tried; what a broken one makes meaningless is not asked.

One line a law. All of them take a few forward and backward passes and no measured derivative.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradproof._algebra import alone, asked, forwards, layouts, linear, repeated
from gradproof._algebra.backward import Answer, Asked, Backward, Cotangents
from gradproof._algebra.comparing import Trial, attempt
from gradproof._records import Finding

Law = Callable[[Trial], Iterable[Finding]]

LAWS: tuple[Law, ...] = (
    repeated.changed,
    linear.linear,
    alone.alone,
    layouts.of_cotangents,
    layouts.of_inputs,
    repeated.twice,
    repeated.stale,
    asked.fewer,
    asked.form,
    forwards.undifferentiated,
    forwards.adjoint,
)


@dataclass(frozen=True)
class Tried:
    """What the laws found.

    Attributes:
        findings: what is broken.
        notes: what a reader should know.
        answers: what the two sets of cotangents gave, as far as both were asked.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


def _identical(
    backward: Backward, usual: Asked, earlier: Sequence[Answer]
) -> tuple[Answer, tuple[Answer, Answer] | Exception, tuple[list[float], list[float]]]:
    """One of a few identical calls, two passes through one forward pass, of which the first is another, and the spread.

    Args:
        backward: the pass.
        usual: what is asked.
        earlier: answers to it.
    """
    watched = replace(usual, watched=True)
    calls = [backward.gradients(watched), *earlier]
    pair = attempt(backward.twice, watched)
    if not isinstance(pair, Exception):
        calls.append(pair[0])
    calls += [backward.gradients(usual) for _ in range(repeated.CALLS - len(calls))]
    return calls[0], pair, repeated.spread(calls)


def tried(
    backward: Backward,
    cotangents: tuple[Cotangents, Cotangents],
    tolerance: Mapping[str, float],
    right: Iterable[str] = (),
    first: Answer | None = None,
) -> Tried:
    """Tries a backward pass.

    Args:
        backward: the pass.
        cotangents: two sets of random cotangents.
        tolerance: what may be off, relative, by input.
        right: the inputs whose gradient was found right.
        first: what the first cotangents gave in an earlier call, if they were asked; one call less is made then.
    """
    plain, pair, (sizes, off) = _identical(backward, Asked(cotangents[0]), [] if first is None else [first])
    trial = Trial(backward, cotangents, plain, tolerance, tuple(sizes), frozenset(right), {"twice": pair})
    unsteady = repeated.nondeterministic(trial, off)
    if unsteady is not None:
        return Tried((unsteady, *repeated.changed(trial)))
    worst = max(off, default=0.0)
    notes: tuple[str, ...] = ()
    if worst > 0.0:
        notes = (f"Identical calls of the backward pass differ by up to {worst:.1e}, as sums in no fixed order do.",)
    findings = tuple(finding for law in LAWS for finding in law(trial))
    return Tried(findings, notes, (trial.plain, trial.kept["second"]) if "second" in trial.kept else ())
