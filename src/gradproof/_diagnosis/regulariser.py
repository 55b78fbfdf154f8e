"""``regulariser``: the L2 or L1 term is missing, doubled, of the wrong sign or size, or on parameters that have none.

What is fitted is reference = claim + b x parameters (or their signs, or ones). b alone says what is missing; where the
option that scales the term was passed, the claim computed without it says what is there, and both together say how
many times too much.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Cluster, Fitted, clusters
from gradproof._diagnosis.evidence import Suspect
from gradproof._diagnosis.saying import gradient_of, times, verb

#: Options that scale a regulariser.
SCALES = ("lambd", "lambda_", "lam", "alpha", "weight_decay", "decay", "l2", "l1", "reg")


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by a term in the parameters."""
    found: list[Explanation] = []
    for shape, word in (("theta", "the parameters"), ("sign", "the signs of the parameters"), ("ones", "ones")):
        fits = []
        for s in case.open:
            fit = s.fit([_term(s, shape)], known=s.claim)
            if fit is not None:
                fits.append(Fitted(s.index, fit.coefficients[0], fit.errors[0], fit.thin))
        found += [e for c in clusters(fits) if (e := _explanation(case, c, shape, word)) is not None]
    taken = {i for e in found for i in e.tensors}
    return [*found, *_other_norm(case, [s for s in case.open if s.index not in taken])]


def _term(suspect: Suspect, shape: str) -> NDArray[Any]:
    if shape == "theta":
        return suspect.theta
    return np.sign(suspect.theta) if shape == "sign" else np.ones_like(suspect.theta)


def _explanation(case: Case, cluster: Cluster, shape: str, word: str) -> Explanation | None:
    if shape == "ones" and not (cluster.solid and _constant_term(case, cluster)):
        return None
    there = claimed_coefficient(case, cluster.tensors, shape)
    if not cluster.solid and not (_is_all_that_the_claim_has(cluster, there) or _is_the_option(case, cluster)):
        return None
    repairs = {i: case.claims[i] + cluster.value * _term(case.suspects[i], shape) for i in cluster.tensors}
    names = case.names(cluster.tensors)
    size = times(abs(cluster.value), cluster.error)
    known = case.nice(abs(cluster.value), cluster.error, options_first=True)
    exact = known.text if known is not None and known.role == "option" else f"{abs(cluster.value):.9g}"
    biases = {i for layer in case.layers for i in layer.biases}
    only_biases = set(cluster.tensors) <= biases
    fixed = shape == "theta" and there is not None and _fixed(case, cluster, there[0])
    detail = fixed or _detail(cluster, there, only_biases, case)
    kind = "L1" if shape == "sign" else "L2" if shape == "theta" else "constant"
    count = len(cluster.tensors)
    subject = gradient_of(names, count).rsplit(" ", 1)[0]
    if cluster.value > 0.0:
        message = f"{subject} {verb(count, 'lacks', 'lack')} {size} times {word} (the {kind} term: {detail})."
        fix = f"Add {exact} times {word} to the gradient of {names}."
    else:
        message = f"{subject} {verb(count, 'has', 'have')} {size} times {word} too much (the {kind} term: {detail})."
        fix = f"Take {exact} times {word} off the gradient of {names}."
    rank = 1.5 if shape == "theta" else 2.0
    return Explanation(
        "regulariser", cluster.tensors, message, fix, repairs, detail, rank, (cluster.value, cluster.error),
        also=("stale",) if fixed else (),
    )  # fmt: skip


def _is_all_that_the_claim_has(cluster: Cluster, there: tuple[float, float] | None) -> bool:
    """Whether what is too much is what the claim loses without the option; to one number anything can be fitted."""
    if there is None or not there[0]:
        return False
    near = 5.0 * (cluster.error + there[1]) + 1e-7 * abs(there[0])
    return cluster.value < 0.0 and abs(there[0] + cluster.value) <= near < 1e-3 * abs(there[0])


def _is_the_option(case: Case, cluster: Cluster) -> bool:
    """Whether what is fitted to a few numbers is the strength of the term that was passed, to six digits."""
    known = case.nice(abs(cluster.value), cluster.error, options_first=True)
    sharp = cluster.error <= 1e-6 * abs(cluster.value)
    return sharp and known is not None and known.role == "option" and known.option in SCALES


