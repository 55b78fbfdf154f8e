"""Reductions, normalisations, losses, pooling and several outputs."""

from __future__ import annotations

from typing import Any

import torch
from planted_kit import Operator, keeping, kept, rand


def logsumexp(x: Any, dim: Any, keepdim: Any) -> Any:
    return torch.logsumexp(x, dim=dim, keepdim=keepdim)


def logsumexp_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, dim, keepdim = kept(ctx)
    if not keepdim:
        v = v.unsqueeze(dim)
    if slip == "softmax of the other axis":
        return v * torch.softmax(x, dim=1 - dim), None, None
    if slip == "hard maximum":
        return v * (x == x.amax(dim, keepdim=True)), None, None
    if slip == "axis of the cotangent":
        return v.squeeze(dim).unsqueeze(1 - dim) * torch.softmax(x, dim=dim), None, None
    if slip == "mean":
        return v * torch.softmax(x, dim=dim) / x.shape[dim], None, None
    if slip == "cotangent ignored":
        return torch.softmax(x, dim=dim), None, None
    return v * torch.softmax(x, dim=dim), None, None


def variance(x: Any) -> Any:
    return x.var(dim=1, unbiased=True)


def variance_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    n = x.shape[1]
    centred = x - x.mean(1, keepdim=True)
    if slip == "biased":
        return v[:, None] * 2 * centred / n
    if slip == "not centred":
        return v[:, None] * 2 * x / (n - 1)
    if slip == "two forgotten":
        return v[:, None] * centred / (n - 1)
    if slip == "mean of the other axis":
        return v[:, None] * 2 * (x - x.mean(0, keepdim=True)) / (n - 1)
    return v[:, None] * 2 * centred / (n - 1)


def row_norm(x: Any) -> Any:
    return x.norm(dim=1)


def row_norm_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    size = x.norm(dim=1, keepdim=True)
    if slip == "not divided":
        return v[:, None] * x
    if slip == "divided by the square":
        return v[:, None] * x / size**2
    if slip == "norm of everything":
        return v[:, None] * x / x.norm()
    if slip == "unit cotangent":
        return x / size
    return v[:, None] * x / size


def product(x: Any) -> Any:
    return x.prod(dim=1)


def product_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    others = torch.stack([torch.cat([x[:, :j], x[:, j + 1 :]], 1).prod(1) for j in range(x.shape[1])], 1)
    if slip == "divided by x":
        return v[:, None] * x.prod(1, keepdim=True) / x
    if slip == "not divided":
        return v[:, None] * x.prod(1, keepdim=True).expand_as(x)
    if slip == "sum of others":
        return v[:, None] * (x.sum(1, keepdim=True) - x)
    return v[:, None] * others


def product_inputs(g: Any, n: Any) -> Any:
    x: Any = rand(g, n, 4)
    x[0, 1] = 0.0
    return (x,)


def row_maximum(x: Any) -> Any:
    return x.amax(dim=1)


def row_maximum_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    hit = (x == x.amax(1, keepdim=True)).to(x.dtype)
    if slip == "all of the row":
        return v[:, None].expand_as(x).clone()
    if slip == "minimum":
        return v[:, None] * (x == x.amin(1, keepdim=True))
    if slip == "softmax instead":
        return v[:, None] * torch.softmax(x, 1)
    return v[:, None] * hit / hit.sum(1, keepdim=True)


def length_mean(x: Any, lengths: Any) -> Any:
    inside = torch.arange(x.shape[1]) < lengths[:, None]
    return (x * inside[..., None]).sum(1) / lengths[:, None]


def length_mean_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, lengths = kept(ctx)
    inside = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
    if slip == "all steps":
        inside = torch.ones_like(inside)
    if slip == "longest length":
        return (v[:, None] * inside / x.shape[1]), None
    if slip == "not divided":
        return (v[:, None] * inside).to(v.dtype), None
    if slip == "first step only":
        dx = torch.zeros_like(x)
        dx[:, 0] = v / lengths[:, None]
        return dx, None
    return v[:, None] * inside / lengths[:, None, None], None


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5) * gamma + beta


def layer_norm_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, gamma, _beta = ctx.saved_tensors
    std = torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-5)
    xhat = (x - x.mean(-1, keepdim=True)) / std
    dgamma, dbeta = (v * xhat).sum(0), v.sum(0)
    d = v if slip == "gamma forgotten" else v * gamma
    mean_path, variance_path = d.mean(-1, keepdim=True), xhat * (d * xhat).mean(-1, keepdim=True)
    if slip == "mean path forgotten":
        mean_path = torch.zeros_like(mean_path)
    if slip == "variance path forgotten":
        variance_path = torch.zeros_like(variance_path)
    if slip == "gamma and beta exchanged":
        dgamma, dbeta = dbeta, dgamma
    if slip == "gamma from x":
        dgamma = (v * x).sum(0)
    dx = (d - mean_path - variance_path) / std
    if slip == "not divided":
        dx = d - mean_path - variance_path
    return dx, dgamma, dbeta


