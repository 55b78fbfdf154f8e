"""Coordinates that a check must not move freely: on a jump of the cost, or at the edge of its domain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from gradproof._adapters.numpy import Session
from gradproof._errors import InputError
from gradproof._evaluation import Mapper, Meter
from gradproof._localisation.points import Search, from_inside, jumps, leaves_domain, named
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Place0, Stillness, prepare
from gradproof._records import Direction
from gradproof._reference import Reference
from gradproof._verdict.judge import Outcome, default_scales
from gradproof._verdict.settle import Claimed


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
    infinite = place.fixed & ~np.isfinite(place.theta.astype(np.float64))
    if infinite.any():
        work.notes.append(f"{int(infinite.sum())} parameters are not finite; they were left where they are.")
    noise = place.reference.noise
    if not noise.finite or noise.narrowed:
        place, search, domain = _held(work, place, leaves_domain)
    if place.reference.noise.jump:
        # The domain's search stays: in this one the coordinates at its edge stand still already.
        place, _, jump = _held(work, place, jumps)
    return place, Edges(jump, domain, search)


def _held(
    work: Work, place: Place0, shows: Callable[[Search, Direction], bool]
) -> tuple[Place0, Search, dict[int, list[int] | None]]:
    scales = default_scales([c.stats for c in place.claimed])
    search = Search(place.reference, scales, 104_729 + work.options.seed, place.reference.noise)
    found = search.coordinates(shows)
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
) -> None:
    """Lets the coordinates that were held still have their say in the verdicts of their tensors."""
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
        said = _from_inside(place, edges.search, (i, coordinates), outcomes, remarks)
        notes += [said] if said else []


def _from_inside(
    place: Judged,
    search: Search,
    where: tuple[int, list[int]],
    outcomes: dict[int, Outcome],
    remarks: dict[int, str],
) -> str:
    """Measures what lies at the domain's edge from the inside; returns what a reader should know of it."""
    i, coordinates = where
    problem = place.reference.evaluator.problem
    tensor, known = problem.tensors[i], place.claimed[i]
    theta, claim = (np.ascontiguousarray(array).reshape(-1).view(np.float64) for array in problem.pull(i))
    size = float(np.linalg.norm(claim)) or 1.0
    low = high = off = measured = 0.0
    for c in coordinates:
        own = abs(float(theta[c]))
        mismatch, bar = from_inside(search, i, c, own, 0.1 * known.aim.aim * size)
        if not np.isfinite(bar):
            raise InputError.of(
                "stepping away from the given parameters", named(problem, i, [c]),
                "movable to at least one side", "at a point where the cost raises or is not finite on both sides",
                f"Move it into the cost's domain, or leave {tensor.name} out with exclude=.",
            )  # fmt: skip
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
        outcomes[i] = replace(outcome, status="wrong", low=max(low, outcome.low), high=both)
        remarks[i] = f"wrong at {what}, measured from inside the cost's domain"
    elif outcome.status == "correct" and high / 2.0 > known.aim.tolerance:
        outcomes[i] = replace(outcome, status="undecided", reason="domain", high=both)
        remarks[i] = f"{what} lies at the edge of the cost's domain and could not be measured well enough"
    else:
        outcomes[i] = replace(outcome, high=both)
        if outcome.status == "correct":
            remarks.setdefault(i, f"{what} measured from inside the cost's domain")
        return f"{what} lies at the edge of the cost's domain; measured from inside it."
    return ""