def _fixed(case: Case, cluster: Cluster, held: float) -> str:
    """Words for a claim that has an L2 term, but one that does not react to the option that sets its strength.

    The term that the cost has follows from measuring without it; less what the claim lacks it is what the claim has.
    """
    option = _option(case)
    if held or option is None:
        return ""
    without = case.lab.visit(options={option: 0.0})
    s = max((case.suspects[i] for i in cluster.tensors), key=lambda s: s.tensor.size)
    if without is None or not len(s.directions):
        return ""
    bare = without.reference.measure(s.directions[:1], 1e-8 * abs(float(s.measured[0])))[0]
    along = float(s.problem.project(s.directions[:1], s.index, [s.theta])[0, 0])
    if not bare.measured or not along:
        return ""
    wanted = (float(s.measured[0]) - (bare.slope - bare.mismatch)) / along
    error = (bare.bar + float(s.bars[0])) / abs(along)
    has = wanted - cluster.value
    if abs(has) <= max(20.0 * error, 1e-6 * abs(wanted)) or 20.0 * error > abs(wanted):
        return ""
    return f"does not react to {option}"


def _option(case: Case) -> str | None:
    """The option that scales the term, if it may be varied."""
    return next((name for name in case.lab.options if name in SCALES and case.lab.options[name]), None)


def _constant_term(case: Case, cluster: Cluster) -> bool:
    """Whether a constant on some tensors is a term, and not what a reduction that went wrong leaves on a bias.

    It must be the same on several tensors, or a number that comes from the option of a regulariser, with nothing else
    wrong beside it.
    """
    if {s.index for s in case.open} - set(cluster.tensors):
        return False
    known = case.nice(abs(cluster.value), cluster.error, options_first=True)
    return len(cluster.tensors) > 1 or (known is not None and known.option in SCALES)


def claimed_coefficient(case: Case, tensors: Sequence[int], shape: str = "theta") -> tuple[float, float] | None:
    """How many times the parameters the claim holds, from claims with the option and without it; None if unknown."""
    lab = case.lab
    option = _option(case)
    if option is None or not lab.callable:
        return None
    without = lab.visit(options={option: 0.0})
    if without is None:
        return None
    values = []
    for i in tensors:
        bare, term = without.claims.get(case.tensors[i].name), _term(case.suspects[i], shape)
        if bare is None:
            return None
        size = float(np.vdot(term, term).real)
        held = case.claims[i] - bare
        c = float(np.vdot(term, held).real) / size if size else 0.0
        if np.linalg.norm(held - c * term) > 1e-7 * (np.linalg.norm(held) + 1e-300) and c != 0.0:
            return None
        values.append(c)
    return float(np.mean(values)), float(np.ptp(values))


def _detail(cluster: Cluster, there: tuple[float, float] | None, only_biases: bool, case: Case) -> str:
    held, wanted = (there[0], there[0] + cluster.value) if there is not None else (0.0, 0.0)
    if only_biases and cluster.value < 0.0 and abs(wanted) <= 1e-6 * abs(held):
        return "on the biases"
    if there is None:
        return "missing" if cluster.value > 0.0 else "too strong"
    if abs(held) < 1e-6 * abs(wanted):
        return "missing"
    if abs(wanted) < 1e-6 * abs(held):
        return "in the gradient only"
    ratio = held / wanted
    known = case.nice(ratio, 1e-6 * abs(ratio))
    words: Mapping[float, str] = {-1.0: "wrong sign", 2.0: "counted twice", 0.5: "halved"}
    for value, text in words.items():
        if abs(ratio - value) < 1e-5:
            return text
    if known is not None and known.role == "examples" and abs(known.value - case.lab.examples) < 1e-6:
        return "without 1/m"
    return f"{known.text if known else f'{ratio:.6g}'} times too strong"


def _other_norm(case: Case, suspects: Sequence[Suspect]) -> list[Explanation]:
    """L1 in the gradient where the cost has L2, or the other way round."""
    fits = [(s, s.fit([s.theta, np.sign(s.theta)], known=s.claim)) for s in suspects]
    usable = {s.index: f for s, f in fits if f and not f.thin and f.coefficients[0] * f.coefficients[1] < 0.0}
    found = []
    for cluster in clusters([Fitted(i, f.coefficients[0], f.errors[0], f.thin) for i, f in usable.items()]):
        b, c = usable[cluster.tensors[0]].coefficients
        members = [case.suspects[i] for i in cluster.tensors]
        names = case.names(cluster.tensors)
        has, wants = ("L1", "L2") if b > 0.0 else ("L2", "L1")
        found.append(
            Explanation(
                "regulariser", cluster.tensors,
                f"The gradient of {names} has the {has} term where the cost has the {wants} term.",
                f"Add {b:.9g} times the parameters and {c:.9g} times their signs to the gradient of {names}.",
                {s.index: s.claim + b * s.theta + c * np.sign(s.theta) for s in members}, f"{has} for {wants}", 2.5,
                (b, cluster.error),
            )
        )  # fmt: skip
    return found
