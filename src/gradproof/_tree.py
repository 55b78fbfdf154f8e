"""Nestings of parameters: their leaves, the names of the leaves, the way back, and the flat vector.

The decision behind it: a nesting is read once into a `Structure`, a flat tuple of named leaves and a compiled way back
of small picklable builders that pull new leaves from one iterator. All else works on flat leaves in the user's order,
and a cost, called thousands of times, gets its parameters back at the price of the containers alone. What cannot be
differentiated (integers, strings, other objects) is carried along as the very same object.
"""

import ast
import copy
import dataclasses
import functools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from types import MemberDescriptorType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError

_Builder = Callable[[Iterator[Any]], Any]
_SEGMENT = re.compile(r"""\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]]*)\]|[^.\[\]]+""")
_PREFIXES = ("d", "grad_")
_OVERLAP_WORK: Any = 10_000  # candidate solutions tried before two interleaved arrays are taken to share memory


#: The key of a child that goes by its container's own name.
OWN_NAME: Any = object()


@dataclass(frozen=True, slots=True)
class Opened:
    """One level of a container that belongs to a framework.

    Attributes:
        children: key, or ``OWN_NAME``, and child of each.
        make: puts such a container together from other children.
    """

    children: tuple[tuple[Any, Any], ...]
    make: Callable[[Sequence[Any]], Any]


