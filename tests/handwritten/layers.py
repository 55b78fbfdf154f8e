"""Operations as ``torch.autograd.Function``, each with the slips that people make in its backward pass.

A slip is chosen by name when the operation is made; "" is the right backward pass. What a slip should be called is in
``LAYERS``: the causes that say the same of it, the input whose gradient it spoils, and nothing that only a name in here
could tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.autograd import Function


@dataclass(frozen=True)
class Layer:
    """An operation and its slips.

    Attributes:
        make: the operation with one slip in its backward pass.
        inputs: fresh inputs from a seed.
        slips: slip -> (causes that are right, numbers of the inputs whose gradient is wrong).
    """

    make: Callable[[str], Callable[..., Any]]
    inputs: Callable[[int], tuple[Any, ...]]
    slips: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]


def _normal(seed: int, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=random) for shape in shapes)


def linear(slip: str) -> Callable[..., Any]:
    """x W^T + b."""

    class Linear(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
            ctx.save_for_backward(x, w)
            return x @ w.t() + b

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w = ctx.saved_tensors
            dx, dw, db = v @ w, v.t() @ x, v.sum(0)
            gradients: dict[str, Callable[[], Any]] = {
                "": lambda: (dx, dw, db),
                "dW doubled": lambda: (dx, 2 * dw, db),
                "dW over the batch": lambda: (dx, dw / len(x), db),
                "dW negative": lambda: (dx, -dw, db),
                "db is a mean": lambda: (dx, dw, v.mean(0)),
                "db of the first example": lambda: (dx, dw, v[0]),
                "dx with W^T": lambda: (v @ w.t(), dw, db),
                "dW transposed": lambda: (dx, dw.t().clone(), db),
                "dW never computed": lambda: (dx, None, db),
                "dW cut off": lambda: (dx, dw.clamp(-0.5, 0.5), db),
                "dW in bfloat16": lambda: (dx, dw.bfloat16().to(dw.dtype), db),
                "dW rows rolled": lambda: (dx, dw.roll(1, 0), db),
                "dW without the last tile": lambda: (dx, _without(dw), db),
                "dx and dW exchanged": lambda: (dw, dx, db) if dw.shape == dx.shape else (dx, dw, db),
                "dW without the last example": lambda: (dx, v[:-1].t() @ x[:-1], db),
            }
            return gradients[slip]()

    return cast(Callable[..., Any], Linear.apply)


def _without(dw: Any) -> Any:
    kept = dw.clone()
    kept[:, 4 * (dw.shape[1] // 4) :] = 0
    return kept


def activation(slip: str) -> Callable[..., Any]:
    """tanh."""

    class Tanh(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = torch.tanh(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            _, y = ctx.saved_tensors
            if slip == "derivative forgotten":
                return v.clone()
            if slip == "at the wrong point":
                return v * (1 - torch.tanh(y) ** 2)
            if slip == "of the sigmoid":
                return v * y * (1 - y)
            return v * (1 - y**2)

    return cast(Callable[..., Any], Tanh.apply)


def leaky(slip: str) -> Callable[..., Any]:
    """Leaky ReLU with slope 0.2."""

    class Leaky(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.where(x > 0, x, 0.2 * x)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            slope = {"slope forgotten": 0.0, "another slope": 0.01}.get(slip, 0.2)
            return torch.where(x > 0, v, slope * v)

    return cast(Callable[..., Any], Leaky.apply)


def softmax(slip: str) -> Callable[..., Any]:
    """Softmax along the last axis."""

    class Softmax(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = torch.softmax(x, -1)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (y,) = ctx.saved_tensors
            if slip == "diagonal only":
                return v * y * (1 - y)
            if slip == "without the sum":
                return v * y
            if slip == "as of its logarithm":
                return v - y * v.sum(-1, keepdim=True)
            return y * (v - (v * y).sum(-1, keepdim=True))

    return cast(Callable[..., Any], Softmax.apply)


def layer_norm(slip: str) -> Callable[..., Any]:
    """Layer normalisation with gain and shift."""

    class Norm(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, gain: Any, shift: Any) -> Any:
            mean, inverse = x.mean(-1, keepdim=True), (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()
            ctx.save_for_backward(x, mean, inverse, gain)
            return (x - mean) * inverse * gain + shift

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, mean, inverse, gain = ctx.saved_tensors
            hat = (x - mean) * inverse
            d = v * gain
            through_mean = d.mean(-1, keepdim=True)
            through_variance = hat * (d * hat).mean(-1, keepdim=True)
            if slip == "mean forgotten":
                through_mean = torch.zeros_like(through_mean)
            if slip == "variance forgotten":
                through_variance = torch.zeros_like(through_variance)
            dx = inverse * (d - through_mean - through_variance)
            if slip == "gain forgotten":
                dx = inverse * (v - v.mean(-1, keepdim=True) - hat * (v * hat).mean(-1, keepdim=True))
            axes = tuple(range(v.dim() - 1))
            dgain, dshift = (v * (x if slip == "dgain of x" else hat)).sum(axes), v.sum(axes)
            if slip == "gain and shift exchanged":
                dgain, dshift = dshift, dgain
            return dx, dgain, dshift

    return cast(Callable[..., Any], Norm.apply)


def embedding(slip: str) -> Callable[..., Any]:
    """Rows of a table."""

    class Rows(Function):
        @staticmethod
        def forward(ctx: Any, table: Any, index: Any) -> Any:
            ctx.save_for_backward(table, index)
            return table[index]

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            table, index = ctx.saved_tensors
            found = torch.zeros_like(table)
            found.index_put_((index,), v, accumulate=slip != "= for +=")
            if slip == "padding row not left out":
                found[0] = 0
            return found, None

    return cast(Callable[..., Any], Rows.apply)


def broadcast(slip: str) -> Callable[..., Any]:
    """x * scale with one scale for all."""

    class Scaled(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, scale: Any) -> Any:
            ctx.save_for_backward(x, scale)
            return x * scale

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, scale = ctx.saved_tensors
            whole = v * x
            if slip == "mean for sum":
                return v * scale, whole.mean().reshape(scale.shape)
            if slip == "not summed":
                return v * scale, whole
            return v * scale, whole.sum().reshape(scale.shape)

    return cast(Callable[..., Any], Scaled.apply)


def two_outputs(slip: str) -> Callable[..., Any]:
    """sin x and cos x."""

    class Both(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.sin(x), torch.cos(x)

        @staticmethod
        def backward(ctx: Any, v: Any, w: Any) -> Any:
            (x,) = ctx.saved_tensors
            if slip == "second output forgotten":
                return v * torch.cos(x)
            return v * torch.cos(x) - w * torch.sin(x)

    return cast(Callable[..., Any], Both.apply)


def scaled_attention(slip: str) -> Callable[..., Any]:
    """Causal attention of one head."""

    class Attention(Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, u: Any) -> Any:
            size = q.shape[-1] ** -0.5
            mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
            p = torch.softmax((q @ k.transpose(-1, -2) * size).masked_fill(~mask, float("-inf")), -1)
            ctx.save_for_backward(q, k, u, p)
            return p @ u

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            q, k, u, p = ctx.saved_tensors
            size = q.shape[-1] ** -0.5
            dp = v @ u.transpose(-1, -2)
            ds = p * (dp - (dp * p).sum(-1, keepdim=True))
            if slip == "softmax diagonal only":
                ds = p * (1 - p) * dp
            if slip == "scale forgotten":
                size = 1.0
            if slip == "last query left out":
                ds = ds.clone()
                ds[..., -1, :] = 0
            dq, dk, du = size * ds @ k, size * ds.transpose(-1, -2) @ q, p.transpose(-1, -2) @ v
            if slip == "dk of k":
                dk = size * ds.transpose(-1, -2) @ k
            if slip == "dv with p":
                du = p @ v
            return dq, dk, du

    return cast(Callable[..., Any], Attention.apply)


def dropped(slip: str) -> Callable[..., Any]:
    """Dropout with probability 0.4."""

    class Dropped(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            mask = (torch.rand_like(x) > 0.4).to(x.dtype)
            ctx.save_for_backward(mask)
            return x * mask / 0.6

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (mask,) = ctx.saved_tensors
            if slip == "mask forgotten":
                return v / 0.6
            if slip == "scale forgotten":
                return v * mask
            if slip == "mask drawn again":
                return v * (torch.rand_like(v) > 0.4).to(v.dtype) / 0.6
            return v * mask / 0.6

    return cast(Callable[..., Any], Dropped.apply)


def convolution(slip: str) -> Callable[..., Any]:
    """A one-dimensional convolution with kernels (out, in, k)."""

    class Convolution(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return torch.nn.functional.conv1d(x, w)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, w = ctx.saved_tensors
            k = w.shape[-1]
            windows = x.unfold(-1, k, 1)  # (batch, in, places, k)
            dw = torch.einsum("bop,bipk->oik", v, windows)
            if slip == "kernel flipped":
                dw = dw.flip(-1)
            if slip == "last place left out":
                dw = torch.einsum("bop,bipk->oik", v[..., :-1], windows[:, :, :-1])
            kernel = w if slip == "dx with the kernel unflipped" else w.flip(-1)
            dx = torch.nn.functional.conv1d(torch.nn.functional.pad(v, (k - 1, k - 1)), kernel.transpose(0, 1))
            return dx, dw

    return cast(Callable[..., Any], Convolution.apply)


LAYERS: dict[str, Layer] = {
    "linear": Layer(
        linear,
        lambda seed: _normal(seed, (6, 6), (6, 6), (6,)),
        {
            "dW doubled": (("factor",), (1,)),
            "dW over the batch": (("factor",), (1,)),
            "dW negative": (("sign",), (1,)),
            "db is a mean": (("bias-reduction", "factor"), (2,)),
            "db of the first example": (("bias-reduction", "unexplained"), (2,)),
            "dx with W^T": (("transposed", "unexplained", "wrong-cache"), (0,)),
            "dW transposed": (("transposed",), (1,)),
            "dW never computed": (("zero", "contract"), (1,)),
            "dW cut off": (("clipped", "cotangent"), (1,)),
            "dW in bfloat16": (("precision",), (1,)),
            "dW rows rolled": (("permuted",), (1,)),
            "dW without the last tile": (("region",), (1,)),
            "dx and dW exchanged": (("swapped",), (0, 1)),
            "dW without the last example": (("region", "unexplained"), (1,)),
        },
    ),
    "tanh": Layer(
        activation,
        lambda seed: _normal(seed, (5, 4)),
        {
            "derivative forgotten": (("activation-derivative", "unexplained"), (0,)),
            "at the wrong point": (("activation-derivative", "unexplained"), (0,)),
            "of the sigmoid": (("activation-derivative", "unexplained"), (0,)),
        },
    ),
    "leaky": Layer(
        leaky,
        lambda seed: _normal(seed, (5, 4)),
        {
            "slope forgotten": (("region", "activation-derivative", "unexplained", "factor"), (0,)),
            "another slope": (("region", "activation-derivative", "unexplained", "factor"), (0,)),
        },
    ),
    "softmax": Layer(
        softmax,
        lambda seed: _normal(seed, (5, 4)),
        {
            "diagonal only": (("other-loss", "activation-derivative", "missing-path", "unexplained"), (0,)),
            "without the sum": (("other-loss", "activation-derivative", "missing-path", "unexplained"), (0,)),
            "as of its logarithm": (("other-loss", "unexplained"), (0,)),
        },
    ),
    "norm": Layer(
        layer_norm,
        lambda seed: _normal(seed, (5, 6), (6,), (6,)),
        {
            "mean forgotten": (("missing-path", "unexplained"), (0,)),
            "variance forgotten": (("missing-path", "unexplained"), (0,)),
            "gain forgotten": (("missing-path", "wrong-cache", "unexplained"), (0,)),
            "dgain of x": (("wrong-cache", "unexplained"), (1,)),
            "gain and shift exchanged": (("swapped",), (1, 2)),
        },
    ),
    "rows": Layer(
        embedding,
        lambda seed: (*_normal(seed, (7, 3)), torch.tensor([1, 4, 1, 6, 0, 4, 1])),
        {
            "= for +=": (("overwritten", "region"), (0,)),
            "padding row not left out": (("region", "zero"), (0,)),
        },
    ),
    "scale": Layer(
        broadcast,
        lambda seed: _normal(seed, (5, 4), (1,)),
        {
            "mean for sum": (("factor", "bias-reduction", "unbroadcast"), (1,)),
            "not summed": (("unbroadcast", "contract"), ()),
        },
    ),
    "sine and cosine": Layer(
        two_outputs,
        lambda seed: _normal(seed, (5, 4)),
        {"second output forgotten": (("missing-path", "cotangent", "unexplained"), (0,))},
    ),
    "attention": Layer(
        scaled_attention,
        lambda seed: _normal(seed, (2, 5, 4), (2, 5, 4), (2, 5, 4)),
        {
            "softmax diagonal only": (("missing-path", "other-loss", "unexplained"), (0, 1)),
            "scale forgotten": (("factor",), (0, 1)),
            "last query left out": (("region", "unexplained"), (0, 1)),
            "dk of k": (("wrong-cache", "unexplained"), (1,)),
            "dv with p": (("transposed", "unexplained"), (2,)),
        },
    ),
    "dropout": Layer(
        dropped,
        lambda seed: _normal(seed, (6, 5)),
        {
            "mask forgotten": (("dropout", "region", "unexplained"), (0,)),
            "scale forgotten": (("dropout", "factor"), (0,)),
            "mask drawn again": (("dropout", "nondeterministic"), (0,)),
        },
    ),
    "convolution": Layer(
        convolution,
        lambda seed: _normal(seed, (3, 2, 8), (4, 2, 3)),
        {
            "kernel flipped": (("permuted",), (1,)),
            "last place left out": (("region", "unexplained"), (1,)),
            "dx with the kernel unflipped": (("permuted", "unexplained", "transposed"), (0,)),
        },
    ),
}