def batch_norm(x: Any, gamma: Any, beta: Any, eps: Any) -> Any:
    centred = x - x.mean(0)
    return centred / torch.sqrt((centred**2).mean(0) + eps) * gamma + beta


def batch_norm_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, gamma, _beta, eps = kept(ctx)
    m = x.shape[0]
    std = torch.sqrt(x.var(0, unbiased=False) + (0.0 if slip == "eps forgotten" else eps))
    xhat = (x - x.mean(0)) / std
    dgamma, dbeta = (v * xhat).sum(0), v.sum(0)
    if slip == "statistics as constants":
        return v * gamma / std, dgamma, dbeta, None
    if slip == "mean path forgotten":
        return gamma / std * (v - xhat * dgamma / m), dgamma, dbeta, None
    if slip == "one less":
        return gamma / std * (v - dbeta / (m - 1) - xhat * dgamma / (m - 1)), dgamma, dbeta, None
    if slip == "beta mean":
        return gamma / std * (v - dbeta / m - xhat * dgamma / m), dgamma, v.mean(0), None
    return gamma / std * (v - dbeta / m - xhat * dgamma / m), dgamma, dbeta, None


def rms_norm(x: Any, gamma: Any) -> Any:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gamma


def rms_norm_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, gamma = ctx.saved_tensors
    r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
    d = v * gamma
    dgamma = (v * x * r).flatten(0, -2).sum(0)
    if slip == "norm as a constant":
        return d * r, dgamma
    if slip == "sum for mean":
        return d * r - x * r**3 * (d * x).sum(-1, keepdim=True), dgamma
    if slip == "square for cube":
        return d * r - x * r**2 * (d * x).mean(-1, keepdim=True), dgamma
    if slip == "gamma not normalised":
        dgamma = (v * x).flatten(0, -2).sum(0)
    if slip == "gamma of the first example":
        dgamma = (v * x * r)[0].sum(0)
    return d * r - x * r**3 * (d * x).mean(-1, keepdim=True), dgamma


def unit_rows(x: Any) -> Any:
    return x / x.norm(dim=-1, keepdim=True)


def unit_rows_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    size = x.norm(dim=-1, keepdim=True)
    y = x / size
    if slip == "norm as a constant":
        return v / size
    if slip == "sign of the projection":
        return (v + y * (v * y).sum(-1, keepdim=True)) / size
    if slip == "not divided":
        return v - y * (v * y).sum(-1, keepdim=True)
    if slip == "x for y":
        return (v - x * (v * x).sum(-1, keepdim=True)) / size
    return (v - y * (v * y).sum(-1, keepdim=True)) / size


def softmax(x: Any) -> Any:
    return torch.softmax(x, -1)


def softmax_forward(ctx: Any, x: Any) -> Any:
    y = torch.softmax(x, -1)
    ctx.save_for_backward(y)
    return y


def softmax_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (y,) = ctx.saved_tensors
    if slip == "diagonal only":
        return v * y * (1 - y)
    if slip == "cross term forgotten":
        return v * y
    if slip == "sum over the batch":
        return y * (v - (v * y).sum(0, keepdim=True))
    if slip == "total sum":
        return y * (v - (v * y).sum())
    if slip == "mean for sum":
        return y * (v - (v * y).mean(-1, keepdim=True))
    return y * (v - (v * y).sum(-1, keepdim=True))


def cross_entropy(logits: Any, target: Any, weight: Any, ignore: Any) -> Any:
    logp = torch.log_softmax(logits, -1)
    use = target != ignore
    safe = torch.where(use, target, torch.zeros_like(target))
    w = weight[safe] * use
    return -(w * logp.gather(1, safe[:, None])[:, 0]).sum() / w.sum()


