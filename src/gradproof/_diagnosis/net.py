"""A network of dense layers worked out again from its parameters and data, and its backward pass with a fault in it.

The decision behind it: what a slip in a backward pass makes of every gradient is computed, never guessed. A fault is
something done to one station of the pass, and whoever suspects one says what; the rest of the pass goes on as it
should.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.activations import Activation
from gradproof._diagnosis.dense import Dense

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Net:
    """The forward pass on some examples. Layers are counted from 1; examples are columns.

    Attributes:
        layers: where the parameters are.
        W: weights, (outputs, inputs), by layer.
        b: biases, (outputs, 1), by layer; zeros where there are none.
        Z: pre-activations by layer.
        A: activations by layer, what the next layer gets; A[0] are the inputs.
        F: activations before dropout and skip connections, by layer.
        D: what dropout multiplies activations by, by hidden layer; ones without dropout.
        acts: activations of the hidden layers; None where one is not known.
        skips: hidden layers to whose activation the one before is added.
        delta: derivative of the cost by the last Z.
        decay: the coefficient of the L2 term in the gradients of the weights.
        Y: the labels; None where they are not known.
    """

    layers: tuple[Dense, ...]
    W: Mapping[int, Array]
    b: Mapping[int, Array]
    Z: Mapping[int, Array]
    A: Mapping[int, Array]
    F: Mapping[int, Array]
    D: Mapping[int, Array]
    acts: Mapping[int, Activation]
    skips: frozenset[int]
    delta: Array
    decay: float = 0.0
    Y: Array | None = None

    @property
    def top(self) -> int:
        """The last layer."""
        return len(self.layers)

    @property
    def examples(self) -> int:
        """How many examples."""
        return int(self.A[0].shape[1])

    def slope(self, layer: int) -> Array:
        """The derivative of a hidden layer's activation."""
        return self.acts[layer].slope(self.Z[layer])


@dataclass
class Pass:
    """What a backward pass has found so far, from the last layer down.

    Attributes:
        net: the network.
        delta: derivatives by Z.
        data: gradients of the weights without their L2 term.
        full: gradients of the weights.
        bias: gradients of the biases.
        carried: what weights carry back to a layer, before its activation and dropout.
        skipped: what a skip connection brings to a layer.
    """

    net: Net
    delta: dict[int, Array] = field(default_factory=dict)
    data: dict[int, Array] = field(default_factory=dict)
    full: dict[int, Array] = field(default_factory=dict)
    bias: dict[int, Array] = field(default_factory=dict)
    carried: dict[int, Array] = field(default_factory=dict)
    skipped: dict[int, Array] = field(default_factory=dict)


#: What is done at a station of the pass instead of what should be; it gets what would be right there.
Hook = Callable[[Array, Pass, int], Array]
#: By station and layer. Stations: "delta" (derivative by Z), "slope", "mask" (what dropout multiplies by), "weights"
#: (of this layer, in the step to the one below), "skip" (what goes on to the layer below beside the weights), "input"
#: (the activation that dW takes), "dW", "db".
Hooks = Mapping[tuple[str, int], Hook]


def backward(net: Net, hooks: Hooks | None = None, lowest: int = 1) -> Pass:
    """The backward pass down to a layer."""
    planted = hooks or {}
    found = Pass(net)

    def at(station: str, layer: int, value: Array) -> Array:
        hook = planted.get((station, layer))
        return value if hook is None else hook(value, found, layer)

    for layer in range(net.top, lowest - 1, -1):
        if layer == net.top:
            delta = net.delta
        else:
            carried = at("weights", layer + 1, net.W[layer + 1]).T @ found.delta[layer + 1]
            found.carried[layer] = carried
            whole = carried + found.skipped.get(layer, 0.0)
            whole = whole * at("mask", layer, net.D[layer])
            if layer in net.skips:
                found.skipped[layer - 1] = at("skip", layer, whole)
            delta = whole * at("slope", layer, net.slope(layer))
        delta = at("delta", layer, delta)
        found.delta[layer] = delta
        found.data[layer] = at("dW", layer, delta @ at("input", layer, net.A[layer - 1]).T)
        found.full[layer] = found.data[layer] + net.decay * net.W[layer]
        found.bias[layer] = at("db", layer, delta.sum(axis=1, keepdims=True))
    return found


def shaped(net: Net, run: Pass, layer: int, like: Mapping[int, Array]) -> dict[int, Array]:
    """The gradients of a layer by tensor, as the tensors are stored and shaped."""
    dense = net.layers[layer - 1]
    weight = run.full[layer]
    found = {dense.weight: (weight.T if dense.turned else weight).reshape(np.shape(like[dense.weight]))}
    if dense.bias >= 0:
        found[dense.bias] = run.bias[layer].reshape(np.shape(like[dense.bias]))
    return found
