"""A function of tensors with its backward pass, as the laws of such passes ask for it.

The decision behind it: everything runs in the user's own formats and on tensors made for the one call, through
``torch.autograd.grad`` as users call it, with random numbers standing still. What lies in memory in an odd way is made
here, and what passes change in place is seen here, by comparing bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradproof._adapters.pytorch.functions import Function, Pass, same
from gradproof._adapters.pytorch.returned import custom_nodes, raw
from gradproof._adapters.pytorch.state import Behind
from gradproof._adapters.pytorch.target import outputs_of
from gradproof._adapters.pytorch.tensors import array_of, tensor_of
from gradproof._adapters.randomness import Snapshot
from gradproof._algebra.backward import Answer, Asked, Cotangents, Layout, Returned, Slot

#: What stands between the elements of a tensor that is every second element of another.
BETWEEN = 3.0


@dataclass(frozen=True)
class _Made:
    """A forward pass: leaves, what was returned, and everything that must stay as it is, with copies."""

    leaves: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]
    changed: tuple[tuple[str, str], ...]
    values: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class _Watched:
    """Tensors that a backward pass must leave as they are: the caller's, those that were saved for it, and copies."""

    mine: Mapping[str, torch.Tensor]
    saved: Mapping[str, torch.Tensor]
    copies: Mapping[str, torch.Tensor]

    @property
    def changed(self) -> list[tuple[str, str]]:
        """Those that are no longer what they were, each with how ``Answer.changed`` calls it."""
        written = [(name, "backward") for name, t in self.mine.items() if not same(t, self.copies[name])]
        rest = {name: t for name, t in self.saved.items() if name not in self.mine}
        return written + [(name, "saved") for name, t in rest.items() if not same(t, self.copies[name])]


@dataclass(frozen=True)
class Graph:
    """A function at its inputs with the backward pass that reverse mode finds, or the user's own.

    Attributes:
        function: the function, taken apart.
        behind: what calls leave behind.
        random: the random state that every call begins with.
        vjp: the user's own backward pass; None for reverse mode.
    """

    function: Function
    behind: Behind
    random: Snapshot
    vjp: Pass | None = None

    @cached_property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""
        pairs = zip(self.function.structure.names, self.function.tensors, strict=True)
        return tuple(Slot(name, tuple(t.shape), _format(t.dtype), t.is_complex()) for name, t in pairs)

    @cached_property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        return slots_of(self.function)

    @cached_property
    def values(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the inputs."""
        return tuple(_wide(t) for t in self.function.tensors)

    @property
    def laid_out(self) -> bool:
        """Whether inputs can be given in other layouts; those that the function writes to cannot."""
        return not self.function.writes

    @property
    def draws(self) -> bool:
        """Whether the function draws random numbers."""
        return self.function.draws

    def gradients(self, asked: Asked) -> Answer:
        """A forward and a backward pass."""
        with self._still():
            made = self._forward(asked)
            return self._backward(made, asked, retain=False)

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """Two backward passes through one forward pass."""
        with self._still():
            made = self._forward(asked)
            first = self._backward(made, asked, retain=True)
            self.random.restore()
            return first, self._backward(made, asked, retain=True)

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The first backward pass, made after another forward and backward pass."""
        with self._still():
            mine = self._forward(asked)
            self.random.restore()
            theirs = self._forward(other)
            self._backward(theirs, other, retain=False)
            self.random.restore()
            return self._backward(mine, asked, retain=False)

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """Gradients as custom functions returned them, before PyTorch adapts them."""
        if self.vjp is not None:
            return ()
        with self._still():
            made = self._forward(asked)
            slots = {id(leaf): i for i, leaf in enumerate(made.leaves)}
            names = [slot.name for slot in self.inputs]
            return raw(custom_nodes(made.outputs), slots, names, lambda: self._backward(made, asked, retain=True))

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """A rule has one forward pass, differentiated or not."""
        return ()

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """Forward mode is not asked: hardly any rule has one."""
        return None

    @contextmanager
    def _still(self) -> Iterator[None]:
        """The same random numbers and the same state of modules for every call, with a graph.

        Every call leaves the random state as it has found it, so that it need not be put back before as well.
        """
        try:
            with self.behind.after_call(), torch.enable_grad():
                yield
        finally:
            self.random.restore()

    def _forward(self, asked: Asked) -> _Made:
        leaves = []
        for i, like in enumerate(self.function.tensors):
            values = self.values[i] if asked.values is None else asked.values[i]
            leaf = tensor_of(np.array(values), like).to(device=like.device, dtype=like.dtype)
            if asked.inputs is not None and i in asked.inputs[0]:
                leaf = laid(leaf, asked.inputs[1])
            needed = self.vjp is None and (asked.needed is None or i in asked.needed)
            leaves.append(leaf.detach().requires_grad_(needed))
        given = [leaf.clone() for leaf in leaves] if self.function.writes else leaves
        before = [leaf.detach().clone() for leaf in given] if asked.watched else []
        outputs = tuple(outputs_of(self.function.returned(given)))
        hidden = (
            name
            for name, tensor, kept in zip(self.function.structure.names, given, before, strict=asked.watched)
            if not same(tensor, kept) and not any(_is(tensor, output) for output in outputs)
        )
        arrays = tuple(_wide(output) for output in outputs)
        return _Made(tuple(leaves), outputs, tuple((name, "forward") for name in hidden), arrays)

    def _backward(self, made: _Made, asked: Asked, *, retain: bool) -> Answer:
        chosen = [
            (slot, output, self._cotangent(u, output, asked.layout))
            for slot, output, u in zip(self.outputs, made.outputs, asked.cotangents, strict=True)
            if u is not None
        ]
        watch = self._watched(made, chosen) if asked.watched else _Watched({}, {}, {})
        # Each backward pass sees the same random numbers, so that two can be compared; that they are no others than
        # those of the forward pass is for the check itself to see.
        if self.function.draws:
            self.random.restore()
        if self.vjp is not None:
            found = self._claimed(made, asked)
        else:
            found = _reached(made.leaves, [(output, u) for _, output, u in chosen], retain=retain)
        gradients = tuple(
            None if asked.needed is not None and i not in asked.needed else _filled(g, leaf)
            for i, (g, leaf) in enumerate(zip(found, made.leaves, strict=True))
        )
        return Answer(gradients, made.values, (*made.changed, *watch.changed))

    def _watched(
        self, made: _Made, chosen: Sequence[tuple[Slot, torch.Tensor, torch.Tensor]]
    ) -> "_Watched":  # fmt: skip
        """What a backward pass must leave as it is, given the outputs with their cotangents."""
        single = len(self.outputs) == 1
        mine = {
            **{slot.name: leaf for slot, leaf in zip(self.inputs, made.leaves, strict=True)},
            **{slot.name: output for slot, output, _ in chosen},
            **{("the cotangent" if single else f"the cotangent of {slot.name}"): u for slot, _, u in chosen},
        }
        saved = {name: t for node in custom_nodes(made.outputs) for name, t in node.saved.items()}
        return _Watched(mine, saved, {name: tensor.detach().clone() for name, tensor in {**mine, **saved}.items()})

    def _claimed(self, made: _Made, asked: Asked) -> Sequence[torch.Tensor | None]:
        """What the user's own backward pass returns."""
        assert self.vjp is not None
        cotangents = [
            None if u is None else self._cotangent(u, output, asked.layout)
            for u, output in zip(asked.cotangents, made.outputs, strict=True)
        ]
        return self.vjp(made.leaves, cotangents)

    def _cotangent(self, values: NDArray[Any], like: torch.Tensor, layout: Layout | None) -> torch.Tensor:
        found = torch.from_numpy(np.array(values)).to(device=like.device, dtype=like.dtype)
        fits = layout is not None and layout.fits(tuple(found.shape), complex_numbers=found.is_complex())
        return laid(found, layout) if fits and layout is not None else found


def _reached(
    leaves: Sequence[torch.Tensor], pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], *, retain: bool
) -> list[torch.Tensor | None]:
    """What reverse mode says; None for leaves that it does not reach or that need none."""
    connected = [(output, u) for output, u in pairs if output.requires_grad]
    needed = [leaf for leaf in leaves if leaf.requires_grad]
    if not connected or not needed:
        return [None] * len(leaves)
    outputs, cotangents = zip(*connected, strict=True)
    found = iter(torch.autograd.grad(outputs, needed, cotangents, retain_graph=retain, allow_unused=True))
    return [next(found) if leaf.requires_grad else None for leaf in leaves]


