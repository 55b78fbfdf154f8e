"""What modules keep beside parameters and buffers: counters, caches, metrics; as it was, put back.

The decision behind it: a forward pass may count its calls, append to a list or update a metric, and a check calls it
dozens of times. What an attribute held is put back one level deep: the attribute, the contents of a container, and the
numbers of a tensor or an array that was written to. Objects of other kinds are the user's own and are left alone.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def attributes_kept(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Puts the attributes of modules back, whatever happens."""
    kept = [(module, dict(vars(module))) for module in modules]
    owned = {id(t) for module, _ in kept for t in (*module._parameters.values(), *module._buffers.values())}
    contents = [_Contents(value) for _, names in kept for value in names.values() if id(value) not in owned]
    try:
        yield
    finally:
        for module, names in kept:
            now = vars(module)
            if now.keys() != names.keys() or any(now[name] is not value for name, value in names.items()):
                now.clear()
                now.update(names)
        for one in contents:
            one.restore()


class _Contents:
    """What a container, a tensor or an array holds; of other things nothing."""

    __slots__ = ("_copy", "_value", "_version")

    def __init__(self, value: Any) -> None:
        self._value, self._copy, self._version = value, None, 0
        if isinstance(value, torch.Tensor):
            if value.layout is torch.strided and not value.is_nested and value.device.type != "meta":
                self._copy, self._version = value.detach().clone(), value._version
        elif isinstance(value, dict | list | set) or (isinstance(value, np.ndarray) and value.flags.writeable):
            self._copy = value.copy()

    def restore(self) -> None:
        """Puts the contents back where they were changed."""
        value, copy = self._value, self._copy
        if copy is None:
            return
        if isinstance(value, torch.Tensor):
            if value._version != self._version:
                with torch.no_grad():
                    value.copy_(copy)
        elif isinstance(value, np.ndarray):
            value[...] = copy
        elif isinstance(value, list):
            if len(value) != len(copy) or any(a is not b for a, b in zip(value, copy, strict=True)):
                value[:] = copy
        elif isinstance(value, set):
            if value != copy:
                value.clear()
                value.update(copy)
        elif len(value) != len(copy) or any(a is not b for a, b in zip(value.values(), copy.values(), strict=True)):
            value.clear()
            value.update(copy)
