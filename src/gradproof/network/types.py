"""The few types all parts of the network share.

The decision behind it: parameters and gradients are plain dictionaries of plain arrays, as in the course notes, so that
nothing has to be converted before a check. Arrays are of any floating or complex type; the type of the parameters is
the type of everything computed from them.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
#: W1, b1, W2, b2, ... in this order.
Parameters: TypeAlias = dict[str, Array]
#: dW1, db1, dW2, db2, ... in this order.
Gradients: TypeAlias = dict[str, Array]
#: A number that fixes the random choices, or a generator that is advanced by them.
Seed: TypeAlias = int | np.random.Generator

Hidden: TypeAlias = Literal["relu", "tanh", "sigmoid"]
Output: TypeAlias = Literal["softmax", "sigmoid"]
Method: TypeAlias = Literal["he", "xavier"]
OptimizerName: TypeAlias = Literal["gd", "momentum", "adam"]


@dataclass(frozen=True)
class LayerCache:
    """What one layer's forward step leaves for its backward step.

    Attributes:
        A_prev: The layer's input, (n_{l-1}, m), after dropout.
        W: Weights, (n_l, n_{l-1}).
        b: Bias, (n_l, 1).
        Z: W A_prev + b, (n_l, m).
        activation: Name of the activation applied to Z.
        D: Dropout mask, (n_l, m) booleans, True where a node is kept; None without dropout.
        keep_prob: Probability of keeping a node; kept nodes are divided by it (inverted dropout).
    """

    A_prev: Array
    W: Array
    b: Array
    Z: Array
    activation: str
    D: NDArray[np.bool_] | None = None
    keep_prob: float = 1.0
