"""What JAX does with a function that is to be judged."""

from collections.abc import Callable
from typing import Any

import jax

from gradproof._adapters.functional import Pass
from gradproof._adapters.jax_arrays import functions
from gradproof._adapters.jax_arrays.arrays import array_of, double, wide
from gradproof._adapters.jax_arrays.backward import Graph
from gradproof._adapters.jax_arrays.doubled import doubled
from gradproof._adapters.jax_arrays.functions import Function
from gradproof._algebra.backward import Cotangents, Repair


class JaxKit:
    """The functions that a subject asks for."""

    opened = staticmethod(functions.opened)
    renamed = staticmethod(functions.renamed)
    cotangents = staticmethod(functions.cotangents)
    own = staticmethod(functions.own)
    reverse = staticmethod(functions.reversed_by_jax)
    of_function = staticmethod(functions.of_function)
    of_twin = staticmethod(functions.of_twin)
    doubled = staticmethod(doubled)

    def handed(self, chosen: Cotangents, function: Function) -> list[Any]:
        """Cotangents in the formats of the outputs."""
        with function.natively():
            return functions.handed(chosen, function, native=True)

    def mended(self, claim: Pass, repair: Repair) -> Pass:
        """A backward pass with what it lacks."""
        mend = {
            Repair.CONJUGATED: functions.conjugated,
            Repair.CONJUGATE: functions.conjugate_of,
            Repair.WITHOUT_CONSTANT: functions.without_constant,
        }
        return mend[repair](claim)

    def twin(self, twin: Callable[..., Any], found: Function) -> tuple[Function, list[tuple[int, ...]]]:
        """The twin, which is given float64 copies of all inputs."""
        made = Function(twin, found.whole, found.values, found.chosen, found.structure)
        with double():
            outputs = made.returned([wide(x) for x in found.likes])
        return made, [array_of(y).shape for y in outputs]

    def graph(self, function: Function, claim: Pass | None) -> Graph:
        """The backward pass, for the laws."""
        return Graph(function, function.random(), claim)

    def run_once(self, function: Function) -> None:
        """A forward and a backward pass."""
        with function.natively():
            outputs, pull = jax.vjp(lambda *xs: tuple(function.returned(xs)), *function.likes)
            pull(tuple(jax.numpy.ones_like(y) for y in outputs))
