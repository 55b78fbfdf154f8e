"""What one process holds of a tensor, and numbers that all processes agree on.

The decision behind it: an element is known by its place in the whole tensor, wherever it lives. A tensor that is cut
along its first axis is drawn by these places, so that the number of processes changes nothing; any other cut is drawn
by the corner of its block. Sums count each element once, and are formed in the order of the ranks, so that every rank
sees the same bits and takes the same branches.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch

from gradproof._adapters.pytorch.draws import CHUNK, FAR_CHUNK
from gradproof._errors import InputError


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring coordinates that one process holds.

    Attributes:
        key: what their random numbers are drawn by, besides the tensor.
        low: the first one, counted in what the process holds.
        high: their end.
        skip: numbers of the draw that belong to coordinates before them.
        drawn: how many numbers a draw has.
    """

    key: tuple[int, ...]
    low: int
    high: int
    skip: int
    drawn: int


@dataclass(frozen=True)
class Shard:
    """The block of a tensor that this process holds.

    Attributes:
        shape: of the whole tensor.
        start: the block's corner.
        local: the block's shape.
        width: real coordinates an element.
        owner: whether this process is the one whose copy of the block counts in sums.
        piece: coordinates handled at a time.
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]
    local: tuple[int, ...]
    width: int = 1
    owner: bool = True
    piece: int = CHUNK

    @property
    def size(self) -> int:
        """Number of real coordinates held here."""
        return math.prod(self.local) * self.width

    @property
    def whole(self) -> int:
        """Number of real coordinates of the whole tensor."""
        return math.prod(self.shape) * self.width

    @cached_property
    def offset(self) -> int:
        """The first coordinate's place in the whole tensor."""
        place = 0
        for length, first in zip(self.shape, self.start, strict=True):
            place = place * length + first
        return place * self.width

    @property
    def run(self) -> bool:
        """Whether what is held here is one run of the whole tensor."""
        return self.local[1:] == self.shape[1:]

    @property
    def box(self) -> tuple[tuple[int, int, int], ...]:
        """The block as slices of the whole tensor."""
        return tuple((first, first + length, 1) for first, length in zip(self.start, self.local, strict=True))

    def chunks(self, start: int = 0, stop: int = -1) -> Iterator[Chunk]:
        """What is held here, in chunks; those that lie outside of a range of the whole tensor may be left out."""
        stop = self.whole if stop < 0 else stop
        if not self.run:
            for low in range(0, self.size, self.piece):
                high = min(low + self.piece, self.size)
                yield Chunk((self.offset, low), low, high, 0, high - low)
            return
        first, last = max(start, self.offset), min(stop, self.offset + self.size)
        for number in range(first // self.piece, -(-last // self.piece) if first < last else 0):
            left, right = number * self.piece, min((number + 1) * self.piece, self.whole)
            low, high = max(left, self.offset), min(right, self.offset + self.size)
            yield Chunk((number,), low - self.offset, high - self.offset, low - left, right - left)

    def places(self, chunk: Chunk, device: torch.device) -> torch.Tensor:
        """The places of a chunk's coordinates in the whole tensor."""
        here = torch.arange(chunk.low, chunk.high, device=device)
        if self.run:
            return here + self.offset
        part = here % self.width
        here = here // self.width
        place, stride = torch.zeros_like(here), 1
        for length, first, held in zip(self.shape[::-1], self.start[::-1], self.local[::-1], strict=True):
            place += (here % held + first) * stride
            here = here // held
            stride *= length
        return place * self.width + part


class Ranks(Protocol):
    """The processes that check one model together."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def rank(self) -> int:
        """Which of them this is."""

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """The numbers of every rank, in the order of the ranks; the same bits on all of them."""


class Alone:
    """One process."""

    size, rank = 1, 0

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """The numbers themselves."""
        return [list(values)]


class Group:
    """The processes of a group of torch.distributed."""

    def __init__(self, group: Any = None) -> None:
        from torch import distributed

        if not distributed.is_available() or not distributed.is_initialized():
            raise InputError.of(
                "setting up a check over several processes", "`group`", "an initialised process group",
                "none: torch.distributed is not initialised", "Call torch.distributed.init_process_group first.",
            )  # fmt: skip
        self._distributed, self._group = distributed, group
        self.size: int = distributed.get_world_size(group)
        self.rank: int = distributed.get_rank(group)
        backend = distributed.get_backend(group)
        self._device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in backend else torch.device("cpu")

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """The numbers of every rank."""
        mine = torch.tensor(list(values), dtype=torch.float64, device=self._device)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        self._distributed.all_gather(found, mine, group=self._group)
        return [part.tolist() for part in found]

    def added(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks of an array."""
        there = values.to(self._device)
        self._distributed.all_reduce(there, group=self._group)
        return there.to(values.device)


def totals(ranks: Ranks, values: Sequence[float]) -> list[float]:
    """The sums over all ranks."""
    if ranks.size == 1:
        return list(values)
    return [added(column) for column in zip(*ranks.gather(values), strict=True)]


def added(values: Sequence[float]) -> float:
    """An exact sum, rounded once; NaN or infinite where a number is."""
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor, as a plain tensor that looks at the same memory."""
    plain = tensor.detach()
    held: torch.Tensor = plain.to_local() if is_sharded(plain) else plain
    return held


def is_sharded(tensor: Any) -> bool:
    """Whether a tensor is spread over a mesh of devices."""
    return hasattr(tensor, "device_mesh") and hasattr(tensor, "placements")


def shard_of(tensor: torch.Tensor, name: str, ranks: Ranks) -> Shard:
    """What this process holds of a tensor.

    Raises:
        InputError: the tensor is spread in a way that cannot be told apart into blocks.
    """
    width = 2 if tensor.is_complex() else 1
    shape = tuple(tensor.shape)
    piece = CHUNK if tensor.device.type == "cpu" else FAR_CHUNK
    if not is_sharded(tensor):
        return Shard(shape, (0,) * len(shape), shape, width, ranks.rank == 0, piece)
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor import Shard as Cut
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    placements, mesh = tensor.placements, tensor.device_mesh
    bad = [p for p in placements if not isinstance(p, Replicate) and type(p) is not Cut]
    if bad or mesh.size() > ranks.size:
        got = f"placed as {tuple(placements)} on a mesh of {mesh.size()}, with {ranks.size} in the group"
        raise InputError.of(
            "reading the tensors to be checked", name, "cut into blocks or replicated within the group", got,
            "Pass group= with all processes of the mesh, or check the model before it is spread.",
        )  # fmt: skip
    local, start = compute_local_shape_and_global_offset(tensor.shape, mesh, placements)
    coordinate = mesh.get_coordinate() or []
    owner = all(c == 0 for c, p in zip(coordinate, placements, strict=True) if isinstance(p, Replicate))
    return Shard(shape, tuple(start), tuple(local), width, owner, piece)