class Kind(StrEnum):
    """What a leaf is to the user, so that it can be given back as the same kind of thing."""

    ARRAY = "array"
    NUMPY_SCALAR = "numpy scalar"
    PYTHON_FLOAT = "python float"
    PYTHON_COMPLEX = "python complex"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One differentiable tensor of a nesting, under its key path."""

    name: str
    value: Any
    kind: Kind

    @property
    def array(self) -> NDArray[Any]:
        """The value as a plain array: a view of an array, a 0-d array for a scalar."""
        return np.asarray(self.value)


@dataclass(frozen=True, eq=False)
class Structure:
    """A nesting of parameters taken apart, and the way back."""

    leaves: tuple[Leaf, ...]
    statics: tuple[tuple[str, Any], ...]
    root: str
    names: tuple[str, ...] = field(init=False)
    _build: _Builder = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(leaf.name for leaf in self.leaves))

    @classmethod
    def of(
        cls,
        tree: Any,
        root: str = "params",
        foreign: Callable[[Any], NDArray[Any] | None] | None = None,
        nodes: Callable[[Any], Opened | None] | None = None,
    ) -> "Structure":
        """Takes a nesting apart; `root` is the user's name for the whole, and the name of a bare leaf.

        `foreign` says of another framework's array which NumPy array stands for it as a leaf, and None of all else;
        `nodes` opens that framework's containers, and says None of all else.

        Raises:
            InputError: the nesting contains itself, a masked array, or floats inside an object or structured array.
        """
        if foreign is None and nodes is None and _is_plain(tree):
            leaves = tuple(Leaf(name, array, Kind.ARRAY) for name, array in tree.items())
            return cls(leaves, (), root, _Leaves(tuple(tree)))
        reading = _Reading(root, foreign, nodes)
        build = reading.read(tree, "")
        return cls(tuple(reading.leaves), tuple(reading.statics), root, build)

    def listed(self) -> "Structure":
        """The same leaves in a plain list."""
        return dataclasses.replace(self, _build=_List(tuple((i, next) for i in range(len(self.leaves)))), statics=())

    def holding(self, values: Sequence[Any]) -> "Structure":
        """The same nesting with other values for its leaves, in order."""
        leaves = [dataclasses.replace(leaf, value=value) for leaf, value in zip(self.leaves, values, strict=True)]
        return dataclasses.replace(self, leaves=tuple(leaves))

    def renamed(self, names: Sequence[str]) -> "Structure":
        """The same nesting with other names for its leaves, in order."""
        leaves = [dataclasses.replace(leaf, name=name) for leaf, name in zip(self.leaves, names, strict=True)]
        return dataclasses.replace(self, leaves=tuple(leaves))

    def rebuild(self, values: Sequence[Any]) -> Any:
        """Gives the same nesting in new containers, with `values` for the leaves, in order and unconverted.

        Raises:
            InputError: there is not one value per leaf.
        """
        if len(values) != len(self.leaves):
            raise InputError.of(
                f"rebuilding {self.root}",
                "the sequence of values",
                f"{len(self.leaves)} long, one value per leaf",
                f"{len(values)} long",
                "Pass the values in the order of `names`.",
            )
        return self._build(iter(values))


@dataclass(frozen=True, slots=True)
class _Same:
    value: Any

    def __call__(self, _: Iterator[Any]) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class _Dict:
    items: tuple[tuple[Any, _Builder], ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        return {key: build(values) for key, build in self.items}


@dataclass(frozen=True, slots=True)
class _Leaves:
    """A dict of nothing but leaves, the usual case."""

    keys: tuple[Any, ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        return dict(zip(self.keys, values, strict=False))  # the values go on


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[tuple[Any, _Builder], ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        return [build(values) for _, build in self.items]


@dataclass(frozen=True, slots=True)
class _Copied:
    """A subclass of dict or list: copied, which keeps default factories and attributes, then filled."""

    template: Any
    items: tuple[tuple[Any, _Builder], ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        new = _shallow(self.template)
        for key, build in self.items:
            new[key] = build(values)
        return new


@dataclass(frozen=True, slots=True)
class _Tuple:
    cls: type
    attributes: Mapping[str, Any]
    items: tuple[tuple[Any, _Builder], ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        # Past the class's own __new__, whose signature is the user's.
        new: Any = tuple.__new__(self.cls, [build(values) for _, build in self.items])
        if self.attributes:
            vars(new).update(self.attributes)
        return new


@dataclass(frozen=True, slots=True)
class _Object:
    """A dataclass: past __init__ and __post_init__, which may compute, refuse or leave out fields."""

    cls: type
    attributes: Mapping[str, Any]
    items: tuple[tuple[Any, _Builder], ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        new: Any = object.__new__(self.cls)
        if self.attributes:
            vars(new).update(self.attributes)
        for name, build in self.items:
            object.__setattr__(new, name, build(values))
        return new


@dataclass(frozen=True, slots=True)
class _Made:
    """A container that a framework puts together."""

    make: Callable[[Sequence[Any]], Any]
    parts: tuple[_Builder, ...]

    def __call__(self, values: Iterator[Any]) -> Any:
        return self.make([build(values) for build in self.parts])


class _Reading:
    """One pass over a nesting, in the user's order."""

    def __init__(
        self,
        root: str,
        foreign: Callable[[Any], NDArray[Any] | None] | None = None,
        nodes: Callable[[Any], Opened | None] | None = None,
    ) -> None:
        self.root = root
        self._foreign = foreign
        self._nodes = nodes
        self.leaves: list[Leaf] = []
        self.statics: list[tuple[str, Any]] = []
        self._taken: set[str] = set()
        self._open: set[int] = set()

    def read(self, tree: Any, path: str) -> _Builder:
        if self._foreign is None:
            plain = type(tree) is np.ndarray and tree.dtype.kind in "fc"  # the usual case, met hundreds of times
            stand_in = tree if plain else None
        else:
            stand_in = self._foreign(tree)
        if stand_in is not None:
            self.leaves.append(Leaf(self._name(path), stand_in, Kind.ARRAY))
            return next
        if trouble := _trouble(tree):
            self._refuse(path, "a plain array", *trouble)
        kind = _kind(tree) if self._foreign is None else None  # numbers beside another framework's arrays stay put
        if kind is not None:
            self.leaves.append(Leaf(self._name(path), tree, kind))
            return next
        node = self._nodes(tree) if self._nodes is not None else None
        children = _children(tree) if node is None else list(node.children)
        if children is None:
            if isinstance(tree, int) or (isinstance(tree, np.ndarray | np.generic) and tree.dtype.kind in "iub"):
                self.statics.append((self._name(path), tree))
            return _Same(tree)
        if id(tree) in self._open:
            self._refuse(path, "a finite nesting", "a container that contains itself", "Remove the cycle.")
        self._open.add(id(tree))
        items = tuple((key, self.read(child, _join(path, key))) for key, child in children)
        self._open.discard(id(tree))
        return _builder(tree, items) if node is None else _Made(node.make, tuple(build for _, build in items))

    def _name(self, path: str) -> str:
        name, copies = path or self.root, 1
        while name in self._taken:  # distinct keys may print alike
            copies += 1
            name = f"{path}#{copies}"
        self._taken.add(name)
        return name

    def _refuse(self, path: str, demanded: str, got: str, todo: str) -> None:
        raise InputError.of(f"reading {self.root}", path or self.root, demanded, got, todo)


