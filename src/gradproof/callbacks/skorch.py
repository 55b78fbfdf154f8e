"""The callback for skorch: the net's loss, checked before the batch is trained on."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from skorch.callbacks import Callback

from gradproof._errors import InputError
from gradproof._stages import Stages
from gradproof.callbacks.loop import Loop


class GradientCheck(Callback):
    """Checks the gradient of the loss in all parameters of a net's module at stated steps of training.

    ``NeuralNet(..., callbacks=[GradientCheck()])`` checks before step 0 and before step 1000, at the first batch of
    both, and leaves parameters, buffers, gradients and random numbers as they were.
    """

    def __init__(
        self, cost: Callable[..., Any] | None = None, grads: Any = None, *, steps: Sequence[int] = (0, 1000),
        raise_if_wrong: bool = True, **settings: Any,
    ) -> None:  # fmt: skip
        """Takes what is checked and when.

        Args:
            cost: ``cost(module, net, X, y) -> scalar``; the net's own loss of its own prediction where left out.
            grads: as for ``gradproof.check_module``: None for what reverse mode computes.
            steps: training batches, counted from 0 over all epochs.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check_module``.
        """
        # Names that end in an underscore are no parameters to scikit-learn; copies are made by what is given here.
        self.given_ = {"cost": cost, "grads": grads, "steps": steps, "raise_if_wrong": raise_if_wrong, **settings}
        self.loop_ = Loop(cost or net_loss, grads, steps=steps, raise_if_wrong=raise_if_wrong, **settings)
        self.count_ = itertools.count()

    def __sklearn_clone__(self) -> "GradientCheck":
        return type(self)(**self.given_)

    @property
    def stages(self) -> Stages:
        """What was checked so far, with one verdict."""
        return self.loop_.stages

    def on_batch_begin(self, net: Any, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Checks where a step is due."""
        if not training:
            return
        step = next(self.count_)
        if self.loop_.is_due(step):
            if not (isinstance(batch, list | tuple) and len(batch) == 2):
                raise InputError.of("checking a skorch net", "the batch", "X and y", f"a {type(batch).__name__}",
                                    "Let the data loader return pairs.")  # fmt: skip
            self.loop_.check_at(step, net.module_, _Same(net), *batch)


class _Same:
    """A net that is not copied with the batch."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def __deepcopy__(self, _: Any) -> Any:
        return self.net


def net_loss(module: Any, net: Any, X: Any, y: Any) -> Any:
    """The loss of a net in training."""
    module.train()  # a validation may have come before
    return net.get_loss(net.infer(X), y, X=X, training=True)
