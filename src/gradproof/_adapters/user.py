"""The user's cost and gradient as they are called: what they are given, what they may return.

The decision behind it: everything a cost can do wrong (return nothing, an array, NaN; change its parameters; raise
beside the point) is met here, at the edge, so that the core is only ever handed a number or NaN.
"""

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._records import Tensor
from gradproof._tree import Kind, Leaf, Structure

if TYPE_CHECKING:
    from gradproof._adapters.domains import Domains


@dataclass(frozen=True)
class Caller:
    """How the user's functions are called.

    Attributes:
        cost: the user's cost.
        structure: the nesting of parameters.
        moved: for each leaf its tensor, or None where it is left alone.
        args: positional arguments after the parameters.
        options: keyword arguments.
        live: whether the functions take no parameters and read the user's own arrays.
        paired: whether the cost returns (cost, something).
        domains: where each leaf may go; empty where all may go anywhere.
        conjugate: whether claims for complex leaves are dcost/dRe - i dcost/dIm.
    """

    cost: Callable[..., Any]
    structure: Structure
    moved: tuple[Tensor | None, ...]
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None
    live: bool = False
    paired: bool = False
    domains: "Domains" = ()
    conjugate: bool = False

    def present(self, work: NDArray[Any]) -> list[Any]:
        """The flat vector as the user's leaves: views where possible, in the precision of the vector."""
        return [self.leaf(leaf, tensor, work) for leaf, tensor in zip(self.structure.leaves, self.moved, strict=True)]

    def leaf(self, leaf: Leaf, tensor: Tensor | None, work: NDArray[Any]) -> Any:
        """One leaf of the user's, as ``present`` makes it."""
        if tensor is None:
            if leaf.kind is not Kind.ARRAY:
                return leaf.value
            kind = np.result_type(work.dtype, 1j) if np.iscomplexobj(leaf.value) else work.dtype
            return np.array(leaf.value, dtype=kind)
        part = work[..., tensor.offset : tensor.offset + tensor.size]
        if tensor.complex:
            part = part.view(np.result_type(work.dtype, 1j))
        if work.ndim == 2:
            return part.reshape(len(work), *tensor.shape)
        if leaf.kind is Kind.PYTHON_FLOAT:
            return float(part[0]) if work.dtype == np.float64 else part[0]
        if leaf.kind is Kind.PYTHON_COMPLEX:
            return complex(part[0]) if work.dtype == np.float64 else part[0]
        if leaf.kind is Kind.NUMPY_SCALAR:
            return part[0]
        if len(tensor.shape) == 1:
            return part
        array = part.reshape(tensor.shape)
        flags = leaf.value.flags
        return np.asfortranarray(array) if flags.f_contiguous and not flags.c_contiguous else array

    def call(self, function: Callable[..., Any], work: NDArray[Any], *, native: bool = False) -> Any:
        """Calls one of the user's functions at the parameters in a vector.

        Args:
            function: the cost or the claimed gradient.
            work: all moved coordinates.
            native: hand over the parameters in the user's own dtypes.
        """
        return self.hand_over(function, self.present(work), native=native)

    def hand_over(self, function: Callable[..., Any], values: list[Any], *, native: bool = False) -> Any:
        """Calls one of the user's functions with so many leaves."""
        options = self.options or {}
        if self.domains:
            from gradproof._adapters.domains import presented  # hardly any check has them

            values = presented(self.domains, values)
        if self.live:
            for leaf, value in zip(self.structure.leaves, values, strict=True):
                np.copyto(leaf.value, value, casting="unsafe")
            return function(*self.args, **options)
        if native:
            values = [_own(leaf, value) for leaf, value in zip(self.structure.leaves, values, strict=True)]
        return function(self.structure.rebuild(values), *self.args, **options)

    def evaluate(self, work: NDArray[Any], values: list[Any] | None = None) -> Any:
        """The cost beside the point: a number, or NaN where it raises or is no finite number.

        Args:
            work: all moved coordinates.
            values: the same as the user's leaves, where they are at hand.
        """
        with np.errstate(all="ignore"):
            return self.value(self.present(work) if values is None else values)

    def value(self, values: list[Any]) -> Any:
        """The same with so many leaves, by a caller that has silenced NumPy's warnings."""
        try:
            returned = self.hand_over(self.cost, values)
        except Exception:  # whatever it raises, the point is outside the cost's domain
            return np.nan
        if type(returned) is np.float64 and not self.paired:
            return returned if math.isfinite(returned) else np.nan
        if self.paired:
            returned = returned[0] if isinstance(returned, tuple | list) and returned else None
        value = scalar(returned)
        return np.nan if value is None or not np.isfinite(value) else value

    def evaluate_many(self, work: NDArray[Any]) -> NDArray[Any]:
        """The costs of several parameter sets, one a row; NaN where they have none, all NaN where it raises."""
        with np.errstate(all="ignore"):
            try:
                costs = np.asarray(self.call(self.cost, work))
                found = costs.reshape(len(work)).astype(work.dtype)
            except Exception:  # whatever it raises, some row is outside the cost's domain
                return np.full(len(work), np.nan)
        return np.where(np.isfinite(found), found, np.nan)

    def at_point(self, before: NDArray[Any]) -> Any:
        """The cost at the point itself, where only a finite number will do; it is given a copy.

        Raises:
            InputError: it is something else; what the cost raises goes through with a note.
        """
        work = before.copy()
        try:
            returned = self.call(self.cost, work)
            if work.ndim == 2:
                returned = self._first(returned, len(work))
        except Exception as error:
            error.add_note("gradproof: raised by the cost at the given parameters, before anything was checked.")
            raise
        changed = self.changed(before, work)
        if changed is not None:
            raise InputError.of(
                "evaluating the cost at the given parameters", changed, "left as it was",
                "changed in place by the cost", "Make the cost work on a copy: `W = W - ...` in place of `W -= ...`.",
            )  # fmt: skip
        return self._checked(returned, before)

    def _first(self, returned: Any, rows: int) -> Any:
        costs = np.asarray(returned)
        if costs.shape not in ((rows,), (rows, 1)):
            raise InputError.of(
                "evaluating the cost with vectorized=True", "what the cost returns",
                f"one cost for each of {rows} parameter sets, shape ({rows},)", _described(returned),
                "Let the cost keep the leading axis, or drop vectorized=True.",
            )  # fmt: skip
        return costs.reshape(rows)[0]

    def _checked(self, returned: Any, work: NDArray[Any]) -> Any:
        doing, what = "evaluating the cost at the given parameters", "what the cost returns"
        if self.paired:
            if not (isinstance(returned, tuple | list) and len(returned) == 2):
                raise InputError.of(
                    doing, what, "a pair (cost, ...)", _described(returned), "Drop grads=True or has_aux=True."
                )
            returned = returned[0]
        value = scalar(returned)
        if value is None:
            raise InputError.of(doing, what, "one real number", _described(returned), self._instead(returned))
        if not np.isfinite(value):
            ranges = ", ".join(
                f"{t.name} in [{np.min(part):.3g}, {np.max(part):.3g}]"
                for t in self.moved
                if t is not None and (part := work[..., t.offset : t.offset + t.size]).size
            )
            raise InputError.of(
                doing, "the cost", "finite", f"{value} with {ranges}", "Choose parameters at which the cost is finite."
            )
        return value

    def _instead(self, returned: Any) -> str:
        """What to do about a cost that returns no number."""
        if isinstance(returned, tuple) and returned and scalar(returned[0]) is not None:
            if self.paired:
                return "It may return (cost, grads) with grads=True, or (cost, anything) with has_aux=True, not both."
            return "Pass grads=True where it returns (cost, grads), has_aux=True where it returns (cost, anything)."
        if isinstance(returned, np.ndarray | list | tuple) and np.ndim(returned) and len(returned) != 1:
            return "For a function with several values use gradproof.check_function, or sum them up to one cost."
        return "Return the cost itself."

    def changed(self, before: NDArray[Any], after: NDArray[Any]) -> str | None:
        """The name of the first parameter that a function changed in place; None where it left them alone.

        Args:
            before: the coordinates it was called at.
            after: the vector it was given, now.
        """
        if self.live:
            for leaf, value in zip(self.structure.leaves, self.present(before), strict=True):
                if not np.array_equal(leaf.value, np.asarray(value).astype(leaf.value.dtype), equal_nan=True):
                    return leaf.name
            return None
        if np.array_equal(before, after):
            return None
        for tensor in self.moved:
            part = slice(tensor.offset, tensor.offset + tensor.size) if tensor is not None else slice(0)
            if tensor is not None and not np.array_equal(before[..., part], after[..., part], equal_nan=True):
                return tensor.name
        return None


