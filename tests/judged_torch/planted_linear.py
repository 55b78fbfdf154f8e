"""Matrix products, convolutions, attention, gathering and scattering, scans, complex numbers, linear algebra."""

from __future__ import annotations

import math
from typing import Any

import torch
from planted_kit import Operator, keeping, kept, rand


def dense(x: Any, w: Any, b: Any) -> Any:
    return torch.tanh(x @ w.t() + b)


def dense_forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
    y = torch.tanh(x @ w.t() + b)
    ctx.save_for_backward(x, w, y)
    return y


def dense_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w, y = ctx.saved_tensors
    d = v * (1 - y * y)
    if slip == "no derivative":
        d = v
    if slip == "derivative of the sigmoid":
        d = v * y * (1 - y)
    if slip == "divided by the batch":
        return d @ w, d.t() @ x / len(x), d.sum(0)
    if slip == "bias mean":
        return d @ w, d.t() @ x, d.mean(0)
    if slip == "bias total":
        return d @ w, d.t() @ x, d.sum().expand(w.shape[0])
    if slip == "weights transposed":
        return d @ w.t(), d.t() @ x, d.sum(0)
    if slip == "gradient transposed":
        return d @ w, x.t() @ d, d.sum(0)
    if slip == "weights None":
        return d @ w, None, d.sum(0)
    if slip == "half precision":
        return d @ w, (d.half().t() @ x.half()).to(w.dtype), d.sum(0)
    return d @ w, d.t() @ x, d.sum(0)


def mixed(x: Any, w: Any) -> Any:
    return torch.einsum("bti,oi->bto", x, w)


def mixed_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w = ctx.saved_tensors
    dx, dw = torch.einsum("bto,oi->bti", v, w), torch.einsum("bto,bti->oi", v, x)
    if slip == "first example":
        dw = torch.einsum("to,ti->oi", v[0], x[0])
    if slip == "last step forgotten":
        dw = torch.einsum("bto,bti->oi", v[:, :-1], x[:, :-1])
    if slip == "steps turned round":
        dw = torch.einsum("bto,bti->oi", v, x.flip(1))
    if slip == "weight decay":
        dw = dw + 0.1 * w
    if slip == "sign":
        dx = -dx
    return dx, dw


def bilinear(x: Any, w: Any, y: Any) -> Any:
    return ((x @ w) * y).sum(-1)


def bilinear_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w, y = ctx.saved_tensors
    dx, dw, dy = v[:, None] * (y @ w.t()), (v[:, None] * x).t() @ y, v[:, None] * (x @ w)
    if slip == "weights transposed":
        dx = v[:, None] * (y @ w)
    if slip == "gradient transposed":
        dw = dw.t()
    if slip == "x and y exchanged":
        dx, dy = dy, dx
    if slip == "x twice":
        dw = (v[:, None] * x).t() @ x
    if slip == "cotangent not squared out":
        dw = x.t() @ y
    return dx, dw, dy


def convolution(x: Any, w: Any, b: Any, stride: Any, padding: Any) -> Any:
    return torch.nn.functional.conv1d(x, w, b, stride=stride, padding=padding)


def convolution_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w, _b, stride, padding = kept(ctx)
    k = w.shape[-1]
    padded = torch.nn.functional.pad(x, (padding, padding))
    windows = padded.unfold(-1, k, stride)
    dw = torch.einsum("bot,bitk->oik", v, windows)
    kernel = w.flip(-1) if slip == "kernel flipped" else w
    dpadded = torch.zeros_like(padded)
    parts = torch.einsum("bot,oik->bitk", v, kernel)
    for t in range(v.shape[-1]):
        if slip == "assigned":
            dpadded[..., t * stride : t * stride + k] = parts[:, :, t]
        else:
            dpadded[..., t * stride : t * stride + k] += parts[:, :, t]
    dx = dpadded[..., padding : padded.shape[-1] - padding]
    db = v.sum((0, 2))
    if slip == "bias mean over steps":
        db = v.mean(2).sum(0)
    if slip == "border dropped":
        dx = dx.clone()
        dx[..., 0] = 0
    if slip == "last step forgotten":
        dw = torch.einsum("bot,bitk->oik", v[..., :-1], windows[:, :, :-1])
    return dx, dw, db, None, None


