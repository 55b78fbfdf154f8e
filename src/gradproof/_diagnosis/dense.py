"""The parameters of a chain of dense layers, brought into one form: W (outputs, inputs), examples in columns.

The decision behind it: names and order say which weights and biases belong together; whether weights are stored the
other way round is read off the biases and the neighbours, and where that leaves a choice both are tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case
from gradproof._records import Tensor

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Dense:
    """One layer.

    Attributes:
        weight: the place of its weights in the problem.
        bias: the place of its biases; -1 where it has none.
        turned: whether the weights are stored (inputs, outputs).
    """

    weight: int
    bias: int
    turned: bool

    @property
    def tensors(self) -> tuple[int, ...]:
        """Its tensors."""
        return (self.weight,) if self.bias < 0 else (self.weight, self.bias)

    def matrix(self, array: Array) -> Array:
        """An array shaped like the weights as (outputs, inputs)."""
        flat = array.reshape(1, -1) if array.ndim < 2 else array.reshape(array.shape[-2:])
        return np.asarray(flat.T if self.turned else flat)


def chains(case: Case) -> Iterator[tuple[Dense, ...]]:
    """The layers from input to output, once for each way in which the weights may be stored; none if not all are."""
    runs = _runs(case)
    if len(runs) == 1 and sum(1 if b < 0 else 2 for _, b in runs[0]) == len(case.tensors):
        yield from _stored(case, runs[0])


def stretches(case: Case) -> Iterator[tuple[Dense, ...]]:
    """Layers with biases that follow one another, the last ones first, as many as there are and then fewer."""
    for run in reversed(_runs(case)):
        for first in range(len(run)):
            if all(bias >= 0 for _, bias in run[first:]):
                yield from _stored(case, run[first:])


def _stored(case: Case, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[Dense, ...]]:
    if any(case.tensors[i].complex for pair in pairs for i in pair if i >= 0):
        return
    for turned in (False, True):
        layers = tuple(Dense(w, b, turned) for w, b in pairs)
        sizes = [layer.matrix(case.thetas[layer.weight]).shape for layer in layers]
        fits = all(b < 0 or case.tensors[b].size == size[0] for (_, b), size in zip(pairs, sizes, strict=True))
        if fits and all(below[0] == above[1] for below, above in pairwise(sizes)):
            yield layers


def _runs(case: Case) -> list[list[tuple[int, int]]]:
    """Weights with their biases, in stretches between which there is something else."""
    groups = [layer.tensors for layer in case.layers]
    if all(len(group) == 1 for group in groups):
        groups = list(_in_order(case.tensors))
    runs: list[list[tuple[int, int]]] = [[]]
    for group in groups:
        by_size = sorted(group, key=lambda i: (_axes(case.tensors[i]), case.tensors[i].size), reverse=True)
        flat = len(group) == 1 and _axes(case.tensors[group[0]]) < 2
        if (
            len(group) > 2
            or _axes(case.tensors[by_size[0]]) > 2
            or not _is_weight(case.tensors[by_size[0]])
            or (flat and len(groups) > 1)
        ):
            runs.append([])
        else:
            runs[-1].append((by_size[0], by_size[1] if len(group) == 2 else -1))
    return [run for run in runs if run]


def _in_order(tensors: Sequence[Tensor]) -> Iterator[tuple[int, ...]]:
    """Groups of a weight and the bias that follows it, where names say nothing."""
    group: list[int] = []
    for i, tensor in enumerate(tensors):
        if group and (_axes(tensor) == 2 or len(group) == 2):
            yield tuple(group)
            group = []
        group.append(i)
    if group:
        yield tuple(group)


def _axes(tensor: Tensor) -> int:
    return sum(n > 1 for n in tensor.shape)


def _is_weight(tensor: Tensor) -> bool:
    return len(tensor.shape) in (1, 2)


def columns(case: Case, examples: Sequence[int], width: int) -> Iterator[tuple[int, Array]]:
    """Arrays of the data with so many numbers an example, as (width, examples), each with its place in the data."""
    parts = [case.lab.batch([e]) for e in examples]
    for k, first in enumerate(parts[0]):
        kind = np.asarray(first).dtype.kind
        if np.size(first) == width and kind in "fiub":
            yield k, np.stack([np.ravel(part[k]).astype(np.float64) for part in parts], axis=1)


def labels(case: Case, examples: Sequence[int], width: int, inputs: int) -> Iterator[Array]:
    """Arrays of the data, other than the inputs, as labels of so many outputs; numbers of classes as one-hot."""
    for k, found in columns(case, examples, width):
        if k != inputs:
            yield found
    for k, found in columns(case, examples, 1):
        if k == inputs or width < 2:
            continue
        number = found[0]
        if np.all(number == np.round(number)) and number.min() >= 0 and number.max() < width:
            yield np.eye(width)[:, number.astype(int)]
