"""The claimed gradient called again at the same point, and what follows where it does not say the same again.

The decision behind it: a gradient is a function of its arguments. It is called once more without the cost in between,
which shows what any state does; only a gradient that then differs is called again, with the cost in between, until the
kind of state is known. Which of the calls was right follows from the verdict on the first.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.claims import Claims
from gradproof._adapters.held import Kept
from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._pipeline.point import claims_at
from gradproof._records import Finding, Place, spacing

#: Calls that differ by less than this, relative, differ by the order of summation.
SUMMATION = 1e-12
#: The same of claims in lower precision, in spacings of their format, and at most.
SUMMATION_OWN, SUMMATION_MOST = 64.0, 1e-2
#: Formats whose numbers are further apart than this are lower precision.
LOWER = 1e-12
#: Rounding of a gradient that is zero, relative to the largest element of the whole.
ROUNDING = 1e-14
#: Growth from call to call is the same within this share of it.
EQUAL_GROWTH = 1e-9
#: Options that set how many units are dropped.
DROPPING = ("keep_prob", "p", "dropout", "drop_prob", "dropout_rate", "rate")

#: The relative high end left once the claims are replaced by others, or None where they are not right.
Judged = Callable[[Mapping[int, NDArray[np.float64]]], float | None]


@dataclass(frozen=True)
class Repeats:
    """Calls of the claimed gradient at one point.

    Attributes:
        session: with what the gradient changes of the data put back after each call from now on.
        calls: the claims of each call, the first one first; a single one where nothing differed.
        alone: whether calls differ only where the cost is not called in between.
        data: names of arrays of the user's data that the gradient changes in place.
        inner: names of arrays inside the functions that it changes in place, as soon as calls differ.
        moved: sources of random numbers that it draws from, as soon as calls differ.
        settled: whether calls agree with the random numbers standing still.
    """

    session: Session
    calls: tuple[Claims, ...]
    alone: bool = False
    data: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    settled: bool = False

    @cached_property
    def differences(self) -> dict[str, float]:
        """How much the calls differ in each tensor, relative to the sum of their norms; 0 where they agree."""
        if all(claims is self.calls[0] for claims in self.calls):  # it is known of all tensors at once
            return dict.fromkeys((t.name for t in self.session.tensors), 0.0)
        return {t.name: self._differing(t.name) for t in self.session.tensors}

    def _differing(self, name: str) -> float:
        found = [claims.values[name] for claims in self.calls if name in claims.values]
        if all(other is found[0] or np.array_equal(found[0], other) for other in found[1:]):
            return 0.0
        # Beside the whole gradient, what rounding leaves of a zero may be something else at each call.
        least = ROUNDING * max((largest(v) for v in self.calls[0].values.values()), default=0.0)
        others = (other for other in found[1:] if not largest(found[0] - other) <= least)
        off = max((relative(found[0], other) for other in others), default=0.0)
        own = spacing(self.calls[0].formats.get(name, "float64"))
        rounding = min(SUMMATION_OWN * own, SUMMATION_MOST) if own > LOWER else 0.0
        return off if off > rounding else 0.0


def largest(values: NDArray[np.float64]) -> float:
    """The largest magnitude; 0 of nothing."""
    return float(np.max(np.abs(values), initial=0.0))


def relative(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """norm(first - second) / (norm(first) + norm(second)); 0 for equal arrays."""
    if np.array_equal(first, second):
        return 0.0
    size = float(np.linalg.norm(first) + np.linalg.norm(second))
    off = float(np.linalg.norm(first - second)) / size if size else 0.0
    return off if math.isfinite(off) and off > SUMMATION else 0.0


def first_calls(session: Session, meter: Meter) -> Repeats:
    """Computes the claim at the point, where the cost was just evaluated, and again where it can be."""
    if not session.callable_grads or session.rows:
        return Repeats(session, (claims_at(session, session.theta, meter, after_cost=True),))
    kept = session.held()
    first = claims_at(session, session.theta, meter, after_cost=True)
    touched = kept.changed()
    found = Repeats(session, (first,))
    try:
        found = _second_call(found, kept, touched, meter)
        return found if found.data or len(found.calls) == 1 else _looked_into(found, meter)
    except BudgetExhaustedError:
        return found


def _second_call(found: Repeats, kept: Kept, touched: Sequence[str], meter: Meter) -> Repeats:
    """The second call, without the cost before it, and whether what the first one changed in place were data."""
    session = found.session
    after = kept.now() if touched else kept
    again = replace(found, calls=(*found.calls, _alone(session, found.calls[0], meter)))
    differs = any(again.differences.values())
    # A cost that draws from one of them has been frozen, and each call starts from where the first has.
    moved = tuple(session.start.moved()) if differs else ()
    data: tuple[str, ...] = ()
    if touched:
        meter.afford(2)
        latest = kept.now()
        spoilt, sound = _cost_with(session, after, meter), _cost_with(session, kept, meter)
        data = _data(session, touched, another_cost=spoilt != sound)
        if data:
            session = replace(session, kept=kept)
        else:
            latest.restore()  # the gradient's own memory goes on from where its calls have left it
    return replace(again if differs else found, session=session, data=data, moved=moved)


def _alone(session: Session, before: Claims, meter: Meter) -> Claims:
    """The gradient without the cost before it, if it can do without."""
    if session.call.grads is not True:
        try:
            return session.gradient(session.theta, before=before)
        except Exception:  # it needs what the cost leaves behind, and only once
            pass
    return claims_at(session, session.theta, meter)


def _cost_with(session: Session, kept: Kept, meter: Meter) -> float:
    """The cost with arrays as they were kept; leaves them so."""
    kept.restore()
    meter.spend(1)
    return float(session.evaluate(session.theta.copy()))


def _data(session: Session, touched: Sequence[str], *, another_cost: bool) -> tuple[str, ...]:
    """Which of the changed arrays are data: those that were passed in, and all where they make the cost another one."""
    given = set(session.names_passed())
    data = tuple(name for name in touched if name in given)
    return data or (tuple(touched) if another_cost else ())


def _looked_into(found: Repeats, meter: Meter) -> Repeats:
    """Two more calls with the cost before them, a look at what is changed in place, and calls with fixed randomness."""
    session = found.session
    third = claims_at(session, session.theta, meter)
    kept = session.held()
    fourth = claims_at(session, session.theta, meter)
    inner = kept.changed()
    full = Repeats(session, (found.calls[0], third, fourth))
    alone = not any(full.differences.values())
    settled = False
    if found.moved and not alone:
        frozen = session.freeze()
        still = Repeats(session, tuple(claims_at(frozen, session.theta, meter) for _ in range(2)))
        settled = not any(still.differences.values())
    return replace(found, calls=(*found.calls, third, fourth), alone=alone, inner=inner, settled=settled)


def unsteady(
    found: Repeats, right: Sequence[str], tolerance: float, judged: Judged, options: Mapping[str, Any]
) -> list[Finding]:
    """What to report of a gradient whose calls differ, or that changes its data.

    Args:
        found: the calls.
        right: the tensors whose first claim was proven right.
        tolerance: calls that differ by more than twice this cannot both be right.
        judged: judges other claims.
        options: the user's options.
    """
    names = found.differences
    differing = [name for name, off in names.items() if off]
    if found.data:
        return [_changed(found, differing, names, tolerance)]
    if not differing:
        return []
    reporter = _Reporter(found, names, tolerance)
    if found.alone:
        return [reporter.twice_on_one_pass(differing)]
    if found.moved and found.settled:
        return [reporter.random(differing, options)]
    steps = _growth(found, differing)
    left = _judged_steps(found.session, steps, judged)
    if left is not None:
        findings = [reporter.accumulated([*steps], left)]
        differing = [name for name in differing if name not in steps]
    else:
        findings = []
    # Where no random number is drawn, a gradient that is right at first is spoilt by what its calls leave behind.
    spoilt = [name for name in differing if name in right and not found.moved and names[name] > 2.0 * tolerance]
    if spoilt:
        findings.append(reporter.spoilt(spoilt))
    rest = [name for name in differing if name not in spoilt]
    return [*findings, *([reporter.nondeterministic(rest)] if rest else [])]


def _judged_steps(session: Session, steps: Mapping[str, NDArray[np.float64]], judged: Judged) -> float | None:
    """What is left where the growth from call to call is taken for the gradient; None where it is not right."""
    members = [i for i, t in enumerate(session.tensors) if t.name in steps]
    if not members:
        return None
    # The smallest goes first: growth that is no gradient is seen there for little.
    smallest = min(members, key=lambda i: session.tensors[i].size)
    if judged({smallest: steps[session.tensors[smallest].name]}) is None:
        return None
    return judged({i: steps[session.tensors[i].name] for i in members})


def _growth(found: Repeats, differing: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Tensors whose claims grow by the same at every call, and by what."""
    steps = {}
    for name in differing:
        values = [claims.values[name] for claims in found.calls if name in claims.values]
        grown = [b - a for a, b in itertools.pairwise(values)]
        size = float(np.linalg.norm(grown[0]))
        # The claims themselves carry rounding, which their differences inherit.
        near = EQUAL_GROWTH * size + 1e-12 * float(np.linalg.norm(values[-1]))
        if len(grown) > 2 and size and all(np.linalg.norm(g - grown[0]) <= near for g in grown[1:]):
            steps[name] = grown[0]
    return steps


