"""``stabiliser``: an epsilon inside a logarithm of the cost that the gradient does not know of.

With one example the cost is -log(p + eps), and its derivative p / (p + eps) = 1 - eps exp(cost) times that of -log p.
So example by example the measured derivative is the claim times a number below 1, and (1 - number) exp(-cost) is the
same epsilon for all of them. With it the claim of the whole batch can be mended exactly, and the mended one be judged.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.elsewhere import SHARP
from gradproof._diagnosis.evidence import CLEAR, Suspect
from gradproof._diagnosis.regulariser import SCALES
from gradproof._diagnosis.saying import gradient_of

#: Examples looked at for one epsilon, and the most that a claim is mended with.
LOOKED_AT, MOST = 3, 256
#: Epsilons agree within this share.
SAME = 1e-4
#: No stabiliser is larger.
LARGEST = 0.1


def explain(case: Case) -> Sequence[Explanation]:
    """An explanation by one epsilon that fits several examples."""
    lab = case.lab
    if not lab.callable or not LOOKED_AT <= lab.examples <= MOST or len(case.open) < min(2, len(case.tensors)):
        return []
    bare = {name: 0.0 for name in lab.options if name in SCALES and name in lab.vary and name != "alpha"}
    suspect = max(case.open, key=lambda s: s.tensor.size)
    epsilons = []
    for example in range(lab.examples):
        there = lab.visit(data=lab.batch([example]), options=bare or None)
        found = None if there is None else _epsilon(there, suspect)
        if found is None:
            return []
        if found[1] > SAME * found[0]:  # an example that hardly knows of the epsilon
            continue
        epsilons.append(found[0])
        if len(epsilons) == LOOKED_AT:
            break
    if len(epsilons) < LOOKED_AT or max(epsilons) - min(epsilons) > SAME * max(epsilons):
        return []
    epsilon = float(np.mean(epsilons))
    repairs = _mended(case, epsilon, bare)
    if not repairs:
        return []
    names = case.names([*repairs])
    message = (
        f"{gradient_of(names, len(repairs))} that of a cost without the constant {epsilon:.3g} that this cost adds "
        "inside a logarithm."
    )
    fix = f"Differentiate log(a + {epsilon:.3g}) as 1 / (a + {epsilon:.3g}), or take the constant out of the cost."
    return [Explanation("stabiliser", tuple(repairs), message, fix, repairs, f"epsilon {epsilon:.3g}", 2.0)]


def _epsilon(there: Elsewhere, s: Suspect) -> tuple[float, float] | None:
    """Epsilon from one example, with its error; None where the claim is not a multiple of the derivative."""
    claim = there.claims.get(s.name)
    if claim is None or not np.any(claim):
        return None
    directions = s.directions[:3]
    claimed = there.reference.evaluator.problem.project(directions, s.index, [claim])[:, 0]
    size = float(np.sqrt(np.mean(claimed**2)))
    found = there.reference.measure(directions, SHARP * size)
    if not size or not all(e.measured for e in found):
        return None
    measured = np.array([e.slope - e.mismatch for e in found])
    bars = np.array([e.bar for e in found])
    ratio = float(claimed @ measured) / float(claimed @ claimed)
    if np.any(np.abs(measured - ratio * claimed) > CLEAR * bars + 1e-7 * size):
        return None
    epsilon = (1.0 - ratio) * math.exp(-there.cost)
    error = CLEAR * float(np.max(bars)) / size * math.exp(-there.cost)
    return (epsilon, error) if -error < epsilon < LARGEST else None


def _mended(case: Case, epsilon: float, bare: dict[str, float]) -> dict[int, NDArray[Any]]:
    """The claim of the batch as the mean over its examples, each with its own factor, and the other terms beside it."""
    lab = case.lab
    lost: dict[int, NDArray[Any]] = {}
    for example in range(lab.examples):
        there = lab.visit(data=lab.batch([example]), options=bare or None)
        if there is None:
            return {}
        share = epsilon * math.exp(there.cost) / lab.examples
        for s in case.open:
            claim = there.claims.get(s.name)
            if claim is None:
                return {}
            lost[s.index] = lost.get(s.index, 0.0) + share * claim
    mended = {i: case.claims[i] - part for i, part in lost.items()}
    return mended if all(case.suspects[i].leaves_nothing(claim) for i, claim in mended.items()) else {}
