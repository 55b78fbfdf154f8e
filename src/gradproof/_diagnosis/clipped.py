"""``clipped``: the gradient was clipped or normalised before it was returned, as an optimiser would have it."""

from collections.abc import Iterator, Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import clusters
from gradproof._diagnosis.evidence import ROUNDING, Suspect
from gradproof._diagnosis.factor import whole
from gradproof._records import Direction, Part

#: Norms that people clip to.
ROUND = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0)


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a bound on the elements or on the norm."""
    return [*_elements(case), *_norms(case)]


def _norms(case: Case) -> Iterator[Explanation]:
    """One factor for tensors whose claims have a round norm, alone or all together."""
    for cluster in clusters(whole(case.open)):
        if not cluster.solid:
            continue
        together = float(np.sqrt(sum(np.vdot(case.claims[i], case.claims[i]).real for i in cluster.tensors)))
        everything = set(cluster.tensors) >= {i for i in case.claims if np.any(case.claims[i])}
        alone = {i: float(np.linalg.norm(case.claims[i])) for i in cluster.tensors}
        near = max(1e-9, *(case.suspects[i].roundoff for i in cluster.tensors))
        groups = [(cluster.tensors, together)] if everything else [((i,), norm) for i, norm in alone.items()]
        for tensors, norm in groups:
            bound = next((r for r in ROUND if abs(norm - r) <= near * r), None)
            if bound is None or (bound != 1.0 and cluster.value <= 1.0 + 1e-6):
                continue
            names = case.names(tensors)
            word = "normalised to length" if bound == 1.0 else "clipped to norm"
            yield Explanation(
                "clipped", tuple(tensors), f"The gradient of {names} was {word} {bound:g}: its direction is right.",
                f"Return the gradient of {names} as it is, and leave {'normalising' if bound == 1.0 else 'clipping'} "
                "to the optimiser.",
                {i: case.claims[i] * cluster.value for i in tensors}, f"{word} {bound:g}", 0.7,
                (1.0 / cluster.value, cluster.error / cluster.value**2), also=("factor",),
            )  # fmt: skip


def _elements(case: Case) -> Iterator[Explanation]:
    """Elements that share one largest size, with everything else right."""
    found: list[tuple[Suspect, float]] = []
    for s in case.open:
        top = float(np.max(np.abs(s.claim), initial=0.0))
        at = np.abs(s.claim) == top
        if s.tensor.complex or not top or at.sum() < 2 or not s.clear:
            continue
        if _cut_off(s, top) if s.single else len(np.unique(np.abs(s.claim))) > 2 and _right_elsewhere(s, at):
            found.append((s, top))
    known = {s.index for s, _ in found}
    for s in case.open:
        for bound in {top for _, top in found}:
            if s.index not in known and np.max(np.abs(s.claim)) == bound and _cut_off(s, bound):
                found.append((s, bound))
    for bound in sorted({top for _, top in found}):
        members = tuple(sorted(s.index for s, top in found if top == bound))
        names = case.names(members)
        yield Explanation(
            "clipped", members, f"The gradient of {names} is clipped at {bound:g}: no element is larger, and those "
            "below are right.",
            f"Return the gradient of {names} as it is, and leave clipping to the optimiser.", {}, f"at {bound:g}", 0.7,
        )  # fmt: skip


def _cut_off(s: Suspect, bound: float) -> bool:
    """Whether the claim is what was measured element by element, cut off at a bound."""
    direct = s.elements
    if direct is None or s.tensor.complex:
        return False
    bars = (s.bars / s.directions[0].parts[0].weight).reshape(direct.shape)
    return bool(np.all(np.abs(np.clip(direct, -bound, bound) - s.claim) <= 3.0 * bars + s.rounded(s.claim)))


def _right_elsewhere(s: Suspect, at: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> bool:
    """Whether nothing is left of the mismatch once the elements at the bound are held still."""
    if at.all():
        return False
    held = s.source.holding({s.index: at})
    scale = s.stats.scale or 1.0
    target, rounding = 1e-8 * scale * s.stats.claim, ROUNDING * s.roundoff * scale * s.stats.claim
    probes = held.measure([Direction((31_337 + k,), (Part(s.index, scale),)) for k in range(3)], target)
    return all(p.measured and abs(p.mismatch) <= 3.0 * p.bar + rounding for p in probes)
