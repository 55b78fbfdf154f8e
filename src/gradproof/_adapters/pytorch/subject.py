"""A function of tensors as something that can be judged: as a cost, by laws, and in its second derivative."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradproof._adapters.numpy import Call
from gradproof._adapters.pytorch import functions
from gradproof._adapters.pytorch.backward import Graph, slots_of
from gradproof._adapters.pytorch.doubled import DoubledTensors, doubled
from gradproof._adapters.pytorch.functions import Function, Pass
from gradproof._adapters.pytorch.second import Second
from gradproof._adapters.pytorch.tensors import LOWER, is_moved, wider
from gradproof._algebra.backward import Cotangents, Repair, Slot
from gradproof._errors import InputError

#: Which set of random cotangents the second derivative is taken at.
SECOND = 7


@dataclass(frozen=True)
class TensorSubject:
    """A function of tensors with a backward pass.

    Attributes:
        function: the function, taken apart.
        claim: the user's own backward pass; None for reverse mode.
        twin: the same function in float64, if one was given.
        seed: of the cotangents.
    """

    function: Function
    claim: Pass | None
    twin: Function | None
    seed: int

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that can be differentiated."""
        return slots_of(self.function)

    def cotangents(self, number: int = 0) -> Cotangents:
        """Random cotangents, each time the same for a number."""
        found = functions.cotangents(self.function, self.seed, number, every=self.claim is not None)
        return tuple(None if u is None else u.numpy() for u in found)

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""
        tensors = tuple(None if u is None else torch.from_numpy(u) for u in chosen)
        claim = self._repaired(repair)
        if self.twin is not None:
            made = functions.of_twin(self.function, self.twin, tensors, claim)
        else:
            made = functions.of_function(self.function, tensors, claim)
        return Call(made.cost, made.params, made.grads, (), {}, foreign=made.foreign)

    def _repaired(self, repair: Repair | None) -> Pass | None:
        if repair is None:
            return self.claim
        claim = self.claim or functions.reversed_by_framework(self.function)
        mend = {
            Repair.CONJUGATED: functions.conjugated,
            Repair.CONJUGATE: functions.conjugate_of,
            Repair.WITHOUT_CONSTANT: functions.without_constant,
        }
        return mend[repair](claim)

    def backward(self) -> Graph:
        """The backward pass, for the laws."""
        return Graph(self.function, self.function.behind, self.function.random(), self.claim)

    def doubled(self) -> DoubledTensors | None:
        """Function and backward pass in double precision; None where there is none, or numbers are complex."""
        return None if self.twin is not None else doubled(self.function, self.claim)

    def second(self) -> "TensorSubject | str":
        """The backward pass as a function of inputs and cotangents; words where it cannot be differentiated."""
        given = functions.cotangents(self.function, self.seed, SECOND, every=True)
        made = Second.of(self.function, [u for u in given if u is not None], self.claim)
        found = made.as_function()
        trouble = made.trouble(found.tensors)
        return trouble or TensorSubject(found, None, None, self.seed + 1)


def tensor_subject(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any],
    argnums: Sequence[int] | None, vjp: Callable[..., Any] | None, twin: Callable[..., Any] | None, seed: int,
) -> TensorSubject:  # fmt: skip
    """Takes a call of ``check_function`` apart.

    Raises:
        InputError: it cannot be checked.
    """
    further = [(name, given) for name, given in (("vjp", vjp), ("twin", twin)) if given is not None]
    found = functions.opened(function, inputs, keywords, argnums, further)
    claim = None if vjp is None else functions.own(vjp, found)
    return TensorSubject(found, claim, None if twin is None else _twin(twin, found), seed)


def _twin(twin: Callable[..., Any], found: Function) -> Function:
    """The twin at float64 copies of all inputs."""

    def build(tensors: Sequence[Any]) -> Any:
        return _widened(found.build(tensors))

    tensors = tuple(t.detach().to(wider(t.dtype)) for t in found.tensors)
    made = functions.looked_at(replace(found, call=twin, build=build, tensors=tensors))
    if [shape for shape, _ in made.outputs] != [shape for shape, _ in found.outputs]:
        raise InputError.of(
            "setting up the check of a function", "`twin`",
            f"a function with outputs of the shapes {[shape for shape, _ in found.outputs]}",
            str([shape for shape, _ in made.outputs]), "Return the same outputs in the same order.",
        )  # fmt: skip
    return made


def _widened(tree: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree.to(wider(tree.dtype)) if is_moved(tree) and tree.dtype in LOWER else tree
    if isinstance(tree, dict):
        return {key: _widened(part) for key, part in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_widened(part) for part in tree)
    return tree
