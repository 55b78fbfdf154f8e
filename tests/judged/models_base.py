"""What a judged model is, and the reference that owes nothing to the package: differences in extended precision."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Backward = Callable[[Any, str], Any]

EXTENDED = bool(np.finfo(np.longdouble).eps < 1e-18)
SLACK = 1e-10 if EXTENDED else 1e-6


@dataclass(frozen=True, eq=False)
class Model:
    """A cost, its parameters, and its gradient with every planted bug by name ("" is the right one)."""

    name: str
    cost: Callable[[Any], Any]
    params: Any
    backward: Backward
    bugs: tuple[str, ...] = ()
    prefixed: bool = False
    tolerance: float = 1e-5
    by_size: bool = False

    def claim(self, bug: str) -> Any:
        """The gradient that is handed over, at the model's point."""
        tree = self.backward(self.params, bug)
        return {f"d{key}": leaf for key, leaf in tree.items()} if self.prefixed else tree


def leaves(tree: Any) -> Iterator[Array]:
    if isinstance(tree, Mapping):
        for branch in tree.values():
            yield from leaves(branch)
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    elif is_dataclass(tree) and not isinstance(tree, type):
        for field in fields(tree):
            yield from leaves(getattr(tree, field.name))
    else:
        yield np.asarray(tree)


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: rebuilt(branch, values) for key, branch in tree.items()}
    if isinstance(tree, list):
        return [rebuilt(branch, values) for branch in tree]
    if isinstance(tree, tuple):
        branches = [rebuilt(branch, values) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{field.name: rebuilt(getattr(tree, field.name), values) for field in fields(tree)})
    return next(values)


def copied(tree: Any) -> Any:
    return rebuilt(tree, iter([np.array(leaf) for leaf in leaves(tree)]))


def reference(cost: Callable[[Any], Any], params: Any, *, by_size: bool = False) -> list[Array]:
    """The derivative of every component in extended precision, Richardson-extrapolated; steps may follow the size."""
    wide: list[Array] = [
        np.array(leaf, dtype=np.clongdouble if np.iscomplexobj(leaf) else np.longdouble) for leaf in leaves(params)
    ]
    step = np.longdouble(np.finfo(np.longdouble).eps) ** (np.longdouble(1) / 3)

    def slope(leaf: Array, index: tuple[int, ...], direction: complex) -> Any:
        centre = leaf[index]
        found = []
        scale = np.abs(leaf).max() if by_size else np.longdouble(1)
        for h in (step * scale, step * scale / 2):
            values = []
            for side in (1, -1):
                leaf[index] = centre + side * h * direction
                values.append(np.longdouble(np.asarray(cost(rebuilt(params, iter(wide)))).reshape(())[()]))
            found.append((values[0] - values[1]) / (2 * h))
        leaf[index] = centre
        return (4 * found[1] - found[0]) / 3

    gradients = []
    for leaf in wide:
        gradient = np.zeros_like(leaf)
        for index in np.ndindex(leaf.shape):
            gradient[index] = slope(leaf, index, 1.0)
            if np.iscomplexobj(leaf):
                gradient[index] += 1j * slope(leaf, index, 1j)
        gradients.append(gradient)
    return gradients


def norm(leaf: Array) -> Any:
    return np.sqrt(np.sum(np.abs(leaf).astype(np.longdouble) ** 2))


def relative(true: list[Array], claimed: list[Array]) -> float:
    """The course notes' number over all the tensors given."""
    mismatch = np.sqrt(sum(norm(c.reshape(t.shape) - t) ** 2 for t, c in zip(true, claimed, strict=True)))
    whole = np.sqrt(sum(norm(t) ** 2 for t in true)) + np.sqrt(sum(norm(c) ** 2 for c in claimed))
    return float(mismatch / whole) if whole > 0 else 0.0


# The bugs that fit any model: what they do to the right gradient, tensor by tensor.
GENERIC = (
    "factor 2 on one",
    "factor 1.0001 on one",
    "factor 1.00003 on all",
    "sign of one",
    "sign of all",
    "zero one",
    "one entry x1.5",
    "last half zero",
    "rolled",
    "transposed",
    "swapped",
    "clipped",
    "normalised",
    "float16",
    "constant added to one",
    "parameter added to one",
    "times parameter",
    "mean in place of one",
)


def spoilt(gradient: Any, params: Any, bug: str, which: int) -> Any:
    """The gradient with a generic bug in the tensor number `which` (modulo their number)."""
    parts = [np.array(leaf) for leaf in leaves(gradient)]
    points = [np.asarray(leaf) for leaf in leaves(params)]
    k = which % len(parts)
    g = parts[k]
    if bug == "factor 2 on one":
        parts[k] = 2 * g
    elif bug == "factor 1.0001 on one":
        parts[k] = g * g.dtype.type(1.0001)
    elif bug == "factor 1.00003 on all":
        parts = [part * part.dtype.type(1.00003) for part in parts]
    elif bug == "sign of one":
        parts[k] = -g
    elif bug == "sign of all":
        parts = [-part for part in parts]
    elif bug == "zero one":
        parts[k] = 0 * g
    elif bug == "one entry x1.5":
        g.reshape(-1)[g.size // 2] *= 1.5
    elif bug == "last half zero":
        g.reshape(-1)[g.size // 2 :] = 0
    elif bug == "rolled":
        parts[k] = np.roll(g.reshape(-1), 1).reshape(g.shape)
    elif bug == "transposed":
        parts[k] = g.T.copy() if g.ndim == 2 and g.shape[0] == g.shape[1] else g
    elif bug == "swapped":
        twin = next((i for i in range(len(parts)) if i != k and parts[i].shape == g.shape), k)
        parts[k], parts[twin] = parts[twin], parts[k]
    elif bug == "clipped":
        limit = float(np.abs(g).max()) / 2 if g.size else 1.0
        parts[k] = g / np.maximum(1, np.abs(g) / limit) if limit > 0 else g
    elif bug == "normalised":
        parts = [part / norm(part).astype(float) if norm(part) > 1e-12 else part for part in parts]
    elif bug == "float16":
        parts[k] = np.clip(g.real, -6e4, 6e4).astype(np.float16).astype(g.dtype)
    elif bug == "constant added to one":
        parts[k] = g + 0.05
    elif bug == "parameter added to one":
        parts[k] = g + 0.1 * points[k]
    elif bug == "times parameter":
        parts[k] = g * points[k]
    elif bug == "mean in place of one":
        parts[k] = np.full_like(g, g.mean())
    else:
        raise AssertionError(bug)
    return rebuilt(gradient, iter(parts))
