"""``permuted``: the right numbers at the wrong places: reversed, rolled, flipped, rows in another order."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import ROUNDING, Suspect
from gradproof._records import Direction, Part, Region

#: Shifts are tried up to this many places on a longer axis.
FARTHEST = 32
#: Rows or columns are matched one by one up to this many, after so many that must all find a match.
ROWS, FIRST = 64, 2

#: Slices are the same where they differ by no more than this share of the whole claim.
ALIKE = 1e-8

Turn = Callable[[NDArray[Any]], NDArray[Any]]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by elements at other places, of whole gradients and of their data parts; they cost nothing."""
    return [e for s in case.open if (e := _explained(s, (*reorderings(s.claim.shape), *moves(s.claim.shape))))]


def swaps(case: Case) -> Sequence[Explanation]:
    """Explanations by rows or columns in another order, each of which is measured, unless the right one is known."""
    return [e for s in case.open if (e := _explained(s, _swaps(s, case.truths.get(s.index))))]


def _explained(s: Suspect, turns: Iterable[tuple[str, Turn]]) -> Explanation | None:
    if s.tensor.size < 3 or not s.clear:
        return None
    claim, theta, places = s.claim.reshape(-1), s.theta.reshape(-1), np.arange(s.claim.size).reshape(s.claim.shape)
    few = s.sample(places)
    for words, turn in turns:
        come = s.sample(turn(places))
        if s.beyond(claim[few] - claim[come], theta[few] - theta[come]):
            continue
        moved = turn(s.claim)
        if _same(moved, s.claim):
            continue
        repaired: NDArray[Any] | None = moved if s.leaves_nothing(moved) else None
        if repaired is None and not _same(turned := turn(s.theta), s.theta):
            decay = s.theta - turned
            fit = s.fit([decay], known=moved)
            if fit is not None and not fit.thin:
                repaired = moved + fit.coefficients[0] * decay
        if repaired is not None:
            return Explanation(
                "permuted", (s.index,), f"The gradient of {s.name} has its elements at the wrong places: {words}.",
                f"Put the elements of the gradient of {s.name} back in order.", {s.index: repaired}, words, 1.2,
            )  # fmt: skip
    return None


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays of one shape are the same; those that are not differ in the first element, as a rule."""
    return bool(one.flat[0] == other.flat[0]) and np.array_equal(one, other)


def reorderings(shape: tuple[int, ...]) -> Iterator[tuple[str, Turn]]:
    """Elements read in one memory order and filled in in the other; of a square matrix that is its transpose."""
    if len(shape) == 2 and 1 not in shape and shape[0] != shape[1]:
        yield "filled in column by column where it was read row by row", partial(_refilled, read="F", filled="C")
        yield "filled in row by row where it was read column by column", partial(_refilled, read="C", filled="F")


def _refilled(array: NDArray[Any], read: Literal["C", "F"], filled: Literal["C", "F"]) -> NDArray[Any]:
    return np.reshape(np.ravel(array, order=read), array.shape, order=filled)


def moves(shape: tuple[int, ...]) -> Iterator[tuple[str, Turn]]:
    """Flips along one axis or several, and shifts along one or two."""
    long = [axis for axis, n in enumerate(shape) if n > 1]
    for count in range(1, min(len(long), 4) + 1):
        for axes in combinations(long, count):
            yield f"reversed along {_axes(axes)}", partial(np.flip, axis=axes)
    shifts = [(axis, by) for axis in long for by in _shifts(shape[axis])]
    for axis, by in shifts:
        yield f"shifted along {_axes((axis,))}", partial(np.roll, shift=by, axis=axis)
    near = [(axis, by) for axis, by in shifts if by in (1, -1) or by == shape[axis] - 1]
    for (one, by), (two, far) in combinations(near, 2):
        if one != two:
            yield f"shifted along {_axes((one, two))}", partial(np.roll, shift=(by, far), axis=(one, two))


def _shifts(n: int) -> list[int]:
    return list(range(1, n)) if n <= FARTHEST else [k for by in range(1, FARTHEST // 2) for k in (by, n - by)]


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes[:-1]))} and {axes[-1]}"


def _swaps(s: Suspect, truth: NDArray[Any] | None) -> Iterator[tuple[str, Turn]]:
    """The order of rows or columns that is measured one by one, where they are few, or read off the right gradient."""
    shape = s.claim.shape
    if s.tensor.complex:
        return
    for axis, count in enumerate(shape):
        order = None
        if 1 < count <= ROWS and truth is None:
            order = _order(s, axis, count) if _may_trade(s, axis) else None
        elif 1 < count <= ROWS and truth is not None:
            order = _order_in(truth, s.claim, axis)
        if order is not None:
            what = ("rows", "columns")[axis] if len(shape) == 2 else "elements" if len(shape) == 1 else f"axis {axis}"
            yield f"{what} in the order {_shown(order)}", partial(np.take, indices=order, axis=axis)


def _may_trade(s: Suspect, axis: int) -> bool:
    """Whether two slices that are not the same are so close that trading them changes no more than is off."""
    slices = np.moveaxis(s.claim, axis, 0).reshape(s.claim.shape[axis], -1)
    products = slices @ slices.T
    squares = np.diag(products)
    apart = squares[:, None] + squares - 2.0 * products
    least = float(np.min(apart, where=apart > 0.0, initial=math.inf))  # at least two slices take another's place
    change = math.sqrt(2.0 * least)
    return not (math.isfinite(s.reach) and (change > s.reach or change > s.close_reach))


def _order_in(truth: NDArray[Any], claim: NDArray[Any], axis: int) -> list[int] | None:
    """For each slice of the right gradient the claimed slice that is the same."""
    right, given = (np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (truth, claim))
    far = np.linalg.norm(right[:, None] - given[None], axis=2)
    order = [int(k) for k in far.argmin(axis=1)]
    if np.any(far[np.arange(len(order)), order] > ALIKE * np.linalg.norm(claim)):
        return None
    return order if sorted(order) == list(range(len(order))) and order != sorted(order) else None


def _order(s: Suspect, axis: int, count: int) -> list[int] | None:
    """For each slice the claimed slice that agrees with its derivative along one direction, if there is exactly one.

    Each slice has a direction of its own, along which all claimed slices are tried. A few are measured first: where
    one of them agrees with no claimed slice the order cannot be what is wrong.
    """
    scale = s.stats.scale or 1.0
    whole = tuple((0, n, 1) for n in s.claim.shape)
    boxes = [(*whole[:axis], (k, k + 1, 1), *whole[axis + 1 :]) for k in range(count)]
    parts = [Part(s.index, scale, region=Region((box,))) for box in boxes]
    directions = [Direction((7_001 + k,), (part,)) for k, part in enumerate(parts)]
    target = 1e-7 * scale * s.stats.claim / count**0.5
    rounding = ROUNDING * s.roundoff * scale * s.stats.claim / count**0.5
    slices = np.moveaxis(s.claim, axis, 0)
    order: list[int] = []
    for first, last in ((0, FIRST), (FIRST, count)):
        for k, estimate in enumerate(s.source.measure(directions[first:last], target), start=first):
            if not estimate.measured:
                return None
            tried = []
            for other in range(count):
                candidate = np.zeros_like(slices)
                candidate[k] = slices[other]
                tried.append(np.moveaxis(candidate, 0, axis))
            values = s.problem.project([directions[k]], s.index, tried)[0]
            fits = np.flatnonzero(
                np.abs(values - (estimate.slope - estimate.mismatch)) <= 3.0 * estimate.bar + rounding
            )
            if len(fits) != 1:
                return None
            order.append(int(fits[0]))
    return order if sorted(order) == list(range(count)) and order != list(range(count)) else None


def _shown(order: Sequence[int]) -> str:
    return ", ".join(map(str, order[:8])) + (", ..." if len(order) > 8 else "")