@dataclass(frozen=True)
class _Reporter:
    """Findings about the calls."""

    found: Repeats
    off: Mapping[str, float]
    tolerance: float

    def accumulated(self, names: Sequence[str], left: float) -> Finding:
        first, step = self.found.calls[0], _growth(self.found, names)
        counts = {round(_along(first.values[name], step[name])) for name in names}
        start = counts.pop() if len(counts) == 1 else 0
        said = (
            f"the first call returned it {_times(start)}, the next ones {_times(start + 1)} and {_times(start + 2)}"
            if start > 0
            else "it grows by the same amount"
        )
        plural = len(names) > 1
        subject = f"The gradient{'s' if plural else ''} of {listed(names)} {'are' if plural else 'is'}"
        return self._finding(
            "accumulated",
            names,
            f"{subject} added up over calls: {said}.",
            "Set it to zero at the start of each backward pass, or assign where it is added (= in place of +=).",
            "added up over calls",
            repaired=left,
        )

    def twice_on_one_pass(self, names: Sequence[str]) -> Finding:
        where = f" It changes {self._inner} in place." if self.found.inner else ""
        return self._finding(
            "not-reentrant",
            names,
            f"Called a second time after one forward pass, the gradient of {listed(names)} differs from the "
            f"first.{where}",
            "Work on copies of what the forward pass has left, such as dZ = A - Y in place of A -= Y.",
            "differs on the second call without a forward pass",
            also=("aliasing",),
            serious=False,
        )

    def spoilt(self, names: Sequence[str]) -> Finding:
        known = bool(self.found.inner)
        inner = self._inner if known else ""
        why = f": it changes {inner} in place, and later calls use that again" if known else ""
        of_what = inner if known else "what is kept between calls"
        return self._finding(
            "not-reentrant",
            names,
            f"The gradient of {listed(names)} is right at the first call and wrong at later ones{why}.",
            f"Work on a copy of {of_what}, such as dZ = A - Y in place of dZ -= Y.",
            "right once",
            also=("aliasing",) if known else ("aliasing", "nondeterministic"),
        )

    def random(self, names: Sequence[str], options: Mapping[str, Any]) -> Finding:
        option = next((name for name in DROPPING if options.get(name) not in (None, 0, 1)), None)
        dropped = option is not None or self._zeros_move(names)
        sources = listed(self.found.moved)
        message = f"The gradient of {listed(names)} draws random numbers ({sources}) that the cost does not draw."
        if dropped:
            fix = "Keep the mask that the forward pass has drawn and use the same one in the backward pass."
            return self._finding("dropout", names, message, fix, "redrawn", also=("nondeterministic",))
        fix = "Let the gradient depend on its arguments alone."
        return self._finding("nondeterministic", names, message, fix, "random numbers", also=("dropout",))

    def nondeterministic(self, names: Sequence[str]) -> Finding:
        worst = max(self.off[name] for name in names)
        also = ("aliasing",) if self.found.inner else ()
        where = f" It changes {self._inner} in place." if self.found.inner else ""
        return self._finding(
            "nondeterministic",
            names,
            f"Calls of the claimed gradient at the same parameters differ by up to {worst:.1e} in "
            f"{listed(names)}.{where}",
            "Look for state that survives a call: caches, random numbers, np.empty, additions in no fixed order.",
            f"relative difference {worst:.1e}",
            also=also,
        )

    @property
    def _inner(self) -> str:
        return f"what is kept in {listed(self.found.inner)}"

    def _zeros_move(self, names: Sequence[str]) -> bool:
        """Whether the calls have their exact zeros at different elements, as dropped units leave them."""
        for name in names:
            masks = [claims.values[name] == 0.0 for claims in self.found.calls if name in claims.values]
            if any(mask.any() and not mask.all() and not np.array_equal(mask, masks[0]) for mask in masks):
                return True
        return False

    def _finding(
        self, cause: str, names: Sequence[str], message: str, fix: str, detail: str, *,
        also: tuple[str, ...] = (), serious: bool | None = None, repaired: float | None = None,
    ) -> Finding:  # fmt: skip
        if serious is None:
            serious = any(self.off[name] > 2.0 * self.tolerance for name in names)
        tensors = {t.name: t for t in self.found.session.tensors}
        masks = {name: self._mask(tensors[name].complex, name).reshape(tensors[name].shape) for name in names}
        place = Place(f"all of {listed(names)}", masks, exact=False)
        severity = "error" if serious else "warning"
        return Finding(cause, severity, tuple(names), place, message, fix, detail=detail, also=also, repaired=repaired)

    def _mask(self, pairs: bool, name: str) -> NDArray[np.bool_]:
        values = [claims.values[name] for claims in self.found.calls if name in claims.values]
        mask: NDArray[np.bool_] = np.zeros(values[0].shape, dtype=bool)
        for other in values[1:]:
            mask |= other != values[0]
        return mask[::2] | mask[1::2] if pairs else mask


