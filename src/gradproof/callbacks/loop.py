"""The callback for loops that are written by hand, and the core of all others."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from gradproof import _guard
from gradproof._errors import InputError
from gradproof._records import Report
from gradproof._stages import Stages


class Loop:
    """Checks the gradient at stated steps of a training loop.

    Call ``check_at(step, params)`` in every step: it does nothing but at the steps that were asked for. Parameters and
    random numbers are left as they were, and it may be called inside ``gradproof.training()``.

    Attributes:
        stages: what was checked so far, with one verdict; see ``gradproof.Stages``.
    """

    def __init__(
        self, cost: Callable[..., Any], grads: Any = None, *, steps: Sequence[int] = (0, 1000),
        raise_if_wrong: bool = True, **settings: Any) -> None:  # fmt: skip
        """Takes what is checked and when.

        Args:
            cost: as ``gradproof.check`` or, for modules, ``gradproof.check_module`` takes it.
            grads: the claimed gradient as a function, or True; of tensors and modules also None or "grad".
            steps: the steps at which to check.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check`` or ``gradproof.check_module``: data, options, ....

        Raises:
            InputError: the steps are no different whole numbers from 0, or the gradient is no function.
            TypeError: ``check`` has no such setting.
        """
        given = tuple(steps) if isinstance(steps, list | tuple | range | set | frozenset) else (steps,)
        if not given or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in given):
            doing, todo = "setting up a callback", "Pass for example steps=(0, 1000)."
            raise InputError.of(doing, "`steps`", "whole numbers from 0", repr(steps), todo)
        self._fixed = tuple(settings.pop("args", ()))
        self._args = [*self._fixed]
        self.stages = Stages(cost, grads, args=self._args, **settings)
        self._steps = frozenset(given)
        self._raises = raise_if_wrong

    def is_due(self, step: int) -> bool:
        """Whether this is one of the steps and was not checked."""
        return step in self._steps and _name(step) not in self.stages

    def check_at(self, step: int, params: Any, *batch: Any) -> Report | None:
        """Checks where ``is_due``.

        Args:
            step: the number of the step that is about to be taken, from 0.
            params: the parameters now, or the module that is trained; left unchanged.
            *batch: what the cost is given after them; the first check's is kept for all, so that they can be compared.

        Returns:
            The report; None at all other steps.

        Raises:
            GradientError: the gradient is wrong, unless ``raise_if_wrong`` is False.
        """
        if not self.is_due(step):
            return None
        if not len(self.stages):
            self._args[:] = [*self._fixed, *copy.deepcopy(batch)]
        with _guard.exempt():
            report = self.stages.at(_name(step), params)
        if self._raises and not report.passed and not _guard.switched_off():
            self.stages.raise_if_wrong()
        return report


def _name(step: int) -> str:
    return "initialisation" if step == 0 else f"step {step}"
