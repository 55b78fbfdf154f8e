"""Conditions at this point under which some mistakes leave no trace, so that a passed check says less than it seems.

The decision behind it: they are read off what is at hand anyway, cost no evaluation and do not touch a verdict; they
tell the reader where else to check.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._pipeline.point import Place0

#: Options at whose neutral value a part of the gradient vanishes: names -> (neutral value, what cannot show).
NEUTRAL = {
    ("lambd", "lambda_", "weight_decay", "l2", "l1"): (0.0, "a slip in the regulariser's gradient"),
    ("keep_prob",): (1.0, "a slip in the backward pass of dropout"),
    ("dropout", "p_drop"): (0.0, "a slip in the backward pass of dropout"),
    ("temperature", "T"): (1.0, "a temperature forgotten in the backward pass"),
}
#: Share of rows of a claimed gradient that may be exactly zero before it is mentioned.
DEAD = 0.5


def hiding(session: Session, place: Place0) -> Iterator[str]:
    """One sentence for each condition that hides mistakes."""
    parameters = {t.name: place.theta[t.offset : t.offset + t.size] for t in session.tensors if t.size}
    zero = [name for name, values in parameters.items() if not values.any()]
    weights = len(zero) < len(parameters)
    ones = [name for name, v in parameters.items() if v.size > 1 and v[0] == 1.0 and bool((v == 1.0).all())]
    if zero and weights:
        yield f"{_named(zero)} 0 throughout: a regulariser wrongly applied there cannot show. Check after training too."
    if ones:
        yield f"{_named(ones)} 1 throughout: a factor of it that was forgotten cannot show. Check again after training."
    for names, (neutral, what) in NEUTRAL.items():
        for name in names:
            value = (session.call.options or {}).get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and float(value) == neutral:
                yield f"{name} is {value:g} here: {what} cannot show. Check with another value as well."
    batch = session.call.batch
    if batch is not None and batch.examples == 1:
        yield "The batch holds one example: a wrong division by the number of examples cannot show."
    noise = place.reference.noise
    if noise.constant and not math.isfinite(noise.ceiling) and any(np.any(v) for v in place.claims.values.values()):
        yield (
            "The cost did not change by one bit when all parameters were moved a little: it may read others, of which "
            "these are copies."
        )
    dead = [t.name for t in session.tensors if _dead_rows(place.claims.values.get(t.name), t.shape)]
    if dead:
        yield (
            f"Half of the rows of the claimed gradient of {', '.join(dead[:4])} or more are exactly 0 (units that are "
            "dead or saturated at this point): mistakes there cannot show."
        )


def _dead_rows(claim: NDArray[np.float64] | None, shape: Sequence[int]) -> bool:
    if claim is None or len(shape) < 2 or shape[0] < 2 or not claim.size or np.count_nonzero(claim) == claim.size:
        return False
    live = np.any(claim.reshape(shape[0], -1) != 0.0, axis=1)
    return bool(live.any() and np.mean(~live) >= DEAD)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
