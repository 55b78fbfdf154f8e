"""``dropout``: the mask or the factor 1/keep_prob is missing, applied twice, or another one than the cost's.

A forgotten 1/keep_prob multiplies the gradient of everything below by keep_prob, and by keep_prob once more below the
next dropped layer, so that factors c, c^2, c^3 stand on the layers from top to bottom. A forgotten mask leaves no such
numbers, but the gradient is right with dropout off.
"""

import math
from collections.abc import Sequence
from typing import Any

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Fitted
from gradproof._diagnosis.elsewhere import all_agree
from gradproof._diagnosis.factor import data_parts, whole
from gradproof._diagnosis.layers import Layer
from gradproof._diagnosis.saying import gradient_of

#: Options that set the share that is kept, and the share that is dropped.
KEEPING, DROPPING = ("keep_prob", "keep", "kp"), ("p", "dropout", "drop_prob", "dropout_rate", "rate")
#: A power of keep_prob is recognised within this.
NEAR = 1e-5
#: Without an option, shares below this are no keep_prob.
LEAST = 0.1


def in_use(case: Case) -> bool:
    """Whether the cost drops units as far as can be seen: by an option, or by random numbers."""
    options = case.lab.options
    kept = any(options.get(name) not in (None, 1) for name in KEEPING)
    return kept or any(options.get(name) not in (None, 0) for name in DROPPING) or case.lab.random


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by powers of keep_prob on the layers."""
    fits: dict[int, tuple[Fitted, bool]] = {f.tensor: (f, False) for f in whole(case.open)}
    rest = [s for s in case.open if s.index not in fits]
    fits |= {f.tensor: (f, True) for f, _ in data_parts(rest)}
    ratios = {i: 1.0 / f.value for i, (f, _) in fits.items() if f.value > 0.0 and f.error <= NEAR * abs(f.value)}
    if not ratios:
        return []
    kept = _kept(case)
    share = kept[1] if kept else _guessed(case, ratios)
    if share is None:
        return []
    powers = {i: math.log(r) / math.log(share) for i, r in ratios.items()}
    powers = {i: k for i, k in powers.items() if abs(k - round(k)) < NEAR and 0 < abs(round(k)) <= len(case.layers)}
    if not powers or min(powers.values()) * max(powers.values()) < 0.0:
        return []
    if all(fits[i][0].thin for i in powers) and len(powers) < 2:
        return []
    repairs = {}
    for i, k in powers.items():
        mended = case.claims[i] / share ** round(k)
        if fits[i][1]:
            fit = case.suspects[i].fit([case.suspects[i].theta], known=mended)
            if fit is None:
                return []
            mended = mended + fit.coefficients[0] * case.suspects[i].theta
        repairs[i] = mended
    return [_ladder(case, powers, share, kept[0] if kept else "", repairs)]


def _ladder(case: Case, powers: dict[int, float], share: float, option: str, repairs: dict[int, Any]) -> Explanation:
    tensors = tuple(sorted(powers))
    missing = min(powers.values()) > 0.0
    name = "1/keep_prob" if not option or option in KEEPING else f"1/(1 - {option})"
    said = ", ".join(
        f"{share ** round(k):.6g} times in {case.names([i for i in tensors if round(powers[i]) == round(k)])}"
        for k in dict.fromkeys(round(powers[i]) for i in tensors)
    )
    detail = f"{name} missing" if missing else f"{name} twice"
    message = f"{gradient_of(case.names(tensors), len(tensors))} off by powers of the share kept ({share:g}): {said}"
    where = _stepping(case, powers)
    message += (
        f"; on the way back through the dropout of {where} {name} is {'missing' if missing else 'applied twice'}."
    )
    fix = f"{'Divide by' if missing else 'Divide only once by'} the share that is kept where the mask is applied."
    one = len({round(k) for k in powers.values()}) == 1
    also = ("factor",) if one or not option else ()
    return Explanation("dropout", tensors, message, fix, repairs, detail, 0.9, also=also)


def _stepping(case: Case, powers: dict[int, float]) -> str:
    """The layers at which a further power comes in, from the top down."""
    before, found = 0, []
    for layer in reversed(case.layers):
        own = {abs(round(powers[i])) for i in layer.tensors if i in powers}
        if own and max(own) > before:
            before = max(own)
            found.append(layer)
    return _named(list(reversed(found)))


def _named(found: Sequence[Layer]) -> str:
    """Layers in words: by their number where they have one, else by what their tensors share."""
    keys = [layer.key for layer in found]
    if all(key.isdigit() for key in keys):
        listed = keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
        return f"layer{'s' if len(keys) > 1 else ''} {listed}"
    return ", ".join(keys)


def _kept(case: Case) -> tuple[str, float] | None:
    """The option that sets how many units are kept, and the share that is kept."""
    for name, value in case.lab.options.items():
        if name in (*KEEPING, *DROPPING) and not isinstance(value, bool) and isinstance(value, int | float):
            share = float(value) if name in KEEPING else 1.0 - float(value)
            if 0.0 < share < 1.0:
                return name, share
    return None


def _guessed(case: Case, ratios: dict[int, float]) -> float | None:
    """A share c where layers from top to bottom are off by c and c^2, or 1/c and 1/c^2; None where none is."""
    rows = [[ratios[i] for i in layer.tensors if i in ratios] for layer in case.layers]
    steps = [row[0] for row in rows if row and max(row) - min(row) <= NEAR * row[0]]
    distinct = list(dict.fromkeys(round(math.log(r), 6) for r in reversed(steps)))
    if len(distinct) < 2 or abs(distinct[1] - 2.0 * distinct[0]) > 10.0 * NEAR:
        return None
    top = next(r for r in reversed(steps))
    share = min(top, 1.0 / top)
    known = case.nice(share, NEAR * share)
    counted = known is not None and known.role == "examples"
    return None if counted or not LEAST < share < 1.0 else share


def _topmost(case: Case) -> str:
    """The layer at which the fault comes in: the last one that is wrong; all before it follow from it."""
    wrong = {s.index for s in case.open}
    return _named([layer for layer in case.layers if wrong & set(layer.tensors)][-1:])


def explain_off(case: Case) -> Sequence[Explanation]:
    """An explanation by a gradient that is right with dropout off."""
    kept = _kept(case)
    if kept is None or not case.lab.callable:
        return []
    option, _ = kept
    off = 1.0 if option in KEEPING else 0.0
    there = case.lab.visit(options={option: off})
    suspects = case.open
    if there is None or not all_agree(there, suspects):
        return []
    names, value = case.names([s.index for s in suspects]), case.lab.options[option]
    message = (
        f"{gradient_of(names, len(suspects))} right without dropout ({option} = {off:g}) and wrong with "
        f"{option} = {value}: on the way back through the dropout of {_topmost(case)} the mask of the forward pass is "
        "not used as it was."
    )
    fix = "Multiply by the same mask, and divide by the same share, as the forward pass."
    tensors = tuple(s.index for s in suspects)
    return [
        Explanation("dropout", tensors, message, fix, {}, "mask", 2.0, also=("wrong-cache", "activation-derivative"))
    ]
