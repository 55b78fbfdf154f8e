"""``factor``: the claim is the gradient times one constant; ``sign``: that constant is -1.

What is fitted is reference = a x claim, with the user's L2 term beside it where that alone does not do: a slip in the
backward pass multiplies the part of the gradient that comes from the data and leaves the L2 term as it was.
"""

from collections.abc import Sequence
from dataclasses import replace

from gradproof._diagnosis import counted
from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Cluster, Fitted, clusters
from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.masks import KEEPING
from gradproof._diagnosis.numbers import Nice
from gradproof._diagnosis.saying import gradient_of, it, times


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a constant factor, of whole gradients and of their data parts."""
    found = [_told(case, _explanation(case, c)) for c in clusters(whole(case.open))]
    rest = [s for s in case.open if not any(e and s.index in e.tensors for e in found)]
    parts = [_told(case, _of_data(case, c, rest)) for c in clusters([f for f, _ in data_parts(rest)])]
    return [e for e in (*found, *parts) if e is not None]


def _told(case: Case, found: Explanation | None) -> Explanation | None:
    """The explanation with what the number stands for: a 1/m too many or too few, a keep_prob."""
    if found is None or found.factor is None or found.cause != "factor":
        return found
    value = found.factor[0]
    named = case.nice(*found.factor)
    if named is not None and named.role == "option" and named.option in KEEPING:
        less = "1/keep_prob missing" if value < 1.0 else "1/keep_prob twice"
        message = f"{found.message} As {named.text} says, the scale of dropout is {less.partition(' ')[2]} there."
        return replace(found, cause="dropout", detail=less, message=message, also=(*found.also, "factor"))
    words = counted.words(case, found.tensors, value)
    if not words:
        return found
    detail = found.detail.replace("factor ", f"{words}: factor ", 1)
    message = f"{found.message} With every example twice it {'doubles' if 'missing' in words else 'halves'}: {words}."
    return replace(found, detail=detail, message=message)


def whole(suspects: Sequence[Suspect]) -> list[Fitted]:
    """For each tensor that it fits, a in reference = a x claim."""
    fits = [(s, s.fit([s.claim])) for s in suspects]
    return [Fitted(s.index, f.coefficients[0], f.errors[0], f.thin) for s, f in fits if f is not None]


def data_parts(suspects: Sequence[Suspect]) -> list[tuple[Fitted, tuple[float, float]]]:
    """For each tensor that it fits, a in reference = a x claim + b x parameters, and b with its error."""
    fits = [(s, s.fit([s.claim, s.theta])) for s in suspects]
    return [
        (Fitted(s.index, f.coefficients[0], f.errors[0], f.thin), (f.coefficients[1], f.errors[1]))
        for s, f in fits
        if f is not None and abs(f.coefficients[0] - 1.0) > 1e-6
    ]


def _ratio(cluster: Cluster) -> tuple[float, float]:
    """Claimed over reference, with its error."""
    return 1.0 / cluster.value, cluster.error / cluster.value**2


def _explanation(case: Case, cluster: Cluster) -> Explanation | None:
    if cluster.value == 0.0:
        return None
    ratio, error = _ratio(cluster)
    known = case.nice(ratio, error)
    # A tensor of one or two elements may be off by a simple number by chance, as where a cost counts examples; beside
    # others that are wrong in another way it proves nothing.
    if not cluster.solid and (known is None or {s.index for s in case.open} - set(cluster.tensors)):
        return None
    # A whole number or a simple ratio is taken at its word; the proof would show it if it were not.
    value = known.value if known is not None else ratio
    repairs = {i: case.claims[i] / value for i in cluster.tensors}
    if not all(case.suspects[i].leaves_nothing(r) for i, r in repairs.items()):
        value, repairs = ratio, {i: case.claims[i] / ratio for i in cluster.tensors}
    names, count = case.names(cluster.tensors), len(cluster.tensors)
    if abs(value + 1.0) < 1e-6:
        return Explanation(
            "sign", cluster.tensors, f"{gradient_of(names, count)} the negative of what {it(count)} should be.",
            f"Multiply the gradient of {names} by -1.", repairs, "the negative", 1.0, (ratio, error),
        )  # fmt: skip
    return Explanation(
        "factor", cluster.tensors,
        f"{gradient_of(names, count)} {times(ratio, error)} times what {it(count)} should be.",
        undone(f"the gradient of {names}", known.text if known else f"{ratio:.9g}") + ".",
        repairs, detail(known, ratio),
        1.0 if known or count > 1 else 3.0, (ratio, error),
    )  # fmt: skip


def detail(known: Nice | None, ratio: float) -> str:
    """The variant in words: ``factor 2``, ``factor m (m = 64 examples)``."""
    return f"factor {known.text if known else f'{ratio:.6g}'}"


def _of_data(case: Case, cluster: Cluster, suspects: Sequence[Suspect]) -> Explanation | None:
    if cluster.value == 0.0 or not cluster.solid:
        return None
    ratio, error = _ratio(cluster)
    known = case.nice(ratio, error)
    if known is None:
        return None
    members = [s for s in suspects if s.index in cluster.tensors]
    repairs = {}
    for s in members:
        fit = s.fit([s.theta], known=s.claim / known.value)
        if fit is None:
            return None
        repairs[s.index] = s.claim / known.value + fit.coefficients[0] * s.theta
    names, count = case.names(cluster.tensors), len(cluster.tensors)
    sign = abs(known.value + 1.0) < 1e-6
    said = f"{'the negative of' if sign else f'{times(ratio, error)} times'} what {it(count)} should be"
    explanation = Explanation(
        "factor", cluster.tensors,
        f"Besides a term in the parameters (L2), {_lower(gradient_of(names, count))} {said}.",
        undone(f"the part of the gradient of {names} that comes from the data", known.text)
        + ", and leave the L2 term as it is.",
        repairs, f"{detail(known, ratio)} in the data part", 2.0, (ratio, error), also=("regulariser",),
    )  # fmt: skip
    return replace(explanation, cause="sign", detail="the negative, in the data part") if sign else explanation


def undone(what: str, text: str) -> str:
    """What takes a factor off again: dividing by 2, multiplying by m where it was 1/m."""
    if text.startswith("1/") and "(1/" not in text:
        return f"Multiply {what} by {text[2:]}"
    return f"Multiply {what} by -1" if text == "-1" else f"Divide {what} by {text}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
