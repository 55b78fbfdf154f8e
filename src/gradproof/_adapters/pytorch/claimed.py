"""Claimed gradients that are tensors, paired with the parameters by name and left where they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradproof._adapters.claims import refused_pairing
from gradproof._adapters.foreign import Flat
from gradproof._adapters.pytorch.homes import Cells
from gradproof._adapters.pytorch.runner import Runner
from gradproof._adapters.pytorch.shards import Ranks, is_sharded, shard_of
from gradproof._adapters.pytorch.tensors import dense
from gradproof._errors import InputError
from gradproof._records import Finding, Place
from gradproof._tree import Structure, pair


@dataclass(frozen=True)
class Claimed:
    """What is claimed of each tensor.

    Attributes:
        cells: the claims; None for a claim of zero or none that can be used.
        formats: name to the format of the claim's numbers; tensors without a usable claim are absent.
        findings: what is wrong with the form of the claim.
        notes: what a reader should know.
    """

    cells: tuple[Cells | None, ...]
    formats: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def entries_of(grads: Any, runner: Runner, only: Sequence[int]) -> dict[str, Any]:
    """Claims by name: tensors, and None where there is none."""
    if isinstance(grads, str):
        refuse_held(grads, runner)
        return {runner.names[i]: runner.likes[i].grad for i in only}
    if isinstance(grads, Flat):
        return dict(grads.entries)
    if isinstance(grads, Mapping) and all(v is None or isinstance(v, torch.Tensor) for v in grads.values()):
        return {str(name): value for name, value in grads.items()}
    tensors: list[torch.Tensor] = []

    def collect(value: Any) -> NDArray[Any] | None:
        if not isinstance(value, torch.Tensor):
            return None
        tensors.append(value)
        return placeholder(value)

    bare = len(runner.names) == 1 and isinstance(grads, torch.Tensor)
    structure = Structure.of(grads, runner.names[0] if bare else "grads", collect)
    return dict(zip(structure.names, tensors, strict=True))


def refuse_held(grads: str, runner: Runner) -> None:
    """Refuses to read what ``.grad`` holds where it holds nothing, or where another word was passed.

    Raises:
        InputError: so it is.
    """
    if grads != "grad":
        raise InputError.of(
            "setting up the check", "`grads`", 'a nesting, a function, None, True or "grad"', repr(grads),
            'Pass "grad" to judge what `.grad` holds now.',
        )  # fmt: skip
    if all(t.grad is None for t in runner.likes):
        raise InputError.of(
            "reading what `.grad` holds", ", ".join(runner.names[:8]), "tensors with a gradient",
            "without one, all of them", "Call cost.backward() before the check.",
        )  # fmt: skip


def placeholder(tensor: torch.Tensor) -> NDArray[Any]:
    """An array of a tensor's shape and kind that takes no memory, to find names by."""
    kind: type[Any] = np.complex128 if tensor.is_complex() else np.float64
    return np.broadcast_to(np.zeros((), kind), tuple(tensor.shape))


def read(grads: Any, runner: Runner, only: Sequence[int], ranks: Ranks) -> Claimed:
    """Pairs a claimed gradient with the tensors that are checked.

    Raises:
        InputError: nothing of it can be paired.
    """
    entries = entries_of(grads, runner, only)
    names = list(runner.names)
    pairing = pair(names, list(entries))
    if not pairing.pairs:
        raise refused_pairing(names, list(entries))
    cells: list[Cells | None] = []
    formats: dict[str, str] = {}
    findings: list[Finding] = []
    for i in only:
        name, like = runner.names[i], runner.likes[i]
        partner = pairing.pairs.get(name)
        value = None if partner is None else entries[partner]
        if not isinstance(value, torch.Tensor):
            findings.append(_contract(name, like.shape, "missing", f"No gradient of {name} was given.",
                                      f"Return an entry for {name}."))  # fmt: skip
            cells.append(None)
            continue
        found = _comparable(dense(value.detach()), like, name, findings)
        if found is not None:
            formats[name] = str(value.dtype).removeprefix("torch.")
            found = _placed(found, like, name, ranks)
        cells.append(None if found is None else Cells(found))
    notes = (f"Ignored what belongs to no parameter: {', '.join(pairing.extra[:8])}.",) if pairing.extra else ()
    return Claimed(tuple(cells), formats, tuple(findings), notes)


def _comparable(value: torch.Tensor, like: torch.Tensor, name: str, findings: list[Finding]) -> torch.Tensor | None:
    """A claim in the shape and kind of its tensor; None where it cannot be compared."""
    if value.shape != like.shape:
        same = value.numel() == like.numel() and _squeezed(value.shape) == _squeezed(like.shape)
        message = f"The claimed gradient of {name} has shape {tuple(value.shape)}, the parameter {tuple(like.shape)}."
        fix = f"Give it the shape {tuple(like.shape)}."
        findings.append(_contract(name, like.shape, "layout" if same else "shape", message, fix, warn=same))
        if not same:
            return None
        value = value.reshape(like.shape)
    if value.is_complex() and not like.is_complex():
        if bool((value.imag != 0).any()):
            message = f"The claimed gradient of {name} is complex, the parameter is real."
            findings.append(
                _contract(name, like.shape, "complex", message, "Return the real part where that is meant.")
            )
            return None
        value = value.real
    if like.is_complex() and not value.is_complex():
        value = value.to(torch.complex128 if value.dtype is torch.float64 else torch.complex64)
    if not value.is_floating_point() and not value.is_complex():
        message = f"The claimed gradient of {name} has the integer dtype {value.dtype}, which cannot hold fractions."
        findings.append(_contract(name, like.shape, "integer", message, "Create it with a float dtype.", warn=True))
        value = value.to(torch.float64)
    return value


def _placed(value: torch.Tensor, like: torch.Tensor, name: str, ranks: Ranks) -> torch.Tensor:
    """A claim on the device of its tensor, and cut up like it."""
    if is_sharded(like):
        if is_sharded(value):
            same = value.placements == like.placements
            return value if same else value.redistribute(placements=like.placements)
        return value[tuple(slice(*axis) for axis in shard_of(like, name, ranks).box)].to(like.to_local().device)
    return value.to(like.device)


def broken(name: str, shape: Sequence[int], count: int) -> Finding:
    """The finding about a claim that is not finite."""
    message = f"The claimed gradient of {name} is not finite in {count} of {math.prod(shape)} elements."
    fix = "Look for a division by zero, log(0), or an overflow where it is computed."
    return _contract(name, shape, "NaN", message, fix)


def differing(name: str, shape: Sequence[int], off: float, tolerance: float) -> Finding:
    """The finding about a claim that is something else at the second call."""
    return Finding(
        "nondeterministic", "error" if off > 2.0 * tolerance else "warning", (name,),
        Place(f"all of {name}", {name: np.broadcast_to(True, tuple(shape))}),
        f"Calls of the claimed gradient at the same parameters differ by up to {off:.1e} in {name}.",
        "Look for state that survives a call: caches, random numbers, additions in no fixed order.",
        detail=f"relative difference {off:.1e}",
    )  # fmt: skip


def _contract(name: str, shape: Sequence[int], detail: str, message: str, fix: str, *, warn: bool = False) -> Finding:
    place = Place(f"all of {name}", {name: np.broadcast_to(True, tuple(shape))}, exact=not warn)
    return Finding("contract", "warning" if warn else "error", (name,), place, message, fix, detail=detail)


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
