"""``cotangent``: a backward pass is linear in what it is given: twice, nothing, and the sum of two."""

from collections.abc import Iterator

import numpy as np

from gradproof._algebra.backward import Asked
from gradproof._algebra.comparing import Gap, Rounding, Trial, attempt, listed, told
from gradproof._records import Finding

#: Laws broken by less than this are a matter of precision inside, which the verdict knows about.
CLEARLY = 2e-2


def linear(trial: Trial) -> Iterator[Finding]:
    """Doubles the cotangent, makes it zero, and adds another one."""
    first, second = trial.cotangents
    both = tuple(None if u is None or v is None else u + v for u, v in zip(first, second, strict=True))
    plain = trial.plain.gradients
    passes = {}
    for name, asked in (
        ("double", trial.asked(lambda u: 2.0 * u)),
        ("zero", trial.asked(lambda u: 0.0 * u)),
        ("second", Asked(second)),
        ("both", Asked(both)),
    ):
        found = attempt(trial.backward.gradients, asked)
        if isinstance(found, Exception):
            words = {"zero": "of zeros", "double": "twice as large"}.get(name, "with other numbers")
            yield trial.finding(
                "contract", trial.everywhere(), f"The backward pass fails for a cotangent {words}: {told(found)}.",
                "Let it work for any cotangent of the output's shape.", "fails for another cotangent",
            )  # fmt: skip
            return
        passes[name] = trial.rounding_of(asked, found)
    trial.kept["second"] = passes["second"].plain
    double, zero, other, total = (passes[name].plain.gradients for name in ("double", "zero", "second", "both"))
    not_finite = {i for i, g in enumerate(plain) if g is None or not np.all(np.isfinite(g))}
    twice = [None if g is None else 2.0 * g for g in plain]
    sums = [None if a is None or b is None else a + b for a, b in zip(plain, other, strict=True)]
    usual = trial.rounding
    doubled = trial.gaps(double, twice, there=(usual, passes["double"]))
    added = trial.gaps(total, sums, beside=plain, there=(usual, passes["second"], passes["both"]))
    nothing = [None if g is None else np.zeros_like(g) for g in plain]
    left = trial.gaps(zero, nothing, beside=plain, there=(usual, passes["zero"]))
    gaps = {i: gap for i, gap in {**added, **doubled, **left}.items() if i not in not_finite}
    gaps = {i: gap for i, gap in gaps.items() if gap.off > CLEARLY or trial.names[i] in trial.right}
    if gaps:
        yield from _told(trial, passes, gaps)


def _told(trial: Trial, passes: dict[str, Rounding], gaps: dict[int, Gap]) -> Iterator[Finding]:
    """Findings by what the pass does with the cotangent instead."""
    plain, usual = trial.plain.gradients, trial.rounding
    double, zero = passes["double"].plain.gradients, passes["zero"].plain.gradients
    same = [
        trial.gaps(passes[name].plain.gradients, plain, there=(usual, passes[name])) for name in ("double", "second")
    ]
    ignored = {i: gap for i, gap in gaps.items() if all(i not in part for part in same)}
    # What is left without the part that comes for nothing: an affine pass is linear there.
    bare = [None if a is None or b is None else a - b for a, b in zip(plain, zero, strict=True)]
    twice = [None if a is None or b is None else 2.0 * a + b for a, b in zip(bare, zero, strict=True)]
    crooked = trial.gaps(double, twice, there=(usual, passes["double"], passes["zero"]))
    constant = {i: gap for i, gap in gaps.items() if i not in ignored and i not in crooked and np.any(zero[i])}
    rest = {i: gap for i, gap in gaps.items() if i not in ignored and i not in constant}
    if ignored:
        names = listed([trial.names[i] for i in ignored])
        yield trial.finding(
            "cotangent", ignored,
            f"The gradient of {names} is the same whatever the cotangent is: what comes from above is ignored.",
            "Multiply by the gradient that the backward pass is given.", "ignored",
        )  # fmt: skip
    if constant:
        names = listed([trial.names[i] for i in constant])
        yield trial.finding(
            "cotangent", constant,
            f"For a cotangent of zeros the gradient of {names} is not zero: something is added that does not depend "
            f"on the cotangent.",
            "Leave out what is added, or multiply it by the gradient that the backward pass is given.",
            "added constant", also=("regulariser",),
        )  # fmt: skip
    if rest:
        names, worst = listed([trial.names[i] for i in rest]), max(gap.off for gap in rest.values())
        yield trial.finding(
            "cotangent", rest,
            f"The gradient of {names} is not linear in the cotangent: twice the cotangent, or the sum of two, gives "
            f"something else than twice the gradient, or the sum, by a relative difference of {worst:.1e}.",
            "Use the cotangent as a factor alone: no powers, signs, norms or limits of it.", "not linear",
            also=("clipped",),
        )  # fmt: skip
