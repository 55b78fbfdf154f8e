"""Random state that a cost can reach: found, named, frozen and put back.

The decision behind it: a random cost has no derivative until its randomness stands still. The state of every source in
reach is taken before the check and put back after it, whatever happens; it is put back before each evaluation only once
two evaluations were seen to differ, since most costs draw nothing.
"""

import ctypes
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof._adapters.reach import walk

#: How far from a function its sources are looked for: closure, globals it names, defaults, attributes, and so on. A
#: closure over a model, its list of layers, a layer, its generator are four.
DEPTH = 6
#: Most things that are looked at, nearest first: whatever a function leads to, the search takes milliseconds.
MOST = 3000
#: What holds a random state.
_SOURCES = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)


@dataclass(frozen=True)
class Source:
    """One source of random numbers, by the name of where it was found.

    Attributes:
        name: where it was found.
        take: its state now.
        put: puts a state back.
        still: whether it is known to be in a state, at less than it takes to read it; None where it has to be read.
    """

    name: str
    take: Callable[[], Any]
    put: Callable[[Any], object]
    still: Callable[[Any], bool] | None = None


def sources(roots: Iterable[tuple[str, Any]]) -> list[Source]:
    """The sources that functions and objects can reach, the global ones first.

    Args:
        roots: name and object of what to search, such as ("cost", cost).
    """
    return [*global_sources(), *_search(roots)]


def global_sources() -> list[Source]:
    """The sources that every function can reach."""
    return [
        Source("NumPy's global random state", np.random.get_state, _put_numpy, _still_there),
        Source("Python's random module", random.getstate, random.setstate, lambda state: random.getstate() == state),
    ]


def _put_numpy(state: Any) -> None:
    """Puts NumPy's global state back, unless it is that still: to write it takes thirty times as long as to look."""
    if not _still_there(state):
        np.random.set_state(state)  # noqa: NPY002


def _still_there(state: Any) -> bool:
    """Whether NumPy's global generator is known to be in a state, as ``get_state`` tells it.

    Compared are its words in memory: the key, then the position in it. Every draw moves that position, but for the
    second of a pair of normal numbers; a state that holds one of those back is never known to be the same. Should the
    words lie otherwise, they are not the same either, and the state is written.
    """
    if type(state) is not tuple or state[0] != "MT19937" or state[3]:
        return False
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if not isinstance(generator, np.random.MT19937):
        return False
    key, position = state[1], state[2]
    here = (ctypes.c_uint32 * (len(key) + 1)).from_address(generator.ctypes.state_address)
    return bool(here[len(key)] == position and ctypes.string_at(here, key.nbytes) == key.tobytes())


def _search(roots: Iterable[tuple[str, Any]]) -> Iterator[Source]:
    for name, thing in walk(roots, DEPTH, MOST, stop=lambda thing: isinstance(thing, _SOURCES)):
        source = source_of(thing, name)
        if source is not None:
            yield source


def source_of(thing: Any, name: str) -> Source | None:
    """A thing as a source of random numbers; None where it is none."""
    if not isinstance(thing, _SOURCES):
        return None
    if isinstance(thing, np.random.Generator):
        thing = thing.bit_generator
    if isinstance(thing, np.random.BitGenerator):
        return Source(name, lambda: thing.state, lambda state: setattr(thing, "state", state))
    if isinstance(thing, np.random.RandomState):
        return Source(name, thing.get_state, thing.set_state)
    return Source(name, thing.getstate, thing.setstate)


@dataclass(frozen=True)
class Snapshot:
    """The state of some sources at one moment."""

    states: tuple[tuple[Source, Any], ...]

    @classmethod
    def of(cls, found: Iterable[Source]) -> "Snapshot":
        """Takes the state of each source now."""
        return cls(tuple((source, source.take()) for source in found))

    def restore(self) -> None:
        """Puts every source back."""
        for source, state in self.states:
            source.put(state)

    def moved(self) -> list[str]:
        """The names of the sources whose state is no longer the one taken."""
        return [source.name for source, state in self.states if not _unmoved(source, state)]


def _unmoved(source: Source, state: Any) -> bool:
    return (source.still is not None and source.still(state)) or _same(source.take(), state)


def _same(one: Any, other: Any) -> bool:
    """Whether two states are alike: nestings of tuples, lists, dicts, arrays and plain values."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if type(one) is tuple and {*map(type, one)} == {int}:  # hundreds of them: at one go
        return bool(one == other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return repr(one) == repr(other)
