"""``unbroadcast``: what was broadcast in the cost was not summed back in the gradient.

Such a claim has the wrong shape and cannot be compared as it stands. Summing it over the axes that the parameter does
not have is tried, and the result judged like any other claim.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.proof import left_after
from gradproof._records import Finding, Place, Tensor
from gradproof._reference import Reference
from gradproof._verdict.settle import Claimed


def misshapen(
    reference: Reference, claimed: Sequence[Claimed], claims: Mapping[int, NDArray[Any]], seed: int
) -> list[Finding]:
    """Findings for claims of too many elements whose sum over some axes is right.

    Args:
        reference: where slopes come from.
        claimed: what the verdicts know of every tensor.
        claims: the claims of the wrong shape by tensor.
        seed: of the directions that judge the sums.
    """
    found = []
    for i, claim in claims.items():
        tensor = reference.evaluator.problem.tensors[i]
        for axes, summed in _sums(claim, tensor):
            left = left_after(reference, claimed, {i: summed}, seed + i).get(i)
            if left is not None and left.status == "correct" and np.any(summed):
                had, over = claim.shape, f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
                found.append(
                    Finding(
                        "unbroadcast", "error", (tensor.name,),
                        Place(f"all of {tensor.name}", {tensor.name: np.ones(tensor.shape, dtype=bool)}),
                        f"The gradient of {tensor.name} has shape {had}, the parameter {tensor.shape}: it was not "
                        f"summed over {over}.",
                        f"Sum the gradient of {tensor.name} over {over}.", detail=f"not summed over {over}",
                        repaired=left.relative,
                    )
                )  # fmt: skip
                break
    return found


def _sums(claim: NDArray[Any], tensor: Tensor) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Sums of a claim over some axes that have the tensor's shape, axes of length 1 aside."""
    wanted = tuple(n for n in tensor.shape if n != 1)
    long = [k for k, n in enumerate(claim.shape) if n != 1]
    for count in range(1, len(long) + 1):
        for axes in combinations(long, count):
            left = tuple(n for k, n in enumerate(claim.shape) if k not in axes and n != 1)
            if left == wanted:
                yield axes, claim.sum(axis=axes).reshape(tensor.shape)
