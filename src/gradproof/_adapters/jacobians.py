"""Claimed Jacobians, dense, sparse or as functions, as vector-Jacobian products and back.

The decision behind it: a cotangent times a Jacobian is a vector-Jacobian product: what judges those judges Jacobians.
Nothing here asks what kind of matrix it is beyond ``shape``, ``@`` and ``.T``, which dense arrays, SciPy's
sparse ones and its linear operators have; SciPy itself is never imported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError

DOING = "reading the claimed Jacobian"
#: Larger Jacobians get no mask of their own, element by element.
LARGEST = 50_000_000


@dataclass(frozen=True)
class Entries:
    """Entries of one Jacobian, and how far they are off.

    Attributes:
        rows: their rows.
        columns: their columns.
        off: claimed minus measured.
        measured: the measured derivatives.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    off: NDArray[np.float64]
    measured: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Claimed:
    """A claimed Jacobian.

    Attributes:
        claim: a matrix, a tuple of one an input, or a function of all inputs that returns one of them.
        outputs: number of outputs.
        sizes: number of elements of each differentiated input.
        shapes: the shape of the outputs, and those of the inputs.
        turned: whether its transpose is taken in its place.
        mended: entries by the number of the input, whose measured values are taken in place of the claimed ones.
    """

    claim: Any
    outputs: int
    sizes: tuple[int, ...]
    shapes: tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
    turned: bool = False
    mended: Mapping[int, Entries] = field(default_factory=dict)

    @property
    def computed(self) -> bool:
        """Whether it is a function of the inputs."""
        return computed(self.claim)

    def _parts(self, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        found = self.claim(*inputs, **keywords) if self.computed else self.claim
        return list(found) if isinstance(found, tuple) else [found]

    def lies_crosswise(self, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
        """Whether the claim has a column for each output and a row for each element of the input, and is not square."""
        parts = self._parts(inputs, keywords)
        shapes = [tuple(np.shape(part) if not hasattr(part, "shape") else part.shape) for part in parts]
        wanted = [(size, self.outputs) for size in self.sizes]
        return shapes == wanted and all(size not in (1, self.outputs) for size in self.sizes) and self.outputs > 1

    def at(self, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        """One matrix of shape (outputs, elements) for each differentiated input.

        Raises:
            InputError: there is another number of them, or one is of another shape.
        """
        parts = self._parts(inputs, keywords)
        if self.turned:
            parts = [part.T for part in parts]
        if len(parts) != len(self.sizes):
            raise InputError.of(
                DOING, "`jacobian`", f"a tuple of {len(self.sizes)} Jacobians, one for each differentiated input",
                f"{len(parts)}", "Return one for each, or name the inputs that it is for in argnums=.",
            )  # fmt: skip
        return [self._matrix(part, k) for k, part in enumerate(parts)]

    def _matrix(self, part: Any, k: int) -> Any:
        wanted = (self.outputs, self.sizes[k])
        matrix = part if hasattr(part, "shape") and hasattr(part, "__matmul__") else np.asarray(part)
        if not isinstance(matrix, np.ndarray) and getattr(matrix, "shape", None) == wanted:
            return matrix
        if isinstance(matrix, np.ndarray) and matrix.shape in (wanted, (*self.shapes[0], *self.shapes[1][k])):
            return matrix.reshape(wanted)
        squeezed = tuple(n for n in matrix.shape if n != 1)
        if isinstance(matrix, np.ndarray) and squeezed == tuple(n for n in wanted if n != 1):
            return matrix.reshape(wanted)
        turned = " (its transpose has)" if tuple(matrix.shape) == wanted[::-1] else ""
        raise InputError.of(
            DOING, "`jacobian`", f"of shape {wanted}: one row an output, one column an element of the input{turned}",
            f"of shape {tuple(matrix.shape)}", "Return the derivative of output i by element j in row i, column j.",
        )  # fmt: skip

    def product(self, inputs: Sequence[Any], keywords: Mapping[str, Any], cotangent: NDArray[Any]) -> tuple[Any, ...]:
        """Cotangent times Jacobian, one array an input."""
        flat = np.asarray(cotangent).reshape(-1)
        found = []
        for k, (matrix, shape) in enumerate(zip(self.at(inputs, keywords), self.shapes[1], strict=True)):
            product = np.asarray(matrix.T @ flat).reshape(-1)
            if k in self.mended:
                entries = self.mended[k]
                product = product.astype(np.float64)
                np.subtract.at(product, entries.columns, entries.off * flat[entries.rows])
            found.append(_kept(product, matrix).reshape(shape))
        return tuple(found)

    def forward(self, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> "Forward":
        """The claimed change of the outputs for tangents."""
        matrices = self.at(inputs, keywords)

        def along(tangents: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
            pairs = zip(matrices, tangents, strict=True)
            parts = [np.asarray(matrix @ v.reshape(-1)).reshape(-1) for matrix, v in pairs]
            return np.asarray(sum(parts), dtype=np.float64)

        return along


#: A tangent for each differentiated input to the claimed change of the outputs, flat.
Forward = Callable[[Sequence[NDArray[Any]]], NDArray[np.float64]]


def computed(claim: Any) -> bool:
    """Whether a claimed Jacobian is a function of the inputs; operators may be callable, too."""
    return callable(claim) and not hasattr(claim, "__matmul__")


def _kept(product: NDArray[Any], matrix: Any) -> NDArray[Any]:
    """A product in the precision of the matrix, which is what is claimed to be right."""
    kind = getattr(matrix, "dtype", product.dtype)
    return product.astype(kind) if kind.kind == "f" else product.astype(np.float64)


def is_sparse(matrix: Any) -> bool:
    """Whether a matrix stores its non-zero entries alone."""
    return hasattr(matrix, "tocoo") and hasattr(matrix, "nnz")


def stored(matrix: Any, rows: NDArray[np.intp], column: int) -> NDArray[np.bool_]:
    """Whether a sparse matrix stores an entry in these rows of one column."""
    found = matrix.tocsc()[:, [column]].tocoo()
    return np.asarray(np.isin(rows, found.row))


def nonfinite(matrix: Any) -> NDArray[np.bool_] | None:
    """Where a dense matrix is not finite; None where it is, or is none."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind != "f":
        return None
    bad = ~np.isfinite(matrix)
    return bad if bad.any() else None


def row_norms(matrices: Sequence[Any]) -> NDArray[np.float64] | None:
    """The norm of each row over all inputs; None where a matrix does not show its entries."""
    squares: Any = 0.0
    for matrix in matrices:
        if isinstance(matrix, np.ndarray):
            squares = squares + np.sum(matrix.astype(np.float64) ** 2, axis=1)
        elif is_sparse(matrix):
            squares = squares + np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64).reshape(-1)
        else:
            return None
    return np.asarray(np.sqrt(squares), dtype=np.float64)


def support(matrix: Any, row: int) -> NDArray[np.bool_] | None:
    """Where a row of a matrix is not zero; None where it does not show its entries."""
    if isinstance(matrix, np.ndarray):
        return np.asarray(matrix[row] != 0)
    if is_sparse(matrix):
        found = np.zeros(matrix.shape[1], dtype=bool)
        own = matrix.tocsr()[[row], :].tocoo()
        found[own.col[own.data != 0]] = True
        return found
    return None
