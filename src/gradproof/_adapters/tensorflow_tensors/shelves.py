"""What the user's Python objects hold, put back after a function was traced.

The decision behind it: tracing runs the user's Python once, with stand-ins for tensors. Code that keeps what it
computes for a backward pass, or counts its calls, would keep stand-ins that are of no use to anyone, and would be run
once where it should be run each time. So what objects in reach hold is compared; where it changed, it is put back, and
the code is called as it is.
"""

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from gradproof._adapters.reach import walk
from gradproof._adapters.tensorflow_tensors.tensors import is_tensor

#: How far from the functions, and how many things, are looked at.
DEPTH, MOST = 6, 3000
#: Packages whose objects look after themselves.
THEIRS = ("tensorflow", "keras", "numpy", "builtins")


@dataclass(frozen=True)
class Shelf:
    """Contents of objects at one moment, each with what puts them back."""

    contents: tuple[tuple[Callable[[], Any], Any, Callable[[Any], object]], ...]

    @classmethod
    def of(cls, roots: Iterable[tuple[str, Any]]) -> "Shelf":
        """Looks at everything in reach."""
        found = []
        for _, thing in walk(_opened(roots), DEPTH, MOST, stop=_is_theirs):
            if isinstance(thing, types.FunctionType):
                found += [_cell(cell) for cell in thing.__closure__ or ()]
                found += [_global(thing, name) for name in thing.__code__.co_names if name in thing.__globals__]
            elif isinstance(thing, dict):
                found.append(_mapping(thing))
            elif isinstance(thing, list):
                found.append(_sequence(thing))
            elif hasattr(thing, "__dict__") and not (_is_theirs(thing) or isinstance(thing, dict | list)):
                found.append(_mapping(vars(thing)))
        return cls(tuple((look, look(), put) for look, put in found))

    def changed(self) -> bool:
        """Whether anything holds something else now."""
        return any(not _alike(look(), before) for look, before, _ in self.contents)

    def restore(self) -> None:
        """Puts back what was held."""
        for look, before, put in self.contents:
            if not _alike(look(), before):
                put(before)


def _opened(roots: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Functions in the place of what TensorFlow has made of them."""
    return [(name, getattr(root, "python_function", root)) for name, root in roots]


def variables_in(roots: Iterable[tuple[str, Any]]) -> tuple[Any, ...]:
    """The variables that functions and objects lead to."""
    found = {}
    for _, thing in walk(roots, DEPTH, MOST, stop=lambda thing: isinstance(thing, tf.Variable)):
        variable = thing if isinstance(thing, tf.Variable) else getattr(thing, "_value", None)
        if isinstance(variable, tf.Variable):
            found[id(variable)] = variable
    return tuple(found.values())


def _is_theirs(thing: Any) -> bool:
    if isinstance(thing, type | types.ModuleType) or is_tensor(thing):
        return True
    if isinstance(thing, dict | list | tuple | types.FunctionType | types.MethodType):
        return type(thing).__module__.partition(".")[0] in THEIRS[:2]
    return any(kind.__module__.partition(".")[0] in THEIRS[:2] for kind in type(thing).__mro__) or (
        type(thing).__module__.partition(".")[0] in THEIRS
    )


def _alike(now: Any, before: Any) -> bool:
    if isinstance(now, dict):
        return now.keys() == before.keys() and all(now[key] is value for key, value in before.items())
    if isinstance(now, list):
        return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
    return now is before


def _mapping(thing: dict[Any, Any]) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    def put(before: Any) -> None:
        thing.clear()
        thing.update(before)

    return lambda: dict(thing), put


def _sequence(thing: list[Any]) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    def put(before: Any) -> None:
        thing[:] = before

    return lambda: list(thing), put


def _cell(cell: Any) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    def look() -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not filled yet
            return None

    return look, lambda before: setattr(cell, "cell_contents", before)


def _global(function: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    return lambda: function.__globals__.get(name), lambda before: function.__globals__.__setitem__(name, before)
