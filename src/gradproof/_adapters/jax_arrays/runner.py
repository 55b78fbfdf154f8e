"""Evaluates and differentiates a target at JAX's arrays with the engine's numbers.

The decision behind it: the engine hands over a list of NumPy arrays and gets numbers back. Whether these arrays hold
float64 copies or the user's own precision says in which of the two the user's code is run. A cost is compiled once for
each precision, where it can be; what the user claims is run as the user would run it.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat
from gradproof._adapters.jax_arrays.arrays import HELD, array_of, double, is_array, is_lower, placed, plain, wider
from gradproof._adapters.jax_arrays.given import Given
from gradproof._adapters.jax_arrays.tracing import Traced
from gradproof._adapters.jax_arrays.trees import entries_of
from gradproof._adapters.jax_arrays.widening import carried_out

#: A function of a list of arrays, further arguments and options.
Target = Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], Any]
#: Arguments of which double-precision copies are kept.
MOST_KEPT = 64


@dataclass(frozen=True)
class Runner:
    """One target with everything that it takes to call it.

    Attributes:
        target: what is called.
        likes: the user's arrays, whose formats and devices are those of the user's code.
        names: their names.
        root: the user's name for all of them.
        data: formats of the trailing arguments that arrive as arrays of NumPy; None for what is one.
        paired: whether the target returns (cost, anything).
        lower: whether any array is kept in less than double precision.
        only: whether the code knows nothing but the user's own precision.
        compiled: whether the target can be compiled.
        ruled: whether backward passes of the user's own are in it: these are run as they are, since what a rule
            remembers in Python would stand still, or leak, in a compiled function.
        widened: whether double precision is had by carrying out the operations of the user's own; claims are then made
            in that alone.
    """

    target: Target
    likes: tuple[Any, ...]
    names: tuple[str, ...]
    root: str
    data: tuple[Any, ...] = ()
    paired: bool = False
    lower: bool = False
    only: bool = False
    compiled: bool = False
    ruled: bool = False
    widened: bool = False
    made: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    kept: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("functions of JAX arrays are evaluated in this process")

    def natively(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether arrays stand for the user's own precision."""
        pairs = zip(arrays, self.likes, strict=True)
        return (
            self.only
            or not self.lower
            or any(a.dtype == HELD[str(x.dtype)] for a, x in pairs if is_lower(x.dtype))
        )  # fmt: skip

    def around(self, *, native: bool) -> AbstractContextManager[Any]:
        """What has to hold while the user's code runs: 64 bits for copies, and for what has as many already."""
        if native and all(is_lower(like.dtype) for like in self.likes):
            return nullcontext()
        return double()

    def given(self, args: Sequence[Any], options: Mapping[str, Any], *, native: bool) -> Given:
        """The user's further arguments: arrays where arrays were passed, in double precision where that is asked."""
        count = len(self.data)
        found = list(args[: len(args) - count])
        for value, dtype in zip(args[len(args) - count :], self.data, strict=True):
            found.append(value if dtype is None else self._once(value, dtype, jnp.array))
        given = Given.of(found, options)
        if native or not self.lower:
            return given
        return replace(given, arrays=tuple(map(self._wide, given.arrays)))

    def _wide(self, value: Any) -> Any:
        if not is_array(value) or not is_lower(value.dtype):
            return value
        return self._once(value, wider(value.dtype), jnp.asarray)

    def _once(self, value: Any, dtype: Any, made: Callable[..., Any]) -> Any:
        """An array in another form, kept for the next call."""
        known = self.kept.get((id(value), str(dtype)))
        if known is None or known[0] is not value:
            if len(self.kept) > MOST_KEPT:
                self.kept.clear()
            known = self.kept[id(value), str(dtype)] = (value, made(value, dtype=dtype))
        return known[1]

    def leaves(self, arrays: Sequence[NDArray[Any]], *, native: bool) -> list[Any]:
        """The engine's arrays for a compiled function."""
        return [placed(a, like, native=native) for a, like in zip(arrays, self.likes, strict=True)]

    def value(self, leaves: Sequence[Any], given: Given, arrays: Sequence[Any]) -> Any:
        """What the target returns as its cost."""
        args, options = given.with_arrays(arrays)
        returned = self.target(list(leaves), args, options)
        return returned[0] if self.paired and _is_pair(returned) else returned

    def traced(
        self, arrays: Sequence[NDArray[Any]], args: Sequence[Any], options: Mapping[str, Any], *, native: bool
    ) -> Traced | None:
        """The operations of the cost in one of the two precisions; None where it cannot be traced."""
        with self.around(native=native):
            given = self.given(args, options, native=native)
            leaves = self.leaves(arrays, native=native)
            return Traced.of(lambda xs, ys: self.value(xs, given, ys), leaves, list(given.arrays))

    def cost(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """The cost, as a NumPy number of double precision; what is no number is returned as it is.

        Arrays with one more axis in front are several sets of parameters, of which each has a cost.
        """
        native = self.natively(arrays)
        sets = bool(arrays) and arrays[0].ndim > self.likes[0].ndim
        function = self._compiled(arrays, args, options, native=native, sets=sets) if self.compiled else None
        with self.around(native=native):
            given = self.given(args, options, native=native)
            leaves = self.leaves(arrays, native=native)
            if function is not None:
                returned = function(leaves, list(given.arrays))
            else:
                returned = self._called(leaves, given, sets=sets)
            found = array_of(returned) if sets else plain(returned)
        return (found, None) if self.paired and not sets else found

    def _called(self, leaves: Sequence[Any], given: Given, *, sets: bool) -> Any:
        """The cost without being compiled."""
        copies = [jnp.asarray(leaf) for leaf in leaves]
        if not sets:
            return self.value(copies, given, given.arrays)
        return jnp.stack([self.value([x[i] for x in copies], given, given.arrays) for i in range(len(copies[0]))])

    def _compiled(
        self, arrays: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any], *, native: bool, sets: bool
    ) -> Callable[..., Any]:
        """The compiled cost, made once for what does not change from call to call."""
        operations = self.widened and not native
        with self.around(native=native or operations):
            given = self.given(args, options, native=native or operations)
        key = "cost", native, sets, given.key, given.formats if operations else None
        if key not in self.made:
            function = partial(_first, self, given)
            if operations:
                single = [a[0] for a in arrays] if sets else arrays
                traced = self.traced(single, args, options, native=True)
                if traced is None:
                    raise TypeError("the cost cannot be traced with these arguments")
                function = partial(_operations, traced.closed)
            self.made[key] = jax.jit(jax.vmap(function, in_axes=(0, None)) if sets else function)
        found: Callable[..., Any] = self.made[key]
        return found

    def derivative(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Flat:
        """What reverse mode says the gradient is, as dcost/dRe + i dcost/dIm; JAX gives its conjugate."""
        native = self.natively(arrays) or self.widened
        with self.around(native=native):
            given = self.given(args, options, native=native)
            leaves = self.leaves(arrays, native=native)
            if self.compiled and not self.ruled:
                key = ("gradient", native, given.key)
                if key not in self.made:
                    self.made[key] = jax.jit(jax.grad(lambda xs, ys: _number(self.value(xs, given, ys))))
                found = self.made[key](leaves, list(given.arrays))
            else:
                copies = [jnp.asarray(leaf) for leaf in leaves]
                found = jax.grad(lambda xs: _number(self.value(xs, given, given.arrays)))(copies)
            return Flat(dict(zip(self.names, map(conjugate, found), strict=True)))

    def claimed(
        self, function: Target, arrays: Sequence[NDArray[Any]], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Flat:
        """What the user's own gradient function returns, called as the user calls it."""
        native = self.natively(arrays) or self.widened
        with self.around(native=native):
            given = self.given(args, options, native=native)
            args, options = given.with_arrays(given.arrays)
            leaves = [jnp.asarray(leaf) for leaf in self.leaves(arrays, native=native)]
            return claims_of(function(leaves, args, options), self.names, self.root)

    def draws(
        self, function: Target | None, arrays: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]
    ) -> bool:
        """Whether the gradient, by a function or by reverse mode, is seen to draw random numbers of JAX."""
        with self.around(native=True):
            given = self.given(args, options, native=True)
            leaves = self.leaves(arrays, native=True)

            def gradient(xs: Sequence[Any], ys: Sequence[Any]) -> Any:
                if function is None:
                    return jax.grad(lambda zs: _number(self.value(zs, given, ys)))(list(xs))
                found = function(list(xs), *given.with_arrays(ys))
                return dict(found.entries) if isinstance(found, Flat) else entries_of(found)

            traced = Traced.of(gradient, leaves, list(given.arrays))
        return traced is not None and bool(traced.draws())

    def both(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """Cost and claim of a target that returns both."""
        value = self.cost(arrays, *args, **options)[0]
        kept: list[Any] = []

        def second(*given: Any) -> Any:
            returned = self.target(*given)
            kept.append(returned)
            return returned[1] if _is_pair(returned) else returned

        claims = self.claimed(second, arrays, args, options)
        return (value, claims) if _is_pair(kept[0]) else value


def _first(runner: Runner, given: Given, leaves: Sequence[Any], arrays: Sequence[Any]) -> Any:
    """The cost of a runner, for what was given besides arrays."""
    return runner.value(leaves, given, arrays)


def _operations(closed: Any, leaves: Sequence[Any], arrays: Sequence[Any]) -> Any:
    """The cost by its operations, carried out in double precision."""
    return carried_out(closed, [*leaves, *arrays])[0]


def _number(value: Any) -> Any:
    return jnp.reshape(value, ())


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, tuple | list) and len(returned) == 2


def conjugate(gradient: Any) -> Any:
    """A gradient of JAX's convention in ours, as an array of NumPy; what is none, or traced, as it is."""
    if not is_array(gradient):
        return gradient.conj() if getattr(getattr(gradient, "dtype", None), "kind", "") == "c" else gradient
    array = array_of(gradient)
    return array.conj() if array.dtype.kind == "c" else array


def claims_of(grads: Any, names: Sequence[str], root: str) -> Flat:
    """A claimed gradient by name, in our convention for complex numbers."""
    if isinstance(grads, Flat):
        return grads
    bare = tuple(names) == (root,)
    entries = {name: conjugate(value) for name, value in entries_of(grads, root if bare else "grads").items()}
    if bare and len(entries) == 1:
        entries = {root: next(iter(entries.values()))}
    return Flat(entries)
