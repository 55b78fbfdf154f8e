"""``configuration``: an option that the cost honours and the gradient does not.

Such a gradient is right where the option has the value that the gradient takes for granted. Which that is, is not
known, but it is nearly always the default in the signature, or one that leaves everything as it is. An option is only
set to a default of the user's own, or varied where ``vary`` allows it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import clusters
from gradproof._diagnosis.dropout import DROPPING, KEEPING
from gradproof._diagnosis.elsewhere import all_agree, reacts
from gradproof._diagnosis.factor import whole
from gradproof._diagnosis.regulariser import SCALES
from gradproof._diagnosis.saying import gradient_of, verb
from gradproof._diagnosis.stale import RATES

#: Options that have causes of their own, or none.
OTHERS = frozenset({*KEEPING, *DROPPING, *(name for name in SCALES if name != "alpha"), *RATES, "seed"})
#: Values that a gradient takes for granted, by what they usually belong to: a leaky slope, an ELU; a scale; a switch.
SLOPES, NEUTRAL = (0.01, 1.0), (1.0, 0.0)
SLOPED = ("alpha", "slope", "negative_slope")
#: Most experiments for one gradient.
MOST = 6
#: Numbers that a factor may be without coming from an option.
COMMON = (2.0, 3.0, 4.0, 0.5, 0.25, 0.1, 10.0, 100.0)


def explain_factor(case: Case) -> Sequence[Explanation]:
    """Explanations by a constant factor that is the value of an option."""
    found = []
    for cluster in clusters(whole(case.open)):
        if not cluster.value or not cluster.solid:
            continue
        ratio, error = 1.0 / cluster.value, cluster.error / cluster.value**2
        known = case.nice(ratio, error)
        if known is None or known.role != "option" or known.option in OTHERS:
            continue
        suspects = [case.suspects[i] for i in cluster.tensors]
        neutral = case.lab.default(known.option) == 1 or known.option in case.lab.vary
        there = case.lab.visit(options={known.option: 1.0}) if neutral else None
        proven = there is not None and all_agree(there, suspects)
        if neutral and there is not None and not proven:
            continue
        value = float(case.lab.options[known.option])
        if not proven and (value in COMMON or float(value).is_integer()):
            continue
        names = case.names(cluster.tensors)
        message = f"{gradient_of(names, len(cluster.tensors))} off by the factor {known.text}: the cost honours it, "
        message += "the gradient does not do so in the same way."
        fix = f"Divide the gradient of {names} by {known.text}, or pass {known.option} on to the backward pass."
        repairs = {i: case.claims[i] / known.value for i in cluster.tensors}
        also = () if proven else ("factor",)
        found.append(
            Explanation(
                "configuration", cluster.tensors, message, fix, repairs, f"factor {known.text}", 0.95,
                (ratio, error), also=also,
            )
        )  # fmt: skip
    return found


def explain(case: Case) -> Sequence[Explanation]:
    """An explanation by an option at whose default the gradient is right, or that it does not react to."""
    if not case.lab.callable or not case.open:
        return []
    suspects = case.open
    names = case.names([s.index for s in suspects])
    tensors = tuple(s.index for s in suspects)
    for option, value, own in _tries(case):
        there = case.lab.visit(options={option: value})
        if there is None:
            continue
        here = case.lab.options[option]
        hidden = not own and option in SLOPED
        if all_agree(there, suspects) and not (hidden and _odd(case, option, value, there.cost)):
            message = (
                f"{gradient_of(names, len(suspects))} right with {option} = {value} and wrong with {option} = {here}: "
                "the cost honours it, the gradient takes it for granted."
            )
            fix = f"Pass {option} on to the backward pass and use it there as the cost does."
            also: tuple[str, ...] = () if own else ("activation-derivative",)
            if option in SCALES and not value:
                return [_other_term(case, option, tensors)]
            return [
                Explanation("configuration", tensors, message, fix, {}, f"right at {option} = {value}", 3.0, also=also)
            ]
        still = all(np.array_equal(there.claims.get(s.name, np.empty(0)), s.claim) for s in suspects)
        if still and all(reacts(there, s) for s in suspects[:2]):
            verb_ = verb(len(suspects), "does", "do")
            subject = gradient_of(names, len(suspects)).rsplit(" ", 1)[0]
            message = f"{subject} {verb_} not react to {option}, but the cost does."
            fix = f"Pass {option} on to the backward pass and use it there as the cost does."
            also = ("stale", "other-loss")
            return [Explanation("configuration", tensors, message, fix, {}, f"ignores {option}", 3.0, also=also)]
    return []


def _other_term(case: Case, option: str, tensors: tuple[int, ...]) -> Explanation:
    """A gradient that is right without its regulariser: the term is another one than the cost's."""
    names = case.names(tensors)
    message = (
        f"{gradient_of(names, len(tensors))} right with {option} = 0 and wrong with "
        f"{option} = {case.lab.options[option]}: the term that {option} scales is another one than in the cost."
    )
    fix = f"Differentiate the term that {option} scales as it stands in the cost."
    return Explanation("regulariser", tensors, message, fix, {}, "of another form", 3.0, also=("configuration",))


def _odd(case: Case, option: str, value: Any, cost: float) -> bool:
    """Whether the first layer's activation is odd at this value: then it is linear, and derivatives of it cannot show.

    The signs of the first layer, and of the weights of the next one, cancel exactly then.
    """
    layers = case.layers
    if len(layers) < 2:
        return True
    flipped = {i: -case.thetas[i] for i in (*layers[0].tensors, *layers[1].weights)}
    there = case.lab.visit(theta=flipped, options={option: value})
    return there is None or abs(there.cost - cost) <= 1e-12 * abs(cost)


def _tries(case: Case) -> Iterator[tuple[str, Any, bool]]:
    """Options with values to try, and whether the value is a default of the user's own."""
    left = MOST
    for option, here in case.lab.options.items():
        if option in OTHERS:
            continue
        default = case.lab.default(option)
        values = [(default, True)] if isinstance(default, bool | int | float | str) else []
        if option in case.lab.vary:
            values += [(v, False) for v in (SLOPES if option in SLOPED else NEUTRAL)]
        for value, own in values:
            if left and value != here and isinstance(here, bool | int | float | str):
                left -= 1
                yield option, value, own
