"""Mismatches that are the claim's own rounding: where a gradient cancels to nothing, its last bits are all there is.

The decision behind it: no rule from sizes tells rounding from a small gradient, since the terms that cancelled are not
seen. So the claim is asked for at pairs of points on either side of this one, so close that a formula is a straight
line between them; how far it lies off the middle of its two neighbours is its rounding. Last bits alone would not do:
a gradient may round to one and the same number for all of them. Only a mismatch pays for it that is small beside the
cost, or belongs to a cost that is hardly more than its own noise.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.claims import Claims
from gradproof._evaluation import BudgetExhaustedError
from gradproof._pipeline.edges import Work
from gradproof._pipeline.point import Place0, claims_at
from gradproof._records import in_format, spacing
from gradproof._verdict.judge import Outcome, default_scales

#: How far off the pairs are: powers of the spacing of numbers. Below one half, curvature would count.
PAIRS = (0.6, 0.65, 0.7, 0.8)
#: By how many last bits parameters are changed to see the rounding of a claim in its own precision, and so many times
#: that is rounding: of two elements that cancel, every second difference points the same way.
BITS, OWN_ROUNDINGS = (1.0, -1.0, 2.0, -3.0), 4.0
#: A mismatch of less than so many times what was measured is rounding.
ROUNDINGS = 16.0
#: Where the cost is hardly more than its noise, so many times that noise in all of a tensor's size is no slope.
NOISES = 64.0
#: A mismatch whose effect is below this share of the cost may be rounding, as may any of a cost whose noise is more.
SMALL = 1e-6
#: A cost of which the noise is this share or more is hardly more than noise.
HARDLY = 1e-2


def without_rounding(
    work: Work, places: Mapping[int, Place0], outcomes: Mapping[int, Outcome]
) -> dict[int, Outcome]:  # fmt: skip
    """The wrong ones among some outcomes, undecided where the mismatch is no more than the claim's own rounding."""
    wrong = [i for i, o in outcomes.items() if o.status == "wrong" and _small(places[i], i, o)]
    noisy = {i for i in wrong if _is_noise(places[i], i, outcomes[i])}
    found = {i: replace(outcomes[i], status="undecided", reason="noise") for i in noisy}
    return found | _of_claims(work, places, {i: outcomes[i] for i in wrong if i not in noisy})


def _of_claims(work: Work, places: Mapping[int, Place0], outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
    """Those whose mismatch is what rounding makes of the claim."""
    wrong = [*outcomes]
    if not wrong or not work.session.callable_grads or work.session.caller.live:
        return {}
    place = places[wrong[0]]
    here = [i for i in wrong if places[i] is place]
    sizes = dict.fromkeys(here, 0.0)
    for power in PAIRS:
        pair = _pair(work, place, power)
        if pair is None:
            continue
        for i in here:
            name = work.session.tensors[i].name
            if all(name in side.values for side in pair):
                middle = 0.5 * (pair[0].values[name] + pair[1].values[name])
                off = np.nan_to_num(middle - place.claims.values[name])
                sizes[i] = max(sizes[i], float(np.linalg.norm(off)))
    return {
        i: replace(outcomes[i], status="undecided", reason="rounding")
        for i in here
        if _mismatch(place, i, outcomes[i]) <= ROUNDINGS * sizes[i]
    }


def _mismatch(place: Place0, i: int, outcome: Outcome) -> float:
    """The norm of a mismatch, per unit of the parameters."""
    return outcome.estimate * (1.0 if outcome.absolute else place.claimed[i].stats.claim)


def _effect(place: Place0, i: int, outcome: Outcome) -> float:
    """What a mismatch makes of the cost as a tensor moves by its own size."""
    return default_scales([c.stats for c in place.claimed])[i] * _mismatch(place, i, outcome)


def _small(place: Place0, i: int, outcome: Outcome) -> bool:
    """Whether a mismatch may be rounding at all."""
    noise = place.reference.noise
    return SMALL * abs(float(noise.cost)) <= noise.sigma or _effect(place, i, outcome) <= SMALL * abs(float(noise.cost))


def _is_noise(place: Place0, i: int, outcome: Outcome) -> bool:
    """Whether the cost is hardly more than its noise, and a mismatch no more than that may be."""
    noise = place.reference.noise
    hidden = not noise.constant and HARDLY * abs(float(noise.cost)) <= noise.sigma
    return hidden and _effect(place, i, outcome) <= NOISES * noise.sigma


def _pair(work: Work, place: Place0, power: float) -> tuple[Claims, Claims] | None:
    """The claims on both sides of the point; None where the functions do not work there."""
    rng = np.random.default_rng(37)
    theta = np.asarray(place.theta, dtype=np.float64)
    move = np.zeros(theta.shape)
    for t in work.session.tensors:
        far = spacing(place.claims.formats.get(t.name, "float64")) ** power
        move[t.offset : t.offset + t.size] = far * rng.choice([-1.0, 1.0], t.size)
    move[place.fixed] = 0.0
    try:
        return (
            claims_at(work.session, theta * (1.0 + move), work.meter),
            claims_at(work.session, theta * (1.0 - move), work.meter),
        )
    except BudgetExhaustedError:
        raise
    except Exception:  # the functions need not work elsewhere
        return None


def is_rounding(
    work: Work, own: Mapping[int, NDArray[np.float64]], off: Mapping[int, NDArray[np.float64]]
) -> dict[int, bool]:  # fmt: skip
    """Whether differences of claims in the user's own precision are what last bits of the parameters make of those.

    Args:
        work: the check in progress.
        own: the claims by tensor.
        off: how far they are from the float64 ones.
    """
    rng, sizes = np.random.default_rng([work.options.seed, 17]), dict.fromkeys(own, 0.0)
    for bits in BITS:
        theta = work.session.theta.copy()
        for t in work.session.tensors:
            part = slice(t.offset, t.offset + t.size)
            moved = theta[part] * (1.0 + bits * spacing(t.dtype) * rng.choice([-1.0, 1.0], t.size))
            theta[part] = in_format(moved, t.dtype)
        try:
            there = claims_at(work.session, theta, work.meter, native=True)
        except BudgetExhaustedError:
            raise
        except Exception:  # the functions need not work elsewhere
            continue
        for i, values in own.items():
            name = work.session.tensors[i].name
            if name in there.values:
                change = np.nan_to_num(there.values[name] - values)
                sizes[i] = max(sizes[i], float(np.linalg.norm(change)))
    return {i: float(np.linalg.norm(off[i])) <= OWN_ROUNDINGS * size for i, size in sizes.items()}