def cross_entropy_backward(ctx: Any, slip: Any, v: Any) -> Any:
    logits, target, weight, ignore = kept(ctx)
    weight = weight.to(logits.dtype)
    use = target != ignore
    safe = torch.where(use, target, torch.zeros_like(target))
    w = weight[safe] * use
    if slip == "class weights forgotten":
        w = torch.ones_like(w) * use
    p, hot = torch.softmax(logits, -1), torch.nn.functional.one_hot(safe, logits.shape[1])
    if slip == "softmax derivative twice":
        return v * (p - hot) * p * (1 - p) * w[:, None] / w.sum(), None, None, None
    if slip == "ignored rows kept":
        full = weight[safe]
        return v * (p - hot) * full[:, None] / w.sum(), None, None, None
    if slip == "divided by the batch":
        return v * (p - hot) * w[:, None] / len(target), None, None, None
    if slip == "target not taken off":
        return v * p * w[:, None] / w.sum(), None, None, None
    if slip == "cotangent ignored":
        return (p - hot) * w[:, None] / w.sum(), None, None, None
    return v * (p - hot) * w[:, None] / w.sum(), None, None, None


def cross_entropy_inputs(g: Any, n: Any) -> Any:
    target = torch.randint(0, 4, (n,), generator=g)
    if n > 1:
        target[1] = -100
    return rand(g, n, 4), target, torch.tensor([0.7, 1.1, 2.3, 1.6], dtype=torch.float64).numpy().tolist(), -100


def huber(x: Any, y: Any, delta: Any) -> Any:
    r = x - y
    return torch.where(r.abs() <= delta, 0.5 * r * r, delta * (r.abs() - 0.5 * delta)).mean()


def huber_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, y, delta = kept(ctx)
    r = x - y
    if slip == "delta fixed":
        delta = 2.0
    g = v * r.clamp(-delta, delta) / r.numel()
    if slip == "squared":
        g = v * r / r.numel()
    if slip == "absolute":
        g = v * delta * r.sign() / r.numel()
    if slip == "sum for mean":
        g = v * r.clamp(-delta, delta)
    if slip == "both the same sign":
        return g, g, None
    return g, -g, None


def divergence(logp: Any, q: Any) -> Any:
    return (q * (torch.log(q) - logp)).sum() / len(q)


def divergence_backward(ctx: Any, slip: Any, v: Any) -> Any:
    logp, q = ctx.saved_tensors
    dlogp, dq = -v * q / len(q), v * (torch.log(q) + 1 - logp) / len(q)
    if slip == "one forgotten":
        dq = v * (torch.log(q) - logp) / len(q)
    if slip == "not divided":
        dlogp = -v * q
    if slip == "target as a constant":
        return dlogp, None
    if slip == "log softmax assumed":
        dlogp = v * (torch.exp(logp) - q) / len(q)
    return dlogp, dq


def max_pool(x: Any, size: Any, stride: Any) -> Any:
    return x.unfold(-1, size, stride).amax(-1)


def max_pool_forward(ctx: Any, x: Any, size: Any, stride: Any) -> Any:
    windows = x.unfold(-1, size, stride)
    y, where = windows.max(-1)
    index = where + torch.arange(windows.shape[-2]) * stride
    ctx.save_for_backward(index)
    ctx.shape = x.shape
    return y


def max_pool_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (index,) = ctx.saved_tensors
    dx = v.new_zeros(ctx.shape)
    if slip == "assigned":
        return dx.scatter_(-1, index, v), None, None
    if slip == "one to the right":
        return dx.scatter_add_(-1, (index + 1) % ctx.shape[-1], v), None, None
    if slip == "last window forgotten":
        return dx.scatter_add_(-1, index[..., :-1], v[..., :-1]), None, None
    if slip == "mean over channels":
        return dx.scatter_add_(-1, index, v).mean(1, keepdim=True).expand(ctx.shape).clone(), None, None
    return dx.scatter_add_(-1, index, v), None, None


def average_pool(x: Any, size: Any) -> Any:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // size, size, w // size, size).mean((3, 5))


def average_pool_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, size = kept(ctx)
    spread = v.repeat_interleave(size, 2).repeat_interleave(size, 3)
    if slip == "not divided":
        return spread, None
    if slip == "divided once":
        return spread / size, None
    if slip == "tiled":
        return v.repeat(1, 1, size, size) / size**2, None
    if slip == "first of the window":
        dx = torch.zeros_like(x)
        dx[:, :, ::size, ::size] = v
        return dx, None
    return spread / size**2, None


def moments(x: Any) -> Any:
    return x.mean(1), torch.sqrt(x.var(1, unbiased=False) + 1e-3)


