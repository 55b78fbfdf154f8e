"""What a check has measured anyway, put together for the report.

The decision behind it: nothing is evaluated here. What there is gets cut down to a size that does not grow with the
model before it is filed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gradproof._localisation.components import Measured
from gradproof._pipeline.point import Place0
from gradproof._records import Elements, Points, Source, Tensor, Trace
from gradproof._records.evidence import BLOCKS, SPREAD, WORST, highest, levels


def traced(tensors: Sequence[Tensor], places: Mapping[int, Place0]) -> dict[str, tuple[Trace, ...]]:
    """The lines along which each tensor was moved, where it was judged.

    Args:
        tensors: all tensors.
        places: where each was judged.
    """
    names = [tensor.name for tensor in tensors]
    found: dict[str, tuple[Trace, ...]] = {}
    for traces in {id(place): place.reference.traces for place in places.values()}.values():
        lines = traces.named(names)
        for i in (i for i, place in places.items() if place.reference.traces is traces):
            groups = [group for group in lines if i in group]
            if groups:
                found[names[i]] = lines[min(groups, key=len)]
    return found


def known(
    tensor: Tensor, offset: int, points: Points, source: Source, *, tolerance: float, norms: tuple[float, float]
) -> Elements:
    """Elements of one tensor, cut down to a map and a sample.

    Args:
        tensor: the tensor.
        offset: where it starts in the user's flat vector, in elements.
        points: its known elements, each once.
        source: how they are known.
        tolerance: the relative difference of the tensor that must never pass.
        norms: 2-norms of its claim and its reference.
    """
    total = elements(tensor)
    with np.errstate(over="ignore", invalid="ignore"):
        allowed = float(np.nan_to_num(tolerance * sum(norms) / max(1.0, float(np.sqrt(total)))))
    level = levels(points, allowed)
    rows, columns = view(tensor.shape)
    matrix = np.full(rows * columns, np.nan)
    matrix[points.positions] = level
    order = np.full(rows * columns, -1, dtype=np.int64)
    order[points.positions] = np.arange(len(points.positions))
    best = highest(matrix.reshape(rows, columns), BLOCKS, BLOCKS)
    cells = points.taken(np.where(best < 0, -1, order[best]))
    sample = points.taken(_sampled(level))
    return Elements(
        tensor.name, tensor.shape, offset, source, len(points.positions), total, allowed, (rows, columns), cells, sample
    )


def _sampled(level: NDArray[np.float64]) -> NDArray[np.int64]:
    """The highest ones, and others spread evenly over the rest."""
    order = np.argsort(-np.nan_to_num(level, nan=-np.inf), kind="stable").astype(np.int64)
    rest = np.sort(order[WORST:])
    spread = rest[np.unique(np.linspace(0, max(len(rest) - 1, 0), SPREAD).astype(np.int64))] if len(rest) else rest
    return np.concatenate([order[:WORST], spread])


def view(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the matrix as which a tensor is shown; a long vector is folded row by row."""
    if len(shape) > 1:
        return shape[0], int(np.prod(shape[1:]))
    total = int(np.prod(shape))
    if total <= BLOCKS:
        return 1, max(1, total)
    columns = -(-int(np.ceil(np.sqrt(total))) // 8) * 8  # eights are easier to count
    return -(-total // columns), columns


def elements(tensor: Tensor) -> int:
    """How many elements a tensor has for its user."""
    return tensor.size // 2 if tensor.complex else tensor.size


def points_of(tensor: Tensor, measured: Sequence[Measured]) -> Points:
    """Coordinates that were measured one by one as elements.

    Those that could not be measured are left out; a complex one counts once both its parts are known.
    """
    seen = [
        (coordinate, estimate)
        for batch in measured
        for coordinate, estimate in zip(batch.coordinates.tolist(), batch.estimates, strict=True)
        if estimate.measured
    ]
    coordinates = np.array([coordinate for coordinate, _ in seen], dtype=np.int64)
    estimates = [estimate for _, estimate in seen]
    claimed = np.array([e.slope for e in estimates], dtype=np.float64)
    reference = claimed - np.array([e.mismatch for e in estimates], dtype=np.float64)
    bars = np.array([e.bar for e in estimates], dtype=np.float64)
    if not tensor.complex:
        return Points(coordinates, claimed, reference, bars)
    place = {int(c): k for k, c in enumerate(coordinates)}
    real = [k for c, k in place.items() if c % 2 == 0 and c + 1 in place]
    imaginary = [place[int(coordinates[k]) + 1] for k in real]
    return Points(
        coordinates[real] // 2,
        claimed[real] + 1j * claimed[imaginary],
        reference[real] + 1j * reference[imaginary],
        np.hypot(bars[real], bars[imaginary]),
    )
