"""Norms, scales and magnitude bins of tensors and of their claims, taken where they live in one pass.

The decision behind it: what is seen of a tensor fits a few numbers, so that the ranks of a sharded model add up theirs
and all know the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Protocol

import torch

from gradproof._adapters.pytorch.homes import Cells
from gradproof._adapters.pytorch.regions import DECADES, EXPONENTS, LONE, LOWEST, SPAN, Bins, exponents, quantile
from gradproof._adapters.pytorch.shards import Chunk, Ranks, Shard, totals
from gradproof._records import Stats

#: Bins of one tensor at most.
MOST_BINS = 121


class Surveyed(Protocol):
    """A point as it is summed up."""

    @property
    def shards(self) -> tuple[Shard, ...]:
        """What this process holds of each tensor."""

    @property
    def ranks(self) -> Ranks:
        """The processes that check together."""

    @property
    def stored(self) -> Any:
        """The claimed gradient."""

    @property
    def fixed(self) -> Mapping[int, torch.Tensor]:
        """Coordinates that stay where they are."""

    def claim(self, tensor: int) -> Cells | None:
        """What is claimed of a tensor."""

    def swept(self, tensor: int) -> bool:
        """Whether its claim is computed in float64."""

    def base(self, tensor: int, chunk: Chunk) -> torch.Tensor:
        """The coordinates of the point in float64."""

    def here(self, sweep: Any, visit: Callable[[int, torch.Tensor], None]) -> None:
        """Shows the claim in float64 at this point."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of one tensor.

    Attributes:
        stats: its norms and scales.
        bins: how its magnitudes are told into bins; None where one serves.
        ones: whether it is 1 throughout.
        infinite: how many of its coordinates are not finite.
        broken: how many coordinates of its claim are not finite.
        whole: 2-norm of its claim over all coordinates, those that stay where they are too.
        peak: the largest magnitude in its claims.
        apart: 2-norm of the difference between its claims in float64 and in its own precision, and of the latter.
    """

    stats: Stats
    bins: Bins | None
    ones: bool
    infinite: int
    broken: int
    whole: float
    apart: tuple[float, float]
    peak: float = 0.0


@dataclass(slots=True)
class _Sums:
    """Running sums of one tensor on one rank."""

    squares: float = 0.0
    count: float = 0.0
    moving: float = 0.0
    ones: float = 0.0
    infinite: float = 0.0
    claim: float = 0.0
    claimed: float = 0.0
    broken: float = 0.0
    whole: float = 0.0
    apart: float = 0.0
    native: float = 0.0
    peak: float = 0.0

    def row(self) -> list[float]:
        """The sums in their order, and no peak."""
        return list(astuple(self))[:-1]


def summaries(spot: Surveyed, tensors: Sequence[int]) -> dict[int, Summary]:
    """Sums up tensors; all ranks know the same."""
    sums = {i: _of_point(spot, i) for i in tensors}

    def visit(i: int, gradient: torch.Tensor) -> None:
        if i in swept:
            _of_claim(spot, i, Cells(gradient), sums[i])

    swept = {i for i in tensors if spot.swept(i)}
    for i in tensors:
        claim = spot.claim(i)
        if i not in swept and claim is not None:
            _of_claim(spot, i, claim, sums[i])
    if swept:
        spot.here(spot.stored.sweep, visit)
    width = len(fields(_Sums)) - 1
    numbers = totals(spot.ranks, [value for i in tensors for value in sums[i].row()])
    peaks = [max(column) for column in zip(*spot.ranks.gather([sums[i].peak for i in tensors]), strict=True)]
    together = {i: _Sums(*numbers[k * width : (k + 1) * width]) for k, i in enumerate(tensors)}
    return {i: _summary(spot, i, found, peak) for (i, found), peak in zip(together.items(), peaks, strict=True)}


def _of_point(spot: Surveyed, i: int) -> _Sums:
    shard, sums = spot.shards[i], _Sums()
    fixed = spot.fixed.get(i)
    for chunk in shard.chunks() if shard.owner else ():
        theta = spot.base(i, chunk)
        sums.ones += float((theta == 1.0).sum())
        finite = torch.isfinite(theta)
        sums.infinite += theta.numel() - float(finite.sum())
        if fixed is not None:
            finite &= ~fixed[chunk.low : chunk.high]
        sums.moving += float(finite.sum())
        theta = torch.where(finite, theta, 0.0)
        sums.squares += _squares(theta)
        sums.count += float(torch.count_nonzero(theta))
    return sums


def _of_claim(spot: Surveyed, i: int, cells: Cells, sums: _Sums) -> None:
    shard, fixed, own = spot.shards[i], spot.fixed.get(i), spot.claim(i)
    for chunk in shard.chunks() if shard.owner else ():
        claim = cells.read(chunk.low, chunk.high).to(torch.float64)
        sums.broken += claim.numel() - float(torch.isfinite(claim).sum())
        sums.whole += _squares(claim)
        native = claim if own is None or own is cells else own.read(chunk.low, chunk.high).to(torch.float64)
        sums.native += _squares(native)
        sums.peak = max(sums.peak, float(claim.abs().max()), float(native.abs().max()))
        sums.apart += 0.0 if native is claim else _squares(claim - native)
        if fixed is not None:
            claim = claim.masked_fill(fixed[chunk.low : chunk.high], 0.0)
        sums.claim += _squares(claim)
        sums.claimed += float(torch.count_nonzero(claim))


def _squares(values: torch.Tensor) -> float:
    return float(torch.dot(values, values))


def _summary(spot: Surveyed, i: int, sums: _Sums, peak: float) -> Summary:
    scale = math.sqrt(sums.squares / sums.count) if sums.count else 0.0
    claim = math.sqrt(sums.claim) if sums.claim >= 0.0 else sums.claim
    moving = int(sums.moving)
    rms = claim / math.sqrt(sums.claimed) if sums.claimed else 0.0
    whole = Stats(scale, claim, rms, ((-1, scale, moving),), moving)
    found = Summary(
        whole, None, sums.ones == spot.shards[i].whole, int(sums.infinite), int(sums.broken), math.sqrt(sums.whole),
        (math.sqrt(sums.apart), math.sqrt(sums.native)), peak,
    )  # fmt: skip
    bins = _bins(spot, i, scale) if sums.count > 1 and math.isfinite(scale) else None
    return found if bins is None else replace(found, bins=bins, stats=replace(whole, bins=_in_bins(spot, i, bins)))


def _free(spot: Surveyed, i: int, chunk: Chunk) -> torch.Tensor:
    """The coordinates of a chunk that can move."""
    theta = spot.base(i, chunk)
    fixed = spot.fixed.get(i)
    finite = torch.isfinite(theta)
    return theta[finite if fixed is None else finite & ~fixed[chunk.low : chunk.high]]


def _bins(spot: Surveyed, i: int, scale: float) -> Bins | None:
    """The bins of a tensor whose magnitudes span too much for one step; the edges follow its root mean square."""
    shard = spot.shards[i]
    counts = torch.zeros(EXPONENTS, dtype=torch.int64)
    smallest: list[float] = []
    for chunk in shard.chunks() if shard.owner else ():
        size = _free(spot, i, chunk).abs()
        size = size[size > 0]
        if size.numel():
            counts += exponents(size).cpu()[:EXPONENTS]
            smallest = sorted([*smallest, *torch.topk(size, min(2, size.numel()), largest=False).values.tolist()])[:2]
    held = [*smallest, math.inf, math.inf][:2]
    if spot.ranks.size > 1:
        counts = torch.tensor(totals(spot.ranks, counts.tolist()), dtype=torch.float64).to(torch.int64)
        held = sorted(value for row in spot.ranks.gather(held) for value in row)[:2]
    top = math.ldexp(1.0, int(counts.nonzero()[-1]) + LOWEST - 1)
    low, high = quantile(counts, 0.01), quantile(counts, 0.99)
    narrow = top <= SPAN * held[1] and top <= LONE * held[0]
    if narrow or high <= SPAN * low or (high <= SPAN * held[1] and high <= LONE * held[0]):
        return None
    middle, logarithm = quantile(counts, 0.5), math.log10(scale)
    first, median = (math.floor((math.log10(size) - logarithm - 1.0) / DECADES) for size in (held[0], middle))
    return Bins(logarithm, first, median)


def _in_bins(spot: Surveyed, i: int, bins: Bins) -> tuple[tuple[int, float, int], ...]:
    shard = spot.shards[i]
    squares, nonzero, count = (torch.zeros(MOST_BINS, dtype=torch.float64) for _ in range(3))
    for chunk in shard.chunks() if shard.owner else ():
        theta = _free(spot, i, chunk)
        labels = bins.labels(theta).to(torch.int64)
        pairs = (squares, theta * theta), (nonzero, (theta != 0).double()), (count, torch.ones_like(theta))
        for sums, weights in pairs:
            sums += torch.bincount(labels, weights, minlength=MOST_BINS).cpu()
    numbers = totals(spot.ranks, [*squares.tolist(), *nonzero.tolist(), *count.tolist()])
    rows = zip(numbers[:MOST_BINS], numbers[MOST_BINS : 2 * MOST_BINS], numbers[2 * MOST_BINS :], strict=True)
    return tuple((label, math.sqrt(s / n) if n else 0.0, int(c)) for label, (s, n, c) in enumerate(rows) if c)
