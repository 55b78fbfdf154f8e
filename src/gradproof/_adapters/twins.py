"""What is said of a function and its float64 twin, whose outputs should be the same but for rounding."""

from collections.abc import Iterable

from gradproof._errors import InputError
from gradproof._records import spacing

#: A function and its twin differ by more than rounding beyond so many last bits, relative to the whole.
ROUNDINGS = 256.0
#: From this relative difference on they are two functions, and the gradient of one is not that of the other.
ANOTHER = 0.05


def notes_on(outputs: Iterable[tuple[float, str]]) -> list[str]:
    """Notes on outputs that differ by more than rounding.

    Args:
        outputs: relative difference and format of each.

    Raises:
        InputError: the twin is another function.
    """
    found = []
    for i, (apart, kind) in enumerate(outputs):
        if not apart <= max(ANOTHER, ROUNDINGS * spacing(kind)):
            raise InputError.of(
                "setting up the check of a function", "`twin`", "the same function in float64",
                f"one whose output {i} differs by {apart:.1e}, relative",
                "Pass the function itself in double precision, with the same constants and options.",
            )  # fmt: skip
        if apart > ROUNDINGS * spacing(kind):
            found.append(f"Output {i} differs by {apart:.1e} from that of its twin, more than the rounding of {kind}.")
    return found
