"""The point of a check: its cost, whether the cost stands still, what is claimed there, and how noisy the cost is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.claims import Claims
from gradproof._adapters.numpy import Session
from gradproof._evaluation import Evaluator, Mapper, Meter
from gradproof._numerics.noise import first_step
from gradproof._pipeline.options import AIM, WRONG_SHARE, Options
from gradproof._records import Noise, spacing
from gradproof._reference import Reference, take_pilot
from gradproof._verdict.judge import Aim, Seeds
from gradproof._verdict.settle import Claimed, part_of_pilot

#: Relative differences of repeated evaluations up to this are the order of summation, not randomness.
SUMMATION = 1e-13


@dataclass(frozen=True)
class Stillness:
    """Whether two evaluations at one point agree.

    Attributes:
        session: with randomness frozen, where there was any.
        cost: the cost at the point.
        spread: how far evaluations still differ.
        random: names of the sources the cost draws from; None where it draws from none.
    """

    session: Session
    cost: Any
    spread: float
    random: tuple[str, ...] | None


@dataclass(frozen=True)
class Place0:
    """A point made ready for probes in one precision.

    Attributes:
        reference: measures slopes there.
        claims: the claimed gradient.
        claimed: norms and aims by tensor.
        fixed: coordinates that stay where they are.
        theta: the point.
    """

    reference: Reference
    claims: Claims
    claimed: tuple[Claimed, ...]
    fixed: NDArray[np.bool_]
    theta: NDArray[Any]


def stand_still(session: Session, meter: Meter) -> Stillness:
    """Evaluates the cost three times; where that differs, freezes the random state and looks again."""
    meter.afford(3)
    values = [session.at_point(session.theta) for _ in range(3)]
    meter.spend(3)
    spread = _spread(values)
    names = tuple(session.start.moved())
    # A source that moved was drawn from, even where the values happen to agree (few units of which few are dropped).
    if spread == 0.0 and not (names and session.callable_grads):
        return Stillness(session, values[0], 0.0, None)
    frozen = session.freeze()
    meter.afford(2)
    again = [frozen.at_point(frozen.theta) for _ in range(2)]
    meter.spend(2)
    if _spread(again) <= SUMMATION * abs(float(again[0])):
        if not names and spread <= SUMMATION * abs(float(values[0])):
            return Stillness(session, values[0], spread, None)
        return Stillness(frozen, again[0], _spread(again), names)
    return Stillness(session, values[0], max(spread, _spread(again)), None)


def _spread(values: Sequence[Any]) -> float:
    return float(max(values) - min(values))


def claims_at(
    session: Session, theta: NDArray[Any], meter: Meter, *, native: bool = False, after_cost: bool = False
) -> Claims:
    """The claimed gradient at a point; the cost is called before a function that computes it, and that counts.

    Args:
        session: the call.
        theta: the point.
        meter: counts.
        native: whether the functions are given the user's own dtypes.
        after_cost: whether the cost was evaluated right there and just now.
    """
    calls = int(session.callable_grads and not (after_cost and session.call.grads is not True))
    meter.afford(calls)
    found = session.claims(theta, native=native, after_cost=after_cost)
    meter.spend(calls)
    return found


def aims(session: Session, claims: Claims, options: Options) -> list[Aim]:
    """What each tensor's verdict is held against."""
    found = [aim_of(t.name, claims.formats.get(t.name, "float64"), options) for t in session.tensors]
    found = [*map({aim: aim for aim in found}.__getitem__, found)]  # equal ones are compared and looked up all the time
    inside = "" if session.call.foreign is None else session.call.foreign.inside
    if not inside:
        return found
    # What is computed from numbers of less precision is off by as much as they round, and that is no mistake.
    rounded = [options.tolerance_of(t.name, inside) for t in session.tensors]
    return [replace(aim, wrong=max(aim.wrong, far)) for aim, far in zip(found, rounded, strict=True)]


def aim_of(name: str, claimed: str, options: Options) -> Aim:
    """What one tensor's verdict is held against, given the format of its claim."""
    tolerance = options.tolerance_of(name, claimed)
    fine = spacing(claimed) < 1e-15
    aim = min(AIM, tolerance) if fine else tolerance / 10.0
    return Aim(tolerance, tolerance * WRONG_SHARE if fine else tolerance, aim)


def prepare(
    still: Stillness,
    theta: NDArray[Any],
    claims: Claims,
    options: Options,
    tools: tuple[Meter, Mapper | None],
    fixed: NDArray[np.bool_] | None = None,
) -> Place0:
    """Makes a point ready: lines through it, norms, and the cost's noise."""
    session = still.session
    held = ~np.isfinite(theta) if fixed is None else fixed
    cost = still.cost
    if theta is not session.theta:
        tools[0].afford(1)
        cost = session.at_point(theta)
        tools[0].spend(1)
    problem = session.problem(theta, claims, held, cost)
    spread_out = None if session.frozen is not None or session.caller.live else tools[1]
    evaluator = Evaluator(problem, tools[0], spread_out)
    roundoff = [spacing(claims.formats.get(t.name, "float64")) / 2.0 for t in session.tensors]
    aim = aims(session, claims, options)
    known = tuple(Claimed(problem.stats(i), aim[i], roundoff[i]) for i in range(len(session.tensors)))
    return Place0(
        Reference(evaluator, noise_at(evaluator, known, cost, still.spread, options)), claims, known, held, theta
    )


def noise_at(evaluator: Evaluator, known: Sequence[Claimed], cost: Any, spread: float, options: Options) -> Noise:
    """The cost's noise at a point, at least how far evaluations at one point differ."""
    parts = part_of_pilot(known)
    # The first numbers of the probes serve for the pilot as well, which looks at high differences and not at slopes.
    seed = Seeds(options.seed + 1).first(1)[0]
    still_air = Noise(0.0, evaluator.problem.epsilon, 1.0, cost)
    noise = take_pilot(evaluator, parts, seed, cost) if parts else still_air
    if spread > noise.sigma:
        noise = replace(noise, sigma=spread, step=_noisy_step(spread, float(cost), noise.step))
    return noise


def _noisy_step(spread: float, cost: float, step: float) -> float:
    return max(step, first_step(min(1e-3, spread / (abs(cost) or 1.0))))
