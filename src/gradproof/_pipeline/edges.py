"""Coordinates that a check must not move freely: on a jump of the cost, or at the edge of its domain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._errors import InputError
from gradproof._evaluation import BudgetExhaustedError, Mapper, Meter
from gradproof._localisation.points import MOST, Search, from_inside, jumps, leaves_domain, named
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, Stillness, claims_at, prepare
from gradproof._records import Direction, Finding, Place, Tensor
from gradproof._reference import Reference
from gradproof._verdict.judge import Outcome, default_scales
from gradproof._verdict.settle import Claimed

#: How far inside its bounds a point is judged of which much lies on them, relative to its size.
INSIDE = 1e-2
#: How far a coordinate goes, relative to its size, to see what the cost raises there.
TRIED = 1e-6
#: Coordinates count as wrong that are off by at least this share of the worst of them.
WRONG_BESIDE = 1e-6


@dataclass
class Work:
    """One check in progress."""

    session: Session
    options: Options
    meter: Meter
    spread: Mapper | None
    still: Stillness
    notes: list[str]

    @property
    def tools(self) -> tuple[Meter, Mapper | None]:
        """What evaluates."""
        return self.meter, self.spread


@dataclass(frozen=True)
class Edges:
    """Coordinates that were held still, by tensor.

    Attributes:
        jump: those on which the cost jumps; None for a tensor with too many.
        domain: those that leave the domain; None likewise.
        search: how those at the domain's edge were found.
    """

    jump: dict[int, list[int] | None]
    domain: dict[int, list[int] | None]
    search: Search | None


def hold_still(work: Work, place: Place0) -> tuple[Place0, Edges]:
    """Finds and holds the coordinates that spoil every probe, if there are any."""
    jump: dict[int, list[int] | None] = {}
    domain: dict[int, list[int] | None] = {}
    search: Search | None = None
    infinite = place.fixed.any() and place.fixed & ~np.isfinite(place.theta.astype(np.float64))
    if np.any(infinite):
        work.notes.append(f"{np.count_nonzero(infinite)} parameters are not finite; they were left where they are.")
    bound = work.session.on_bounds(place.theta)
    if bound:
        place, search, domain = _on_bounds(work, place, bound)
    noise = place.reference.noise
    if not noise.finite or noise.narrowed:
        place, again, more = _held(work, place, leaves_domain)
        search, domain = again, {**domain, **_joined(domain, more)}
    if place.reference.noise.jump:
        # The domain's search stays: in this one the coordinates at its edge stand still already.
        place, _, jump = _held(work, place, jumps)
    return place, Edges(jump, domain, search)


def _joined(
    known: Mapping[int, list[int] | None], more: Mapping[int, list[int] | None]
) -> dict[int, list[int] | None]:  # fmt: skip
    """Coordinates found in two ways together; None where there are too many."""
    found: dict[int, list[int] | None] = {}
    for i, coordinates in more.items():
        before = known.get(i, [])
        found[i] = None if coordinates is None or before is None else sorted({*before, *coordinates})
    return found


def _on_bounds(
    work: Work, place: Place0, bound: dict[int, list[int]]
) -> tuple[Place0, Search | None, dict[int, list[int] | None]]:  # fmt: skip
    """Holds what lies on a bound; where that is much, the point is moved inside if the claim can be computed there."""
    session = work.session
    if max(map(len, bound.values())) > MOST and session.callable_grads and not session.caller.live:
        theta = session.further_in(place.theta, INSIDE)
        try:
            claims = claims_at(session, theta, work.meter)
            place = prepare(work.still, theta, claims, work.options, work.tools, place.fixed)
        except BudgetExhaustedError:
            raise
        except Exception:  # the gradient may have no value there
            return _hold(work, place, dict(bound))
        names = ", ".join(session.tensors[i].name for i in bound)
        work.notes.append(
            f"Much of {names} lies on its bounds; judged at a point moved inside by {INSIDE:.0%} of its size."
        )
        return place, None, {}
    return _hold(work, place, dict(bound))


def _held(
    work: Work, place: Place0, shows: Callable[[Search, Direction], bool]
) -> tuple[Place0, Search, dict[int, list[int] | None]]:
    scales = default_scales([c.stats for c in place.claimed])
    search = Search(place.reference, scales, 104_729 + work.options.seed, place.reference.noise)
    return _hold(work, place, search.coordinates(shows))


def _hold(
    work: Work, place: Place0, found: dict[int, list[int] | None]
) -> tuple[Place0, Search, dict[int, list[int] | None]]:  # fmt: skip
    """The point with some coordinates held where they are."""
    scales = default_scales([c.stats for c in place.claimed])
    search = Search(place.reference, scales, 104_729 + work.options.seed, place.reference.noise)
    fixed = place.fixed.copy()
    for i, coordinates in found.items():
        offset, size = work.session.tensors[i].offset, work.session.tensors[i].size
        for c in range(size) if coordinates is None else coordinates:
            fixed[offset + c] = True
    if not found:
        return place, search, found
    again = prepare(work.still, place.theta, place.claims, work.options, work.tools, fixed)
    noise = again.reference.noise
    return again, replace(search, noise=noise, reference=replace(search.reference, noise=noise)), found


def raised_beside(work: Work, place: Place0, edges: Edges) -> Exception | None:
    """What the cost raises where the coordinates that left its domain are moved a little; None where it raises nothing.

    Costs beside the point are numbers or NaN; only whoever cannot go on asks once more for what was raised.
    """
    session = work.session
    scales = default_scales([c.stats for c in place.claimed])
    for i, coordinates in edges.domain.items():
        at = session.tensors[i].offset + (coordinates or [0])[0]
        for side in (TRIED, -TRIED):
            theta = place.theta.copy()
            theta[at] += side * (abs(float(theta[at])) or scales[i])
            try:
                with np.errstate(all="ignore"):
                    session.caller.call(session.call.cost, theta)
            except Exception as error:
                return error
    return None


class Judged(Protocol):
    """A point at which tensors were judged."""

    @property
    def reference(self) -> Reference:
        """Measures slopes there."""

    @property
    def claimed(self) -> Sequence[Claimed]:
        """Norms and aims by tensor."""


def apply_edges(
    place: Judged, edges: Edges, outcomes: dict[int, Outcome], remarks: dict[int, str], notes: list[str]
) -> dict[int, Finding]:
    """Lets the coordinates that were held still have their say in the verdicts of their tensors.

    Returns:
        What is wrong with tensors that are wrong at such coordinates alone.
    """
    findings: dict[int, Finding] = {}
    problem = place.reference.evaluator.problem
    for i, coordinates in edges.jump.items():
        what = "too many elements to name" if coordinates is None else named(problem, i, coordinates)
        if i in outcomes and outcomes[i].status != "wrong":
            outcomes[i] = replace(outcomes[i], status="undecided", reason="jump")
            remarks[i] = f"the cost jumps exactly at {what}; the other elements were judged"
    for i, coordinates in edges.domain.items():
        if i not in outcomes or edges.search is None:
            continue
        if coordinates is None:
            outcomes[i] = replace(outcomes[i], status="undecided", reason="domain")
            continue
        said, finding = _from_inside(place, edges.search, (i, coordinates), outcomes, remarks)
        notes += [said] if said else []
        if finding is not None:
            findings[i] = finding
    return findings


def _from_inside(
    place: Judged,
    search: Search,
    where: tuple[int, list[int]],
    outcomes: dict[int, Outcome],
    remarks: dict[int, str],
) -> tuple[str, Finding | None]:
    """Measures what lies at the domain's edge from the inside.

    Returns:
        What a reader should know of it, and what is wrong there if nothing was wrong elsewhere.
    """
    i, coordinates = where
    problem = place.reference.evaluator.problem
    tensor, known = problem.tensors[i], place.claimed[i]
    theta, claim = (np.ascontiguousarray(array).reshape(-1).view(np.float64) for array in problem.pull(i))
    size = float(np.linalg.norm(claim)) or 1.0
    low = high = off = measured = 0.0
    seen: list[tuple[int, float, float]] = []
    for c in coordinates:
        own = abs(float(theta[c]))
        mismatch, bar = from_inside(search, i, c, own, 0.1 * known.aim.aim * size)
        if not np.isfinite(bar):
            raise InputError.of(
                "stepping away from the given parameters", named(problem, i, [c]),
                "movable to at least one side", "at a point where the cost raises or is not finite on both sides",
                f"Move it into the cost's domain, or leave {tensor.name} out with exclude=.",
            )  # fmt: skip
        seen.append((c, mismatch, bar))
        low, high = low + max(0.0, abs(mismatch) - bar) ** 2, high + (abs(mismatch) + bar) ** 2
        off, measured = off + mismatch**2, measured + (float(claim[c]) - mismatch) ** 2
    low, high, off, measured = (square**0.5 / size for square in (low, high, off, measured))
    what = named(problem, i, coordinates)
    # The probes counted in units of what is claimed of the coordinates that they moved; here it is of the whole tensor.
    share = (1.0 if outcomes[i].absolute else known.stats.claim) / size
    outcome = replace(
        outcomes[i], low=outcomes[i].low * share, high=outcomes[i].high * share, absolute=False,
        estimate=float(np.hypot(outcomes[i].estimate * share, off)),
        reference=float(np.hypot(outcomes[i].reference * share, measured)),
    )  # fmt: skip
    both = float(np.hypot(high, outcome.high))
    if low / (2.0 + low) > known.aim.wrong:
        before = outcomes[i].status
        outcomes[i] = replace(outcome, status="wrong", low=max(low, outcome.low), high=both)
        remarks[i] = f"wrong at {what}, measured from inside the cost's domain"
        if before != "wrong":
            return "", _wrong_there(problem.tensors[i], seen, claim, partial(named, problem, i))
    elif outcome.status == "correct" and high / 2.0 > known.aim.tolerance:
        outcomes[i] = replace(outcome, status="undecided", reason="domain", high=both)
        remarks[i] = f"{what} lies at the edge of the cost's domain and could not be measured well enough"
    else:
        outcomes[i] = replace(outcome, high=both)
        if outcome.status == "correct":
            remarks.setdefault(i, f"{what} measured from inside the cost's domain")
        return f"{what} lies at the edge of the cost's domain; measured from inside it.", None
    return "", None


def _wrong_there(
    tensor: Tensor, seen: Sequence[tuple[int, float, float]], claim: NDArray[Any], said: Callable[[list[int]], str]
) -> Finding:  # fmt: skip
    """What is wrong at coordinates at the edge of the domain.

    Args:
        tensor: the tensor.
        seen: (coordinate, claimed - measured, error bar).
        claim: the claimed gradient.
        said: names coordinates.
    """
    sure = {c: abs(mismatch) - bar for c, mismatch, bar in seen}
    wrong = [c for c in sure if sure[c] > WRONG_BESIDE * max(sure.values())]
    worst = max(seen, key=lambda one: abs(one[1]) - one[2])
    value = float(claim.reshape(-1)[worst[0]])
    mask = np.zeros(tensor.size, dtype=bool)
    mask[wrong] = True
    shaped = np.logical_or(mask[::2], mask[1::2]) if tensor.complex else mask
    place = said(wrong)
    return Finding(
        "region", "error", (tensor.name,), Place(place, {tensor.name: shaped.reshape(tensor.shape)}),
        f"The gradient of {tensor.name} is wrong at the edge of where it may go, at {place}: claimed of "
        f"{said([worst[0]])} is {value:.6g}, measured from inside {value - worst[1]:.6g}.",
        "Look at what is done for values on a bound: the gradient there is that of the cost, and not a projected one.",
        "at the edge",
    )  # fmt: skip
