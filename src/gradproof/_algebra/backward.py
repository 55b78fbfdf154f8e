"""What a law may ask of a backward pass, wherever its tensors live.

The decision behind it: a law compares gradients, and a gradient is an array of numbers; how a framework is brought to
compute it, from cotangents that lie in memory in an odd way or after another forward pass, is the adapter's business.
So a law is written once for all frameworks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: One array an output, None for one whose cotangent is undefined.
Cotangents = tuple[NDArray[Any] | None, ...]


class Layout(StrEnum):
    """How the elements of an array lie in memory; the value says it to people."""

    STRIDED = "every second element of a larger tensor"
    TRANSPOSED = "stored with its axes reversed"
    CHANNELS_LAST = "stored with the channels last"
    EXPANDED = "one number expanded to the whole shape, as the backward pass of a sum sends it"
    ROWS = "its first row expanded along the first axis"
    CONJUGATED = "a lazily conjugated view"

    @property
    def repeats(self) -> bool:
        """Whether one place in memory stands for several elements, which then are equal."""
        return self in (Layout.EXPANDED, Layout.ROWS)

    def fits(self, shape: tuple[int, ...], *, complex_numbers: bool) -> bool:
        """Whether an array of a shape can lie in memory so, and not as it would anyway."""
        size = int(np.prod(shape))
        if self is Layout.CONJUGATED:
            return complex_numbers and size > 0
        if self is Layout.TRANSPOSED:
            return sum(n > 1 for n in shape) > 1 and size > 0
        if self is Layout.CHANNELS_LAST:
            return len(shape) == 4 and size > 0 and shape[1] > 1 and shape[2] * shape[3] > 1
        if self is Layout.ROWS:
            return len(shape) > 1 and shape[0] > 1 and size > shape[0]
        return size > 1

    def values(self, array: NDArray[Any]) -> NDArray[Any]:
        """The numbers that an array has in this layout: its own, unless elements share a place."""
        if self is Layout.EXPANDED:
            return np.full(array.shape, array.reshape(-1)[0])
        return np.broadcast_to(array[:1], array.shape).copy() if self is Layout.ROWS else array


class Repair(StrEnum):
    """What a backward pass may lack, by what is done to its results to mend them."""

    CONJUGATED = "conjugate the cotangent and the result"
    CONJUGATE = "conjugate the result"
    WITHOUT_CONSTANT = "take away what it gives for a cotangent of zeros"


@dataclass(frozen=True)
class Slot:
    """An input or output.

    Attributes:
        name: ``inputs[0]``, ``output 1``.
        shape: its shape.
        format: the name of the format of its numbers.
        complex: whether these are complex.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    complex: bool

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Asked:
    """One backward pass.

    Attributes:
        cotangents: one an output.
        layout: how the cotangents lie in memory; None for the usual order.
        inputs: how inputs lie in memory, if not in the user's way: their numbers and the layout.
        needed: the inputs that a gradient is asked for; None for all.
        values: other numbers for the inputs.
    """

    cotangents: Cotangents
    layout: Layout | None = None
    inputs: tuple[tuple[int, ...], Layout] | None = None
    needed: tuple[int, ...] | None = None
    values: tuple[NDArray[Any], ...] | None = None


@dataclass(frozen=True)
class Answer:
    """What a backward pass gave.

    Attributes:
        gradients: one an input, of its shape, float64 or complex128; zero where it was not reached, None where it was
            not asked for.
        outputs: what the forward pass returned.
        changed: the things that were changed in place, by name, each with "forward" or "backward" for the pass that
            did it, or "saved" for what the forward pass has saved and the backward pass changed.
    """

    gradients: tuple[NDArray[Any] | None, ...]
    outputs: tuple[NDArray[Any], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Returned:
    """A gradient as the user's code returned it, before the framework adapts it.

    Attributes:
        what: what it belongs to, for people.
        slot: the number of the input, -1 where it is none.
        shape: its shape.
        format: the format of its numbers.
        demanded: shape and format of what it belongs to.
        place: where it lives and where it should.
    """

    what: str
    slot: int
    shape: tuple[int, ...]
    format: str
    demanded: tuple[tuple[int, ...], str]
    place: tuple[str, str] = ("", "")


class Backward(Protocol):
    """A function at its inputs with its backward pass.

    Random numbers stand still, and what calls leave behind is undone.
    """

    @property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that have cotangents."""

    @property
    def values(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the inputs."""

    @property
    def laid_out(self) -> bool:
        """Whether inputs can be given in other layouts."""

    @property
    def draws(self) -> bool:
        """Whether the function draws random numbers, which may be dealt out in the order of memory."""

    def gradients(self, asked: Asked) -> Answer:
        """A forward and a backward pass. What the user's code raises goes through."""

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """Two backward passes through one forward pass."""

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The first backward pass, made after another forward and backward pass."""

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """Gradients as the user's code returned them, where the framework lets them be seen."""

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """What the function returns where nothing is differentiated; () where that is the same call."""

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """What forward mode makes of one tangent an input; None where there is no forward mode to ask."""


class Doubled(Protocol):
    """A function of real arrays with its backward pass, both in double precision.

    Random numbers stand still, and what calls leave behind is undone.
    """

    @property
    def values(self) -> tuple[NDArray[np.float64], ...]:
        """The numbers of the inputs."""

    def outputs(self, values: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
        """What the function returns at other inputs. What the user's code raises goes through."""

    def gradients(
        self, values: Sequence[NDArray[np.float64]], cotangents: Cotangents
    ) -> tuple[NDArray[np.float64], ...]:
        """What the backward pass gives at other inputs. What the user's code raises goes through."""
