"""Where in a wrong tensor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._reference import Reference


@dataclass(frozen=True)
class Whereabouts:
    """Wrong elements of one tensor."""

    mask: NDArray[np.bool_]
    kind: str
    text: str
    exact: bool
    share: tuple[float, float] | None
    sampled: tuple[int, int]
    verified: NDArray[np.bool_]
    evaluations: int


def find(reference: Reference, tensor: int, scale: float, claim: float, seed: int, limit: int = 1000) -> Whereabouts:
    """All of it."""
    record = reference.evaluator.problem.tensors[tensor]
    mask: NDArray[Any] = np.ones(record.shape, dtype=bool)
    return Whereabouts(mask, "all", f"all of {record.name}", False, None, (0, 0), ~mask, 0)
