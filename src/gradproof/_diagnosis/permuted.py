"""``permuted``: the right numbers at the wrong places: reversed, rolled, flipped, rows in another order."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation
from gradproof._diagnosis.evidence import Suspect
from gradproof._records import Direction, Part

#: Shifts are tried up to this many places on a longer axis.
FARTHEST = 32
#: Rows are matched one by one up to this many.
ROWS = 64

Turn = Callable[[NDArray[Any]], NDArray[Any]]


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by elements at other places, of whole gradients and of their data parts."""
    return [e for s in case.open if (e := _explained(s)) is not None]


def _explained(s: Suspect) -> Explanation | None:
    if s.tensor.size < 3 or not s.clear:
        return None
    for words, turn in (*reorderings(s.claim.shape), *moves(s.claim.shape), *_swaps(s)):
        moved = turn(s.claim)
        if np.array_equal(moved, s.claim):
            continue
        repaired: NDArray[Any] | None = moved if s.leaves_nothing(moved) else None
        if repaired is None and not np.array_equal(turn(s.theta), s.theta):
            fit = s.fit([s.theta - turn(s.theta)], known=moved)
            if fit is not None and not fit.thin:
                repaired = moved + fit.coefficients[0] * (s.theta - turn(s.theta))
        if repaired is not None:
            return Explanation(
                "permuted", (s.index,), f"The gradient of {s.name} has its elements at the wrong places: {words}.",
                f"Put the elements of the gradient of {s.name} back in order.", {s.index: repaired}, words, 1.2,
            )  # fmt: skip
    return None


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


def _swaps(s: Suspect) -> Iterator[tuple[str, Turn]]:
    """The order of the rows that is measured row by row, where they are few."""
    shape = s.claim.shape
    if (
        s.tensor.complex
        or not shape
        or not 1 < shape[0] <= ROWS
        or s.tensor.size == shape[0] * (s.tensor.size // shape[0]) == 0
    ):
        return
    order = _order(s, shape[0])
    if order is not None:
        what = "rows" if len(shape) > 1 else "elements"
        yield f"{what} in the order {_shown(order)}", lambda a: a[np.asarray(order)]


def _order(s: Suspect, rows: int) -> list[int] | None:
    """For each row the claimed row that agrees with its derivative along one direction, if there is exactly one.

    The same random numbers would be needed on every row; instead each row has its own direction, along which all
    claimed rows are tried.
    """
    width = s.tensor.size // rows
    scale = s.stats.scale or 1.0
    directions = [
        Direction((7_001 + r,), (Part(s.index, scale, start=r * width, stop=(r + 1) * width),)) for r in range(rows)
    ]
    flat = s.claim.reshape(rows, width)
    found = s.source.measure(directions, 1e-7 * scale * float(np.linalg.norm(flat)) / rows**0.5)
    order = []
    for r, estimate in enumerate(found):
        if not estimate.measured:
            return None
        wanted = estimate.slope - estimate.mismatch
        spread = []
        for other in range(rows):
            candidate = np.zeros_like(flat)
            candidate[r] = flat[other]
            spread.append(candidate.reshape(s.claim.shape))
        values = s.problem.project([directions[r]], s.index, spread)[0]
        fits = np.flatnonzero(np.abs(values - wanted) <= 3.0 * estimate.bar)
        if len(fits) != 1:
            return None
        order.append(int(fits[0]))
    return order if sorted(order) == list(range(rows)) and order != list(range(rows)) else None


def _shown(order: Sequence[int]) -> str:
    return ", ".join(map(str, order[:8])) + (", ..." if len(order) > 8 else "")
