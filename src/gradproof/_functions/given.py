"""A function seen through a cotangent of the user's own.

The decision behind it: what the user gives takes the place of the random numbers that the verdict rests on; the laws of
a backward pass go on to draw theirs, as they hold for any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.foreign import numbers
from gradproof._adapters.numpy import Call
from gradproof._algebra.backward import Backward, Cotangents, Doubled, Repair, Slot
from gradproof._errors import InputError
from gradproof._functions.subject import Subject

DOING = "reading the cotangent"


@dataclass(frozen=True)
class Seen:
    """A subject whose first cotangents are given.

    Attributes:
        subject: the function.
        given: the cotangents, one for each output that can be differentiated; None for one that is left out.
    """

    subject: Subject
    given: Cotangents

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        return self.subject.outputs

    def cotangents(self, number: int = 0) -> Cotangents:
        """The given cotangents, or random ones for other numbers."""
        return self.subject.cotangents(number) if number else self.given

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""
        return self.subject.call(chosen, repair)

    def backward(self) -> Backward:
        """The backward pass, for the laws."""
        return self.subject.backward()

    def doubled(self) -> Doubled | None:
        """Function and backward pass in double precision; None where there is none, or numbers are complex."""
        return self.subject.doubled()

    def second(self) -> "Subject | str":
        """The backward pass as a function of inputs and cotangents; words where it cannot be differentiated."""
        return self.subject.second()


def seen_through(subject: Subject, cotangent: Any) -> Subject:
    """A function seen through a cotangent of the user's own.

    Args:
        subject: the function.
        cotangent: an array of the output's shape, or a tuple, list or dict of them in the order of the outputs; None
            for an output that is left out.

    Raises:
        InputError: it does not fit the outputs.
    """
    if isinstance(cotangent, Mapping):
        cotangent = tuple(cotangent.values())
    given = tuple(cotangent) if isinstance(cotangent, tuple | list) else (cotangent,)
    slots = subject.outputs
    if len(given) != len(slots):
        raise InputError.of(
            DOING, "`cotangent`", f"one array for each of {len(slots)} outputs ({', '.join(s.name for s in slots)})",
            f"{len(given)}", "Pass a tuple of them, None for an output that is left out.",
        )  # fmt: skip
    drawn = subject.cotangents()
    found = tuple(
        None if u is None or random is None else _fitting(u, random, slot)
        for u, random, slot in zip(given, drawn, slots, strict=True)
    )
    if not any(u is not None and np.any(u) for u in found):
        raise InputError.of(
            DOING, "`cotangent`", "one that is not zero throughout", "zeros", "Nothing comes back through zeros."
        )
    return Seen(subject, found)


def _fitting(given: Any, drawn: NDArray[Any], slot: Slot) -> NDArray[Any]:
    """One cotangent in the dtype of the random ones."""
    foreign = numbers(given)
    array = np.asarray(given if foreign is None else foreign)
    demanded = f"{'numbers' if slot.complex else 'real numbers'} of shape {slot.shape}"
    got = f"an array of shape {array.shape} and dtype {array.dtype}"
    if array.shape != drawn.shape or array.dtype.kind not in ("fiuc" if slot.complex else "fiu"):
        raise InputError.of(
            DOING, f"the cotangent of {slot.name}", demanded, got, "Give it the shape and the kind of the output."
        )
    if not np.isfinite(array).all():
        raise InputError.of(DOING, f"the cotangent of {slot.name}", "finite", "NaN or infinite", "Look where it comes "
                            "from.")  # fmt: skip
    return array.astype(drawn.dtype)
