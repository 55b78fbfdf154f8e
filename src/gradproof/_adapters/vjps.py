"""A function of NumPy arrays with a derivative of the user's own, as something that can be judged.

The decision behind it: NumPy has no reverse mode, so the claim is a function that takes inputs and a cotangent, or a
Jacobian, which makes one. With the cotangent fixed it is a claimed gradient like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gradproof._adapters.domains import Domains, presented
from gradproof._adapters.foreign import Flat, Foreign
from gradproof._adapters.jacobians import Claimed, computed
from gradproof._adapters.numpy import Call
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.vectors import vector_of
from gradproof._algebra.backward import Answer, Asked, Cotangents, Layout, Repair, Returned, Slot
from gradproof._errors import InputError
from gradproof._records import format_of
from gradproof._tree import Structure

DOING = "setting up the check of a function"


@dataclass(frozen=True)
class ArraySubject:
    """A function of arrays.

    Attributes:
        function: the user's function.
        vjp: the user's vector-Jacobian product, ``vjp(inputs, cotangent) -> tuple``.
        whole: the nesting of inputs and keyword arguments.
        moved: the places of the leaves that are differentiated.
        structure: these leaves under their names, in a list.
        seed: of the cotangents.
        outputs: the outputs that can be differentiated.
        draws: whether the function draws random numbers.
        claimed: the claimed Jacobian, in place of ``vjp``.
        domains: where each leaf may go; empty where all may go anywhere.
    """

    function: Callable[..., Any]
    vjp: Callable[..., Any] | None
    whole: Structure
    moved: tuple[int, ...]
    structure: Structure
    seed: int
    outputs: tuple[Slot, ...] = ()
    draws: bool = False
    claimed: Claimed | None = None
    domains: Domains = ()

    @property
    def roots(self) -> list[tuple[str, Any]]:
        """The user's functions, where random state is looked for."""
        return [("function", self.function), ("vjp", self.vjp), ("jacobian", self.claimed and self.claimed.claim)]

    def cotangents(self, number: int = 0) -> Cotangents:
        """Random cotangents, each time the same for a number."""
        rng = np.random.default_rng([self.seed, 271, number])
        found: list[NDArray[Any]] = []
        for slot in self.outputs:
            values = np.asarray(rng.standard_normal(slot.shape))
            if slot.complex:
                values = values + 1j * np.asarray(rng.standard_normal(slot.shape))
            wide = np.complex128 if slot.complex else np.float64
            found.append(values.astype(slot.format).astype(wide))
        return tuple(found)

    def call(self, chosen: Cotangents, repair: Repair | None = None) -> Call:
        """The function with cotangents as a cost, with its backward pass, or that mended, as the claim."""
        leaves = self.structure.leaves

        def cost(values: Sequence[Any]) -> Any:
            pairs = [(y, u) for y, u in zip(self.returned(values), chosen, strict=True) if u is not None]
            return sum((np.sum(np.conj(u) * y) for y, u in pairs), start=np.float64(0.0)).real

        def grads(values: Sequence[Any]) -> Flat:
            own = [np.asarray(v).dtype for v in values] == [np.asarray(leaf.value).dtype for leaf in leaves]
            pairs = zip(chosen, self.outputs, strict=True)
            given = [None if u is None else u.astype(slot.format) if own else u.copy() for u, slot in pairs]
            found = self._mended(values, given, repair)
            return Flat(dict(zip(self.structure.names, found, strict=True)))

        claim: Any = grads
        if self.claimed is not None and not self.claimed.computed:  # numbers for this point alone
            claim = grads([leaf.value for leaf in leaves])
        return Call(cost, None, claim, (), {}, foreign=Foreign(self.structure, tuple(sources(self.roots))),
                    allowed=lambda _: self.domains)  # fmt: skip

    def _mended(self, values: Sequence[Any], given: Sequence[Any], repair: Repair | None) -> list[Any]:
        if repair is Repair.CONJUGATED:
            found = self.pulled(values, [None if u is None else np.conj(u) for u in given])
        else:
            found = self.pulled(values, given)
        if repair in (Repair.CONJUGATED, Repair.CONJUGATE):
            return [None if g is None else np.conj(g) for g in found]
        if repair is Repair.WITHOUT_CONSTANT:
            nothing = self.pulled(values, [None if u is None else np.zeros_like(u) for u in given])
            return [None if g is None or n is None else np.subtract(g, n) for g, n in zip(found, nothing, strict=True)]
        return found

    def backward(self) -> "ArrayPass":
        """The backward pass, for the laws."""
        return ArrayPass(self, Snapshot.of(sources(self.roots)))

    def doubled(self) -> "DoubledArrays | None":
        """Function and backward pass in double precision; None where numbers are complex or bounded."""
        numbers = [np.asarray(leaf.value) for leaf in self.structure.leaves]
        if any(slot.complex for slot in self.outputs) or any(a.dtype.kind != "f" for a in numbers):
            return None
        return None if any(d is not None for d in self.domains) else DoubledArrays(self, self.backward().random)

    def second(self) -> str:
        """NumPy differentiates nothing by itself.

        Raises:
            InputError: always.
        """
        raise InputError.of(
            DOING, "`order`", "1, where nothing differentiates the backward pass", "2",
            "Give the second derivative to gradproof.check_hessian.",
        )  # fmt: skip

    def returned(self, values: Sequence[Any]) -> list[NDArray[Any]]:
        """The outputs for other numbers in the place of the leaves that are differentiated."""
        inputs, keywords = self.built(presented(self.domains, values))
        return outputs_of(self.function(*inputs, **keywords))

    def built(self, values: Sequence[Any]) -> tuple[list[Any], Mapping[str, Any]]:
        """Positional and keyword arguments."""
        every = [leaf.value for leaf in self.whole.leaves]
        for place, value in zip(self.moved, values, strict=True):
            every[place] = value
        tree = self.whole.rebuild(every)
        return tree["inputs"], tree["keywords"]

    def pulled(self, values: Sequence[Any], given: Sequence[NDArray[Any] | None]) -> list[Any]:
        """What the user's vector-Jacobian product returns, one entry a leaf that is differentiated.

        Raises:
            InputError: it returns another number of arrays.
        """
        inputs, keywords = self.built(values)
        pairs = zip(given, self.outputs, strict=True)
        full = [np.zeros(slot.shape, slot.format) if u is None else u for u, slot in pairs]
        if self.claimed is not None:
            return list(self.claimed.product(inputs, keywords, full[0]))
        assert self.vjp is not None
        returned = self.vjp(tuple(inputs), full[0] if len(full) == 1 else tuple(full))
        found = list(returned) if isinstance(returned, list | tuple) else [returned]
        names = self.structure.names
        places = {f"inputs[{i}]": i for i in range(len(inputs))}
        if all(name in places for name in names) and len(found) == len(inputs):
            return [found[places[name]] for name in names]
        if len(found) == len(inputs) and any(isinstance(part, Mapping | list | tuple) for part in found):
            parts = Structure.of({"inputs": list(found)}, "inputs").leaves
            entries = {_input_name(leaf.name): leaf.value for leaf in parts}
            return [entries.get(name) for name in names]
        if len(found) == len(names):
            return found
        raise InputError.of(
            "computing the claimed vector-Jacobian product", "what vjp returns", f"one array an input ({len(inputs)})",
            f"{len(found)}", "Return a tuple in the order of the inputs, None for those without a derivative.",
        )  # fmt: skip


