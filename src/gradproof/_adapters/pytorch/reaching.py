"""What a function of tensors leads to, found in one walk: its modules and all random state.

The decision behind it: a check of a small function takes a few dozen evaluations of some microseconds, and a walk
through closures and globals takes as long as a hundred of them. So there is one walk before the first call, whose
answers serve the whole check, and one after it, as a first call may make what later ones draw from.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from gradproof._adapters.pytorch.state import of_device, of_generator, of_processor
from gradproof._adapters.randomness import DEPTH, MOST, Source, global_sources, source_of
from gradproof._adapters.reach import walk


@dataclass(frozen=True)
class Reach:
    """What functions and objects lead to.

    Attributes:
        roots: name and object of where the walk started.
        devices: where tensors live.
        modules: the modules in reach.
        sources: all random state in reach, the global ones first.
    """

    roots: tuple[tuple[str, Any], ...]
    devices: tuple[torch.device, ...]
    modules: tuple[torch.nn.Module, ...]
    sources: tuple[Source, ...]

    @classmethod
    def of(cls, roots: Iterable[tuple[str, Any]], devices: Iterable[torch.device]) -> "Reach":
        """Walks once."""
        roots, devices = tuple(roots), tuple(devices)
        modules: list[torch.nn.Module] = []
        sources = [*global_sources(), of_processor(), *(of_device(d) for d in _cards(devices))]
        known: dict[type, bool] = {}

        def ends(thing: Any) -> bool:
            kind = type(thing)
            if kind not in known:
                known[kind] = _ends(thing)
            return known[kind]

        for name, thing in walk(roots, DEPTH, MOST, stop=ends):
            if isinstance(thing, torch.nn.Module):
                modules.append(thing)
            elif not ends(thing):
                continue
            elif isinstance(thing, torch.Generator):
                sources.append(of_generator(name, thing))
            elif (found := source_of(thing, name)) is not None:
                sources.append(found)
        return cls(roots, devices, tuple(modules), tuple(sources))

    def again(self) -> "Reach":
        """The same as it is now."""
        return Reach.of(self.roots, self.devices)


def _cards(devices: Iterable[torch.device]) -> list[torch.device]:
    return list({str(d): d for d in devices if d.type == "cuda"}.values())


def _ends(thing: Any) -> bool:
    """Whether the walk does not go into a thing; it does go into modules, which hold generators."""
    return isinstance(thing, torch.Tensor | torch.Generator) or source_of(thing, "") is not None
