"""The Jacobian of a function in one of its inputs, measured and claimed, entry by entry.

The decision behind it: which slip made a backward pass is hardly ever seen in one gradient, and often at a glance in
the Jacobian. Where outputs and inputs share axes along which nothing mixes, as examples do, all of these are measured
at once: a column then costs as much for a batch as for one example. What was put together so is held against a random
direction and a random cotangent before anything is read from it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gradproof._algebra.backward import Doubled
from gradproof._numerics.outputs import slopes

Array = NDArray[np.float64]
#: Columns are measured and rows are asked for up to so many.
COLUMNS, ROWS = 64, 256
#: Steps of a column, relative to the size of the input.
STEPS = (4e-3, 8e-4, 1.6e-4)
#: A step that shows which outputs depend on which inputs, relative to the size of the input.
NUDGE = 1e-3
#: Entries are known to this share of the largest.
KNOWN = 1e-5
#: A derivative below this share of output over input counts as this much where error bars are held against it.
FAINT = 1e-3
#: What changes by less than this, relative, does not change.
STILL = 1e-12
#: Entries are the same where they differ by less than this share of the largest.
SAME = 1e-5

#: What is compared where everything is zero.
TINY = 1e-300

#: An axis of the input and the axis of the output that runs along with it.
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Block:
    """The Jacobian of one output in one input, without what is zero because examples do not mix.

    Attributes:
        input: the place of the input.
        output: the place of the output.
        lead: axes of input and output along which nothing mixes; first in all arrays here.
        rows: the output's further axes.
        columns: the input's further axes.
        measured: derivatives, (lead, rows, columns).
        claimed: what the backward pass has in their place.
        cut: axes of input and output along which the outputs mix and the claim does not.
        mixed: whether the claim mixes along an axis along which the outputs do not.
        x: the input, (lead, columns).
        y: the output, (lead, rows).
    """

    input: int
    output: int
    lead: tuple[Pair, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    measured: Array
    claimed: Array
    cut: tuple[Pair, ...]
    mixed: bool
    x: Array
    y: Array

    @property
    def counts(self) -> tuple[int, int, int]:
        """The number of lead, row and column axes."""
        return len(self.lead), len(self.rows), len(self.columns)

    @property
    def size(self) -> float:
        """The largest entry."""
        return float(max(np.max(np.abs(self.measured)), np.max(np.abs(self.claimed))))

    @property
    def off(self) -> NDArray[np.bool_]:
        """The entries that are wrong."""
        return np.asarray(np.abs(self.claimed - self.measured) > SAME * self.size)

    def stacked(self, array: Array) -> Array:
        """An array of this shape as matrices, (lead, rows, columns)."""
        first, second, _ = self.counts
        shape = array.shape
        sizes = (shape[:first], shape[first : first + second], shape[first + second :])
        return array.reshape([int(np.prod(part)) for part in sizes])

    def along_rows(self, array: Array) -> Array:
        """An array (lead, rows) beside the entries."""
        return array.reshape(*array.shape, *([1] * len(self.columns)))


@dataclass(frozen=True, eq=False)
class Bench:
    """Measures Jacobians.

    Attributes:
        doubled: function and backward pass.
        spend: is told of evaluations, and may refuse them.
        here: the outputs at the inputs.
        values: the inputs.
    """

    doubled: Doubled
    spend: Callable[[int], None]
    here: tuple[Array, ...]
    values: tuple[Array, ...]

    def at(self, k: int, value: Array) -> "Bench":
        """The same with another value for an input; raises as the user's code does."""
        values = tuple(value if i == k else v for i, v in enumerate(self.values))
        self.spend(1)
        return Bench(self.doubled, self.spend, self.doubled.outputs(values), values)

    def scale(self, k: int) -> float:
        """The size of an input's elements."""
        return float(np.sqrt(np.mean(self.values[k] ** 2))) or 1.0

    def moved(self, k: int, change: Array) -> tuple[Array, ...]:
        """The outputs where an input is changed."""
        self.spend(1)
        values = [v + change if i == k else v for i, v in enumerate(self.values)]
        with np.errstate(all="ignore"):
            return self.doubled.outputs(values)

    def pulled(self, k: int, cotangents: Sequence[Array | None], values: Sequence[Array] | None = None) -> Array:
        """What the backward pass gives for an input."""
        self.spend(1)
        given = tuple(np.zeros_like(y) if u is None else u for u, y in zip(cotangents, self.here, strict=True))
        return self.doubled.gradients(self.values if values is None else values, given)[k]

    def along(self, k: int, direction: Array) -> tuple[Array, ...] | None:
        """The derivatives of all outputs along a direction of an input; None where they are not known well."""
        scale, shapes = self.scale(k), [y.shape for y in self.here]
        flat = np.concatenate([y.reshape(-1) for y in self.here])

        def line(step: float) -> Array:
            try:
                return np.concatenate([y.reshape(-1) for y in self.moved(k, step * scale * direction)])
            except (ArithmeticError, ValueError, RuntimeError):
                return np.full(flat.shape, np.nan)

        found, bars = (part / scale for part in slopes(line, flat, STEPS))
        size = max(float(np.max(np.abs(found))), FAINT * float(np.max(np.abs(flat))) / scale)
        if not np.all(bars <= KNOWN * size):
            return None
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        return tuple(part.reshape(shape) for part, shape in zip(np.split(found, cuts), shapes, strict=True))

    def block(self, k: int, output: int) -> Block | None:
        """The Jacobian of an output in an input; None where it is too large or not known well."""
        x, y = self.values[k], self.here[output]
        if not x.size or not y.size:
            return None
        pairs = list(_pairs(x.shape, y.shape))
        free = [(pair, self._apart(k, output, pair), self._claimed_apart(k, output, pair)) for pair in pairs]
        lead = _distinct([pair for pair, truly, claimed in free if truly and claimed])
        cut = _distinct([pair for pair, truly, claimed in free if claimed and not truly], lead)
        mixed = any(truly and not claimed for _, truly, claimed in free)
        rows = tuple(b for b in range(y.ndim) if b not in [o for _, o in lead])
        columns = tuple(a for a in range(x.ndim) if a not in [i for i, _ in lead])
        if _count(x.shape, columns) > COLUMNS or _count(y.shape, rows) > ROWS:
            return None
        axes = [i for i, _ in lead], [o for _, o in lead]
        measured = self._measured(k, output, (axes, columns, rows))
        if measured is None:
            return None
        claimed = self._claimed(k, output, (axes, columns, rows))
        if not np.all(np.isfinite(claimed)):
            return None
        turned = np.transpose(x, (*axes[0], *columns)), np.transpose(y, (*axes[1], *rows))
        found = Block(k, output, tuple(lead), rows, columns, measured, claimed, tuple(cut), mixed, *turned)
        return found if self._holds(found) else None

    def _measured(self, k: int, output: int, layout: "_Layout") -> Array | None:
        (_, outputs), columns, rows = layout
        shape = self.values[k].shape
        found = []
        for place in product(*(range(shape[a]) for a in columns)):
            direction = np.zeros(shape)
            direction[_at(len(shape), columns, place)] = 1.0
            slope = self.along(k, direction)
            if slope is None:
                return None
            found.append(np.transpose(slope[output], (*outputs, *rows)))
        stacked = np.stack(found, axis=-1)
        return stacked.reshape(*stacked.shape[:-1], *(shape[a] for a in columns))

    def _claimed(self, k: int, output: int, layout: "_Layout") -> Array:
        (inputs, _), columns, rows = layout
        shape = self.here[output].shape
        found = []
        for place in product(*(range(shape[b]) for b in rows)):
            given: list[Array | None] = [None] * len(self.here)
            unit = np.zeros(shape)
            unit[_at(len(shape), rows, place)] = 1.0
            given[output] = unit
            found.append(np.transpose(self.pulled(k, given), (*inputs, *columns)))
        stacked = np.stack(found, axis=0).reshape(*(shape[b] for b in rows), *found[0].shape)
        return np.moveaxis(stacked, range(len(rows)), range(len(inputs), len(inputs) + len(rows)))

    def _apart(self, k: int, output: int, pair: Pair) -> bool:
        """Whether elements of an input change the output at their own places along an axis alone."""
        x, y = self.values[k], self.here[output]
        rng = np.random.default_rng(29)
        for index in _some(x.shape[pair[0]]):
            change = np.zeros(x.shape)
            place = _at(x.ndim, (pair[0],), (index,))
            change[place] = NUDGE * self.scale(k) * rng.standard_normal(change[place].shape)
            moved = np.abs(self.moved(k, change)[output] - y)
            if not _at_home(moved, pair[1], index, STILL * float(np.max(np.abs(y)) or 1.0)):
                return False
        return True

    def _claimed_apart(self, k: int, output: int, pair: Pair) -> bool:
        """The same of the claim."""
        shape = self.here[output].shape
        rng = np.random.default_rng(31)
        for index in _some(shape[pair[1]]):
            given: list[Array | None] = [None] * len(self.here)
            some = np.zeros(shape)
            place = _at(len(shape), (pair[1],), (index,))
            some[place] = rng.standard_normal(some[place].shape)
            given[output] = some
            found = np.abs(self.pulled(k, given))
            if not _at_home(found, pair[0], index, STILL * float(np.max(found) or 1.0)):
                return False
        return True

    def _holds(self, block: Block) -> bool:
        """Whether both matrices are what function and backward pass do with numbers drawn at random."""
        rng = np.random.default_rng(37)
        d, u = rng.standard_normal(block.x.shape), rng.standard_normal(block.y.shape)
        where = block.input, block.output
        x_axes, y_axes = (*(a for a, _ in block.lead), *block.columns), (*(b for _, b in block.lead), *block.rows)
        slope = self.along(where[0], np.transpose(d, np.argsort(x_axes)))
        if slope is None:
            return False
        given: list[Array | None] = [None] * len(self.here)
        given[where[1]] = np.transpose(u, np.argsort(y_axes))
        pulled = np.transpose(self.pulled(where[0], given), x_axes)
        first = len(block.lead)
        forth = np.einsum("lrc,lc->lr", block.stacked(block.measured), d.reshape(_sizes(d.shape, first)))
        back = np.einsum("lrc,lr->lc", block.stacked(block.claimed), u.reshape(_sizes(u.shape, first)))
        pairs = ((forth, np.transpose(slope[where[1]], y_axes)), (back, pulled))
        return all(
            np.max(np.abs(one - other.reshape(one.shape))) <= KNOWN * max(float(np.max(np.abs(other))), TINY)
            for one, other in pairs
        )


