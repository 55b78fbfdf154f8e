"""The operations of a function, carried out in double precision.

The decision behind it: code that asks for a format, or draws random numbers of one, is another function or none where
its inputs are float64. What it does in its own format is a list of operations, and that list can be carried out on
wider numbers: the same constants, the same random numbers, the same branches. An operation that knows its format alone
(bits read as numbers, a call out of JAX) is carried out in it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend import core

from gradproof._adapters.jax_arrays.arrays import is_lower, wide, wider
from gradproof._adapters.jax_arrays.tracing import is_sealed

Values = Sequence[Any]

#: Parameters of operations that name a format.
FORMATS = ("dtype", "preferred_element_type")


def carried_out(closed: Any, values: Values) -> list[Any]:
    """What a traced function returns at other numbers.

    Args:
        closed: its operations, with constants.
        values: the inputs, in double precision where they are numbers of floating point.
    """
    return _run(closed.jaxpr, closed.consts, values)


def _run(jaxpr: Any, constants: Values, values: Values) -> list[Any]:
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(wide, constants), strict=True))
    known |= dict(zip(jaxpr.invars, map(wide, values), strict=True))

    def read(atom: Any) -> Any:
        return wide(jax.numpy.asarray(atom.val, atom.aval.dtype)) if isinstance(atom, core.Literal) else known[atom]

    for eqn in jaxpr.eqns:
        found = _operation(eqn, [read(atom) for atom in eqn.invars])
        known |= dict(zip(eqn.outvars, map(wide, found), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _operation(eqn: Any, given: list[Any]) -> Values:
    name = eqn.primitive.name
    if is_sealed(eqn):
        return _natively(eqn, given)
    if name in SPECIAL:
        return SPECIAL[name](eqn, given)
    params = {key: _wider(value) if key in FORMATS else value for key, value in eqn.params.items()}
    return _bound(eqn, given, params)


def _wider(value: Any) -> Any:
    return wider(value) if value is not None and is_lower(value) else value


def _bound(eqn: Any, given: Values, params: Any) -> Values:
    taken = eqn.primitive.get_bind_params(params)
    functions, params = taken if isinstance(taken, tuple) else ((), taken)  # a pair before JAX 0.10
    found = eqn.primitive.bind(*functions, *given, **params)
    return found if eqn.primitive.multiple_results else [found]


def _natively(eqn: Any, given: Values) -> Values:
    """One operation as it was traced, in its own formats."""
    own = [
        lax.convert_element_type(value, atom.aval.dtype) if is_lower(getattr(atom.aval, "dtype", "")) else value
        for value, atom in zip(given, eqn.invars, strict=True)
    ]
    return _bound(eqn, own, eqn.params)


def _converted(eqn: Any, given: Values) -> Values:
    return [lax.convert_element_type(given[0], _wider(eqn.params["new_dtype"]))]


def _called(eqn: Any, given: Values) -> Values:
    """A function inside the function; of one with rules of its own for derivatives, the function itself."""
    part = next(p for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if (p := eqn.params.get(key)) is not None)
    if isinstance(part, core.ClosedJaxpr):
        return _run(part.jaxpr, part.consts, given)
    return _run(part, (), given)


def _scan(eqn: Any, given: Values) -> Values:
    p = eqn.params
    fixed, carried = p["num_consts"], p["num_carry"]

    def step(carry: Any, x: Any) -> Any:
        found = carried_out(p["jaxpr"], [*given[:fixed], *carry, *x])
        return found[:carried], found[carried:]

    last, each = lax.scan(
        step, list(given[fixed : fixed + carried]), list(given[fixed + carried :]), p["length"], p["reverse"]
    )
    return [*last, *each]


def _while(eqn: Any, given: Values) -> Values:
    p = eqn.params
    asked, done = p["cond_nconsts"], p["body_nconsts"]
    first, second, state = given[:asked], given[asked : asked + done], given[asked + done :]
    found: Values = lax.while_loop(
        lambda now: carried_out(p["cond_jaxpr"], [*first, *now])[0],
        lambda now: carried_out(p["body_jaxpr"], [*second, *now]),
        list(state),
    )
    return found


def _cond(eqn: Any, given: Values) -> Values:
    branches = [lambda *values, part=part: carried_out(part, values) for part in eqn.params["branches"]]
    found: Values = lax.switch(given[0], branches, *given[1:])
    return found


def _scatter(function: Callable[..., Any]) -> Callable[[Any, Values], Values]:
    def rule(eqn: Any, given: Values) -> Values:
        p = eqn.params
        return [function(
            *given, p["dimension_numbers"], indices_are_sorted=p["indices_are_sorted"],
            unique_indices=p["unique_indices"], mode=p["mode"],
        )]  # fmt: skip

    return rule


#: Operations with a rule of their own.
SPECIAL: dict[str, Callable[[Any, Values], Values]] = {
    "convert_element_type": _converted,
    "reduce_precision": lambda eqn, given: given,
    **dict.fromkeys(
        ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2", "custom_jvp_call",
         "custom_vjp_call", "custom_vjp_call_jaxpr"),
        _called,
    ),
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "scatter": _scatter(lax.scatter),
    "scatter-add": _scatter(lax.scatter_add),
    "scatter-mul": _scatter(lax.scatter_mul),
    "scatter-min": _scatter(lax.scatter_min),
    "scatter-max": _scatter(lax.scatter_max),
}  # fmt: skip
