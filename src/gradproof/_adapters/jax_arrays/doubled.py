"""A function of JAX's arrays and its backward pass, both run with 64 bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.functional import Pass
from gradproof._adapters.jax_arrays.arrays import array_of, double
from gradproof._adapters.jax_arrays.functions import Function, handed
from gradproof._adapters.randomness import Snapshot
from gradproof._algebra.backward import Cotangents

Arrays = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class DoubledJax:
    """A function at its inputs.

    Attributes:
        function: the function, taken apart.
        claim: its backward pass.
        random: the random state that every call begins with.
    """

    function: Function
    claim: Pass
    random: Snapshot

    @cached_property
    def values(self) -> tuple[NDArray[np.float64], ...]:
        """The numbers of the inputs."""
        return tuple(np.array(array_of(x), dtype=np.float64) for x in self.function.likes)

    def outputs(self, values: Arrays) -> tuple[NDArray[np.float64], ...]:
        """What the function returns at other inputs."""
        self.random.restore()
        with double():
            found = self.function.returned([jnp.asarray(v) for v in values])
            return tuple(np.array(array_of(y)) for y in found)

    def gradients(self, values: Arrays, cotangents: Cotangents) -> tuple[NDArray[np.float64], ...]:
        """What the backward pass gives at other inputs."""
        self.random.restore()
        with double():
            leaves = [jnp.asarray(v) for v in values]
            found = self.claim(leaves, handed(cotangents, self.function, native=False))
            pairs = zip(found, values, strict=True)
            return tuple(
                np.zeros(v.shape) if g is None else np.array(array_of(g), dtype=np.float64).reshape(v.shape)
                for g, v in pairs
            )


def doubled(function: Function, claim: Pass) -> DoubledJax | None:
    """The function with 64 bits; None where it asks for fewer by itself."""
    made = DoubledJax(function, claim, function.random())
    try:
        found = made.outputs(made.values)
        made.gradients(made.values, tuple(np.ones_like(y) for y in found))
    except Exception:  # whatever it is, the code knows no double precision
        return None
    finally:
        made.random.restore()
    return made if all(y.dtype == np.float64 for y in found) else None
