"""What a framework other than NumPy is given, what it adds to a call, and how its arrays are recognised.

The decision behind it: a tensor of a framework cannot exist before the framework was imported, so ``sys.modules`` says
which ones to ask, and none is ever imported for a user who does not use it. On the processor a tensor and a NumPy array
are two views of the same memory: the engine fills its working vector, and the framework's functions are handed tensors
that look at it. Where arrays cannot be written to, as those of JAX, they are handed copies.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.randomness import Source
from gradproof._errors import InputError
from gradproof._tree import Structure


@dataclass(frozen=True)
class Flat:
    """Claims by the full names of the parameters, where no nesting leads to the names."""

    entries: Mapping[str, Any]


@dataclass(frozen=True)
class Foreign:
    """What a framework's adapter hands over beside functions of NumPy arrays.

    Attributes:
        structure: the leaves as NumPy arrays under the user's names, given to the functions as a list.
        sources: further random state that the functions can reach.
        protect: puts back, when left, what functions of the framework leave behind.
        computed: whether the claims are computed anew at other parameters.
        native: whether nothing but the user's own precision can be evaluated.
        twin: whether a native claim exists that is judged beside the one in float64.
        notes: what a reader should know.
        draws: the operations that draw random numbers, by name.
        evaluations: cost evaluations made so far.
        traced: whether the claim is what the framework's reverse mode says.
        replayed: the claim with the random numbers of the forward pass in the place of those that the backward pass
            draws; None where nothing is drawn or reverse mode is not asked.
        resident: makes a call on tensors, chosen by name, that stay where they are; None where they became arrays.
        user: the user's own cost, where the one of arrays stands for it; None where that is it.
        moves: where the tensors lie, and the steps that each optimizer has taken that holds any; None where unknown.
        together: the cost of several parameter sets at once, each array with a leading axis; None where there is none.
        inside: name of the format of the least precise numbers that the cost computes with, where the claims are
            computed with such numbers too; "" where that is the parameters' own.
        searched: whether ``sources`` are all that the functions can reach, the global ones among them.
        floating: tells a function of floating-point errors, by NumPy's names, while entered; None where NumPy does.
    """

    structure: Structure
    sources: tuple[Source, ...] = ()
    protect: Callable[[], AbstractContextManager[Any]] = nullcontext
    computed: bool = True
    native: bool = False
    twin: bool = True
    notes: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    evaluations: int = 0
    traced: bool = False
    replayed: Callable[..., Any] | None = None
    resident: Callable[[Callable[[str], bool]], Any] | None = None
    user: Callable[..., Any] | None = None
    moves: Callable[[], tuple[int, Mapping[int, int]]] | None = None
    floating: Callable[[Callable[[str], object]], AbstractContextManager[Any]] | None = None
    together: Callable[..., Any] | None = None
    inside: str = ""
    searched: bool = False


@dataclass(frozen=True)
class Wanted:
    """What the user passed in, as far as a framework has a say in it.

    Attributes:
        cost: the user's function.
        params: the nesting of arrays.
        grads: the claim: a nesting, a callable, True, None for reverse mode.
        args: further arguments, data last.
        options: keyword arguments.
        paired: whether the cost returns (cost, anything).
        data: the formats of the data, which arrive as arrays of NumPy; None for what was one.
    """

    cost: Callable[..., Any]
    params: Any
    grads: Any
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    paired: bool
    data: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Translated:
    """Functions of NumPy arrays in the place of the user's."""

    cost: Callable[..., Any]
    grads: Any
    foreign: Foreign


def owner_of(value: Any) -> str:
    """The framework of a value: ``"torch"``, ``"jax"``, ``"tensorflow"``, ``"other"``; "" for NumPy's and Python's."""
    if isinstance(value, np.ndarray | float | int):
        return ""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return "torch"
    arrays = getattr(sys.modules.get("jax"), "Array", None)  # missing while it is being imported
    if arrays is not None and isinstance(value, arrays):
        return "jax"
    if _is_of_tensorflow(value):
        return "tensorflow"
    return "other" if _is_of_another(value) else ""


