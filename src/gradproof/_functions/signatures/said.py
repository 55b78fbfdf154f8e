"""What a signature is given to look at, and what it answers.

The decision behind it: a signature is exact. It says what every entry of the claimed Jacobian is beside the measured
one, to five digits, and names a cause only where that leaves no other reading but those in ``also``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.blocks import SAME, Bench, Block

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scene:
    """A function whose gradient in one input is wrong.

    Attributes:
        bench: measures.
        inputs: the names of the inputs.
        outputs: the names of the outputs.
        blocks: the Jacobian of each output in the input.
    """

    bench: Bench
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def wrong(self) -> tuple[Block, ...]:
        """The Jacobians with wrong entries."""
        return tuple(block for block in self.blocks if np.any(block.off))

    @property
    def name(self) -> str:
        """The input's name."""
        return self.inputs[self.blocks[0].input]


@dataclass(frozen=True, eq=False)
class Said:
    """A cause, in a form in which that of several inputs is the same where the slip is.

    Attributes:
        cause: its slug.
        detail: the variant in a few words.
        message: one sentence; ``{name}`` stands for the input.
        fix: one sentence.
        also: causes that would look the same.
        mended: the claimed entries of each wrong block once mended; empty where that is not known without measuring.
    """

    cause: str
    detail: str
    message: str
    fix: str
    also: tuple[str, ...] = ()
    mended: tuple[Array, ...] = ()


Signature = Callable[[Scene], Said | None]


def alike(one: Array, other: Array) -> bool:
    """Whether two arrays of entries are the same."""
    size = max(float(np.max(np.abs(one), initial=0.0)), float(np.max(np.abs(other), initial=0.0)))
    return one.shape == other.shape and bool(np.all(np.abs(one - other) <= SAME * size))


def axis_words(axis: int, ndim: int) -> str:
    """``axis 1``, or ``the last axis`` where there are several."""
    return "the last axis" if axis == ndim - 1 and ndim > 1 else f"axis {axis}"


def listed_numbers(numbers: Sequence[int]) -> str:
    """``0``, ``0 and 2``, ``0, 2 and 3``."""
    words = [str(n) for n in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