@dataclass(frozen=True)
class Claims:
    """What is claimed of a function of arrays: one of them at least.

    Attributes:
        vjp: the vector-Jacobian product, ``vjp(inputs, cotangent)``.
        jacobian: the Jacobian, a matrix, a tuple of them, or a function of the inputs.
        jvp: the Jacobian-vector product, ``jvp(inputs, tangent)``.
    """

    vjp: Callable[..., Any] | None = None
    jacobian: Any = None
    jvp: Callable[..., Any] | None = None


def array_subject(
    function: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any],
    argnums: Sequence[int] | None, claims: Claims, twin: Callable[..., Any] | None, seed: int,
    allowed: Callable[[Structure], Domains] | None = None,
) -> ArraySubject:  # fmt: skip
    """Takes a call of ``check_function`` on NumPy arrays apart.

    Raises:
        InputError: it cannot be checked.
    """
    if claims.jacobian is not None or claims.jvp is not None:
        inputs = _with_vectors(inputs, argnums)
    whole = Structure.of({"inputs": list(inputs), "keywords": dict(keywords)}, "inputs")
    named = None if argnums is None else {f"inputs[{n % max(len(inputs), 1)}]" for n in argnums}
    names = [_input_name(leaf.name) for leaf in whole.leaves]
    moved = tuple(
        i for i, leaf in enumerate(whole.leaves)
        if (isinstance(leaf.value, np.ndarray) if named is None else names[i].partition(".")[0] in named)
    )  # fmt: skip
    if claims.jacobian is not None and argnums is None and len(moved) > 1 and not _several(claims, inputs, keywords):
        moved = moved[:1]  # one Jacobian is that of the first array, as SciPy's functions have it
    if not moved:
        raise InputError.of(
            DOING, "its inputs", "at least one tensor or array of floating-point or complex numbers to differentiate",
            "none", "Pass tensors or float arrays, or name them in argnums=.",
        )  # fmt: skip
    if claims.vjp is None and claims.jacobian is None and claims.jvp is None:
        raise InputError.of(
            DOING, "`vjp`", "the claimed vector-Jacobian product, as the inputs are NumPy arrays", "None",
            "Pass vjp=, a function of (inputs, cotangent) that returns one array an input; or jacobian= or jvp=.",
        )  # fmt: skip
    if twin is not None:
        raise InputError.of(DOING, "`twin`", "left out for NumPy arrays, which are evaluated in float64 anyway",
                            "a function", "Leave it out.")  # fmt: skip
    chosen = replace(whole, leaves=tuple(whole.leaves[i] for i in moved)).renamed([names[i] for i in moved])
    domains = () if allowed is None else allowed(chosen)
    found = ArraySubject(function, claims.vjp, whole, moved, chosen.listed(), seed, domains=domains)
    random = Snapshot.of(sources(found.roots))
    returned = found.returned([np.array(leaf.value, copy=True) for leaf in found.structure.leaves])
    draws = bool(random.moved())
    random.restore()
    if not returned:
        raise InputError.of(DOING, "what it returns", "arrays of floating-point or complex numbers", "none",
                            "Return what is differentiated.")  # fmt: skip
    many = len(returned) > 1
    slots = tuple(_slot(f"output {i}" if many else "the output", y) for i, y in enumerate(returned))
    found = replace(found, outputs=slots, draws=draws)
    if claims.jacobian is None and claims.jvp is None:
        return found
    if many or any(np.iscomplexobj(leaf.value) for leaf in found.structure.leaves) or slots[0].complex:
        got = f"{len(returned)} outputs" if many else "complex numbers"
        raise InputError.of(DOING, "what jacobian= and jvp= belong to", "a function of real arrays with one output",
                            got, "Return one real array, or pass vjp=.")  # fmt: skip
    if claims.jacobian is None:
        return found
    shapes = tuple(np.shape(leaf.value) for leaf in found.structure.leaves)
    sizes = tuple(int(np.prod(shape)) for shape in shapes)
    return replace(found, claimed=Claimed(claims.jacobian, slots[0].size, sizes, (slots[0].shape, shapes)))


