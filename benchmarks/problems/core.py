"""A cost, a point and the right gradient there, and the independent derivative they are held against.

Everything is generic in the number type: the same cost runs in float64, in longdouble, where a checker may look more
closely, and in complex128, where the complex step (W. Squire and G. Trapp, 1998, doi:10.1137/S003614459631241X) gives
its derivative to the last bits without any difference being taken.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]
Cost = Callable[[Params], Any]
Gradient = Callable[[Params], Params]

STEP = 1e-30


@dataclass(frozen=True)
class Problem:
    """A cost and its right gradient at a point.

    Attributes:
        name: what it is called in the tables.
        cost: takes the parameters by name, returns a number of their type.
        params: the point, float64.
        grads: the right gradient, written by hand; takes the parameters, returns arrays of the same names and shapes.
        meant: the cost whose derivative is meant where ``cost`` adds noise to it; else None.
        weight_decay: the factor of the L2 term on the tensors named W..., 0 where there is none.
        examples: how many examples the cost is a mean over, 1 where it is no mean.
        on_kink: whether the point lies exactly on a kink, where there is no derivative and ``grads`` takes one side.
    """

    name: str
    cost: Cost
    params: Params
    grads: Gradient
    meant: Cost | None = None
    weight_decay: float = 0.0
    examples: int = 1
    on_kink: bool = False

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(value.size for value in self.params.values())


def complex_step(cost: Cost, params: Params, direction: Mapping[str, Array]) -> float:
    """The derivative of a cost along a direction, by the complex step.

    Args:
        cost: analytic at the point (where it is piecewise, the piece is chosen by the real parts).
        params: the point, float64 arrays.
        direction: arrays of the same shapes; a tensor that is left out does not move.

    Returns:
        The directional derivative.
    """
    moved = {name: value.astype(np.complex128) for name, value in params.items()}
    for name, part in direction.items():
        moved[name] = moved[name] + 1j * STEP * part
    return float(np.imag(cost(moved)) / STEP)


def sampled_gradient(problem: Problem, per_tensor: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Some components of the hand-written gradient, and the same by the complex step.

    Args:
        problem: the problem.
        per_tensor: how many components of each tensor, all of them where it has no more.
        rng: draws which.

    Returns:
        Two vectors of one length, hand-written and complex step.
    """
    written, measured = [], []
    grads = problem.grads(problem.params)
    for name, value in problem.params.items():
        for index in rng.permutation(value.size)[:per_tensor]:
            unit = np.zeros(value.size)
            unit[index] = 1.0
            written.append(grads[name].ravel()[index])
            measured.append(
                complex_step(problem.meant or problem.cost, problem.params, {name: unit.reshape(value.shape)})
            )
    return np.array(written), np.array(measured)


def relative_difference(claimed: Array, right: Array) -> float:
    """norm(claimed - right) / (norm(claimed) + norm(right)); 0/0 is 0."""
    scale = max(float(np.max(np.abs(claimed), initial=0.0)), float(np.max(np.abs(right), initial=0.0)))
    if scale == 0.0:
        return 0.0
    claimed, right = claimed / scale, right / scale
    return math.sqrt(np.sum((claimed - right) ** 2)) / (math.sqrt(np.sum(claimed**2)) + math.sqrt(np.sum(right**2)))
