"""Arrays of any other library: CuPy, MLX, and whatever follows the array API standard.

The decision behind it: such arrays are known by what they can do. A library that can make an array of NumPy's numbers
and give its numbers back is all that is needed; what cannot give its numbers is refused by name. Nothing is known of
the library's random state, reverse mode or devices, so a gradient has to be given, and new arrays lie where the library
puts them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat, Foreign, Translated, Wanted
from gradproof._adapters.user import takes_parameters
from gradproof._errors import InputError
from gradproof._tree import Structure

#: Packages whose arrays say nothing of a standard, with the names of their array types.
NAMED = {"cupy": "ndarray", "mlx.core": "array"}
#: Costs in float64 and in the user's own precision that differ by more, relative, are not the same function.
ANOTHER = 1e-3

NATIVE = "The library has no float64 where the cost runs; it was evaluated in its own precision."


def namespace_of(value: Any) -> Any:
    """The library of an array; None for what is no array of another library."""
    for package, kind in NAMED.items():
        library = sys.modules.get(package)
        if library is not None and isinstance(value, getattr(library, kind, ())):
            return library
    if isinstance(value, np.ndarray | np.generic | type) or not hasattr(value, "shape"):
        return None
    return value.__array_namespace__() if callable(getattr(value, "__array_namespace__", None)) else None


def array_of(value: Any, name: str = "the array") -> NDArray[Any]:
    """The numbers of an array.

    Raises:
        InputError: it does not give them.
    """
    try:
        found = value.get() if callable(getattr(value, "get", None)) else np.array(value)
        if found.dtype == object:
            found = np.from_dlpack(value)
    except Exception as error:
        raise InputError.of(
            "reading the arrays to be checked", name, "an array that gives its numbers to NumPy",
            f"a {type(value).__module__}.{type(value).__name__} that does not ({type(error).__name__}: {error})",
            "Convert it to an array of NumPy, PyTorch, JAX or TensorFlow, and let the cost take that.",
        ) from error  # fmt: skip
    return np.array(found, copy=True)


def is_inexact(value: Any) -> bool:
    """Whether an array of another library holds floating-point or complex numbers."""
    name = str(value.dtype).rpartition(".")[2]
    return name.startswith(("float", "complex"))


@dataclass(frozen=True)
class Wrapped:
    """Functions of another library's arrays as functions of NumPy's.

    Attributes:
        cost: the user's cost.
        structure: the parameters, as arrays of NumPy under the user's names.
        likes: the user's own arrays.
        paired: whether the cost returns (cost, anything).
        only: whether nothing but the user's own precision can be evaluated.
    """

    cost: Callable[..., Any]
    structure: Structure
    likes: tuple[Any, ...]
    paired: bool
    only: bool = False

    def __call__(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """The cost as a number, or (number, None)."""
        returned = self.cost(self._nest(arrays), *args, **options)
        if self.paired and isinstance(returned, tuple | list) and returned:
            return plain(returned[0]), None
        return plain(returned)

    def claimed(
        self, grads: Callable[..., Any], arrays: Sequence[NDArray[Any]], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """What the user's gradient returns, as arrays of NumPy by name."""
        return claims_of(grads(self._nest(arrays), *args, **options), self.structure)

    def both(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """Cost and claim of a cost that returns both."""
        returned = self.cost(self._nest(arrays), *args, **options)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            return plain(returned)
        return plain(returned[0]), claims_of(returned[1], self.structure)

    def _nest(self, arrays: Sequence[NDArray[Any]]) -> Any:
        own = [leaf.array.dtype for leaf in self.structure.leaves]
        given = [a.astype(dtype) if self.only else a for a, dtype in zip(arrays, own, strict=True)]
        return self.structure.rebuild([of_array(a, like) for a, like in zip(given, self.likes, strict=True)])


def of_array(array: NDArray[Any], like: Any) -> Any:
    """NumPy's numbers as an array of another library, in the format that they have."""
    library = namespace_of(like)
    if library is None:
        return np.array(array)
    make = getattr(library, "asarray", None) or library.array
    name = str(array.dtype)
    return make(np.ascontiguousarray(array).reshape(array.shape), dtype=getattr(library, name))


def plain(returned: Any) -> Any:
    """A returned cost as NumPy knows it."""
    if namespace_of(returned) is None:
        return returned
    array = array_of(returned, "what the cost returns")
    return np.float64(array.reshape(())) if array.size == 1 and array.dtype.kind == "f" else array


def structure_of(tree: Any, root: str, collected: list[Any]) -> Structure:
    """Takes a nesting apart; what it holds is collected as it is, in order."""

    def moved(value: Any) -> NDArray[Any] | None:
        if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
            collected.append(value)
            return value
        if namespace_of(value) is None or not is_inexact(value):
            return None
        collected.append(value)
        return array_of(value, root)

    return Structure.of(tree, root, moved)


def claims_of(grads: Any, structure: Structure) -> Any:
    """A claimed gradient as arrays of NumPy by name."""
    bare = structure.names == (structure.root,)
    found = structure_of(grads, structure.root if bare else "grads", [])
    entries = {leaf.name: leaf.array for leaf in found.leaves}
    if bare and len(entries) == 1:
        entries = {structure.root: next(iter(entries.values()))}
    return Flat(entries)


def translated(wanted: Wanted, root: str) -> Translated:
    """A cost of another library's arrays.

    Raises:
        InputError: the arrays do not give their numbers, or no gradient is claimed.
    """
    doing = "setting up the check"
    likes: list[Any] = []
    cost, grads = wanted.cost, wanted.grads
    structure = structure_of(wanted.params, root, likes)
    library = next((namespace_of(x) for x in likes if namespace_of(x) is not None), None)
    name = getattr(library, "__name__", "that library")
    if grads is None:
        raise InputError.of(doing, "`grads`", f"the claimed gradient, as no reverse mode of {name} is known", "None",
                            "Pass it as arrays, or as a function of the parameters.")  # fmt: skip
    if not takes_parameters(cost):
        raise InputError.of(doing, "`cost`", f"a function of the parameters, as arrays of {name} are copied",
                            "one without arguments", "Let the cost take the parameters.")  # fmt: skip
    wrapped = Wrapped(cost, structure, tuple(likes), wanted.paired or grads is True)
    native = _native(wrapped, wanted.args, wanted.options)
    wrapped = replace(wrapped, only=native)
    claim: Any = grads
    if grads is True:
        claim = True
    elif callable(grads):
        claim = _claim(wrapped, grads)
    else:
        claim = claims_of(grads, structure)
    foreign = Foreign(
        structure.listed(), computed=callable(grads) or grads is True, native=native, twin=not native,
        notes=(NATIVE,) if native else (), evaluations=2, user=cost,
    )  # fmt: skip
    return Translated(wrapped.both if grads is True else wrapped, claim, foreign)


def _claim(wrapped: Wrapped, grads: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(arrays: Sequence[Any], *args: Any, **options: Any) -> Any:
        return wrapped.claimed(grads, arrays, args, options)

    return gradient


def _native(wrapped: Wrapped, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether the cost can be had in the user's own precision alone."""
    own = [leaf.array for leaf in wrapped.structure.leaves]
    wide = [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) for a in own]
    if all(a.dtype == w.dtype for a, w in zip(own, wide, strict=True)):
        return False
    try:
        here, there = (_number(wrapped(arrays, *args, **options)) for arrays in (own, wide))
        kept = [array_of(of_array(w, like)).dtype for w, like in zip(wide, wrapped.likes, strict=True)]
    except Exception:  # a format that the library does not have, or not everywhere
        return True
    same = kept == [w.dtype for w in wide]
    return not (same and abs(here - there) <= ANOTHER * max(abs(here), abs(there)))


def _number(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def across(value: Any, like: Any) -> Any:
    """A nesting of NumPy's arrays with those of another library wherever a nesting like it has them."""
    if namespace_of(like) is not None:
        return of_array(np.asarray(value), like) if is_inexact(like) else like
    if isinstance(like, Mapping):
        return {key: across(value[key], part) for key, part in like.items()}
    if type(like) in (list, tuple):
        return type(like)(across(a, b) for a, b in zip(value, like, strict=True))
    return value


def back(value: Any) -> Any:
    """A nesting with arrays of NumPy in the place of those of another library."""
    if namespace_of(value) is not None:
        return array_of(value)
    if isinstance(value, Mapping):
        return {key: back(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(back, value)) if isinstance(value, tuple) else [*map(back, value)]
    return value


@dataclass(frozen=True)
class OfArrays:
    """A function of another library's arrays as one of NumPy's.

    Attributes:
        function: the user's function.
        inputs: its inputs, of the library's arrays.
        keywords: its keyword arguments.
    """

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """What the function returns, as arrays of NumPy."""
        given = (across(a, b) for a, b in zip(inputs, self.inputs, strict=True))
        return back(self.function(*given, **across(keywords, self.keywords)))


@dataclass(frozen=True)
class PassOfArrays:
    """A vector-Jacobian product of another library's arrays as one of NumPy's.

    Attributes:
        vjp: the user's, ``vjp(inputs, cotangent) -> tuple``.
        inputs: the inputs, of the library's arrays.
        like: any of these arrays.
    """

    vjp: Callable[..., Any]
    inputs: tuple[Any, ...]
    like: Any

    def __call__(self, inputs: Sequence[Any], cotangent: Any) -> Any:
        """The product, as arrays of NumPy."""
        given = tuple(across(a, b) for a, b in zip(inputs, self.inputs, strict=True))
        many = isinstance(cotangent, tuple)
        handed = tuple(of_array(u, self.like) for u in cotangent) if many else of_array(cotangent, self.like)
        return back(self.vjp(given, handed))


def first_in(tree: Any) -> Any:
    """The first array of another library in a nesting; None where there is none."""
    if namespace_of(tree) is not None:
        return tree
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list | tuple) else ()
    return next((found for part in parts if (found := first_in(part)) is not None), None)
