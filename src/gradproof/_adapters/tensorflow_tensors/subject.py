"""A function of TensorFlow's tensors as what can be judged: as a cost, by laws, in its second derivative."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradproof._adapters.numpy import Call
from gradproof._adapters.tensorflow_tensors import functions
from gradproof._adapters.tensorflow_tensors.backward import Graph
from gradproof._adapters.tensorflow_tensors.functions import Function, Pass
from gradproof._adapters.tensorflow_tensors.tensors import array_of
from gradproof._algebra.backward import Cotangents, Repair, Slot
from gradproof._errors import InputError

#: Which set of random cotangents the second derivative is taken at.
SECOND = 7


@dataclass(frozen=True)
class TensorFlowSubject:
    """A function with a backward pass.

    Attributes:
        function: the function, taken apart.
        claim: the user's own backward pass; None for a tape.
        twin: the same function in float64, if one was given.
        seed: of the cotangents.
    """

    function: Function
    claim: Pass | None
    twin: Function | None
    seed: int

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        return self.backward().outputs

    def cotangents(self, number: int = 0) -> Cotangents:
        """Random cotangents, each time the same for a number."""
        return functions.cotangents(self.function, self.seed, number)

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""
        claim = self._repaired(repair)
        if self.twin is not None:
            made = functions.of_twin(self.function, self.twin, chosen, claim)
        else:
            made = functions.of_function(self.function, chosen, claim)
        return Call(made.cost, None, made.grads, (), {}, foreign=made.foreign)

    def _repaired(self, repair: Repair | None) -> Pass | None:
        if repair is None:
            return self.claim
        claim = self.claim or functions.by_tape(self.function)
        mend = {
            Repair.CONJUGATED: functions.conjugated,
            Repair.CONJUGATE: functions.conjugate_of,
            Repair.WITHOUT_CONSTANT: functions.without_constant,
        }
        return mend[repair](claim)

    def backward(self) -> Graph:
        """The backward pass, for the laws."""
        return Graph(self.function, self.function.random(), self.claim)

    def second(self) -> "TensorFlowSubject | str":
        """The backward pass as a function of inputs and cotangents; words where it cannot be differentiated."""
        given = functions.cotangents(self.function, self.seed, SECOND)
        claim = self.claim or functions.by_tape(self.function)
        count = len(self.function.likes)
        us = functions.handed(given, self.function, native=True)

        def backward(*arrays: Any) -> list[Any]:
            return [g for g in claim(arrays[:count], arrays[count:]) if g is not None]

        found = functions.opened(backward, [*self.function.likes, *us], {}, None)
        names = ["cotangent"] if len(us) == 1 else [f"cotangents[{i}]" for i in range(len(us))]
        found = functions.renamed(found, [*self.function.structure.names, *names])
        trouble = _trouble(found)
        return trouble or TensorFlowSubject(found, None, None, self.seed + 1)


def _trouble(function: Function) -> str:
    """Why a function cannot be differentiated; "" where it can."""
    try:
        outputs, tape, watched = functions.pulled_back(function, function.likes, range(len(function.outputs)))
        tape.gradient(outputs, watched)
    except Exception as error:  # whatever it is, it is what there is to report
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return ""


def tensorflow_subject(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any],
    argnums: Sequence[int] | None, vjp: Callable[..., Any] | None, twin: Callable[..., Any] | None, seed: int,
) -> TensorFlowSubject:  # fmt: skip
    """Takes a call of ``check_function`` apart.

    Raises:
        InputError: it cannot be checked.
    """
    found = functions.opened(function, inputs, keywords, argnums)
    claim = None if vjp is None else functions.own(vjp, found)
    return TensorFlowSubject(found, claim, None if twin is None else _twin(twin, found), seed)


def _twin(twin: Callable[..., Any], found: Function) -> Function:
    """The twin, which is given float64 copies of all inputs."""
    made = Function(twin, found.whole, found.values, found.chosen, found.structure)
    outputs = made.returned([functions.wide(x) for x in found.likes])
    shapes = [array_of(y).shape for y in outputs]
    if shapes != [shape for shape, _ in found.outputs]:
        raise InputError.of(
            "setting up the check of a function", "`twin`",
            f"a function with outputs of the shapes {[shape for shape, _ in found.outputs]}", str(shapes),
            "Return the same outputs in the same order.",
        )  # fmt: skip
    return made
