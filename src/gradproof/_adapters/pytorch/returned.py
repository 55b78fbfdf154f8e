"""What the backward methods of custom functions return, before PyTorch sums, converts and moves it.

The decision behind it: PyTorch makes a gradient fit in silence: it sums what is too large, converts formats, takes the
real part. So the methods are called once more as they are, with the gradients that reached them in a pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradproof._algebra.backward import Returned

#: Nodes of a graph that are looked at.
MOST = 10_000


@dataclass(frozen=True)
class Custom:
    """A node of the graph that belongs to a ``torch.autograd.Function``, with the tensors that it holds by name."""

    node: Any
    saved: Mapping[str, torch.Tensor]


def custom_nodes(outputs: Sequence[torch.Tensor]) -> list[Custom]:
    """The custom nodes that outputs lead to."""
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen = {id(node) for node in waiting}
    found = []
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            found.append(Custom(node, _held(node)))
        for following, _ in node.next_functions:
            if following is not None and id(following) not in seen:
                seen.add(id(following))
                waiting.append(following)
    return found


def _held(node: Any) -> dict[str, torch.Tensor]:
    """What a node keeps: as attributes, and through save_for_backward."""
    held = {f"ctx.{name}": value for name, value in vars(node).items() if isinstance(value, torch.Tensor)}
    try:
        saved = node.saved_tensors
    except RuntimeError:  # changed in place since, and PyTorch will say so itself
        saved = ()
    held |= {f"ctx.saved_tensors[{i}]": t for i, t in enumerate(saved) if isinstance(t, torch.Tensor)}
    return held


def raw(
    nodes: Sequence[Custom], slots: Mapping[int, int], names: Sequence[str], run: Callable[[], Any]
) -> list[Returned]:
    """What the methods return.

    Args:
        nodes: the custom nodes.
        slots: the number of an input by the identity of its leaf.
        names: the names of the inputs.
        run: makes a backward pass that keeps the graph.
    """
    arrived: dict[int, Sequence[Any]] = {}

    def noted(place: int) -> Callable[[Sequence[Any]], None]:
        def note(grads: Sequence[Any]) -> None:
            arrived[place] = grads

        return note

    handles = [custom.node.register_prehook(noted(i)) for i, custom in enumerate(nodes)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    found: list[Returned] = []
    for i, custom in enumerate(nodes):
        cls = getattr(custom.node, "_forward_cls", None)
        if cls is None or i not in arrived or any(g is None for g in arrived[i]):
            continue
        try:
            with torch.no_grad():
                returned = cls.backward(custom.node, *(g.clone() for g in arrived[i]))
        except Exception:  # it refuses a second call, which is no matter of form
            continue
        given = list(returned) if isinstance(returned, tuple | list) else [returned]
        found += _compared(custom.node, given, slots, names)
    return found


def _compared(node: Any, given: Sequence[Any], slots: Mapping[int, int], names: Sequence[str]) -> list[Returned]:
    """Returned gradients beside what they belong to."""
    needed = [g for g, wanted in zip(given, node.needs_input_grad, strict=False) if wanted]
    edges = [(following, number) for following, number in node.next_functions if following is not None]
    found = []
    for gradient, (following, number) in zip(needed, edges, strict=False):
        if not isinstance(gradient, torch.Tensor):
            continue
        leaf = getattr(following, "variable", None)
        slot = slots.get(id(leaf), -1) if leaf is not None else -1
        demanded = following._input_metadata[number]
        what = names[slot] if slot >= 0 else f"an input of {type(node).__name__.removesuffix('Backward')}"
        found.append(
            Returned(
                what, slot, tuple(gradient.shape), _format(gradient.dtype),
                (tuple(demanded.shape), _format(demanded.dtype)), (str(gradient.device), str(demanded.device)),
            )
        )  # fmt: skip
    return found


def _format(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