def _is_plain(tree: Any) -> bool:
    """Whether a nesting is a dict of plain float arrays under Python names, the usual case, which needs no reading."""
    return type(tree) is dict and bool(tree) and all(
        type(name) is str and name.isidentifier() and type(value) is np.ndarray and value.dtype.kind in "fc"
        for name, value in tree.items()
    )  # fmt: skip


def _kind(value: Any) -> Kind | None:
    # NumPy first: np.float64 is a Python float too.
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fc":
            return None
        return Kind.ARRAY if isinstance(value, np.ndarray) else Kind.NUMPY_SCALAR
    if isinstance(value, float):
        return Kind.PYTHON_FLOAT
    return Kind.PYTHON_COMPLEX if isinstance(value, complex) else None


def _trouble(value: Any) -> tuple[str, str] | None:
    """What is wrong with an array whose numbers would escape the check unseen, and what to do."""
    if not isinstance(value, np.ndarray | np.generic):
        return None
    if isinstance(value, np.ma.MaskedArray):
        return "a masked array", "Pass `.filled(0)` or its unmasked part."
    if value.dtype.kind == "O":
        entries = (part for entry in value.flat for part in (entry if isinstance(entry, list | tuple) else [entry]))
        if any(_kind(entry) is not None for entry in entries):
            return "an object array that holds floats", "Convert it with `.astype(float)`, or pass a list of arrays."
    if _float_fields(value.dtype):
        return "a structured array with float fields", "Pass its fields as a dict of arrays."
    return None


def _float_fields(dtype: np.dtype[Any]) -> bool:
    bases = [dtype[name].base for name in dtype.names or ()]
    return any(base.kind in "fc" or _float_fields(base) for base in bases)


def _children(tree: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(tree, dict):
        return list(tree.items())
    if isinstance(tree, tuple) and not _made_in_python(type(tree)):
        return None
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree, strict=True))
    if isinstance(tree, list | tuple):
        return list(enumerate(tree))
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [entry.name for entry in dataclasses.fields(tree)]
        return [(name, getattr(tree, name)) for name in names if hasattr(tree, name)]
    return None


def _made_in_python(cls: type) -> bool:
    """Whether a kind of tuple can be made anew; the records of C code (``time.struct_time``) cannot."""
    try:
        tuple.__new__(cls, ())
    except TypeError:
        return False
    return True


def _builder(tree: Any, items: tuple[tuple[Any, _Builder], ...]) -> _Builder:
    cls = type(tree)
    if cls is dict:
        if items and all(build is next for _, build in items):
            return _Leaves(tuple(key for key, _ in items))
        return _Dict(items)
    if cls is list:
        return _List(items)
    if isinstance(tree, dict | list):
        return _Copied(_shallow(tree), items)
    own = {name for name, _ in items}
    # What a cached property remembers was computed from the old leaves.
    attributes = {
        name: value
        for name, value in getattr(tree, "__dict__", {}).items()
        if name not in own and not isinstance(getattr(cls, name, None), functools.cached_property)
    }
    if isinstance(tree, tuple):
        return _Tuple(cls, attributes, items)
    slots = [name for base in cls.__mro__ for name, of in vars(base).items() if isinstance(of, MemberDescriptorType)]
    rest = [(name, _Same(getattr(tree, name))) for name in slots if name not in own and hasattr(tree, name)]
    return _Object(cls, attributes, (*items, *rest))


def _shallow(container: Any) -> Any:
    new = copy.copy(container)
    if getattr(container, "__dict__", None) is container:  # a dict whose attributes are its own entries
        new.__dict__ = new
    return new


def _segment(key: Any) -> str:
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return int.__repr__(int(key))
    return _text_segment(str.__str__(key)) if isinstance(key, str) else f"[{key!r}]"


@functools.lru_cache(maxsize=1024)
def _text_segment(text: str) -> str:
    # What is not printable would break the lines of a report.
    plain = text.isprintable() and not re.search(r"[.\[\]]", text)
    if text and plain and not re.fullmatch(r"\s*[+-]?\d[\d_]*\s*", text):
        return text
    return f"[{text!r}]"


