"""Where in a model an operation was called, for the names of those that draw random numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.modules import module as hooks


class Whereabouts:
    """The path of the module whose forward pass is running, while this is entered."""

    def __init__(self, modules: Sequence[torch.nn.Module]) -> None:
        self._paths: dict[int, str] = {}
        for module in modules:
            for path, part in module.named_modules():
                if len(path) >= len(self._paths.get(id(part), "")):
                    self._paths[id(part)] = path
        self._stack: list[str] = []
        self._handles: list[Any] = []

    def __call__(self) -> str:
        """The innermost named module that is running, with a colon; "" outside of all."""
        path = next((p for p in reversed(self._stack) if p), "")
        return f"{path}: " if path else ""

    def __enter__(self) -> "Whereabouts":
        self._handles = [
            hooks.register_module_forward_pre_hook(self._started),
            hooks.register_module_forward_hook(self._ended, always_call=True),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _started(self, module: torch.nn.Module, _: Any) -> None:
        self._stack.append(self._paths.get(id(module), ""))

    def _ended(self, _module: torch.nn.Module, _inputs: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()