#: Lead axes of input and output, the input's further axes, the output's.
_Layout = tuple[tuple[list[int], list[int]], tuple[int, ...], tuple[int, ...]]


def bench(doubled: Doubled, spend: Callable[[int], None]) -> Bench:
    """A bench for a function."""
    spend(1)
    return Bench(doubled, spend, doubled.outputs(doubled.values), tuple(doubled.values))


def _pairs(one: tuple[int, ...], other: tuple[int, ...]) -> Iterator[Pair]:
    """Axes that may run along: of the same length and place, counted from the front or from the back."""
    found = dict.fromkeys((a, a) for a in range(min(len(one), len(other))))
    found |= dict.fromkeys((len(one) - k, len(other) - k) for k in range(1, min(len(one), len(other)) + 1))
    return (pair for pair in found if one[pair[0]] == other[pair[1]] > 1)


def _distinct(pairs: Sequence[Pair], taken: Sequence[Pair] = ()) -> list[Pair]:
    """Pairs of which none uses an axis that another one has."""
    found = list(taken)
    for pair in pairs:
        if all(pair[0] != a and pair[1] != b for a, b in found):
            found.append(pair)
    return found[len(taken) :]


def _some(count: int) -> list[int]:
    """Places that stand for all along an axis: both ends, and one between, as the ends of a sequence are special."""
    return sorted({0, count // 2, count - 1})


def _at_home(changes: Array, axis: int, index: int, allowed: float) -> bool:
    """Whether nothing but one index of an axis changes."""
    others = np.delete(changes, index, axis=axis)
    return bool(np.all(others <= allowed))


def _at(ndim: int, axes: Sequence[int], places: Sequence[int]) -> tuple[slice | int, ...]:
    """An index that fixes some axes."""
    known = dict(zip(axes, places, strict=True))
    return tuple(known.get(axis, slice(None)) for axis in range(ndim))


def _count(shape: Sequence[int], axes: Sequence[int]) -> int:
    return int(np.prod([shape[axis] for axis in axes]))


def _sizes(shape: Sequence[int], first: int) -> tuple[int, int]:
    return int(np.prod(shape[:first])), int(np.prod(shape[first:]))
