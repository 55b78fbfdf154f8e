"""Arrays that belong to the user, as they were before a function of theirs was called.

The decision behind it: nobody passes a batch to a gradient to have it changed, so what is changed in place is named
and put back, and everything that is evaluated afterwards sees the same data as before.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import viewed
from gradproof._adapters.reach import walk

#: More bytes than this in all are not copied, and so neither compared nor put back.
MOST_BYTES = 64_000_000
#: Most things that are looked at.
MOST = 2000
#: How deep a container or a closure is searched for arrays.
DEPTH = 8
#: Longer names are cut to the variable that leads to the array.
LONGEST_NAME = 24


@dataclass(frozen=True)
class Kept:
    """Arrays with copies of what they held."""

    arrays: tuple[tuple[str, NDArray[Any], NDArray[Any]], ...]

    @classmethod
    def of(cls, named: Iterable[tuple[str, NDArray[Any]]]) -> "Kept":
        """Copies arrays; of too many bytes none."""
        found = list(named)
        if sum(array.nbytes for _, array in found) > MOST_BYTES:
            return cls(())
        return cls(tuple((name, array, array.copy()) for name, array in found))

    def changed(self) -> tuple[str, ...]:
        """The names of the arrays that no longer hold what they held."""
        names = (name for name, array, copy in self.arrays if not _equal(array, copy))
        return tuple(dict.fromkeys(names))

    def now(self) -> "Kept":
        """The same arrays with what they hold now."""
        return Kept(tuple((name, array, array.copy()) for name, array, _ in self.arrays))

    def restore(self) -> None:
        """Puts the contents back where they were changed."""
        for _, array, copy in self.arrays:
            if not _equal(array, copy):
                array[...] = copy


def _equal(array: NDArray[Any], copy: NDArray[Any]) -> bool:
    return array.shape == copy.shape and np.array_equal(array, copy, equal_nan=array.dtype.kind in "fc")


def passed(
    function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any], *, live: bool
) -> list[tuple[str, NDArray[Any]]]:
    """The writable arrays among the arguments of a function, by the function's own names for them."""
    names = [f"args[{i}]" for i in range(len(args))]
    known = _positional(function)[0 if live else 1 :] if names else []
    names[: len(known)] = known[: len(names)]
    return list(arrays_in([*zip(names, args, strict=True), *options.items()], DEPTH))


def _positional(function: Callable[..., Any]) -> list[str]:
    """The names of a function's positional arguments; none where it cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def arrays_in(roots: Iterable[tuple[str, Any]], depth: int = DEPTH) -> Iterator[tuple[str, NDArray[Any]]]:
    """The writable arrays that objects and functions hold or lead to, each once."""
    latest: list[NDArray[Any] | None] = [None]  # the walk asks whether to go on from the thing that it has just given
    for name, thing in walk(roots, depth, MOST, stop=lambda _: latest[0] is not None):
        array = latest[0] = viewed(thing)
        if array is not None and array.flags.writeable and array.dtype.kind in "fciub" and array.size:
            yield _short(name), array


def _short(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return name.partition("[")[0].partition(".")[0]
