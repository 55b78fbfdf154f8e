"""Whether a check may run here and now, and whether somebody runs it again and again.

The decision behind it: gradient checking is for debugging. A check inside a training loop costs dozens of evaluations
at every step and says the same each time, so it is refused where training is declared (``training``), and noticed where
it is not: the same line, checking the same tensors at parameters that creep along, is a loop. Independent problems
checked from one line, as a test over many seeds does it, jump and do not creep, and are left alone. Where a framework
tells that an optimizer moved the same tensors in between, there is no doubt, and no need to wait.

What is asked here costs a few microseconds a check. States belong to the context of execution (``contextvars``), so
that training in one thread does not forbid a check in another.
"""

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import CheckCostWarning, CheckDuringTraining

#: So many checks from one line, at parameters that creep along, are a loop.
MANY = 20
#: So many are, where an optimizer took a step, and no more than a few, between each and the next. A few stages of
#: training, which are what checks are for, have many steps between them.
SURE, FEW = 3, 10
#: Parameters crept where they moved by less than this, relative, and at least this share of them: independent draws
#: are 0.7 apart, and variants of one problem share most of their numbers.
CREEPING, MOVING = 0.1, 0.3
#: Coordinates that are compared, spread over all.
COMPARED = 64
#: Lines that are remembered.
REMEMBERED = 256

#: What is told of a check that was asked for and is not to be made.
Listener = Callable[[Any, Any], None]

_training: ContextVar[int] = ContextVar("gradproof_training", default=0)
_exempt: ContextVar[bool] = ContextVar("gradproof_exempt", default=False)
_planned: ContextVar[bool] = ContextVar("gradproof_planned", default=False)
_listener: ContextVar[Listener | None] = ContextVar("gradproof_listener", default=None)


@contextmanager
def training() -> Iterator[None]:
    """Declares that training goes on inside: there, a check raises instead of slowing down every step.

    The callbacks of ``gradproof.callbacks`` are exempt, since they check at a few stated steps alone. May be nested,
    and may decorate a function. It holds for the thread (or task) that enters it.

    Raises:
        CheckDuringTraining: by each check inside.
    """
    _training.set(_training.get() + 1)
    try:
        yield
    finally:
        _training.set(_training.get() - 1)


@contextmanager
def exempt() -> Iterator[None]:
    """Checks inside are meant: they neither raise during training nor count as a loop."""
    before = _exempt.set(True)
    try:
        yield
    finally:
        _exempt.reset(before)


@contextmanager
def planned() -> Iterator[None]:
    """Checks inside were asked for one by one, and do not count as a loop."""
    before = _planned.set(True)
    try:
        yield
    finally:
        _planned.reset(before)


@contextmanager
def overhearing(listener: Listener) -> Iterator[None]:
    """Checks inside are not made; what they were asked for is told instead."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def overheard() -> Listener | None:
    """Who wants to be told of a check instead of having it made; None where it is to be made."""
    return _listener.get()


def switched_off() -> bool:
    """Whether the environment says that nothing is checked: ``GRADPROOF=off``."""
    return os.environ.get("GRADPROOF", "").strip().lower() == "off"


def demand_no_training() -> None:
    """Refuses a check inside ``training()``.

    Raises:
        CheckDuringTraining: training is declared and the check is not a callback's.
    """
    if _training.get() and not _exempt.get():
        raise CheckDuringTraining(
            "While training: `gradproof.check` should be called outside of `gradproof.training()`, but is called "
            "inside it, where it would cost dozens of evaluations of the cost at every step. Check before training "
            "and once more after some steps (gradproof.Stages), or let gradproof.callbacks.Loop check at a few stated "
            "steps; GRADPROOF=off switches all checks off."
        )


#: Where the parameters lie, and the steps that each optimizer has taken that holds any of them.
Moves = tuple[int, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class _Line:
    """What is remembered of a line that checks: of the last check, and of those before it that it goes on from."""

    calls: int
    since: float
    seconds: float
    parameters: NDArray[np.float64]
    moves: Moves | None = None
    stepped: int = 0
    warned: bool = False


#: File and number of the line, number of parameters, code of the cost.
_Key = tuple[str, int, int, Any]

_lines: dict[_Key, _Line] = {}


def count(
    cost: Callable[..., Any], parameters: NDArray[Any] | None, seconds: float, moves: Moves | None = None
) -> None:
    """Remembers that a check was made, and warns once where one line makes them again and again.

    Args:
        cost: whose gradient was checked; a loop may make it anew, but of the same code.
        parameters: their flat vector; None where there is none.
        seconds: what the check took.
        moves: where they lie and what optimizers did to them, as far as a framework tells.
    """
    if _exempt.get() or _planned.get():
        return
    frame = _caller()
    if frame is None:
        return
    code = getattr(cost, "__code__", type(cost))
    few = np.empty(0) if parameters is None else _some_of(parameters)
    key = (frame.f_code.co_filename, frame.f_lineno, 0 if parameters is None else parameters.size, code)
    now = time.perf_counter()
    last = _lines.get(key)
    stepped = last is not None and _stepped(last.moves, moves)
    still = last is not None and not stepped and np.array_equal(last.parameters, few)
    if last is None or not (stepped or still or _crept(last.parameters, few)):
        if last is None and len(_lines) >= REMEMBERED:
            _lines.clear()
        _lines[key] = _Line(1, now - seconds, seconds, few, moves)
        return
    steps = last.stepped + 1 if stepped else 0
    due = not still and not last.warned and (last.calls + 1 >= MANY or steps + 1 >= SURE)
    line = _Line(last.calls + (not still), last.since, last.seconds + seconds, few, moves, steps, last.warned or due)
    _lines[key] = line
    if due:
        _warn(key, line, now)


def _stepped(before: Moves | None, now: Moves | None) -> bool:
    """Whether an optimizer took a few steps with the same parameters in between.

    An address may be used again; of an optimizer that was not known before, nothing is said where another one was.
    """
    if before is None or now is None or not now[0] or before[0] != now[0]:
        return False
    known = before[1] or dict.fromkeys(now[1], 0)
    return any(0 < steps - known.get(number, steps) <= FEW for number, steps in now[1].items())


def _caller() -> Any:
    """The user's frame: the first one outside of the package."""
    frame: Any = sys._getframe(2)
    package = __name__.partition(".")[0]
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != package and not name.startswith(package + ".") and name != "contextlib":
            return frame
        frame = frame.f_back
    return None


def _some_of(parameters: NDArray[Any]) -> NDArray[np.float64]:
    return np.array(parameters[:: max(1, parameters.size // COMPARED)][:COMPARED], dtype=np.float64)


def _crept(before: NDArray[np.float64], now: NDArray[np.float64]) -> bool:
    if np.count_nonzero(now != before) < MOVING * now.size:
        return False
    return _norm(now - before) <= CREEPING * (_norm(before) + _norm(now))


def _norm(vector: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.vdot(vector, vector)))


def _warn(key: _Key, line: _Line, now: float) -> None:
    file, number, _, _ = key
    share = line.seconds / max(now - line.since, 1e-9)
    when = "with an optimizer's step before each further one" if line.stepped + 1 >= SURE else "while they changed"
    warnings.warn_explicit(
        f"{file}:{number} has checked the same parameters {line.calls} times {when}: "
        f"{1e3 * line.seconds / line.calls:.1f} ms a check, {min(share, 1.0):.0%} of the time since the first. "
        "Gradient checking is for debugging and not for every step of training: check at a few stages "
        "(gradproof.Stages, gradproof.callbacks), and declare training with `with gradproof.training():`.",
        CheckCostWarning,
        file,
        number,
    )
