"""A gradient with its claimed derivative, the Hessian, as a cost with a claimed gradient.

The decision behind it: the derivative of direction . gradient is the Hessian times the direction. So one random
direction makes a Hessian, of any form, a gradient like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat, framework_in, numbers
from gradproof._adapters.numpy import Call
from gradproof._adapters.translating import in_numpy
from gradproof._adapters.user import argument_name, takes_parameters
from gradproof._adapters.vectors import fitting, returned, vector_of
from gradproof._errors import InputError
from gradproof._tree import Leaf, Structure, pair

DOING = "setting up the check of a Hessian"


@dataclass(frozen=True)
class Hessian:
    """A gradient and its claimed derivative, taken apart.

    Attributes:
        grads: the user's gradient, ``grads(params, *args, **options)``.
        params: the parameters.
        claim: the Hessian as an array, a nesting of blocks, or a function of the parameters; None for ``product``, or
            where the framework differentiates the gradient.
        product: ``hvp(params, vector, *args, **options)``, if given.
        args: further arguments.
        options: keyword arguments.
        structure: the parameters with their names, as arrays.
        directions: two random vectors, one array a parameter.
    """

    grads: Callable[..., Any]
    params: Any
    claim: Any
    product: Callable[..., Any] | None
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    structure: Structure
    directions: tuple[list[NDArray[Any]], list[NDArray[Any]]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return self.structure.names

    def call(self) -> Call:
        """The cost direction . gradient with the Hessian times the direction as the claim."""
        framework = framework_in(self.params)
        given = self.claim is not None or self.product is not None
        claimed: Any = self._claimed if given else None
        if given and self.product is None and not _computed(self.claim):
            claimed = self._claimed(self.params)  # numbers for this point alone
        cost: Callable[..., Any] = self._cost
        if framework == "torch":
            from gradproof._adapters.pytorch.hessians import along

            cost = along(self.grads, self._gradient, self.directions[0])
        elif framework == "jax":
            from gradproof._adapters.jax_arrays import hessians as jax_hessians

            cost = jax_hessians.along(self.grads, self.structure, self.directions[0])
        elif framework == "tensorflow":
            from gradproof._adapters.tensorflow_tensors import hessians as tensorflow_hessians

            cost = tensorflow_hessians.along(self.grads, self.structure, self.directions[0])
        elif not given:
            raise InputError.of(
                DOING, "`hessian`", "the claimed Hessian, or hvp=, as NumPy has no reverse mode", "None",
                "Pass hessian= (an array or a function of the parameters) or hvp=.",
            )  # fmt: skip
        call = Call(wraps(self.grads)(partial(_called, cost)), self.params, claimed, self.args, self.options)
        return in_numpy(call, ())

    def times(self, params: Any, vector: Sequence[NDArray[Any]], *args: Any, **options: Any) -> list[NDArray[Any]]:
        """The claimed Hessian times a vector, one array a parameter."""
        if self.product is not None:
            nested = self._nested(params, vector)
            return [np.asarray(v) for v in self._values(self.product(params, nested, *args, **options), numbers)]
        claim = self.claim
        found = claim(params, *args, **options) if _computed(claim) else claim
        matrix = self._matrix(found)
        flat = np.concatenate([v.reshape(-1) for v in vector])
        moved = np.asarray(matrix @ flat).reshape(-1)
        kept = getattr(matrix, "dtype", moved.dtype)
        parts = np.split(moved.astype(kept), np.cumsum([leaf.array.size for leaf in self.structure.leaves])[:-1])
        return [part.reshape(leaf.array.shape) for part, leaf in zip(parts, self.structure.leaves, strict=True)]

    def asymmetry(self) -> tuple[float, str]:
        """How far the claimed Hessian is from being symmetric, relative, and where that is worst."""
        first, second = self.directions
        once = [self.times(self.params, v, *self.args, **self.options) for v in (first, second)]
        one = sum(float(np.vdot(b, h)) for b, h in zip(second, once[0], strict=True))
        other = sum(float(np.vdot(a, h)) for a, h in zip(first, once[1], strict=True))
        size = max(_norm(second) * _norm(once[0]), _norm(first) * _norm(once[1]))
        return (abs(one - other) / size if size else 0.0), self._worst()

    def _worst(self) -> str:
        """The pair of elements that is least symmetric, where the Hessian is at hand as numbers."""
        if self.product is not None:
            return ""
        claim = self.claim
        if _computed(claim):
            claim = claim(self.params, *self.args, **self.options)
        matrix = self._matrix(claim)
        if not isinstance(matrix, np.ndarray):
            return ""
        apart = np.abs(matrix - matrix.T)
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(apart)), apart.shape))
        return f"{matrix[i, j]:.6g} for {self._element(i)} and {self._element(j)}, {matrix[j, i]:.6g} the other way"

    def _element(self, position: int) -> str:
        for leaf in self.structure.leaves:
            if position < leaf.array.size:
                index = ", ".join(str(int(k)) for k in np.unravel_index(position, leaf.array.shape))
                return f"{leaf.name}[{index}]" if index else leaf.name
            position -= leaf.array.size
        return ""

    def _cost(self, params: Any, *args: Any, **options: Any) -> Any:
        found = self._gradient(self.grads(params, *args, **options))
        return sum(np.sum(u * np.asarray(g)) for u, g in zip(self.directions[0], found, strict=True))

    def _claimed(self, params: Any, *args: Any, **options: Any) -> Flat:
        return Flat(dict(zip(self.names, self.times(params, self.directions[0], *args, **options), strict=True)))

    def _gradient(self, tree: Any) -> list[Any]:
        return fitting(self._values(tree), self.structure.leaves)

    def _values(self, tree: Any, foreign: Callable[[Any], Any] | None = None) -> list[Any]:
        """What a gradient holds, in the order of the parameters."""
        if isinstance(tree, np.ndarray) and tree.size == sum(leaf.array.size for leaf in self.structure.leaves):
            ends = np.cumsum([leaf.array.size for leaf in self.structure.leaves])[:-1]
            parts = np.split(tree.reshape(-1), ends)
            return [part.reshape(leaf.array.shape) for part, leaf in zip(parts, self.structure.leaves, strict=True)]
        kept: dict[int, tuple[Any, Any]] = {}

        def stand_in(value: Any) -> Any:
            if numbers(value) is None:
                return None
            token = np.empty(0)
            kept[id(token)] = token, value if foreign is None else foreign(value)
            return token

        bare = self.names == (self.structure.root,)
        name, framework = self.structure.root if bare else "grads", framework_in(tree)
        if framework == "jax":
            from gradproof._adapters.jax_arrays.trees import entries_of

            entries = {n: np.asarray(v) for n, v in entries_of(tree, name).items()}
        else:
            found = Structure.of(tree, name, stand_in if framework else None)
            entries = {
                leaf.name: kept[id(leaf.value)][1] if id(leaf.value) in kept else leaf.value for leaf in found.leaves
            }
        if bare and len(entries) == 1:
            return list(entries.values())
        partners = pair(self.names, list(entries)).pairs
        missing = [name for name in self.names if name not in partners]
        if missing:
            raise InputError.of(
                "computing direction . gradient", "`grads`", f"a gradient of {', '.join(self.names)}",
                f"none of {', '.join(missing)}", "Return an entry for each parameter.",
            )  # fmt: skip
        return [entries[partners[name]] for name in self.names]

    def _nested(self, params: Any, vector: Sequence[Any]) -> Any:
        """A vector in the nesting of the parameters, which may be tensors."""
        if framework_in(params) == "jax":
            from gradproof._adapters.jax_arrays.hessians import tangent

            return tangent(params, self.structure.root, vector)
        if framework_in(params) == "tensorflow":
            from gradproof._adapters.tensorflow_tensors.hessians import tangent as tangent_of_tensors

            return tangent_of_tensors(params, self.structure.root, vector)
        like = [_same_kind(v, leaf) for v, leaf in zip(vector, self.structure.leaves, strict=True)]
        return _structure(params, self.structure.root).rebuild(like)

    def _matrix(self, claim: Any) -> Any:
        """The Hessian as something that multiplies flat vectors."""
        if framework_in(claim) == "jax" and numbers(claim) is None:
            claim = self._blocks(claim)
        if isinstance(claim, Mapping):
            rows = [
                np.concatenate([_block(claim, a, b) for b in self.structure.leaves], axis=1)
                for a in self.structure.leaves
            ]
            claim = np.concatenate(rows)
        array = numbers(claim)
        matrix = claim if array is None else array
        if isinstance(matrix, list | tuple):
            matrix = np.asarray(matrix)
        count = sum(leaf.array.size for leaf in self.structure.leaves)
        if getattr(matrix, "shape", None) != (count, count):
            raise InputError.of(
                "multiplying by the claimed Hessian", "`hessian`", f"of shape ({count}, {count}), in the order of "
                f"gradproof.to_vector", f"of shape {getattr(matrix, 'shape', None)}",
                "Return one row and one column a parameter element, or a nesting of blocks {name: {name: block}}.",
            )  # fmt: skip
        return matrix

    def _blocks(self, claim: Any) -> dict[str, dict[str, Any]]:
        """What jax.hessian returns, blocks in a nesting of nestings, by the names of rows and columns."""
        from gradproof._adapters.jax_arrays.trees import entries_of

        entries = entries_of(claim, "hessian")
        return {
            row: {
                column: np.asarray(entries[row + ("" if column[0] == "[" else ".") + column]) for column in self.names
            }
            for row in self.names
        }


def _structure(params: Any, root: str) -> Structure:
    """Parameters taken apart, tensors as arrays."""
    framework = framework_in(params)
    if framework == "jax":
        from gradproof._adapters.jax_arrays.trees import structure_of

        return structure_of(params, root, [])
    return Structure.of(params, root, numbers if framework else None)


def _called(function: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """A function that goes by the name, and by the names of arguments, of the one it is wrapped as."""
    return function(*given, **options)


def _computed(claim: Any) -> bool:
    """Whether a claimed Hessian is a function of the parameters; operators may be callable, too."""
    return callable(claim) and not hasattr(claim, "__matmul__")


def _same_kind(vector: NDArray[Any], leaf: Leaf) -> Any:
    return vector.astype(leaf.array.dtype)


def _block(claim: Mapping[str, Any], row: Leaf, column: Leaf) -> NDArray[Any]:
    part = claim[row.name][column.name]
    array = numbers(part)
    found: NDArray[Any] = np.asarray(part if array is None else array)
    return found.reshape(row.array.size, column.array.size)


def _norm(vector: Sequence[NDArray[Any]]) -> float:
    return float(np.sqrt(sum(float(np.vdot(v, v).real) for v in vector)))


def opened_hessian(
    grads: Any, params: Any, hessian: Any, hvp: Any, args: Sequence[Any], options: Mapping[str, Any], seed: int
) -> Hessian:
    """Takes a call of ``check_hessian`` apart.

    Raises:
        InputError: it cannot be checked.
    """
    if not callable(grads) or not takes_parameters(grads):
        raise InputError.of(DOING, "`grads`", "a function of the parameters that returns their gradient",
                            f"a {type(grads).__name__}", "Pass the function itself.")  # fmt: skip
    if hvp is not None and (hessian is not None or not callable(hvp)):
        got = "both" if hessian is not None else f"hvp= as a {type(hvp).__name__}"
        raise InputError.of(DOING, "the claim", "either hessian= or hvp=, a function", got, "Pass one of the two.")
    vector = vector_of(params)
    if isinstance(returned(grads, vector, args, options) if vector is not params else None, np.ndarray):
        params = vector
    root = argument_name(grads) or "params"
    structure = _structure(params, root)
    if not structure.leaves:
        raise InputError.of(DOING, f"`{root}`", "a float array or a nesting of float arrays",
                            f"a {type(params).__name__} without any", "Pass the parameters.")  # fmt: skip
    for leaf in structure.leaves:
        if leaf.array.dtype.kind == "c":
            raise InputError.of(DOING, leaf.name, "real", "complex",
                                "Pass real and imaginary part as two parameters.")  # fmt: skip
    rng = np.random.default_rng([seed, 313])
    formats = [leaf.array.dtype for leaf in structure.leaves]
    directions = tuple(
        [np.asarray(rng.standard_normal(leaf.array.shape)).astype(f).astype(np.float64)
         for leaf, f in zip(structure.leaves, formats, strict=True)]
        for _ in range(2)
    )  # fmt: skip
    return Hessian(grads, params, hessian, hvp, tuple(args), dict(options), structure, (directions[0], directions[1]))