def _join(path: str, key: Any) -> str:
    if key is OWN_NAME:
        return path
    segment = _segment(key)
    return f"{path}.{segment}" if path and not segment.startswith("[") else path + segment


def shared(leaves: Iterable[Leaf]) -> list[tuple[str, str]]:
    """Names the pairs of leaves whose arrays share memory, in the order of the leaves."""
    leaves = list(leaves)
    arrays = [leaf.value for leaf in leaves if leaf.kind is Kind.ARRAY]
    if all(array.flags.owndata for array in arrays) and len({*map(id, arrays)}) == len(arrays):
        return []  # of two arrays that share memory one is a view, or both are the same
    spans = []
    for order, leaf in enumerate(leaves):
        array = leaf.array
        if leaf.kind is Kind.ARRAY and array.size:
            if array.flags.c_contiguous:
                low = array.__array_interface__["data"][0]
                spans.append((low, low + array.nbytes, order, leaf))
                continue
            reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
            start = array.__array_interface__["data"][0]
            low = start + sum(min(0, step) for step in reach)
            spans.append((low, start + sum(max(0, step) for step in reach) + array.itemsize, order, leaf))
    spans.sort(key=lambda span: span[:3])
    found = []
    for i, (_, high, order, leaf) in enumerate(spans):
        for low, _, other_order, other in spans[i + 1 :]:
            if low >= high:
                break
            if _overlap(leaf.array, other.array):
                found.append(tuple(sorted([(order, leaf.name), (other_order, other.name)])))
    return [(first[1], second[1]) for first, second in sorted(found)]


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    try:
        return bool(np.shares_memory(a, b, max_work=_OVERLAP_WORK))
    except np.exceptions.TooHardError:
        return True


def to_vector(tree: Any) -> NDArray[Any]:
    """Puts all parameters into one vector, in the user's order and each tensor in C order.

    Args:
        tree: an array, or any nesting of dicts, lists, tuples, named tuples and dataclasses of floating or complex
            arrays and scalars, of any shapes; integers, strings and other objects are left out.

    Returns:
        A new 1-D array of the leaves' common dtype (`np.result_type`; Python floats count as float64), float64 and
        empty if there are no leaves.

    Raises:
        InputError: the nesting contains itself, a masked array, or floats inside an object or structured array.
    """
    arrays = [leaf.array for leaf in Structure.of(tree, "tree").leaves]
    if not arrays:
        return np.empty(0)
    dtype = np.result_type(*(array.dtype for array in arrays))
    return np.concatenate([array.ravel(order="C") for array in arrays], dtype=dtype)


def from_vector(vector: Any, like: Any) -> Any:
    """Takes a vector apart into a nesting: the inverse of `to_vector`.

    Args:
        vector: numbers, 1-D, as many as `like` has elements.
        like: the nesting that gives the containers, names, shapes and dtypes; it is left untouched.

    Returns:
        A new nesting of the same types; every leaf has its own dtype, shape and kind, and shares no memory with
        `vector`. Integers, strings and other objects are the very same ones.

    Raises:
        InputError: the vector has another shape or does not hold numbers, or it is complex where a leaf is real. The
            vector of a nesting of real and complex leaves is complex: there the imaginary parts of real leaves must
            be zero.
    """
    structure = Structure.of(like, "like")
    flat = np.asarray(vector)
    sizes = [leaf.array.size for leaf in structure.leaves]
    doing, what = "taking a vector apart", "vector"
    if flat.shape != (sum(sizes),):
        demanded = f"1-D of length {sum(sizes)}, the number of elements of `like`"
        raise InputError.of(doing, what, demanded, f"of shape {flat.shape}", "Pass what `to_vector` gave for it.")
    if flat.dtype.kind not in "biufc":
        raise InputError.of(doing, what, "an array of numbers", f"of dtype {flat.dtype}", "Convert it to floats.")
    mixed = any(leaf.array.dtype.kind == "c" for leaf in structure.leaves)
    edges = np.cumsum([0, *sizes]).tolist()
    parts = [flat[start:stop] for start, stop in pairwise(edges)]
    for leaf, part in zip(structure.leaves, parts, strict=True):
        if flat.dtype.kind == "c" and leaf.array.dtype.kind != "c" and (not mixed or np.any(part.imag != 0)):
            got = f"of dtype {flat.dtype}"
            raise InputError.of(doing, f"the part of vector for {leaf.name}", "real", got, "Pass its real part.")
    return structure.rebuild([_like(leaf, part) for leaf, part in zip(structure.leaves, parts, strict=True)])


