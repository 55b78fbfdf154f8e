"""``bias-reduction``: the sum over the examples that makes a bias's gradient is a mean, a total, or weighted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.clusters import Cluster, clusters
from gradproof._diagnosis.evidence import BARS, ROUNDING, Suspect, rms
from gradproof._diagnosis.factor import data_parts, whole
from gradproof._records import Direction, Part, Weighting

#: Without the number of examples, 1/2 to 1/4 are as likely plain factors.
SMALL_BATCH = 4


def totals(case: Case) -> Sequence[Explanation]:
    """Explanations of biases by a sum over everything; asked first, as such a claim may be zero to its rounding."""
    return [e for s in _biases(case) if (e := _total(s)) is not None]


def _biases(case: Case) -> list[Suspect]:
    biases = {i for layer in case.layers for i in layer.biases}
    return [s for s in case.open if s.index in biases]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations of biases by a mean for a sum, or by a sum that weighs the examples."""
    own = _biases(case)
    biases = {s.index for s in own}
    found = [e for s in own if (e := _weighted(case, s)) is not None]
    done = {i for e in found for i in e.tensors}
    weights = [s for s in case.open if s.index not in biases]
    others = [fit.value for fit in (*whole(weights), *(fit for fit, _ in data_parts(weights)))]
    for cluster in clusters(whole([s for s in own if s.index not in done])):
        if not any(abs(value - cluster.value) <= 1e-6 * abs(value) for value in others):
            mean = _mean(case, cluster)
            found += [mean] if mean else []
    return found


def _mean(case: Case, cluster: Cluster) -> Explanation | None:
    m = round(cluster.value)
    if m < 2 or abs(cluster.value - m) > max(5.0 * cluster.error, 1e-7 * m) or cluster.error > 1e-3 * m:
        return None
    if case.lab.examples and m != case.lab.examples:
        return None
    names = case.names(cluster.tensors)
    sure = bool(case.lab.examples) or m > SMALL_BATCH
    count = f"the {m} examples" if case.lab.examples else f"{m} (the examples, it seems)"
    verb, ending = ("is", "") if len(cluster.tensors) == 1 else ("are", "s")
    return Explanation(
        "bias-reduction", cluster.tensors,
        f"The gradient{ending} of {names} {verb} divided by {count} once too often: a mean where the sum belongs.",
        f"Sum over the examples for {names}, and divide by their number only once.",
        {i: case.claims[i] * m for i in cluster.tensors}, "mean for sum", 0.9 if sure else 1.1,
        (1.0 / m, cluster.error / m**2), also=() if sure and case.lab.examples else ("factor",),
    )  # fmt: skip


def _total(s: Suspect) -> Explanation | None:
    """One number everywhere: the sum over all elements of what should be an element each."""
    top = float(np.max(np.abs(s.claim), initial=0.0))
    if s.tensor.complex or s.tensor.size < 2 or not top or np.ptp(s.claim) > 1e-12 * top:
        return None
    scale = s.stats.scale or 1.0
    along = Direction((), (Part(s.index, scale, Weighting.UNIT, start=0, stop=s.tensor.size),))
    # The total itself may be zero, as it is behind a softmax; then it is so beside the single elements.
    size = max(top, rms(s.measured) / (s.directions[0].parts[0].weight or 1.0))
    estimate = s.source.measure([along], 1e-8 * scale * size)[0]
    total, bar = (estimate.slope - estimate.mismatch) / scale, estimate.bar / scale
    value = float(s.claim.reshape(-1)[0])
    if not estimate.measured or abs(total - value) > BARS * bar + ROUNDING * s.roundoff * size or bar > 1e-4 * size:
        return None
    return Explanation(
        "bias-reduction", (s.index,),
        f"The gradient of {s.name} is the same in every element, {value:.6g}: the sum over the elements as well as the "
        "examples.",
        f"Sum over the examples only when computing the gradient of {s.name}, and keep its own axis.", {},
        "total", 0.4, also=("unbroadcast",),
    )  # fmt: skip


def _weighted(case: Case, s: Suspect) -> Explanation | None:
    """The row sums of the weights' gradient in place of the sum of the errors."""
    layer = next(layer for layer in case.layers if s.index in layer.tensors)
    for w in layer.weights:
        if w not in case.claims or s.tensor.size < 2:
            continue
        for axis in range(case.claims[w].ndim):
            axes = tuple(k for k in range(case.claims[w].ndim) if k != axis)
            sums, decay = case.claims[w].sum(axis=axes), case.thetas[w].sum(axis=axes)
            if sums.size == s.claim.size and _same(s.claim.reshape(-1), sums, decay, max(1e-9, ROUNDING * s.roundoff)):
                name = case.tensors[w].name
                return Explanation(
                    "bias-reduction", (s.index,),
                    f"The gradient of {s.name} is the sum of the gradient of {name} along its rows, which weighs every "
                    "example with its inputs.",
                    f"Sum the errors of the layer over the examples for {s.name}, not the gradient of {name}.", {},
                    "weighted by the inputs", 0.8,
                )  # fmt: skip
    return None


def _same(claim: NDArray[Any], sums: NDArray[Any], decay: NDArray[Any], near: float) -> bool:
    """Whether a claim is the sums, or the sums less a multiple of those of the parameters, the L2 term left out."""
    size = float(np.linalg.norm(claim))
    if not size or np.ptp(np.abs(claim)) <= 1e-12 * size:
        return False  # signs alone add up to anything
    if np.linalg.norm(claim - sums) <= near * size:
        return True
    length = float(np.vdot(decay, decay).real)
    if claim.size < 4 or not length:
        return False
    multiple = float(np.vdot(decay, sums - claim).real) / length
    return multiple > 0.0 and bool(np.linalg.norm(claim - sums + multiple * decay) <= near * size)
