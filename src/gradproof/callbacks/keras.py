"""The callback for Keras: the compiled loss at a batch of one's own, as Keras tells callbacks of none."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from gradproof._errors import InputError
from gradproof._stages import Stages
from gradproof.callbacks.loop import Loop

#: Those of Keras's backends that differentiate.
BACKENDS = ("tensorflow", "jax", "torch")


class GradientCheck(keras.callbacks.Callback):
    """Checks the gradient of the compiled loss in all trainable variables at stated steps of training.

    ``model.fit(..., callbacks=[GradientCheck(x, y)])`` checks before step 0 and before step 1000, and leaves variables,
    optimizer, metrics and random numbers as they were: the model is called in a ``keras.StatelessScope``.
    """

    def __init__(
        self, x: Any, y: Any = None, *, steps: Sequence[int] = (0, 1000), raise_if_wrong: bool = True, **settings: Any
    ) -> None:
        """Takes what is checked and when.

        Args:
            x: inputs, as the model takes them: an array, or a nesting.
            y: targets, as the loss takes them.
            steps: training batches, counted from 0 over all epochs.
            raise_if_wrong: whether training stops with a ``GradientError`` where the gradient is wrong.
            **settings: further settings of ``gradproof.check``: tolerance, budget, only, ....

        Raises:
            InputError: Keras runs on a backend without gradients.
        """
        if keras.backend.backend() not in BACKENDS:
            todo = "Set the environment variable KERAS_BACKEND to one of them before Keras is imported."
            wanted = f"on one of {', '.join(BACKENDS)}"
            raise InputError.of("setting up a callback", "Keras", wanted, f"on {keras.backend.backend()}", todo)
        super().__init__()
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, y))
        self._loop = Loop(self._cost, steps=steps, raise_if_wrong=raise_if_wrong, args=tensors, **settings)
        self._count = itertools.count()

    @property
    def stages(self) -> Stages:
        """What was checked so far, with one verdict."""
        return self._loop.stages

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Checks where a step is due."""
        step = next(self._count)
        if self._loop.is_due(step):
            getattr(self.model, "jax_state_sync", _nothing)()  # JAX's trainer keeps the numbers to itself meanwhile
            self._loop.check_at(step, {v.path: _lasting(v.value) for v in self.model.trainable_variables})

    def _cost(self, params: Mapping[str, Any], x: Any, y: Any) -> Any:
        variables = self.model.trainable_variables
        with keras.StatelessScope([(v, params[v.path]) for v in variables], collect_losses=True):
            return self.model.compute_loss(x=x, y=y, y_pred=self.model(x, training=True), training=True)


def _lasting(value: Any) -> Any:
    """A number that training leaves alone: JAX's trainer gives the memory of its arrays away."""
    return keras.ops.copy(value) if keras.backend.backend() == "jax" else value


def _nothing() -> None:
    """What other backends have to do before their variables can be read."""
