"""The custom functions that a module uses, each as a function of its own at what it is given there.

The decision behind it: a backward pass is written for a ``torch.autograd.Function``, and that is where it is best
looked at; for everything else, such functions of its own among it, PyTorch answers. One call of the cost shows which
there are, a second what each is given, and the graph which parameters lie behind each of its inputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from gradproof._adapters.pytorch.returned import MOST, custom_nodes
from gradproof._adapters.pytorch.state import Behind
from gradproof._adapters.pytorch.target import outputs_of
from gradproof._adapters.randomness import Snapshot


@dataclass(frozen=True)
class Called:
    """A custom function with the arguments of its first call.

    Attributes:
        name: the name of its class.
        layer: name and class of the layer that calls it, in words; "" for the module itself.
        apply: the function.
        args: what it was given, tensors as copies that require a gradient where those did.
        behind: for each argument the names of the parameters whose gradients go through it.
        parameters: for each argument its name where it is a parameter itself, else "".
    """

    name: str
    layer: str
    apply: Callable[..., Any]
    args: tuple[Any, ...]
    behind: tuple[frozenset[str], ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class _Noted:
    """What a call has shown: the node of the graph and copies of what the function was given."""

    node: Any
    args: tuple[Any, ...]
    layer: str


def called(
    module: torch.nn.Module, cost: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any], random: Snapshot
) -> list[Called]:  # fmt: skip
    """The custom functions behind a cost, in the order in which they are called first.

    Args:
        module: the user's module; left as it was.
        cost: ``cost(module, *args, **options)``.
        args: its further arguments.
        options: its keyword arguments.
        random: the random state that a call begins with.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return []  # what others wait for inside of a function must not be called by one process alone
    behind = Behind.of([module])
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    noted: dict[Any, _Noted] = {}
    with behind.protected(), torch.enable_grad():
        try:
            with behind.after_call():
                first = cost(module, *args, **options)
            random.restore()
            classes = {custom.node._forward_cls for custom in custom_nodes(outputs_of(first))}
            classes = {cls for cls in classes if not cls.__module__.startswith("torch.")}
            with behind.after_call(), _watched(module, classes, noted):
                cost(module, *args, **options)
        finally:
            random.restore()
    return [_called(cls, found, names) for cls, found in noted.items()]


def _called(cls: Any, noted: _Noted, names: Mapping[int, str]) -> Called:
    edges = [following for following, _ in noted.node.next_functions]
    reached = [_parameters(edge, names) for edge in edges] + [frozenset[str]()] * len(noted.args)
    leaves = [names.get(id(getattr(edge, "variable", None)), "") for edge in edges] + [""] * len(noted.args)
    count = len(noted.args)
    return Called(
        cls.__name__, noted.layer, cls.apply, noted.args, tuple(reached[:count]), tuple(leaves[:count])
    )  # fmt: skip


def _parameters(node: Any, names: Mapping[int, str]) -> frozenset[str]:
    """The names of the parameters that a node of the graph leads to."""
    waiting, seen, found = [node], {id(node)}, set()
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if node is None:
            continue
        found.add(names.get(id(getattr(node, "variable", None)), ""))
        for following, _ in node.next_functions:
            if following is not None and id(following) not in seen:
                seen.add(id(following))
                waiting.append(following)
    return frozenset(found - {""})


@contextmanager
def _watched(module: torch.nn.Module, classes: set[Any], noted: dict[Any, _Noted]) -> Iterator[None]:
    """Notes what custom functions are given, and by which layer, for as long as it is entered."""
    inside: list[str] = []

    def enter(words: str) -> Callable[..., None]:
        return lambda *_: inside.append(words)

    def leave(*_: Any) -> None:
        inside.pop()

    with ExitStack() as stack:
        for path, part in module.named_modules():
            words = f"{path} ({type(part).__name__})" if path else ""
            stack.callback(part.register_forward_pre_hook(enter(words)).remove)
            stack.callback(part.register_forward_hook(leave).remove)
        for cls in classes:
            stack.enter_context(_noting(cls, lambda: inside[-1] if inside else "", noted))
        yield


@contextmanager
def _noting(cls: Any, layer: Callable[[], str], noted: dict[Any, _Noted]) -> Iterator[None]:
    """Has the first call of a custom function noted, where its node is made known to it."""
    apart = cls.setup_context is not torch.autograd.Function.setup_context
    name = "setup_context" if apart else "forward"
    original = getattr(cls, name)

    def forward(ctx: Any, *args: Any, **keywords: Any) -> Any:
        if cls not in noted:
            noted[cls] = _Noted(ctx, tuple(map(_own, args)), layer())
        return original(ctx, *args, **keywords)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> Any:
        if cls not in noted:
            noted[cls] = _Noted(ctx, tuple(map(_own, inputs)), layer())
        return original(ctx, inputs, output)

    mine = vars(cls).get(name)
    setattr(cls, name, staticmethod(setup_context if apart else forward))
    try:
        yield
    finally:
        if mine is None:
            delattr(cls, name)
        else:
            setattr(cls, name, mine)


def _own(value: Any) -> Any:
    """A tensor of one's own, where a gradient goes through it or not as before."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone().requires_grad_(value.requires_grad)
