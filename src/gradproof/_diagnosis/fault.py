"""One slip in the backward pass of a rebuilt network, and the place at which slips are looked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.net import Hook, Hooks, Net, Pass, backward

Array = NDArray[Any]


@dataclass(frozen=True)
class Fault:
    """One slip.

    Attributes:
        cause: its slug.
        detail: the variant in a few words, the same wherever in the network it is made.
        station: where in the pass, as ``net.Hooks`` counts them, by layer.
        hook: what is done there.
        message: one sentence; ``{layer}`` stands for the layer or layers.
        fix: one sentence.
        factor: a number that was fitted, with its error.
        also: causes that would look the same.
    """

    cause: str
    detail: str
    station: tuple[str, int]
    hook: Hook
    message: str
    fix: str
    factor: tuple[float, float] | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Site:
    """A layer whose gradients are not what they should be, while all above it is understood.

    Attributes:
        net: the network.
        layer: which layer.
        known: slips that were found above.
        run: the backward pass with those, down to this layer.
        weight: the claimed gradient of the layer's weights, (outputs, inputs).
        bias: the claimed gradient of its biases, (outputs, 1); None where it has none.
        options: the user's options.
        loss: the name of the cost; empty where it is not known.
        plain: the cost without its epsilon, and that epsilon in words, where it has one.
        names: the user's name of each layer's weights.
    """

    net: Net
    layer: int
    known: Hooks
    run: Pass
    weight: Array
    bias: Array | None
    options: Mapping[str, Any] = field(default_factory=dict)
    loss: str = ""
    plain: tuple[str, str] = ("", "")
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def top(self) -> bool:
        """Whether this is the last layer."""
        return self.layer == self.net.top

    def with_(self, station: tuple[str, int], hook: Hook) -> Pass:
        """The pass with one more slip, down to this layer."""
        return backward(self.net, {**self.known, station: hook}, self.layer)

    def fitted(self, station: tuple[str, int], hook: Hook) -> float | None:
        """T for which this layer's claims are those of the pass with t times the change that a slip makes."""
        changed = self.with_(station, hook)
        before = [self.run.data[self.layer].ravel(), self.run.bias[self.layer].ravel()]
        after = [changed.data[self.layer].ravel(), changed.bias[self.layer].ravel()]
        claim = [(self.weight - self.net.decay * self.net.W[self.layer]).ravel()]
        if self.bias is not None:
            claim.append(self.bias.ravel())
        used = len(claim)
        base, move, goal = (np.concatenate(a[:used]) for a in (before, after, claim))
        size = float(np.dot(move - base, move - base))
        if not np.isfinite(size) or not size:
            return None
        t = float(np.dot(move - base, goal - base)) / size
        left = float(np.linalg.norm(base + t * (move - base) - goal))
        return t if left <= 1e-6 * float(np.linalg.norm(goal)) else None
