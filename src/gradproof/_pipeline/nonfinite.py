"""Claims that are NaN or infinite: at a singular point, by overflow, or everywhere.

The decision behind it: the claim is computed again a little beside the point, beside the zeros of the data, and at
parameters a tenth as large. Where it is finite there, the formula is one that fails at this point only, and which of
the three it was says why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.claims import INFINITE, NAN
from gradproof._evaluation import BudgetExhaustedError
from gradproof._pipeline.edges import Work
from gradproof._pipeline.laboratory import Bench, There
from gradproof._records import Finding, Tensor

#: How far beside the point, relative to the parameters or data, and as a number where they are zero.
BESIDE, OF_ZERO = 1e-3, 1e-3
#: How much smaller the parameters are tried, one after the other.
SMALLER = (0.1, 1e-4)


def told_apart(work: Work, findings: Sequence[Finding]) -> list[Finding]:
    """The findings with those about claims that are not finite put down to a cause, where one shows."""
    bench = Bench(work, work.session.theta)
    broken = [f for f in findings if f.cause == "contract" and f.detail in (NAN, INFINITE)]
    if not broken or not bench.callable:
        return [*findings]
    causes: dict[str, tuple[str, str]] = {}
    try:
        for cause, words, there in _elsewhere(work, bench):
            left = [f.tensors[0] for f in broken if f.tensors[0] not in causes]
            if there is not None:
                causes |= {name: (cause, words) for name in left if name in there.read.values}
            if len(causes) == len(broken):
                break
    except BudgetExhaustedError:
        work.notes.append("The budget ran out while claims that are not finite were looked into.")
    return [_renamed(f, causes.get(f.tensors[0])) if f in broken else f for f in findings]


def _elsewhere(work: Work, bench: Bench) -> Iterator[tuple[str, str, There | None]]:
    """What it is, where it is finite, and the claims there."""
    rng = np.random.default_rng(31)
    tensors = work.session.tensors
    theta = {i: _array(work.session.theta, t) for i, t in enumerate(tensors)}
    yield (
        "singular",
        "a little beside these parameters",
        bench.visit(theta={i: _nudged(a, rng) for i, a in theta.items()}),
    )
    for k, array in enumerate(bench.data):
        zeros = np.asarray(array)
        if zeros.dtype.kind == "f" and np.any(zeros == 0.0):
            moved = np.where(zeros == 0.0, OF_ZERO * rng.standard_normal(zeros.shape), zeros).astype(zeros.dtype)
            data = (*bench.data[:k], moved, *bench.data[k + 1 :])
            yield "singular", "with its zeros in the data moved a little", bench.visit(data=data)
    for scale in SMALLER:
        yield "overflow", f"at parameters times {scale:g}", bench.visit(theta={i: scale * a for i, a in theta.items()})


def _array(theta: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    flat = np.ascontiguousarray(theta[tensor.offset : tensor.offset + tensor.size])
    return (flat.view(np.complex128) if tensor.complex else flat).reshape(tensor.shape)


def _nudged(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    size = np.where(array == 0.0, OF_ZERO, BESIDE * np.abs(array))
    moved: NDArray[Any] = array + size * rng.standard_normal(array.shape)
    return moved


def _renamed(finding: Finding, found: tuple[str, str] | None) -> Finding:
    if found is None:
        return finding
    cause, words = found
    message = f"{finding.message} It is finite {words}."
    fix = (
        "Look for 0 / 0 or 0 times infinity in the backward pass, and use the limit there."
        if cause == "singular"
        else "Look for an exponential that overflows in the backward pass, and shift its argument so that it cannot."
    )
    other = "overflow" if cause == "singular" else "singular"
    return replace(finding, cause=cause, message=message, fix=fix, also=(other,) if cause == "overflow" else ())
