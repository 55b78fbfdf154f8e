"""What the diagnosis may try on the user's functions: other data, other options, another call.

The decision behind it: an experiment that the user's functions cannot take (a cost that needs two examples, an option
that must not be 0) is no fault of theirs, so it yields None and a note, and never an error.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.arrays import coordinates
from gradproof._adapters.claims import Claims
from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError
from gradproof._localisation.components import measure_components
from gradproof._pipeline.edges import Work
from gradproof._pipeline.options import VARIED
from gradproof._pipeline.point import Place0, prepare
from gradproof._reference import Reference
from gradproof._verdict.judge import Judge, Seeds, default_scales
from gradproof._verdict.settle import Settlement, combined, settle


@dataclass(frozen=True)
class There:
    """The cost under other circumstances."""

    work: Work
    session: Session
    theta: NDArray[Any]
    cost: float
    read: Claims

    @cached_property
    def claims(self) -> Mapping[str, NDArray[Any]]:
        """The claimed gradient there, in the tensors' shapes."""
        return shaped(self.session, self.read)

    @cached_property
    def place(self) -> Place0:
        """The point there made ready for probes."""
        self.work.meter.afford(1)
        still = replace(self.work.still, session=self.session, cost=self.session.at_point(self.theta))
        self.work.meter.spend(1)
        return prepare(still, self.theta, self.read, self.work.options, self.work.tools)

    @property
    def reference(self) -> Reference:
        """Measures slopes there."""
        return self.place.reference

    def wrong(self, tensors: Sequence[int]) -> Mapping[int, str]:
        """The verdicts of tensors there, by probes."""
        usable = [i for i in tensors if self.session.tensors[i].name in self.read.values]
        settlement = Settlement({}, lambda: None, set())
        settle(Judge(self.reference, Seeds(self.work.options.seed + 41)), self.place.claimed, usable, settlement)
        return {i: combined(found).status for i, found in settlement.outcomes.items()}

    def measured(self, tensor: int, coordinates: Sequence[int] | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Derivative and error bar of coordinates of a tensor there."""
        record, known = self.session.tensors[tensor], self.place.claimed[tensor]
        scale = default_scales([c.stats for c in self.place.claimed])[tensor]
        chosen = list(range(record.size)) if coordinates is None else list(coordinates)
        target = known.aim.aim / 10.0 * (known.stats.claim_rms or 1e-6)
        values, bars = [], []
        for batch in measure_components(self.reference, tensor, chosen, scale, target):
            values += [e.slope - e.mismatch for e in batch.estimates]
            bars += [e.bar for e in batch.estimates]
        return np.array(values), np.array(bars)


@dataclass
class Bench:
    """The user's functions, ready for experiments; what the diagnosis knows as its laboratory."""

    work: Work
    theta: NDArray[Any]
    known: dict[Any, There | None] = field(default_factory=dict)

    @property
    def callable(self) -> bool:
        """Whether the claim can be computed anew."""
        return self.work.session.callable_grads and not self.work.session.caller.live

    @property
    def data(self) -> tuple[Any, ...]:
        """The batch as passed; empty where none was."""
        batch = self.work.session.call.batch
        return batch.arrays if batch else ()

    @property
    def examples(self) -> int:
        """Number of examples; 0 where unknown."""
        batch = self.work.session.call.batch
        return batch.examples if batch else 0

    @property
    def options(self) -> Mapping[str, Any]:
        """The user's options."""
        return self.work.session.call.options or {}

    @property
    def vary(self) -> Sequence[str]:
        """Options that are numbers and may be varied."""
        named = self.work.session.call.vary or VARIED
        return [
            name for name, value in self.options.items()
            if name in named and isinstance(value, int | float) and not isinstance(value, bool)
        ]  # fmt: skip

    @property
    def terms(self) -> Sequence[str]:
        """Names of the terms of the cost that were passed."""
        return list(self.work.session.call.terms or {})

    @property
    def random(self) -> bool:
        """Whether the cost draws random numbers."""
        return self.work.session.frozen is not None

    def default(self, option: str) -> Any:
        """The default of an option in the signature of the cost, or of the gradient; None where there is none."""
        for function in (self.work.session.call.cost, self.work.session.call.grads):
            if callable(function):
                try:
                    parameter = inspect.signature(function).parameters.get(option)
                except (TypeError, ValueError):
                    continue
                if parameter is not None and parameter.default is not parameter.empty:
                    return parameter.default
        return None

    def batch(self, examples: Sequence[int]) -> tuple[Any, ...]:
        """The data with these examples."""
        batch = self.work.session.call.batch
        return batch.take(examples) if batch else ()

    def visit(
        self,
        *,
        data: tuple[Any, ...] | None = None,
        options: Mapping[str, Any] | None = None,
        theta: Mapping[int, NDArray[Any]] | None = None,
        native: bool = False,
    ) -> There | None:
        """The cost under other circumstances, with the claim of double precision or of the user's own.

        None where it cannot be evaluated there.
        """
        if not self.callable:
            return None
        session = self._elsewhere(data, options)
        point = self.theta.copy()
        for i, array in (theta or {}).items():
            t = session.tensors[i]
            point[t.offset : t.offset + t.size] = coordinates(array, t)
        # The cost has been called right there by then, unless the gradient comes with it or is asked in other formats.
        again = native or session.call.grads is True
        try:
            self.work.meter.afford(1 + again)
            with np.errstate(all="ignore"):
                cost = float(session.at_point(point))
                claims = session.claims(point, native=native, after_cost=not again)
        except BudgetExhaustedError:
            raise
        except Exception as error:  # the user's functions need not work elsewhere
            what = " and ".join(
                w
                for w, given in (("other data", data), ("other options", options), ("other parameters", theta))
                if given
            )
            self.work.notes.append(f"An experiment with {what} was left out: {type(error).__name__} there.")
            return None
        self.work.meter.spend(1 + again)
        return There(self.work, session, point, cost, claims)

    def term(self, name: str) -> There | None:
        """One term of the cost on its own, with a claim of zero."""
        session = self.work.session
        function = dict(session.call.terms or {})[name]
        alone = replace(session, caller=replace(session.caller, cost=function, paired=False))
        try:
            self.work.meter.afford(1)
            cost = float(alone.at_point(self.theta))
        except BudgetExhaustedError:
            raise
        except Exception as error:
            self.work.notes.append(f"The term {name} was left out: {type(error).__name__} at the given parameters.")
            return None
        self.work.meter.spend(1)
        formats = {t.name: "float64" for t in session.tensors}
        none = Claims({t.name: np.zeros(t.size) for t in session.tensors}, formats, (), ())
        return There(self.work, alone, self.theta, cost, none)

    def again(self) -> Mapping[str, NDArray[Any]] | None:
        """The claim once more at the same point."""
        there = self.visit()
        return None if there is None else there.claims

    def replayed(self) -> Mapping[str, NDArray[Any]] | None:
        """The claim with the forward pass's random numbers in the backward pass; None where there are none."""
        session = self.work.session
        self.work.meter.afford(1)
        try:
            found = session.replayed(self.theta)
        except BudgetExhaustedError:
            raise
        except Exception:  # numbers of another moment need not fit
            return None
        if found is not None:
            self.work.meter.spend(1)
        return None if found is None else shaped(session, found)

    @property
    def traced(self) -> bool:
        """Whether the claim is computed by a framework's reverse mode."""
        foreign = self.work.session.call.foreign
        return foreign is not None and foreign.traced

    def _elsewhere(self, data: tuple[Any, ...] | None, options: Mapping[str, Any] | None) -> Session:
        session = self.work.session
        caller = session.caller
        if data is not None:
            count = len(self.data)
            caller = replace(caller, args=(*caller.args[: len(caller.args) - count], *data))
        if options is not None:
            caller = replace(caller, options={**(caller.options or {}), **options})
        return replace(session, caller=caller)


def shaped(session: Session, claims: Claims) -> dict[str, NDArray[Any]]:
    """Claims as arrays of the tensors' shapes."""
    found = {}
    for t in session.tensors:
        flat = claims.values.get(t.name)
        if flat is not None:
            found[t.name] = (flat.view(np.complex128) if t.complex else flat).reshape(t.shape)
    return found
