"""A function of arrays that never change, as what can be judged: as a cost, by laws, and in its second derivative.

The decision behind it: JAX and TensorFlow differ in how a function is taken apart and differentiated, and in nothing
that is judged. What they differ in is a kit of functions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gradproof._adapters.foreign import Translated
from gradproof._adapters.numpy import Call
from gradproof._adapters.selecting import DOING
from gradproof._algebra.backward import Backward, Cotangents, Doubled, Repair, Slot
from gradproof._errors import InputError

#: A backward pass: arrays that are moved and one cotangent an output (None: undefined) to one gradient an array.
Pass = Callable[[Sequence[Any], Sequence[Any | None]], Sequence[Any]]
#: Which set of random cotangents the second derivative is taken at.
SECOND = 7


class Function(Protocol):
    """A function with its inputs taken apart."""

    @property
    def likes(self) -> tuple[Any, ...]:
        """The arrays that are differentiated."""

    @property
    def structure(self) -> Any:
        """These under their names."""

    @property
    def outputs(self) -> tuple[tuple[tuple[int, ...], Any], ...]:
        """Shapes and formats of the outputs that can be differentiated."""


class Kit(Protocol):
    """What a framework does with a function."""

    def opened(
        self, function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any],
        argnums: Sequence[int] | None,
    ) -> Any:  # fmt: skip
        """Takes a function's inputs apart."""

    def renamed(self, function: Any, names: Sequence[str]) -> Any:
        """The same function with other names for its inputs."""

    def cotangents(self, function: Any, seed: int, number: int = 0) -> Cotangents:
        """Random cotangents in double precision."""

    def handed(self, chosen: Cotangents, function: Any) -> list[Any]:
        """Cotangents as the user's backward passes are given them."""

    def own(self, vjp: Callable[..., Any], function: Any) -> Pass:
        """The user's vector-Jacobian product as a backward pass."""

    def reverse(self, function: Any) -> Pass:
        """What reverse mode makes of a function."""

    def mended(self, claim: Pass, repair: Repair) -> Pass:
        """A backward pass with what it lacks."""

    def of_function(self, function: Any, chosen: Cotangents, claim: Pass | None) -> Translated:
        """The function with cotangents as a cost."""

    def of_twin(self, function: Any, twin: Any, chosen: Cotangents, claim: Pass | None) -> Translated:
        """The same with the cost of its twin."""

    def twin(self, twin: Callable[..., Any], found: Any) -> tuple[Any, list[tuple[int, ...]]]:
        """The twin taken apart, and the shapes of its outputs."""

    def graph(self, function: Any, claim: Pass | None) -> Backward:
        """The backward pass, for the laws."""

    def doubled(self, function: Any, claim: Pass) -> Doubled | None:
        """Function and backward pass in double precision; None where there is none."""

    def run_once(self, function: Any) -> None:
        """A forward and a backward pass; raises where there is none."""


@dataclass(frozen=True)
class FunctionalSubject:
    """A function with a backward pass.

    Attributes:
        kit: what its framework does with it.
        function: the function, taken apart.
        claim: the user's own backward pass; None for reverse mode.
        twin: the same function in float64, if one was given.
        seed: of the cotangents.
    """

    kit: Kit
    function: Any
    claim: Pass | None
    twin: Any
    seed: int

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        return tuple(self.backward().outputs)

    def cotangents(self, number: int = 0) -> Cotangents:
        """Random cotangents, each time the same for a number."""
        return self.kit.cotangents(self.function, self.seed, number)

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""
        claim = self.claim
        if repair is not None:
            claim = self.kit.mended(claim or self.kit.reverse(self.function), repair)
        if self.twin is not None:
            made = self.kit.of_twin(self.function, self.twin, chosen, claim)
        else:
            made = self.kit.of_function(self.function, chosen, claim)
        return Call(made.cost, None, made.grads, (), {}, foreign=made.foreign)

    def backward(self) -> Backward:
        """The backward pass, for the laws."""
        return self.kit.graph(self.function, self.claim)

    def doubled(self) -> Doubled | None:
        """Function and backward pass in double precision; None where there is none, or numbers are complex."""
        slots = (*self.outputs, *self.backward().inputs)
        if self.twin is not None or any(slot.complex for slot in slots):
            return None
        return self.kit.doubled(self.function, self.claim or self.kit.reverse(self.function))

    def second(self) -> "FunctionalSubject | str":
        """The backward pass as a function of inputs and cotangents; words where it cannot be differentiated."""
        given = self.kit.cotangents(self.function, self.seed, SECOND)
        claim = self.claim or self.kit.reverse(self.function)
        count = len(self.function.likes)
        us = self.kit.handed(given, self.function)

        def backward(*arrays: Any) -> list[Any]:
            return [g for g in claim(arrays[:count], arrays[count:]) if g is not None]

        found = self.kit.opened(backward, [*self.function.likes, *us], {}, None)
        names = ["cotangent"] if len(us) == 1 else [f"cotangents[{i}]" for i in range(len(us))]
        found = self.kit.renamed(found, [*self.function.structure.names, *names])
        return _trouble(self.kit, found) or FunctionalSubject(self.kit, found, None, None, self.seed + 1)


def _trouble(kit: Kit, function: Any) -> str:
    """Why a function cannot be differentiated; "" where it can."""
    try:
        kit.run_once(function)
    except Exception as error:  # whatever it is, it is what there is to report
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return ""


def subject_of(
    kit: Kit, function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any],
    argnums: Sequence[int] | None, vjp: Callable[..., Any] | None, twin: Callable[..., Any] | None, seed: int,
) -> FunctionalSubject:  # fmt: skip
    """Takes a call of ``check_function`` apart.

    Raises:
        InputError: it cannot be checked.
    """
    found = kit.opened(function, inputs, keywords, argnums)
    claim = None if vjp is None else kit.own(vjp, found)
    if twin is None:
        return FunctionalSubject(kit, found, claim, None, seed)
    made, shapes = kit.twin(twin, found)
    if shapes != [shape for shape, _ in found.outputs]:
        raise InputError.of(
            DOING, "`twin`", f"a function with outputs of the shapes {[shape for shape, _ in found.outputs]}",
            str(shapes), "Return the same outputs in the same order.",
        )  # fmt: skip
    return FunctionalSubject(kit, found, claim, made, seed)
