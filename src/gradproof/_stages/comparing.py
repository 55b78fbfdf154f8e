"""Stages held against each other: which faults do only some of them show, and why those."""

from collections.abc import Iterator, Mapping, Sequence

from gradproof._records import Regime, Report, StageFinding, Verdict

#: Causes that name the regime themselves, once a report has found them.
TOLD_BY_CAUSE = {"clipped": "clipping", "stabiliser": "stabiliser", "overflow": "overflow", "tie": "kink"}
#: Signs that are stronger than a cause.
STRONGER = ("overflow", "saturation", "clipping")
#: What each regime says, and where to look.
SAID = {
    "saturation": ("saturation", "Look in the backward pass for values that round to 0 or 1: 1 - a, a (1 - a), 1 / p."),
    "overflow": ("overflow", "Look in the backward pass for an exponential or a narrow type, and keep values small."),
    "clipping": ("clipping", "Return the gradient as it is, and leave clipping to the optimiser."),
    "stabiliser": ("a stabiliser", "Differentiate the cost with the constant or clamp that it adds for stability."),
    "kink": ("a kink", "Look for a max, min, clip or abs in the cost whose other side the backward pass leaves out."),
    "branch": (
        "a branch by threshold",
        "Look for np.where, clip or if on the size of a value in either of the passes.",
    ),
    "zero": ("a zero", "Look at terms that vanish where parameters are zero or tiny, such as biases in a regulariser."),
    "unknown": ("", "Look at what differs between the two stages: large values, saturated units, thresholds."),
}


def unpaired(stages: Mapping[str, Report], known: Sequence[StageFinding]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Pairs of stages that tell something new: (right stage, wrong stage, tensors wrong at the one only).

    Args:
        stages: the reports so far.
        known: the findings so far, whose tensors are not asked about again.
    """
    told = {name for finding in known for name in finding.tensors}
    names = list(stages)
    for wrong in names:
        guilty = [n for n in _with(stages[wrong], Verdict.WRONG) if n not in told]
        # The stage just before is the nearest; one that comes later does as well.
        before = list(reversed(names[: names.index(wrong)]))
        for right in (*before, *names[names.index(wrong) + 1 :]):
            innocent = set(_with(stages[right], Verdict.CORRECT))
            both = tuple(name for name in guilty if name in innocent)
            if both:
                yield right, wrong, both
                told.update(both)
                guilty = [name for name in guilty if name not in told]


def finding(
    stages: Mapping[str, Report], walked: tuple[str, str], tensors: tuple[str, ...], regime: Regime
) -> StageFinding:
    """What to say of tensors that are wrong at some stages and right at others."""
    wrong_at = tuple(n for n, r in stages.items() if set(tensors) & set(_with(r, Verdict.WRONG)))
    right_at = tuple(n for n, r in stages.items() if set(tensors) <= set(_with(r, Verdict.CORRECT)))
    causes = tuple(
        dict.fromkeys(
            f.cause
            for name in wrong_at
            for f in stages[name].findings
            if f.severity == "error" and set(f.tensors) & set(tensors)
        )
    )
    told = next((TOLD_BY_CAUSE[cause] for cause in causes if cause in TOLD_BY_CAUSE), None)
    if told is not None and regime.name not in STRONGER:
        regime = Regime(told, regime.share, f"{regime.evidence}; the report names {', '.join(causes)}")
    what, fix = SAID[regime.name]
    subject = f"The gradient{'s' if len(tensors) > 1 else ''} of {_listed(tensors)}"
    verb = "are" if len(tensors) > 1 else "is"
    why = f": {what}" if what else ""
    message = f"{subject} {verb} right {_at(right_at)} and wrong {_at(wrong_at)}{why}."
    return StageFinding(tensors, wrong_at, right_at, regime, causes, message, fix, walked)


def renewed(stages: Mapping[str, Report], known: StageFinding) -> StageFinding:
    """A finding with the stages that have come since."""
    return finding(stages, known.walked, known.tensors, known.regime)


def _with(report: Report, verdict: Verdict) -> list[str]:
    return [name for name, tensor in report.tensors.items() if tensor.verdict is verdict]


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _at(names: Sequence[str]) -> str:
    """Stages in words; a name that says when already needs no `at`."""
    said = [name if name.startswith(("at ", "after ", "before ", "in ")) else f"at {name}" for name in names]
    return _listed(said)
