"""A regulariser on tensors that are zero at this point: too much or too little of it leaves no trace here.

Such a tensor is moved, and the strength of the regulariser switched off and on: four claims and four costs say whether
the gradient and the cost have the same term in it. The gradient is right at this point all the same, so what is found
is a warning.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.regulariser import SCALES
from gradproof._pipeline.edges import Work
from gradproof._pipeline.laboratory import Bench
from gradproof._records import Finding, Place, Tensor

#: The value that elements are moved to; large beside rounding, small beside weights.
MOVED = 0.1
#: Terms differ where they differ by more than this share, beside the rounding of the cost.
SAME = 1e-6


def regulariser_at_zero(work: Work, sound: Sequence[int]) -> list[Finding]:
    """Findings about tensors that are zero, judged right here, and have another regulariser than the cost.

    Args:
        work: the check in progress.
        sound: tensors judged right.
    """
    bench = Bench(work, work.session.theta)
    tensors = work.session.tensors
    zero = [i for i in sound if tensors[i].size and not np.any(_flat(work, tensors[i]))]
    option = next((name for name in bench.vary if name in SCALES and bench.options[name]), None)
    if option is None or not zero or not bench.callable:
        return []
    theta: dict[int, NDArray[Any]] = {i: np.full(tensors[i].shape, MOVED) for i in zero}
    on, off = bench.visit(theta=theta), bench.visit(theta=theta, options={option: 0.0})
    if on is None or off is None:
        return []
    held = {}
    for i in zero:
        name = tensors[i].name
        if name not in on.claims or name not in off.claims:
            return []
        held[i] = float(np.vdot(theta[i], on.claims[name] - off.claims[name]).real)
    claimed = sum(held.values())
    here, bare = bench.visit(), bench.visit(options={option: 0.0})
    if here is None or bare is None:
        return []
    # A quadratic term is half of theta times its gradient, an absolute value all of it.
    cost = (on.cost - off.cost) - (here.cost - bare.cost)
    rounding = 64.0 * np.finfo(np.float64).eps * (abs(on.cost) + abs(off.cost) + abs(here.cost) + abs(bare.cost))
    near = rounding + SAME * max(abs(claimed), abs(cost))
    if min(abs(claimed - 2.0 * cost), abs(claimed - cost)) <= near:
        return []
    blamed = [i for i in zero if abs(held[i]) > near] or zero
    return [_finding([tensors[i] for i in blamed], option, claimed, cost, near)]


def _flat(work: Work, tensor: Tensor) -> NDArray[Any]:
    return work.session.theta[tensor.offset : tensor.offset + tensor.size]


def _finding(tensors: Sequence[Tensor], option: str, claimed: float, cost: float, near: float) -> Finding:
    names = tuple(t.name for t in tensors)
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    verb = "is" if len(names) == 1 else "are"
    if abs(cost) <= near:
        said, fix = "has a term in it that the cost has not", f"Take the {option} term off the gradient of {listed}."
        detail = "on the biases"
    elif abs(claimed) <= near:
        said, fix = "lacks a term in it that the cost has", f"Add the {option} term to the gradient of {listed}."
        detail = "missing"
    else:
        ratio = claimed / (2.0 * cost)
        said, fix = f"has {ratio:.6g} times the term of the cost", f"Divide the {option} term by {ratio:.6g}."
        detail = f"{ratio:.6g} times too strong"
    message = f"{listed} {verb} 0 here, which hides a mistake: with other values the gradient {said} ({option})."
    masks = {t.name: np.ones(t.shape, dtype=bool) for t in tensors}
    return Finding(
        "regulariser", "warning", names, Place(f"all of {listed}", masks, exact=False), message, fix, detail=detail
    )
