"""Evaluating a model in double precision, whatever it was written in.

The decision behind it: replacing parameters by float64 copies is not enough, as buffers, constants made inside and
explicit casts bring lower precision back. A dispatch mode sees every operation below autograd, in the backward pass
too, and hands it float64 where it would have got or made less. It is switched on only where a first evaluation shows
that something needs it.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from gradproof._adapters.pytorch.tensors import LOWER, wider

#: Marks operations that draw random numbers.
DRAWS = torch.Tag.nondeterministic_seeded


class Widening(TorchDispatchMode):
    """Hands float64 to every operation that would get or make less, and keeps account of what it saw.

    Attributes:
        lower: whether any operation had to be given wider numbers.
        drawn: the names of the operations that drew random numbers, in their order.
        numbers: what they drew, where it is to be kept.
    """

    def __init__(self, *, widen: bool = True, where: Any = None, keep: bool = False) -> None:
        super().__init__()
        self.lower = False
        self.drawn: dict[str, None] = {}
        self.numbers: list[torch.Tensor] = []
        self._widen = widen
        self._where = where
        self._keep = keep

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch wraps this for its compiler; loading that takes seconds, and nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation."""
        kwargs = kwargs or {}
        if DRAWS in func.tags:
            self.drawn[(self._where() if self._where else "") + func.name().replace("::", ".")] = None
            found = self._run(func, args, kwargs)
            flat = (found if isinstance(found, tuple | list) else (found,)) if self._keep else ()
            self.numbers += [part.detach().clone() for part in flat if isinstance(part, torch.Tensor)]
            return found
        return self._run(func, args, kwargs)

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        if not self._widen:
            return func(*args, **kwargs)
        written = _written(func)
        args = tuple(a if i in written else self._wide(a) for i, a in enumerate(args))
        kwargs = {key: self._wide(value) for key, value in kwargs.items()}
        return func(*args, **kwargs)

    def _wide(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.dtype not in LOWER or value.layout is not torch.strided:
                return value
            self.lower = True
            return value.to(wider(value.dtype))
        if isinstance(value, torch.dtype) and value in LOWER:
            self.lower = True
            return wider(value)
        return tree_map(self._wide, value) if isinstance(value, list | tuple) else value


def same_numbers(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Whether two runs in different precision drew the same random numbers, but for rounding."""
    if len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-2, atol=1e-2) for a, b in pairs)


@functools.cache
def _written(func: Any) -> frozenset[int]:
    """The positions of arguments that an operation writes to: these keep their own format."""
    schema = enumerate(func._schema.arguments)
    return frozenset(i for i, a in schema if a.alias_info is not None and a.alias_info.is_write)


def widened(value: Any) -> Any:
    """A nesting with double-precision copies of its lower-precision tensors; everything else as it is."""

    def wide(part: Any) -> Any:
        if isinstance(part, torch.Tensor) and part.dtype in LOWER and part.layout is torch.strided:
            return part.detach().to(wider(part.dtype))
        return part

    return tree_map(wide, value)


@contextmanager
def double(mode: TorchDispatchMode | None = None, devices: Iterable[str] = ("cpu",)) -> Iterator[None]:
    """Constants made inside are float64, autocast is off, and a mode looks after the rest where one is needed."""
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        torch.set_default_dtype(torch.float64)
        stack.callback(torch.set_default_dtype, before)
        for device in devices:
            stack.enter_context(torch.autocast(device, enabled=False))
        if mode is not None:
            stack.enter_context(mode)
        yield
