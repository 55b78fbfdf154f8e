"""``precision``: no formula is wrong, the gradient was computed or stored with too few digits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect, rms

#: Formats a claim may have been rounded to: name -> unit roundoff. The shortest significand first: what fits it fits
#: the longer ones as well.
FORMATS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24}
#: Claims this far apart along a line, relative to the parameters: so near that a kink hardly ever lies between, while
#: of many rounded numbers a few cross to their neighbours all the same. Two lines must show it.
SPACING = 1e-5
#: Rounding seen along the line explains a mismatch up to this many times larger, the rest being the same every time.
WITHIN = 30.0
#: Mismatches larger than this are no rounding, and noise less than this share of the claim is a smooth claim's own.
LARGEST, LEAST = 0.2, 1e-7


def stored(case: Case) -> Sequence[Explanation]:
    """Explanations by the format that a claim was kept in; they cost nothing, and so come before places are sought."""
    kinds: dict[str, list[int]] = {}
    for s in case.open:
        kind = next((name for name in FORMATS if _stored_as(s, name)), None)
        if kind is not None:
            kinds.setdefault(kind, []).append(s.index)
    return [_explanation(case, tuple(tensors), f"rounded to {kind}") for kind, tensors in kinds.items()]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by too few digits on the way, which calls of the gradient nearby show."""
    rough = _rough(case, case.open)
    return [_explanation(case, tuple(rough), "computed in low precision")] if rough else []


def _explanation(case: Case, tensors: tuple[int, ...], detail: str) -> Explanation:
    names = case.names(tensors)
    return Explanation(
        "precision", tensors, f"The gradient of {names} was {detail}: the mismatch is rounding, not a wrong formula.",
        f"Compute and keep the gradient of {names} in float64.", {}, detail, 2.8,
    )  # fmt: skip


def _size(s: Suspect) -> float:
    """The mismatch relative to the claim."""
    unit = (s.stats.scale or 1.0) * s.stats.claim
    if s.single and len(s.mismatch):
        return float(np.linalg.norm(s.mismatch)) / unit if unit else np.inf
    return rms(s.mismatch) / unit if unit and len(s.mismatch) else np.inf


def _stored_as(s: Suspect, kind: str) -> bool:
    """Whether every number of a claim fits a format, and the mismatch is no more than rounding to it."""
    if s.tensor.complex or s.tensor.size < 2 or not _fits(s.claim, kind):
        return False
    return bool(np.any(s.claim != s.claim.flat[0])) and _size(s) <= 2.0 * FORMATS[kind]


def _fits(claim: NDArray[Any], kind: str) -> bool:
    """Whether every number fits a format."""
    with np.errstate(over="ignore"):
        if kind == "bfloat16":
            bits: NDArray[Any] = claim.astype(np.float32).view(np.uint32)
            return bool(np.array_equal(claim.astype(np.float32), claim) and not np.any(bits & 0xFFFF))
        return bool(np.array_equal(claim.astype(kind).astype(np.float64), claim))


def _rough(case: Case, suspects: Sequence[Suspect]) -> list[int]:
    """Tensors whose claims jump along a short line by about as much as they are off."""
    small = [s for s in suspects if _size(s) < LARGEST and s.tensor.size >= 2]
    if not small or not case.lab.callable:
        return []
    rough = {s.index: s for s in small}
    for seed in (5, 6):
        noise = _noise(case, suspects, np.random.default_rng(seed))
        rough = {i: s for i, s in rough.items() if noise.get(i, 0.0) > LEAST and noise[i] * WITHIN > _size(s)}
        if not rough:
            break
    return list(rough)


def _noise(case: Case, suspects: Sequence[Suspect], rng: np.random.Generator) -> dict[int, float]:
    """How far the claims along one short line are from smooth, relative to the claims."""
    ways = {s.index: s.theta * rng.standard_normal(s.theta.shape) for s in suspects}
    line = []
    for k in range(-2, 3):
        there = case.lab.visit(theta={i: case.thetas[i] + k * SPACING * way for i, way in ways.items()})
        if there is None:
            return {}
        line.append(there.claims)
    found = {}
    for s in suspects:
        claims = [claims.get(s.name) for claims in line]
        if any(c is None for c in claims):
            continue
        a, b, c, d, e = (np.asarray(c) for c in claims)
        # Fourth difference: 70 times the variance of independent rounding, nothing of a smooth claim.
        found[s.index] = float(np.linalg.norm(a - 4 * b + 6 * c - 4 * d + e)) / np.sqrt(70.0) / (s.stats.claim or 1.0)
    return found
