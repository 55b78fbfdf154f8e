"""What can be judged as a function with a backward pass, whatever its arrays are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from gradproof._adapters.domains import Allowed
from gradproof._adapters.foreign import framework_in
from gradproof._adapters.numpy import Call
from gradproof._algebra.backward import Backward, Cotangents, Doubled, Repair, Slot
from gradproof._errors import InputError

if TYPE_CHECKING:
    from gradproof._adapters.vjps import ArraySubject


class Subject(Protocol):
    """A function at its inputs with a backward pass."""

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""

    def cotangents(self, number: int = 0) -> Cotangents:
        """Random cotangents, each time the same for a number."""

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""

    def backward(self) -> Backward:
        """The backward pass, for the laws."""

    def doubled(self) -> Doubled | None:
        """Function and backward pass in double precision; None where there is none, or numbers are complex."""

    def second(self) -> "Subject | str":
        """The backward pass as a function of inputs and cotangents; words where it cannot be differentiated."""


@dataclass(frozen=True)
class Passed:
    """What the user passed in.

    Attributes:
        function: the function.
        inputs: its positional arguments.
        keywords: its keyword arguments.
        argnums: positions of the inputs to differentiate; None for the usual ones.
        vjp: the user's own backward pass, if any.
        twin: the function in float64, if any.
        seed: of the cotangents.
        jacobian: the user's own Jacobian, if any.
        jvp: the user's own Jacobian-vector product, if any.
        allowed: where the inputs may go.
    """

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    argnums: Sequence[int] | None = None
    vjp: Callable[..., Any] | None = None
    twin: Callable[..., Any] | None = None
    seed: int = 0
    jacobian: Any = None
    jvp: Callable[..., Any] | None = None
    allowed: Allowed | None = None

    @property
    def of_arrays(self) -> bool:
        """Whether it is a function of NumPy arrays."""
        return not framework_in((list(self.inputs), dict(self.keywords)))

    def opened(self) -> Subject:
        """The same, taken apart.

        Raises:
            InputError: it cannot be checked.
        """
        framework = framework_in((list(self.inputs), dict(self.keywords)))
        given = self.function, self.inputs, self.keywords, self.argnums, self.vjp, self.twin, self.seed
        if framework == "torch" and self.allowed is None:
            from gradproof._adapters.pytorch.subject import tensor_subject

            return tensor_subject(*given)
        if framework == "jax" and self.allowed is None:
            from gradproof._adapters.functional import subject_of
            from gradproof._adapters.jax_arrays.subject import JaxKit

            return subject_of(JaxKit(), *given)
        if framework == "tensorflow" and self.allowed is None:
            from gradproof._adapters.functional import subject_of
            from gradproof._adapters.tensorflow_tensors.subject import TensorFlowKit

            return subject_of(TensorFlowKit(), *given)
        return self.of_another_library() if framework == "other" else self.in_numpy()

    def of_another_library(self) -> "ArraySubject":
        """The same with arrays of NumPy in the place of those of a library that has no adapter of its own."""
        from gradproof._adapters.other_arrays import OfArrays, PassOfArrays, back, first_in

        function = OfArrays(self.function, self.inputs, self.keywords)
        vjp = self.vjp and PassOfArrays(self.vjp, self.inputs, first_in((list(self.inputs), dict(self.keywords))))
        made = replace(self, function=function, inputs=back(self.inputs), keywords=back(self.keywords), vjp=vjp)
        return made.in_numpy()

    def in_numpy(self) -> "ArraySubject":
        """The same as a function of NumPy arrays.

        Raises:
            InputError: it cannot be checked.
        """
        from gradproof._adapters.vjps import Claims, array_subject

        if not self.of_arrays:
            raise InputError.of(
                "setting up the check of a function", "jacobian=, jvp=, bounds= and domain=",
                "left out for tensors and arrays of JAX",
                "given", "Pass vjp=, or NumPy arrays in place of the tensors.",
            )  # fmt: skip
        claims = Claims(self.vjp, self.jacobian, self.jvp)
        return array_subject(
            self.function, self.inputs, self.keywords, self.argnums, claims, self.twin, self.seed,
            self.allowed,
        )  # fmt: skip
