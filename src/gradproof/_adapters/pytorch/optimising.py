"""Whether an optimizer has moved tensors between two checks; PyTorch tells of every step.

The decision behind it: loading this module registers one hook, which counts the steps of each optimizer. It is loaded
by the first check of tensors, so whoever makes none pays for none, and whoever has made one pays a dictionary's entry a
step. Which tensors an optimizer holds is looked up when a check asks; tensors are known by where their numbers lie.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

#: Optimizers that took steps: a number of their own, and how many steps.
_steps: WeakKeyDictionary[torch.optim.Optimizer, list[int]] = WeakKeyDictionary()
_numbers = itertools.count()


def _count(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    known = _steps.get(optimizer)
    if known is None:
        known = _steps[optimizer] = [next(_numbers), 0]
    known[1] += 1


register_optimizer_step_pre_hook(_count)


def moves_of(tensors: Sequence[torch.Tensor]) -> tuple[int, Mapping[int, int]]:
    """Where the first tensor's numbers lie, and the steps of each optimizer that holds one of the tensors.

    Args:
        tensors: what is checked; views and detached ones count as what they look at.

    Returns:
        An address, and the optimizers' own numbers with how many steps they have taken since the first check.
    """
    places = {_place(tensor) for tensor in tensors} - {0}
    found = {
        number: steps
        for optimizer, (number, steps) in list(_steps.items())
        if any(_place(held) in places for group in optimizer.param_groups for held in group["params"])
    }
    return min(places, default=0), found


def _place(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.data_ptr())
    except RuntimeError:  # tensors that only stand for others lie nowhere
        return 0
