"""Two gradients that should be the same: whether they are, beyond rounding.

The decision behind it: only what is off by more than the tolerance is looked at twice. How much rounding does to this
gradient at this point is then measured: inputs and cotangents are multiplied by 1 and a few last bits, which no formula
notices, and what the gradient makes of it is its rounding. That knows cancellation, condition and format by itself. As
what is left of a gradient that cancels may be the same for many last bits, pairs of points on either side are looked at
as well, so close that any formula is a straight line between them: the middle of both is the gradient, up to rounding.
All that is done for every pass that was compared: rounding grows with the cotangent, and where one pass gives zeros to
the last bit, that says nothing of what another one leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._algebra.backward import Answer, Asked, Backward, Cotangents
from gradproof._records import Finding, Place, spacing

#: By how many last bits inputs and cotangents are changed.
BITS = (1.0, -1.0, 2.0, -3.0)
#: How far off pairs of points are: powers of the spacing of numbers. Below one half, curvature would count.
PAIRS = (0.6, 0.7, 0.8)
#: What is off by less than so many times the rounding that was measured is rounding.
ROUNDINGS = 16.0
#: Gradients below this share of cotangent x output per unit of the input are next to zero.
NEXT_TO_ZERO = 1e-6
#: Rounding of a sum that cancels, in spacings of its format beside the largest gradient of all inputs.
CANCELLED = 64.0

Gradients = Sequence[NDArray[Any] | None]


@dataclass(frozen=True)
class Gap:
    """How one input's gradient differs from what it should be.

    Attributes:
        off: the norm of the difference relative to the sum of the norms.
        mask: the elements that differ.
    """

    off: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """A backward pass under the laws.

    Attributes:
        backward: the pass.
        cotangents: two sets of random cotangents.
        plain: what the first gives in the usual way.
        tolerance: what may be off, relative, by input.
        spread: how far two identical calls differ, as a norm, by input.
        right: the inputs whose gradient was found right, by name.
        kept: answers that were computed already.
    """

    backward: Backward
    cotangents: tuple[Cotangents, Cotangents]
    plain: Answer
    tolerance: Mapping[str, float]
    spread: tuple[float, ...] = ()
    right: frozenset[str] = frozenset()
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(slot.name for slot in self.backward.inputs)

    def asked(
        self, turned: Callable[[NDArray[Any]], NDArray[Any]] | None = None, needed: tuple[int, ...] | None = None
    ) -> Asked:
        """The first cotangents, or what a function makes of them, for some of the inputs."""
        first = self.cotangents[0]
        given = first if turned is None else tuple(None if u is None else turned(u) for u in first)
        return Asked(given, needed=needed)

    def gaps(
        self, found: Gradients, expected: Gradients, beside: Gradients = (), there: "Sequence[Rounding]" = ()
    ) -> dict[int, Gap]:
        """The inputs for which two gradients differ by more than rounding.

        Args:
            found: what a pass gave; what was not asked for is left out.
            expected: what it should have given.
            beside: further gradients that went into what is compared, whose size counts as well.
            there: what rounding does to each pass that they were computed by, if not to the usual one alone.
        """
        gaps = {}
        for i, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
            if mine is None or theirs is None:
                continue
            further = beside[i] if beside else None
            gap, size = _gap(mine, theirs, further)
            if gap.off > self.tolerance[self.names[i]]:
                spread = self.spread[i] if self.spread else 0.0
                if size > ROUNDINGS * spread and not _covered(size, i, there or (self.rounding,)):
                    gaps[i] = gap
        return gaps

    @property
    def rounding(self) -> "Rounding":
        """What rounding makes of the gradients at the inputs as they are; measured when first asked for."""
        if "rounding" not in self.kept:
            self.kept["rounding"] = Rounding(self.backward, self.asked(), self.plain)
        found: Rounding = self.kept["rounding"]
        return found

    def rounding_of(self, asked: Asked, answer: Answer) -> "Rounding":
        """What rounding makes of another pass at the inputs as they are; measured when first asked for."""
        return Rounding(self.backward, asked, answer)

    def finding(
        self, cause: str, gaps: Mapping[int, Gap], message: str, fix: str, detail: str, *,
        severity: str = "error", also: tuple[str, ...] = (),
    ) -> Finding:  # fmt: skip
        """A finding on the inputs with gaps."""
        names = tuple(self.names[i] for i in gaps)
        masks = {self.names[i]: gap.mask for i, gap in gaps.items()}
        return Finding(cause, severity, names, Place(f"all of {listed(names)}", masks), message, fix, detail, also=also)

    def everywhere(self) -> dict[int, Gap]:
        """All inputs, as a whole."""
        return {i: Gap(1.0, np.ones(slot.shape, dtype=bool)) for i, slot in enumerate(self.backward.inputs)}


def _covered(size: float, i: int, passes: "Sequence[Rounding]") -> bool:
    """Whether a difference in an input is no more than rounding; later passes are measured if the first fall short."""
    total = 0.0
    for rounding in passes:
        total += rounding.gradients[i]
        if size <= ROUNDINGS * total:
            return True
    return False


def _gap(mine: NDArray[Any], theirs: NDArray[Any], further: NDArray[Any] | None) -> tuple[Gap, float]:
    """The gap and the norm of the difference; the same NaN or infinity on both sides is no difference."""
    if mine.shape == theirs.shape and bool((mine == theirs).all()):  # most often, and far quicker
        return Gap(0.0, np.zeros(mine.shape, dtype=bool)), 0.0
    odd = ~(np.isfinite(mine) & np.isfinite(theirs))
    alike = odd & ((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
    a, b = (np.where(odd, 0.0, part) for part in (mine, theirs))
    difference = a - b
    size = float(np.linalg.norm(difference))
    total = float(np.linalg.norm(a) + np.linalg.norm(b))
    if further is not None:
        total += float(np.linalg.norm(np.where(np.isfinite(further), further, 0.0)))
    off = size / total if total else 0.0
    if np.any(odd & ~alike):
        off, size = 1.0, np.inf
    mask = (odd & ~alike) | (np.abs(difference) > 1e-3 * np.max(np.abs(difference), initial=0.0))
    return Gap(off, np.asarray(mask & (off > 0.0)).reshape(mine.shape)), size


@dataclass(frozen=True)
class Rounding:
    """What rounding makes of gradients and outputs, as norms.

    Attributes:
        backward: the pass.
        asked: what was asked.
        plain: what was answered.
        singly: whether every element is changed by bits of its own, so that equal ones are parted.
    """

    backward: Backward
    asked: Asked
    plain: Answer
    singly: bool = False

    def hides(self, tolerance: float) -> bool:
        """Whether rounding changes an output or gradient by as much as matters, as at a singular point."""
        gradients = [(change, g) for change, g in zip(self.gradients, self.plain.gradients, strict=True)]
        outputs = [(change, y) for change, y in zip(self.outputs, self.plain.outputs, strict=True)]
        return any(
            value is not None and change > tolerance * float(np.linalg.norm(np.nan_to_num(value)))
            for change, value in (*gradients, *outputs)
        )

    @cached_property
    def gradients(self) -> tuple[float, ...]:
        """The largest change of each gradient as inputs and cotangents change by some last bits."""
        found = [_changes(self.plain.gradients, gradients) for gradients in (*self._near, *self._middles)]
        pairs = zip(self.plain.gradients, self._shares, strict=True)
        cancelled = [g is not None and _largest(g) < NEXT_TO_ZERO * share for g, share in pairs]
        if any(cancelled) and not self.singly:  # such a gradient is what elements' own rounding leaves of it
            singly = replace(self, singly=True)
            for gradients in (*singly._near, *singly._middles):
                changes = _changes(self.plain.gradients, gradients)
                found.append([c if is_meant else 0.0 for c, is_meant in zip(changes, cancelled, strict=True)])
        largest = max((_largest(g) for g in self.plain.gradients if g is not None), default=0.0)
        floors = [
            CANCELLED * spacing(slot.format) * (share if is_meant else max(largest, share) / ROUNDINGS)
            for slot, share, is_meant in zip(self.backward.inputs, self._shares, cancelled, strict=True)
        ]
        return tuple(map(max, zip(floors, *found, strict=True)))

    @property
    def _shares(self) -> list[float]:
        """What cotangents x outputs are per unit of each input: terms of this size cancel where a gradient is zero."""
        pairs = zip(self.asked.cotangents, self.plain.outputs, strict=True)
        total = sum(_largest(u) * _largest(y) for u, y in pairs if u is not None and y is not None)
        sizes = [_largest(np.asarray(value)) for value in self.asked.values or self.backward.values]
        return [total / size if size else 0.0 for size in sizes]

    @cached_property
    def outputs(self) -> tuple[float, ...]:
        """The same of each output."""
        found = [_changes(self.plain.outputs, answer.outputs) for answer in self._beside]
        floors = [spacing(slot.format) * _largest(y) for slot, y in
                  zip(self.backward.outputs, self.plain.outputs, strict=True)]  # fmt: skip
        return tuple(map(max, zip(floors, *found, strict=True)))

    @property
    def _near(self) -> list[Gradients]:
        return [answer.gradients for answer in self._beside]

    @cached_property
    def _beside(self) -> list[Answer]:
        """Answers beside the inputs, as far as the function can be called there."""
        rng = np.random.default_rng(23)
        return [there for bits in BITS for there in self._moved(rng, bits, 1.0, (1.0,))]

    @cached_property
    def _middles(self) -> list[Gradients]:
        """Middles of the gradients at two points on either side of the inputs."""
        rng = np.random.default_rng(41)
        middles: list[Gradients] = []
        for power in PAIRS:
            pair = self._moved(rng, 1.0, power, (1.0, -1.0))
            if len(pair) == 2:
                sides = zip(*(there.gradients for there in pair), strict=True)
                middles.append([None if a is None or b is None else 0.5 * (a + b) for a, b in sides])
        return middles

    def _moved(self, rng: np.random.Generator, times: float, power: float, sides: Sequence[float]) -> list[Answer]:
        """Answers with all numbers moved to some sides by a multiple of a power of the spacing of their format."""
        values = self.asked.values or self.backward.values
        signs = [rng.choice([-1.0, 1.0], value.shape) if self.singly else 1.0 for value in values]
        turns = [None if u is None else rng.choice([-1.0, 1.0], u.shape) for u in self.asked.cotangents]
        answers = []
        for side in sides:
            moved = tuple(
                value * (1.0 + side * times * spacing(slot.format) ** power * sign)
                for slot, value, sign in zip(self.backward.inputs, values, signs, strict=True)
            )
            turned = tuple(
                None if u is None or sign is None else u * (1.0 + side * times * spacing(slot.format) ** power * sign)
                for slot, u, sign in zip(self.backward.outputs, self.asked.cotangents, turns, strict=True)
            )
            there = attempt(self.backward.gradients, replace(self.asked, values=moved, cotangents=turned))
            answers += [there] if isinstance(there, Answer) else []
        return answers


def _changes(before: Gradients, after: Gradients) -> list[float]:
    """Norms of differences, of what is finite."""
    changes = []
    for a, b in zip(before, after, strict=True):
        if a is None or b is None:
            changes.append(0.0)
        else:
            changes.append(float(np.linalg.norm(np.where(np.isfinite(a) & np.isfinite(b), a - b, 0.0))))
    return changes


def _largest(array: NDArray[Any]) -> float:
    return float(np.max(np.where(np.isfinite(array), np.abs(array), 0.0), initial=0.0))


def attempt(function: Callable[..., Any], *given: Any) -> Any:
    """What a function returns, or the exception that it raises."""
    try:
        return function(*given)
    except Exception as error:  # whatever it is, it is what there is to report
        return error


def told(error: Exception) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    words = lines[0] if lines else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def listed(names: Sequence[str]) -> str:
    """``inputs[0]``, ``inputs[0] and inputs[1]``, or ``inputs[0], ... and 3 more``."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
