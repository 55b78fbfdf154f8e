"""Elementwise functions, broadcasting, masks, numbers and None among the arguments, writing in place."""

from __future__ import annotations

import math
from typing import Any

import torch
from planted_kit import Operator, keeping, kept, rand


def softplus(x: Any, beta: Any) -> Any:
    return torch.log1p(torch.exp(-(beta * x).abs())) / beta + x.clamp(min=0)


def softplus_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, beta = kept(ctx)
    if slip == "beta forgotten":
        return v * torch.sigmoid(x), None
    if slip == "sign":
        return -v * torch.sigmoid(beta * x), None
    if slip == "beta outside":
        return beta * v * torch.sigmoid(beta * x), None
    if slip == "cotangent ignored":
        return torch.sigmoid(beta * x), None
    if slip == "one cotangent for all":
        return v.flatten()[0] * torch.sigmoid(beta * x), None
    return v * torch.sigmoid(beta * x), None


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    if slip == "at the output":
        x = gelu(x)
    t = torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    if slip == "first term only":
        return v * 0.5 * (1 + t)
    if slip == "cubic term":
        inner = math.sqrt(2 / math.pi) * (1 + 0.044715 * x**2)
    if slip == "derivative of relu":
        return v * (x > 0)
    return v * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


def elu(x: Any, alpha: Any) -> Any:
    return torch.where(x > 0, x, alpha * (torch.exp(x.clamp(max=0)) - 1))


def elu_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, alpha = kept(ctx)
    if slip == "alpha fixed":
        alpha = 1.0
    if slip == "z plus alpha":
        return torch.where(x > 0, v, v * (x + alpha)), None
    if slip == "zero below":
        return torch.where(x > 0, v, torch.zeros_like(v)), None
    if slip == "mask turned round":
        return torch.where(x < 0, v, v * alpha * torch.exp(x.clamp(max=0))), None
    if slip == "clipped":
        return torch.where(x > 0, v, v * alpha * torch.exp(x.clamp(max=0))).clamp(-0.5, 0.5), None
    return torch.where(x > 0, v, v * alpha * torch.exp(x.clamp(max=0))), None


def silu(x: Any) -> Any:
    return x * torch.sigmoid(x)


def silu_forward(ctx: Any, x: Any) -> Any:
    s = torch.sigmoid(x)
    y = x * s
    ctx.save_for_backward(x, s, y)
    return y


def silu_backward(ctx: Any, slip: Any, v: Any) -> Any:
    _x, s, y = ctx.saved_tensors
    if slip == "product rule forgotten":
        return v * s
    if slip == "sigmoid derivative of y":
        return v * y * (1 - y)
    if slip == "kept wrong":
        return v * (s + y * (1 - y))
    if slip == "in place":
        v.mul_(s + y * (1 - s))
        return v
    return v * (s + y * (1 - s))


def affine(x: Any, gain: Any, shift: Any) -> Any:
    return x * gain + shift


def affine_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, gain, shift = ctx.saved_tensors
    dgain, dshift = (v * x).sum(0, keepdim=True), v.sum(1, keepdim=True)
    if slip == "gain not summed":
        dgain = v * x
    if slip == "shift summed over the other axis":
        dshift = v.sum(0).reshape(-1, 1)[: shift.shape[0]].expand_as(shift)
    if slip == "shift mean":
        dshift = v.mean(1, keepdim=True)
    if slip == "gain total":
        dgain = (v * x).sum().expand_as(gain)
    if slip == "x not scaled":
        return v.clone(), dgain, dshift
    if slip == "gain without x":
        dgain = v.sum(0, keepdim=True)
    return v * gain, dgain, dshift


def clamp(x: Any, low: Any, high: Any) -> Any:
    return x.clamp(min=low, max=high)


def clamp_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, low, high = kept(ctx)
    inside = torch.ones_like(x, dtype=torch.bool)
    if low is not None and slip != "lower end forgotten":
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    if slip == "straight through":
        inside = torch.ones_like(inside)
    if slip == "outside":
        inside = ~inside
    return v * inside, None, None


def masked(mask: Any, x: Any, y: Any) -> Any:
    return torch.where(mask, x * y, x + torch.sin(y))


def masked_backward(ctx: Any, slip: Any, v: Any) -> Any:
    mask, x, y = ctx.saved_tensors
    if slip == "mask turned round":
        mask = ~mask
    dx = torch.where(mask, v * y, v)
    dy = torch.where(mask, v * x, v * torch.cos(y))
    if slip == "x and y exchanged":
        return None, dy, dx
    if slip == "no derivative of the sine":
        dy = torch.where(mask, v * x, v)
    if slip == "masked part dropped":
        dx = torch.where(mask, v * y, torch.zeros_like(v))
    return None, dx, dy


