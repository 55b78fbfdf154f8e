"""Functions whose gradient cancels to nothing: what a backward pass gives for them is its rounding alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (what everybody calls it)


@dataclass(frozen=True)
class Cancelling:
    """A function of one array that does not depend on it, or on nothing but how it rounds.

    Attributes:
        name: what it is.
        function: the function.
        shape: of its input.
        spread: how large the input's numbers are.
        centre: about what.
    """

    name: str
    function: Callable[[Any], Any]
    shape: tuple[int, ...] = (5,)
    spread: float = 3.0
    centre: float = 0.0

    def input(self, seed: int, dtype: Any = torch.float64) -> Any:
        """A random input."""
        random = torch.Generator().manual_seed(seed)
        return self.centre + self.spread * torch.randn(*self.shape, generator=random, dtype=dtype)


def _angle(x: Any) -> Any:
    """The cosine between a vector and itself."""
    return F.cosine_similarity(x, x, dim=-1)


def _along(x: Any) -> Any:
    """A unit vector's length."""
    unit = x / x.norm()
    return (unit * unit).sum()


def _saturated(x: Any) -> Any:
    """A cross-entropy where there is nothing left to learn."""
    return F.cross_entropy(60.0 * torch.eye(3, dtype=x.dtype) + x, torch.arange(3))


CANCELLING = (
    Cancelling("correlation of two numbers", torch.corrcoef, (2,), 5.0),
    Cancelling("correlation of a row", torch.corrcoef, (1, 2), 5.0),
    Cancelling("correlation of three numbers", torch.corrcoef, (3,), 5.0),
    Cancelling("correlation of two close numbers", torch.corrcoef, (2,), 1e-4, 5.0),
    Cancelling("correlation of a close row", torch.corrcoef, (1, 4), 1e-4, 5.0),
    Cancelling("softmax, then the sum", lambda x: torch.softmax(x, -1).sum(-1), (4, 3)),
    Cancelling("log-softmax, then its log-sum", lambda x: torch.logsumexp(torch.log_softmax(x, -1), -1)),
    Cancelling("log-softmax, then its log-sum, of rows", lambda x: torch.log_softmax(x, -1).logsumexp(-1), (3, 4)),
    Cancelling("unit vector on itself", _along),
    Cancelling("unit vector of two on itself", _along, (2,)),
    Cancelling("cosine with itself", _angle, (3, 4)),
    Cancelling("cosine of one vector with itself", _angle, (3,)),
    Cancelling("layer norm, then the sum", lambda x: F.layer_norm(x, x.shape[-1:]).sum(-1), (3, 4)),
    Cancelling("layer norm, then the sum of all", lambda x: F.layer_norm(x, x.shape).sum()),
    Cancelling("batch norm, then the mean", lambda x: F.batch_norm(x, None, None, training=True).mean(0), (6, 2)),
    Cancelling("normalised single numbers", lambda x: F.normalize(x, dim=-1), (4, 1)),
    Cancelling("normalised, then its length", lambda x: F.normalize(x, dim=-1).norm(dim=-1), (3, 4)),
    Cancelling("variance of one number", lambda x: x.var(-1, unbiased=False), (4, 1)),
    Cancelling("cross-entropy at saturation", _saturated, (3, 3), 0.5),
    Cancelling("centred, then the sum", lambda x: (x - x.mean()).sum()),
    Cancelling("centred, then the sum of columns", lambda x: (x - x.mean(0)).sum(0), (3, 4)),
    Cancelling("centred away from zero, then the sum", lambda x: (x - x.mean()).sum(), (7,), 1.0, 100.0),
    Cancelling("sine and cosine", lambda x: x.sin() ** 2 + x.cos() ** 2),
    Cancelling("hyperbolic sine and cosine", lambda x: x.cosh() ** 2 - x.sinh() ** 2, (5,), 1.5),
    Cancelling("exponential there and back", lambda x: torch.exp(x) * torch.exp(-x)),
    Cancelling("sigmoid of both signs", lambda x: torch.sigmoid(x) + torch.sigmoid(-x)),
    Cancelling("a third and two", lambda x: x / 3.0 + x / 1.5 - x),
    Cancelling("product with the inverse", lambda x: x @ torch.linalg.inv(x), (3, 3), 1.0),
    Cancelling("determinant of a rotation", lambda x: torch.linalg.det(torch.matrix_exp(x - x.T)), (3, 3), 0.5),
    Cancelling("log-determinant of a rotation", lambda x: torch.linalg.qr(x).Q.det(), (3, 3), 1.0),
    Cancelling("attention over equal values", lambda x: torch.softmax(x @ x.T, -1) @ torch.ones_like(x), (4, 3), 1.0),
    Cancelling("differences around a ring", lambda x: (x - x.roll(1)).cumsum(0)[-1:]),
)
