"""How rounds of work are evaluated: in order or handed to workers, counted, and within a budget.

The decision behind it: work arrives as batches of rays, each of which means the same wherever it is evaluated, so the
number of workers can change the time a check takes and nothing else.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradproof._errors import InputError
from gradproof._problem import Problem
from gradproof._records import Ray, Samples

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: A map-like callable, as SciPy's ``workers``.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class BudgetExhaustedError(Exception):
    """The budget ran out; caught by the pipeline, which reports what it has."""


class Meter:
    """Counts evaluations and says when the budget is spent; shared by all evaluators of one check."""

    def __init__(
        self,
        evaluations: int | None = None,
        seconds: float | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.count = 0
        self._most = evaluations
        self._until = None if seconds is None else time.perf_counter() + seconds
        self._progress = progress

    def afford(self, evaluations: int) -> None:
        """Raises where so many more evaluations are not within the budget."""
        if self._most is not None and self.count + evaluations > self._most:
            raise BudgetExhaustedError
        if self._until is not None and time.perf_counter() > self._until:
            raise BudgetExhaustedError

    def spend(self, evaluations: int) -> None:
        """Counts evaluations that were made."""
        self.count += evaluations
        if self._progress is not None:
            self._progress(self.count)


class Evaluator:
    """A problem whose work is counted and may be spread over workers."""

    def __init__(self, problem: Problem, meter: Meter, mapper: Mapper | None = None) -> None:
        self.problem = problem
        self.meter = meter
        self._mapper = mapper

    def holding(self, masks: Mapping[int, NDArray[np.bool_]]) -> "Evaluator":
        """The same with some elements left where they are, counted together with this one."""
        return Evaluator(self.problem.holding(masks), self.meter, self._mapper)

    def reclaimed(self, claims: Mapping[int, NDArray[Any]]) -> "Evaluator":
        """The same with other claims for some tensors, counted together with this one."""
        return Evaluator(self.problem.reclaimed(claims), self.meter, self._mapper)

    def lines(self, rays: Sequence[Ray]) -> list[Samples]:
        """Evaluates the rays in their order."""
        wanted = sum(len(ray.steps) for ray in rays)
        self.meter.afford(wanted)
        if self._mapper is None or len(rays) < 2:
            found = self.problem.lines(rays)
        else:
            found = [answer[0] for answer in self._mapper(_Task(self.problem), list(rays))]
        self.meter.spend(wanted)
        return found


class _Task:
    """One ray's work as something that can be sent to another process."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def __call__(self, ray: Ray) -> list[Samples]:
        return self._problem.replica().lines([ray])


def loaded_by_path(function: Callable[..., Any]) -> tuple[tuple[str, str], ...]:
    """The module that defines a function, as (name, file), where no other process can import it by that name.

    Files of cases, and of tests under some import modes, are loaded by their path under names of their own.
    """
    import importlib.machinery
    import sys

    inner = function
    while hasattr(inner, "func"):  # a partial
        inner = inner.func
    name = getattr(inner, "__module__", None) or ""
    file = getattr(sys.modules.get(name), "__file__", None)
    if name == "__main__" or "." in name or file is None or importlib.machinery.PathFinder.find_spec(name) is not None:
        return ()
    return ((name, file),)


def load_by_path(modules: Iterable[tuple[str, str]]) -> None:
    """Loads such modules in a worker, with the folder of each on the path as it was where they came from."""
    import importlib.util
    import sys
    from pathlib import Path

    for name, file in modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        sys.path.insert(0, str(Path(file).resolve().parent))
        spec.loader.exec_module(module)


def mapper(workers: "Executor | Mapper") -> Mapper:
    """The map function of an executor, a pool, or the callable itself."""
    from concurrent.futures import Executor  # with its logging it takes as long to load as a third of the package

    if isinstance(workers, Executor):
        return workers.map
    if callable(workers):
        return workers
    raise InputError.of(
        "setting up workers",
        "`workers`",
        "a number of processes, a map-like callable or a concurrent.futures.Executor",
        f"a {type(workers).__name__}",
        "Pass for example workers=concurrent.futures.ThreadPoolExecutor().",
    )
