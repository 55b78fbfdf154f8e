"""``region``: only a part of the tensor is wrong: a tile, rows, columns, a band, a mask.

The place is searched for here, for whatever is still open, and then looked at like a tensor of its own: a constant
factor on the place is a factor, zero on it is a part that was never computed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.saying import times
from gradproof._localisation.search import Whereabouts
from gradproof._localisation.wording import LISTED, described

#: Wrong tensors up to this many are searched early.
FEW = 2
#: So many elements on either side of a threshold are not sorted by chance.
SIDES = 4
#: Elements this much smaller than the largest are zero.
ROUNDING = 1e-13
#: Where the right gradient is known, elements are right to this share of its root mean square, and wrong beyond that.
RIGHT, WRONG = 1e-10, 1e-7


def explain_few(case: Case) -> Sequence[Explanation]:
    """The same before the regimes are tried, where hardly anything is wrong: a part is then likely."""
    return explain(case) if len(case.open) <= FEW else []


def explain_known(case: Case) -> Sequence[Explanation]:
    """The same where the place is known without a search and has a shape, before anything is tried that costs."""
    if len(case.open) > FEW:
        return []
    known = [(s, where) for s in case.open if (where := _known(case, s)) is not None]
    shaped = [(s, where) for s, where in known if where.kind != "elements" or where.mask.sum() <= LISTED]
    return [_explanation(case, s, where) for s, where in shaped if _proper(s, where)]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a proper part of one tensor."""
    found = []
    for s in case.open:
        where = case.places.get(s.index) or _known(case, s) or case.locate(s.index)
        if where is None:
            continue
        case.places[s.index] = where
        if _proper(s, where):
            found.append(_explanation(case, s, where))
    return found


def _proper(s: Suspect, where: Whereabouts) -> bool:
    """Whether a place is a part; where nothing but zeros lies outside, the part that is wrong is all there is."""
    outside = float(np.max(np.abs(s.claim[~where.mask]), initial=0.0))
    largest = float(np.max(np.abs(s.claim), initial=0.0))
    return bool(where.kind != "all" and where.mask.any() and outside > ROUNDING * largest)


def _known(case: Case, s: Suspect) -> Whereabouts | None:
    """The place where the right gradient is known element by element: nothing needs to be searched for."""
    truth = case.truths.get(s.index)
    if truth is None or not s.leaves_nothing(truth):
        return None
    off = np.abs(s.claim - truth)
    size = max(float(np.sqrt(np.mean(np.abs(a) ** 2))) for a in (s.claim, truth))
    mask = off > WRONG * size
    if not mask.any() or np.any((off > RIGHT * size) & ~mask):
        return None
    kind, text = described(mask, s.name)
    count = int(mask.sum())
    return Whereabouts(mask, kind, text, True, None, (count, mask.size), mask, 0)


def _mended(case: Case, s: Suspect) -> dict[int, NDArray[Any]]:
    """The right gradient, where it is known."""
    truth = case.truths.get(s.index)
    return {} if truth is None or not s.leaves_nothing(truth) else {s.index: truth}


def _side(s: Suspect, where: Whereabouts) -> str:
    """The side of a threshold on which all wrong elements lie and no right one does; "" where there is none."""
    size = np.abs(s.theta)
    inside, outside = size[where.mask], size[~where.mask]
    if min(inside.size, outside.size) < SIDES:
        return ""
    if inside.min() > outside.max():
        return f"larger than {outside.max():.3g}"
    return f"smaller than {outside.min():.3g}" if inside.max() < outside.min() else ""


def _explanation(case: Case, s: Suspect, where: Whereabouts) -> Explanation:
    inside = np.where(where.mask, s.claim, 0.0)
    outside = np.where(where.mask, 0.0, s.claim)
    look = f"Look at what is different about {where.text} when the gradient of {s.name} is computed"
    if where.kind == "scattered" or not where.exact:
        message = f"The gradient of {s.name} is wrong in a part only: {where.text}."
        return Explanation(
            "region", (s.index,), message, f"{look}: masks, indices, the ends of loops.", _mended(case, s), where.kind,
            5.0,
            places={s.index: where},
        )  # fmt: skip
    if not np.any(inside):
        message = f"The gradient of {s.name} is zero in {where.text}, where it should not be; the rest is right."
        return Explanation(
            "region", (s.index,), message, f"{look}: it is never computed there.", _mended(case, s), "zero",
            4.0, places={s.index: where},
        )  # fmt: skip
    fit = s.fit([inside], known=outside) if where.mask.sum() > 1 else None  # one element is a multiple of any other
    if fit is not None and fit.coefficients[0]:
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
    side = _side(s, where)
    if side:
        message = f"The gradient of {s.name} is wrong in {where.text}, just where its parameters are {side}."
        fix = "Look at branches on the size of a value (np.where, clip, thresholds) in the backward pass."
        also = ("overflow", "clipped", "stabiliser") if side.startswith("larger") else ("stabiliser", "tie")
        return Explanation(
            "region", (s.index,), message, fix, _mended(case, s), "branch", 4.5, places={s.index: where}, also=also
        )
    message = f"The gradient of {s.name} is wrong in {where.text}; the rest is right."
    return Explanation(
        "region", (s.index,), message, f"{look}: indices, masks, the ends of loops.", _mended(case, s), where.kind,
        5.0, places={s.index: where},
    )  # fmt: skip
