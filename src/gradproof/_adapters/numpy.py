"""A NumPy cost, its parameters and its claimed gradient, taken apart once and put back at the end.

The decision behind it: everything that knows about nestings, dtypes and the user's habits is dealt with here, before
any work; what goes on to the core is a flat vector, a flat claim and a function from one to a number.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.arrays import ArrayProblem, Point, keep_memory
from gradproof._adapters.batch import Batch
from gradproof._adapters.claims import Claims, read_claims
from gradproof._adapters.foreign import Foreign
from gradproof._adapters.held import Kept, arrays_in, passed
from gradproof._adapters.randomness import Snapshot, sources
from gradproof._adapters.user import Caller, Presented, argument_name, takes_parameters
from gradproof._errors import InputError
from gradproof._records import Tensor, format_of, spacing
from gradproof._records.work import record
from gradproof._tree import Kind, Leaf, Structure, shared

if TYPE_CHECKING:
    from gradproof._adapters.domains import Domains


@record(frozen=True)
class Call:
    """What the user passed in, as one record."""

    cost: Callable[..., Any]
    params: Any
    grads: Any
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None
    has_aux: bool = False
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    batch: Batch | None = None
    vary: Sequence[str] = ()
    terms: Mapping[str, Callable[..., Any]] | None = None
    foreign: Foreign | None = None
    allowed: Callable[[Structure], "Domains"] | None = None
    conjugate: bool = False


@record(frozen=True)
class Session:
    """A call taken apart.

    Attributes:
        call: what the user passed in.
        caller: how the user's functions are called.
        tensors: the tensors that are checked.
        theta: their coordinates, float64.
        start: the random state in reach when the check began.
        frozen: the same, where it must be put back before each evaluation.
        rows: how many parameter sets the cost is given at once; 0 for one without a leading axis.
        kept: what the gradient is given besides the parameters, to be put back after each call; None where it
            leaves that alone.
        given: the claimed gradient where it was passed in as arrays, as they were then; None where it is computed.
    """

    call: Call
    caller: Caller
    tensors: tuple[Tensor, ...]
    theta: NDArray[Any]
    start: Snapshot
    frozen: Snapshot | None = None
    rows: int = 0
    kept: Kept | None = None
    given: Claims | None = None

    @property
    def callable_grads(self) -> bool:
        """Whether the claim can be computed anew at other parameters."""
        return self.call.grads is True or callable(self.call.grads)

    @property
    def native_formats(self) -> tuple[str | None, ...]:
        """Formats that displaced parameters are rounded to: the user's own where they are written in place."""
        if not self.caller.live and not self.native:
            return tuple(None for _ in self.tensors)
        return tuple(None if t.dtype in ("float64", "complex128") else t.dtype for t in self.tensors)

    @property
    def native(self) -> bool:
        """Whether the cost can be evaluated in the user's own precision only."""
        return self.call.foreign is not None and self.call.foreign.native

    @property
    def draws(self) -> tuple[str, ...]:
        """The operations that draw random numbers, as far as a framework tells."""
        return () if self.call.foreign is None else self.call.foreign.draws

    @property
    def twin(self) -> bool:
        """Whether the claim in the user's own precision can be judged beside that in float64."""
        return self.lower_precision and (self.call.foreign is None or self.call.foreign.twin)

    @property
    def lower_precision(self) -> bool:
        """Whether any parameter is kept in less than float64, and so evaluated at a float64 copy."""
        return (
            not self.caller.live
            and not self.native
            and any(spacing(t.dtype) > np.finfo(np.float64).eps for t in self.tensors if t.dtype)
        )

    def freeze(self) -> "Session":
        """The same session with randomness standing still."""
        return replace(self, frozen=self.start)

    def evaluate(self, work: NDArray[Any]) -> Any:
        """The cost beside the point; NaN where it has none."""
        with np.errstate(all="ignore"):
            return self.value(self.caller.present(work))

    def value(self, values: list[Any]) -> Any:
        """The same for so many leaves, by a caller that has silenced NumPy's warnings."""
        if self.frozen is not None:
            self.frozen.restore()
        return self.caller.value(values)

    def at_point(self, theta: NDArray[Any]) -> Any:
        """The cost at a point where it must be finite."""
        if self.frozen is not None:
            self.frozen.restore()
        before = np.tile(theta, (self.rows, 1)) if self.rows else theta
        return self.caller.at_point(before)

    def evaluate_many(self, work: NDArray[Any]) -> NDArray[Any]:
        """The costs of several parameter sets, one a row."""
        if self.frozen is not None:
            self.frozen.restore()
        return self.caller.evaluate_many(work)

    def one_cost(self, theta: NDArray[Any]) -> Any:
        """The cost at one parameter set beside the point; NaN where it has none."""
        return self.evaluate_many(np.tile(theta, (self.rows, 1)))[0] if self.rows else self.evaluate(theta.copy())

    def held(self) -> Kept:
        """The arrays that the functions are given besides the parameters, and those that they hold, as they are now."""
        caller = self.caller
        given = passed(self.call.cost, caller.args, caller.options or {}, live=caller.live)
        mine = {id(leaf.value) for leaf in caller.structure.leaves} if caller.live else set()
        inside = arrays_in([("cost", self.call.cost), ("grads", self.call.grads)])
        known = {id(array): (name, array) for name, array in (*inside, *given)}
        return Kept.of(pair for key, pair in known.items() if key not in mine)

    def names_passed(self) -> list[str]:
        """The functions' own names for the arrays that they are given besides the parameters."""
        caller = self.caller
        return [name for name, _ in passed(self.call.cost, caller.args, caller.options or {}, live=caller.live)]

    def on_bounds(self, theta: NDArray[Any]) -> dict[int, list[int]]:
        """The coordinates of each tensor that lie on its bounds."""
        found: dict[int, list[int]] = {}
        by_name = dict(zip(self.caller.structure.names, self.caller.domains, strict=False))
        for i, tensor in enumerate(self.tensors):
            domain = by_name.get(tensor.name)
            if domain is not None and domain.bounded:
                own = theta[tensor.offset : tensor.offset + tensor.size].astype(np.float64).reshape(tensor.shape)
                touching = np.flatnonzero(domain.touching(own)).tolist()
                if touching:
                    found[i] = touching
        return found

    def further_in(self, theta: NDArray[Any], share: float) -> NDArray[Any]:
        """A point with every tensor moved away from its bounds a little."""
        moved = theta.copy()
        by_name = dict(zip(self.caller.structure.names, self.caller.domains, strict=False))
        for tensor in self.tensors:
            domain = by_name.get(tensor.name)
            if domain is not None and domain.bounded:
                part = slice(tensor.offset, tensor.offset + tensor.size)
                moved[part] = domain.further_in(theta[part].reshape(tensor.shape), share).reshape(-1)
        return moved

    def for_workers(self) -> "Session":
        """What another process needs to evaluate the cost, without what cannot be sent there."""
        call = replace(self.call, grads=None, params=None, batch=None, terms=None, allowed=None)
        bare = replace(self, call=call, kept=None, given=None)
        return bare if self.frozen is not None else replace(bare, start=Snapshot(()))

    def demand_sendable(self) -> None:
        """Refuses a cost that cannot be sent to another process.

        Raises:
            InputError: it cannot.
        """
        try:
            pickle.dumps(self.for_workers())
        except Exception as error:
            raise InputError.of(
                "setting up workers", "`cost`", "something that can be sent to another process", f"not ({error})",
                "Define it at the top level of a module, with what it needs in args=, or pass "
                "workers=concurrent.futures.ThreadPoolExecutor().",
            ) from error  # fmt: skip

    def claims(self, theta: NDArray[Any], *, native: bool = False, after_cost: bool = False) -> Claims:
        """The claimed gradient at a point; where it was given as arrays, those arrays.

        A callable is called right after the cost, under the same random state, as some costs leave behind what the
        gradient needs.

        Args:
            theta: the point.
            native: whether the functions are given the user's own dtypes.
            after_cost: whether the cost was evaluated right there and just now.
        """
        grads = self.call.grads
        if self.given is not None:
            return self.given
        if self.frozen is not None:
            self.frozen.restore()
        if not (after_cost and grads is not True):
            returned = self._cost_before(theta, native=native)
            if grads is True:
                claims = within(read_claims(returned[1], self.caller.structure, self.tensors), self.caller)
                if self.kept is not None:
                    self.kept.restore()
                return claims
        return self.gradient(theta, native=native)

    def gradient(self, theta: NDArray[Any], *, native: bool = False, before: Claims | None = None) -> Claims:
        """The claimed gradient of a callable, without a call of the cost before it.

        What it changes of the data it is given is put back, once it is known to do so.

        Args:
            theta: the point.
            native: whether it is given the user's own dtypes.
            before: what it claimed at an earlier call.
        """
        grads = self.call.grads
        if grads is True:
            return self.claims(theta, native=native)
        if self.frozen is not None:
            self.frozen.restore()
        work = theta.copy()
        try:
            caller = self.caller
            if caller.live and takes_parameters(grads):
                caller = replace(caller, live=False)
            found = (
                grads(self.call.params, *self.caller.args, **dict(self.caller.options or {}))
                if self.caller.live and not caller.live
                else self.caller.call(grads, work, native=native)
            )
        except Exception as error:
            error.add_note("gradproof: raised by the claimed gradient at the given parameters.")
            raise
        changed = self.caller.changed(theta, work)
        if changed is not None:
            raise InputError.of(
                "computing the claimed gradient", changed, "left as it was", "changed in place by the gradient",
                "This is an early update (early-update): compute all gradients first, on copies, and update the "
                "parameters after that.",
            )  # fmt: skip
        claims = within(read_claims(found, self.caller.structure, self.tensors, before), self.caller)
        if self.kept is not None:
            self.kept.restore()
        return claims

    def replayed(self, theta: NDArray[Any]) -> Claims | None:
        """The claim with the forward pass's random numbers dealt again in the backward pass; None where none can be."""
        foreign = self.call.foreign
        if foreign is None or foreign.replayed is None:
            return None
        if self.frozen is not None:
            self.frozen.restore()
        return read_claims(self.caller.call(foreign.replayed, theta.copy()), self.caller.structure, self.tensors)

    def _cost_before(self, theta: NDArray[Any], *, native: bool) -> Any:
        if self.rows:
            return self.at_point(theta)
        try:
            return self.caller.call(self.call.cost, theta.copy(), native=native)
        except Exception as error:
            error.add_note("gradproof: raised by the cost, called for the claimed gradient at the given parameters.")
            raise

    def problem(self, theta: NDArray[Any], claims: Claims, fixed: NDArray[np.bool_], cost: Any) -> ArrayProblem:
        """Lines through a point for the core."""
        size = abs(float(cost))
        point = Point(self.tensors, theta, claims.vector(self.tensors), fixed, self.native_formats, size)
        return ArrayProblem(point, partial(_Stage, self.for_workers()), self.rows)

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Puts back random state and, where they are written in place, parameters, bit for bit, whatever happens."""
        kept = [np.array(leaf.value, copy=True) for leaf in self.caller.structure.leaves] if self.caller.live else []
        foreign = nullcontext() if self.call.foreign is None else self.call.foreign.protect()
        try:
            with foreign:
                yield
        finally:
            for leaf, value in zip(self.caller.structure.leaves, kept, strict=False):
                np.copyto(leaf.value, value)
            self.start.restore()


class _Stage:
    """A working vector and what it takes to evaluate the cost there."""

    __slots__ = ("_presented", "_session", "free")

    def __init__(self, session: Session, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._session = session
        self._presented = Presented(session.caller, shape, dtype)
        self.free = self._presented.free

    def cost(self) -> Any:
        if self._session.rows:
            return self._session.evaluate_many(self._presented.work)
        return self._session.value(self._presented.values())


def open_session(call: Call) -> Session:
    """Takes a call apart, refusing what cannot be checked before the cost is evaluated.

    Raises:
        InputError: what was passed in cannot be checked.
    """
    if not callable(call.cost):
        raise InputError.of(
            "setting up the check", "`cost`", "a function", f"a {type(call.cost).__name__}", "Pass the function itself."
        )
    if call.conjugate and call.foreign is not None:
        raise InputError.of(
            "setting up the check", "`conjugate`", "left out for arrays of a framework, which has its own convention",
            "True", "Leave it out.",
        )  # fmt: skip
    name = argument_name(call.cost)
    live, root = name is None, name or "params"
    structure = Structure.of(call.params, root) if call.foreign is None else call.foreign.structure
    if not structure.leaves:
        got, todo = _without_floats(call.params, structure)
        raise InputError.of(f"reading {root}", root, "a float array or a nesting of float arrays", got, todo)
    if call.grads is None:
        raise InputError.of(
            "setting up the check", "`grads`", "the claimed gradient", "None",
            "NumPy has no reverse mode of its own: pass the gradient, or a function that computes it.",
        )  # fmt: skip
    if live:
        _writable(structure.leaves)
    if call.only or call.exclude:
        from gradproof._adapters.patterns import demand_matches  # hardly any check has patterns

        known = [*structure.names, *(name for name, _ in structure.statics)]
        demand_matches("only", call.only, known)
        demand_matches("exclude", call.exclude, known)
    moved: list[Tensor | None] = []
    tensors: list[Tensor] = []
    offset = 0
    for leaf in structure.leaves:
        if not _chosen(leaf.name, call):
            moved.append(None)
            continue
        tensor = _tensor(leaf, offset)
        offset += tensor.size
        tensors.append(tensor)
        moved.append(tensor)
    chosen_names(structure.names, call)
    caller = Caller(
        call.cost, structure, tuple(moved), call.args, call.options, live, call.has_aux or call.grads is True,
        conjugate=call.conjugate,
    )  # fmt: skip
    if call.allowed is not None:
        caller = replace(caller, domains=call.allowed(structure))
    parts = [_coordinates(leaf) for leaf, t in zip(structure.leaves, moved, strict=True) if t is not None]
    theta = np.concatenate(parts) if parts else np.empty(0)
    keep_memory(theta.nbytes)
    found = [] if call.foreign is None else [*call.foreign.sources]
    if call.foreign is None or not call.foreign.searched:
        roots = [("cost", call.cost), ("grads", call.grads), ("args", call.args), ("options", call.options or {})]
        found = [*sources(roots), *found]
    computed = call.grads is True or callable(call.grads)
    given = None if computed else within(read_claims(call.grads, structure, tensors), caller)
    return Session(call, caller, tuple(tensors), theta, Snapshot.of(found), given=given)


def _without_floats(params: Any, structure: Structure) -> tuple[str, str]:
    """What parameters are that hold no float, and what to do about it."""
    todo = "Pass the parameters that the gradient belongs to."
    if structure.statics:
        name, value = structure.statics[0]
        numbers = isinstance(value, np.ndarray | np.generic)
        holds = f"{value.dtype} numbers" if numbers else f"the {type(value).__name__} {value!r}"
        written = f"{name}.astype(float)" if numbers else f"{float(value)!r} in place of {value!r}"
        return f"one without any: {name} holds {holds}", f"Convert what the gradient belongs to: {written}."
    if params is None or isinstance(params, str | bytes) or (isinstance(params, dict | list | tuple) and not params):
        return f"{params!r}"[:60], todo
    if hasattr(params, "__next__"):
        todo = f"Pass a list of what it yields: list({structure.root})."
    elif hasattr(params, "named_parameters") or hasattr(params, "trainable_variables"):
        todo = "Use gradproof.check_module, or pass its parameters by name."
    return f"of type {type(params).__name__} and holds none", todo


def chosen_names(names: Sequence[str], call: Call) -> set[str]:
    """The names that are left by the patterns.

    Raises:
        InputError: none is.
    """
    found = {name for name in names if _chosen(name, call)}
    if names and not found:
        raise InputError.of(
            "choosing what to check", "the names left by `only` and `exclude`", f"some of {_list(names)}",
            "none", "Mend the patterns.",
        )  # fmt: skip
    return found


def within(claims: Claims, caller: Caller) -> Claims:
    """Claims of gradients along the sets that their parameters stay in, as dcost/dRe + i dcost/dIm."""
    values = dict(claims.values)
    for tensor in caller.moved if caller.conjugate else ():
        if tensor is not None and tensor.complex and tensor.name in values:
            values[tensor.name] = np.conj(values[tensor.name].view(np.complex128)).view(np.float64)
    if not any(domain is not None and domain.named for domain in caller.domains):
        return replace(claims, values=values) if caller.conjugate else claims
    for tensor, domain in zip(caller.moved, caller.domains, strict=True):
        if tensor is not None and domain is not None and tensor.name in values:
            values[tensor.name] = domain.claimed(values[tensor.name].reshape(tensor.shape)).reshape(-1)
    return replace(claims, values=values)


def _chosen(name: str, call: Call) -> bool:
    if not call.only and not call.exclude:
        return True
    from gradproof._adapters.patterns import matches  # hardly any check has patterns

    wanted = not call.only or any(matches(name, pattern) for pattern in call.only)
    return wanted and not any(matches(name, pattern) for pattern in call.exclude)


def _tensor(leaf: Leaf, offset: int) -> Tensor:
    array = leaf.array
    pairs = array.dtype.kind == "c"
    return Tensor(
        leaf.name,
        array.shape,
        array.size * (2 if pairs else 1),
        offset,
        format_of(leaf.value if leaf.kind is Kind.ARRAY else array),
        pairs,
    )


def _coordinates(leaf: Leaf) -> NDArray[np.float64]:
    array = np.ascontiguousarray(leaf.array)
    if array.dtype.kind == "c":
        return array.astype(np.complex128).reshape(-1).view(np.float64)
    return array.astype(np.float64).reshape(-1)


def _writable(leaves: Sequence[Leaf]) -> None:
    doing = "setting up a check of a cost that takes no parameters"
    for leaf in leaves:
        if not isinstance(leaf.value, np.ndarray) or not leaf.value.flags.writeable:
            got = "read-only" if isinstance(leaf.value, np.ndarray) else f"a {type(leaf.value).__name__}"
            raise InputError.of(
                doing, leaf.name, "a writable array that the cost reads", got,
                "Pass the arrays themselves, or let the cost take the parameters as its argument.",
            )  # fmt: skip
    for first, second in shared(leaves):
        raise InputError.of(
            doing, f"{first} and {second}", "arrays of their own", "parts of the same memory", "Pass the array once."
        )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
