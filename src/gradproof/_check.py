"""The check, from what the user passed in to the report.

The decision behind it: the function below reads like the picture of the house. It holds no numerics and no text layout;
each line hands what it has to a room and takes a record back.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradproof import _guard
from gradproof._adapters.batch import read_batch
from gradproof._adapters.numpy import Call, Session, chosen_names, open_session
from gradproof._adapters.translating import data_in_numpy, in_numpy
from gradproof._errors import InputError
from gradproof._evaluation import BudgetExhaustedError, Mapper, Meter, load_by_path, loaded_by_path, mapper
from gradproof._pipeline.checklist import checklist, unanswered
from gradproof._pipeline.options import (
    Options,
    read_budget,
    read_dropout,
    read_options,
    read_patterns,
    read_seed,
    read_terms,
    read_tolerance,
    read_vary,
)
from gradproof._pipeline.probing import probing
from gradproof._pipeline.progress import Progress, read_progress
from gradproof._pipeline.reporting import OUT_OF_BUDGET, Found, not_made, nothing, report_of
from gradproof._records import Finding, Report
from gradproof._tree import Structure


def check(
    cost: Callable[..., Any],
    params: Any,
    grads: Any = None,
    *,
    args: Sequence[Any] = (),
    data: Any = None,
    examples_axis: int | None = None,
    options: Mapping[str, Any] | None = None,
    vary: Sequence[str] | None = None,
    terms: Mapping[str, Callable[..., Any]] | None = None,
    dropout: str | None = None,
    tolerance: float | Mapping[str, float] | None = None,
    method: str | None = None,
    budget: int | str | None = None,
    seed: int | None = None,
    workers: Any = None,
    vectorized: bool = False,
    has_aux: bool = False,
    conjugate: bool = False,
    bounds: Any = None,
    domain: Any = None,
    only: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    progress: Callable[[int], object] | bool | None = None,
) -> Report:
    """Judges a claimed gradient of a cost.

    ``tolerance``, ``method``, ``budget``, ``seed`` and ``workers`` that are left at None take the command line's flag,
    the environment variable (``GRADPROOF_SEED``), the table ``[tool.gradproof]`` where cases are run, or the default.

    Args:
        cost: ``cost(params, *args, *data, **options) -> float``; a 0-d array or one-element array will do. With
            ``grads=True`` it returns ``(cost, grads)``, with ``has_aux=True`` ``(cost, anything)``. A cost that takes
            no argument reads live arrays: ``params`` are those arrays, written in place and restored bit for bit.
        params: a float array, or any nesting of dicts, lists, tuples, named tuples and dataclasses of float arrays of
            any shape and float or complex dtype; Python floats count. Left unchanged. A flat list of numbers whose
            gradient is a vector is read as one, as SciPy does.
        grads: the claimed gradient in the same nesting, a callable ``(params, *args, *data, **options) -> nesting``,
            or True. ``dW1`` pairs with ``W1``. Complex: dcost/dRe + i dcost/dIm, or its conjugate with
            ``conjugate=True``; for arrays of JAX its conjugate, as ``jax.grad`` gives it. Left out, it is what reverse
            mode says of tensors or arrays of JAX.
        args: positional arguments passed on, never varied.
        data: the batch: a tuple of arrays (or one array), passed on after ``args``. Given, a wrong gradient is also
            looked at with one example, and with each example twice, to name its cause.
        examples_axis: the axis of the data along which examples are counted; where left out, the one along which all
            data arrays have one length.
        options: keyword arguments for both functions.
        vary: names of options that are numbers and may be varied to name a cause; default ``lambd``, ``lambda_``,
            ``alpha``, ``weight_decay``, ``l2``, ``keep_prob`` and ``p``, where they are among the options.
        terms: name to cost term, functions with the signature of the cost that add up to it; the report then says
            which term's derivative is wrong.
        dropout: what to do about random numbers: ``"freeze"`` (one pattern for the whole check, the default), ``"off"``
            (keep_prob = 1 and dropped shares = 0, the course notes' way), ``"refuse"`` (an error that names where the
            cost draws from). After the check everything is as before.
        tolerance: the relative difference per tensor that must never pass, or a mapping of name patterns to such
            numbers. Default 1e-5 for float64 claims, 1e-3 for float32, 2e-2 for float16.
        method: ``"auto"`` (probes, then the elements of small wrong tensors), ``"probe"`` (probes alone),
            ``"exhaustive"`` (every component with its error bar), ``"classic"`` (the course notes' arithmetic).
        budget: most cost evaluations, or seconds as ``"30s"``.
        seed: of the random directions; default 0.
        workers: a number of processes, a map-like callable or a ``concurrent.futures.Executor``.
        vectorized: whether the cost accepts a leading axis of parameter sets and returns one cost each.
        has_aux: whether the cost returns ``(cost, anything)``.
        conjugate: whether the claim for complex NumPy arrays is dcost/dRe - i dcost/dIm.
        bounds: no step leaves them: a ``scipy.optimize.Bounds``, a pair (low, high) of numbers or arrays, or a list of
            pairs, None for no bound; a mapping of tensor names to such where there are several tensors. What lies on
            a bound is measured from inside.
        domain: ``"positive"``, ``"simplex"``, ``"symmetric"``, ``"positive definite"``, or a function that says whether
            an array lies within; a mapping of tensor names to such where there are several. No step leaves it; of a
            symmetric matrix, or a point of the simplex, the gradient along the set is judged.
        only: patterns of tensor names to check; one that matches no tensor is refused.
        exclude: patterns of tensor names to leave alone; one that matches no tensor is refused.
        progress: called with the number of evaluations so far; True writes it to a terminal or below a notebook's
            cell, and takes it away at the end.

    Returns:
        The report; ``bool(report)`` is whether the gradient was proven correct.

    Raises:
        InputError: what was passed in cannot be checked. What the cost raises at the given parameters goes through.
        CheckDuringTraining: it was called inside ``gradproof.training()``.
    """
    settings = read_settings(tolerance, method, budget, seed, workers, progress, dropout, vectorized=vectorized)
    batch = read_batch(data_in_numpy(data), examples_axis)
    call = Call(
        cost, params, grads, (*args, *(batch.arrays if batch else ())), read_options(options), has_aux,
        read_patterns("only", only), read_patterns("exclude", exclude), batch, read_vary(vary, options or {}),
        read_terms(terms), allowed=_allowed(bounds, domain, vectorized=vectorized), conjugate=conjugate,
    )  # fmt: skip
    as_passed = () if data is None else data if isinstance(data, tuple | list) else (data,)
    report = judged(lambda: in_numpy(_with_vector(call), as_passed, settings.options.method), settings)
    from gradproof._pipeline.origin import origin  # loaded with the first check, like the settings

    return replace(report, origin=origin(cost, grads))


@dataclass(frozen=True)
class Settings:
    """How a check is done, apart from what is checked.

    Attributes:
        options: the choices of the check.
        meter: counts evaluations and says when the budget is spent.
        workers: as the user passed them.
        began: when the check began.
        told: where the meter tells how far the check is.
    """

    options: Options
    meter: Meter
    workers: Any = None
    told: Progress = field(default_factory=lambda: read_progress(None))
    began: float = field(default_factory=time.perf_counter)

    def elapsed(self) -> float:
        """Seconds since the settings were read."""
        return time.perf_counter() - self.began


def _with_vector(call: Call) -> Call:
    if type(call.params) not in (list, tuple):
        return call
    from gradproof._adapters.vectors import with_vector  # SciPy's users pass lists, others hardly ever

    return with_vector(call)


def _allowed(bounds: Any, domain: Any, *, vectorized: bool = False) -> Callable[[Structure], Any] | None:
    if bounds is None and domain is None:
        return None
    if vectorized:
        raise InputError.of("reading bounds and domains", "`vectorized`", "False, as sets of parameters leave the "
                            "bounds one by one", "True", "Leave it out.")  # fmt: skip
    from gradproof._adapters.domains import Allowed  # hardly any check has them

    return Allowed(bounds, domain)


def read_settings(
    tolerance: Any,
    method: Any,
    budget: Any,
    seed: Any,
    workers: Any,
    progress: Any,
    dropout: Any = None,
    *,
    vectorized: bool = False,
) -> Settings:
    """Reads what every public function takes, from the settings where it was left out.

    Raises:
        InputError: something is not of the form it must have.
    """
    from gradproof._settings import setting

    options = Options(
        _method(setting("method", method)),
        read_tolerance(setting("tolerance", tolerance)),
        read_seed(setting("seed", seed)),
        vectorized,
        read_dropout(dropout),
    )
    evaluations, seconds = read_budget(setting("budget", budget))
    told = read_progress(progress)
    return Settings(options, Meter(evaluations, seconds, told.tell), setting("workers", workers), told)


def is_made() -> bool:
    """Whether checks are made here and now, and not switched off or only asked about."""
    return _guard.overheard() is None and not _guard.switched_off()


def judged(opened: Callable[[], Call], settings: Settings) -> Report:
    """The report on a call, which is made only if checks are not switched off.

    Raises:
        InputError: what was passed in cannot be checked.
        CheckDuringTraining: it was called inside ``gradproof.training()``.
    """
    began = time.perf_counter()
    chosen, meter = settings.options, settings.meter
    listener = _guard.overheard()
    if listener is not None:
        listener(_as_it_is_checked(opened(), chosen)[0], chosen)
        return not_made(chosen, "Nothing was checked: this check was only asked about.", unanswered())
    if _guard.switched_off():
        return not_made(chosen, "Nothing was checked: the environment variable GRADPROOF is off.", unanswered())
    _guard.demand_no_training()
    call, note = _as_it_is_checked(opened(), chosen)
    if call.foreign is not None and call.foreign.resident is not None:
        with settings.told:
            found = _where_it_lives(call, chosen, meter)
            answers = checklist(found, chosen, meter)
        seconds = time.perf_counter() - began
        _count(call, None, seconds)
        return report_of(found, chosen, meter.count, seconds, answers)
    session = open_session(call)
    if isinstance(chosen.tolerance, Mapping):
        from gradproof._adapters.patterns import demand_matches  # hardly any check has patterns

        demand_matches("tolerance", chosen.tolerance, session.caller.structure.names)
    if call.foreign is not None:
        meter.spend(call.foreign.evaluations)
    with session.protected(), settings.told, _Workers(settings.workers, session) as spread:
        try:
            found = _found(session, chosen, meter, spread) if note else _still(session, chosen, meter, spread)
        except BudgetExhaustedError:
            found = nothing(session, chosen, "the budget ran out before anything was measured", notes=[OUT_OF_BUDGET])
        found.notes[:0] = [note] if note else []
        answers = checklist(found, chosen, meter)
    if call.foreign is not None:
        found.notes = [*call.foreign.notes, *found.notes]
    seconds = time.perf_counter() - began
    _count(call, session.theta, seconds)
    return report_of(found, chosen, meter.count, seconds, answers)


def _count(call: Call, theta: Any, seconds: float) -> None:
    """Tells the guard of a check; of tensors also what optimizers did to them."""
    foreign = call.foreign
    cost = call.cost if foreign is None or foreign.user is None else foreign.user
    moves = None if foreign is None or foreign.moves is None else foreign.moves()
    _guard.count(cost, theta, seconds, moves)


def _as_it_is_checked(call: Call, chosen: Options) -> tuple[Call, str]:
    """The call with dropout off where that was asked for, and a note on what was switched."""
    if chosen.dropout != "off":
        return call, ""
    from gradproof._pipeline.dropout import switched_off  # loaded where it is asked for

    return switched_off(call)


def _still(session: Session, chosen: Options, meter: Meter, spread: Mapper | None) -> Found:
    """What is found, with random numbers refused where they should be."""
    if chosen.dropout == "freeze":
        return _found(session, chosen, meter, spread)
    from gradproof._pipeline.dropout import demand_still, demand_untouched

    demand_still(session, meter, chosen.dropout)
    found = _found(session, chosen, meter, spread)
    if chosen.dropout == "refuse":
        demand_untouched(session, chosen.dropout)
    return found


def refused(call: Call, settings: Settings, reason: str, findings: Sequence[Finding]) -> Report:
    """The report on a call whose claim cannot even be computed, with what is wrong with it."""
    _guard.demand_no_training()
    found = nothing(open_session(call), settings.options, reason, findings)
    return report_of(found, settings.options, settings.meter.count, settings.elapsed(), unanswered())


def _where_it_lives(call: Call, chosen: Options, meter: Meter) -> Found:
    """What a check finds of tensors that stay where they are."""
    from gradproof._pipeline.resident import resident  # loaded for those alone

    assert call.foreign is not None
    assert call.foreign.resident is not None
    if call.allowed is not None:
        raise InputError.of(
            "reading bounds and domains", "the parameters", "on the processor", "tensors that stay on their device",
            "Leave out bounds= and domain=, or move them to the processor.",
        )  # fmt: skip
    names = call.foreign.structure.names
    wanted = chosen_names(names, call)
    return resident(call.foreign.resident(wanted.__contains__), chosen, meter)


def _found(session: Session, chosen: Options, meter: Meter, spread: Mapper | None) -> Found:
    if chosen.vectorized:
        from gradproof._pipeline.batching import together  # loaded where it is asked for, like the next ones

        session = together(session, chosen, meter)
    if chosen.method == "classic":
        from gradproof._pipeline.course import classic

        return classic(session, chosen, meter)
    if chosen.method == "exhaustive":
        from gradproof._pipeline.exhaustive import exhaustive

        return exhaustive(session, chosen, meter, spread)
    return probing(session, chosen, meter, spread)


def _method(method: str | None) -> str:
    from gradproof._settings import METHODS

    name = method or "auto"
    if name not in METHODS:
        raise InputError.of(
            "setting up the check", "`method`", "one of " + ", ".join(METHODS), repr(method), "Choose one of them."
        )
    return name


class _Workers:
    """Workers for the time of a check: processes of our own are started and stopped, others left as they are."""

    def __init__(self, workers: Any, session: Session) -> None:
        if isinstance(workers, bool) or (isinstance(workers, int) and workers < 1 and workers != -1):
            raise InputError.of(
                "setting up workers", "`workers`", "a number of processes of at least 1, or -1 for one a processor",
                repr(workers), "Pass for example workers=2, or leave it out.",
            )  # fmt: skip
        self._given = workers
        self._session = session
        self._own: Any = None

    def __enter__(self) -> Mapper | None:
        if self._given is None or self._given == 1:
            return None
        from concurrent.futures import ProcessPoolExecutor  # it takes longer to load than all of this

        if isinstance(self._given, int):
            from multiprocessing import get_context

            self._session.demand_sendable()
            count = os.cpu_count() if self._given == -1 else self._given
            self._own = ProcessPoolExecutor(
                count, get_context("spawn"), load_by_path, (loaded_by_path(self._session.call.cost),)
            )
            return mapper(self._own)
        if isinstance(self._given, ProcessPoolExecutor):
            self._session.demand_sendable()
        return mapper(self._given)

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.shutdown(wait=True, cancel_futures=True)
