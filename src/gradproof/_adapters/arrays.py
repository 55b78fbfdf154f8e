"""A cost of NumPy arrays as a problem made of lines.

The decision behind it: all parameters stand in one flat vector, and what the cost is given are views of it, so that a
step along a direction is one pass over memory in pieces that stay in the processor's cache. The vector is filled anew
for each evaluation; should the cost keep a reference to what it was given, it keeps that vector and the next evaluation
gets another.
"""

import copy
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._numerics.gaussian import normals
from gradproof._records import Direction, Part, Ray, Samples, Stats, Tensor, Weighting

#: Coordinates handled at a time: four arrays of them fit a core's second-level cache.
PIECE = 16384
#: Numbers of directions kept between rounds, in total.
KEPT = 8_000_000
#: Magnitudes further apart than this between the 1% and 99% quantile cannot share one step. At 1e3 one Gaussian tensor
#: of 16 x 16 in 70 would be split by chance, and a step of 2e-5 still moves an element of 1e-4 by a fifth of itself.
SPAN = 1e4
#: A single small element among others needs a bin of its own only beyond this: one Gaussian bias of 16 numbers in 30
#: has an element a thousand times smaller than the rest, and a ladder steps down for that by itself.
LONE = 1e5
#: Decades of magnitude that share a bin.
DECADES = 3
#: Below this share of a tensor's root mean square a claimed element counts as if it had this size.
EQUALISED_FLOOR = 1e-3

Evaluate = Callable[[NDArray[Any]], Any]


@dataclass(frozen=True)
class Point:
    """Where the cost is differentiated and what is claimed there.

    Attributes:
        tensors: the parameters that are moved; their offsets count within ``theta``.
        theta: all coordinates that are moved, in the precision of evaluation.
        claim: the claimed gradient, float64.
        fixed: coordinates that stay where they are.
        native: dtype that each displaced tensor is rounded to, or None.
    """

    tensors: tuple[Tensor, ...]
    theta: NDArray[np.floating]
    claim: NDArray[np.float64]
    fixed: NDArray[np.bool_]
    native: tuple[np.dtype[Any] | None, ...]