def _several(claims: Claims, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    """Whether several Jacobians are claimed; a function is called once to see."""
    if not computed(claims.jacobian):
        return isinstance(claims.jacobian, tuple)
    random = Snapshot.of(sources([("jacobian", claims.jacobian)]))
    found = claims.jacobian(*inputs, **keywords)
    random.restore()
    return isinstance(found, tuple)


def _with_vectors(inputs: Sequence[Any], argnums: Sequence[int] | None) -> list[Any]:
    """Inputs with vectors in place of flat lists of numbers, as SciPy reads them.

    Those that are named; without names the first, if no input is an array.
    """
    count = max(len(inputs), 1)
    named = {0} if argnums is None else {n % count for n in argnums}
    if argnums is None and any(isinstance(value, np.ndarray) for value in inputs):
        named = set()
    return [vector_of(value) if i in named else value for i, value in enumerate(inputs)]


def _input_name(name: str) -> str:
    """``inputs.0.weight`` as ``inputs[0].weight``; a keyword argument by its own name."""
    if name.startswith("keywords."):
        return name.removeprefix("keywords.")
    number, dot, rest = name.removeprefix("inputs.").partition(".")
    return f"inputs[{number}]{dot}{rest}"


def outputs_of(returned: Any) -> list[NDArray[Any]]:
    """The arrays of floating-point and complex numbers in what a function returns, in their order."""
    if isinstance(returned, np.ndarray | np.generic | float | complex):
        array = np.asarray(returned)
        return [array] if array.dtype.kind in "fc" else []
    if isinstance(returned, Mapping):
        return [array for part in returned.values() for array in outputs_of(part)]
    if isinstance(returned, list | tuple):
        return [a for part in returned for a in outputs_of(part)]
    # Tensors of small frameworks, such as MyGrad's, that can be read as arrays.
    return outputs_of(np.asarray(returned)) if hasattr(returned, "__array__") else []


def _slot(name: str, array: NDArray[Any]) -> Slot:
    return Slot(name, array.shape, format_of(array), array.dtype.kind == "c")


@dataclass(frozen=True)
class ArrayPass:
    """The user's vector-Jacobian product at the inputs.

    Attributes:
        subject: whose it is.
        random: the random state that every call begins with.
    """

    subject: ArraySubject
    random: Snapshot

    @cached_property
    def inputs(self) -> tuple[Slot, ...]:
        """The inputs that are differentiated."""
        return tuple(_slot(leaf.name, np.asarray(leaf.value)) for leaf in self.subject.structure.leaves)

    @property
    def outputs(self) -> tuple[Slot, ...]:
        """The outputs that have cotangents."""
        return self.subject.outputs

    @cached_property
    def values(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the inputs."""
        return tuple(_wide(leaf.value) for leaf in self.subject.structure.leaves)

    @property
    def laid_out(self) -> bool:
        """Whether inputs can be given in other layouts."""
        return True

    @property
    def draws(self) -> bool:
        """Whether the function draws random numbers."""
        return self.subject.draws

    def gradients(self, asked: Asked) -> Answer:
        """A call of the function and one of its backward pass."""
        values = self._values(asked)
        return self._backward(asked, values, self._forward(values))

    def twice(self, asked: Asked) -> tuple[Answer, Answer]:
        """One call of the function and two of its backward pass."""
        values = self._values(asked)
        forward = self._forward(values)
        return self._backward(asked, values, forward), self._backward(asked, values, forward)

    def interleaved(self, asked: Asked, other: Asked) -> Answer:
        """The backward pass, called after it was called for other inputs."""
        mine, theirs = self._values(asked), self._values(other)
        forward = self._forward(mine)
        self._backward(other, theirs, self._forward(theirs))
        return self._backward(asked, mine, forward)

    def returned(self, asked: Asked) -> Sequence[Returned]:
        """Nothing adapts what the user's code returns, so that the check itself sees it."""
        return ()

    def undifferentiated(self, asked: Asked) -> Cotangents:
        """NumPy differentiates nothing."""
        return ()

    def pushed(self, tangents: Sequence[NDArray[Any]]) -> Cotangents | None:
        """A Jacobian-vector product of the user's own is judged by itself."""
        return None

    def _values(self, asked: Asked) -> list[Any]:
        found: list[Any] = []
        for i, (slot, value) in enumerate(zip(self.inputs, asked.values or self.values, strict=True)):
            array = np.array(value).astype(slot.format)
            domain = self.subject.domains[i] if self.subject.domains else None
            array = array if domain is None else domain.clipped(array)
            odd = asked.inputs is not None and i in asked.inputs[0]
            found.append(laid(array, asked.inputs[1]) if asked.inputs is not None and odd else array)
        return found

    def _forward(self, values: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[str]]:
        self.random.restore()
        before = [value.copy() for value in values]
        outputs = [np.array(y) for y in self.subject.returned(values)]
        names = zip(self.inputs, values, before, strict=True)
        return outputs, [s.name for s, value, kept in names if not np.array_equal(value, kept, equal_nan=True)]

    def _backward(
        self, asked: Asked, values: Sequence[NDArray[Any]], forward: tuple[list[NDArray[Any]], list[str]]
    ) -> Answer:
        self.random.restore()
        given: list[NDArray[Any] | None] = []
        for slot, u in zip(self.outputs, asked.cotangents, strict=True):
            array = None if u is None else np.array(u).astype(slot.format)
            fits = asked.layout is not None and asked.layout.fits(slot.shape, complex_numbers=False)
            given.append(laid(array, asked.layout) if array is not None and asked.layout and fits else array)
        kept = [value.copy() for value in values], [None if u is None else u.copy() for u in given]
        found = self.subject.pulled(values, given)
        self.random.restore()
        written = [
            s.name for s, value, old in zip(self.inputs, values, kept[0], strict=True)
            if not np.array_equal(value, old, equal_nan=True)
        ]  # fmt: skip
        many = len(self.outputs) > 1
        for slot, u, old in zip(self.outputs, given, kept[1], strict=True):
            if u is not None and old is not None and not np.array_equal(u, old, equal_nan=True):
                written.append(f"the cotangent of {slot.name}" if many else "the cotangent")
        changed = [*((name, "forward") for name in forward[1]), *((name, "backward") for name in written)]
        gradients = tuple(
            None if asked.needed is not None and i not in asked.needed else _fitted(g, slot)
            for i, (g, slot) in enumerate(zip(found, self.inputs, strict=True))
        )
        return Answer(gradients, tuple(map(_wide, forward[0])), tuple(changed))


@dataclass(frozen=True)
class DoubledArrays:
    """The user's function and vector-Jacobian product at float64 inputs.

    Attributes:
        subject: whose they are.
        random: the random state that every call begins with.
    """

    subject: ArraySubject
    random: Snapshot

    @cached_property
    def values(self) -> tuple[NDArray[np.float64], ...]:
        """The numbers of the inputs."""
        return tuple(np.array(leaf.value, dtype=np.float64) for leaf in self.subject.structure.leaves)

    def outputs(self, values: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
        """What the function returns at other inputs."""
        self.random.restore()
        found = self.subject.returned([v.copy() for v in values])
        self.random.restore()
        return tuple(np.array(y, dtype=np.float64) for y in found)

    def gradients(
        self, values: Sequence[NDArray[np.float64]], cotangents: Cotangents
    ) -> tuple[NDArray[np.float64], ...]:
        """What the user's vector-Jacobian product gives at other inputs."""
        given = [v.copy() for v in values]
        self.subject.returned([v.copy() for v in values])  # some remember what the function was called with
        self.random.restore()
        found = self.subject.pulled(given, [None if u is None else np.array(u) for u in cotangents])
        self.random.restore()
        pairs = zip(found, values, strict=True)
        return tuple(np.zeros(v.shape) if g is None else _wide(g).reshape(v.shape) for g, v in pairs)


def _wide(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _fitted(gradient: Any, slot: Slot) -> NDArray[Any] | None:
    """A gradient in the input's shape; None for one that cannot be compared, of which the check itself tells."""
    if gradient is None:
        return None
    array = _wide(gradient)
    return array.reshape(slot.shape).copy() if array.size == slot.size else None


def laid(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The same numbers in another order in memory."""
    if layout is Layout.STRIDED:
        buffer = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), 3.0, array.dtype)
        buffer[..., 1::2] = array
        return buffer[..., 1::2]
    if layout is Layout.TRANSPOSED:
        return array.T.copy().T
    if layout is Layout.CHANNELS_LAST:
        return np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1)
    if layout is Layout.EXPANDED:
        return as_strided(array.reshape(-1)[:1].copy(), array.shape, (0,) * array.ndim)
    if layout is Layout.ROWS:
        row = array[:1].copy()
        return as_strided(row, array.shape, (0, *row.strides[1:]))
    return array
