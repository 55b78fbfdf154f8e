"""Where displaced parameters stand: in a float64 copy, or in the user's own memory for the time of a call.

The decision behind it: a model in lower precision is evaluated at a float64 copy, and the user's tensors, which no one
touches, are what each displacement starts from. A model that is evaluated in its own precision is displaced where it
is, since whatever way the user's code reads its parameters (a module, a closure, a kernel by address, a shard by its
neighbours) it reads that memory. What rounding takes away in doing so is written down, one byte a coordinate, so that
the way back is exact to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from gradproof._adapters.pytorch.shards import Chunk, local_part
from gradproof._adapters.pytorch.tensors import wider
from gradproof._errors import InputError

#: The integers with as many bits as a float.
BITS = {torch.float64: torch.int64, torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
#: The largest difference, in units of the last place, that is written down in a byte.
BYTE = 127


class Cells:
    """The real coordinates that a process holds of a tensor, in the order of its indices, whatever its strides."""

    def __init__(self, tensor: torch.Tensor) -> None:
        # `.data` counts no version: a graph of the user's that has saved it stays valid, as the bits come back.
        self.tensor = tensor
        plain = local_part(tensor).data
        self._real = torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain
        self._flat = self._real.view(-1) if self._real.is_contiguous() else None
        self._row = max(1, self._real[0].numel()) if self._real.dim() and len(self._real) else 1

    @property
    def dtype(self) -> torch.dtype:
        """Format of the numbers."""
        return self._real.dtype

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._real.numel())

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self._real.device

    def read(self, low: int, high: int) -> torch.Tensor:
        """Coordinates as a vector; a view where the memory allows."""
        if self._flat is not None:
            return self._flat[low:high]
        first, last = low // self._row, -(-high // self._row)
        return self._real[first:last].reshape(-1)[low - first * self._row : high - first * self._row]

    def write(self, low: int, high: int, values: torch.Tensor) -> None:
        """Replaces coordinates."""
        if self._flat is not None:
            self._flat[low:high] = values
            return
        first, last = low // self._row, -(-high // self._row)
        rows = self._real[first:last].reshape(-1).clone()
        rows[low - first * self._row : high - first * self._row] = values
        self._real[first:last] = rows.view(self._real[first:last].shape)


@dataclass(frozen=True, slots=True)
class Move:
    """A displacement of some coordinates.

    Attributes:
        tensor: the tensor's place.
        chunk: which of its coordinates.
        amounts: what is added to them, one after the other.
        again: whether the same amounts come out while the coordinates are displaced.
    """

    tensor: int
    chunk: Chunk
    amounts: Sequence[torch.Tensor]
    again: bool = True


#: Displacements; made anew each time it is called.
Moves = Callable[[], Iterator[Move]]
#: Gets, of each displaced chunk, the tensor, the chunk, what was added last, and where it was before that and is now.
Seen = Callable[[int, Chunk, torch.Tensor, torch.Tensor, torch.Tensor], None]


class Home(Protocol):
    """Where displaced parameters stand."""

    @property
    def tensors(self) -> Sequence[torch.Tensor]:
        """What the user's functions are given."""

    def base(self, tensor: int, chunk: Chunk) -> torch.Tensor:
        """Undisplaced coordinates in float64; not to be written to."""

    def displaced(self, moves: Moves, seen: Seen) -> AbstractContextManager[None]:
        """Displaces coordinates, and puts them back when left."""


class Copies:
    """A float64 copy of each tensor, which displaced parameters are written to."""

    def __init__(self, tensors: Sequence[torch.Tensor], names: Sequence[str]) -> None:
        self.tensors = [t.detach().to(wider(t.dtype), copy=True) for t in tensors]
        self._names = names
        self._base = [Cells(t) for t in tensors]
        self._work = [Cells(t) for t in self.tensors]

    def base(self, tensor: int, chunk: Chunk) -> torch.Tensor:
        """Undisplaced coordinates in float64."""
        return self._base[tensor].read(chunk.low, chunk.high).to(torch.float64)

    @contextmanager
    def displaced(self, moves: Moves, seen: Seen) -> Iterator[None]:
        """Displaces the copies."""
        done: list[tuple[int, Chunk]] = []
        try:
            for move in moves():
                tensor, chunk, amounts = move.tensor, move.chunk, move.amounts
                before = self.base(tensor, chunk)
                for amount in amounts[:-1]:
                    before = before + amount
                after = before + amounts[-1]
                done.append((tensor, chunk))
                self._work[tensor].write(chunk.low, chunk.high, after)
                seen(tensor, chunk, amounts[-1], before, after)
            with unchanged(self.tensors, self._names):
                yield
        finally:
            for tensor, chunk in done:
                self._work[tensor].write(chunk.low, chunk.high, self._base[tensor].read(chunk.low, chunk.high))