def power(x: Any, exponent: Any) -> Any:
    return x**exponent


def power_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, n = kept(ctx)
    if slip == "exponent forgotten":
        return v * x ** (n - 1), None
    if slip == "exponent not lowered":
        return v * n * x**n, None
    if slip == "two for every exponent":
        return v * 2 * x ** (n - 1), None
    if slip == "by the logarithm":
        return v * n * x ** (n - 1) * x, None
    return v * n * x ** (n - 1), None


def angle(y: Any, x: Any) -> Any:
    return torch.atan2(y, x)


def angle_backward(ctx: Any, slip: Any, v: Any) -> Any:
    y, x = ctx.saved_tensors
    square = x * x + y * y
    dy, dx = v * x / square, -v * y / square
    if slip == "sign":
        dx = -dx
    if slip == "arguments exchanged":
        dy, dx = dx, dy
    if slip == "root of the square":
        dy, dx = v * x / square.sqrt(), -v * y / square.sqrt()
    if slip == "none for x":
        return dy, None
    return dy, dx


def decay(x: Any, rate: Any) -> Any:
    return torch.exp(-rate * x)


def decay_forward(ctx: Any, x: Any, rate: Any) -> Any:
    x_before = x.clone()
    x.mul_(-rate).exp_()
    ctx.mark_dirty(x)
    ctx.rate = rate
    ctx.save_for_backward(x, x_before)
    return x


def decay_backward(ctx: Any, slip: Any, v: Any) -> Any:
    y, x = ctx.saved_tensors
    if slip == "input for output":
        return -ctx.rate * v * x, None
    if slip == "sign":
        return ctx.rate * v * y, None
    if slip == "rate forgotten":
        return -v * y, None
    return -ctx.rate * v * y, None


def dropout(x: Any, mask: Any, keep: Any) -> Any:
    return x * mask / keep


def dropout_backward(ctx: Any, slip: Any, v: Any) -> Any:
    _, mask, keep = kept(ctx)
    if slip == "not divided":
        return v * mask, None, None
    if slip == "divided twice":
        return v * mask / keep**2, None, None
    if slip == "mask forgotten":
        return v / keep, None, None
    if slip == "mask drawn again":
        return v * (torch.rand_like(v) < keep) / keep, None, None
    if slip == "mask rolled":
        return v * mask.roll(1, 0) / keep, None, None
    return v * mask / keep, None, None


def double(x: Any, w: Any) -> Any:
    return torch.sin(x * w) * w


def double_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w = ctx.saved_tensors
    if slip == "detached":
        return v * torch.cos(x.detach() * w) * w * w, (v * (torch.sin(x * w) + x * w * torch.cos(x * w))).sum(0)
    if slip == "weights detached":
        w_seen = w.detach()
        return v * torch.cos(x * w_seen) * w_seen * w_seen, (v * (torch.sin(x * w) + x * w * torch.cos(x * w))).sum(0)
    if slip == "product rule forgotten":
        return v * torch.cos(x * w) * w * w, (v * x * w * torch.cos(x * w)).sum(0)
    if slip == "factor":
        return 2 * v * torch.cos(x * w) * w * w, (v * (torch.sin(x * w) + x * w * torch.cos(x * w))).sum(0)
    return v * torch.cos(x * w) * w * w, (v * (torch.sin(x * w) + x * w * torch.cos(x * w))).sum(0)


def cached_exp(x: Any) -> Any:
    return torch.exp(x) + torch.exp(2 * x)


def cached_exp_forward(ctx: Any, x: Any) -> Any:
    e = torch.exp(x)
    ctx.e = e
    ctx.calls = 0
    ctx.sum = torch.zeros_like(x)
    return e + e * e


def cached_exp_backward(ctx: Any, slip: Any, v: Any) -> Any:
    if slip == "second call twice":
        ctx.sum += v * (ctx.e + 2 * ctx.e**2)
        return ctx.sum.clone()
    if slip == "cache spoiled":
        dx = v * (ctx.e + 2 * ctx.e**2)
        ctx.e.mul_(0.5)
        return dx
    if slip == "strides of x":
        dense = v.as_strided(ctx.e.shape, ctx.e.stride()) if v.numel() == ctx.e.numel() else v
        return dense * (ctx.e + 2 * ctx.e**2)
    if slip == "square's factor":
        return v * (ctx.e + ctx.e**2)
    return v * (ctx.e + 2 * ctx.e**2)