def batched(x: Any, w: Any) -> Any:
    return x @ w


def batched_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w = ctx.saved_tensors
    dx, dw = v @ w.transpose(-1, -2), (x.transpose(-1, -2) @ v).sum(0)
    if slip == "not summed":
        dw = x.transpose(-1, -2) @ v
    if slip == "mean":
        dw = (x.transpose(-1, -2) @ v).mean(0)
    if slip == "weights transposed":
        dx = v @ w
    if slip == "exchanged tiles":
        dw = torch.cat([dw[2:], dw[:2]])
    if slip == "last column zero":
        dw[:, -1] = 0
    return dx, dw


def attention(q: Any, k: Any, v: Any, causal: Any, scale: Any) -> Any:
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    return torch.softmax(scores, -1) @ v


def attention_backward(ctx: Any, slip: Any, d: Any) -> Any:
    q, k, v, causal, scale = kept(ctx)
    c = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q @ k.transpose(-1, -2) * c
    above = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    if causal and slip != "mask forgotten":
        scores = scores.masked_fill(above, -math.inf)
    p = torch.softmax(scores, -1)
    dv = p.transpose(-1, -2) @ d
    dp = d @ v.transpose(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdim=True))
    if slip == "softmax diagonal":
        ds = dp * p * (1 - p)
    if slip == "row sum forgotten":
        ds = dp * p
    dq, dk = ds @ k * c, ds.transpose(-1, -2) @ q * c
    if slip == "scale forgotten":
        dq, dk = dq / c, dk / c
    if slip == "keys not scaled":
        dk = dk / c
    if slip == "values not transposed":
        dv = p @ d
    if slip == "queries and keys exchanged":
        dq, dk = dk, dq
    return dq, dk, dv, None, None


def linear_attention(q: Any, k: Any, v: Any) -> Any:
    fq, fk = torch.exp(q), torch.exp(k)
    state = torch.cumsum(fk[..., :, None] * v[..., None, :], 1)
    size = (fq * torch.cumsum(fk, 1)).sum(-1, keepdim=True)
    return torch.einsum("btd,btde->bte", fq, state) / size


def linear_attention_backward(ctx: Any, slip: Any, d: Any) -> Any:
    q, k, v = ctx.saved_tensors
    fq, fk = torch.exp(q), torch.exp(k)
    state, keys = torch.cumsum(fk[..., :, None] * v[..., None, :], 1), torch.cumsum(fk, 1)
    size = (fq * keys).sum(-1, keepdim=True)
    out = torch.einsum("btd,btde->bte", fq, state) / size
    dsize = -(d * out).sum(-1, keepdim=True) / size
    if slip == "normaliser as a constant":
        dsize = torch.zeros_like(dsize)
    d = d / size
    dfq = torch.einsum("bte,btde->btd", d, state) + dsize * keys
    dstate = fq[..., :, None] * d[..., None, :]
    dkeys = dsize * fq
    if slip == "sum not turned round":
        dstate, dkeys = dstate.cumsum(1), dkeys.cumsum(1)
    else:
        dstate, dkeys = dstate.flip(1).cumsum(1).flip(1), dkeys.flip(1).cumsum(1).flip(1)
    dfk = torch.einsum("btde,bte->btd", dstate, v) + dkeys
    dv = torch.einsum("btde,btd->bte", dstate, fk)
    if slip == "exponential forgotten":
        return dfq, dfk * fk, dv
    if slip == "last step forgotten":
        dv = torch.cat([dv[:, :-1], torch.zeros_like(dv[:, -1:])], 1)
    return dfq * fq, dfk * fk, dv


def shared_heads(q: Any, k: Any, v: Any) -> Any:
    p = torch.softmax(torch.einsum("bhtd,bsd->bhts", q, k), -1)
    return torch.einsum("bhts,bse->bhte", p, v)