class ArrayProblem:
    """A cost near a point of NumPy parameters, and one claimed gradient."""

    def __init__(self, point: Point, evaluate: Callable[[NDArray[Any]], Any], rows: int = 0) -> None:
        """Takes the point and how to evaluate there.

        Args:
            point: where, and what is claimed.
            evaluate: from a flat vector of coordinates to a cost; with ``rows`` from so many at once to as many costs.
            rows: how many parameter sets are evaluated together; 0 for one at a time.
        """
        self.point = point
        self._evaluate = evaluate
        self._rows = rows
        self._work = self._fresh()
        self._directions: OrderedDict[Direction, _Numbers] = OrderedDict()
        self._free = sys.getrefcount(self._work)
        # Infinite parameters (masks) stay put; their displacement is 0 and not inf - inf.
        self._infinite = np.flatnonzero(~np.isfinite(point.theta))
        self._base = np.where(np.isfinite(point.theta), point.theta, 0) if self._infinite.size else point.theta
        self._labels = {i: _bins(self._theta(i), self._moving(i)) for i in range(len(point.tensors))}
        self._rms = [_rms(self._claim(i)) for i in range(len(point.tensors))]
        self._scales = [_rms(self._theta(i)) for i in range(len(point.tensors))]

    def _fresh(self) -> NDArray[Any]:
        shape = (self._rows, self.point.theta.size) if self._rows else self.point.theta.shape
        return np.empty(shape, self.point.theta.dtype)

    def __getstate__(self) -> tuple[Point, Any, int]:
        return self.point, self._evaluate, self._rows

    def __setstate__(self, state: tuple[Point, Any, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def replica(self) -> "ArrayProblem":
        """The same problem with working memory of its own, for a thread."""
        other = copy.copy(self)
        other._work = self._fresh()
        other._directions = OrderedDict()
        return other

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The named parameters that are moved."""
        return self.point.tensors

    @property
    def epsilon(self) -> float:
        """Relative spacing of the precision of evaluation."""
        return float(np.finfo(self.point.theta.dtype).eps)

    def _slice(self, tensor: int) -> slice:
        record = self.point.tensors[tensor]
        return slice(record.offset, record.offset + record.size)

    def _theta(self, tensor: int) -> NDArray[np.floating]:
        return self.point.theta[self._slice(tensor)]

    def _claim(self, tensor: int) -> NDArray[np.float64]:
        part = self._slice(tensor)
        return np.where(self.point.fixed[part], 0.0, self.point.claim[part])

    def _moving(self, tensor: int) -> NDArray[np.bool_]:
        return ~self.point.fixed[self._slice(tensor)]

    def stats(self, tensor: int) -> Stats:
        """Norms and scales of one tensor."""
        theta, claim, moving = self._theta(tensor), self._claim(tensor), self._moving(tensor)
        labels = self._labels[tensor]
        if labels is None:
            bins: tuple[tuple[int, float, int], ...] = ((-1, _rms(theta[moving]), int(moving.sum())),)
        else:
            bins = tuple(
                (int(label), _rms(theta[moving & (labels == label)]), int((moving & (labels == label)).sum()))
                for label in np.unique(labels[moving])
            )
        return Stats(_rms(theta[moving]), _norm(claim), self._rms[tensor], bins, int(moving.sum()))

    def pull(self, tensor: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Parameters and claim of one tensor as arrays of its shape."""
        record = self.point.tensors[tensor]
        flat = self._theta(tensor).astype(np.float64), self.point.claim[self._slice(tensor)].copy()
        pair = [(part.view(np.complex128) if record.complex else part).reshape(record.shape) for part in flat]
        return pair[0], pair[1]

    def project(self, directions: Sequence[Direction], tensor: int, candidates: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Inner products of directions with arrays of one tensor's shape, over its free coordinates."""
        record = self.point.tensors[tensor]
        flat = [coordinates(candidate, record) for candidate in candidates]
        found = np.zeros((len(directions), len(flat)))
        for row, direction in enumerate(directions):
            for start, stop, values, _ in self._numbers(direction).runs:
                low, high = max(start, record.offset), min(stop, record.offset + record.size)
                if low < high:
                    part = values[low - start : high - start]
                    found[row] += [part @ c[low - record.offset : high - record.offset] for c in flat]
        return found

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "ArrayProblem":
        """The same cost and claim with some elements left where they are."""
        fixed = self.point.fixed.copy()
        for tensor, mask in masks.items():
            width = 2 if self.point.tensors[tensor].complex else 1
            fixed[self._slice(tensor)] |= np.repeat(np.reshape(mask, -1), width)
        return ArrayProblem(replace(self.point, fixed=fixed), self._evaluate, self._rows)

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "ArrayProblem":
        """The same cost at the same point with other claims for some tensors."""
        claim = self.point.claim.copy()
        for tensor, array in claims.items():
            claim[self._slice(tensor)] = coordinates(array, self.point.tensors[tensor])
        return ArrayProblem(replace(self.point, claim=claim), self._evaluate, self._rows)

    def lines(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates the cost along rays: one step after another, or so many at once."""
        if self._rows:
            return self._lines_together(rays)
        return [self._line(ray) for ray in rays]

    def _lines_together(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates all steps of all rays in chunks of one shape, filled up with the point itself.

        The shape is always the same, as the last bits of a batched cost depend on it.
        """
        found = [self._blank(ray) for ray in rays]
        steps = [(i, k) for i, ray in enumerate(rays) for k in range(len(ray.steps))]
        for first in range(0, len(steps), self._rows):
            chunk = steps[first : first + self._rows]
            if sys.getrefcount(self._work) > self._free:
                self._work = self._fresh()
            for row, (i, k) in enumerate(chunk):
                numbers = self._numbers(rays[i].direction)
                found[i].claimed[k] = self._displace(numbers, rays[i].steps[k], self._work[row])
            self._work[len(chunk) :] = self.point.theta
            costs = self._evaluate(self._work)
            for row, (i, k) in enumerate(chunk):
                found[i].costs[k] = costs[row]
        return found

    def _blank(self, ray: Ray) -> Samples:
        numbers, dtype, count = self._numbers(ray.direction), self.point.theta.dtype, len(ray.steps)
        magnitude = np.abs(np.asarray(ray.steps)) * numbers.magnitude
        return Samples(np.empty(count, dtype), np.empty(count, dtype), magnitude, numbers.slope)

    def _line(self, ray: Ray) -> Samples:
        numbers = self._numbers(ray.direction)
        found = self._blank(ray)
        for i, step in enumerate(ray.steps):
            if sys.getrefcount(self._work) > self._free:  # the cost kept it: it is the cost's now
                self._work = self._fresh()
            found.claimed[i] = self._displace(numbers, step, self._work)
            found.costs[i] = self._evaluate(self._work)
        return found

    def _displace(self, numbers: "_Numbers", step: float, work: NDArray[Any]) -> Any:
        """Fills a vector with the displaced parameters; returns claimed . displacement."""
        theta, claim = self._base, self.point.claim
        total = theta.dtype.type(0.0)
        done = 0
        for start, stop, values, native in numbers.runs:
            work[done:start] = theta[done:start]
            for low in range(start, stop, PIECE):
                high = min(low + PIECE, stop)
                moved = work[low:high]
                np.multiply(values[low - start : high - start], theta.dtype.type(step), out=moved)
                np.add(moved, theta[low:high], out=moved)
                if native is not None:
                    moved[...] = moved.astype(native)
                total += np.dot(claim[low:high], moved - theta[low:high])
            done = stop
        work[done:] = theta[done:]
        if self._infinite.size:
            work[self._infinite] = self.point.theta[self._infinite]
        return total

    def _numbers(self, direction: Direction) -> "_Numbers":
        """The direction as numbers, kept for the next rounds."""
        found = self._directions.pop(direction, None)
        if found is None:
            found = self._draw(direction)
        self._directions[direction] = found
        while sum(kept.size for kept in self._directions.values()) > KEPT and len(self._directions) > 1:
            self._directions.popitem(last=False)
        return found

    def _draw(self, direction: Direction) -> "_Numbers":
        runs: list[tuple[int, int, NDArray[np.float64], np.dtype[Any] | None]] = []
        slope = magnitude = 0.0
        for first, last, parts in self._spans(direction.parts):
            start, stop = self._bounds(first)[0], self._bounds(last)[1]
            unit = first.weighting is Weighting.UNIT
            values = np.ones(stop - start) if unit else normals(direction.seeds, start, stop)
            for low, high, members in self._by_tensor(parts):
                self._weigh(members, values[low - start : high - start])
            fixed = self.point.fixed[start:stop]
            if fixed.any():
                values[fixed] = 0.0
            slope += float(self.point.claim[start:stop] @ values)
            magnitude += float(np.abs(self.point.claim[start:stop]) @ np.abs(values))
            runs.append((start, stop, values, self.point.native[first.tensor]))
        return _Numbers(tuple(runs), slope, magnitude)

    def _bounds(self, part: Part) -> tuple[int, int]:
        record = self.point.tensors[part.tensor]
        stop = record.size if part.stop < 0 else part.stop
        return record.offset + part.start, record.offset + stop

    def _spans(self, parts: Sequence[Part]) -> list[tuple[Part, Part, list[Part]]]:
        """Neighbouring parts merged, so that a network of many small tensors is drawn in one go.

        Several bins of one tensor in one direction cover the same coordinates: they are merged as well.
        """
        spans: list[tuple[Part, Part, list[Part]]] = []
        ordered = sorted(parts, key=lambda part: (part.tensor, part.start, part.bin))
        for part in ordered:
            if spans:
                first, last, members = spans[-1]
                alike = self.point.native[last.tensor] == self.point.native[part.tensor]
                touching = self._bounds(part)[0] == self._bounds(last)[1]
                same = part.tensor == last.tensor and part.start == last.start
                plain = (last.weighting is Weighting.UNIT) == (part.weighting is Weighting.UNIT)
                if alike and plain and (touching or same):
                    spans[-1] = (first, part, [*members, part])
                    continue
            spans.append((part, part, [part]))
        return spans

    def _by_tensor(self, parts: Sequence[Part]) -> list[tuple[int, int, list[Part]]]:
        """Parts that cover the same coordinates (bins of one tensor) together."""
        found: dict[tuple[int, int], list[Part]] = {}
        for part in parts:
            found.setdefault(self._bounds(part), []).append(part)
        return [(low, high, members) for (low, high), members in found.items()]

    def _weigh(self, parts: Sequence[Part], values: NDArray[np.float64]) -> None:
        """Gives the elements of one tensor their weights, in place."""
        part = parts[0]
        low, high = self._bounds(part)
        if part.weighting is Weighting.EQUALISED:
            floor = EQUALISED_FLOOR * self._rms[part.tensor]
            values /= np.maximum(np.abs(self.point.claim[low:high]), floor)
        elif part.weighting is Weighting.RELATIVE:
            size = np.abs(self.point.theta[low:high]).astype(np.float64)
            values *= np.where(size > 0.0, size, self._scales[part.tensor] or 1.0)
        labels = self._labels[part.tensor]
        if part.bin >= 0 and labels is not None:
            inside = labels[part.start : part.start + len(values)]
            weights = np.zeros(len(values))
            for member in parts:
                weights[inside == member.bin] = member.weight
            values *= weights
        elif part.weight != 1.0:
            values *= part.weight


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A direction as numbers: runs of coordinates (start, stop, values, dtype to round to)."""

    runs: tuple[tuple[int, int, NDArray[np.float64], np.dtype[Any] | None], ...]
    slope: float
    magnitude: float

    @property
    def size(self) -> int:
        return sum(stop - start for start, stop, _, _ in self.runs)


def coordinates(array: NDArray[Any], tensor: Tensor) -> NDArray[np.float64]:
    """An array of a tensor's shape as its flat real coordinates."""
    wide = np.ascontiguousarray(array, dtype=np.complex128 if tensor.complex else np.float64)
    return wide.reshape(-1).view(np.float64)


def _norm(values: NDArray[np.floating]) -> float:
    """2-norm without overflow or underflow."""
    top = float(np.max(np.abs(values), initial=0.0))
    if top == 0.0 or not np.isfinite(top):
        return top
    scaled = (values / top).astype(np.float64)
    return top * float(np.sqrt(scaled @ scaled))


def _rms(values: NDArray[np.floating]) -> float:
    """Root mean square of the finite non-zero values; 0 where there are none."""
    usable = values[np.isfinite(values) & (values != 0)]
    return _norm(usable) / float(np.sqrt(usable.size)) if usable.size else 0.0


def _bins(theta: NDArray[np.floating], moving: NDArray[np.bool_]) -> NDArray[np.int8] | None:
    """Magnitude bins of a tensor whose parameters span too much for one step; None where one step serves.

    The edges are relative to the root mean square of the tensor, so that rescaling it changes nothing. Zeros go to the
    bin of the median.
    """
    size = np.abs(theta.astype(np.float64))
    usable = size[moving & (size > 0) & np.isfinite(size)]
    if usable.size < 2:
        return None
    low, high = np.quantile(usable, [0.01, 0.99])
    smallest = np.partition(usable, 1)[:2]
    if high <= SPAN * low or (high <= SPAN * smallest[1] and high <= LONE * smallest[0]):
        return None
    top = np.log10(_rms(usable))
    with np.errstate(divide="ignore", invalid="ignore"):
        decade = np.floor((np.log10(size) - top - 1.0) / DECADES)  # the first bin: a tenth of it to 100 times below
    decade[~np.isfinite(decade)] = np.median(decade[np.isfinite(decade) & moving])
    decade = np.floor(decade)
    labels: NDArray[np.int8] = (decade - decade.min()).clip(0, 120).astype(np.int8)
    return labels