def _is_of_another(value: Any) -> bool:
    """Whether a value is an array of a library that has no adapter of its own."""
    if isinstance(value, np.ndarray | np.generic | int | float | complex | str | bytes | dict | list | tuple):
        return False
    if type(value).__module__.partition(".")[0] in ("flax", "keras"):  # variables, which hold arrays and pass for them
        return False
    kinds = (getattr(sys.modules.get("cupy"), "ndarray", ()), getattr(sys.modules.get("mlx.core"), "array", ()))
    named = any(kind != () and isinstance(value, kind) for kind in kinds)
    return named or (hasattr(value, "__array_namespace__") and hasattr(value, "shape") and not isinstance(value, type))


def _is_of_tensorflow(value: Any) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    slices = getattr(tensorflow, "IndexedSlices", None)  # missing while it is being imported
    if tensorflow is None or slices is None:
        return False
    if isinstance(value, tensorflow.Tensor | tensorflow.Variable | slices):
        return True
    keras = getattr(sys.modules.get("keras"), "Variable", None)
    return keras is not None and isinstance(value, keras) and isinstance(value.value, tensorflow.Variable)


def framework_in(tree: Any, depth: int = 6) -> str:
    """The framework of the first foreign array in a nesting; "" where there is none."""
    if depth == 0 or isinstance(tree, str | bytes | np.ndarray) or hasattr(tree, "__next__"):
        return owner_of(tree)  # what an iterator yields is nobody's before it is read
    if isinstance(tree, Mapping):
        parts = list(tree.values())
    elif isinstance(tree, list | tuple):
        parts = list(tree)
    elif found := owner_of(tree):
        return found
    else:
        parts = list(vars(tree).values()) if hasattr(tree, "__dataclass_fields__") and hasattr(tree, "__dict__") else []
    found = next((found for part in parts if (found := framework_in(part, depth - 1))), "")
    return found or ("jax" if not parts and _held_by_jax(tree) else "")


def demand_no_keras_variables(params: Any) -> None:
    """Refuses variables of Keras on other backends than TensorFlow, which no cost of theirs would look at.

    Raises:
        InputError: there are some.
    """
    kind = getattr(sys.modules.get("keras"), "Variable", None)
    parts = params.values() if isinstance(params, Mapping) else params if isinstance(params, list | tuple) else [params]
    if kind is not None and any(isinstance(part, kind) for part in parts):
        raise InputError.of(
            "reading the parameters", "`params`", "arrays or tensors", "variables of a Keras model",
            "Pass the model itself: gradproof.check_module(model, cost, data=...).",
        )  # fmt: skip


def _held_by_jax(tree: Any) -> bool:
    """Whether a value is a container that JAX alone can open, with arrays of JAX in it."""
    if not hasattr(sys.modules.get("jax"), "Array") or isinstance(tree, int | float | complex | type(None)):
        return False
    from gradproof._adapters.jax_arrays.trees import holds_arrays

    return holds_arrays(tree)


def numbers(value: Any) -> NDArray[Any] | None:
    """A foreign array as a NumPy array that looks at the same memory where it can; None for anything else."""
    owner = owner_of(value)
    if owner == "torch":
        from gradproof._adapters.pytorch.tensors import array_of

        return array_of(value)
    if owner == "jax":
        from gradproof._adapters.jax_arrays.arrays import numbers_of

        return numbers_of(value)
    if owner == "tensorflow":
        from gradproof._adapters.tensorflow_tensors.tensors import numbers_of as numbers_of_tensor

        return numbers_of_tensor(value)
    return None


def viewed(value: Any) -> NDArray[Any] | None:
    """A NumPy array, or one that looks at the memory of a foreign array; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        from gradproof._adapters.pytorch.tensors import view_of

        return view_of(value)
    return None
