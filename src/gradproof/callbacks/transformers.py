"""The callback for Hugging Face's Trainer: the model's own loss, at the inputs that the step gave it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

from gradproof._errors import UndecidedWarning
from gradproof._stages import Stages
from gradproof.callbacks.loop import Loop


class GradientCheck(TrainerCallback):
    """Checks the gradient of the loss in all parameters of a model at stated steps of training.

    ``Trainer(..., callbacks=[GradientCheck()])`` checks in step 0 and in step 1000, before the optimizer, at inputs of
    the first of both, and leaves parameters, buffers, gradients and random numbers as they were.
    """

    def __init__(
        self, cost: Callable[..., Any] | None = None, grads: Any = None, *, steps: Sequence[int] = (0, 1000),
        raise_if_wrong: bool = True, **settings: Any,
    ) -> None:  # fmt: skip
        """Takes what is checked and when.

        Args:
            cost: ``cost(model, inputs) -> scalar``, inputs being keyword arguments; the loss that the model itself
                returns where left out. A trainer with a loss of its own needs it.
            grads: as for ``gradproof.check_module``: None for what reverse mode computes.
            steps: optimizer steps, counted by the trainer from 0.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check_module``.
        """
        self._loop = Loop(cost or model_loss, grads, steps=steps, raise_if_wrong=raise_if_wrong, **settings)
        self._hooks: list[Any] = []
        self._inputs: list[Any] = []

    @property
    def stages(self) -> Stages:
        """What was checked so far, with one verdict."""
        return self._loop.stages

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begins to listen to what the model is given, where a step is due: callbacks are not told."""
        if self._loop.is_due(state.global_step) and not self._hooks:
            self._hooks.append(given["model"].register_forward_pre_hook(self._listen, with_kwargs=True))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Checks where a step is due."""
        if not self._hooks:
            return
        self._hooks.pop().remove()
        if not self._inputs:
            warnings.warn(
                "gradproof.callbacks.transformers: the step did not call the model by keywords; nothing was checked.",
                UndecidedWarning,
                stacklevel=2,
            )
            return
        self._loop.check_at(state.global_step, given["model"], self._inputs.pop())

    def _listen(self, model: Any, args: Any, inputs: Any) -> None:
        if inputs and not args:
            self._inputs[:] = [dict(inputs)]


def model_loss(model: Any, inputs: Mapping[str, Any]) -> Any:
    """The loss that a model returns."""
    returned = model(**inputs)
    return returned["loss"] if isinstance(returned, Mapping) else returned[0]