class InPlace:
    """The user's own tensors, displaced for the time of a call."""

    def __init__(self, tensors: Sequence[torch.Tensor], names: Sequence[str], *, aliases: bool) -> None:
        # Tensors of our own on the same memory carry no hooks and no gradients of the user's.
        self.tensors = [t.detach() for t in tensors] if aliases else list(tensors)
        self._names = names
        self._cells = [Cells(t) for t in tensors]
        # One array a tensor, kept for the next call: many small ones among short-lived larger ones tear memory up.
        self._units: dict[int, torch.Tensor] = {}

    def base(self, tensor: int, chunk: Chunk) -> torch.Tensor:
        """Undisplaced coordinates in float64."""
        return self._cells[tensor].read(chunk.low, chunk.high).to(torch.float64)

    @contextmanager
    def displaced(self, moves: Moves, seen: Seen) -> Iterator[None]:
        """Displaces the tensors, and puts them back bit for bit."""
        taken: set[tuple[int, Chunk]] = set()
        beyond: dict[tuple[int, Chunk], _Beyond] = {}
        whole: dict[tuple[int, Chunk], torch.Tensor] = {}
        try:
            for move in moves():
                tensor, chunk, amounts = move.tensor, move.chunk, move.amounts
                cells = self._cells[tensor]
                kept = cells.read(chunk.low, chunk.high)
                path = [kept]
                for amount in amounts:
                    path.append(_added(path[-1], amount))
                before, after = path[-2].to(torch.float64), path[-1].to(torch.float64)
                if move.again:
                    taken.add((tensor, chunk))
                    units, far = _missing(kept, path[-1], amounts)
                    if far is not None:
                        beyond[tensor, chunk] = far
                    self._missed(tensor)[chunk.low : chunk.high] = units
                else:
                    whole[tensor, chunk] = kept.clone()
                seen(tensor, chunk, amounts[-1], before, after)  # what was before is still looked at in place
                cells.write(chunk.low, chunk.high, path[-1])
            with unchanged(self.tensors, self._names):
                yield
        finally:
            for (tensor, chunk), kept in whole.items():
                self._cells[tensor].write(chunk.low, chunk.high, kept)
            for move in moves() if taken else ():
                chunk, cells = move.chunk, self._cells[move.tensor]
                if (move.tensor, chunk) in taken:
                    found = _returned(cells.read(chunk.low, chunk.high), move.amounts).contiguous()
                    bits = found.view(BITS[cells.dtype])
                    bits += self._missed(move.tensor)[chunk.low : chunk.high]
                    far = beyond.get((move.tensor, chunk))
                    if far is not None:
                        bits[far.where] = far.kept
                    cells.write(chunk.low, chunk.high, found)

    def _missed(self, tensor: int) -> torch.Tensor:
        """What the way back misses, in units of the last place, by coordinate."""
        if tensor not in self._units:
            cells = self._cells[tensor]
            self._units[tensor] = torch.zeros(cells.count, dtype=torch.int8, device=cells.device)
        return self._units[tensor]


@dataclass(frozen=True, slots=True)
class _Beyond:
    """Coordinates that the way back misses by more than a byte holds.

    Attributes:
        where: their places in the chunk.
        kept: their bits.
    """

    where: torch.Tensor
    kept: torch.Tensor


def _added(values: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Displaced numbers in their own format; those that do not move keep their bits."""
    moved = (values.to(torch.float64) + amount).to(values.dtype)
    return torch.where(amount == 0.0, values, moved)


def _returned(values: torch.Tensor, amounts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The way back, up to rounding."""
    for amount in reversed(amounts):
        values = _added(values, -amount)
    return values if amounts else values.clone()


def _missing(
    kept: torch.Tensor, moved: torch.Tensor, amounts: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, _Beyond | None]:
    """How far the way back would end from where it began, in units of the last place where a byte holds it."""
    bits = BITS[kept.dtype]
    own = kept.contiguous().view(bits)
    back = _returned(moved, amounts).contiguous().view(bits)
    # In two's complement the difference of the bits may wrap around; so does the sum that undoes it.
    units = own - back
    odd = (units > BYTE) | (units < -BYTE)
    if not bool(odd.any()):
        return units.to(torch.int8), None
    where = odd.nonzero().reshape(-1).clone()  # what finds them keeps room for all
    return units.to(torch.int8), _Beyond(where, own[where])


@contextmanager
def unchanged(tensors: Sequence[torch.Tensor], names: Sequence[str]) -> Iterator[None]:
    """Refuses functions that write to the parameters that they are given.

    Raises:
        InputError: one did.
    """
    before = [t._version for t in tensors]
    yield
    for tensor, version, name in zip(tensors, before, names, strict=True):
        if tensor._version != version:
            raise InputError.of(
                "evaluating the cost", name, "left as it was", "changed in place by the cost or the gradient",
                "This is an early update (early-update): compute cost and gradients first, and update the parameters "
                "after that.",
            )  # fmt: skip
