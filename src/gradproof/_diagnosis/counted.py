"""Whether a factor counts examples: what becomes of the claim when every example is there twice.

The decision behind it: with each example twice a mean stays as it is, so a claim that doubles lacks a 1/m and one that
halves has one too many, whatever number the factor happens to be at this batch.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case


def ratio(case: Case, tensors: Sequence[int]) -> float | None:
    """How many times the data part of claims grows when each example is there twice; None where that is not clear."""
    lab = case.lab
    if not lab.callable or lab.examples < 2:
        return None
    there = lab.visit(data=lab.batch([e for e in range(lab.examples) for _ in range(2)]))
    if there is None:
        return None
    found = []
    for i in tensors:
        twice, once, theta = there.claims.get(case.tensors[i].name), case.claims.get(i), case.thetas[i]
        if twice is None or once is None or np.iscomplexobj(once) or not np.any(once):
            return None
        table = np.stack([once.ravel(), theta.ravel()], axis=1) if once.size > 3 else once.reshape(-1, 1)
        values = np.linalg.lstsq(table, twice.ravel(), rcond=None)[0]
        if np.linalg.norm(table @ values - twice.ravel()) > 1e-7 * np.linalg.norm(twice):
            return None
        found.append(float(values[0]))
    return found[0] if found and np.ptp(found) < 1e-5 * abs(found[0]) else None


def words(case: Case, tensors: Sequence[int], value: float) -> str:
    """``1/m missing`` or ``1/m twice`` where a factor counts examples, else nothing."""
    m = case.lab.examples
    if m < 2 or not any(abs(value - v) < 1e-6 * abs(v) for v in (m, -m, 2 * m, m / 2, 1 / m, -1 / m, 2 / m, 0.5 / m)):
        return ""
    grows = ratio(case, tensors)
    if grows is not None and abs(grows - 2.0) < 1e-5:
        return "1/m missing"
    return "1/m twice" if grows is not None and abs(grows - 0.5) < 1e-5 else ""
