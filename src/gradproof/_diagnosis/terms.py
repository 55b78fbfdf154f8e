"""A term of the cost that the gradient lacks, counts twice or scales, where the user has passed ``terms=``.

Each term is measured on its own along the suspect's directions, and the mismatch is held against multiples of it. The
derivative of a term is not known element by element, so that a repaired claim exists only where one of the two is a
multiple of the parameters, as an L2 term is; elsewhere the directions beyond the fitted number are the proof.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Fitted, clusters
from gradproof._diagnosis.evidence import BARS, CLEAR, Fit, Suspect, solve
from gradproof._diagnosis.numbers import Nice
from gradproof._diagnosis.saying import gradient_of, times

#: Names of terms in the parameters alone.
_DECAY = re.compile(r"l1|l2|reg|decay|penalty|norm|lasso|ridge|prior|shrink", re.IGNORECASE)
#: Error bars of a term's derivative aimed at, relative to the gradient.
SHARP = 1e-9
#: A multiple of the parameters is recognised within this share.
MULTIPLE = 1e-6


@dataclass(frozen=True)
class Part:
    """One term's derivative along a suspect's directions.

    Attributes:
        name: the user's name for the term.
        along: its derivative along each direction.
        bars: how far each may be off.
        slope: b where the term's gradient is b times the parameters, else None.
    """

    name: str
    along: NDArray[np.float64]
    bars: NDArray[np.float64]
    slope: float | None


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by one term of the cost with a wrong factor."""
    fits: dict[str, list[Fitted]] = {}
    parts: dict[int, list[Part]] = {}
    terms = {name: there for name in case.lab.terms if (there := case.lab.term(name)) is not None}
    if not terms:
        return []
    for s in case.open:
        if not s.clear:
            continue
        parts[s.index] = [_part(s, name, there.reference) for name, there in terms.items()]
        fitting = [(p, fit) for p in parts[s.index] if (fit := _fit(s, p)) is not None]
        if len(fitting) == 1:
            part, fit = fitting[0]
            fits.setdefault(part.name, []).append(Fitted(s.index, fit.coefficients[0], fit.errors[0], fit.thin))
    found = []
    for name, fitted in fits.items():
        for cluster in clusters(fitted):
            if cluster.solid and len(terms) > 1:
                known = case.nice(1.0 + cluster.value, cluster.error) if abs(cluster.value + 1.0) > 1e-6 else None
                found.append(_explanation(case, name, cluster.tensors, (cluster.value, cluster.error), known, parts))
    return found


def _part(s: Suspect, name: str, reference: Any) -> Part:
    size = float(np.sqrt(np.mean(s.measured**2))) or 1.0
    measured = reference.measure(s.directions, SHARP * size)
    along = np.array([e.slope - e.mismatch if e.measured else np.nan for e in measured])
    bars = np.array([e.bar if e.measured else np.inf for e in measured])
    theta = s.problem.project(s.directions, s.index, [s.theta])[:, 0]
    norm = float(theta @ theta)
    slope = float(theta @ along) / norm if norm and np.all(np.isfinite(along)) else None
    if slope is not None:
        left = np.abs(along - slope * theta)
        if not np.all(left <= BARS * bars + MULTIPLE * np.abs(slope * theta)):
            slope = None
    return Part(name, along, bars, slope)


def _fit(s: Suspect, part: Part) -> Fit | None:
    """The mismatch as a multiple of a term's derivative."""
    if not np.all(np.isfinite(part.along)) or not _stands_out(part):
        return None
    size = np.abs(s.mismatch) / np.maximum(np.abs(part.along), 1e-300)
    allowed = np.maximum(BARS * (s.bars + size * part.bars), 1e-9 * np.abs(s.mismatch))
    return solve(part.along[:, None], s.mismatch, allowed, s.tensor.size)


def _stands_out(part: Part) -> bool:
    return bool(np.sqrt(np.mean(part.along**2)) > CLEAR * np.sqrt(np.mean(part.bars**2)))


def _explanation(
    case: Case,
    name: str,
    tensors: tuple[int, ...],
    fitted: tuple[float, float],
    known: Nice | None,
    parts: Mapping[int, list[Part]],
) -> Explanation:
    value, error = fitted
    names, many = case.names(tensors), len(tensors)
    taken = 1.0 + value
    linear = all(next(p for p in parts[i] if p.name == name).slope is not None for i in tensors)
    decay = linear or bool(_DECAY.search(name))
    if abs(taken) < 1e-6:
        cause, detail, said = "missing-path", f"{name} missing", f"lacks the term {name}"
        fix = f"Add the derivative of {name} to the gradient of {names}."
    elif abs(taken + 1.0) < 1e-6:
        cause, detail, said = "sign", f"{name} with the wrong sign", f"has the term {name} with the wrong sign"
        fix = f"Multiply the part of the gradient of {names} that comes from {name} by -1."
    else:
        amount = known.text if known else times(taken, error)
        detail = f"{name} counted twice" if abs(taken - 2.0) < 1e-6 else f"{name} times {amount}"
        cause, said = "factor", f"has {amount} times the term {name}"
        fix = f"Divide the part of the gradient of {names} that comes from {name} by {amount}."
    if decay:
        cause = "regulariser"
    message = (
        f"{gradient_of(names, many).rsplit(' ', 1)[0]} {said if many == 1 else _plural(said)}; other terms are right."
    )
    repairs = _repairs(case, name, tensors, value, parts)
    also = ("accumulated",) if detail.endswith("counted twice") and not decay else ()
    return Explanation(
        cause, tensors, message, fix, repairs, detail, 0.8, fitted if decay else (taken, error), also=also
    )


def _plural(said: str) -> str:
    return said.replace("lacks", "lack", 1).replace("has", "have", 1)


def _repairs(
    case: Case, name: str, tensors: tuple[int, ...], value: float, parts: Mapping[int, list[Part]]
) -> dict[int, NDArray[Any]]:
    """Mended claims where the term, or all the others together, are a multiple of the parameters."""
    mended = {}
    for i in tensors:
        s = case.suspects[i]
        own = next(p for p in parts[i] if p.name == name)
        others = [p.slope for p in parts[i] if p is not own]
        if own.slope is not None:
            mended[i] = s.claim - value * own.slope * s.theta
        elif abs(1.0 + value) > 1e-6 and all(slope is not None for slope in others):
            rest = sum(slope for slope in others if slope is not None) * s.theta
            mended[i] = (s.claim - rest) / (1.0 + value) + rest
    return mended if len(mended) == len(tensors) else {}
