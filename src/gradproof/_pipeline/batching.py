"""How many parameter sets a cost should be given at once, where it can be given several.

The decision behind it: it is measured on the cost itself. A larger chunk saves calls until it no longer fits the
processor's caches; beyond that it is slower than none.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from gradproof._adapters.numpy import Session
from gradproof._errors import InputError
from gradproof._evaluation import Meter
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import Stillness

#: Chunk sizes tried, in order. Probes ask for four steps at a time, so more only serves the exhaustive method.
PROBING, EVERYTHING = (1, 4), (1, 4, 16, 64, 256)
#: Most bytes of a chunk of parameters.
MEMORY = 1 << 28
#: A larger chunk must be faster per set by this much to be taken.
GAIN = 0.9
#: Evaluations that every component takes, about, and the share of them that may go into choosing a chunk.
EACH, SHARE = 4, 0.1
#: Points at which a cost of many sets is held against that of one, and how far they lie apart, relative.
POINTS, APART = 4, 1e-2
#: The two may differ by rounding, relative to the cost, and by this share of what the points differ by.
ROUNDING, ALIKE = 1e-12, 1e-9


def together(session: Session, options: Options, meter: Meter) -> Session:
    """The session with the chunk size that was fastest per parameter set.

    Raises:
        InputError: the cost's results cannot be told apart by parameter set.
    """
    if session.caller.live or session.caller.paired:
        raise InputError.of(
            "setting up a vectorised check", "`cost`", "a function of the parameters returning one cost for each set",
            "one that reads live arrays or returns a pair", "Drop vectorized=True, or pass cost and grads separately.",
        )  # fmt: skip
    tried = EVERYTHING if options.method == "exhaustive" else PROBING
    return replace(session, rows=_fastest(session, tried, meter)[0])


def many_at_once(still: Stillness, options: Options, meter: Meter) -> Stillness:
    """The point with a cost that takes many parameter sets at once, where the framework makes one that pays.

    It must be the same function, and take less time a set than the cost of one. What differences are formed of is then
    evaluated in this way throughout, as sums may be added up in another order.

    Args:
        still: the point with the cost of one set.
        options: the choices of the check.
        meter: counts.
    """
    session = still.session
    foreign = session.call.foreign
    if (
        foreign is None
        or foreign.together is None
        or session.rows
        or session.frozen is not None
        or session.kept is not None
        or session.caller.domains
        or still.spread
    ):
        return still
    spare = SHARE * EACH * session.theta.size - 4 * POINTS
    chunks = [rows for i, rows in enumerate(EVERYTHING) if 2 * sum(EVERYTHING[: i + 1]) <= spare]
    if not chunks:
        return still
    many = replace(session, caller=replace(session.caller, cost=foreign.together), rows=POINTS)
    rng = np.random.default_rng([options.seed, 19])
    theta = session.theta
    scale = float(np.sqrt(np.mean(theta**2))) or 1.0  # zeros are moved as well, or a rule may be wrong unseen
    points = theta + APART * np.where(theta, theta, scale) * rng.standard_normal((POINTS, theta.size))
    meter.afford(2 * POINTS)
    one_by_one = np.array([session.evaluate(point.copy()) for point in points], dtype=np.float64)
    at_once = many.evaluate_many(points.copy())
    meter.spend(2 * POINTS)
    allowed = ROUNDING * np.max(np.abs(one_by_one)) + ALIKE * np.ptp(one_by_one)
    if not np.all(np.abs(at_once - one_by_one) <= allowed):  # nor where either is not finite, or it raises
        return still
    alone = min(_timed(partial(session.at_point, theta)) for _ in range(2))
    meter.spend(2)
    try:
        rows, fastest = _fastest(many, chunks, meter)
    except Exception:  # whatever a framework raises for large chunks
        return still
    if fastest > GAIN * alone:
        return still
    chosen = replace(many, rows=rows)
    cost = chosen.at_point(theta)
    meter.spend(rows)
    return replace(still, session=chosen, cost=cost)


def _fastest(session: Session, chunks: Sequence[int], meter: Meter) -> tuple[int, float]:
    """The chunk size that was fastest per parameter set, and its seconds a set."""
    best, fastest = 1, float("inf")
    given = sum(getattr(array, "nbytes", 0) for array in (session.call.batch.arrays if session.call.batch else ()))
    most = max(1, MEMORY // (8 * max(1, session.theta.size) + given))
    for rows in chunks:
        if rows > most or rows > max(4, 4 * session.theta.size):
            break
        tried = replace(session, rows=rows)
        meter.afford(2 * rows)
        seconds = min(_timed(partial(tried.at_point, tried.theta)) for _ in range(2))
        meter.spend(2 * rows)
        if seconds / rows > GAIN * fastest:
            break
        best, fastest = rows, seconds / rows
    return best, fastest


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
