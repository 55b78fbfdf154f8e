"""The callback for loops that are written by hand, and the core of all others."""

from collections.abc import Callable, Sequence
from typing import Any

from gradproof import _guard
from gradproof._errors import InputError
from gradproof._records import Report
from gradproof._stages import Stages


class Loop:
    """Checks the gradient at stated steps of a training loop.

    Call ``check_at(step, params)`` in every step: it checks at the steps that were asked for and does nothing at all
    others. Parameters and random numbers are left as they were, and it may be called inside ``gradproof.training()``.

    Attributes:
        stages: what was checked so far, with one verdict; see ``gradproof.Stages``.
    """

    def __init__(
        self,
        cost: Callable[..., Any],
        grads: Any,
        *,
        steps: Sequence[int] = (0, 1000),
        raise_if_wrong: bool = True,
        **settings: Any,
    ) -> None:
        """Takes what is checked and when.

        Args:
            cost: as ``gradproof.check`` takes it.
            grads: the claimed gradient as a function, or True.
            steps: the steps at which to check.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check``: data, options, ....

        Raises:
            InputError: the steps are no different whole numbers from 0, or the gradient is no function.
            TypeError: ``check`` has no such setting.
        """
        given = tuple(steps) if isinstance(steps, list | tuple | range | set | frozenset) else (steps,)
        if not given or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in given):
            raise InputError.of(
                "setting up a callback",
                "`steps`",
                "whole numbers from 0",
                repr(steps),
                "Pass for example steps=(0, 1000).",
            )
        self.stages = Stages(cost, grads, **settings)
        self._steps = frozenset(given)
        self._raises = raise_if_wrong

    def check_at(self, step: int, params: Any) -> Report | None:
        """Checks if this is one of the steps, and was not checked before.

        Args:
            step: the number of the step that is about to be taken, from 0.
            params: the parameters now; left unchanged.

        Returns:
            The report, or None at all other steps.

        Raises:
            GradientError: the gradient is wrong here, unless ``raise_if_wrong`` is False.
        """
        name = "initialisation" if step == 0 else f"step {step}"
        if step not in self._steps or name in self.stages:
            return None
        with _guard.exempt():
            report = self.stages.at(name, params)
        if self._raises and not report.passed and not _guard.switched_off():
            self.stages.raise_if_wrong()
        return report
