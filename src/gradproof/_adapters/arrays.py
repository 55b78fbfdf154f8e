"""A cost of NumPy arrays as a problem made of lines.

The decision behind it: all parameters stand in one flat vector, and what the cost is given are views of it, so that a
step along a direction is one pass over memory in pieces that stay in the processor's cache. The vector is filled anew
for each evaluation; should the cost keep a reference to what it was given, it keeps that vector and the next evaluation
gets another.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gradproof._numerics.gaussian import BLOCK, normals
from gradproof._numerics.ladder import DOT_ROUNDING
from gradproof._records import Direction, Part, Ray, Samples, Stats, Tensor, Weighting, in_format, spacing
from gradproof._records.work import record

#: Numbers of directions kept between rounds, in total.
KEPT = 8_000_000
#: What a direction takes to be kept besides its numbers, in numbers.
ENTRY = 100
#: Vectors that a check has at hand at a time, roughly, and most bytes that glibc takes as a hint of what to keep.
VECTORS, MOST_KEPT = 16, 2**25 - 2**16
#: Magnitudes further apart than this between the 1% and 99% quantile cannot share one step. At 1e3 one Gaussian tensor
#: of 16 x 16 in 70 would be split by chance, and a step of 2e-5 still moves an element of 1e-4 by a fifth of itself.
SPAN = 1e4
#: A single small element among others needs a bin of its own only beyond this: one Gaussian bias of 16 numbers in 30
#: has an element a thousand times smaller than the rest, and a ladder steps down for that by itself.
LONE = 1e5
#: Decades of magnitude that share a bin.
DECADES = 3
#: Claim x parameters, as a 2-norm and relative to the cost, up to which the parameters' rounding needs no look: it then
#: moves claimed . displacement by less than a fifth of half a unit in the cost's last place (standard deviation),
#: which is noise among the noise that the pilot measures. Beyond it, the displacement that really happened is formed.
WOBBLE = 0.25
#: Smaller relative steps come so close to the rounding of the parameters that it is no longer random.
SMALLEST_ROUGH = 1e-12
#: A displacement of which rounding to the user's own format takes away more than this is none.
LOST = 0.5
#: The norm of k Gaussian numbers is larger than sqrt(k) by more than this with a chance of e^-40 (concentration of a
#: Lipschitz function of Gaussian numbers: exp(-FAR^2 / 2)).
FAR = 9.0
#: Below this share of a tensor's root mean square a claimed element counts as if it had this size.
EQUALISED_FLOOR = 1e-3


def keep_memory(vector: int) -> None:
    """Lets the C library keep the memory of a few vectors when they are dropped, as another one is soon asked for.

    glibc returns what is free at the end of its heap to the system at once, and gets it back a page at a time, zeroed:
    for vectors of 10,000 numbers that takes as long as the arithmetic on them, in the user's functions too. Once a
    block of some size was freed, it keeps as much. The block made here is never touched, so it takes no memory.

    Args:
        vector: bytes of one of them.
    """
    np.empty(min(VECTORS * vector, MOST_KEPT), np.uint8)


class Stage(Protocol):
    """A working vector and the cost of what stands in it."""

    def free(self) -> NDArray[Any] | None:
        """The vector, to be filled; None where the cost still holds it or a part of it, as then it is the cost's."""

    def cost(self) -> Any:
        """The cost, or as many as the vector has rows."""


@dataclass(frozen=True)
class Point:
    """Where the cost is differentiated and what is claimed there.

    Attributes:
        tensors: the parameters that are moved; their offsets count within ``theta``.
        theta: all coordinates that are moved, in the precision of evaluation.
        claim: the claimed gradient, float64.
        fixed: coordinates that stay where they are.
        native: name of the format that each displaced tensor is rounded to, or None.
        cost: size of the cost there, 0 where it is not known.
    """

    tensors: tuple[Tensor, ...]
    theta: NDArray[np.floating]
    claim: NDArray[np.float64]
    fixed: NDArray[np.bool_]
    native: tuple[str | None, ...]
    cost: float = 0.0