def _like(leaf: Leaf, part: NDArray[Any]) -> Any:
    model = leaf.array
    new = (part if model.dtype.kind == "c" else part.real).astype(model.dtype).reshape(model.shape)
    if leaf.kind is Kind.ARRAY:
        return new
    return new[()] if leaf.kind is Kind.NUMPY_SCALAR else new.item()


class Location(NamedTuple):
    """Where an element of the vector sits: `W2[4, 7]`, or `b` for a tensor without axes."""

    name: str
    index: tuple[int, ...]  # type: ignore[assignment]  # the field's word, over tuple.index

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.index))}]" if self.index else self.name


def locate(params: Any, position: int) -> Location:
    """Says which element of which tensor has a position in the vector of `to_vector`.

    Args:
        params: a nesting as in `to_vector`.
        position: the position in the vector, from 0.

    Returns:
        The tensor's name and the element's index, a tuple of one integer per axis.

    Raises:
        InputError: the position is not an integer, or outside the vector.
    """
    leaves = Structure.of(params).leaves
    ends = np.cumsum([leaf.array.size for leaf in leaves], dtype=np.int64)
    total = int(ends[-1]) if leaves else 0
    try:
        at = -1 if isinstance(position, bool | np.bool_) else operator.index(position)
    except TypeError:
        at = -1
    if not 0 <= at < total:
        demanded = f"an integer from 0 to {total - 1}" if total else "left out, for there are no elements,"
        todo = "Positions count the elements of `to_vector(params)` from 0."
        raise InputError.of("locating an element of params", "position", demanded, repr(position), todo)
    which = int(np.searchsorted(ends, at, side="right"))
    array = leaves[which].array
    index = np.unravel_index(at - int(ends[which]) + array.size, array.shape)
    return Location(leaves[which].name, tuple(int(i) for i in index))


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which claimed gradient belongs to which parameter, by name."""

    pairs: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def pair(param_names: Sequence[str], grad_names: Sequence[str]) -> Pairing:
    """Pairs names of parameters with names of gradients: the same name, else with a prefix on the last key.

    The prefix is the course notes' `d`, else `grad_`. It goes before the last key that is not an integer, so that
    `dW.0` too is the gradient of `W.0`. A name is used once. Where parameters are called both `W` and `dW`, the same
    name gives way if only then one more is paired.
    """
    known = set(grad_names)
    if known == set(param_names):  # what nearly everyone passes in
        return Pairing({name: name for name in param_names}, (), ())
    wanted = {
        name: [grad for grad in (name, *(_prefixed(name, prefix) for prefix in _PREFIXES)) if grad in known]
        for name in param_names
    }
    owners = {name: name for name in param_names if name in known}

    def claim(name: str, asked: set[str]) -> bool:
        # An augmenting path (Kuhn 1955, doi 10.1002/nav.3800020109): the free ones first, then those of owners who can
        # take another.
        for grad in sorted(wanted[name], key=owners.__contains__):
            if grad not in asked:
                asked.add(grad)
                if grad not in owners or claim(owners[grad], asked):
                    owners[grad] = name
                    return True
        return False

    for name in param_names:
        if name not in known:
            claim(name, set())
    found = {param: grad for grad, param in owners.items()}
    pairs = {name: found[name] for name in param_names if name in found}
    missing = tuple(name for name in param_names if name not in found)
    return Pairing(pairs, missing, tuple(name for name in grad_names if name not in owners))


def _prefixed(name: str, prefix: str) -> str | None:
    for match in reversed(list(_SEGMENT.finditer(name))):
        segment, start, stop = match.group(), match.start(), match.end()
        if re.fullmatch(r"-?\d+", segment):
            continue
        if not segment.startswith("["):
            return f"{name[:start]}{prefix}{name[start:]}"
        try:
            key = ast.literal_eval(segment[1:-1])
        except (SyntaxError, ValueError):
            return None
        return _join(name[:start], f"{prefix}{key}") + name[stop:] if isinstance(key, str) else None
    return None