def _changed(found: Repeats, differing: Sequence[str], off: Mapping[str, float], tolerance: float) -> Finding:
    """The finding about data that are changed in place; an error where a second call gives something else."""
    data = listed(found.data)
    many = len(found.data) > 1
    message = f"The gradient changes {data} in place, and {'they belong' if many else 'that belongs'} to the caller"
    if differing:
        message += f": the second call of the gradient of {listed(differing)} gives something else"
    reporter = _Reporter(found, off, tolerance)
    names = [*differing] or [t.name for t in found.session.tensors if t.name in found.calls[0].values]
    fix = f"Work on a copy of {data} in the backward pass."
    serious = any(off[name] > 2.0 * tolerance for name in differing)
    if not differing:
        place = Place(f"all of {listed(names)}", {}, exact=False)
        return Finding("aliasing", "warning", tuple(names), place, f"{message}.", fix, detail="data changed in place")
    also = ("not-reentrant",)
    return reporter._finding("aliasing", names, f"{message}.", fix, "data changed in place", also=also, serious=serious)


def _along(value: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """How many steps a claim is, where it is a multiple of them; 0 where it is not."""
    count = float(np.vdot(step, value)) / float(np.vdot(step, step))
    return count if np.linalg.norm(value - count * step) <= 1e-6 * np.linalg.norm(value) else 0.0


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def listed(names: Sequence[str]) -> str:
    """``W1``, ``W1 and b1``, or ``W1, b1 and 3 more``."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
