"""What functions and objects lead to.

The decision behind it: a function of the user's leads to all that it can change or depend on: through its closure, the
globals it names, its defaults, and the attributes of what is found there. The walk goes nearest first and stops after
so many things, so that it takes milliseconds whatever a function leads to.
"""

import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

#: Containers longer than this are data, not places where an object is kept.
LONGEST = 64
#: What is passed over, what is not looked into, and what a class holds that leads nowhere.
LEADS_NOWHERE = (types.ModuleType, type, str, bytes, int, float)
CLOSED = (*LEADS_NOWHERE, np.ndarray)
#: The same by exact type, of which a thing is told far quicker.
NOWHERE = frozenset({type(None), bool, *LEADS_NOWHERE})
PLAIN = (type, types.ModuleType, str, bytes, int, float, tuple, list, dict, type(None))
#: Exact types of what classes hold most: descriptors other than slots, and plain values. They lead nowhere.
OF_CLASSES = frozenset({
    types.FunctionType, property, staticmethod, classmethod, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.GetSetDescriptorType, types.ClassMethodDescriptorType, bool, *PLAIN,
})  # fmt: skip


def walk(
    roots: Iterable[tuple[str, Any]], depth: int, most: int, stop: Callable[[Any], bool]
) -> Iterator[tuple[str, Any]]:
    """Everything in reach but plain values, under the name of where it was found, nearest first.

    Args:
        roots: name and object of where to start, such as ("cost", cost).
        depth: how many steps to go.
        most: most things that are looked at.
        stop: says of a thing that the walk does not go into it.
    """
    seen: set[int] = set()
    known: dict[type, list[tuple[str, Any]]] = {}
    level = list(roots)
    for _ in range(depth + 1):
        further: list[tuple[str, Any]] = []
        for name, thing in level:
            if id(thing) in seen or len(seen) >= most or _is_plain(thing):
                continue
            seen.add(id(thing))
            yield name, thing
            if not stop(thing):
                with suppress(Exception):  # whatever refuses to be looked at, as a package loaded on demand does
                    further += parts_of(thing, name, known)
        level = further


def _is_plain(thing: Any) -> bool:
    """Whether a thing leads nowhere; most things are of this kind, and are passed over before they are named."""
    return type(thing) in NOWHERE or isinstance(thing, LEADS_NOWHERE)


def parts_of(thing: Any, name: str, known: dict[type, list[tuple[str, Any]]]) -> Iterator[tuple[str, Any]]:
    """What one object holds: of a function its closure, defaults and the globals it names; of others, their parts.

    Args:
        thing: the object.
        name: where it was found.
        known: what classes hold, by class, as far as it was looked at in this walk.
    """
    if isinstance(thing, CLOSED):
        return
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
            yield from ((f"{name}[{key!r}]", value) for key, value in thing.items() if not _is_plain(value))
    elif isinstance(thing, list | tuple):
        if len(thing) <= LONGEST:
            yield from ((f"{name}[{i}]", value) for i, value in enumerate(thing) if not _is_plain(value))
    elif hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        yield name, thing.func
        yield name, thing.args
        yield name, thing.keywords
    else:
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            yield from ((f"{name}.{key}", value) for key, value in attributes.items() if not _is_plain(value))
        if type(thing) not in known:
            known[type(thing)] = list(_of_class(type(thing)))
        for key, value in known[type(thing)]:
            if not isinstance(value, types.MemberDescriptorType):
                yield f"{name}.{key}", value
            elif hasattr(thing, key):
                yield f"{name}.{key}", getattr(thing, key)


def _of_class(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class holds that leads somewhere: slots, how it is called, and what is no method and no plain value."""
    for cls in kind.__mro__[:-1]:
        for key, value in vars(cls).items():
            if type(value) in OF_CLASSES and key != "__call__":
                continue
            slot = isinstance(value, types.MemberDescriptorType)
            if slot or key == "__call__" or not (hasattr(type(value), "__get__") or isinstance(value, PLAIN)):
                yield key, value


@lru_cache(maxsize=256)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The names that a function uses, those of the comprehensions and functions inside it as well."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return (*code.co_names, *(name for names in inner for name in names))
