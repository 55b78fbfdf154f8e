"""``stale``: the claim belongs to earlier parameters; ``early-update``: it depends on the learning rate.

The parameters are moved and the claim is computed again, which takes one call. A claim that stays what it was while
the derivative of the cost changes was not computed from the parameters it was given. Where activations are kept from
an earlier call, the claim still follows the weights it is carried back with, so the first layer alone is moved: only
the activations, and nothing in a backward pass, know of that layer above it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Elsewhere, Explanation
from gradproof._diagnosis.elsewhere import reacts
from gradproof._diagnosis.regulariser import SCALES
from gradproof._diagnosis.saying import gradient_of, verb

#: How far parameters are moved, relative to their size, and their size where they are zero.
FAR, OF_ZERO = 0.1, 0.1
#: How far they are moved once more: a derivative made of signs and steps stays what it was for a little move only.
FARTHER = 20.0
#: Claims that change by less than this, relative, stay what they were.
STAYS = 1e-12
#: Fewer elements than this in all may stay what they are by chance.
FEWEST = 4
#: Options that set the size of an update.
RATES = ("learning_rate", "lr", "eta", "step_size")


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by parameters, options or activations of an earlier call, and by weights that are updated early."""
    if not case.lab.callable or not case.open:
        return []
    early = _early_update(case)
    if early:
        return early
    here, bare = _without_decay(case)
    if here is None:
        return []
    everything = range(len(case.tensors))
    there = case.lab.visit(theta=_moved(case, everything), options=bare)
    if there is not None and _all_stay(case, here, there) and _stay_far_off(case, here, everything, bare):
        names = case.names([s.index for s in case.open])
        subject = gradient_of(names, len(case.open)).rsplit(" ", 1)[0]
        message = f"{subject} {verb(len(case.open), 'does', 'do')} not react to the parameters, but the cost does."
        if case.lab.traced and len(case.tensors) == 1:
            # What reverse mode computes anew at each call is not of an earlier one.
            fix = "Multiply by the derivative of the function where it was evaluated: it is left out, or a constant."
            left = Explanation(
                "activation-derivative", (0,), message, fix, detail="missing", rank=2.0, also=("other-loss", "stale")
            )
            return [left]
        fix = (
            "Compute everything anew from the parameters of each call: this gradient is that of an earlier call, or of "
            "a cost that is linear in them."
        )
        return [_explanation(case, message, fix, "earlier parameters")]
    layers = case.layers
    if len(layers) < 2 or len(case.open) < 2:
        return []
    moved = _moved(case, layers[0].tensors)
    there = case.lab.visit(theta=moved, options=bare)
    if there is None or not _all_stay(case, here, there, moved):
        return []
    if not _stay_far_off(case, here, layers[0].tensors, bare):
        return []
    first, names = case.names(layers[0].tensors), case.names([s.index for s in case.open])
    message = f"Above the first layer the gradient of {names} does not react to {first}, but the cost does."
    fix = "Run the forward pass before each backward pass: activations of an earlier call are used."
    return [_explanation(case, message, fix, "activations of an earlier call")]


def _explanation(case: Case, message: str, fix: str, detail: str) -> Explanation:
    tensors = tuple(s.index for s in case.open)
    return Explanation("stale", tensors, message, fix, detail=detail, rank=2.0, also=("other-loss",))


def _moved(case: Case, tensors: Sequence[int], far: float = FAR) -> dict[int, NDArray[Any]]:
    rng = np.random.default_rng(271_828)
    moved = {}
    for i in tensors:
        theta = case.thetas[i]
        if not theta.size:
            continue
        size = float(np.sqrt(np.mean(np.abs(theta) ** 2))) or OF_ZERO
        size = max(size, OF_ZERO) if abs(far) > FAR else size
        moved[i] = theta + far * size * rng.standard_normal(theta.shape)
    return moved


def _without_decay(case: Case) -> tuple[Mapping[str, NDArray[Any]] | None, Mapping[str, Any] | None]:
    """The claims without a regulariser, which follows the parameters whatever else does, and the options for that."""
    option = next((name for name in case.lab.vary if name in SCALES and name != "alpha"), None)
    if option is None:
        return {case.tensors[i].name: claim for i, claim in case.claims.items()}, None
    bare = {option: 0.0}
    there = case.lab.visit(options=bare)
    return (None if there is None else there.claims), bare


def _stay_far_off(
    case: Case, here: Mapping[str, NDArray[Any]], tensors: Sequence[int], options: Mapping[str, Any] | None
) -> bool:
    """Whether claims that do not belong to the tensors moved stay what they are however far those are moved."""
    for far in (FARTHER, -FARTHER):
        there = case.lab.visit(theta=_moved(case, tensors, far), options=options)
        if there is None:
            return False
        for s in case.open:
            before, now = here.get(s.name), there.claims.get(s.name)
            if s.index in tensors and len(tensors) < len(case.tensors):
                continue
            if before is None or now is None or np.linalg.norm(now - before) > STAYS * float(np.linalg.norm(before)):
                return False
    return True


def _all_stay(
    case: Case,
    here: Mapping[str, NDArray[Any]],
    there: Elsewhere,
    moved: Mapping[int, NDArray[Any]] | None = None,
) -> bool:
    """Whether no suspect's claim follows the move, while the cost's derivative does.

    Args:
        case: what is known.
        here: the claims before.
        there: the claims after.
        moved: where only some tensors were moved, these: their claims may follow by the decay term that no option
            switches off, as long as others do not follow at all.
    """
    if sum(s.claim.size for s in case.open) < FEWEST or (not moved and len(case.open) == 1 < len(case.tensors)):
        return False
    still = 0
    for s in case.open:
        before, now = here.get(s.name), there.claims.get(s.name)
        if before is None or now is None or not np.any(before):
            return False
        if np.linalg.norm(now - before) <= STAYS * float(np.linalg.norm(before)):
            still += 1 if not moved or s.index not in moved else 0
        elif not moved or s.index not in moved or not _along(now - before, moved[s.index] - s.theta):
            return False
    looked_at = sorted(case.open, key=lambda s: -s.tensor.size)[:2]
    return still >= min(2, len(case.open)) and all(reacts(there, s) for s in looked_at)


def _along(change: NDArray[Any], step: NDArray[Any]) -> bool:
    """Whether a change is a multiple of a step."""
    if change.size < FEWEST:
        return False
    multiple = np.vdot(step, change) / np.vdot(step, step)
    return bool(np.linalg.norm(change - multiple * step) <= 1e-9 * np.linalg.norm(change))


def _early_update(case: Case) -> list[Explanation]:
    """Claims that the size of an update changes, and that are right without one."""
    for option in RATES:
        value = case.lab.options.get(option)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value:
            continue
        there = case.lab.visit(options={option: 0.0})
        if there is None:
            continue
        repairs = {}
        for s in case.open:
            now = there.claims.get(s.name)
            if now is not None and not np.array_equal(now, s.claim) and s.leaves_nothing(now):
                repairs[s.index] = now
        if repairs:
            names = case.names([*repairs])
            message = (
                f"{gradient_of(names, len(repairs))} right with {option} = 0 and wrong with {option} = {value}: "
                "weights are updated before the backward pass is through."
            )
            fix = "Compute all gradients from the old weights first, and update the weights after that."
            return [Explanation("early-update", tuple(repairs), message, fix, repairs, f"follows {option}", 1.0)]
    return []