class ArrayProblem:
    """A cost near a point of NumPy parameters, and one claimed gradient."""

    def __init__(self, point: Point, stage: Callable[[tuple[int, ...], np.dtype[Any]], Stage], rows: int = 0) -> None:
        """Takes the point and how to evaluate there.

        Args:
            point: where, and what is claimed.
            stage: makes a working vector of a shape and dtype.
            rows: how many parameter sets are evaluated together; 0 for one at a time.
        """
        self.point = point
        self._make = stage
        self._rows = rows
        self._stage = self._fresh()
        self._scratch = np.empty(min(BLOCK, point.theta.size), point.theta.dtype)
        self._directions: OrderedDict[Any, tuple[Direction, _Numbers]] = OrderedDict()
        self._kept = 0
        self._drawn: OrderedDict[tuple[tuple[int, ...], int], NDArray[np.float64]] = OrderedDict()
        self._kept_drawn = 0
        self._pattern: tuple[tuple[Part, ...], tuple[_Piece, ...]] = ((), ())
        # Infinite parameters (masks) stay put; their displacement is 0 and not inf - inf.
        self._infinite = np.flatnonzero(~np.isfinite(point.theta))
        self._base = np.where(np.isfinite(point.theta), point.theta, 0) if self._infinite.size else point.theta
        self._still = bool(point.fixed.any())
        self._rough = not self._infinite.size and point.theta.dtype == np.float64
        self._labels = {
            i: _bins(self._theta(i), self._moving(i) if self._still else None) for i in range(len(point.tensors))
        }
        claims = [self._claim(i) for i in range(len(point.tensors))]
        self._norms = [*map(_norm, claims)]
        self._rms = [*map(_rms, claims, self._norms)]
        self._scales = [_rms(self._theta(i)) for i in range(len(point.tensors))]

    def _fresh(self) -> Stage:
        shape = (self._rows, self.point.theta.size) if self._rows else self.point.theta.shape
        return self._make(shape, self.point.theta.dtype)

    def _empty(self) -> NDArray[Any]:
        """The working vector; another one where the cost kept the last."""
        work = self._stage.free()
        while work is None:
            self._stage = self._fresh()
            work = self._stage.free()
        return work

    def __getstate__(self) -> tuple[Point, Any, int]:
        return self.point, self._make, self._rows

    def __setstate__(self, state: tuple[Point, Any, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def replica(self) -> "ArrayProblem":
        """The same problem with working memory of its own, for a thread."""
        other = object.__new__(ArrayProblem)
        other.__dict__.update(self.__dict__)
        other._stage = self._fresh()
        other._scratch = np.empty_like(self._scratch)
        other._directions, other._kept = OrderedDict(), 0
        other._drawn, other._kept_drawn = OrderedDict(), 0
        return other

    @cached_property
    def _bare(self) -> float:
        """2-norm of claim x parameters."""
        parts = [slice(start, start + BLOCK) for start in range(0, self._base.size, BLOCK)]
        return math.hypot(*(_norm(self.point.claim[part] * self._base[part]) for part in parts))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The named parameters that are moved."""
        return self.point.tensors

    @property
    def epsilon(self) -> float:
        """Relative spacing of the precision of evaluation."""
        return float(np.finfo(self.point.theta.dtype).eps)

    @property
    def grain(self) -> float:
        """Relative spacing of the numbers that displaced parameters are rounded to; 0 where they are not."""
        return max((spacing(name) for name in self.point.native if name is not None), default=0.0)

    def _slice(self, tensor: int) -> slice:
        record = self.point.tensors[tensor]
        return slice(record.offset, record.offset + record.size)

    def _theta(self, tensor: int) -> NDArray[np.floating]:
        return self.point.theta[self._slice(tensor)]

    def _claim(self, tensor: int) -> NDArray[np.float64]:
        part = self._slice(tensor)
        claim = self.point.claim[part]
        return np.where(self.point.fixed[part], 0.0, claim) if self._still else claim

    def _moving(self, tensor: int) -> NDArray[np.bool_]:
        return ~self.point.fixed[self._slice(tensor)]

    def stats(self, tensor: int) -> Stats:
        """Norms and scales of one tensor."""
        theta, claim = self._theta(tensor), self._norms[tensor]
        labels = self._labels[tensor]
        if labels is None and not self._still:
            whole = ((-1, self._scales[tensor], theta.size),)
            return Stats(self._scales[tensor], claim, self._rms[tensor], whole, theta.size)
        moving = self._moving(tensor)
        if labels is None:
            bins: tuple[tuple[int, float, int], ...] = ((-1, _rms(theta[moving]), int(moving.sum())),)
        else:
            bins = tuple(
                (int(label), _rms(theta[moving & (labels == label)]), int((moving & (labels == label)).sum()))
                for label in np.unique(labels[moving])
            )
        return Stats(_rms(theta[moving]), claim, self._rms[tensor], bins, int(moving.sum()))

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
            numbers = self._numbers(direction)
            for piece, (values, factor) in zip(numbers.pieces, numbers.values, strict=True):
                low, high = max(piece.start, record.offset), min(piece.stop, record.offset + record.size)
                if low < high:
                    part = values[low - piece.start : high - piece.start]
                    found[row] += [factor * (part @ c[low - record.offset : high - record.offset]) for c in flat]
        return found

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "ArrayProblem":
        """The same cost and claim with some elements left where they are."""
        fixed = self.point.fixed.copy()
        for tensor, mask in masks.items():
            width = 2 if self.point.tensors[tensor].complex else 1
            fixed[self._slice(tensor)] |= np.repeat(np.reshape(mask, -1), width)
        return ArrayProblem(replace(self.point, fixed=fixed), self._make, self._rows)

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "ArrayProblem":
        """The same cost at the same point with other claims for some tensors."""
        claim = self.point.claim.copy()
        for tensor, array in claims.items():
            claim[self._slice(tensor)] = coordinates(array, self.point.tensors[tensor])
        return ArrayProblem(replace(self.point, claim=claim), self._make, self._rows)

    def lines(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates the cost along rays: one step after another, or so many at once."""
        with np.errstate(all="ignore"):  # the user's cost may do as it likes beside the point; once for all steps
            return self._lines_together(rays) if self._rows else [self._line(ray) for ray in rays]

    def _lines_together(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates all steps of all rays in chunks of one shape, filled up with the point itself.

        The shape is always the same, as the last bits of a batched cost depend on it.
        """
        costs: list[list[Any]] = [[math.nan] * len(ray.steps) for ray in rays]
        claimed: list[list[Any]] = [[math.nan] * len(ray.steps) for ray in rays]
        steps = [(i, k) for i, ray in enumerate(rays) for k in range(len(ray.steps))]
        for first in range(0, len(steps), self._rows):
            chunk = steps[first : first + self._rows]
            work = self._empty()
            for row, (i, k) in enumerate(chunk):
                numbers = self._numbers(rays[i].direction)
                step = rays[i].steps[k]
                displace = self._displace_roughly if self._is_rough(numbers, (step,)) else self._displace
                claimed[i][k] = displace(numbers, step, work[row])
            work[len(chunk) :] = self.point.theta
            del work
            together = self._stage.cost()
            for row, (i, k) in enumerate(chunk):
                costs[i][k] = together[row]
        seen = zip(costs, claimed, rays, strict=True)
        return [self._seen(cost, moved, ray.steps, self._numbers(ray.direction)) for cost, moved, ray in seen]

    def _line(self, ray: Ray) -> Samples:
        numbers, steps = self._numbers(ray.direction), ray.steps
        displace = self._displace_roughly if self._is_rough(numbers, steps) else self._displace
        costs, claimed = [], []
        for step in steps:
            moved = displace(numbers, step, self._empty())
            claimed.append(moved)
            costs.append(self._stage.cost() if moved == moved else math.nan)
        return self._seen(costs, claimed, steps, numbers)

    def _is_rough(self, numbers: "_Numbers", steps: Sequence[float]) -> bool:
        """Whether the rounding of the parameters is nothing beside that of the cost at any of these steps."""
        if not steps or not math.isfinite(numbers.bare):
            return False
        sizes = [*map(abs, steps)]
        return min(sizes) >= SMALLEST_ROUGH and numbers.bare + max(sizes) * numbers.moved <= WOBBLE * self.point.cost

    def _seen(
        self, costs: Sequence[Any], claimed: Sequence[Any], steps: Sequence[float], numbers: "_Numbers"
    ) -> Samples:
        """What was seen, with magnitudes; a bound serves where what it bounds is nothing beside the costs."""
        magnitude, sizes = numbers.bound, [*map(abs, steps)]
        small = DOT_ROUNDING * max(sizes, default=0.0) * magnitude
        if not small <= min(map(abs, costs), default=0.0):
            magnitude = sum(
                abs(factor) * float(np.abs(piece.claim * values).sum())
                for piece, (values, factor) in zip(numbers.pieces, numbers.values, strict=True)
            )
        number: Any = float if self.point.theta.dtype == np.float64 else self.point.theta.dtype.type
        sums = [size * magnitude for size in sizes]
        return Samples([*map(number, costs)], [*map(number, claimed)], sums, numbers.slope)

    def displaced(self, direction: Direction, step: float) -> NDArray[Any]:
        """All coordinates after a step along a direction."""
        work: NDArray[Any] = np.empty_like(self.point.theta)
        self._displace(self._numbers(direction), step, work)
        return work

    def _displace(self, numbers: "_Numbers", step: float, work: NDArray[Any]) -> Any:
        """Fills a vector with the displaced parameters; returns claimed . displacement."""
        theta, number = self._base, self._base.dtype.type
        total = number(0.0)
        done = 0
        for piece, (values, factor) in zip(numbers.pieces, numbers.values, strict=True):
            if done < piece.start:
                work[done : piece.start] = theta[done : piece.start]
            done = piece.stop
            moved, shift = work[piece.start : done], self._scratch[: done - piece.start]
            np.multiply(values, number(step) * factor, out=moved)
            np.add(moved, piece.theta, out=moved)
            if piece.native is not None and not _rounded(moved, piece, step):
                total = number(np.nan)  # a step that rounding takes back says nothing
            np.subtract(moved, piece.theta, out=shift)
            total += np.dot(piece.claim, shift)
        if done < theta.size:
            work[done:] = theta[done:]
        if self._infinite.size:
            work[self._infinite] = self.point.theta[self._infinite]
        return total

    def _displace_roughly(self, numbers: "_Numbers", step: float, work: NDArray[Any]) -> Any:
        """The same in float64 where the rounding of the parameters is nothing beside that of the cost."""
        theta = self._base
        done = 0
        for piece, (values, factor) in zip(numbers.pieces, numbers.values, strict=True):
            if done < piece.start:
                work[done : piece.start] = theta[done : piece.start]
            done = piece.stop
            moved = work[piece.start : done]
            np.multiply(values, step * factor, moved)
            np.add(moved, piece.theta, moved)
        if done < theta.size:
            work[done:] = theta[done:]
        return step * numbers.slope

    def _numbers(self, direction: Direction) -> "_Numbers":
        """The direction as numbers, kept for the next rounds."""
        key = direction.seeds, len(direction.parts), direction.parts[0]  # the hash of hundreds of parts takes a while
        known = self._directions.get(key)
        if known is not None and (known[0] is direction or known[0] == direction):
            self._directions.move_to_end(key)
            return known[1]
        found = self._draw(direction)
        if known is not None:
            self._kept -= known[1].size
        self._directions[key] = direction, found
        self._directions.move_to_end(key)
        self._kept += found.size
        while self._kept > KEPT and len(self._directions) > 1:
            self._kept -= self._directions.popitem(last=False)[1][1].size
        return found

    def _draw(self, direction: Direction) -> "_Numbers":
        pieces = self._pieces(direction.parts)
        values: list[tuple[NDArray[np.float64], float]] = []
        slope = bound = norm = 0.0
        for piece in pieces:
            if piece.unit:
                own = np.ones(piece.stop - piece.start)
            else:
                own = self._normals(direction.seeds, piece.block, piece.reach)
                own = own[piece.start - piece.block : piece.stop - piece.block]
            factor, size = 1.0, piece.norm * (math.sqrt(own.size) + FAR)
            if isinstance(piece.weights, float):
                factor = piece.weights
            else:
                own = own * piece.weights
            slope += factor * float(np.dot(piece.claim, own))
            bound += abs(factor) * size
            norm = math.hypot(norm, factor * piece.norm)
            values.append((own, factor))
        smooth = self._rough and not any(piece.unit or piece.native is not None for piece in pieces)
        bare = self._bare if smooth else math.inf
        return _Numbers(pieces, tuple(values), slope, bound, bare, 4.0 * norm)

    def _normals(self, seeds: tuple[int, ...], block: int, stop: int) -> NDArray[np.float64]:
        """Normal numbers from the start of a block on, kept as several directions may weigh the same ones differently.

        Args:
            seeds: of the direction.
            block: where the block starts.
            stop: end of the numbers that are needed.
        """
        key = seeds, block
        found = self._drawn.get(key)
        if found is None or len(found) < stop - block:
            self._kept_drawn += stop - block - (0 if found is None else len(found))
            found = self._drawn[key] = self._summed(seeds, block, stop)
            while self._kept_drawn > KEPT and len(self._drawn) > 1:
                self._kept_drawn -= len(self._drawn.popitem(last=False)[1])
        return found

    def _summed(self, seeds: tuple[int, ...], block: int, stop: int) -> NDArray[np.float64]:
        """What ``normals`` gives, of numbers that are kept where they are for several seeds."""
        known = [self._drawn.get(((seed,), block)) for seed in seeds] if len(seeds) > 1 else [None]
        if any(one is None or len(one) < stop - block for one in known):
            return normals(seeds, block, stop)
        total = sum(one[: stop - block] for one in known if one is not None)
        return np.asarray(total / np.sqrt(len(seeds)))

    def _pieces(self, parts: tuple[Part, ...]) -> "tuple[_Piece, ...]":
        """Where directions with these parts move, and their weights there; kept, as seeds change more often.

        Neighbouring tensors are moved in one go. A piece lies within one block of random numbers, and all pieces of a
        block share one draw.
        """
        if self._pattern[0] is parts or self._pattern[0] == parts:
            return self._pattern[1]
        runs: list[list[_Cover]] = []
        reach: dict[int, int] = {}  # the last of a block goes furthest
        for cover in self._covers(parts):
            last = runs[-1][-1] if runs else None
            if last is not None and last.stop == cover.start and cover.start % BLOCK and last.kind == cover.kind:
                runs[-1].append(cover)
            else:
                runs.append([cover])
            reach[cover.start // BLOCK] = cover.stop
        self._pattern = parts, tuple(self._piece(run, reach[run[0].start // BLOCK]) for run in runs)
        return self._pattern[1]

    def _covers(self, parts: Sequence[Part]) -> "Iterator[_Cover]":
        """The coordinates that parts move, in their order and cut into blocks; bins of one tensor are one."""
        together: dict[tuple[int, int], list[Part]] = {}
        for part in sorted(parts, key=_ORDER):
            record = self.point.tensors[part.tensor]
            bounds = record.offset + part.start, record.offset + (record.size if part.stop < 0 else part.stop)
            together.setdefault(bounds, []).append(part)
        for (low, high), members in together.items():
            first = members[0]
            weights, floor = self._weights(low, high, members)
            kind = self.point.native[first.tensor], first.weighting is Weighting.UNIT, floor > 0.0
            for start in (low, *range(low - low % BLOCK + BLOCK, high, BLOCK)) if low < high else ():
                stop = min(high, start - start % BLOCK + BLOCK)
                own = weights if isinstance(weights, float) else weights[start - low : stop - low]
                yield _Cover(start, stop, own, floor, kind)

    def _piece(self, run: "Sequence[_Cover]", reach: int) -> "_Piece":
        """Neighbouring coordinates with their weights as one piece."""
        (start, _, weights, floor, (native, unit, equalised)), stop = run[0], run[-1].stop
        base, claim = self._base[start:stop], self.point.claim[start:stop]
        lengths = [cover.stop - cover.start for cover in run]
        if all(isinstance(cover.weights, float) for cover in run):
            if len(run) > 1:
                weights = np.repeat([cover.weights for cover in run], lengths)
            if equalised:
                floors = floor if len(run) == 1 else np.repeat([cover.floor for cover in run], lengths)
                weights = weights / np.maximum(np.abs(claim), floors)
        elif len(run) > 1:
            weights = np.empty(stop - start)
            for cover in run:
                weights[cover.start - start : cover.stop - start] = cover.weights
        norm = _norm(claim if isinstance(weights, float) else claim * weights)
        return _Piece(start, stop, start - start % BLOCK, reach, weights, base, claim, native, unit, norm)

    def _weights(self, low: int, high: int, members: list[Part]) -> tuple[float | NDArray[np.float64], float]:
        """The weights of one tensor's elements, one number where they are all alike.

        The second is the floor of the claims by which they are to be divided, 0 where they are not.
        """
        part = members[0]
        binned = part.bin >= 0 and self._labels[part.tensor] is not None
        if not binned and not self._still and part.region is None:
            if part.weighting in (Weighting.PLAIN, Weighting.UNIT):
                return float(part.weight), 0.0
            floor = EQUALISED_FLOOR * self._rms[part.tensor]
            if part.weighting is Weighting.EQUALISED and floor > 0.0:
                return float(part.weight), floor
        weights = np.ones(high - low)
        self._weigh(low, members, weights)
        if self._still:
            weights[self.point.fixed[low:high]] = 0.0
        return weights, 0.0

    def _weigh(self, low: int, parts: Sequence[Part], values: NDArray[np.float64]) -> None:
        """Gives the elements of one tensor from a coordinate on their weights, in place."""
        part, high = parts[0], low + len(values)
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
        if part.region is not None:
            values *= _region_weights(part, self.point.tensors[part.tensor])


#: Parts in the order of the coordinates that they move.
_ORDER = attrgetter("tensor", "start", "bin")


class _Cover(NamedTuple):
    """Coordinates of one tensor within a block.

    Attributes:
        start: the first of them.
        stop: their end.
        weights: what random numbers are multiplied with there.
        floor: of the claims that the weights are still to be divided by; 0 where they are not.
        kind: name of the format to round to, whether ones stand in place of random numbers, whether there is a floor:
            what is moved in one go is alike in all of these.
    """

    start: int
    stop: int
    weights: float | NDArray[np.float64]
    floor: float
    kind: tuple[str | None, bool, bool]


@record(frozen=True, slots=True)
class _Piece:
    """Neighbouring coordinates that directions with the same parts move.

    Attributes:
        start: the first of them.
        stop: their end.
        block: where the block of random numbers starts that they lie in.
        reach: end of what is drawn of the block.
        weights: what random numbers are multiplied with there.
        theta: the parameters there.
        claim: the claimed gradient there.
        native: name of the format to round to, or None.
        unit: whether exact ones stand in place of random numbers.
        norm: 2-norm of the claim there; of claim x weights where these are an array.
    """

    start: int
    stop: int
    block: int
    reach: int
    weights: float | NDArray[np.float64]
    theta: NDArray[np.floating]
    claim: NDArray[np.float64]
    native: str | None
    unit: bool
    norm: float


@record(frozen=True, slots=True)
class _Numbers:
    """A direction as numbers: for each piece values and a factor on them.

    Attributes:
        pieces: where it moves.
        values: for each piece numbers and a factor on them.
        slope: claimed gradient times the direction.
        bound: at least the sum of |claimed x direction|, by Cauchy and Schwarz.
        bare: 2-norm of claim x parameters; infinite where their rounding is not random.
        moved: the same of claim x direction, amply.
    """

    pieces: tuple[_Piece, ...]
    values: tuple[tuple[NDArray[np.float64], float], ...]
    slope: float
    bound: float
    bare: float
    moved: float

    @property
    def size(self) -> int:
        return ENTRY + sum(piece.stop - piece.start for piece in self.pieces)


def coordinates(array: NDArray[Any], tensor: Tensor) -> NDArray[np.float64]:
    """An array of a tensor's shape as its flat real coordinates."""
    wide = np.ascontiguousarray(array, dtype=np.complex128 if tensor.complex else np.float64)
    return wide.reshape(-1).view(np.float64)


def _region_weights(part: Part, tensor: Tensor) -> NDArray[np.float64]:
    """The weights of a part's region on the coordinates that it covers; both of a complex element weigh alike."""
    assert part.region is not None
    weights = part.region.weights(tensor.shape).ravel()
    if tensor.complex:
        weights = np.repeat(weights, 2)
    return weights[part.start : tensor.size if part.stop < 0 else part.stop]


def _rounded(moved: NDArray[Any], piece: "_Piece", step: float) -> bool:
    """Rounds displaced parameters to the user's own format; whether enough of the displacement is left.

    A step back is that forward turned round, so that of the two only the odd part knows of the rounding: what is left
    of a right claim there is nothing, and of the even part, which tells kinks, it takes a little.
    """
    assert piece.native is not None
    meant = moved - piece.theta
    forward = in_format(piece.theta + meant * np.sign(step), piece.native) - piece.theta
    moved[...] = in_format(piece.theta + np.sign(step) * forward, piece.native)
    return _norm(moved - piece.theta - meant) <= LOST * _norm(meant)


def _norm(values: NDArray[np.floating]) -> float:
    """2-norm without overflow or underflow."""
    if values.dtype == np.float64:
        squares = float(np.vdot(values, values))  # unlike dot, it does not warn of an overflow
        if 1e-200 < squares < 1e200:
            return math.sqrt(squares)
    top = float(np.max(np.abs(values), initial=0.0))
    if top == 0.0 or not math.isfinite(top):
        return top
    scaled = (values / top).astype(np.float64)
    return top * math.sqrt(float(scaled @ scaled))


def _rms(values: NDArray[np.floating], norm: float | None = None) -> float:
    """Root mean square of the finite non-zero values, given their 2-norm if that is known; 0 where there are none."""
    if norm is None:
        norm = _norm(values)
    if not math.isfinite(norm):
        values = values[np.isfinite(values)]
        norm = _norm(values)
    count = np.count_nonzero(values)
    return norm / math.sqrt(count) if count else 0.0


def _narrow(size: NDArray[np.float64]) -> bool:
    """Whether so few magnitudes lie far below the largest that the quantiles cannot be far apart; one quick look."""
    top = float(size.max(initial=0.0))
    small = np.count_nonzero(size < top / SPAN)
    return math.isfinite(top) and bool(small <= math.floor(0.01 * (size.size - small - 1)))


def _bins(theta: NDArray[np.floating], moving: NDArray[np.bool_] | None) -> NDArray[np.int8] | None:
    """Magnitude bins of a tensor whose parameters span too much for one step; None where one step serves.

    The edges are relative to the root mean square of the tensor, so that rescaling it changes nothing. Zeros go to the
    bin of the median.
    """
    size = np.abs(theta).astype(np.float64, copy=False)
    if moving is None and _narrow(size):
        return None
    chosen = (size > 0) & np.isfinite(size)
    if moving is None:
        moving = np.ones(size.shape, dtype=bool)
    usable = size[moving & chosen]
    if usable.size < 2 or usable.max() <= SPAN * usable.min():
        return None
    smallest = np.partition(usable, 1)[:2]
    if usable.max() <= SPAN * smallest[1] and usable.max() <= LONE * smallest[0]:
        return None
    low, high = np.quantile(usable, [0.01, 0.99])
    if high <= SPAN * low or (high <= SPAN * smallest[1] and high <= LONE * smallest[0]):
        return None
    top = np.log10(_rms(usable))
    with np.errstate(divide="ignore", invalid="ignore"):
        decade = np.floor((np.log10(size) - top - 1.0) / DECADES)  # the first bin: a tenth of it to 100 times below
    decade[~np.isfinite(decade)] = np.median(decade[np.isfinite(decade) & moving])
    decade = np.floor(decade)
    labels: NDArray[np.int8] = (decade - decade.min()).clip(0, 120).astype(np.int8)
    return labels
