"""A mask in a few words, as NumPy would index it.

The decision behind it: the words are read off the mask alone, so that they can never say something else than it does.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradproof._records import Box, Pattern, Region

#: Single elements that are listed by their indices, and lines by their numbers.
LISTED, LISTED_LINES = 4, 6

PATTERNS = (
    (Pattern.DIAGONAL, "diagonal", "the diagonal of {}"),
    (Pattern.OFF_DIAGONAL, "off-diagonal", "all off-diagonal elements of {}"),
    (Pattern.STRICTLY_UPPER, "upper triangle", "the upper triangle of {} (without the diagonal)"),
    (Pattern.STRICTLY_LOWER, "lower triangle", "the lower triangle of {} (without the diagonal)"),
    (Pattern.UPPER, "upper triangle", "the upper triangle of {} (with the diagonal)"),
    (Pattern.LOWER, "lower triangle", "the lower triangle of {} (with the diagonal)"),
    (Pattern.EVEN, "checkerboard", "every 2nd element of {} (checkerboard)"),
    (Pattern.ODD, "checkerboard", "every 2nd element of {} (checkerboard)"),
)


def described(mask: NDArray[np.bool_], name: str) -> tuple[str, str]:
    """(kind, text) of the elements of a mask; it holds at least one."""
    if mask.all():
        return ("element", name) if mask.ndim == 0 else ("all", f"all of {name}")
    if mask.sum() == 1:
        return "element", _indexed(name, [int(i[0]) for i in np.nonzero(mask)])
    axes = [np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis))) for axis in range(mask.ndim)]
    if mask.sum() == np.prod([len(lines) for lines in axes]):
        return _product(mask.shape, [lines.tolist() for lines in axes], name)
    return _pattern(mask, axes, name) or _listed(mask, name)


def _product(shape: tuple[int, ...], axes: Sequence[list[int]], name: str) -> tuple[str, str]:
    """Lines of every axis crossed with each other."""
    restricted = [axis for axis, lines in enumerate(axes) if len(lines) < shape[axis]]
    slices = [_slice(lines, length) for lines, length in zip(axes, shape, strict=True)]
    even = all(_spacing(axes[axis]) for axis in restricted)
    if even and any(_spacing(axes[axis]) > 1 for axis in restricted):
        return "stride", _stride(shape, axes, restricted, slices, name)
    if len(shape) == 1:
        kind = "block" if even else "elements"
        listed = even or len(axes[0]) > LISTED
        return kind, f"{name}[{slices[0]}]" if listed else ", ".join(f"{name}[{i}]" for i in axes[0])
    if len(restricted) == 1:
        axis = restricted[0]
        single = len(axes[axis]) == 1
        if len(shape) == 2:
            kind = ("row", "column")[axis] + ("" if single else "s")
            return kind, f"{kind} {_numbers(axes[axis], shape[axis])} of {name}"
        return "slice" if single else "block", f"{name}[{', '.join(slices)}]"
    if len(shape) == 2 and len(axes[0]) * len(axes[1]) <= LISTED and not even:
        return "elements", ", ".join(f"{name}[{i}, {j}]" for i in axes[0] for j in axes[1])
    return "block", f"{name}[{', '.join(slices)}]"


def _stride(
    shape: tuple[int, ...], axes: Sequence[list[int]], restricted: Sequence[int], slices: Sequence[str], name: str
) -> str:
    axis = restricted[0]
    step, first, last = _spacing(axes[axis]), axes[axis][0], axes[axis][-1]
    whole = len(restricted) == 1 and first < step and last + step >= shape[axis] and len(axes[axis]) > 2
    if whole and len(shape) <= 2:
        line = "element" if len(shape) == 1 else ("row", "column")[axis]
        start = f", from {line} {first}" if first else ""
        return f"every {_ordinal(step)} {line} of {name}{start}"
    return f"{name}[{', '.join(slices)}]"


def _pattern(mask: NDArray[np.bool_], axes: Sequence[NDArray[np.intp]], name: str) -> tuple[str, str] | None:
    """A pattern in the whole tensor, or in the box around the mask."""
    around: Box = tuple((int(lines[0]), int(lines[-1]) + 1, 1) for lines in axes)
    whole: Box = tuple((0, length, 1) for length in mask.shape)
    for box in (whole, around):
        for pattern, kind, text in PATTERNS:
            flat = mask.ndim != 2 and pattern not in (Pattern.EVEN, Pattern.ODD)
            if not flat and np.array_equal(mask, Region((box,), pattern).mask(mask.shape)):
                slices = [_slice(list(range(a, b)), n) for (a, b, _), n in zip(box, mask.shape, strict=True)]
                return kind, text.format(name if box == whole else f"{name}[{', '.join(slices)}]")
    return None


def _listed(mask: NDArray[np.bool_], name: str) -> tuple[str, str]:
    """Elements one by one; beyond a few, whole lines and what is left, or their number."""
    places = np.argwhere(mask)
    if len(places) <= LISTED:
        return "elements", ", ".join(_indexed(name, place.tolist()) for place in places)
    parts = []
    for line in np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim)))) if mask.ndim == 2 else ():
        row = np.zeros_like(mask)
        row[line] = mask[line]
        parts.append(described(row, name)[1])
    if 0 < len(parts) <= LISTED and not any("elements of" in part for part in parts):
        return "elements", ", ".join(parts)
    return "elements", f"{len(places)} elements of {name}"


def _indexed(name: str, place: Sequence[int]) -> str:
    return f"{name}[{', '.join(map(str, place))}]"


def _spacing(lines: Sequence[int]) -> int:
    """The even distance of sorted numbers, 1 for a single one; 0 where they are not evenly spaced."""
    gaps = {b - a for a, b in itertools.pairwise(lines)}
    if len(lines) == 2 and gaps != {1}:
        return 0
    return 1 if not gaps else gaps.pop() if len(gaps) == 1 else 0


def _slice(lines: Sequence[int], length: int) -> str:
    """Sorted numbers as they are written in brackets."""
    step = _spacing(lines)
    if len(lines) == 1 and length > 1:
        return str(lines[0])
    if not step:
        return _list(lines)
    first, last = lines[0], lines[-1] + 1
    start = "" if first == 0 else str(first)
    stop = "" if last + step - 1 >= length else str(last)
    return f"{start}:{stop}" + (f":{step}" if step > 1 else "")


def _numbers(lines: Sequence[int], length: int) -> str:
    return _slice(lines, length) if _spacing(lines) else _list(lines).strip("[]")


def _list(lines: Sequence[int]) -> str:
    if len(lines) > LISTED_LINES:
        return f"[{', '.join(map(str, lines[: LISTED_LINES - 2]))}, ... {len(lines)} in all]"
    return f"[{', '.join(map(str, lines))}]"


def _ordinal(number: int) -> str:
    return f"{number}{({2: 'nd', 3: 'rd'}).get(number, 'th')}"
