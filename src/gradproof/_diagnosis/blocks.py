"""The layers of a network, read off the shapes, the names and the order of its tensors, and what the first one gets.

The decision behind it: a matrix with one, two or three vectors of its width is a layer, with a bias, the gain and shift
of a norm, or all of these; kernels are a layer over images; a matrix without any, whose rows the data count, a table;
a vector of its own is a gain of the inputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case
from gradproof._diagnosis.dense import columns

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """One layer.

    Attributes:
        number: the user's number of it, or its place.
        weight: its matrix; -1 for a gain of the inputs.
        bias: what is added; -1 for none.
        gamma: the gain of its norm; -1 for none.
        beta: the shift of its norm; -1 for none.
        turned: whether the matrix is stored (inputs, outputs).
        table: whether the matrix is a table whose rows are looked up.
        image: whether the weights are kernels over images.
    """

    number: int
    weight: int
    bias: int = -1
    gamma: int = -1
    beta: int = -1
    turned: bool = True
    table: bool = False
    image: bool = False


def read_blocks(case: Case) -> Iterator[tuple[Block, ...]]:
    """The layers as names and order tell them, once for each way in which matrices may be stored."""
    for turned in (True, False):
        for before in (True, False):
            blocks: list[Block] = []
            for place, layer in enumerate(case.layers, 1):
                number = int(layer.key) if layer.key.isdigit() else place
                if not _add(case, blocks, layer.tensors, number, turned, before):
                    break
            else:
                if len(blocks) > 1 and _fits(case, blocks):
                    yield _with_table(case, blocks)
            if not any(len(layer.tensors) > 3 for layer in case.layers):
                break


def _add(case: Case, blocks: list[Block], group: Sequence[int], number: int, turned: bool, before: bool) -> bool:
    """One more layer from a group of tensors; False where they make none.

    ``before`` says whether a bias is listed before what its norm has.
    """
    if any(case.tensors[i].complex for i in group):
        return False
    kernels = [i for i in group if len(case.tensors[i].shape) == 4]
    thick = kernels or [i for i in group if len(case.tensors[i].shape) == 2 and _axes(case, i) == 2]
    flat = [i for i in group if i not in thick and _axes(case, i) <= 1]
    if len(thick) + len(flat) < len(group) or len(thick) > 1:
        return False
    block = Block(number, thick[0] if thick else -1, turned=turned, image=bool(kernels))
    if thick:
        units = sizes(case, block)[1]
        if any(case.tensors[i].size != units for i in flat) or len(flat) > 3:
            return False
        if len(flat) == 3:
            b, gamma, beta = flat if before else (flat[2], flat[0], flat[1])
            block = replace(block, bias=b, gamma=gamma, beta=beta)
        elif len(flat) == 2:
            block = replace(block, gamma=flat[0], beta=flat[1])
        elif flat:
            block = replace(block, bias=flat[0])
    elif len(flat) == 1:
        # A gain of the inputs, wherever it is listed.
        blocks.insert(0, replace(block, gamma=flat[0]))
        return True
    elif len(flat) == 2 and blocks and blocks[-1].gamma < 0 and blocks[-1].weight >= 0:
        units = sizes(case, blocks[-1])[1]
        if any(case.tensors[i].size != units for i in flat):
            return False
        blocks[-1] = replace(blocks[-1], gamma=flat[0], beta=flat[1])
        return True
    else:
        return False
    blocks.append(block)
    return True


def _axes(case: Case, tensor: int) -> int:
    return sum(n > 1 for n in case.tensors[tensor].shape)


def sizes(case: Case, block: Block) -> tuple[int, int]:
    """Inputs and outputs of a block."""
    if block.weight < 0:
        size = case.tensors[block.gamma].size
        return size, size
    if block.image:
        filters, channels, *_ = case.tensors[block.weight].shape
        return channels, filters
    rows, columns_ = case.tensors[block.weight].shape
    return (rows, columns_) if block.turned or block.table else (columns_, rows)


def _fits(case: Case, blocks: Sequence[Block]) -> bool:
    if sum(block.weight < 0 for block in blocks) > 1 or blocks[-1].weight < 0:
        return False
    known = [sizes(case, block) for block in blocks]
    kernels = [block.image for block in blocks]
    if kernels != sorted(kernels, reverse=True) or kernels[-1] or (kernels[0] and any(b.gamma >= 0 for b in blocks)):
        return False
    free = {1} if _looked_up(case, blocks[0]) else {sum(kernels)} if kernels[0] else set()
    return all(known[k][0] == known[k - 1][1] for k in range(1, len(known)) if k not in free)


def _looked_up(case: Case, block: Block) -> bool:
    """Whether the first matrix may be a table: no biases, and whole numbers in the data that count its rows."""
    if block.weight < 0 or block.bias >= 0 or block.gamma >= 0 or block.image:
        return False
    return any(True for _ in _numbers(case, case.tensors[block.weight].shape[0]))


def _with_table(case: Case, blocks: list[Block]) -> tuple[Block, ...]:
    if _looked_up(case, blocks[0]):
        return (replace(blocks[0], table=True), *blocks[1:])
    return tuple(blocks)


def _numbers(case: Case, rows: int) -> Iterator[tuple[int, Array]]:
    """Whole numbers below a number of rows, (examples, positions), with their place in the data."""
    m = case.lab.examples
    parts = [case.lab.batch([e]) for e in range(m)]
    for k, first in enumerate(parts[0]):
        if np.asarray(first).dtype.kind in "iu" and np.size(first) and len({np.size(part[k]) for part in parts}) == 1:
            found = np.stack([np.ravel(part[k]) for part in parts])
            if found.min() >= 0 and found.max() < rows:
                yield k, found


def _images(case: Case, channels: int) -> Iterator[tuple[int, Array]]:
    """Arrays of the data that are images with so many channels, with their place in the data."""
    parts = [case.lab.batch([e]) for e in range(case.lab.examples)]
    for k, first in enumerate(parts[0]):
        shape = np.shape(first)
        if len(shape) in (3, 4) and np.asarray(first).dtype.kind in "fiub" and shape[0] == 1:
            found = np.concatenate([np.asarray(part[k], dtype=np.float64) for part in parts])
            found = found if found.ndim == 4 else found[:, None]
            if found.shape[1] == channels:
                yield k, found


def inputs(case: Case, first: Block) -> Iterator[tuple[int, Array]]:
    """What the first block gets, (examples, ...), with its place in the data."""
    width = sizes(case, first)[0]
    if first.table:
        yield from _numbers(case, width)
        return
    if first.image:
        yield from _images(case, width)
        return
    for k, found in columns(case, range(case.lab.examples), width):
        yield k, found.T
