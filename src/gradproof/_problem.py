"""What the core may ask of a cost with its claimed gradient, wherever its parameters live.

The decision behind it: the core sees lines only. It names a direction and steps along it, and gets back a few numbers
for each; it never holds a whole gradient, so that it is the same code for a bias of three numbers and for a model
spread over many devices.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradproof._records import Direction, Ray, Samples, Stats, Tensor


class Problem(Protocol):
    """A cost near a point, and one claimed gradient of it."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The named parameters that a check moves, in the user's order."""

    @property
    def epsilon(self) -> float:
        """Relative spacing of the numbers that the cost is evaluated in."""

    @property
    def grain(self) -> float:
        """Relative spacing of the numbers that displaced parameters are rounded to; 0 where they are not."""

    def lines(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates the cost along rays. A cost that raises or is not finite at a step is NaN there."""

    def replica(self) -> "Problem":
        """The same problem with working memory of its own, so that two threads do not meet in it."""

    def stats(self, tensor: int) -> Stats:
        """Norms and scales of one tensor."""

    def pull(self, tensor: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Parameters and claim of one guilty tensor as NumPy arrays of its shape, float64 or complex128."""

    def project(self, directions: Sequence[Direction], tensor: int, candidates: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Inner products of directions with arrays of one tensor's shape: a row a direction, a column an array."""

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "Problem":
        """The same cost and claim with some elements of some tensors, of their shapes, left where they are."""

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "Problem":
        """The same cost at the same point with other claims for some tensors."""
