"""A cost of tensors as a problem made of lines, answered where the tensors live.

The decision behind it: displacements, directions and inner products are made on each tensor's own device, chunk by
chunk in float64, and only scalars leave it; so nothing that a check needs is as large as the model, but for what the
claimed gradient takes in its own precision and the float64 copy of a model in lower precision. A claim in float64 is
never held: a backward pass is run whenever new directions come up, and each tensor's gradient is multiplied with them
as it arrives and dropped.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradproof._adapters.pytorch.draws import normals
from gradproof._adapters.pytorch.homes import Cells, Home, Move
from gradproof._adapters.pytorch.regions import Bins, region_weights
from gradproof._adapters.pytorch.shards import Chunk, Group, Ranks, Shard, added, totals
from gradproof._adapters.pytorch.summaries import Summary, summaries
from gradproof._records import Direction, Part, Ray, Samples, Stats, Tensor, Weighting

#: Random numbers kept from one evaluation to the next, so that small models need not draw them again.
KEPT = 1 << 18
#: Below this share of a tensor's root mean square a claimed element counts as if it had this size.
EQUALISED_FLOOR = 1e-3
#: Seeds of the way to a point beside the given one, apart from those of directions.
ASIDE = (-11,)

#: Is given a tensor's place and its claimed gradient as that arrives.
Visit = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True)
class Stored:
    """The claimed gradient.

    Attributes:
        cells: of each tensor what is claimed, in its own precision; None for a claim of zero or none that can be used.
        sweep: computes the claim in float64 at what the home holds and shows it tensor by tensor; None where the cells
            are all there is.
    """

    cells: tuple[Cells | None, ...]
    sweep: Callable[[Visit], None] | None = None


@dataclass(frozen=True)
class Spot:
    """A point of a cost, and what it takes to evaluate around it.

    Attributes:
        tensors: the parameters that are moved.
        shards: what this process holds of each.
        home: where displaced parameters stand.
        ranks: the processes that check together.
        cost: evaluates the cost at what the home holds; NaN where there is none.
        stored: what is claimed at the point.
        aside: for each tensor how far the point lies beside the given one, as the standard deviation of a Gaussian
            displacement; empty for the given point itself.
        seeds: of that displacement.
        fixed: coordinates held here that stay where they are, by tensor.
        other: claims that replace the stored ones, by tensor.
    """

    tensors: tuple[Tensor, ...]
    shards: tuple[Shard, ...]
    home: Home
    ranks: Ranks
    cost: Callable[[], float]
    stored: Stored
    aside: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ASIDE
    fixed: Mapping[int, torch.Tensor] = field(default_factory=dict)
    other: Mapping[int, Cells] = field(default_factory=dict)

    def claim(self, tensor: int) -> Cells | None:
        """What is claimed of a tensor, as far as it is held."""
        return self.other.get(tensor) or self.stored.cells[tensor]

    def swept(self, tensor: int) -> bool:
        """Whether the claim of a tensor is computed in float64 whenever it is needed."""
        return self.stored.sweep is not None and tensor not in self.other

    def base(self, tensor: int, chunk: Chunk) -> torch.Tensor:
        """The coordinates of the point in float64."""
        before = self.home.base(tensor, chunk)
        return before + self.way(tensor, chunk, before.device) if self.aside else before

    def way(self, tensor: int, chunk: Chunk, device: torch.device) -> torch.Tensor:
        """The way from the given point to this one."""
        drawn = normals(self.seeds, (tensor, *chunk.key), chunk.drawn, device)[_part(chunk)] * self.aside[tensor]
        fixed = self.fixed.get(tensor)
        return drawn if fixed is None else drawn.masked_fill_(fixed[chunk.low : chunk.high], 0.0)

    def here(self, sweep: Callable[[Visit], None], visit: Visit) -> None:
        """Shows the claim in float64 at this point."""
        with self.home.displaced(self.moves, unseen):
            sweep(visit)

    def staying(self) -> Iterator[Move]:
        """All coordinates, displaced by nothing."""
        for i, shard in enumerate(self.shards):
            for chunk in shard.chunks():
                yield Move(i, chunk, [torch.zeros_like(self.home.base(i, chunk))])

    def moves(self) -> Iterator[Move]:
        """The way from the given point to this one."""
        for i, shard in enumerate(self.shards if self.aside else ()):
            for chunk in shard.chunks():
                yield Move(i, chunk, [self.way(i, chunk, self.home.base(i, chunk).device)])

    def at_point(self) -> float:
        """The cost at the point on this rank."""
        with self.home.displaced(self.moves, unseen):
            return self.cost()


def unseen(*_: Any) -> None:
    """What is done with displacements that no one asks about."""


def _part(chunk: Chunk) -> slice:
    return slice(chunk.skip, chunk.skip + chunk.high - chunk.low)


#: A part of a direction with the direction's seeds.
Piece = tuple[tuple[int, ...], Part]


class TensorProblem:
    """A cost near a point of tensors, and one claimed gradient."""

    def __init__(self, spot: Spot, known: Mapping[int, Summary] | None = None) -> None:
        """Takes the point.

        Args:
            spot: where, and what is claimed.
            known: norms and scales that are known already.
        """
        self.spot = spot
        missing = [i for i in range(len(spot.tensors)) if known is None or i not in known]
        self._known: dict[int, Summary] = {**(known or {}), **summaries(spot, missing)}
        self._slopes: dict[Piece, tuple[float, float]] = {}
        self._drawn: OrderedDict[tuple[Any, ...], torch.Tensor] = OrderedDict()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The named parameters that are moved."""
        return self.spot.tensors

    @property
    def epsilon(self) -> float:
        """Relative spacing of float64, in which costs are returned."""
        return float(np.finfo(np.float64).eps)

    @property
    def grain(self) -> float:
        """Relative spacing of the numbers that displaced parameters are rounded to; 0 where that is float64's."""
        formats = {t.dtype.to_real() if t.dtype.is_complex else t.dtype for t in self.spot.home.tensors}
        return max((torch.finfo(kind).eps for kind in formats if kind is not torch.float64), default=0.0)

    def replica(self) -> "TensorProblem":
        """The same problem: its memory is the model's own, so one evaluation at a time is all there is."""
        return self

    def stats(self, tensor: int) -> Stats:
        """Norms and scales of one tensor."""
        return self._known[tensor].stats

    def summary(self, tensor: int) -> Summary:
        """Norms and scales of one tensor, and what else was seen of it."""
        return self._known[tensor]

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "TensorProblem":
        """The same cost and claim with some elements left where they are."""
        return self.fixing({i: np.repeat(np.reshape(m, -1), self.spot.shards[i].width) for i, m in masks.items()})

    def fixing(self, masks: Mapping[int, NDArray[np.bool_]]) -> "TensorProblem":
        """The same cost and claim with some coordinates of the whole tensors left where they are."""
        fixed = dict(self.spot.fixed)
        for i, mask in masks.items():
            shard = self.spot.shards[i]
            block = mask.reshape(*shard.shape, shard.width)[tuple(slice(*axis) for axis in shard.box)]
            held = torch.from_numpy(np.ascontiguousarray(block).reshape(-1)).to(self._device(i))
            fixed[i] = held | fixed[i] if i in fixed else held
        return TensorProblem(replace(self.spot, fixed=fixed), {i: s for i, s in self._known.items() if i not in masks})

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "TensorProblem":
        """The same cost at the same point with other claims for some tensors."""
        other = dict(self.spot.other)
        for i, claim in claims.items():
            block = np.asarray(claim).reshape(self.spot.shards[i].shape)
            block = block[tuple(slice(*axis) for axis in self.spot.shards[i].box)]
            wide = np.array(block, dtype=np.complex128 if self.tensors[i].complex else np.float64, order="C")
            other[i] = Cells(torch.from_numpy(wide).to(self._device(i)))
        found = TensorProblem(
            replace(self.spot, other=other), {i: s for i, s in self._known.items() if i not in claims}
        )
        found._slopes.update((k, v) for k, v in self._slopes.items() if k[1].tensor not in claims)
        return found

    def lines(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates the cost along rays, one step after another."""
        self._learn([ray.direction for ray in rays])
        local: list[float] = []
        for ray in rays:
            pieces = self._pieces(ray.direction)
            slope = added([self._slopes[piece][0] for piece in pieces])
            local += [slope, added([self._slopes[piece][1] for piece in pieces])]
            for step in ray.steps:
                cost, rest = self._step(ray.direction, step)
                local += [cost / self.spot.ranks.size, rest]
        numbers = iter(totals(self.spot.ranks, local))
        found = []
        for ray in rays:
            slope, magnitude = next(numbers), next(numbers)
            pairs = [(next(numbers), next(numbers)) for _ in ray.steps]
            claimed = [step * slope + rest for step, (_, rest) in zip(ray.steps, pairs, strict=True)]
            found.append(Samples([c for c, _ in pairs], claimed, [abs(step) * magnitude for step in ray.steps], slope))
        return found

    def project(self, directions: Sequence[Direction], tensor: int, candidates: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Inner products of directions with arrays of one tensor's shape, over its free coordinates."""
        shard = self.spot.shards[tensor]
        box = tuple(slice(*axis) for axis in shard.box)
        kind = np.complex128 if self.tensors[tensor].complex else np.float64
        blocks = [np.array(c, dtype=kind).reshape(shard.shape)[box] for c in candidates]
        cells = [Cells(torch.from_numpy(np.ascontiguousarray(block))) for block in blocks]
        local = np.zeros((len(directions), len(cells)))
        for row, direction in enumerate(directions):
            parts = tuple(part for part in direction.parts if part.tensor == tensor)
            for chunk in shard.chunks() if shard.owner and parts else ():
                own = self._own(direction.seeds, parts, chunk).cpu()
                local[row] += [float(torch.dot(own, c.read(chunk.low, chunk.high))) for c in cells]
        if not local.size:
            return local
        return np.array(totals(self.spot.ranks, local.reshape(-1).tolist())).reshape(local.shape)

    def pull(self, tensor: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Parameters and claim of one tensor as arrays of its shape."""
        shard = self.spot.shards[tensor]
        theta, claim = (torch.zeros(shard.size, dtype=torch.float64) for _ in range(2))

        def keep(i: int, gradient: torch.Tensor) -> None:
            if i == tensor:
                _copy(Cells(gradient), claim, shard)

        for chunk in shard.chunks():
            theta[chunk.low : chunk.high] = self.spot.base(tensor, chunk).cpu()
        held, sweep = self.spot.claim(tensor), self.spot.stored.sweep
        if self.spot.swept(tensor) and sweep is not None:
            self.spot.here(sweep, keep)
        elif held is not None:
            _copy(held, claim, shard)
        return self._whole(tensor, theta), self._whole(tensor, claim)

    def at_point(self) -> float:
        """The cost at the point, the mean over all ranks."""
        return totals(self.spot.ranks, [self.spot.at_point() / self.spot.ranks.size])[0]

    def fingerprint(self, tensor: int) -> tuple[float, float]:
        """The norm of what this rank claims of a tensor, and its product with random numbers."""
        claim, shard = self.spot.claim(tensor), self.spot.shards[tensor]
        squares = product = 0.0
        if claim is None:
            return squares, product
        for chunk in shard.chunks():
            values = claim.read(chunk.low, chunk.high).to(torch.float64)
            drawn = normals(ASIDE, (tensor, *chunk.key), chunk.drawn, values.device)[_part(chunk)]
            squares += float(torch.dot(values, values))
            product += float(torch.dot(values, drawn))
        return math.sqrt(squares), product

    def _whole(self, tensor: int, flat: torch.Tensor) -> Any:
        """A tensor put together from all ranks, in its shape."""
        shard, ranks = self.spot.shards[tensor], self.spot.ranks
        array = flat.numpy()
        block = (array.view(np.complex128) if shard.width == 2 else array).reshape(shard.local)
        if not isinstance(ranks, Group):
            return block
        full = np.zeros(shard.shape, dtype=block.dtype)
        if shard.owner:
            full[tuple(slice(*axis) for axis in shard.box)] = block
        together = ranks.added(torch.from_numpy(full.reshape(-1).view(np.float64))).numpy()
        return (together.view(np.complex128) if shard.width == 2 else together).reshape(shard.shape)

    def _device(self, tensor: int) -> torch.device:
        chunk = next(self.spot.shards[tensor].chunks(), None)
        return torch.device("cpu") if chunk is None else self.spot.home.base(tensor, chunk).device

    def _step(self, direction: Direction, step: float) -> tuple[float, float]:
        """The cost after a step on this rank, and what claimed . displacement differs from step x slope by rounding."""
        rest: list[float] = []

        def seen(i: int, chunk: Chunk, amount: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> None:
            claim = self.spot.claim(i)
            if claim is None or not self.spot.shards[i].owner:
                return
            off = after - before
            off -= amount
            fixed = self.spot.fixed.get(i)
            if fixed is not None:
                off.masked_fill_(fixed[chunk.low : chunk.high], 0.0)
            rest.append(float(torch.dot(claim.read(chunk.low, chunk.high).to(torch.float64), off)))

        with self.spot.home.displaced(lambda: self._moves(direction, step), seen):
            cost = self.spot.cost()
        return cost, added(rest)

    def _moves(self, direction: Direction, step: float) -> Iterator[Move]:
        members: dict[int, list[Part]] = {}
        for part in direction.parts:
            members.setdefault(part.tensor, []).append(part)
        for i in range(len(self.spot.tensors)) if self.spot.aside else sorted(members):
            parts = tuple(members.get(i, ()))
            start = min((p.start for p in parts), default=0)
            stop = -1 if self.spot.aside or any(p.stop < 0 for p in parts) else max(p.stop for p in parts)
            for chunk in self.spot.shards[i].chunks(0 if self.spot.aside else start, stop):
                if parts:
                    amount = self._own(direction.seeds, parts, chunk) * step
                else:
                    amount = torch.zeros(chunk.high - chunk.low, dtype=torch.float64, device=self._device(i))
                amounts = [self.spot.way(i, chunk, amount.device), amount] if self.spot.aside else [amount]
                again = not any(p.weighting is Weighting.RELATIVE or p.bin >= 0 for p in parts)
                yield Move(i, chunk, amounts, again)

    def _pieces(self, direction: Direction) -> list[Piece]:
        return [(direction.seeds, part) for part in direction.parts]

    def _learn(self, directions: Sequence[Direction]) -> None:
        """Multiplies the claim with the directions that it was not multiplied with before."""
        wanted: dict[int, dict[Piece, None]] = {}
        for piece in (piece for direction in directions for piece in self._pieces(direction)):
            if piece not in self._slopes:
                wanted.setdefault(piece[1].tensor, {})[piece] = None
                self._slopes[piece] = 0.0, 0.0  # what a claim does not reach is zero

        def visit(i: int, gradient: torch.Tensor) -> None:
            if i in swept:
                self._multiply(i, Cells(gradient), wanted[i])

        sweep = self.spot.stored.sweep
        swept = {i for i in wanted if self.spot.swept(i)}
        for i in wanted:
            claim = self.spot.claim(i)
            if i not in swept and claim is not None:
                self._multiply(i, claim, wanted[i])
        if swept and sweep is not None:
            self.spot.here(sweep, visit)

    def _multiply(self, tensor: int, claim: Cells, pieces: Mapping[Piece, None]) -> None:
        shard = self.spot.shards[tensor]
        found: dict[Piece, tuple[list[float], list[float]]] = {piece: ([], []) for piece in pieces}
        for chunk in shard.chunks() if shard.owner else ():
            values = claim.read(chunk.low, chunk.high).to(torch.float64)
            for seeds, part in pieces:
                if _outside(part, shard, chunk):
                    continue
                own = self._own(seeds, (part,), chunk) * values
                slopes, sizes = found[seeds, part]
                slopes.append(float(own.sum()))
                sizes.append(float(own.abs_().sum()))
        for piece, (slopes, sizes) in found.items():
            self._slopes[piece] = added(slopes), added(sizes)

    def _own(self, seeds: tuple[int, ...], parts: tuple[Part, ...], chunk: Chunk) -> torch.Tensor:
        """The numbers of a direction in a chunk of one tensor."""
        part, count = parts[0], chunk.high - chunk.low
        device = self._device(part.tensor)
        if part.weighting is Weighting.UNIT:
            drawn = torch.ones(count, dtype=torch.float64, device=device)
        else:
            drawn = self._normals(seeds, part.tensor, chunk, device)
        weights = [self._weights(member, chunk, device) for member in parts]
        found = drawn * (weights[0] if len(weights) == 1 else sum(weights[1:], start=weights[0]))
        fixed = self.spot.fixed.get(part.tensor)
        return found if fixed is None else found.masked_fill_(fixed[chunk.low : chunk.high], 0.0)

    def _normals(self, seeds: tuple[int, ...], tensor: int, chunk: Chunk, device: torch.device) -> torch.Tensor:
        key = seeds, tensor, chunk
        found = self._drawn.get(key)
        if found is None:
            found = normals(seeds, (tensor, *chunk.key), chunk.drawn, device)[_part(chunk)]
            self._drawn[key] = found
            while len(self._drawn) > 1 and sum(len(part) for part in self._drawn.values()) > KEPT:
                self._drawn.popitem(last=False)
        return found

    def _weights(self, part: Part, chunk: Chunk, device: torch.device) -> Any:
        """What a part multiplies the coordinates of a chunk by; one number where they are all alike."""
        known, shard = self._known[part.tensor], self.spot.shards[part.tensor]
        weights: Any = part.weight
        if part.weighting is Weighting.EQUALISED:
            claim = self.spot.claim(part.tensor)
            if claim is not None:
                size = claim.read(chunk.low, chunk.high).to(torch.float64).abs()
                weights = weights / size.clamp_(min=EQUALISED_FLOOR * known.stats.claim_rms)
        elif part.weighting is Weighting.RELATIVE:
            size = self.spot.base(part.tensor, chunk).abs()
            weights = torch.where(size > 0.0, size, known.stats.scale or 1.0) * weights
        if part.bin >= 0 and known.bins is not None:
            weights = weights * (self._labels(part.tensor, known.bins, chunk) == part.bin)
        if part.region is not None or part.start or part.stop >= 0:
            places = shard.places(chunk, device)
            stop = shard.whole if part.stop < 0 else part.stop
            weights = weights * ((places >= part.start) & (places < stop)).to(torch.float64)
            if part.region is not None:
                weights = weights * region_weights(part, shard.shape, places, shard.width)
        return weights

    def _labels(self, tensor: int, bins: Bins, chunk: Chunk) -> torch.Tensor:
        return bins.labels(self.spot.base(tensor, chunk))


def _outside(part: Part, shard: Shard, chunk: Chunk) -> bool:
    """Whether a part moves nothing of a chunk."""
    if not shard.run:
        return False
    first = shard.offset + chunk.low
    return first + chunk.high - chunk.low <= part.start or 0 <= part.stop <= first


def _copy(cells: Cells, into: torch.Tensor, shard: Shard) -> None:
    """A tensor's coordinates in the processor's memory."""
    for chunk in shard.chunks():
        into[chunk.low : chunk.high] = cells.read(chunk.low, chunk.high).cpu()
