"""Random numbers of the forward pass, dealt again in the backward pass.

The decision behind it: a backward pass that draws its own numbers is wrong because of that, or for another reason. With
the numbers that the forward pass drew in their place it is either right, which proves the cause, or it is not.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradproof._adapters.pytorch.precision import DRAWS


class Replaying(TorchDispatchMode):
    """Keeps what the forward pass draws, and deals it again, in its order, once the backward pass has begun.

    Attributes:
        again: whether numbers are dealt again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.again = False
        self._drawn: list[tuple[str, torch.Tensor]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch wraps this for its compiler; loading that takes seconds, and nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation, or deals what it drew before."""
        found = func(*args, **(kwargs or {}))
        if DRAWS not in func.tags or not isinstance(found, torch.Tensor):
            return found
        if not self.again:
            self._drawn.append((func.name(), found.detach().clone()))
            return found
        for i, (name, numbers) in enumerate(self._drawn):
            if name == func.name() and numbers.shape == found.shape:
                del self._drawn[i]
                return found.copy_(numbers)
        return found
