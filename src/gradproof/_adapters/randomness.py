"""Random state that a cost can reach: found, named, frozen and put back.

The decision behind it: a random cost has no derivative until its randomness stands still. The state of every source in
reach is taken before the check and put back after it, whatever happens; it is put back before each evaluation only once
two evaluations were seen to differ, since most costs draw nothing.
"""

import random
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: How far from a function its sources are looked for: closure, globals it names, defaults, attributes, and so on. A
#: closure over a model, its list of layers, a layer, its generator are four.
DEPTH = 6
#: Most things that are looked at, nearest first: whatever a function leads to, the search takes milliseconds.
MOST = 3000
#: Containers longer than this are data, not places where a generator is kept.
LONGEST = 64


@dataclass(frozen=True)
class Source:
    """One source of random numbers, by the name of where it was found."""

    name: str
    take: Callable[[], Any]
    put: Callable[[Any], object]


def sources(roots: Iterable[tuple[str, Any]]) -> list[Source]:
    """The sources that functions and objects can reach, the global ones first.

    Args:
        roots: name and object of what to search, such as ("cost", cost).
    """
    found = [
        Source("NumPy's global random state", np.random.get_state, np.random.set_state),
        Source("Python's random module", random.getstate, random.setstate),
    ]
    return found + list(_search(roots))


def _search(roots: Iterable[tuple[str, Any]]) -> Iterator[Source]:
    seen: set[int] = set()
    level = list(roots)
    for _ in range(DEPTH + 1):
        further: list[tuple[str, Any]] = []
        for name, thing in level:
            if id(thing) in seen or len(seen) >= MOST:
                continue
            seen.add(id(thing))
            source = _source(thing, name)
            if source is None:
                further += _reach(thing, name)
            else:
                yield source
        level = further


def _source(thing: Any, name: str) -> Source | None:
    if isinstance(thing, np.random.Generator):
        thing = thing.bit_generator
    if isinstance(thing, np.random.BitGenerator):
        return Source(name, lambda: thing.state, lambda state: setattr(thing, "state", state))
    if isinstance(thing, np.random.RandomState):
        return Source(name, thing.get_state, thing.set_state)
    if isinstance(thing, random.Random):
        return Source(name, thing.getstate, thing.setstate)
    return None


def _reach(thing: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What one object holds: of a function its closure, defaults and the globals it names; of others, their parts."""
    wrapped = getattr(thing, "__wrapped__", None)
    if callable(wrapped):
        yield name, wrapped
    if isinstance(thing, types.MethodType):
        yield name, thing.__self__
        thing = thing.__func__
    if isinstance(thing, types.FunctionType):
        code = thing.__code__
        for variable, cell in zip(code.co_freevars, thing.__closure__ or (), strict=True):
            try:
                yield variable, cell.cell_contents
            except ValueError:  # a cell that is not filled yet holds nothing
                continue
        for variable in _names(code):
            if variable in thing.__globals__:
                yield variable, thing.__globals__[variable]
        for default in (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()):
            yield name, default
    elif isinstance(thing, dict):
        if len(thing) <= LONGEST:
            yield from ((f"{name}[{key!r}]", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple):
        if len(thing) <= LONGEST:
            yield from ((f"{name}[{i}]", value) for i, value in enumerate(thing))
    elif hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        yield name, thing.func
        yield name, thing.args
        yield name, thing.keywords
    elif not isinstance(thing, types.ModuleType | type | np.ndarray | str | bytes | int | float):
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            yield from ((f"{name}.{key}", value) for key, value in attributes.items())
        for cls in type(thing).__mro__[:-1]:
            for key, value in vars(cls).items():
                if isinstance(value, types.MemberDescriptorType):  # a slot
                    if hasattr(thing, key):
                        yield f"{name}.{key}", getattr(thing, key)
                elif key == "__call__" or _source(value, key) is not None:
                    yield f"{name}.{key}", value


def _names(code: types.CodeType) -> Iterator[str]:
    """The names that a function uses, those of the comprehensions and functions inside it as well."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


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
        return [source.name for source, state in self.states if not _same(source.take(), state)]


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
