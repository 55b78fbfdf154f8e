"""``region``, ``missing-path``, ``overwritten``, ``truncated``, ``bias-reduction``: right where it is not zero.

Every entry is what it should be or zero. Which ones are zero says why: all that come through some places of an output
(left out); of several that come to one element all but the last (written over); all from other places along an axis
(nothing is carried), or from far ones (truncated).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.blocks import SAME, Block
from gradproof._functions.signatures.said import Said, Scene, axis_words, listed_numbers

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Zeros:
    """Where a claim is zero and should not be.

    Attributes:
        block: the Jacobian.
        alive: entries that are not zero in the claim.
        true: entries that should not be zero.
    """

    block: Block
    alive: Mask
    true: Mask

    @property
    def lost(self) -> Mask:
        """Entries that are zero and should not be."""
        return self.true & ~self.alive


def explain(scene: Scene) -> Said | None:
    """Whether the claim lacks a part of the Jacobian and is right otherwise."""
    wrong = [_zeros(block) for block in scene.wrong]
    if not wrong or any(zeros is None for zeros in wrong):
        return None
    said = [_said(scene, zeros) for zeros in wrong if zeros is not None]
    if said[0] is None or any(s is None or (s.cause, s.detail) != (said[0].cause, said[0].detail) for s in said):
        return None
    return said[0]


def _zeros(block: Block) -> _Zeros | None:
    floor = SAME * block.size
    alive, true = np.abs(block.claimed) > floor, np.abs(block.measured) > floor
    agree = np.abs(block.claimed - block.measured) <= floor
    if not np.all(agree | ~alive) or not np.any(alive) or not np.any(true & ~alive):
        return None
    return _Zeros(block, alive, true)


def _said(scene: Scene, zeros: _Zeros) -> Said | None:
    lead, rows, _ = zeros.block.counts
    axes = tuple(range(lead, lead + rows))
    empty = zeros.true.any(axis=axes) & ~zeros.alive.any(axis=axes)
    if np.array_equal(zeros.lost, zeros.true & np.expand_dims(empty, axes)):
        return None  # whole elements of the gradient are zero: that is a place in it, and no part of a sum
    # Along an axis from which all elements get something alike, places are left out; else some are written over.
    same = [number for number in range(rows) if _of_one_mind(zeros, number)]
    other = [number for number in range(rows) if number not in same]
    return (
        _slices(scene, zeros, same)
        or _carried(scene, zeros)
        or _overwritten(scene, zeros, other)
        or _slices(scene, zeros, other)
    )  # fmt: skip


def _of_one_mind(zeros: _Zeros, number: int) -> bool:
    """Whether all elements that get anything get it from the same places along an axis of the output."""
    lead, rows, _ = zeros.block.counts
    others = tuple(lead + k for k in range(rows) if k != number)
    places = np.moveaxis(np.asarray(zeros.true.any(axis=others)), lead, -1)  # single entries may be zero by chance
    some = places[places.any(axis=-1)]
    return bool(np.all(some == some[0]))


def _slices(scene: Scene, zeros: _Zeros, numbers: Sequence[int]) -> Said | None:
    """Places of the output whose cotangent is not used at all."""
    block, lead = zeros.block, len(zeros.block.lead)
    for number in numbers:
        others = tuple(a for a in range(zeros.alive.ndim) if a != lead + number)
        kept, wanted = (np.asarray(part.any(axis=others)) for part in (zeros.alive, zeros.true))
        dead = np.flatnonzero(wanted & ~kept)
        expected = zeros.true & _along(~kept, lead + number, zeros.alive.ndim)
        if not len(dead) or not np.array_equal(zeros.lost, expected):
            continue
        where, output = axis_words(block.rows[number], block.y.ndim), scene.outputs[block.output]
        left = np.flatnonzero(kept)
        if len(left) == 1 and len(wanted) > 2:
            return _one_alone(f"place {left[0]} along {where}", output, where, shared=_is_shared(zeros, number))
        if len(dead) <= max(1, len(kept) // 2):
            text = f"{'place' if len(dead) == 1 else 'places'} {listed_numbers(dead.tolist())} along {where}"
            return Said(
                "region", f"{text} left out",
                f"The gradient of {{name}} lacks what comes back from {output} at {text}, and is right otherwise.",
                "Let the loop or slice cover all of it.", ("missing-path",),
            )  # fmt: skip
    return None


def _one_alone(text: str, output: str, where: str, *, shared: bool) -> Said:
    """One place stands for the sum over an axis."""
    causes = ("bias-reduction", "missing-path") if shared else ("missing-path", "bias-reduction")
    return Said(
        causes[0], f"{text} alone",
        f"The gradient of {{name}} is what comes back from {output} at {text} alone, and not the sum.",
        f"Sum over {where}.", (causes[1], "overwritten", "region"),
    )  # fmt: skip


def _is_shared(zeros: _Zeros, number: int) -> bool:
    """Whether the input is a vector that all examples share, as a bias or a gain, and the axis is that of examples."""
    true = zeros.block.stacked(zeros.true.astype(np.float64)) > 0
    return bool(np.all(true.sum(axis=2) <= 1)) and zeros.block.x.ndim == 1 and zeros.block.rows[number] == 0


def _along(mask: Mask, axis: int, ndim: int) -> Mask:
    shape = [1] * ndim
    shape[axis] = len(mask)
    return mask.reshape(shape)


def _carried(scene: Scene, zeros: _Zeros) -> Said | None:
    """What comes from other places along an axis that input and output share."""
    for number, place, axis in _shared(zeros.block):
        alive, true = (_by_places(part, number, place) for part in (zeros.alive, zeros.true))
        n = len(alive)
        lost = true & ~alive
        mixed = _by_places(zeros.lost, number, place)
        if not np.array_equal(mixed, lost) or not np.any(np.diag(alive)):
            continue
        where = axis_words(axis, zeros.block.x.ndim)
        if np.any(np.diag(lost)):
            continue
        off_diagonal = alive & ~np.eye(n, dtype=bool)
        one_way = not np.any(np.triu(true, 1)) or not np.any(np.tril(true, -1))
        if not off_diagonal.any():
            also = ("truncated",) if one_way else ("other-loss",)
            return Said(
                "missing-path", f"between places along {where}",
                f"The gradient of {{name}} lacks what comes back from other places along {where}, and is right for "
                "what comes from its own.", f"Carry it on along {where}: other places depend on this one as well.",
                also,
            )  # fmt: skip
        if one_way and _stops(lost, true):
            return Said(
                "truncated", f"along {where}",
                f"What comes back to {{name}} along {where} stops after some steps, and is right up to there.",
                f"Carry it on along the whole of {where}.", ("missing-path",),
            )  # fmt: skip
    return None


def _stops(lost: Mask, true: Mask) -> bool:
    """Whether from every place all that is beyond some distance is lost, and nothing that is nearer."""
    n = len(lost)
    for t in range(n):
        for way in (range(t, -1, -1), range(t, n)):
            seen = [bool(lost[t, s]) for s in way if true[t, s]]
            if seen != sorted(seen):
                return False
    return bool(lost.any())


def _shared(block: Block) -> Iterator[tuple[int, int, int]]:
    """Axes of rows and columns that run along: their places among the axes of the block, and that of the input."""
    lead, rows, _ = block.counts
    for i, b in enumerate(block.rows):
        for j, a in enumerate(block.columns):
            front, back = a == b, block.x.ndim - a == block.y.ndim - b
            if (front or back) and block.y.shape[lead + i] == block.x.shape[lead + j]:
                yield lead + i, lead + rows + j, a


def _by_places(mask: Mask, number: int, place: int) -> Mask:
    """Whether there is anything between two places along two axes."""
    others = tuple(a for a in range(mask.ndim) if a not in (number, place))
    found = np.asarray(mask.any(axis=others))
    return found if number < place else found.T


def _overwritten(scene: Scene, zeros: _Zeros, numbers: Sequence[int]) -> Said | None:
    """Elements to which several places of the output send something, of which one arrives."""
    block, lead = zeros.block, len(zeros.block.lead)
    groups: list[tuple[int, ...]] = [(lead + number,) for number in numbers]
    if len(numbers) > 1:
        groups.append(tuple(lead + number for number in numbers))
    for group in groups:
        alive, true = (_flat_last(part, group) for part in (zeros.alive, zeros.true))
        for last in (True, False):
            if _one_survives(alive, true, last=last):
                which = "last" if last else "first"
                return Said(
                    "overwritten", f"the {which} of several",
                    f"Several places of {scene.outputs[block.output]} send something back to one element of {{name}}: "
                    f"that of the {which} stands there alone, as if it were written over the others.",
                    "Add up what comes back: += where it says =, or an operation that accumulates.", ("missing-path",),
                )  # fmt: skip
    return None


def _flat_last(mask: Mask, group: tuple[int, ...]) -> Mask:
    """Whether an element of the input (and what else there is of the output) gets anything, (others, group)."""
    rest = tuple(a for a in range(mask.ndim) if a not in group)
    turned = np.transpose(mask, (*rest, *group))
    return turned.reshape(int(np.prod([mask.shape[a] for a in rest])), -1)


def _one_survives(alive: Mask, true: Mask, *, last: bool) -> bool:
    """Whether of all that should be there in each row the last, or the first, is, in some rows of several."""
    several = 0
    for kept, wanted in zip(alive, true, strict=True):
        places = np.flatnonzero(wanted)
        if len(places):
            expected = np.zeros(len(wanted), dtype=bool)
            expected[places[-1 if last else 0]] = True
            if not np.array_equal(kept, expected):
                return False
            several += len(places) > 1
    return several > (0 if last else 1)