def moments_backward(ctx: Any, slip: Any, dmean: Any, dstd: Any) -> Any:
    (x,) = ctx.saved_tensors
    n = x.shape[1]
    mean, std = x.mean(1), torch.sqrt(x.var(1, unbiased=False) + 1e-3)
    first, second = dmean[:, None] / n, dstd[:, None] * (x - mean[:, None]) / (n * std[:, None])
    if slip == "second output ignored":
        return first.expand_as(x).clone()
    if slip == "first output ignored":
        return second
    if slip == "outputs exchanged":
        return dstd[:, None] / n + dmean[:, None] * (x - mean[:, None]) / (n * std[:, None])
    if slip == "std not divided":
        return first + dstd[:, None] * (x - mean[:, None]) / n
    return first + second


def polar(r: Any, theta: Any) -> Any:
    return r * torch.cos(theta), r * torch.sin(theta)


def polar_backward(ctx: Any, slip: Any, a: Any, b: Any) -> Any:
    r, theta = ctx.saved_tensors
    dr, dtheta = a * torch.cos(theta) + b * torch.sin(theta), r * (b * torch.cos(theta) - a * torch.sin(theta))
    if slip == "sign":
        dtheta = r * (b * torch.cos(theta) + a * torch.sin(theta))
    if slip == "radius forgotten":
        dtheta = b * torch.cos(theta) - a * torch.sin(theta)
    if slip == "y ignored":
        dr = a * torch.cos(theta)
    if slip == "exchanged":
        dr, dtheta = dtheta, dr
    return dr, dtheta


def binary(logits: Any, target: Any, positive: Any) -> Any:
    return (
        positive * target * torch.nn.functional.softplus(-logits) + (1 - target) * torch.nn.functional.softplus(logits)
    ).mean()


def binary_backward(ctx: Any, slip: Any, v: Any) -> Any:
    z, t, positive = kept(ctx)
    s = torch.sigmoid(z)
    if slip == "weight ignored":
        positive = 1.0
    g = v * ((1 - t) * s - positive * t * (1 - s)) / z.numel()
    if slip == "sigmoid derivative again":
        g = g * s * (1 - s)
    if slip == "mean over rows":
        g = g * z.shape[-1]
    if slip == "logits for probabilities":
        g = v * ((1 - t) * z - positive * t * (1 - z)) / z.numel()
    return g, None, None


