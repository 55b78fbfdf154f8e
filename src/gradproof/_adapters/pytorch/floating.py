"""Floating-point errors of PyTorch's operations, as NumPy calls them; PyTorch itself reports none.

The decision behind it: an operation that makes infinities of finite numbers has overflowed or divided by zero, and one
that makes NaN of other numbers is invalid. Both are seen from outside, in the backward pass too.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that are infinite at zero alone, with the position of the number that is zero.
POLES = {"div": 1, "reciprocal": 0, "log": 0, "log2": 0, "log10": 0, "rsqrt": 0, "pow": 0}
#: Operations that return memory as it is.
UNFILLED = "empty"


class _Watching(TorchDispatchMode):
    """Tells of each operation's floating-point error."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._tell = tell

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation."""
        kwargs = kwargs or {}
        before = [_summary(part) for part in tree_leaves((args, kwargs))]
        name = func.name().partition("::")[2].partition(".")[0].rstrip("_")
        pole = _at_pole(name, args)
        returned = func(*args, **kwargs)
        after = [_summary(part) for part in tree_leaves(returned) if isinstance(part, torch.Tensor)]
        if UNFILLED in name or not any(isinstance(part, torch.Tensor) for part in tree_leaves((args, kwargs))):
            return returned
        if any(nan for _, nan in after) and not any(nan for _, nan in before):
            self._tell("invalid value")
        if any(inf for inf, _ in after) and not any(inf or nan for inf, nan in before):
            self._tell("divide by zero" if pole else "overflow")
        return returned


def _summary(part: Any) -> tuple[bool, bool]:
    """Whether a value has infinities, and NaN."""
    if isinstance(part, float):
        return math.isinf(part), math.isnan(part)
    if not isinstance(part, torch.Tensor) or not (part.is_floating_point() or part.is_complex()):
        return False, False
    return bool(torch.isinf(part).any()), bool(torch.isnan(part).any())


def _at_pole(name: str, args: Any) -> bool:
    place = POLES.get(name)
    if place is None or place >= len(args):
        return False
    value = args[place]
    return bool((value == 0).any()) if isinstance(value, torch.Tensor) else value == 0


def floating_errors(tell: Callable[[str], object]) -> AbstractContextManager[Any]:
    """Tells of floating-point errors, by NumPy's names, while entered."""
    return _Watching(tell)
