"""Elements measured one by one, each with its own error bar.

The decision behind it: this is the course notes' loop with a ladder in place of its fixed step. It is what the
exhaustive method does everywhere, and what the automatic one does where a wrong tensor is small.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._problem import Problem
from gradproof._records import Component, Direction, Estimate, Part, Tensor, Weighting
from gradproof._reference import Reference, next_step

#: Coordinates measured side by side: enough for a batch to pay, few enough that a budget is met closely.
BATCH = 256


@dataclass(frozen=True)
class Measured:
    """Coordinates of one tensor and the mismatch measured at each.

    Attributes:
        tensor: the tensor's place in the problem.
        coordinates: which coordinates.
        estimates: what was measured.
    """

    tensor: int
    coordinates: NDArray[np.intp]
    estimates: tuple[Estimate, ...]

    @property
    def mismatch(self) -> NDArray[np.float64]:
        """Claimed minus reference at each coordinate."""
        return np.array([e.mismatch for e in self.estimates])

    @property
    def bars(self) -> NDArray[np.float64]:
        """Error bar at each coordinate."""
        return np.array([e.bar for e in self.estimates])


def measure_components(
    reference: Reference, tensor: int, coordinates: Sequence[int], scale: float, target: float
) -> Iterator[Measured]:
    """Measures coordinates of one tensor in batches, the first one alone, as it tells the others where to start.

    Args:
        reference: where slopes come from.
        tensor: the tensor's place in the problem.
        coordinates: which of its coordinates.
        scale: step scale.
        target: error bar to aim at, in units of the gradient.
    """
    step = None
    edges = [0, *range(1, len(coordinates), BATCH), len(coordinates)]
    for first, last in itertools.pairwise(edges if coordinates else ()):
        batch = list(coordinates[first:last])
        rays = [Direction((), (Part(tensor, scale, Weighting.UNIT, start=c, stop=c + 1),)) for c in batch]
        raw = reference.measure(rays, target * scale, step)
        estimates = tuple(_unscaled(e, scale) for e in raw)
        yield Measured(tensor, np.array(batch, dtype=np.intp), estimates)
        if first == 0 and raw[0].measured and raw[0].kink == 0.0 and raw[0].step > reference.noise.step:
            step = next_step(raw[0])


def _unscaled(estimate: Estimate, scale: float) -> Estimate:
    return Estimate(
        estimate.mismatch / scale,
        estimate.bar / scale,
        estimate.slope / scale,
        estimate.step,
        estimate.noise / scale,
        estimate.truncation / scale,
        estimate.kink / scale,
        estimate.kink_here / scale,
        estimate.hidden / scale,
        estimate.jump,
        estimate.evaluations,
    )


def rows(problem: Problem, measured: Sequence[Measured], offsets: Mapping[str, int]) -> list[Component]:
    """Measured coordinates as components, largest mismatch first.

    A complex element stands for two coordinates; it is listed once both were measured.

    Args:
        problem: the problem they belong to.
        measured: the coordinates.
        offsets: where each tensor starts in the user's flat vector.
    """
    found: list[Component] = []
    for batch in measured:
        tensor = problem.tensors[batch.tensor]
        known = dict(zip(batch.coordinates.tolist(), batch.estimates, strict=True))
        for coordinate, estimate in known.items():
            component = _component(tensor, coordinate, estimate, known, offsets[tensor.name])
            if component is not None:
                found.append(component)
    return sorted(found, key=lambda c: -abs(c.mismatch) if math.isfinite(abs(c.mismatch)) else -math.inf)


def _component(
    tensor: Tensor, coordinate: int, real: Estimate, known: Mapping[int, Estimate], offset: int
) -> Component | None:
    element, claimed, mismatch, bar = coordinate, complex(real.slope), complex(real.mismatch), real.bar
    if tensor.complex:
        imaginary = known.get(coordinate + 1)
        if coordinate % 2 or imaginary is None:
            return None
        element = coordinate // 2
        claimed += 1j * imaginary.slope
        mismatch += 1j * imaginary.mismatch
        bar = math.hypot(bar, imaginary.bar)
    index = tuple(int(i) for i in np.unravel_index(element, tensor.shape)) if tensor.shape else ()
    if tensor.complex:
        return Component(tensor.name, index, offset + element, claimed, claimed - mismatch, bar)
    return Component(tensor.name, index, offset + element, claimed.real, (claimed - mismatch).real, bar)


def components(
    tensor: Tensor,
    offset: int,
    claimed: NDArray[Any],
    reference: NDArray[Any],
    bars: NDArray[np.float64],
    most: int = 1000,
) -> list[Component]:
    """Elements of one tensor whose derivative is known throughout, largest mismatch first.

    Args:
        tensor: the tensor.
        offset: where it starts in the user's flat vector, in elements.
        claimed: the claim, in its shape.
        reference: the derivative, in its shape.
        bars: how far each may be off, in its shape.
        most: how many to list.
    """
    size = np.abs(claimed - reference).reshape(-1)
    found = []
    for element in np.argsort(-size, kind="stable")[:most].tolist():
        index = tuple(int(n) for n in np.unravel_index(element, tensor.shape)) if tensor.shape else ()
        pair = claimed.reshape(-1)[element].item(), reference.reshape(-1)[element].item()
        found.append(Component(tensor.name, index, offset + element, *pair, float(bars.reshape(-1)[element])))
    return found
