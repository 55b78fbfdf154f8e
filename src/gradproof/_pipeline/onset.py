"""Where, on the way from a point at which a claim is right to one at which it is wrong, it turns wrong, and how.

The decision behind it: a fault that only some parameters show is told apart by its onset. The straight line between
the two points is halved until the claim is right at one end of a short piece and wrong at the other, and there it is
seen what happens: an overflow that NumPy reports, a bound that no claim exceeds beyond it, a kink of the cost that the
claim does not have, a jump of the claim that the cost does not have, a mismatch that grows from zero beyond a
threshold, or one that fades in without any. What is not seen is not named.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Call, open_session
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._pipeline.edges import Work
from gradproof._pipeline.laboratory import Bench, There
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import stand_still
from gradproof._records import Direction, Part, Regime
from gradproof._verdict.judge import default_scales

#: How often the way is halved.
HALVINGS = 11
#: A claim is right where no more than this share of it is left beside the error bars, and probes aim at a tenth.
FLOOR = 1e-7
#: Beside the floor, so many times what is left at the right end still counts as right.
ROOM = 3.0
#: Probes a point.
PROBES = 2
#: Seeds of the probes, apart from those of the verdicts.
SEEDS = 32_452_843
#: How often the short piece is narrowed to find a jump of the claim in it.
NARROWINGS = 14
#: Places at which the cost is looked at for a kink, and how often more closely around the sharpest.
GRID, CLOSER = 33, 3
#: A jump, relative to the claim, and a kink, relative to the cost's slope, below which there is none.
JUMP, KINK = 1e-5, 1e-5
#: So many times the usual change of the cost's slope is a kink, beside the cost's rounding.
SMOOTH, ROUNDING = 30.0, 100.0 * float(np.finfo(np.float64).eps)
#: So far beyond its onset, a mismatch that grows from zero at a threshold has left the floor far behind.
BEYOND, GROWN = 2.0**-6, 100.0
#: Claims share a bound where they agree to this.
BOUND = 1e-9
#: The same floor and bound for claims in less than double precision, which carry its rounding.
NATIVE_FLOOR, NATIVE_BOUND = 1e-4, 1e-6
#: An onset this close to the right end means that the fault is hidden there by a zero.
AT_ONCE = 2.0**-8
#: Steps along the claim, relative to the parameters: the two that agree best are believed.
ALONG = (1e-3, 1e-4, 1e-5, 1e-6)
#: What NumPy calls floating-point errors, and what they are taken for.
OVERFLOW, INVALID = "overflow", "invalid value"
SATURATION = ("divide by zero", INVALID)
#: Of a claim that is right, or wrong, at both ends of the way.
UNSEEN = Regime("unknown", math.nan, "what is wrong cannot be seen along the way between the two stages")


@dataclass(frozen=True)
class _Seen:
    """What is seen at one place of the way."""

    share: float
    there: There
    left: float | None

    @property
    def finite(self) -> bool:
        """Whether all claims are finite there."""
        return all(np.all(np.isfinite(claim)) for claim in self.there.claims.values())


def start_of(call: Call) -> NDArray[Any] | None:
    """The flat vector of the point of a check; None where its tensors stay where they are."""
    return None if call.foreign is not None and call.foreign.resident is not None else open_session(call).theta


def onset(call: Call, options: Options, meter: Meter, right: NDArray[Any] | None, tensors: Sequence[str]) -> Regime:
    """What makes a claim wrong on the way from one point to another.

    Args:
        call: the check at the point where the claim is wrong.
        options: the choices of that check.
        meter: counts.
        right: the flat vector of the point where it is right; None where there is none.
        tensors: the names that are wrong at the one and right at the other.

    Returns:
        The regime; ``unknown`` where the way cannot be walked.
    """
    if right is None or (call.foreign is not None and call.foreign.resident is not None):
        return Regime("unknown", math.nan, "there is no way between parameters of which no copy is kept")
    session = open_session(call)
    if not session.callable_grads or session.caller.live or session.rows or right.shape != session.theta.shape:
        return Regime("unknown", math.nan, "the functions cannot be called between the two stages")
    with session.protected(), np.errstate(all="ignore"):
        try:
            still = stand_still(session, meter)
            work = Work(still.session, options, meter, None, still, [])
            chosen = [i for i, t in enumerate(session.tensors) if t.name in tensors]
            way = _Way(Bench(work, session.theta), right, session.theta, chosen)
            found = way.regime()
            # What is wrong may be wrong in the user's own precision alone: an exponential of 100 in float32.
            return replace(way, native=True).regime() if found is UNSEEN and session.twin else found
        except BudgetExhaustedError:
            return Regime("unknown", math.nan, "the budget ran out on the way between the two stages")


@dataclass(frozen=True)
class _Way:
    """The straight line from the right point to the wrong one; ``native`` for claims in the user's own precision."""

    bench: Bench
    right: NDArray[Any]
    wrong: NDArray[Any]
    tensors: Sequence[int]
    native: bool = False

    @property
    def floor(self) -> float:
        """A claim is right where no more than this share of it is left."""
        return NATIVE_FLOOR if self.native else FLOOR

    def regime(self) -> Regime:
        """Halves the way and looks at what happens where the claim turns wrong."""
        start, end = self.at(0.0), self.at(1.0)
        if start is None or end is None or start.left is None or not start.finite:
            return Regime("unknown", math.nan, "the claim cannot be measured at both stages")
        limit = max(self.floor, ROOM * start.left)
        if self._is_right(end, limit) is not False:
            return UNSEEN
        piece = self._piece(start, end, limit)
        for look in (self._overflow, self._clipping, self._kink_or_jump, self._gradual):
            found = look(piece, end)
            if found is not None:
                return found
        return Regime("unknown", piece[1].share, "the claim turns wrong without a sign of why")

    def at(self, share: float) -> _Seen | None:
        """The claim held against the measured derivative at a place of the way."""
        there = self._visit(share)
        if there is None:
            return None
        try:
            return _Seen(share, there, self._left(there))
        except BudgetExhaustedError:
            raise
        except Exception:  # the cost need not be finite on the way
            return _Seen(share, there, None)

    def _visit(self, share: float) -> There | None:
        theta = self.right + share * (self.wrong - self.right)
        tensors = self.bench.work.session.tensors
        parts = {i: theta[t.offset : t.offset + t.size] for i, t in enumerate(tensors)}
        arrays = {
            i: (part.view(np.complex128) if tensors[i].complex else part).reshape(tensors[i].shape)
            for i, part in parts.items()
        }
        return self.bench.visit(theta=arrays, native=self.native)

    def _left(self, there: There) -> float | None:
        """The mismatch beside the error bars, relative to the derivative: the largest; None where unknown."""
        if not all(np.all(np.isfinite(claim)) for claim in there.claims.values()):
            return math.inf
        scales = default_scales([c.stats for c in there.place.claimed])
        most = None
        for i in self.tensors:
            size = scales[i] * there.place.claimed[i].stats.claim
            rays = [Direction((SEEDS + PROBES * i + k,), (Part(i, scales[i]),)) for k in range(PROBES)]
            found = [e for e in there.reference.measure(rays, 0.1 * self.floor * size or 1e-12) if e.measured]
            whole = math.hypot(*(max(abs(e.slope), abs(e.slope - e.mismatch)) for e in found)) if found else 0.0
            if whole:
                left = math.hypot(*(max(0.0, abs(e.mismatch) - 3.0 * e.bar) for e in found)) / whole
                most = left if most is None else max(most, left)
        return most

    def _is_right(self, seen: _Seen, limit: float) -> bool | None:
        return None if seen.left is None else bool(seen.left <= limit)

    def _piece(self, start: _Seen, end: _Seen, limit: float) -> tuple[_Seen, _Seen]:
        """A short piece with a right and a wrong end."""
        low, high = start, end
        for _ in range(HALVINGS):
            for part in (0.5, 0.37, 0.63):  # a place right on a kink cannot be measured; one beside it can
                seen = self.at(low.share + part * (high.share - low.share))
                known = None if seen is None else self._is_right(seen, limit)
                if seen is not None and known is not None:
                    low, high = (seen, high) if known else (low, seen)
                    break
            else:
                break
        return low, high

    def _overflow(self, piece: tuple[_Seen, _Seen], end: _Seen) -> Regime | None:
        """Floating-point errors that NumPy reports of the claim at the wrong end alone, or a claim not finite."""
        before, after = (self._errors(seen.share) for seen in piece)
        fresh = [error for error in after if error not in before]
        share = piece[1].share
        who = "NumPy reports" if self.bench.work.session.call.foreign is None else "there is"
        said = f"{who} {{}} while the gradient is computed"
        # What has overflowed may matter later only, once one infinity is divided by another.
        late = INVALID in fresh and OVERFLOW in after and OVERFLOW not in self._errors(0.0)
        if OVERFLOW in fresh or late:
            return Regime("overflow", share, said.format("an overflow") + ", and none before")
        if any(error in SATURATION for error in fresh):
            return Regime("saturation", share, said.format(f"`{fresh[0]}`") + ", and not before")
        if not piece[1].finite:
            return Regime("overflow", share, "the claimed gradient is no longer finite")
        return None

    def _errors(self, share: float) -> list[str]:
        session = self.bench.work.session
        theta = self.right + share * (self.wrong - self.right)
        self.bench.work.meter.spend(2)
        with self._recorded() as cost, suppress(Exception):
            if session.call.grads is not True:
                session.caller.call(session.call.cost, theta.copy(), native=self.native)
        with self._recorded() as both, suppress(Exception):
            session.claims(theta, native=self.native)
        # The cost is called before the gradient; what is reported of it is no fault of the gradient. Reverse mode
        # makes the forward pass once more.
        own = 1 if session.call.foreign is None else 2
        return [error for error in dict.fromkeys(both) if both.count(error) > own * cost.count(error)]

    @contextmanager
    def _recorded(self) -> Iterator[list[str]]:
        """The floating-point errors, without underflow, that are met."""
        found: list[str] = []
        foreign = self.bench.work.session.call.foreign
        watched = nullcontext() if foreign is None or foreign.floating is None else foreign.floating(found.append)
        with (
            watched,
            np.errstate(
                over="call", invalid="call", divide="call", under="ignore", call=lambda kind, _: found.append(kind)
            ),
        ):
            yield found

    def _clipping(self, piece: tuple[_Seen, _Seen], end: _Seen) -> Regime | None:
        """A largest element or a norm of the claim that is the same all the way beyond the onset."""
        middle = self.at((piece[1].share + end.share) / 2.0)
        if middle is None or end.share - piece[1].share < AT_ONCE:
            return None
        start = self._visit(0.0)
        if start is None:
            return None
        places = (piece[1].there, middle.there, end.there)
        names = [self.bench.work.session.tensors[i].name for i in self.tensors]
        claims = [{name: there.claims[name] for name in names if name in there.claims} for there in places]
        whole = [np.concatenate([c.reshape(-1) for c in there.claims.values()]) for there in places]
        if any(np.array_equal(a, b) for a, b in pairwise(whole)):
            return None
        share, bound = piece[1].share, NATIVE_BOUND if self.native else BOUND
        for name in claims[0]:
            tops = [float(np.max(np.abs(c[name]), initial=0.0)) for c in claims]
            before = float(np.max(np.abs(start.claims[name]), initial=0.0))
            if tops[0] == tops[1] == tops[2] and before < (1.0 - bound) * tops[0]:
                return Regime("clipping", share, f"no element of the gradient of {name} exceeds {tops[0]:g} beyond it")
        at_start = np.concatenate([c.reshape(-1) for c in start.claims.values()])
        for subject, first, parts in (
            *((f"the gradient of {name}", start.claims[name], [c[name] for c in claims]) for name in claims[0]),
            ("the whole gradient", at_start, whole),
        ):
            norms = [float(np.linalg.norm(part)) for part in parts]
            pinned = max(norms) - min(norms) <= bound * norms[0]
            if pinned and float(np.linalg.norm(first)) < (1.0 - bound) * norms[0]:
                return Regime("clipping", share, f"the norm of {subject} stays at {norms[0]:g} beyond it")
        return None

    def _kink_or_jump(self, piece: tuple[_Seen, _Seen], end: _Seen) -> Regime | None:
        """A kink of the cost in the piece, or a jump of the claim."""
        low, high = piece[0].share, piece[1].share
        kinked, jumped = self._kinks(low, high), self._jumps(low, high)
        if kinked:
            also = "" if jumped else ", and the claimed gradient does not jump there"
            return Regime("kink", high, f"the cost has a kink there{also}")
        if jumped:
            return Regime("branch", high, "the claimed gradient jumps there, and the cost has no kink")
        return None

    def _kinks(self, low: float, high: float) -> bool:
        """Whether the slope of the cost changes at one place of a piece far more than everywhere else."""
        direction = self.wrong - self.right
        session, meter = self.bench.work.session, self.bench.work.meter

        def changes(shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
            costs = np.array([float(session.evaluate(self.right + share * direction)) for share in shares])
            meter.spend(len(shares))
            slopes = np.diff(costs) / np.diff(shares)
            return np.abs(np.diff(slopes)), float(np.max(np.abs(costs)) + np.max(np.abs(slopes)))

        for _ in range(CLOSER):
            shares = np.linspace(low, high, GRID)
            change, size = changes(shares)
            if not np.all(np.isfinite(change)):
                return False
            at = int(np.argmax(change))
            # Of a smooth cost every interval's slope changes alike; rounding makes changes of its own.
            noise = ROUNDING * size / (shares[1] - shares[0])
            kinked = bool(change[at] > KINK * size + SMOOTH * float(np.median(change)) + noise)
            low, high = float(shares[at]), float(shares[at + 2])
        return kinked

    def _jumps(self, low: float, high: float) -> bool:
        """Whether the claim's change across a piece stays as the piece narrows."""
        names = [self.bench.work.session.tensors[i].name for i in self.tensors]

        @_remembered
        def claims(share: float) -> NDArray[Any]:
            there = self._visit(share)
            if there is None:
                return np.full(1, np.nan)
            return np.concatenate([there.claims[name].reshape(-1) for name in names if name in there.claims])

        def change(a: float, b: float) -> float:
            total = float(np.linalg.norm(claims(a)) + np.linalg.norm(claims(b)))
            return float(np.linalg.norm(claims(b) - claims(a))) / total if total else 0.0

        for _ in range(NARROWINGS):
            m = (low + high) / 2.0
            low, high = (low, m) if change(low, m) >= change(m, high) else (m, high)
        return change(low, high) > JUMP

    def _gradual(self, piece: tuple[_Seen, _Seen], end: _Seen) -> Regime | None:
        """A mismatch that comes without a jump: from a zero, beyond a threshold, or fading in."""
        share = piece[1].share
        if share <= AT_ONCE:
            return Regime("zero", share, "the mismatch is there as soon as the right stage is left")
        if share + BEYOND > 1.0:
            return None
        further = self.at(share + BEYOND)
        if further is None or further.left is None:
            return None
        if further.left > GROWN * self.floor:
            return Regime("branch", share, "there is no mismatch before it, and it grows from zero beyond it")
        claimed, measured, bar = self._along_the_claim(end.there)
        if claimed - measured > bar:
            return Regime("stabiliser", share, "the mismatch fades in, and the cost changes less than is claimed")
        return Regime("unknown", share, "the mismatch fades in without a threshold")

    def _along_the_claim(self, there: There) -> tuple[float, float, float]:
        """The slopes that are claimed and measured at the wrong end along the claim itself, and how far off the latter.

        Random lines would not do: a mismatch of 1% of a claim changes the mean square of a few of them by less than
        they differ from one another. Along the claim it shows in full: g . (g - reference) / |g|, each tensor in units
        of its scale.
        """
        session, meter = self.bench.work.session, self.bench.work.meter
        scales = default_scales([c.stats for c in there.place.claimed])
        claim, unit = np.zeros(self.wrong.shape), np.zeros(self.wrong.shape)
        for i in self.tensors:
            t = session.tensors[i]
            if t.name in there.claims:
                part = slice(t.offset, t.offset + t.size)
                kind = np.complex128 if t.complex else np.float64
                claim[part] = np.asarray(there.claims[t.name], dtype=kind).reshape(-1).view(np.float64)
                unit[part] = scales[i]
        size = float(np.linalg.norm(unit * claim))
        if not 0.0 < size < math.inf:
            return math.nan, math.nan, math.inf
        line = unit**2 * claim / size
        slopes = []
        for step in ALONG:
            above, below = (float(session.evaluate(self.wrong + side * step * line)) for side in (1.0, -1.0))
            meter.spend(2)
            slopes.append((above - below) / (2.0 * step))
        bars = [abs(b - a) for a, b in pairwise(slopes)]
        best = int(np.argmin(np.where(np.isfinite(bars), bars, math.inf)))
        return size, slopes[best + 1], bars[best]


def _remembered(function: Callable[[float], Any]) -> Callable[[float], Any]:
    known: dict[float, Any] = {}

    def wrapper(share: float) -> Any:
        if share not in known:
            known[share] = function(share)
        return known[share]

    return wrapper
