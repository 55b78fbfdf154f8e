"""Direction . gradient of tensors, where the gradient may be computed by reverse mode."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_map

from gradproof._adapters.pytorch.tensors import is_moved


def along(
    grads: Callable[..., Any], values: Callable[[Any], list[Any]], direction: Sequence[NDArray[Any]]
) -> Callable[..., Any]:
    """The cost direction . gradient.

    Args:
        grads: the user's gradient.
        values: takes a gradient apart, in the order of the parameters.
        direction: one array a parameter.
    """
    vector = [torch.from_numpy(part) for part in direction]

    def cost(params: Any, *args: Any, **options: Any) -> torch.Tensor:
        with torch.enable_grad():
            # Reverse mode inside needs parameters that require a gradient, also where only the cost is asked for.
            given = params if torch.is_grad_enabled() and _needs(params) else tree_map(_leaf, params)
            found = values(grads(given, *args, **options))
            parts = [(g.to(torch.float64) * u.to(g.device)).sum() for g, u in zip(found, vector, strict=True)]
            return torch.stack(parts).sum()

    return cost


def _needs(tree: Any) -> bool:
    found: list[bool] = []
    tree_map(lambda part: found.append(is_moved(part) and part.requires_grad), tree)
    return any(found)


def _leaf(part: Any) -> Any:
    return part.detach().requires_grad_() if is_moved(part) else part
