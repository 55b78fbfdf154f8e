"""What JAX sees of a function: its operations, traced once.

The decision behind it: a function is compiled only if tracing it twice gives the same operations and the same
constants, since what is drawn or counted while tracing would stand still for good. The operations also say where lower
precision and random numbers come in, neither of which a value shows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend import core

from gradproof._adapters.jax_arrays.arrays import is_lower
from gradproof._records import spacing

#: Operations that draw random numbers.
DRAWING = ("random_bits", "rng_bit_generator", "rng_uniform", "threefry2x32")
#: Operations that know their own formats alone.
SEALED = (
    "bitcast_convert_type", "nextafter", "random_bits", "rng_uniform", "rng_bit_generator", "pure_callback",
    "io_callback", "ffi_call",
)  # fmt: skip
#: Operations that others are inside of, and that can be opened.
OPENED = (
    "jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "scan", "while", "cond", "scatter", "scatter-add", "scatter-mul", "scatter-min",
    "scatter-max",
)  # fmt: skip
#: Those of them whose insides are gone through more than once, or not at all.
AROUND = ("scan", "while", "cond")
#: Formats of less than double precision whose rounding is known.
KNOWN = {"float16", "bfloat16", "float32", "complex64"}
#: Functions with a backward pass of their own.
RULED = ("custom_vjp_call", "custom_vjp_call_jaxpr")


@dataclass(frozen=True)
class Traced:
    """A traced function.

    Attributes:
        closed: its operations with the constants in them.
        scalar: whether it returns one real number and nothing else.
    """

    closed: Any
    scalar: bool

    @classmethod
    def of(cls, function: Callable[..., Any], *given: Any) -> "Traced | None":
        """Traces a function; None where it cannot be traced."""
        try:
            closed = jax.make_jaxpr(function)(*given)
        except Exception:  # it is called as it is, and says itself what is wrong
            return None
        avals = closed.out_avals
        one = len(avals) == 1 and np.prod(avals[0].shape, dtype=int) == 1
        return cls(closed, bool(one and jax.numpy.issubdtype(avals[0].dtype, jax.numpy.floating)))

    def same(self, other: "Traced | None") -> bool:
        """Whether another trace has the same operations and constants."""
        if other is None or list(_said(self.closed.jaxpr)) != list(_said(other.closed.jaxpr)):
            return False
        pairs = zip(self.closed.consts, other.closed.consts, strict=False)
        return len(self.closed.consts) == len(other.closed.consts) and all(_equal(a, b) for a, b in pairs)

    def draws(self) -> list[str]:
        """The random numbers that are drawn, in order: shapes and numbers of bits."""
        return [
            f"{name} {[str(v.aval) for v in eqn.outvars]}"
            for eqn in _every(self.closed.jaxpr)
            if (name := eqn.primitive.name) in DRAWING
        ]

    def ruled(self) -> bool:
        """Whether a function with a backward pass of the user's own is in it."""
        return any(eqn.primitive.name in RULED for eqn in _every(self.closed.jaxpr))

    def narrows(self, count: int) -> bool:
        """Whether anything that depends on the first inputs is computed in less than double precision."""
        return _met(self.closed.jaxpr, _first(self.closed.jaxpr, count), _is_lower)

    def least(self, count: int) -> str:
        """The least precise format of what depends on the first inputs; "" where all of it is of double precision."""
        found: set[str] = set()

        def noted(eqn: Any) -> bool:
            found.update(str(v.aval.dtype) for v in eqn.outvars if is_lower(getattr(v.aval, "dtype", "")))
            return False

        _met(self.closed.jaxpr, _first(self.closed.jaxpr, count), noted)
        return max(found & KNOWN, key=spacing, default="")

    def sealed(self, count: int) -> bool:
        """Whether anything that depends on the first inputs is computed where wider numbers cannot get to."""
        return _met(self.closed.jaxpr, _first(self.closed.jaxpr, count), lambda eqn: is_sealed(eqn) and _is_lower(eqn))


def inner(eqn: Any) -> Iterator[Any]:
    """The operations inside an operation."""
    for value in eqn.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part


def _every(jaxpr: Any) -> Iterator[Any]:
    for eqn in jaxpr.eqns:
        yield eqn
        for part in inner(eqn):
            yield from _every(part)


def _said(jaxpr: Any) -> Iterator[Any]:
    """What can be compared: operations with their formats, and numbers written into them."""
    for eqn in _every(jaxpr):
        numbers = [np.asarray(v.val).tolist() for v in eqn.invars if isinstance(v, core.Literal)]
        yield eqn.primitive.name, [str(v.aval) for v in (*eqn.invars, *eqn.outvars)], repr(numbers)


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    first, second = (jax.random.key_data(c) if _is_key(c) else c for c in (a, b))
    first, second = np.asarray(first), np.asarray(second)
    return first.dtype == second.dtype and first.tobytes() == second.tobytes() and first.shape == second.shape


def _is_key(value: Any) -> bool:
    return hasattr(value, "dtype") and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)


def _first(jaxpr: Any, count: int) -> list[bool]:
    return [i < count for i in range(len(jaxpr.invars))]


def _is_lower(eqn: Any) -> bool:
    return any(is_lower(getattr(v.aval, "dtype", "")) for v in eqn.outvars)


def is_sealed(eqn: Any) -> bool:
    """Whether an operation can be carried out in its own formats alone."""
    name = eqn.primitive.name
    return name in SEALED or (name not in OPENED and any(True for _ in inner(eqn)))


def _met(jaxpr: Any, moved: Sequence[bool], wanted: Callable[[Any], bool]) -> bool:
    """Whether an operation that depends on the inputs that are moved is as wanted."""
    known = {v for v, is_moved in zip(jaxpr.invars, moved, strict=True) if is_moved}
    for eqn in jaxpr.eqns:
        given = [not isinstance(v, core.Literal) and v in known for v in eqn.invars]
        if not any(given):
            continue
        parts = list(inner(eqn))
        if (not parts or is_sealed(eqn)) and wanted(eqn):
            return True
        for part in parts:
            # What goes round in a loop, or into one of several branches, is taken to depend on all.
            once = eqn.primitive.name not in AROUND and len(part.invars) == len(given)
            if _met(part, given if once else [True] * len(part.invars), wanted):
                return True
        known.update(eqn.outvars)
    return False
