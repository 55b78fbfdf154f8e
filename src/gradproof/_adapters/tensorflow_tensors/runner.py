"""Evaluates and differentiates a target at TensorFlow's tensors with the engine's numbers.

The decision behind it: the engine hands over a list of NumPy arrays and gets numbers back. Whether these hold float64
copies or the user's own precision says in which of the two the operations are carried out. What cannot be traced is
called as it is, with the numbers in the user's own variables for the time of the check.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradproof._adapters.foreign import Flat
from gradproof._adapters.tensorflow_tensors.graphs import Doubles, Graph, Run, inlined
from gradproof._adapters.tensorflow_tensors.rewriting import CannotBeRewrittenError
from gradproof._adapters.tensorflow_tensors.tensors import (
    HELD,
    array_of,
    dense,
    entries_of,
    format_of,
    is_lower,
    is_tensor,
    place_of,
    plain,
    watched,
    wider,
)

#: A function of a list of leaves, further arguments and options.
Target = Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], Any]
#: Traced functions, one for each set of arguments, that are kept.
MOST_KEPT = 24


@dataclass(frozen=True)
class Made:
    """A traced function with the names of what it returns."""

    graph: Graph
    names: tuple[str, ...]
    runs: dict[bool, Run]
    held: tuple[Any, ...]


@dataclass(frozen=True)
class Runner:
    """One target with everything that it takes to call it.

    Attributes:
        target: what is called.
        likes: the user's tensors and variables.
        names: their names.
        root: the user's name for all of them.
        data: formats of the trailing arguments that arrive as arrays of NumPy; None for what is one.
        paired: whether the target returns (cost, anything).
        only: whether nothing but the user's own precision can be evaluated.
        called: whether the code is called as it is, as it cannot be traced.
        inline: whether functions inside the functions are traced as part of them.
        called_claims: whether gradients are called as they are: what a rule remembers in Python would stand still, or
            leak, in what is traced.
        native_claims: whether gradients are computed in the user's own precision alone.
        kept_too: further variables that the code may write to when it is called as it is.
        states: what the cost draws random numbers from. A gradient that is called as it is moves them on, and is put
            back to where the cost starts from, so that both see one pattern.
    """

    target: Target
    likes: tuple[Any, ...]
    names: tuple[str, ...]
    root: str
    data: tuple[Any, ...] = ()
    paired: bool = False
    only: bool = False
    called: bool = False
    inline: bool = False
    called_claims: bool = False
    native_claims: bool = False
    kept_too: tuple[Any, ...] = ()
    states: tuple[Any, ...] = ()
    doubles: Doubles = field(default_factory=Doubles, compare=False, repr=False)
    made: dict[Any, Made] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("functions of TensorFlow's tensors are evaluated in this process")

    @property
    def lower(self) -> bool:
        """Whether any tensor is kept in less than double precision."""
        return any(is_lower(format_of(like)) for like in self.likes)

    def natively(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether arrays stand for the user's own precision."""
        pairs = [(a, format_of(x)) for a, x in zip(arrays, self.likes, strict=True)]
        return self.only or not self.lower or any(a.dtype == HELD[name] for a, name in pairs if is_lower(name))

    # What is traced.

    def cost(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """The cost, as a NumPy number of double precision; what is no number is returned as it is.

        Arrays with one more axis in front are several sets of parameters, of which each has a cost.
        """
        if arrays and arrays[0].ndim > len(self.likes[0].shape):
            return np.array([self.cost([a[i] for a in arrays], *args, **options) for i in range(len(arrays[0]))])
        native = self.natively(arrays)
        if self.called:
            with self.placed(arrays, native=native) as leaves:
                value = plain(self._first(self.target(leaves, self._given(args), options)))
        else:
            made = self.traced("cost", self.costs, args, options)
            value = plain(self.run_at(made, arrays, native=native)[0])
        return (value, None) if self.paired else value

    def derivative(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Flat:
        """What a tape says the gradient is; zero of what it does not lead to."""
        return self._gradients("derivative", self.differentiated, arrays, args, options)

    def claimed(
        self, function: Target, arrays: Sequence[NDArray[Any]], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Flat:
        """What the user's own gradient function returns."""
        return self._gradients(f"claim {id(function)}", self._claims(function), arrays, args, options)

    def made_for(
        self, function: Target, args: Sequence[Any], options: Mapping[str, Any], *, native: bool
    ) -> Made | None:
        """The user's own gradient function, traced; None where it cannot be."""
        return self.made_or_none(f"claim {id(function)}", self._claims(function), args, options, native=native)

    def _claims(self, function: Target) -> Callable[..., Mapping[str, Any]]:
        def claims(leaves: Sequence[Any], given: Sequence[Any], chosen: Mapping[str, Any]) -> Mapping[str, Any]:
            return claims_of(function(leaves, given, chosen), self.names, self.root).entries

        return claims

    def both(self, arrays: Sequence[NDArray[Any]], *args: Any, **options: Any) -> Any:
        """Cost and claim of a target that returns both."""
        value = self.cost(arrays, *args, **options)[0]

        def second(leaves: Sequence[Any], given: Sequence[Any], chosen: Mapping[str, Any]) -> Mapping[str, Any]:
            returned = self.target(leaves, given, chosen)
            tree = returned[1] if isinstance(returned, tuple | list) and len(returned) == 2 else returned
            return claims_of(tree, self.names, self.root).entries

        return value, self._gradients("second", second, arrays, args, options)

    def traced(
        self, kind: str, function: Callable[..., Mapping[str, Any]], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Made:
        """A traced function of the leaves, made once for what does not change from call to call.

        Raises:
            Whatever the user's code raises where it cannot be traced.
        """
        key = kind, tuple(map(_key, args)), tuple((name, _key(value)) for name, value in options.items())
        if key not in self.made:
            if len(self.made) >= MOST_KEPT:
                self.made.clear()
            given, names = self._given(args), []

            def flat(*tensors: Any) -> list[Any]:
                found = function(self._leaves(tensors), given, options)
                names.append(tuple(found))
                return list(found.values())

            specs = [tf.TensorSpec(x.shape, x.dtype) for x in self.likes if place_of(x) is None]
            with inlined(inline=self.inline):
                graph = Graph.of(flat, specs)
            self.made[key] = Made(graph, names[-1], {}, (*args, *options.values()))
        return self.made[key]

    def widely(self, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether the code itself computes in double precision where it is given nothing less."""
        given = self._given(args)
        specs = [tf.TensorSpec(x.shape, wider(format_of(x))) for x in self.likes]
        try:
            graph = Graph.of(lambda *tensors: self._first(self.target(tensors, given, options)), specs)
        except Exception:  # it takes nothing else than it was written for
            return False
        return not graph.narrows()

    def run_of(self, made: Made, *, native: bool) -> Run:
        """A traced function in one of the two precisions.

        Raises:
            CannotBeRewrittenError: it cannot be run so.
        """
        if native not in made.runs:
            made.runs[native] = made.graph.run_on(self.doubles, wide=not native)
        return made.runs[native]

    def run_at(self, made: Made, arrays: Sequence[NDArray[Any]], *, native: bool) -> list[Any]:
        """What a traced function returns at the engine's numbers."""
        run = self.run_of(made, native=native)
        tensors, moved = [], []
        for array, like in zip(arrays, self.likes, strict=True):
            variable, name = place_of(like), format_of(like)
            value = _tensor(array, name if native else wider(name))
            if variable is None:
                tensors.append(value)
            else:
                moved.append(variable)
                self.doubles.of(variable, wide=not native).assign(value)
        return run(tensors, moved)

    def _leaves(self, tensors: Sequence[Any]) -> list[Any]:
        """The user's variables, and tensors in the place of the user's."""
        given = iter(tensors)
        return [like if place_of(like) is not None else next(given) for like in self.likes]

    def costs(self, leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The cost, as something that is traced."""
        return {"cost": self._first(self.target(leaves, args, options))}

    def differentiated(
        self, leaves: Sequence[Any], args: Sequence[Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What a tape says, as something that is traced; zero of what the cost does not lead to."""
        with tf.GradientTape() as tape:
            sources = watched(tape, leaves)
            value = self._first(self.target(leaves, args, options))
        found = tape.gradient(value, sources)
        pairs = zip(self.names, found, sources, strict=True)
        return {name: tf.zeros_like(x) if g is None else dense(g) for name, g, x in pairs}

    def _first(self, returned: Any) -> Any:
        return returned[0] if self.paired and isinstance(returned, tuple | list) and returned else returned

    def _gradients(
        self, kind: str, function: Callable[..., Mapping[str, Any]], arrays: Sequence[NDArray[Any]],
        args: Sequence[Any], options: Mapping[str, Any],
    ) -> Flat:  # fmt: skip
        native = self.native_claims or self.natively(arrays)
        made = (
            None
            if self.called or self.called_claims
            else self.made_or_none(kind, function, args, options, native=native)
        )
        if made is not None:
            found = self.run_at(made, arrays, native=native)
            return Flat(dict(zip(made.names, map(array_of, found), strict=True)))
        with self.placed(arrays, native=native) as leaves, held(self.states):
            entries = function(leaves, self._given(args), options)
            return Flat({name: array_of(value) if is_tensor(value) else value for name, value in entries.items()})

    def made_or_none(
        self, kind: str, function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any], *, native: bool
    ) -> Made | None:
        """A function, traced and ready to be run in one of the precisions; None where it cannot be."""
        try:
            made = self.traced(kind, function, args, options)
            self.run_of(made, native=native)
        except Exception:  # it is called as it is, and says itself what is wrong
            return None
        return made

    # What is called as it is.

    @contextmanager
    def placed(self, arrays: Sequence[NDArray[Any]], *, native: bool) -> Iterator[list[Any]]:
        """The leaves with the engine's numbers in them, and in the user's variables until this is left."""
        leaves = []
        with held([v for like in self.likes if (v := place_of(like)) is not None]):
            for array, like in zip(arrays, self.likes, strict=True):
                variable, name = place_of(like), format_of(like)
                if variable is None:
                    leaves.append(_tensor(array, name if native else wider(name)))
                else:
                    variable.assign(_tensor(array, name))
                    leaves.append(like)
            yield leaves

    def protected(self) -> AbstractContextManager[None]:
        """What code that is called as it is writes to, put back in the end; in between it goes on as it would."""
        return held(self.kept_too)

    def _given(self, args: Sequence[Any]) -> list[Any]:
        """The user's further arguments, tensors where tensors were passed."""
        count = len(self.data)
        found = list(args[: len(args) - count])
        for value, dtype in zip(args[len(args) - count :], self.data, strict=True):
            found.append(value if dtype is None else tf.cast(tf.constant(np.array(value, subok=False)), dtype))
        return found


@contextmanager
def held(variables: Sequence[Any]) -> Iterator[None]:
    """Variables that have their values again when this is left."""
    kept = [tf.identity(v) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def _tensor(array: NDArray[Any], name: str) -> Any:
    found = tf.constant(np.asarray(array))
    return found if found.dtype.name == name else tf.cast(found, name)


def _key(value: Any) -> Any:
    if isinstance(value, bool | int | float | complex | str | bytes | np.generic) or value is None:
        return type(value), repr(value)
    return type(value), id(value)


def claims_of(grads: Any, names: Sequence[str], root: str) -> Flat:
    """A claimed gradient by name."""
    if isinstance(grads, Flat):
        return grads
    if isinstance(grads, list | tuple) and len(grads) == len(names):
        flat = [dense(g) for g in grads]
        if all(g is None or is_tensor(g) or isinstance(g, np.ndarray) for g in flat):
            return Flat({name: g for name, g in zip(names, flat, strict=True) if g is not None})
    bare = tuple(names) == (root,)
    entries = entries_of(grads, root if bare else "grads")
    if bare and len(entries) == 1:
        entries = {root: next(iter(entries.values()))}
    return Flat(entries)


__all__ = ["CannotBeRewrittenError", "Made", "Runner", "Target", "claims_of"]