def shared_heads_backward(ctx: Any, slip: Any, d: Any) -> Any:
    q, k, v = ctx.saved_tensors
    p = torch.softmax(torch.einsum("bhtd,bsd->bhts", q, k), -1)
    dv = torch.einsum("bhts,bhte->bse", p, d)
    dp = torch.einsum("bhte,bse->bhts", d, v)
    ds = p * (dp - (dp * p).sum(-1, keepdim=True))
    dq, dk = torch.einsum("bhts,bsd->bhtd", ds, k), torch.einsum("bhts,bhtd->bsd", ds, q)
    if slip == "first head":
        dk = torch.einsum("bts,btd->bsd", ds[:, 0], q[:, 0])
    if slip == "mean over heads":
        dk, dv = dk / q.shape[1], dv / q.shape[1]
    if slip == "heads mixed up":
        dq = dq.flip(1)
    if slip == "sum over queries":
        dq = torch.einsum("bhts,bsd->bhtd", p * (dp - (dp * p).sum(-2, keepdim=True)), k)
    return dq, dk, dv


def embedding(table: Any, index: Any, padding: Any) -> Any:
    return table[index] * (index != padding)[..., None]


def embedding_backward(ctx: Any, slip: Any, v: Any) -> Any:
    table, index, padding = kept(ctx)
    flat, rows = index.reshape(-1), (v * (index != padding)[..., None]).reshape(-1, table.shape[1])
    if slip == "assigned":
        dtable = torch.zeros_like(table)
        dtable[flat] = rows
        return dtable, None, None
    if slip == "padding kept":
        rows = v.reshape(-1, table.shape[1])
    if slip == "next row":
        flat = (flat + 1) % len(table)
    if slip == "divided by the count":
        counts = torch.bincount(flat, minlength=len(table)).clamp(min=1)[:, None]
        return torch.zeros_like(table).index_add_(0, flat, rows) / counts, None, None
    return torch.zeros_like(table).index_add_(0, flat, rows), None, None


def messages(x: Any, w: Any, source: Any, target: Any) -> Any:
    return torch.zeros_like(x).index_add(0, target, x[source] * w[:, None])


def messages_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w, source, target = ctx.saved_tensors
    dw = (v[target] * x[source]).sum(1)
    sent = v[target] * w[:, None]
    if slip == "ends exchanged":
        sent, source = v[source] * w[:, None], target
    dx = torch.zeros_like(x)
    if slip == "assigned":
        dx[source] = sent
        return dx, dw, None, None
    if slip == "weights forgotten":
        sent = v[target]
    if slip == "degree":
        dw = dw / len(x)
    if slip == "weights by the target":
        dw = (v[target] * x[target]).sum(1)
    return dx.index_add_(0, source, sent), dw, None, None


def rolled(x: Any, w: Any, steps: Any) -> Any:
    return (x.roll(steps, 1) * w).transpose(0, 1)


def rolled_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w, steps = kept(ctx)
    v = v.transpose(0, 1)
    dw = (v * x.roll(steps, 1)).sum(0)
    if slip == "same direction":
        return (v * w).roll(steps, 1), dw, None
    if slip == "not rolled":
        return (v * w), dw, None
    if slip == "weight not rolled":
        return v.roll(-steps, 1) * w, dw, None
    if slip == "kept before the roll":
        dw = (v * x).sum(0)
    return (v * w).roll(-steps, 1), dw, None


def padded(x: Any, left: Any, right: Any) -> Any:
    return torch.nn.functional.pad(x, (left, right)) ** 2


def padded_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, left, right = kept(ctx)
    full = 2 * v * torch.nn.functional.pad(x, (left, right))
    if slip == "two forgotten":
        full = full / 2
    if slip == "one too far":
        return full[..., left + 1 : left + 1 + x.shape[-1]], None, None
    if slip == "last element lost":
        dx = full[..., left : left + x.shape[-1]].clone()
        dx[..., -1] = 0
        return dx, None, None
    return full[..., left : full.shape[-1] - right], None, None


def running_sum(x: Any) -> Any:
    return torch.cumsum(x, 1)


def running_sum_backward(ctx: Any, slip: Any, v: Any) -> Any:
    if slip == "not turned round":
        return v.cumsum(1)
    if slip == "first one left out":
        return v.flip(1).cumsum(1).flip(1) - v
    if slip == "total":
        return v.sum(1, keepdim=True).expand_as(v)
    if slip == "along the batch":
        return v.flip(0).cumsum(0).flip(0)
    return v.flip(1).cumsum(1).flip(1)


