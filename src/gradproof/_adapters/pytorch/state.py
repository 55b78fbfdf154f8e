"""What functions of PyTorch leave behind: buffers, gradients, flags, random numbers; found, put back.

The decision behind it: every evaluation must see the same model, and the user's model must be the same afterwards, bit
for bit. Buffers are compared by the version that PyTorch counts, so that an evaluation that changes none pays for a
few comparisons of integers; those that change without being counted, as running statistics do, are found by their
contents in the first calls and put back after each from then on.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from gradproof._adapters.pytorch.attributes import attributes_kept
from gradproof._adapters.randomness import MOST, Source
from gradproof._adapters.reach import walk

#: Calls after which all buffers are compared by their contents.
FIRST_CALLS = 3


@dataclass(frozen=True)
class Behind:
    """Tensors and modules that calls can change, with what they held.

    Attributes:
        modules: the modules, and all modules in them.
        buffers: each buffer with a copy.
        versions: the version of each buffer that belongs to the copy.
        silent: the places of buffers that change without a new version.
        calls: how many calls were looked at, in a list of one number.
        places: where each buffer is kept: the buffers of its module, and its name there.
    """

    modules: tuple[torch.nn.Module, ...]
    buffers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    versions: list[int]
    silent: set[int] = field(default_factory=set)
    calls: list[int] = field(default_factory=lambda: [0])
    places: tuple[tuple[dict[str, torch.Tensor | None], str, torch.Tensor], ...] = ()

    @classmethod
    def of(cls, modules: Iterable[torch.nn.Module]) -> "Behind":
        """Copies the buffers of modules and of all modules in them."""
        found = {id(m): m for module in modules for m in module.modules()}
        buffers = {id(b): b for module in found.values() for b in module._buffers.values() if b is not None}
        kept = tuple((buffer, buffer.detach().clone()) for buffer in buffers.values())
        places = tuple((m._buffers, n, b) for m in found.values() for n, b in m._buffers.items() if b is not None)
        return cls(tuple(found.values()), kept, [buffer._version for buffer, _ in kept], places=places)

    def also(self, tensors: Iterable[torch.Tensor]) -> "Behind":
        """With further tensors that calls can change."""
        known = {id(buffer) for buffer, _ in self.buffers}
        dense = [t for t in tensors if t.layout is torch.strided and not t.is_nested and t.device.type != "meta"]
        further = list({id(t): t for t in dense if id(t) not in known}.values())
        kept = tuple((tensor, tensor.detach().clone()) for tensor in further)
        return replace(self, buffers=(*self.buffers, *kept), versions=[*self.versions, *(t._version for t in further)])

    def after_call(self) -> AbstractContextManager[None]:
        """Puts buffers back that a call has changed."""
        return self._put_back() if self.buffers else nullcontext()

    @contextmanager
    def _put_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.calls[0] += 1
            for names, name, buffer in self.places:
                now = names.get(name)
                # Running statistics may be computed anew; what has another format was widened for the check.
                if now is not buffer and (now is None or now.dtype == buffer.dtype):
                    names[name] = buffer
            for i, (buffer, kept) in enumerate(self.buffers):
                counted = buffer._version != self.versions[i]
                if not counted and self.calls[0] <= FIRST_CALLS and not _same(buffer, kept):
                    self.silent.add(i)
                if counted or i in self.silent:
                    with torch.no_grad():
                        buffer.copy_(kept)
                    self.versions[i] = buffer._version

    @contextmanager
    def protected(self, tensors: Iterable[torch.Tensor] = ()) -> Iterator[None]:
        """Puts back gradients, flags, modes and attributes of modules and gradients of tensors, whatever happens."""
        owned = [p for module in self.modules for p in module._parameters.values() if p is not None]
        watched = list({id(t): t for t in (*owned, *tensors)}.values())
        # Only leaves own a gradient; to ask others for one is a warning.
        gradients = [(t, t.grad, t.requires_grad) for t in watched if t.is_leaf]
        contents = [(grad, grad.detach().clone()) for _, grad, _ in gradients if grad is not None]
        try:
            with attributes_kept(self.modules):  # the entries for buffers and modes are among them
                yield
        finally:
            for tensor, grad, needed in gradients:
                tensor.requires_grad_(needed)
                tensor.grad = grad
            with torch.no_grad():
                for grad, kept in contents:
                    if not _same(grad, kept):
                        grad.copy_(kept)

    @contextmanager
    def aside(self, tensors: Iterable[torch.Tensor]) -> Iterator[None]:
        """Takes gradients out of the way for a time, without a copy of any, and puts them, flags and modes back."""
        owned = [p for module in self.modules for p in module._parameters.values() if p is not None]
        watched = [t for t in {id(t): t for t in (*owned, *tensors)}.values() if t.is_leaf]
        gradients = [(t, t.grad, t.requires_grad) for t in watched]
        modes = [(module, module.training) for module in self.modules]
        try:
            for tensor in watched:
                tensor.grad = None
            yield
        finally:
            for module, training in modes:
                module.training = training
            for tensor, grad, needed in gradients:
                tensor.requires_grad_(needed)
                tensor.grad = grad


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN among them."""
    return all(map(_same_parts, _parts(one), _parts(other)))


def _same_parts(one: torch.Tensor, other: torch.Tensor) -> bool:
    if torch.equal(one, other):
        return True
    if one.shape != other.shape:
        return False
    return bool(torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num()))


def _parts(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The plain tensors that a tensor is made of; what is sparse is not filled up, as it may not fit."""
    if tensor.layout is torch.strided:
        return (tensor,)
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor.to_dense(),)


def modules_in(roots: Iterable[tuple[str, Any]], depth: int = 5) -> list[torch.nn.Module]:
    """The modules that functions and objects lead to."""
    return [thing for _, thing in walk(roots, depth, MOST, stop=_ends) if isinstance(thing, torch.nn.Module)]


def _ends(thing: Any) -> bool:
    """Whether the walk does not go into a thing."""
    return isinstance(thing, torch.nn.Module | torch.Tensor | torch.Generator)


def sources(roots: Iterable[tuple[str, Any]], devices: Iterable[torch.device] = (), depth: int = 5) -> list[Source]:
    """PyTorch's random state: the processor's, that of devices in use, and generators in reach."""
    found = [of_processor()]
    for device in {str(d): d for d in devices if d.type == "cuda"}.values():
        found.append(of_device(device))
    for name, thing in walk(roots, depth, MOST, stop=_ends):
        if isinstance(thing, torch.Generator):
            found.append(of_generator(name, thing))
    return found


def of_processor() -> Source:
    """PyTorch's global random state."""
    return Source("PyTorch's random state", lambda: torch.get_rng_state().numpy(), _set_state)


def _set_state(state: Any) -> None:
    torch.set_rng_state(torch.from_numpy(state))


def of_generator(name: str, generator: torch.Generator) -> Source:
    """The state of a generator of the user's."""
    return Source(
        name,
        lambda: generator.get_state().numpy(),
        lambda state: generator.set_state(torch.from_numpy(state)),
    )


def of_device(device: torch.device) -> Source:
    """The random state of a graphics card."""
    return Source(
        f"the random state of {device}",
        lambda: torch.cuda.get_rng_state(device).numpy(),
        lambda state: torch.cuda.set_rng_state(torch.from_numpy(state), device),
    )
