"""When tensors stay where they are, and the calls that are made then.

The decision behind it: small and medium models on the processor are fastest as one flat vector of NumPy's. A tensor on
another device, spread over ranks, or so large that several copies of it would not fit, is checked where it lives; the
user sees that in a note and nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gradproof._adapters.foreign import Foreign
from gradproof._adapters.pytorch.claimed import placeholder
from gradproof._adapters.pytorch.resident import Call
from gradproof._adapters.pytorch.runner import Runner
from gradproof._adapters.pytorch.shards import Alone, Group, Ranks, is_sharded
from gradproof._adapters.pytorch.state import sources
from gradproof._adapters.pytorch.target import Target
from gradproof._adapters.pytorch.tensors import LOWER, refuse
from gradproof._adapters.randomness import Snapshot
from gradproof._adapters.randomness import sources as random_sources
from gradproof._errors import InputError
from gradproof._tree import Structure

#: Coordinates from which on a model is checked where it lives. The flat path takes about 60 bytes a coordinate.
LARGE = 20_000_000
#: Methods that go by probes and can do so anywhere.
PROBED = ("auto", "probe")


@dataclass(frozen=True)
class Asked:
    """How a check is to be done, as far as that decides where.

    Attributes:
        method: of the check.
        group: processes that check together: a process group, True for the default one, None for none.
    """

    method: str = "auto"
    group: Any = None


def reason(tensors: Sequence[torch.Tensor], asked: Asked) -> str:
    """Why tensors stay where they are, in words; "" where they need not.

    Raises:
        InputError: they have to, and the method cannot do with that.
    """
    said = ""
    if asked.group is not None or any(is_sharded(t) for t in tensors):
        said = "on their ranks"
    elif any(t.device.type != "cpu" for t in tensors):
        said = f"on {next(t.device for t in tensors if t.device.type != 'cpu')}"
    elif sum(t.numel() * (2 if t.is_complex() else 1) for t in tensors) > LARGE and asked.method in PROBED:
        return "in place, as they are many"
    if said and asked.method not in PROBED:
        raise InputError.of(
            "setting up the check", "`method`", "auto or probe for parameters that are not in the processor's memory",
            repr(asked.method), "Leave method= out, or move the parameters with .cpu().",
        )  # fmt: skip
    return said


@dataclass(frozen=True)
class Made:
    """A call as it is put together.

    Attributes:
        runner: what is called.
        grads: the claim, as tensors or as a target.
        args: further arguments.
        options: keyword arguments.
        asked: how the check is to be done.
        why: why the tensors stay where they are.
        roots: where random state is looked for.
        notes: what a reader should know.
        examples: how many examples the data have; 0 where unknown.
        live: calls the model as it is, where someone else keeps its parameters or gradients; else None.
        widened: keeps the model in float64 while it is entered; else None.
    """

    runner: Runner
    grads: Any
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    asked: Asked
    why: str
    roots: Sequence[tuple[str, Any]]
    notes: tuple[str, ...] = ()
    examples: int = 0
    live: Target | None = None
    widened: Callable[[], Any] | None = None

    def call(self, chosen: Callable[[str], bool]) -> Call:
        """The call on the tensors with some names."""
        devices = list({str(t.device): t.device for t in self.runner.likes}.values())
        only = tuple(i for i, name in enumerate(self.runner.names) if chosen(name))
        note = f"The parameters were checked {self.why}: nothing as large as the model was copied to NumPy."
        return Call(
            self.runner, self.grads, self.args, self.options, partial(_random, self.roots, devices), self._ranks(),
            only, self.live, self.widened, (*self.notes, note), self.examples,
        )  # fmt: skip

    def _ranks(self) -> Ranks:
        group = self.asked.group
        if group is None:
            return Alone() if not any(is_sharded(t) for t in self.runner.likes) else Group(None)
        return Group(None if group is True else group)

    def foreign(self) -> Foreign:
        """What the engine is told."""
        arrays = [placeholder(t) for t in self.runner.likes]
        structure = Structure.of(arrays, "parameters").renamed(list(self.runner.names))
        computed = self.grads is None or callable(self.grads)
        return Foreign(structure, computed=computed, resident=self.call, moves=self._moves)

    def _moves(self) -> tuple[int, Mapping[int, int]]:
        from gradproof._adapters.pytorch.optimising import moves_of  # from then on, steps are counted

        return moves_of(self.runner.likes)


def _random(roots: Sequence[tuple[str, Any]], devices: Sequence[torch.device]) -> Snapshot:
    return Snapshot.of([*random_sources(roots), *sources(roots, devices)])


def runner_for(
    target: Target, tensors: Sequence[torch.Tensor], names: Sequence[str], behind: Any, *, paired: bool
) -> Runner:
    """A runner for tensors that are not turned into arrays.

    Raises:
        InputError: a tensor has no plain numbers.
    """
    for tensor, name in zip(tensors, names, strict=True):
        refuse(tensor.to_local() if is_sharded(tensor) else tensor, name)
    lower = any(t.dtype in LOWER for t in tensors)
    return Runner(target, tuple(tensors), tuple(names), behind, paired=paired, lower=lower)


def keeper(module: torch.nn.Module) -> str:
    """Who keeps a module's parameters or gradients between calls: "fsdp", "ddp" or ""."""
    kinds = {cls.__name__ for part in module.modules() for cls in type(part).__mro__}
    if "FullyShardedDataParallel" in kinds:
        raise InputError.of(
            "reading the parameters of the module", type(module).__name__, "sharded by fully_shard, or not at all",
            "wrapped in FullyShardedDataParallel, which hides them in flat parameters",
            "Use torch.distributed.fsdp.fully_shard, or check the module before it is wrapped.",
        )  # fmt: skip
    return "fsdp" if "FSDPModule" in kinds else "ddp" if "DistributedDataParallel" in kinds else ""


