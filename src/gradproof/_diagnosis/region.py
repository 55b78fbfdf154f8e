"""``region``: only a part of the tensor is wrong: a tile, rows, columns, a band, a mask.

The place is searched for here, for whatever is still open, and then looked at like a tensor of its own: a constant
factor on the place is a factor, zero on it is a part that was never computed.
"""

from collections.abc import Sequence

import numpy as np

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.saying import times
from gradproof._localisation.search import Whereabouts


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a proper part of one tensor."""
    found = []
    for s in case.open:
        where = case.locate(s.index)
        if where is None:
            continue
        case.places[s.index] = where
        # Where nothing but zeros lies outside, the part that is wrong is all there is.
        if where.kind != "all" and where.mask.any() and np.any(s.claim[~where.mask]):
            found.append(_explanation(case, s, where))
    return found


def _explanation(case: Case, s: Suspect, where: Whereabouts) -> Explanation:
    inside = np.where(where.mask, s.claim, 0.0)
    outside = np.where(where.mask, 0.0, s.claim)
    look = f"Look at what is different about {where.text} when the gradient of {s.name} is computed"
    if where.kind == "scattered" or not where.exact:
        message = f"The gradient of {s.name} is wrong in a part only: {where.text}."
        return Explanation(
            "region", (s.index,), message, f"{look}: masks, indices, the ends of loops.", {}, where.kind, 5.0,
            places={s.index: where},
        )  # fmt: skip
    if not np.any(inside):
        message = f"The gradient of {s.name} is zero in {where.text}, where it should not be; the rest is right."
        return Explanation(
            "region", (s.index,), message, f"{look}: it is never computed there.", {}, "zero", 4.0,
            places={s.index: where},
        )  # fmt: skip
    fit = s.fit([inside], known=outside)
    if fit is not None and fit.coefficients[0] and where.mask.sum() > 1:
        ratio = 1.0 / fit.coefficients[0]
        error = fit.errors[0] * ratio**2
        known = case.nice(ratio, error)
        value = known.value if known else ratio
        message = f"The gradient of {s.name} is {times(ratio, error)} times what it should be in {where.text}."
        cause = "sign" if abs(value + 1.0) < 1e-6 else "factor"
        return Explanation(
            cause, (s.index,), message, f"Divide the gradient of {s.name} by {value:.9g} in {where.text}.",
            {s.index: outside + inside / value}, f"factor {known.text if known else f'{ratio:.6g}'}", 2.0,
            (ratio, error), {s.index: where}, ("region",),
        )  # fmt: skip
    message = f"The gradient of {s.name} is wrong in {where.text}; the rest is right."
    return Explanation(
        "region", (s.index,), message, f"{look}: indices, masks, the ends of loops.", {}, where.kind, 5.0,
        places={s.index: where},
    )  # fmt: skip