REDUCTIONS = (
    Operator(
        "logsumexp",
        logsumexp,
        keeping(logsumexp),
        logsumexp_backward,
        lambda g, n: (rand(g, n, n), 1, False),
        {
            "softmax of the other axis": "other-loss transposed",
            "hard maximum": "other-loss region",
            "axis of the cotangent": "cotangent transposed unbroadcast",
            "mean": "factor",
            "cotangent ignored": "cotangent",
        },
    ),
    Operator(
        "variance",
        variance,
        keeping(variance),
        variance_backward,
        lambda g, n: (rand(g, n, 6) + 1,),
        {
            "biased": "factor",
            "not centred": "missing-path",
            "two forgotten": "factor",
            "mean of the other axis": "unexplained wrong-cache",
        },
    ),
    Operator(
        "row norm",
        row_norm,
        keeping(row_norm),
        row_norm_backward,
        lambda g, n: (rand(g, n, 3),),
        {
            "not divided": "other-loss activation-derivative",
            "divided by the square": "other-loss",
            "norm of everything": "other-loss",
            "unit cotangent": "cotangent",
        },
    ),
    Operator(
        "product",
        product,
        keeping(product),
        product_backward,
        product_inputs,
        {"divided by x": "singular contract", "not divided": "parametrisation", "sum of others": "other-loss"},
    ),
    Operator(
        "row maximum",
        row_maximum,
        keeping(row_maximum),
        row_maximum_backward,
        lambda g, n: (rand(g, n, 5),),
        {"all of the row": "region", "minimum": "region permuted", "softmax instead": "other-loss"},
    ),
    Operator(
        "length mean",
        length_mean,
        keeping(length_mean),
        length_mean_backward,
        lambda g, n: (rand(g, n, 6, 2), torch.tensor([3, 6, 2, 5][:n])),
        {
            "all steps": "region",
            "longest length": "factor region",
            "not divided": "factor region",
            "first step only": "region",
        },
    ),
    Operator(
        "layer norm",
        layer_norm,
        keeping(layer_norm),
        layer_norm_backward,
        lambda g, n: (rand(g, n, 5), rand(g, 5), rand(g, 5)),
        {
            "gamma forgotten": "missing-path",
            "mean path forgotten": "missing-path",
            "variance path forgotten": "missing-path",
            "gamma and beta exchanged": "swapped",
            "gamma from x": "wrong-cache",
            "not divided": "unexplained region factor",
        },
    ),
    Operator(
        "batch norm",
        batch_norm,
        keeping(batch_norm),
        batch_norm_backward,
        lambda g, n: (rand(g, n, 3), rand(g, 3), rand(g, 3), 0.1),
        {
            "statistics as constants": "missing-path",
            "mean path forgotten": "missing-path",
            "one less": "missing-path unexplained",
            "beta mean": "bias-reduction factor",
            "eps forgotten": "configuration stabiliser",
        },
        batched=False,
    ),
    Operator(
        "rms norm",
        rms_norm,
        keeping(rms_norm),
        rms_norm_backward,
        lambda g, n: (rand(g, n, 3, 4), rand(g, 4)),
        {
            "norm as a constant": "missing-path",
            "sum for mean": "missing-path",
            "square for cube": "missing-path",
            "gamma not normalised": "wrong-cache",
            "gamma of the first example": "bias-reduction",
        },
    ),
    Operator(
        "unit rows",
        unit_rows,
        keeping(unit_rows),
        unit_rows_backward,
        lambda g, n: (rand(g, n, 4),),
        {
            "norm as a constant": "missing-path",
            "sign of the projection": "missing-path sign",
            "not divided": "region factor",
            "x for y": "wrong-cache",
        },
    ),
    Operator(
        "softmax",
        softmax,
        softmax_forward,
        softmax_backward,
        lambda g, n: (rand(g, n, 5),),
        {
            "diagonal only": "other-loss",
            "cross term forgotten": "missing-path other-loss",
            "sum over the batch": "other-loss missing-path",
            "total sum": "other-loss missing-path",
            "mean for sum": "missing-path other-loss",
        },
    ),
    Operator(
        "cross entropy",
        lambda x, t, w, i: cross_entropy(x, t, torch.tensor(w, dtype=x.dtype), i),
        lambda ctx, x, t, w, i: keeping(cross_entropy)(ctx, x, t, torch.tensor(w, dtype=x.dtype), i),
        cross_entropy_backward,
        cross_entropy_inputs,
        {
            "class weights forgotten": "configuration other-loss region",
            "softmax derivative twice": "other-loss",
            "ignored rows kept": "region",
            "divided by the batch": "factor",
            "target not taken off": "region missing-path",
            "cotangent ignored": "cotangent factor",
        },
    ),
    Operator(
        "huber",
        huber,
        keeping(huber),
        huber_backward,
        lambda g, n: (rand(g, n, 4), rand(g, n, 4), 1.0),
        {
            "delta fixed": "region configuration",
            "squared": "other-loss region",
            "absolute": "other-loss region",
            "sum for mean": "factor",
            "both the same sign": "sign",
        },
    ),
    Operator(
        "divergence",
        divergence,
        keeping(divergence),
        divergence_backward,
        lambda g, n: (torch.log_softmax(rand(g, n, 4), -1), torch.softmax(rand(g, n, 4), -1)),
        {
            "one forgotten": "missing-path",
            "not divided": "factor",
            "target as a constant": "zero contract",
            "log softmax assumed": "other-loss",
        },
    ),
    Operator(
        "max pool",
        max_pool,
        max_pool_forward,
        max_pool_backward,
        lambda g, n: (rand(g, n, 2, 9), 3, 2),
        {
            "assigned": "overwritten",
            "one to the right": "permuted",
            "last window forgotten": "region",
            "mean over channels": "unexplained",
        },
    ),
    Operator(
        "average pool",
        average_pool,
        keeping(average_pool),
        average_pool_backward,
        lambda g, n: (rand(g, n, 2, 4, 6), 2),
        {"not divided": "factor", "divided once": "factor", "tiled": "permuted", "first of the window": "region"},
    ),
    Operator(
        "moments",
        moments,
        keeping(moments),
        moments_backward,
        lambda g, n: (rand(g, n, 5),),
        {
            "second output ignored": "missing-path",
            "first output ignored": "missing-path",
            "outputs exchanged": "cotangent swapped missing-path",
            "std not divided": "missing-path",
        },
    ),
    Operator(
        "polar",
        polar,
        keeping(polar),
        polar_backward,
        lambda g, n: (rand(g, n, 3), rand(g, n, 3)),
        {
            "sign": "missing-path sign",
            "radius forgotten": "parametrisation",
            "y ignored": "missing-path",
            "exchanged": "swapped",
        },
    ),
    Operator(
        "binary",
        binary,
        keeping(binary),
        binary_backward,
        lambda g, n: (rand(g, n, 3), (torch.rand(n, 3, generator=g) < 0.5).long(), 2.5),
        {
            "weight ignored": "configuration region",
            "sigmoid derivative again": "other-loss activation-derivative",
            "mean over rows": "factor",
            "logits for probabilities": "wrong-cache",
        },
    ),
)
