"""Operations on images, (examples, channels, height, width): convolutions, and maxima and means over windows.

A convolution here is what networks call one, a correlation: out[f, y, x] = sum of K[f, c, i, j] in[c, y + i, x + j].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.graph import Making, Node
from gradproof._diagnosis.operations import Linear, linear

Array = NDArray[Any]


@dataclass(frozen=True)
class Pool:
    """What is done over windows.

    Attributes:
        kind: "max" or "mean".
        size: of the square windows.
        stride: from one to the next.
    """

    kind: str
    size: int
    stride: int


@dataclass(frozen=True, eq=False)
class Pooled:
    """What is left for the step back: for each place in a window the cells there, and which of them won."""

    pool: Pool
    winner: Array


def convolution(making: Making, x: int, kernel: int, pad: int, layer: int) -> int:
    """Kernels (filters, channels, height, width) over an image with a rim of zeros."""
    X, K = making.value(x), making.value(kernel)
    name = f"what {making.nodes[kernel].name} makes"
    how = Linear(lambda d, K: _to_image(d, K, pad), lambda X, d: to_kernel(X, d, pad), rim=pad)
    return linear(making, "convolution", name, layer, _correlated(rimmed(X, pad), K), (x, kernel), how)


def rimmed(X: Array, pad: int) -> Array:
    """An image with a rim of zeros."""
    return np.pad(X, ((0, 0), (0, 0), (pad, pad), (pad, pad))) if pad else X


def _correlated(X: Array, K: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.asarray(np.einsum("nchwij,fcij->nfhw", windows, K, optimize=True))


def _to_image(d: Array, K: Array, pad: int) -> Array:
    height, width = K.shape[2:]
    around = np.pad(d, ((0, 0), (0, 0), (height - 1, height - 1), (width - 1, width - 1)))
    whole = _correlated(around, K[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
    return whole[:, :, pad : whole.shape[2] - pad, pad : whole.shape[3] - pad]


def to_kernel(X: Array, d: Array, pad: int) -> Array:
    """The gradient of a kernel from its input and what came back."""
    windows = np.lib.stride_tricks.sliding_window_view(rimmed(X, pad), d.shape[2:], axis=(2, 3))
    return np.asarray(np.einsum("ncijhw,nfhw->fcij", windows, d, optimize=True))


def cells(X: Array, pool: Pool) -> Iterator[tuple[slice, slice]]:
    """For each place in a window, where in the image its cells are."""
    down, across = ((n - pool.size) // pool.stride + 1 for n in X.shape[2:])
    for i in range(pool.size):
        for j in range(pool.size):
            yield (
                slice(i, i + (down - 1) * pool.stride + 1, pool.stride),
                slice(j, j + (across - 1) * pool.stride + 1, pool.stride),
            )


def pooled(making: Making, x: int, pool: Pool, layer: int) -> int:
    """The largest, or the mean, of every window."""
    X = making.value(x)
    parts = np.stack([X[:, :, rows, columns] for rows, columns in cells(X, pool)])
    winner = parts.argmax(axis=0)
    value = parts.max(axis=0) if pool.kind == "max" else parts.mean(axis=0)
    known = Pooled(pool, winner)
    back = (lambda d: unpooled(d, X, known, "add"),)
    return making.add(Node("pool", f"the {pool.kind} over windows of A{layer}", layer, value, (x,), back, about=known))


def unpooled(d: Array, X: Array, known: Pooled, how: str) -> Array:
    """Back to the cells: "add" (right), "assign" (the last window wins), "ties", "mean" or "first" (its first cell)."""
    found = np.zeros_like(X)
    top = None
    if how == "ties":
        top = np.stack([X[:, :, rows, columns] for rows, columns in cells(X, known.pool)]).max(axis=0)
    kind = known.pool.kind if how in ("add", "assign") else how
    for place, (rows, columns) in enumerate(cells(X, known.pool)):
        here = found[:, :, rows, columns]
        if kind == "mean":
            share = d / known.pool.size**2
            here[...] = share if how == "assign" else here + share
            continue
        won = known.winner == place if top is None else X[:, :, rows, columns] == top
        if kind == "first":
            won = np.full(d.shape, place == 0)
        if how == "assign":
            here[won] = d[won]
        else:
            here += d * won
    return found


def flat(making: Making, x: int, layer: int) -> int:
    """Every image as one row of numbers."""
    X = making.value(x)
    name = making.nodes[x].name
    return making.add(
        Node("shape", name, layer, X.reshape(len(X), -1), (x,), (lambda d: np.asarray(d.reshape(X.shape)),))
    )
