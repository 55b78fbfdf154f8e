"""What a judged model is, its points, and the reference that owes nothing to the package: differences in longdouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Generator = np.random.Generator
Params = dict[str, Any]
Data = tuple[Array, ...]

#: Weights of the central difference of eighth order, by distance (Fornberg 1988, table 1).
WEIGHTS = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))


@dataclass(frozen=True, eq=False)
class Model:
    """A cost, its gradient by hand, and the mistakes that can be planted in it.

    Attributes:
        name: its name.
        make: draws parameters and data.
        cost: of parameters, data and options.
        grad: the gradient; ``bug=`` plants one of the mistakes.
        mistakes: by name, the causes that the judge accepts, separated by blanks.
        options: keyword arguments of cost and gradient.
        batch: whether the data are examples along their first axis.
        steps: of the descent to the trained point.
    """

    name: str
    make: Callable[[Generator], tuple[Params, Data]]
    cost: Callable[..., Any]
    grad: Callable[..., Params]
    mistakes: Mapping[str, str]
    options: Mapping[str, float] = field(default_factory=dict)
    batch: bool = True
    steps: int = 60


@dataclass(frozen=True, eq=False)
class Point:
    """A model at the parameters where its gradient is checked."""

    model: Model
    seed: int
    params: Params
    data: Data

    def __str__(self) -> str:
        """Model and seed."""
        return f"{self.model.name}-{self.seed}"

    def cost(self, p: Params) -> Any:
        """The cost with this point's data and options."""
        return self.model.cost(p, *self.data, **self.model.options)

    def claimed(self, bug: str = "") -> Params:
        """The gradient by hand at this point, with a mistake planted."""
        return self.model.grad(self.params, *self.data, bug=bug, **self.model.options)


def drawn(model: Model, seed: int, *, trained: bool) -> Point:
    """A model's parameters and data of one seed, where they are drawn or after a descent."""
    params, data = model.make(np.random.default_rng(seed * 1000 + len(model.name)))
    start = Point(model, seed, params, data)
    return Point(model, seed, _descended(start), data) if trained else start


def _descended(start: Point) -> Params:
    """Gradient descent; each step is halved until the cost falls."""
    params, value, rate = start.params, start.cost(start.params), 0.1
    for _ in range(start.model.steps):
        slopes = start.model.grad(params, *start.data, **start.model.options)
        for _ in range(25):
            moved = {k: np.array(v - rate * np.asarray(slopes[k]).reshape(v.shape)) for k, v in params.items()}
            reached = start.cost(moved)
            if np.isfinite(reached) and reached < value:
                break
            rate *= 0.5
        else:
            return params
        params, value, rate = moved, reached, rate * 1.6
    return params


def measured(point: Point, step: float) -> Params:
    """The gradient by central differences in longdouble, element by element; complex ones along both axes."""
    base = {
        name: np.array(v.astype(np.clongdouble if np.iscomplexobj(v) else np.longdouble))
        for name, v in point.params.items()
    }
    slopes = {name: np.zeros_like(v) for name, v in point.params.items()}
    for name, values in base.items():
        for i in np.ndindex(values.shape):
            held = values[i].copy()
            reach = step * max(1.0, 0.1 * float(abs(held)))
            for axis in (1, 1j) if np.iscomplexobj(values) else (1,):
                total: Any = 0
                for distance, weight in WEIGHTS:
                    values[i] = held + axis * distance * reach
                    above = point.cost(base)
                    values[i] = held - axis * distance * reach
                    total += weight * (above - point.cost(base))
                slopes[name][i] += axis * float(total / reach)
            values[i] = held
    return slopes


def sigmoid(z: Array) -> Any:
    """Logistic function."""
    return 1 / (1 + np.exp(-z))


def softmax(z: Array, axis: int = -1) -> Any:
    """Softmax over one axis."""
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)