def scan(a: Any, x: Any, h0: Any) -> Any:
    h, states = h0, []
    for t in range(x.shape[1]):
        h = a[:, t] * h + x[:, t]
        states.append(h)
    return torch.stack(states, 1)


def scan_forward(ctx: Any, a: Any, x: Any, h0: Any) -> Any:
    y = scan(a, x, h0)
    ctx.save_for_backward(a, y, h0)
    return y


def scan_backward(ctx: Any, slip: Any, v: Any) -> Any:
    a, y, h0 = ctx.saved_tensors
    da, dx, carry = torch.zeros_like(a), torch.zeros_like(y), torch.zeros_like(h0)
    for t in reversed(range(y.shape[1])):
        if slip == "truncated" and t % 3 == 2:
            carry = torch.zeros_like(carry)
        if slip == "no carry":
            carry = torch.zeros_like(carry)
        carry = carry + v[:, t]
        dx[:, t] = carry
        before = y[:, t - 1] if t else (torch.zeros_like(h0) if slip == "first state forgotten" else h0)
        da[:, t] = carry * (y[:, t] if slip == "state after" else before)
        carry = carry * a[:, t - 1 if slip == "gate of the step before" and t else t]
    return da, dx, carry


def cell(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Any:
    gates = x @ w.t() + h @ u.t() + b
    i, f, g, o = gates.chunk(4, 1)
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(new), new


def cell_backward(ctx: Any, slip: Any, dh: Any, dc: Any) -> Any:
    x, h, c, w, u, b = ctx.saved_tensors
    gates = x @ w.t() + h @ u.t() + b
    i, f, g, o = gates.chunk(4, 1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    new = f * c + i * g
    t = torch.tanh(new)
    dnew = dc + dh * o * (1 - t * t)
    if slip == "cell cotangent ignored":
        dnew = dh * o * (1 - t * t)
    if slip == "path through the output ignored":
        dnew = dc
    do, df, di, dg = dh * t * o * (1 - o), dnew * c * f * (1 - f), dnew * g * i * (1 - i), dnew * i * (1 - g * g)
    if slip == "new cell for old":
        df = dnew * new * f * (1 - f)
    if slip == "gates exchanged":
        di, df = df, di
    if slip == "tanh gate as sigmoid":
        dg = dnew * i * g * (1 - g)
    d = torch.cat([di, df, dg, do], 1)
    if slip == "forget gate zero":
        d = torch.cat([di, torch.zeros_like(df), dg, do], 1)
    dw, du = d.t() @ x, d.t() @ h
    return d @ w, d @ u, dnew * f, dw, du, d.sum(0)


def complex_product(x: Any, w: Any) -> Any:
    return x @ w.t()


def complex_product_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w = ctx.saved_tensors
    if slip == "no conjugate of w":
        return v @ w, v.t() @ x.conj()
    if slip == "no conjugate of x":
        return v @ w.conj(), v.t() @ x
    if slip == "cotangent conjugated":
        return v.conj() @ w, v.conj().t() @ x
    if slip == "half":
        return v @ w.conj(), 0.5 * v.t() @ x.conj()
    return v @ w.conj(), v.t() @ x.conj()


def modulus(z: Any) -> Any:
    return z.abs()


def modulus_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (z,) = ctx.saved_tensors
    if slip == "conjugate":
        return v * z.conj() / z.abs()
    if slip == "half":
        return 0.5 * v * z / z.abs()
    if slip == "not divided":
        return v * z
    if slip == "real part only":
        return (v * z.real / z.abs()).to(z.dtype)
    return v * z / z.abs()


def rotated(z: Any, phase: Any) -> Any:
    return z * torch.exp(1j * phase)


def rotated_backward(ctx: Any, slip: Any, v: Any) -> Any:
    z, phase = ctx.saved_tensors
    turn = torch.exp(1j * phase)
    dphase = (v * (1j * z * turn).conj()).real
    if slip == "no conjugate":
        return v * turn, dphase
    if slip == "imaginary part":
        dphase = (v * (z * turn).conj()).real
    if slip == "sign":
        dphase = -dphase
    return v * turn.conj(), dphase


def spectrum(x: Any) -> Any:
    return torch.fft.rfft(x).abs() ** 2


def spectrum_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (x,) = ctx.saved_tensors
    n = x.shape[-1]
    z = torch.fft.rfft(x) * v * 2
    full = torch.zeros(*x.shape[:-1], n, dtype=z.dtype)
    full[..., : z.shape[-1]] = z
    dx = torch.fft.ifft(full).real * n
    if slip == "not times n":
        return torch.fft.ifft(full).real
    if slip == "inverse of the half":
        return torch.fft.irfft(z, n=n) * n
    if slip == "forward for inverse":
        return torch.fft.fft(full).real
    if slip == "two forgotten":
        return dx / 2
    return dx


def circular(x: Any, w: Any) -> Any:
    return torch.fft.ifft(torch.fft.fft(x) * torch.fft.fft(w)).real


def circular_backward(ctx: Any, slip: Any, v: Any) -> Any:
    x, w = ctx.saved_tensors
    fv, fx, fw = torch.fft.fft(v), torch.fft.fft(x), torch.fft.fft(w)
    dx, dw = torch.fft.ifft(fv * fw.conj()).real, torch.fft.ifft(fv * fx.conj()).real.sum(0)
    if slip == "no conjugate of w":
        dx = torch.fft.ifft(fv * fw).real
    if slip == "no conjugate of x":
        dw = torch.fft.ifft(fv * fx).real.sum(0)
    if slip == "kernel mean":
        dw = torch.fft.ifft(fv * fx.conj()).real.mean(0)
    if slip == "imaginary part":
        dx = torch.fft.ifft(fv * fw.conj()).imag
    return dx, dw


def near_identity(g: Any, n: Any, size: Any = 4) -> Any:
    return 0.3 * rand(g, n, size, size) + 2 * torch.eye(size, dtype=torch.float64)


def solution(a: Any, b: Any) -> Any:
    return torch.linalg.solve(a, b)


def solution_backward(ctx: Any, slip: Any, v: Any) -> Any:
    a, b = ctx.saved_tensors
    x = torch.linalg.solve(a, b)
    db = torch.linalg.solve(a.transpose(-1, -2), v)
    da = -db @ x.transpose(-1, -2)
    if slip == "not transposed":
        db = torch.linalg.solve(a, v)
        return -db @ x.transpose(-1, -2), db
    if slip == "sign":
        da = -da
    if slip == "outer product transposed":
        da = da.transpose(-1, -2)
    if slip == "right side for solution":
        da = -db @ b.transpose(-1, -2)
    if slip == "cotangent for its solution":
        da = -v @ x.transpose(-1, -2)
    return da, db


def inverse(a: Any) -> Any:
    return torch.linalg.inv(a)


def inverse_backward(ctx: Any, slip: Any, v: Any) -> Any:
    y = torch.linalg.inv(ctx.saved_tensors[0])
    t = y.transpose(-1, -2)
    if slip == "sign":
        return t @ v @ t
    if slip == "not transposed":
        return -y @ v @ y
    if slip == "one factor":
        return -t @ v
    if slip == "result transposed":
        return -(t @ v @ t).transpose(-1, -2)
    return -t @ v @ t


def root(a: Any) -> Any:
    return torch.linalg.cholesky((a + a.transpose(-1, -2)) / 2)


def root_forward(ctx: Any, a: Any) -> Any:
    factor = root(a)
    ctx.save_for_backward(factor)
    return factor


def root_backward(ctx: Any, slip: Any, v: Any) -> Any:
    (low,) = ctx.saved_tensors
    phi = (low.transpose(-1, -2) @ v.tril()).tril()
    if slip != "diagonal not halved":
        phi = phi - 0.5 * torch.diag_embed(phi.diagonal(dim1=-2, dim2=-1))
    if slip == "triangle forgotten":
        phi = low.transpose(-1, -2) @ v.tril()
        phi = phi - 0.5 * torch.diag_embed(phi.diagonal(dim1=-2, dim2=-1))
    inner = torch.linalg.solve(low.transpose(-1, -2), phi)
    s = torch.linalg.solve(low.transpose(-1, -2), inner.transpose(-1, -2)).transpose(-1, -2)
    if slip == "not symmetrised":
        return s
    if slip == "both added":
        return s + s.transpose(-1, -2)
    if slip == "lower half":
        return (0.5 * (s + s.transpose(-1, -2))).tril()
    return 0.5 * (s + s.transpose(-1, -2))


def positive(g: Any, n: Any) -> Any:
    a: Any = rand(g, n, 4, 4)
    return (a @ a.transpose(-1, -2) + 2 * torch.eye(4, dtype=torch.float64),)


def logarithm(a: Any) -> Any:
    return torch.linalg.slogdet(a)[1]


def logarithm_backward(ctx: Any, slip: Any, v: Any) -> Any:
    inverted = torch.linalg.inv(ctx.saved_tensors[0])
    d = v[:, None, None] * inverted.transpose(-1, -2)
    if slip == "not transposed":
        return v[:, None, None] * inverted
    if slip == "sign":
        return -d
    if slip == "cotangent mean":
        return v.mean() * inverted.transpose(-1, -2)
    if slip == "determinant":
        return d * torch.linalg.det(ctx.saved_tensors[0])[:, None, None]
    return d


def triangular(low: Any, b: Any) -> Any:
    return torch.linalg.solve_triangular(low.tril(), b, upper=False)


def triangular_backward(ctx: Any, slip: Any, v: Any) -> Any:
    low, b = ctx.saved_tensors
    low = low.tril()
    x = torch.linalg.solve_triangular(low, b, upper=False)
    db = torch.linalg.solve_triangular(low.transpose(-1, -2), v, upper=True)
    dlow = -(db @ x.transpose(-1, -2)).tril()
    if slip == "triangle kept full":
        dlow = -(db @ x.transpose(-1, -2))
    if slip == "diagonal lost":
        dlow = dlow.tril(-1)
    if slip == "not transposed":
        db = torch.linalg.solve_triangular(low, v, upper=False)
    if slip == "other triangle":
        dlow = dlow.transpose(-1, -2)
    return dlow, db


def edges(g: Any, n: Any) -> Any:
    return rand(g, 5, 3), rand(g, 9), torch.randint(0, 5, (9,), generator=g), torch.randint(0, 5, (9,), generator=g)


def complex_rand(g: Any, *shape: Any) -> Any:
    return torch.complex(rand(g, *shape), rand(g, *shape))


LINEAR = (
    Operator(
        "dense",
        dense,
        dense_forward,
        dense_backward,
        lambda g, n: (rand(g, n, n), rand(g, n, n), rand(g, n)),
        {
            "no derivative": "activation-derivative upstream",
            "derivative of the sigmoid": "activation-derivative upstream",
            "divided by the batch": "factor",
            "bias mean": "bias-reduction factor",
            "bias total": "bias-reduction",
            "weights transposed": "transposed",
            "gradient transposed": "transposed",
            "weights None": "zero contract",
            "half precision": "precision",
        },
    ),
    Operator(
        "mixed",
        mixed,
        keeping(mixed),
        mixed_backward,
        lambda g, n: (rand(g, n, 3, 4), rand(g, 2, 4)),
        {
            "first example": "bias-reduction missing-path region",
            "last step forgotten": "missing-path",
            "steps turned round": "wrong-cache permuted",
            "weight decay": "regulariser",
            "sign": "sign",
        },
    ),
    Operator(
        "bilinear",
        bilinear,
        keeping(bilinear),
        bilinear_backward,
        lambda g, n: (rand(g, n, 4), rand(g, 4, 4), rand(g, n, 4)),
        {
            "weights transposed": "transposed",
            "gradient transposed": "transposed",
            "x and y exchanged": "swapped",
            "x twice": "wrong-cache",
            "cotangent not squared out": "cotangent",
        },
    ),
    Operator(
        "convolution",
        convolution,
        keeping(convolution),
        convolution_backward,
        lambda g, n: (rand(g, n, 2, 9), rand(g, 3, 2, 3), rand(g, 3), 2, 1),
        {
            "kernel flipped": "permuted wrong-cache transposed",
            "assigned": "overwritten",
            "bias mean over steps": "factor bias-reduction",
            "border dropped": "region",
            "last step forgotten": "missing-path",
        },
    ),
    Operator(
        "batched",
        batched,
        keeping(batched),
        batched_backward,
        lambda g, n: (rand(g, n, 3, 4), rand(g, 4, 4)),
        {
            "not summed": "unbroadcast contract",
            "mean": "factor bias-reduction",
            "weights transposed": "transposed",
            "exchanged tiles": "permuted",
            "last column zero": "region zero",
        },
    ),
    Operator(
        "attention",
        attention,
        keeping(attention),
        attention_backward,
        lambda g, n: (rand(g, n, 2, 4, 3), rand(g, n, 2, 4, 3), rand(g, n, 2, 4, 3), True, None),
        {
            "mask forgotten": "region other-loss",
            "softmax diagonal": "other-loss",
            "row sum forgotten": "missing-path other-loss",
            "scale forgotten": "factor configuration",
            "keys not scaled": "factor configuration",
            "values not transposed": "transposed",
            "queries and keys exchanged": "swapped",
        },
    ),
    Operator(
        "linear attention",
        linear_attention,
        keeping(linear_attention),
        linear_attention_backward,
        lambda g, n: (rand(g, n, 4, 3), rand(g, n, 4, 3), rand(g, n, 4, 2)),
        {
            "normaliser as a constant": "missing-path",
            "sum not turned round": "permuted unexplained",
            "exponential forgotten": "parametrisation activation-derivative",
            "last step forgotten": "region zero",
        },
    ),
    Operator(
        "shared heads",
        shared_heads,
        keeping(shared_heads),
        shared_heads_backward,
        lambda g, n: (rand(g, n, 3, 4, 2), rand(g, n, 4, 2), rand(g, n, 4, 2)),
        {
            "first head": "unbroadcast missing-path",
            "mean over heads": "factor",
            "heads mixed up": "permuted",
            "sum over queries": "other-loss",
        },
    ),
    Operator(
        "embedding",
        embedding,
        keeping(embedding),
        embedding_backward,
        lambda g, n: (
            rand(g, 7, 3),
            torch.cat([torch.randint(0, 7, (n, 4), generator=g), torch.tensor([[2, 2, 3, 0]])]),
            0,
        ),
        {
            "assigned": "overwritten",
            "padding kept": "region",
            "next row": "permuted",
            "divided by the count": "region factor",
        },
    ),
    Operator(
        "messages",
        messages,
        keeping(messages),
        messages_backward,
        edges,
        {
            "ends exchanged": "transposed permuted",
            "assigned": "overwritten",
            "weights forgotten": "missing-path wrong-cache",
            "degree": "factor",
            "weights by the target": "wrong-cache",
        },
        batched=False,
    ),
    Operator(
        "rolled",
        rolled,
        keeping(rolled),
        rolled_backward,
        lambda g, n: (rand(g, n, 5), rand(g, 5), 2),
        {
            "same direction": "permuted",
            "not rolled": "permuted",
            "weight not rolled": "wrong-cache unexplained",
            "kept before the roll": "wrong-cache",
        },
    ),
    Operator(
        "padded",
        padded,
        keeping(padded),
        padded_backward,
        lambda g, n: (rand(g, n, 5), 2, 1),
        {"two forgotten": "factor", "one too far": "permuted", "last element lost": "region zero"},
    ),
    Operator(
        "running sum",
        running_sum,
        lambda ctx, x: running_sum(x),
        running_sum_backward,
        lambda g, n: (rand(g, n, n),),
        {
            "not turned round": "permuted transposed unexplained",
            "first one left out": "missing-path",
            "total": "unexplained cotangent",
            "along the batch": "transposed unexplained",
        },
    ),
    Operator(
        "scan",
        scan,
        scan_forward,
        scan_backward,
        lambda g, n: (torch.sigmoid(rand(g, n, 6, 2)), rand(g, n, 6, 2), rand(g, n, 2)),
        {
            "truncated": "truncated",
            "no carry": "missing-path truncated",
            "first state forgotten": "region zero",
            "state after": "wrong-cache",
            "gate of the step before": "wrong-cache",
        },
    ),
    Operator(
        "cell",
        cell,
        keeping(cell),
        cell_backward,
        lambda g, n: (rand(g, n, 2), rand(g, n, 3), rand(g, n, 3), rand(g, 12, 2), rand(g, 12, 3), rand(g, 12)),
        {
            "cell cotangent ignored": "missing-path",
            "path through the output ignored": "missing-path",
            "new cell for old": "wrong-cache",
            "gates exchanged": "permuted swapped wrong-cache",
            "tanh gate as sigmoid": "activation-derivative",
            "forget gate zero": "region zero",
        },
    ),
    Operator(
        "complex product",
        complex_product,
        keeping(complex_product),
        complex_product_backward,
        lambda g, n: (complex_rand(g, n, 3), complex_rand(g, 2, 3)),
        {
            "no conjugate of w": "conjugate",
            "no conjugate of x": "conjugate",
            "cotangent conjugated": "conjugate",
            "half": "factor",
        },
    ),
    Operator(
        "modulus",
        modulus,
        keeping(modulus),
        modulus_backward,
        lambda g, n: (complex_rand(g, n, 4),),
        {"conjugate": "conjugate", "half": "factor", "not divided": "other-loss", "real part only": "region conjugate"},
    ),
    Operator(
        "rotated",
        rotated,
        keeping(rotated),
        rotated_backward,
        lambda g, n: (complex_rand(g, n, 3), rand(g, n, 3)),
        {"no conjugate": "conjugate", "imaginary part": "conjugate", "sign": "sign"},
    ),
    Operator(
        "spectrum",
        spectrum,
        keeping(spectrum),
        spectrum_backward,
        lambda g, n: (rand(g, n, 6),),
        {
            "not times n": "factor",
            "inverse of the half": "factor unexplained",
            "forward for inverse": "permuted",
            "two forgotten": "factor",
        },
    ),
    Operator(
        "circular",
        circular,
        keeping(circular),
        circular_backward,
        lambda g, n: (rand(g, n, 5), rand(g, 5)),
        {
            "no conjugate of w": "permuted wrong-cache conjugate",
            "no conjugate of x": "permuted wrong-cache conjugate",
            "kernel mean": "factor bias-reduction",
            "imaginary part": "zero",
        },
    ),
    Operator(
        "solution",
        solution,
        keeping(solution),
        solution_backward,
        lambda g, n: (near_identity(g, n), rand(g, n, 4, 2)),
        {
            "not transposed": "transposed",
            "sign": "sign",
            "outer product transposed": "transposed",
            "right side for solution": "wrong-cache",
            "cotangent for its solution": "wrong-cache",
        },
    ),
    Operator(
        "inverse",
        inverse,
        keeping(inverse),
        inverse_backward,
        lambda g, n: (near_identity(g, n),),
        {
            "sign": "sign",
            "not transposed": "transposed",
            "one factor": "unexplained missing-path",
            "result transposed": "transposed",
        },
    ),
    Operator(
        "cholesky",
        root,
        root_forward,
        root_backward,
        lambda g, n: positive(g, n),
        {
            "diagonal not halved": "unexplained region",
            "triangle forgotten": "unexplained region",
            "not symmetrised": "unexplained",
            "both added": "factor",
            "lower half": "region",
        },
    ),
    Operator(
        "log determinant",
        logarithm,
        keeping(logarithm),
        logarithm_backward,
        lambda g, n: (near_identity(g, n),),
        {"not transposed": "transposed", "sign": "sign", "cotangent mean": "cotangent", "determinant": "other-loss"},
    ),
    Operator(
        "triangular",
        triangular,
        keeping(triangular),
        triangular_backward,
        lambda g, n: (near_identity(g, n), rand(g, n, 4, 2)),
        {
            "triangle kept full": "region",
            "diagonal lost": "region",
            "not transposed": "transposed",
            "other triangle": "transposed",
        },
    ),
)
