"""A convolutional classifier with kernels of four axes: one convolution, a nonlinearity, a linear layer.

The convolution is a product with all windows of the images, so that its gradient is another one.
"""

from dataclasses import dataclass

import numpy as np

from problems.core import Array, Params, Problem
from problems.networks import activate, slope

SIDE, CLASSES = 7, 4


@dataclass(frozen=True)
class Convolution:
    """The data and the settings of one network.

    Attributes:
        windows: the images' windows, (examples, places, channels x height x width).
        labels: the class of each example.
        activation: after the convolution.
    """

    windows: Array
    labels: Array
    activation: str

    def cost(self, params: Params) -> Array:
        """Cross-entropy, a number of the parameters' type."""
        loss: Array = self._loss(self._logits(params, self._hidden(params))).sum() / len(self.labels)
        return loss

    def _hidden(self, params: Params) -> Array:
        K = params["K"].reshape(len(params["K"]), -1)
        return activate(self.activation, self.windows @ K.T + params["c"])

    def _logits(self, params: Params, A: Array) -> Array:
        out: Array = A.reshape(len(A), -1) @ params["W"] + params["b"]
        return out

    def _loss(self, Z: Array) -> Array:
        Z = Z - Z.real.max(axis=1, keepdims=True)
        out: Array = np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), self.labels]
        return out

    def grads(self, params: Params) -> Params:
        """Its gradient by back-propagation."""
        A = self._hidden(params)
        Z = self._logits(params, A)
        delta = np.exp(Z - Z.max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(delta)), self.labels] -= 1
        delta /= len(delta)
        flat = A.reshape(len(A), -1)
        inner = (delta @ params["W"].T).reshape(A.shape) * slope(self.activation, A)
        K = np.einsum("npk,npw->kw", inner, self.windows).reshape(params["K"].shape)
        return {"K": K, "c": inner.sum(axis=(0, 1)), "W": flat.T @ delta, "b": delta.sum(axis=0)}


def convolution(shape: tuple[int, int, int, int], activation: str, seed: int, examples: int = 16) -> Problem:
    """A classifier of random images with kernels of this shape (filters, channels, height, width) in ``K``.

    Args:
        shape: of the kernels.
        activation: ``tanh`` or ``relu``.
        seed: draws data and parameters.
        examples: number of images.
    """
    rng = np.random.default_rng(seed)
    filters, channels, height, width = shape
    images = rng.standard_normal((examples, channels, SIDE, SIDE))
    cut = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(2, 3))
    places = cut.shape[2] * cut.shape[3]
    windows = cut.transpose(0, 2, 3, 1, 4, 5).reshape(examples, places, channels * height * width)
    network = Convolution(windows, rng.integers(0, CLASSES, examples), activation)
    params = {
        "K": rng.standard_normal(shape) / np.sqrt(channels * height * width),
        "c": 0.1 * rng.standard_normal(filters),
        "W": rng.standard_normal((places * filters, CLASSES)) / np.sqrt(places * filters),
        "b": 0.1 * rng.standard_normal(CLASSES),
    }
    size = sum(value.size for value in params.values())
    return Problem(f"convolution, {activation}, n={size}", network.cost, params, network.grads, examples=examples)
