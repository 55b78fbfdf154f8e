"""What is asked of a problem, and what comes back.

The decision behind it: a direction is a recipe of a few numbers and never a stored vector. It is made into numbers
where the parameters live, so that it costs nothing to send and means the same whatever the size of a batch or the
number of workers. That a record stays as it is, the type checker sees to: hundreds are made in a check, and what
``frozen`` does at run time takes four times as long as all else about making one. What people are given stays frozen.
"""

import dataclasses
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gradproof._records.region import Region

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, slots: bool = False) -> Any:
        """A data class that is as it says to a type checker, and quick to make."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)


__all__ = [
    "Direction", "Estimate", "Noise", "Part", "Ray", "Samples", "Stats", "Tensor", "Weighting", "record",
]  # fmt: skip


class Weighting(StrEnum):
    """How a part of a direction weighs the elements of its tensor."""

    PLAIN = "plain"  # all alike
    EQUALISED = "equalised"  # by 1 / max(|claimed|, a floor): every element counts by its relative mismatch
    RELATIVE = "relative"  # by |parameter|: no element moves far on its own scale
    UNIT = "unit"  # exactly 1, not random: one component at a time

    __hash__ = str.__hash__  # an enumeration's own is a function in Python


@record(frozen=True, slots=True)
class Tensor:
    """One named parameter array as the core sees it.

    Attributes:
        name: its key path, ``W1`` or ``layers.0.weight``.
        shape: the user's shape.
        size: number of real coordinates (twice the number of elements where it is complex).
        offset: where it starts in the flat vector of real coordinates.
        dtype: the user's dtype, by name.
        complex: whether each element stands for two coordinates, real part first.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    offset: int
    dtype: str
    complex: bool = False


@record(frozen=True, slots=True)
class Part:
    """What a direction does to one tensor.

    Attributes:
        tensor: the tensor's place in ``Problem.tensors``.
        weight: factor on its elements.
        weighting: what else weighs them.
        bin: the magnitude bin that is moved; -1 for all.
        start: first coordinate of the tensor that is moved.
        stop: end of the coordinates that are moved; -1 for all.
        region: which elements of the tensor are moved, and by what more they are weighed; None for all alike.
    """

    tensor: int
    weight: float
    weighting: Weighting = Weighting.PLAIN
    bin: int = -1
    start: int = 0
    stop: int = -1
    region: Region | None = None


@record(frozen=True, slots=True)
class Direction:
    """A direction in parameter space: Gaussian, drawn from its seeds, on the parts it names and zero elsewhere.

    Several seeds stand for the sum of their draws divided by the root of their number, which is Gaussian again; that
    is how additivity is tested.
    """

    seeds: tuple[int, ...]
    parts: tuple[Part, ...]


@record(frozen=True, slots=True)
class Ray:
    """A direction and the signed steps to go along it."""

    direction: Direction
    steps: tuple[float, ...]


@record(frozen=True, slots=True)
class Samples:
    """What was seen along a ray, one entry a step, in the precision the cost was evaluated in.

    Numbers of float64 are Python's, which so few of them are far quicker as; others are NumPy's.

    Attributes:
        costs: the raw cost at the point really reached; NaN where it raised or was not finite.
        claimed: claimed gradient times the displacement that really happened.
        magnitude: sum of |claimed x displacement|, which bounds the rounding of ``claimed``.
        slope: claimed gradient times the direction.
    """

    costs: Sequence[Any]
    claimed: Sequence[Any]
    magnitude: Sequence[float]
    slope: float


@record(frozen=True, slots=True)
class Stats:
    """Summary of one tensor, taken where it lives.

    Attributes:
        scale: root mean square of its non-zero parameters; 0 where all are zero.
        claim: 2-norm of its claimed gradient.
        claim_rms: root mean square of its non-zero claimed gradient.
        bins: (label, root mean square of the parameters in it, number of coordinates) of each magnitude bin; one bin
            labelled -1 unless the magnitudes span far more than a step can serve.
        moving: number of coordinates that a check moves.
    """

    scale: float
    claim: float
    claim_rms: float
    bins: tuple[tuple[int, float, int], ...]
    moving: int


@record(frozen=True, slots=True)
class Noise:
    """What a cost's last digits are worth near a point.

    Attributes:
        sigma: standard deviation of the error of one evaluation.
        epsilon: relative spacing of the values that the cost takes.
        step: the relative step to start from.
        cost: the cost at the point, in the precision of evaluation.
        quantised: the values sit on a grid much coarser than the format's own.
        ceiling: the largest relative step at which the cost still looked like one smooth piece; inf where unknown.
        constant: the cost did not change by one bit over the steps tried.
        jump: the cost at the point differs from its limits on both sides.
        steps_only: the values are so coarse that the cost is a staircase.
        finite: whether the cost could be evaluated beside the point at all.
        narrowed: whether that took far smaller steps than usual, as some parameter lies next to the domain's edge.
        sides: the error of one evaluation as seen on either side alone, where a kink lies at the point; inf elsewhere.
        rounded: the cost rounds inside to a lower precision, and sigma is what that does across many steps.
    """

    sigma: float
    epsilon: float
    step: float
    cost: Any
    quantised: bool = False
    ceiling: float = math.inf
    constant: bool = False
    jump: bool = False
    steps_only: bool = False
    finite: bool = True
    narrowed: bool = False
    sides: float = math.inf
    rounded: bool = False


@record(frozen=True, slots=True)
class Estimate:
    """One probe: the mismatch along a direction, with its error bar.

    Attributes:
        mismatch: (claimed - reference) . direction.
        bar: how far it may be off; inf where nothing could be measured.
        slope: claimed . direction.
        step: the relative step it was measured at.
        noise: the part of the bar that is rounding.
        truncation: the part of the bar that is curvature and kinks.
        kink: half the slope change across the point at scales above the step, 0 where none was seen.
        kink_here: the same at the step itself.
        hidden: the slope change that noise would hide.
        jump: change of the even part that does not shrink with the step, 0 where none was seen.
        evaluations: cost evaluations used.
        curvature: change of the slope per unit of the relative step.
    """

    mismatch: float
    bar: float
    slope: float
    step: float
    noise: float
    truncation: float
    kink: float
    kink_here: float
    hidden: float
    jump: float
    evaluations: int
    curvature: float = 0.0

    @property
    def measured(self) -> bool:
        """Whether anything could be measured along this direction."""
        return math.isfinite(self.bar)