def give_back(module: torch.nn.Module) -> None:
    """Lets FSDP give back the parameters that it has gathered, so that the shards alone are what the module holds.

    After a forward pass it keeps those of the outermost module (``reshard_after_forward``) until a backward pass has
    used them: the next forward pass would read them, and not what stands in the shards by then.
    """
    for part in module.modules():
        if any(cls.__name__ == "FSDPModule" for cls in type(part).__mro__):
            part.reshard()


@dataclass(frozen=True)
class AsItIs:
    """A cost of a module that is called with the parameters that it has."""

    function: Callable[..., Any]
    module: torch.nn.Module

    def __call__(self, tensors: Sequence[torch.Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The cost, given the module."""
        give_back(self.module)
        try:
            return self.function(self.module, *args, **options)
        finally:
            if not torch.is_grad_enabled():  # else a backward pass is to come, which gives them back itself
                give_back(self.module)


@contextmanager
def all_double(module: torch.nn.Module) -> Iterator[None]:
    """A module sharded by FSDP whose numbers are float64 for a time.

    Parameters are put back where they were before they are narrowed, and a number that was widened is not rounded then.
    """
    give_back(module)
    kinds = {t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()}
    module.double()
    try:
        _refresh(module)
        yield
    finally:
        give_back(module)
        module.to(kinds.pop())
        _refresh(module)


def _refresh(module: torch.nn.Module) -> None:
    """Lets FSDP forget the format of the parameters that it has gathered before.

    It settles formats when the model is first called, and has no public way to do so again; what is done here is what
    it does then. Should another version keep this elsewhere, the cost comes out as another number, which is noticed.
    """
    for part in module.modules():
        state = part._get_fsdp_state() if hasattr(part, "_get_fsdp_state") else None
        if state is None or state._is_root is None:
            continue
        groups = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
        for group in (g for g in groups if g is not None):
            for parameter in group.fsdp_params:
                parameter.all_gather_outputs.clear()
                if hasattr(parameter, "_unsharded_param"):
                    del parameter._unsharded_param
            group.lazy_init()


def uniform(module: torch.nn.Module) -> bool:
    """Whether all numbers of a module are of one real format, so that it can be widened and narrowed whole."""
    kinds = {t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point() or t.is_complex()}
    return len(kinds) == 1 and not any(kind.is_complex for kind in kinds)