OPERATORS = (
    Operator(
        "softplus",
        softplus,
        keeping(softplus),
        softplus_backward,
        lambda g, n: (rand(g, n, 5), 2.5),
        {
            "beta forgotten": "configuration activation-derivative",
            "sign": "sign",
            "beta outside": "factor configuration",
            "cotangent ignored": "cotangent",
            "one cotangent for all": "cotangent",
        },
    ),
    Operator(
        "gelu",
        gelu,
        keeping(gelu),
        gelu_backward,
        lambda g, n: (rand(g, n, 2, 3),),
        {
            "at the output": "activation-derivative",
            "first term only": "missing-path activation-derivative",
            "cubic term": "activation-derivative",
            "derivative of relu": "activation-derivative",
        },
    ),
    Operator(
        "elu",
        elu,
        keeping(elu),
        elu_backward,
        lambda g, n: (rand(g, n, 6), 0.7),
        {
            "alpha fixed": "configuration activation-derivative",
            "z plus alpha": "activation-derivative",
            "zero below": "activation-derivative region",
            "mask turned round": "activation-derivative region",
            "clipped": "clipped",
        },
    ),
    Operator(
        "silu",
        silu,
        silu_forward,
        silu_backward,
        lambda g, n: (rand(g, n, 7),),
        {
            "product rule forgotten": "missing-path activation-derivative",
            "sigmoid derivative of y": "activation-derivative",
            "kept wrong": "activation-derivative wrong-cache",
            "in place": "aliasing",
        },
        laws=("in place",),
    ),
    Operator(
        "affine",
        affine,
        keeping(affine),
        affine_backward,
        lambda g, n: (rand(g, n, 4), rand(g, 1, 4), rand(g, n, 1)),
        {
            "gain not summed": "unbroadcast contract",
            "shift summed over the other axis": "bias-reduction unbroadcast",
            "shift mean": "factor bias-reduction",
            "gain total": "unbroadcast bias-reduction",
            "x not scaled": "missing-path unexplained",
            "gain without x": "wrong-cache",
        },
    ),
    Operator(
        "clamp",
        clamp,
        keeping(clamp),
        clamp_backward,
        lambda g, n: (rand(g, n, 8), -0.4, None),
        {
            "lower end forgotten": "region activation-derivative",
            "straight through": "region activation-derivative",
            "outside": "region activation-derivative zero",
        },
    ),
    Operator(
        "masked",
        masked,
        keeping(masked),
        masked_backward,
        lambda g, n: (torch.rand(n, 5, generator=g) < 0.6, rand(g, n, 5), rand(g, n, 5)),
        {
            "mask turned round": "region",
            "x and y exchanged": "swapped",
            "no derivative of the sine": "region activation-derivative",
            "masked part dropped": "region zero",
        },
    ),
    Operator(
        "power",
        power,
        keeping(power),
        power_backward,
        lambda g, n: (rand(g, n, 6), 3),
        {
            "exponent forgotten": "factor configuration",
            "exponent not lowered": "parametrisation activation-derivative",
            "two for every exponent": "factor configuration",
            "by the logarithm": "parametrisation",
        },
    ),
    Operator(
        "angle",
        angle,
        keeping(angle),
        angle_backward,
        lambda g, n: (rand(g, n, 4), rand(g, n, 4)),
        {
            "sign": "sign",
            "arguments exchanged": "swapped",
            "root of the square": "unexplained",
            "none for x": "zero contract",
        },
    ),
    Operator(
        "decay",
        decay,
        decay_forward,
        decay_backward,
        lambda g, n: (rand(g, n, 5), 0.8),
        {
            "input for output": "wrong-cache activation-derivative",
            "sign": "sign",
            "rate forgotten": "factor configuration",
        },
        clone=True,
    ),
    Operator(
        "dropout",
        dropout,
        keeping(dropout),
        dropout_backward,
        lambda g, n: (rand(g, n, 8), torch.rand(n, 8, generator=g) < 0.7, 0.7),
        {
            "not divided": "dropout factor configuration",
            "divided twice": "dropout factor configuration",
            "mask forgotten": "dropout region",
            "mask drawn again": "dropout nondeterministic",
            "mask rolled": "dropout region",
        },
    ),
    Operator(
        "double",
        double,
        keeping(double),
        double_backward,
        lambda g, n: (rand(g, n, 4), rand(g, 4)),
        {
            "detached": "double-backward",
            "weights detached": "double-backward",
            "product rule forgotten": "missing-path",
            "factor": "factor",
        },
        laws=("detached", "weights detached"),
        order=2,
    ),
    Operator(
        "cached exp",
        cached_exp,
        cached_exp_forward,
        cached_exp_backward,
        lambda g, n: (rand(g, n, 5),),
        {
            "second call twice": "accumulated not-reentrant",
            "cache spoiled": "not-reentrant aliasing",
            "strides of x": "layout",
            "square's factor": "activation-derivative",
        },
        laws=("second call twice", "cache spoiled", "strides of x"),
    ),
)
