"""The callback for Lightning: the training step's loss, checked before the batch is trained on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback

from gradproof._errors import InputError
from gradproof._stages import Stages
from gradproof.callbacks.loop import Loop

#: What a training step tells the trainer, which a check must not.
TOLD = ("log", "log_dict")


class GradientCheck(Callback):
    """Checks the gradient of the loss in all parameters of a Lightning module at stated steps of training.

    ``Trainer(callbacks=[GradientCheck()])`` checks before step 0 and before step 1000, at the first batch of both, and
    leaves parameters, buffers, gradients, random numbers and logs as they were.
    """

    def __init__(
        self, cost: Callable[..., Any] | None = None, grads: Any = None, *, steps: Sequence[int] = (0, 1000),
        raise_if_wrong: bool = True, **settings: Any,
    ) -> None:  # fmt: skip
        """Takes what is checked and when.

        Args:
            cost: ``cost(module, batch, batch_idx) -> scalar``; the loss that ``training_step`` returns where left out.
            grads: as for ``gradproof.check_module``: None for what reverse mode computes.
            steps: optimizer steps, counted by the trainer from 0.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check_module``.
        """
        self._loop = Loop(cost or training_loss, grads, steps=steps, raise_if_wrong=raise_if_wrong, **settings)

    @property
    def stages(self) -> Stages:
        """What was checked so far, with one verdict."""
        return self._loop.stages

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Checks where a step is due."""
        if self._loop.is_due(trainer.global_step):
            with _silent(pl_module):
                self._loop.check_at(trainer.global_step, pl_module, batch, batch_idx)


def training_loss(module: Any, batch: Any, batch_idx: int) -> Any:
    """The loss that a module's training step returns."""
    if not module.automatic_optimization:
        raise InputError.of(
            "checking a Lightning module", "its optimization", "automatic where no cost is given", "manual",
            "Pass cost=, a function of the module, a batch and its number, as training_step would take a step.",
        )  # fmt: skip
    returned = module.training_step(batch, batch_idx)
    return returned["loss"] if isinstance(returned, Mapping) else returned


@contextmanager
def _silent(module: Any) -> Iterator[None]:
    own = vars(module)
    kept = {name: own[name] for name in TOLD if name in own}
    own.update(dict.fromkeys(TOLD, lambda *_, **__: None))
    try:
        yield
    finally:
        for name in TOLD:
            del own[name]
        own.update(kept)
