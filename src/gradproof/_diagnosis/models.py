"""A reading of the user's model as a graph: which tensors and data play which role, and where the cost starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case
from gradproof._diagnosis.losses import Loss
from gradproof._diagnosis.unrolled import Graph

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Akin:
    """Another model of the same tensors, whose gradient may be claimed by mistake.

    Attributes:
        model: that model.
        cause: what that would be called.
        detail: in a few words.
        message: one sentence.
        fix: one sentence.
        also: causes that would look the same.
    """

    model: "Model"
    cause: str
    detail: str
    message: str
    fix: str
    also: tuple[str, ...] = ()


def none_akin() -> Iterator[Akin]:
    """No other model."""
    return iter(())


@dataclass(frozen=True, eq=False)
class Model:
    """A forward pass with the labels of its outputs.

    Attributes:
        graph: the forward pass.
        outputs: the nodes at which the cost starts, by place.
        labels: what each output is held against, shaped like it.
        counts: how much each output counts, None where all count alike.
        turned: matrices that are stored (inputs, outputs).
        words: what the roles are called.
        leftover: outputs beside those, with labels, at which another cost would start too.
        akin: other models of the same tensors, made when asked for.
    """

    graph: Graph
    outputs: tuple[int, ...]
    labels: tuple[Array, ...]
    counts: Array | None
    turned: frozenset[int]
    words: Mapping[str, str]
    leftover: Mapping[int, Array] = field(default_factory=dict)
    akin: Callable[[], Iterator[Akin]] = none_akin

    @property
    def steps(self) -> int:
        """The number of steps; 0 where there are none."""
        return 1 + max(node.step for node in self.graph.nodes)

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(self.labels[0])

    @property
    def effort(self) -> float:
        """Multiplications of a pass both ways, about; what calling an operation takes is counted as such."""
        nodes = self.graph.nodes
        given = ((node, nodes[node.parents[0]].value) for node in nodes if node.parents)
        return float(1e4 * len(nodes) + 3.0 * sum(node.value.size * value.shape[-1] for node, value in given))


def seeds(model: Model, loss: Loss, scale: float = 1.0, counts: Array | None = None) -> dict[int, Array]:
    """The derivatives of a cost by the outputs."""
    found = {}
    for place, Y in zip(model.outputs, model.labels, strict=True):
        found[place] = scale * derivative(loss, model.graph.nodes[place].value, Y)
        weight = model.counts if counts is None else counts
        if weight is not None:
            found[place] = found[place] * weight[..., None]
    return found


def derivative(loss: Loss, Z: Array, Y: Array) -> Array:
    """Of a cost by outputs with their features on the last axis."""
    flat = loss.delta(Z.reshape(-1, Z.shape[-1]).T, Y.reshape(-1, Y.shape[-1]).T)
    return np.asarray(flat.T.reshape(Z.shape))


def shaped(case: Case, model: Model, gradients: Mapping[int, Array]) -> dict[int, Array]:
    """Gradients as the tensors are stored and shaped."""
    return {
        i: (g.T if i in model.turned else g).reshape(np.shape(case.thetas[i])) for i, g in gradients.items()
    }  # fmt: skip


def with_examples_first(case: Case) -> list[Array] | None:
    """The data with the axis of the examples in front; None where it cannot be told."""
    m = case.lab.examples
    if m < 2:
        return None
    found = []
    for whole, one in zip(case.lab.data, case.lab.batch([0]), strict=True):
        array = np.asarray(whole)
        axes = [k for k, (a, b) in enumerate(zip(array.shape, np.shape(one), strict=True)) if a == m and b == 1]
        if len(axes) != 1 or array.dtype.kind not in "fiub":
            return None
        found.append(np.moveaxis(array, axes[0], 0))
    return found


def sequences(array: Array, width: int) -> Iterator[Array]:
    """An array as (examples, steps, features) with so many features; whole numbers as one-hot."""
    if array.ndim == 3 and array.shape[2] == width:
        yield np.asarray(array, dtype=np.float64)
    if array.ndim == 3 and array.shape[1] == width:
        yield np.swapaxes(array, 1, 2).astype(np.float64)
    if array.ndim == 2 and array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() < width > 1:
        yield np.eye(width)[array]


def states(array: Array, width: int) -> Iterator[Array]:
    """An array as (examples, features) with so many features; numbers of classes as one-hot."""
    if array.size == len(array) * width:
        yield array.reshape(len(array), width).astype(np.float64)
    elif array.size == len(array) and array.dtype.kind in "iu" and 0 <= array.min() <= array.max() < width:
        yield np.eye(width)[array.ravel()]


def oriented(case: Case, tensors: Sequence[int], turned: bool) -> dict[int, Array]:
    """Tensors as (outputs, inputs) where they have two axes, else flat."""
    found = {}
    for i in tensors:
        theta = np.asarray(case.thetas[i])
        found[i] = (theta.T if turned else theta) if theta.ndim == 2 and min(theta.shape) > 1 else theta.ravel()
    return found