def _filled(gradient: torch.Tensor | None, leaf: torch.Tensor) -> NDArray[Any]:
    found = torch.zeros_like(leaf) if gradient is None else gradient.to_dense()
    return _wide(found)


def _wide(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy in double precision."""
    return np.array(array_of(tensor), dtype=np.complex128 if tensor.is_complex() else np.float64, subok=False)


def _format(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _is(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same elements of the same memory."""
    return bool(one.data_ptr() == other.data_ptr() and one.shape == other.shape)


def laid(tensor: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The same numbers in another order in memory.

    Args:
        tensor: numbers that fit the layout.
        layout: how they are to lie.
    """
    if layout is Layout.STRIDED:
        last = tensor.shape[-1]
        buffer = torch.full((*tensor.shape[:-1], 2 * last + 1), BETWEEN, dtype=tensor.dtype, device=tensor.device)
        return buffer[..., 1::2].copy_(tensor)
    if layout is Layout.TRANSPOSED:
        axes = tuple(reversed(range(tensor.dim())))
        return tensor.permute(axes).contiguous().permute(axes)
    if layout is Layout.CHANNELS_LAST:
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout is Layout.EXPANDED:
        return tensor.reshape(-1)[0].clone().expand(tensor.shape)
    if layout is Layout.ROWS:
        return tensor[:1].clone().expand(tensor.shape)
    return torch.conj(torch.conj_physical(tensor))


def slots_of(function: Function) -> tuple[Slot, ...]:
    """The outputs of a function that can be differentiated."""
    many = len(function.outputs) > 1
    return tuple(
        Slot(f"output {i}" if many else "the output", shape, _format(dtype), dtype.is_complex)
        for i, (shape, dtype) in enumerate(function.outputs)
    )


def graph_of(function: Function, random: Snapshot, vjp: Pass | None = None) -> Graph:
    """A function with its backward pass."""
    return Graph(function, function.behind, random, vjp)
