"""Evaluates and differentiates a target at tensors that look at the engine's arrays.

The decision behind it: the engine hands over a list of NumPy arrays and gets numbers back. Whether these arrays hold
float64 copies or the user's own precision says in which of the two the user's code is run; a cost is evaluated without
a graph unless it needs one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_map

from gradproof._adapters.foreign import Flat
from gradproof._adapters.pytorch.precision import Widening, double, widened
from gradproof._adapters.pytorch.replaying import Replaying
from gradproof._adapters.pytorch.state import Behind
from gradproof._adapters.pytorch.target import OfModule, Target
from gradproof._adapters.pytorch.tensors import HELD, LOWER, array_of, claimed_array, dense, tensor_of
from gradproof._records import BFloat16
from gradproof._tree import Structure

#: Arguments of which double-precision copies are kept.
MOST_KEPT = 64

#: Nodes of a graph that are looked at for parts that are run again.
MOST_NODES = 20_000

#: What PyTorch says of tensors of different formats that should be of one.
UNEQUAL = "dtype"
#: What PyTorch says of a backward pass through what requires no gradient.
NO_GRAPH = "does not require grad"


@dataclass(frozen=True)
class Runner:
    """One target with everything that it takes to call it.

    Attributes:
        target: what is called.
        likes: the user's tensors, whose formats and layouts are those of the user's code.
        names: their names.
        behind: what calls leave behind in modules.
        data: formats of the trailing arguments that arrive as arrays in place of tensors; None for what is an array.
        paired: whether the target returns (cost, anything).
        lower: whether any tensor is kept in less than double precision.
        mode: whether operations have to be watched for lower precision.
        graph: whether the cost needs a graph to be evaluated.
        only: whether the code knows nothing but the user's own precision.
    """

    target: Target
    likes: tuple[torch.Tensor, ...]
    names: tuple[str, ...]
    behind: Behind
    data: tuple[torch.dtype | None, ...] = ()
    paired: bool = False
    lower: bool = False
    mode: bool = False
    graph: bool = False
    only: bool = False
    kept: dict[int, tuple[Any, Any, list[int]]] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("functions of PyTorch tensors are evaluated in this process")

    def natively(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether arrays stand for the user's own precision."""
        pairs = zip(arrays, self.likes, strict=True)
        return self.only or not self.lower or any(a.dtype == HELD[t.dtype] for a, t in pairs if t.dtype in LOWER)

    def around(self, *, native: bool) -> AbstractContextManager[Any]:
        """What has to hold while the user's code runs."""
        if native or not self.lower:
            return nullcontext()
        return self.doubled()

    def doubled(self, mode: Widening | None = None) -> AbstractContextManager[Any]:
        """Double precision throughout, on every device in use."""
        watching = mode or (Widening() if self.mode else None)
        return double(watching, {"cpu", *(t.device.type for t in self.likes)})

    def tensors(self, arrays: Sequence[NDArray[Any]], *, native: bool) -> list[torch.Tensor]:
        """The engine's arrays as tensors."""
        found = [tensor_of(array, like) for array, like in zip(arrays, self.likes, strict=True)]
        if native and self.lower:
            return [t.to(like.dtype) for t, like in zip(found, self.likes, strict=True)]
        return found

    def given(self, args: Sequence[Any], *, native: bool) -> list[Any]:
        """The user's further arguments: tensors where tensors were passed, in double precision where that is asked."""
        count = len(self.data)
        found = list(args[: len(args) - count])
        for value, dtype in zip(args[len(args) - count :], self.data, strict=True):
            found.append(value if dtype is None else torch.from_numpy(np.require(value, requirements="W")).to(dtype))
        return found if native or not self.lower else [self._wide(value) for value in found]

    def _wide(self, value: Any) -> Any:
        """A double-precision copy, kept as long as neither it nor the original changes."""
        if isinstance(value, torch.Tensor) and value.dtype not in LOWER:
            return value
        known = self.kept.get(id(value))
        if known is None or known[0] is not value or _versions((value, known[1])) != known[2]:
            if len(self.kept) > MOST_KEPT:
                self.kept.clear()
            wide = widened(value)
            known = self.kept[id(value)] = (value, wide, _versions((value, wide)))
        return known[1]

    def cost(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """The cost, as a NumPy number of double precision; what is no number is returned as it is."""
        native = self.natively(arrays)
        with self.behind.after_call(), torch.set_grad_enabled(self.graph), self.around(native=native):
            tensors = self.tensors(arrays, native=native)
            returned = self.target(tensors, self.given(args, native=native), options)
        return (plain(returned[0]), None) if self.paired and _is_pair(returned) else plain(returned)

    def together(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> NDArray[Any]:
        """The costs of several parameter sets, one a row of each array, by ``torch.func.vmap``; raises as it does."""
        native = self.natively(arrays)
        with self.behind.after_call(), torch.no_grad(), self.around(native=native):
            given = self.given(args, native=native)
            sets = [torch.from_numpy(array) for array in arrays]
            if native and self.lower:
                sets = [t.to(like.dtype) for t, like in zip(sets, self.likes, strict=True)]

            def one(*tensors: torch.Tensor) -> torch.Tensor:
                found: torch.Tensor = self.target(tensors, given, options)
                return found.reshape(())

            costs = torch.func.vmap(one)(*sets)
        return np.asarray(costs.to(torch.float64).numpy())

    def derivative(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Flat:
        """What reverse mode says the gradient is; zero for a tensor that it does not reach."""
        native = self.natively(arrays)
        with self.behind.after_call(), torch.enable_grad(), self.around(native=native):
            tensors = [t.detach().requires_grad_() for t in self.tensors(arrays, native=native)]
            with self.held(tensors):
                return self.reached(self.target(tensors, self.given(args, native=native), options), tensors)

    def held(self, tensors: Sequence[torch.Tensor]) -> AbstractContextManager[None]:
        """Tensors in the places of a module's parameters for longer than a call: a backward pass may run it again."""
        return self.target.holding(tensors) if isinstance(self.target, OfModule) else nullcontext()

    def replayed(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Flat:
        """The same with the random numbers of the forward pass in the place of those that the backward pass draws."""
        native = self.natively(arrays)
        mode = Replaying()
        with self.behind.after_call(), torch.enable_grad(), self.around(native=native), mode:
            tensors = [t.detach().requires_grad_() for t in self.tensors(arrays, native=native)]
            with self.held(tensors):
                returned = self.target(tensors, self.given(args, native=native), options)
                mode.again = True
                return self.reached(returned, tensors)

    def reached(self, returned: Any, tensors: Sequence[torch.Tensor]) -> Flat:
        """What reverse mode says of a returned cost's gradient in tensors."""
        value = returned[0] if self.paired and _is_pair(returned) else returned
        found: Sequence[torch.Tensor | None] = [None] * len(tensors)
        moved = [t for t in tensors if t.requires_grad]
        if moved and isinstance(value, torch.Tensor) and value.requires_grad:
            reached = iter(_gradients(value.reshape(()), moved))
            found = [next(reached) if t.requires_grad else None for t in tensors]
        filled = [torch.zeros_like(t) if g is None else dense(g) for g, t in zip(found, tensors, strict=True)]
        return Flat(dict(zip(self.names, map(array_of, filled), strict=True)))

    def claimed(
        self, function: Target, arrays: Sequence[NDArray[Any]], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """What the user's own gradient function returns, as arrays in its nesting.

        One that knows no double precision, as it works with tensors of its own, is called in the user's precision.
        """
        native = self.natively(arrays)
        try:
            return self._claimed(function, arrays, args, options, native=native)
        except RuntimeError as error:
            if native or not self.lower or UNEQUAL not in str(error):
                raise
            return self._claimed(function, arrays, args, options, native=True)

    def _claimed(
        self,
        function: Target,
        arrays: Sequence[NDArray[Any]],
        args: Sequence[Any],
        options: Mapping[str, Any],
        *,
        native: bool,
    ) -> Any:
        with self.behind.after_call(), self.around(native=native):
            given = self.given(args, native=native)
            try:
                returned = function(self.tensors(arrays, native=native), given, options)
            except RuntimeError as error:
                if NO_GRAPH not in str(error):
                    raise
                # It differentiates by itself what required a gradient where the user called it.
                leaves = [t.detach().requires_grad_() for t in self.tensors(arrays, native=native)]
                returned = function(leaves, given, options)
        return as_arrays(returned)

    def both(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """Cost and claim of a target that returns both."""
        native = self.natively(arrays)
        with self.behind.after_call(), self.around(native=native):
            returned = self.target(self.tensors(arrays, native=native), self.given(args, native=native), options)
        return (plain(returned[0]), as_arrays(returned[1])) if _is_pair(returned) else plain(returned)


def _gradients(value: torch.Tensor, leaves: Sequence[torch.Tensor]) -> Sequence[torch.Tensor | None]:
    """What reverse mode says of a number's gradient in leaves."""
    if not _runs_again(value.grad_fn):
        found: Sequence[torch.Tensor | None] = torch.autograd.grad(value, leaves, allow_unused=True)
        return found
    # What is run again there adds to what leaves hold, and to nothing that is asked for here.
    before = [leaf.grad for leaf in leaves]
    try:
        for leaf in leaves:
            leaf.grad = None
        value.backward()
        return [leaf.grad for leaf in leaves]
    finally:
        for leaf, grad in zip(leaves, before, strict=True):
            leaf.grad = grad


def _runs_again(node: Any) -> bool:
    """Whether a graph has parts that are built in its backward pass: torch.utils.checkpoint with use_reentrant=True."""
    seen: set[Any] = set()
    open_ = [node]
    while open_ and len(seen) < MOST_NODES:
        node = open_.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "CheckpointFunctionBackward":
            return True
        open_ += [following for following, _ in node.next_functions]
    return False


def _versions(value: Any) -> list[int]:
    found: list[int] = []
    tree_map(lambda part: found.append(part._version) if isinstance(part, torch.Tensor) else None, value)
    return found


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, tuple | list) and len(returned) == 2


def plain(returned: Any) -> Any:
    """A returned cost as NumPy knows it."""
    if not isinstance(returned, torch.Tensor):
        return returned
    if returned.numel() == 1 and returned.is_floating_point():
        return np.float64(returned.item())
    return np.asarray(array_of(returned))


def as_arrays(tree: Any) -> Any:
    """A nesting of tensors as the same nesting of arrays."""
    if isinstance(tree, Flat):
        return tree
    structure = Structure.of(tree, "grads", claimed_array)
    return structure.rebuild([leaf.value for leaf in structure.leaves])


def claims_of(grads: Any) -> Any:
    """A claimed gradient that was passed in, as copies of what it holds now."""
    if isinstance(grads, Flat):
        return Flat({name: copied(value) for name, value in grads.entries.items()})
    structure = Structure.of(grads, "grads", claimed_array)
    return structure.rebuild([copied(leaf.value) for leaf in structure.leaves])


def copied(value: Any) -> Any:
    """An array with numbers of its own; of other things the thing itself."""
    if isinstance(value, BFloat16):
        return value.copy().view(BFloat16)
    return value.copy() if isinstance(value, np.ndarray) else value


#: A cost or gradient of a list of arrays.
Callee = Callable[..., Any]
