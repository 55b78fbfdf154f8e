"""What a function is given beside the parameters, parted into what a compiled function takes and what it is made for.

The decision behind it: arrays are handed over anew at each call; numbers, strings, flags and objects decide what a
function does and are written into what is compiled. So a compiled function is made once for each of these, and not for
each batch.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import tree_util


@dataclass(frozen=True)
class Given:
    """Arguments and options.

    Attributes:
        arrays: the arrays among them.
        places: their places among all leaves.
        leaves: all leaves.
        treedef: how these are nested.
    """

    arrays: tuple[Any, ...]
    places: tuple[int, ...]
    leaves: tuple[Any, ...]
    treedef: Any

    @classmethod
    def of(cls, args: Sequence[Any], options: Mapping[str, Any]) -> "Given":
        """Takes arguments apart."""
        leaves, treedef = tree_util.tree_flatten((tuple(args), dict(options)))
        places = tuple(i for i, leaf in enumerate(leaves) if _is_dynamic(leaf))
        return cls(tuple(leaves[i] for i in places), places, tuple(leaves), treedef)

    @property
    def key(self) -> Hashable:
        """What a compiled function is made for."""
        dynamic = set(self.places)
        return self.treedef, tuple(None if i in dynamic else _key(leaf) for i, leaf in enumerate(self.leaves))

    @property
    def formats(self) -> Hashable:
        """Shapes and formats of the arrays."""
        return tuple((a.shape, str(a.dtype)) for a in self.arrays)

    def with_arrays(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and options with other arrays."""
        leaves = list(self.leaves)
        for place, array in zip(self.places, arrays, strict=True):
            leaves[place] = array
        args, options = tree_util.tree_unflatten(self.treedef, leaves)
        return args, options


def _is_dynamic(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc")


def _key(leaf: Any) -> Hashable:
    if isinstance(leaf, bool | int | float | complex | str | bytes | np.generic) or leaf is None:
        return type(leaf), repr(leaf)
    return type(leaf), id(leaf)