_SHAPE = attrgetter("shape")


class Presented:
    """A working vector with the views of it that the user's cost is given, made once for many evaluations.

    Whoever keeps one of them, or anything that shares its memory, keeps the vector, and the next evaluation needs
    another: it is no longer ``free``.
    """

    __slots__ = ("_alone", "_caller", "_lasting", "_views", "_watched", "work")

    def __init__(self, caller: Caller, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.work = np.empty(shape, dtype)
        self._caller = caller
        leaves = caller.present(self.work)
        self._views = [v if isinstance(v, np.ndarray) and v.base is self.work else None for v in leaves]
        self._watched = [self.work, *(v for v in self._views if v is not None)]
        self._lasting = len(self._watched) == 1 + len(leaves)
        del leaves
        self._alone = self._state()

    def _state(self) -> list[Any]:
        """Numbers of references to the vector and to each view, and their shapes."""
        return [*map(sys.getrefcount, self._watched), *map(_SHAPE, self._watched)]

    def free(self) -> NDArray[Any] | None:
        """The vector; None where someone else still holds it or one of its views, or has changed a view's shape."""
        return self.work if self._state() == self._alone else None

    def values(self) -> list[Any]:
        """The user's leaves for what the vector holds now."""
        if self._lasting:
            return [*self._views]
        moved, leaves = self._caller.moved, self._caller.structure.leaves
        return [
            self._caller.leaf(leaf, tensor, self.work) if view is None else view
            for leaf, tensor, view in zip(leaves, moved, self._views, strict=True)
        ]


def _own(leaf: Leaf, value: Any) -> Any:
    if leaf.kind is Kind.ARRAY:
        return np.asarray(value).astype(leaf.value.dtype)
    return type(leaf.value)(value)


def scalar(returned: Any) -> Any:
    """A cost as a real scalar in its own precision; None where it is none."""
    if type(returned) is np.float64 or type(returned) is float:
        return returned
    if isinstance(returned, bool | np.bool_ | str | bytes) or returned is None:
        return None
    if isinstance(returned, int | np.integer):
        return float(returned)
    if isinstance(returned, float | np.floating):
        return returned
    if isinstance(returned, complex | np.complexfloating):
        return None
    try:
        array = np.asarray(returned)
    except Exception:  # an object that pretends to be an array
        return None
    if array.size != 1 or array.dtype.kind not in "fiu":
        return None
    value = array.reshape(())[()]
    return float(value) if array.dtype.kind in "iu" else value


def _described(returned: Any) -> str:
    if isinstance(returned, np.ndarray):
        return f"an array of shape {returned.shape} and dtype {returned.dtype}"
    if isinstance(returned, str | float | int | complex) or returned is None:
        return f"{returned!r}"[:60]
    return f"a {type(returned).__name__}"


def takes_parameters(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with one positional argument; a function that cannot tell is taken to."""
    return argument_name(function) is not None


def argument_name(function: Callable[..., Any], fallback: str = "params") -> str | None:
    """The user's name for the parameters, the first argument of the cost; None where it takes no positional one.

    Args:
        function: the cost.
        fallback: the name where the function cannot tell.
    """
    bound = isinstance(function, MethodType)
    plain = function.__func__ if isinstance(function, MethodType) else function
    if type(plain) is FunctionType and plain.__code__.co_argcount > bound and not vars(plain):
        return plain.__code__.co_varnames[bound]  # what a signature would say, which takes ten times as long
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return fallback
    positional = any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters.values())
    return next(iter(parameters)) if positional else None
