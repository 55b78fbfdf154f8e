"""``gradproof.Stages``: the same check at several times in training, with one verdict.

The decision behind it: a gradient that is right where everything is small may be wrong where something saturates,
overflows, is clipped or crosses a threshold. So a stage is nothing but the parameters at some moment. It is checked
when its parameters are there, and whatever compares stages calls the user's functions then as well; printing a report
evaluates nothing. How parameters are held (``points``) and stages are compared (``comparing``) is loaded by the first
stage, so that those who only check do not pay for it.
"""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from gradproof import _guard
from gradproof._check import check
from gradproof._errors import InputError
from gradproof._evaluation import Meter
from gradproof._functions import check_module
from gradproof._records import Regime, Report, StageFinding, StagesReport, Verdict

#: Settings of ``check``, and of ``check_module``, that a stage takes.
SETTINGS = frozenset(
    name for function in (check, check_module) for name in inspect.signature(function).parameters
) - {"module", "cost", "params", "grads"}  # fmt: skip
#: Evaluations at most between two stages.
WALK = 2_000


class Stages:
    """The same check at several stages of training.

    A bug can hide where the weights are small: check at initialisation and again after some training. Each stage is
    checked when it is added; faults that only some stages show are looked at on the way between them. The whole is
    correct only if it is correct at every stage. ``str()`` shows the stages side by side, ``repr()`` one line,
    ``stages["initialisation"]`` is the report of one; what ``report`` offers is offered here as well.
    """

    def __init__(
        self, cost: Callable[..., Any], grads: Any = None, *, scales: Sequence[float] = (1.0,), **settings: Any
    ) -> None:
        """Takes what is the same at every stage.

        Args:
            cost: as ``gradproof.check`` takes it, or for modules ``gradproof.check_module``.
            grads: the claimed gradient as a function, or True; each stage has its own, so arrays will not do. Of
                tensors and modules also None for what reverse mode computes, and "grad" for what ``.grad`` holds.
            scales: every stage is checked with its parameters times each of these numbers; ``(1, 10)`` shows faults of
                large weights without training.
            **settings: further settings of ``gradproof.check``, or for modules of ``gradproof.check_module``: data,
                options, terms, tolerance, ....

        Raises:
            InputError: the gradient is no function, or a scale is no positive number.
            TypeError: ``check`` has no such setting.
        """
        unknown = [name for name in settings if name not in SETTINGS]
        if unknown:
            raise TypeError(f"gradproof.Stages got settings that gradproof.check does not have: {', '.join(unknown)}")
        if not (grads is True or grads is None or callable(grads) or (isinstance(grads, str) and grads == "grad")):
            raise InputError.of(
                "setting up stages", "`grads`", "a function that computes the claimed gradient, or True",
                f"a {type(grads).__name__}", "Pass the function: each stage has a gradient of its own.",
            )  # fmt: skip
        self._cost, self._grads, self._settings = cost, grads, settings
        self._scales = _read_scales(scales)
        self._stages: dict[str, Report] = {}
        self._points: dict[str, tuple[Any, Any]] = {}
        self._findings: list[StageFinding] = []
        self._between: list[tuple[int, float]] = []

    def at(self, name: str, params: Any, *, scales: Sequence[float] | None = None) -> Report:
        """Checks the gradient at a stage.

        Args:
            name: what to call it: ``"initialisation"``, ``"after 1000 steps"``.
            params: the parameters there, as ``gradproof.check`` takes them, or a module, as ``gradproof.check_module``
                takes it; left unchanged.
            scales: as for the whole, for this stage alone.

        Returns:
            The stage's report; of several scales, whose stages are called ``"initialisation x 10"`` and so on, the
            worst one.

        Raises:
            InputError: the name was used before, or what was passed in cannot be checked.
        """
        from gradproof._stages.points import moment

        chosen = self._scales if scales is None else _read_scales(scales)
        names = [_scaled_name(name, scale) for scale in chosen]
        self._demand_new(names)
        points = [moment(self._cost, params, scale) for scale in chosen]
        reports = [self._add(full, params, values) for full, values in zip(names, points, strict=True)]
        return min(reports, key=lambda report: list(_URGENCY).index(report.verdict))

    def train(
        self,
        step: Callable[[Any, int], Any],
        params: Any,
        checkpoints: Sequence[int] = (0, 100, 1000),
        *,
        scales: Sequence[float] | None = None,
    ) -> Any:
        """Trains, and checks after stated numbers of steps.

        Args:
            step: ``step(params, i) -> params`` takes step number i (from 0) and returns the new parameters, or changes
                those it is given in place and returns None. Checks do not disturb its random numbers. A module is
                trained in place, and what its step returns does not matter.
            params: where to start; a module as well.
            checkpoints: increasing numbers of steps after which to check; 0 is before the first. Training ends at the
                last.
            scales: as for the whole, for these stages.

        Returns:
            The parameters after the last step.

        Raises:
            InputError: the checkpoints do not increase from 0 or are in use, or the first step neither returns
                parameters nor changes any; then nothing was checked.
        """
        from gradproof._stages.points import in_place, is_module, moment, unchanged

        marks = _read_checkpoints(checkpoints)
        if not callable(step):
            raise InputError.of(
                "training between stages", "`step`", "a function step(params, i)", f"a {type(step).__name__}",
                "Pass the function that takes one step of training.",
            )  # fmt: skip
        chosen = self._scales if scales is None else _read_scales(scales)
        self._demand_new([_scaled_name(_after(mark), scale) for mark in marks for scale in chosen])
        live = in_place(self._cost, params)
        for i in range(marks[-1]):
            before = moment(self._cost, params) if i == 0 else None
            if i in marks and (live or i > 0):
                self.at(_after(i), params, scales=chosen)
            returned = step(params, i)
            renewed = returned is not None and (is_module(returned) or not is_module(params))
            if before is not None and not renewed and unchanged(self._cost, params, before):
                raise InputError.of(
                    "training between stages", "what `step` does", "to return the new parameters or change the given "
                    "ones in place", "returning None with all parameters as they were",
                    "End it with `return params`, or write into the arrays it is given (W -= ..., not W = W - ...).",
                )  # fmt: skip
            if i == 0 and 0 in marks and not live:  # only now is it known that step trains at all
                self.at(_after(0), before, scales=chosen)
            params = returned if renewed else params
        self.at(_after(marks[-1]), params, scales=chosen)
        return params

    @property
    def report(self) -> StagesReport:
        """The stages so far as a record that stays as it is."""
        from gradproof._stages.comparing import renewed

        own = [(report.evaluations, report.seconds) for report in self._stages.values()]
        spent, took = zip(*own, *self._between, strict=True) if own else ((0,), (0.0,))
        findings = tuple(renewed(self._stages, known) for known in self._findings)
        return StagesReport(dict(self._stages), findings, sum(spent), math.fsum(took))

    @property
    def verdict(self) -> Verdict:
        """Correct only if correct at every stage; undecided where no stage was checked."""
        return self.report.verdict

    @property
    def passed(self) -> bool:
        """Whether the gradient was proven correct at every stage."""
        return self.report.passed

    @property
    def findings(self) -> tuple[StageFinding, ...]:
        """The faults that only some stages show."""
        return self.report.findings

    def raise_if_wrong(self) -> None:
        """Raises where the gradient is wrong at any stage and warns where it is undecided.

        Raises:
            GradientError: the gradient is wrong at a stage; the message is the text report.
        """
        self.report.raise_if_wrong()

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def to_html(self, path: str | Path | None = None) -> str:
        """The stages side by side, and the report of each, as one page; also written to a file where one is named."""
        return self.report.to_html(path)

    def plot(self, kind: str = "stages", ax: Any = None, *, tensor: str | None = None) -> Any:
        """Draws the differences stage by stage with matplotlib; other kinds, as of ``Report.plot``, the last stage."""
        return self.report.plot(kind, ax, tensor=tensor)

    def to_dict(self) -> dict[str, Any]:
        """The content for machines, ready for ``json.dumps``."""
        return self.report.to_dict()

    def __getitem__(self, name: str) -> Report:
        return self._stages[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return str(self.report)

    def __repr__(self) -> str:
        return repr(self.report)

    def _demand_new(self, names: Sequence[Any]) -> None:
        for i, name in enumerate(names):
            if not isinstance(name, str) or not name.strip():
                raise InputError.of(
                    "adding a stage", "its name", "a word or a few", repr(name), 'Pass for example "initialisation".'
                )
            if name in self._stages or name in names[:i]:
                raise InputError.of(
                    "adding a stage", "its name", "a new one", f"{name!r}, which was used before",
                    f"The stages so far are {', '.join(self._stages) or 'none'}; choose another name.",
                )  # fmt: skip

    def _add(self, name: str, params: Any, values: Any) -> Report:
        with _guard.planned():
            report = self._checked(params, values)
        self._stages[name] = report
        self._points[name] = params, values
        if not _guard.switched_off():
            self._compare()
        return report

    def _checked(self, params: Any, values: Any) -> Report:
        from gradproof._stages.points import at_moment, in_place, is_module

        if is_module(params):
            with at_moment(params, values):
                return check_module(params, self._cost, self._grads, **self._settings)
        if in_place(self._cost, params):
            with at_moment(params, values):
                return check(self._cost, params, self._grads, **self._settings)
        return check(self._cost, values, self._grads, **self._settings)

    def _compare(self) -> None:
        from gradproof._stages.comparing import finding, unpaired

        for right, wrong, tensors in unpaired(self._stages, self._findings):
            regime = self._walk(right, wrong, tensors)
            self._findings.append(finding(self._stages, (right, wrong), tensors, regime))

    def _walk(self, right: str, wrong: str, tensors: Sequence[str]) -> Regime:
        from gradproof._pipeline.onset import onset, start_of  # only a fault that some stages do not show pays for it

        began, meter = time.perf_counter(), Meter(WALK)
        starts: list[Any] = []
        found: list[Regime] = []
        with _guard.overhearing(lambda call, _: starts.append(start_of(call))):
            self._checked(*self._points[right])
        with _guard.overhearing(lambda call, options: found.append(onset(call, options, meter, starts[0], tensors))):
            self._checked(*self._points[wrong])
        self._between.append((meter.count, time.perf_counter() - began))
        return found[0]


_URGENCY: Mapping[Verdict, int] = {Verdict.WRONG: 0, Verdict.UNDECIDED: 1, Verdict.CORRECT: 2}


def _read_scales(scales: Any) -> tuple[float, ...]:
    given = tuple(scales) if isinstance(scales, list | tuple) else (scales,)
    usable = all(isinstance(s, int | float) and not isinstance(s, bool) and 0.0 < s < math.inf for s in given)
    if not given or not usable or len({float(s) for s in given}) < len(given):
        raise InputError.of(
            "adding a stage", "`scales`", "different positive numbers", repr(scales), "Pass for example scales=(1, 10)."
        )
    return tuple(float(s) for s in given)


def _read_checkpoints(checkpoints: Any) -> tuple[int, ...]:
    given = tuple(checkpoints) if isinstance(checkpoints, list | tuple | range) else (checkpoints,)
    whole = all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in given)
    if not given or not whole or any(b <= a for a, b in pairwise(given)):
        raise InputError.of(
            "training between stages", "`checkpoints`", "increasing numbers of steps from 0", repr(checkpoints),
            "Pass for example checkpoints=(0, 100, 1000).",
        )  # fmt: skip
    return given


def _scaled_name(name: str, scale: float) -> str:
    return name if scale == 1.0 or not isinstance(name, str) else f"{name} x {scale:g}"


def _after(steps: int) -> str:
    return "initialisation" if steps == 0 else f"after {steps:,} step{'' if steps == 1 else 's'}".replace(",", "")
