"""What a check would cost, without making it.

The decision behind it: the plan takes what ``check`` takes, by asking ``check`` itself and listening, so that the two
cannot come apart. Numbers of evaluations were measured once over many problems; seconds come from evaluations of the
user's own cost, made the way the method makes them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from gradproof import _guard
from gradproof._adapters.numpy import Call, Session, open_session
from gradproof._check import check
from gradproof._errors import InputError
from gradproof._evaluation import Meter
from gradproof._pipeline.options import Options
from gradproof._pipeline.point import claims_at, stand_still
from gradproof._records import Direction, Expense, Part, Plan, Ray, Weighting

#: Evaluations of a whole check of a right gradient by probes: 5% and 95% of 495 checks of the benchmarks' networks and
#: smooth functions on seeds 200 to 210 (median 54; ReLU networks with zero biases, on kinks, up to 1,201).
PROBES = (38, 141)
#: Evaluations a parameter of the exhaustive method, 5% and 95% of 45 of these, and beside them.
COMPONENTWISE, AROUND = (4.1, 6.3), (0, 60)
#: Bytes a parameter, and at least, that the methods hold at their peak.
HELD = {"auto": (150, 60_000), "probe": (150, 60_000), "exhaustive": (2_300, 60_000), "classic": (70, 20_000)}
#: Seconds of a check by probes that do not depend on the cost.
OWN = 0.004
#: An evaluation that takes longer than this is not repeated to time what the checker adds to it.
LONG = 0.5


def plan(cost: Callable[..., Any], params: Any, grads: Any = None, **settings: Any) -> Plan:
    """States beforehand what a check would cost: evaluations, seconds and memory with each method.

    The cost is evaluated about a dozen times, and the claimed gradient once.

    Args:
        cost: as ``gradproof.check`` takes it.
        params: likewise; left unchanged.
        grads: likewise.
        **settings: further settings of ``gradproof.check``, such as ``data``, ``options``, ``only``.

    Returns:
        The plan; ``str()`` of it is a table. Seconds are for one process, whatever ``workers`` says.

    Raises:
        InputError: what was passed in cannot be checked.
        TypeError: ``check`` has no such setting.
    """
    found: list[Plan] = []
    with _guard.overhearing(lambda call, options: found.append(planned(call, options))):
        check(cost, params, grads, **settings)
    return found[0]


def plans(function: Callable[[], object]) -> Sequence[Plan]:
    """The plans of all checks that a function asks for, without making them.

    What the function does with the reports, which know nothing, is of no interest; an error after the first check is
    taken for a consequence of that.

    Raises:
        InputError: it asks for no check.
    """
    found: list[Plan] = []
    with _guard.overhearing(lambda call, options: found.append(planned(call, options))):
        try:
            function()
        except Exception:
            if not found:
                raise
    if not found:
        raise InputError.of(
            "planning", f"{getattr(function, '__name__', 'the case')}", "a function that calls gradproof.check",
            "one that calls none", "Call gradproof.check in it and return its report.",
        )  # fmt: skip
    return found


def planned(call: Call, options: Options) -> Plan:
    """The plan of a check that was asked for."""
    meter = Meter()
    session = open_session(call)
    with session.protected():
        began = time.perf_counter()
        still = stand_still(session, meter)
        evaluation = (time.perf_counter() - began) / meter.count
        session = still.session
        began = time.perf_counter()
        claims = claims_at(session, session.theta, meter, after_cost=True)
        gradient = time.perf_counter() - began if session.callable_grads else 0.0
        problem = session.problem(session.theta, claims, _nothing_held(session), still.cost)
        per_probe, per_element = evaluation, evaluation
        if session.tensors and session.theta.size and evaluation < LONG:
            parts = tuple(Part(i, 0.0) for i in range(len(session.tensors)))
            per_probe = max(evaluation, _timed(problem, Direction((1,), parts), meter))
            one = Part(0, 0.0, Weighting.UNIT, start=0, stop=1)
            per_element = max(evaluation, _timed(problem, Direction((1,), (one,)), meter))
    size = session.theta.size
    # The classic loop spends two evaluations a component, and what it looks at beforehand.
    exactly = 2 * size + (5 if still.random is not None else 3) + int(session.callable_grads)
    counts = {
        "auto": PROBES,
        "probe": PROBES,
        "exhaustive": tuple(int(k * size) + more for k, more in zip(COMPONENTWISE, AROUND, strict=True)),
        "classic": (exactly, exactly),
    }
    seconds = {"auto": per_probe, "probe": per_probe, "exhaustive": per_element, "classic": evaluation}
    methods = {}
    for name, (few, many) in counts.items():
        own = 2.0 * gradient + (OWN if name != "classic" else 0.0)
        each, least = HELD[name]
        methods[name] = Expense(
            (few, many), (own + few * seconds[name], own + many * seconds[name]), each * size + least
        )
    return Plan(
        sum(t.size // 2 if t.complex else t.size for t in session.tensors), len(session.tensors), evaluation, gradient,
        methods, meter.count, still.random or (),
    )  # fmt: skip


def _nothing_held(session: Session) -> Any:
    return session.theta != session.theta


def _timed(problem: Any, direction: Direction, meter: Meter) -> float:
    """Seconds of an evaluation along a line, with what the checker adds to it; steps of weight 0 go nowhere."""
    problem.lines([Ray(direction, (1.0,))])  # the direction is drawn once and kept, as in a check
    steps = (1.0, -1.0, 0.5)
    began = time.perf_counter()
    problem.lines([Ray(direction, steps)])
    meter.spend(1 + len(steps))
    return (time.perf_counter() - began) / len(steps)
