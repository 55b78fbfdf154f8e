"""What TensorFlow does with a function that is to be judged."""

from collections.abc import Callable
from typing import Any

from gradproof._adapters.functional import Pass
from gradproof._adapters.tensorflow_tensors import functions
from gradproof._adapters.tensorflow_tensors.backward import Graph
from gradproof._adapters.tensorflow_tensors.functions import Function
from gradproof._adapters.tensorflow_tensors.tensors import array_of
from gradproof._algebra.backward import Cotangents, Repair


class TensorFlowKit:
    """The functions that a subject asks for."""

    opened = staticmethod(functions.opened)
    renamed = staticmethod(functions.renamed)
    cotangents = staticmethod(functions.cotangents)
    own = staticmethod(functions.own)
    reverse = staticmethod(functions.by_tape)
    of_function = staticmethod(functions.of_function)
    of_twin = staticmethod(functions.of_twin)

    def handed(self, chosen: Cotangents, function: Function) -> list[Any]:
        """Cotangents in the formats of the outputs."""
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
        return made, [array_of(y).shape for y in made.returned([functions.wide(x) for x in found.likes])]

    def graph(self, function: Function, claim: Pass | None) -> Graph:
        """The backward pass, for the laws."""
        return Graph(function, function.random(), claim)

    def doubled(self, function: Function, claim: Pass) -> None:
        """TensorFlow's functions are not looked at entry by entry: what they do outside of a trace is undone slowly."""

    def run_once(self, function: Function) -> None:
        """A forward and a backward pass."""
        outputs, tape, watched = functions.pulled_back(function, function.likes, range(len(function.outputs)))
        tape.gradient(outputs, watched)
