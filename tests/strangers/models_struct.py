"""Structured models: two towers, graph convolution, strided convolution, tied autoencoder."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .case import Array, Case, build, on, sigmoid, softmax

Tower = list[dict[str, Array]]


def _tower(layers: Tower, x: Array) -> tuple[list[Array], Array, Array]:
    acts = [x]
    for k, layer in enumerate(layers):
        z = acts[-1] @ layer["W"] + layer["b"]
        acts.append(np.tanh(z) if k + 1 < len(layers) else z)
    norm = np.sqrt((acts[-1] ** 2).sum(1, keepdims=True))
    return acts, norm, acts[-1] / norm


def towers_cost(p: dict[str, Any], xu: Array, xi: Array) -> float:
    """In-batch softmax of cosines over a learnt temperature."""
    s = _tower(p["user"], xu)[2] @ _tower(p["item"], xi)[2].T * np.exp(p["log_t"])
    return float(-np.log(np.diag(softmax(s))).mean())


def _tower_back(layers: Tower, acts: list[Array], norm: Array, e: Array, d: Array, bug: str) -> Tower:
    if bug == "no-projection":
        d = d / norm
    elif bug == "no-norm":
        d = d - e * (d * e).sum(1, keepdims=True)
    else:
        d = (d - e * (d * e).sum(1, keepdims=True)) / norm
    out: Tower = []
    for k in reversed(range(len(layers))):
        if k + 1 < len(layers) and bug != f"no-tanh-{k}":
            d = d * (1 - acts[k + 1] ** 2)
        if bug == f"half-{k}":
            d = d / 2
        out.insert(0, {"W": acts[k].T @ d, "b": d.mean(0) if bug == f"b-mean-{k}" else d.sum(0)})
        d = d @ layers[k]["W"].T
    return out


def towers_grads(p: dict[str, Any], xu: Array, xi: Array, bug: str = "") -> dict[str, Any]:
    """Gradient by hand, nested as the parameters."""
    au, nu, eu = _tower(p["user"], xu)
    ai, ni, ei = _tower(p["item"], xi)
    t = np.exp(p["log_t"])
    q = softmax(eu @ ei.T * t)
    d = (q - np.eye(len(xu))) / len(xu)
    if bug == "symmetric-loss":
        d = 0.5 * (d + (softmax((eu @ ei.T * t).T).T - np.eye(len(xu))) / len(xu))
    scale = 1.0 if bug == "temperature-lost" else t
    du, di = scale * d @ ei, scale * d.T @ eu
    if bug == "item-untransposed":
        di = scale * d @ eu
    if bug == "item-detached":
        di = 0 * di
    ub, ib = (bug[5:] if bug.startswith("user-") else ""), (bug[5:] if bug.startswith("item-") else "")
    g: dict[str, Any] = {
        "user": _tower_back(p["user"], au, nu, eu, du, ub),
        "item": _tower_back(p["item"], ai, ni, ei, di, ib),
    }
    lt = (d * (eu @ ei.T)).sum() * (1 if bug == "natural-t" else t)
    g["log_t"] = np.asarray(-lt if bug == "t-sign" else lt)
    if bug == "towers-swapped":
        g["user"], g["item"] = g["item"], g["user"]
    if bug == "first-W-swapped":
        g["user"][1]["W"], g["item"][1]["W"] = g["item"][1]["W"], g["user"][1]["W"]
    return {k: g[k] for k in p}


class Graph(NamedTuple):
    """Weights of two graph convolutions and a readout."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array


def gcn_cost(p: Graph, a: Array, x: Array, y: Array, known: Array) -> float:
    """Cross-entropy over the known nodes."""
    h = np.tanh(a @ x @ p.first + p.first_bias)
    q = softmax(a @ h @ p.second + p.second_bias)
    return float(-(known * np.log(q[np.arange(len(x)), y])).sum() / known.sum())


def gcn_grads(p: Graph, a: Array, x: Array, y: Array, known: Array, bug: str = "") -> Graph:
    """Gradient by hand."""
    h = np.tanh(a @ x @ p.first + p.first_bias)
    q = softmax(a @ h @ p.second + p.second_bias)
    d = q.copy()
    d[np.arange(len(x)), y] -= 1
    d = (
        d / len(x)
        if bug == "all-unmasked"
        else d * known[:, None] / (len(x) if bug == "mean-all-nodes" else known.sum())
    )
    if bug == "mask-lost":
        d = (q - np.eye(q.shape[1])[y]) / known.sum()
    ah = h if bug == "no-propagation-W2" else a @ h
    second, bias2 = ah.T @ d, (a @ d).sum(0) if bug == "propagated-bias" else d.sum(0)
    back = {"adjacency-untransposed": a, "adjacency-lost": np.eye(len(a))}.get(bug, a.T)
    dh = back @ d @ p.second.T
    dz = dh * (1 if bug == "tanh-lost" else 1 - h**2)
    first = (x if bug == "no-propagation-W1" else a @ x).T @ dz
    return Graph(first, dz.sum(0), second, bias2)


@dataclass
class Conv:
    """A strided filter bank and a linear head."""

    kernel: Array
    offset: Array
    deep: Array
    deep_offset: Array
    head: Array


def _windows(x: Array, k: int, stride: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(x, k, axis=2)[:, :, ::stride]


def _conv_forward(p: Conv, x: Array) -> tuple[Array, Array, Array, Array, Array]:
    w1 = _windows(x, p.kernel.shape[2], 2)
    z1 = np.einsum("bctk,fck->bft", w1, p.kernel) + p.offset[:, None]
    h1 = z1 * sigmoid(z1)
    w2 = _windows(h1, p.deep.shape[2], 1)
    h2 = np.tanh(np.einsum("bctk,fck->bft", w2, p.deep) + p.deep_offset[:, None])
    return w1, z1, w2, h2, h2.mean(2) @ p.head


def conv_cost(p: Conv, x: Array, y: Array) -> float:
    """Mean squared error."""
    return float(((_conv_forward(p, x)[4] - y) ** 2).mean())


def conv_grads(p: Conv, x: Array, y: Array, bug: str = "") -> Conv:
    """Gradient by hand, overlapping windows added up."""
    w1, z1, w2, h2, out = _conv_forward(p, x)
    m, steps = len(x), h2.shape[2]
    d = 2 * (out - y) / m
    head = h2.mean(2).T @ d
    if bug == "head-max":
        head = h2.max(2).T @ d
    d2 = np.repeat(np.outer(d, p.head)[:, :, None], steps, 2) / (1 if bug == "pool-mean-lost" else steps)
    d2 = d2 * (1 - h2**2)
    if bug == "last-step-lost":
        d2[:, :, -1] = 0
    deep = np.einsum("bctk,bft->fck", w2, d2)
    if bug == "deep-flipped":
        deep = deep[:, :, ::-1]
    offset2 = d2.mean((0, 2)) if bug == "deep-offset-mean" else d2.sum((0, 2))
    if bug == "deep-offset-batch":
        offset2 = d2.mean(2).sum(0)
    dw = np.einsum("bft,fck->bctk", d2, p.deep[:, :, ::-1] if bug == "kernel-flipped" else p.deep)
    d1 = np.zeros_like(z1)
    for t in range(steps):
        k = p.deep.shape[2]
        if bug == "windows-assigned":
            d1[:, :, t : t + k] = dw[:, :, t]
        else:
            d1[:, :, t : t + k] += dw[:, :, t]
    s = sigmoid(z1)
    slope = {"swish-as-sigmoid": s * (1 - s), "swish-half": s, "swish-lost": np.ones_like(s)}.get(
        bug, s + z1 * s * (1 - s)
    )
    d1 = d1 * slope
    if bug == "stride-lost":
        w1 = _windows(x, p.kernel.shape[2], 1)[:, :, : d1.shape[2]]
    kernel = np.einsum("bctk,bft->fck", w1, d1)
    if bug == "kernel-tile":
        kernel[:, :, -1] = 0
    if bug == "kernel-axes":
        kernel = kernel.transpose(2, 1, 0) if kernel.shape[0] == kernel.shape[2] else kernel
    return Conv(kernel, d1.sum((0, 2)), deep, offset2, head)


def tied_fit(p: dict[str, Array], x: Array, alpha: float = 0.0) -> float:
    """Half squared reconstruction error per example."""
    h = sigmoid(x @ p["W"] + p["enc"])
    return float(0.5 * ((h @ p["W"].T + p["dec"] - x) ** 2).sum() / len(x))


def tied_decay(p: dict[str, Array], x: Array, alpha: float = 0.0) -> float:
    """Decay."""
    return float(alpha * (p["W"] ** 2).sum())


def tied_cost(p: dict[str, Array], x: Array, alpha: float = 0.0) -> float:
    """Autoencoder with one matrix used twice."""
    return tied_fit(p, x) + tied_decay(p, x, alpha)


def tied_grads(p: dict[str, Array], x: Array, alpha: float = 0.0, bug: str = "") -> dict[str, Array]:
    """Gradient by hand."""
    h = sigmoid(x @ p["W"] + p["enc"])
    d = h @ p["W"].T + p["dec"] - x
    d = d / (d.size if bug == "mean-over-all" else len(x))
    dz = (d @ p["W"]) * {"slope-of-h": sigmoid(h) * (1 - sigmoid(h)), "slope-lost": 1.0, "slope-tanh": 1 - h**2}.get(
        bug, h * (1 - h)
    )
    enc, dec = x.T @ dz, d.T @ h
    if bug == "dec-uses-x":
        enc = (x + d).T @ dz
    w = {"encoder-lost": dec, "decoder-lost": enc, "encoder-twice": 2 * enc + dec, "difference": enc - dec}.get(
        bug, enc + dec
    )
    w = w + {"decay-half": 1, "decay-lost": 0, "decay-twice": 4}.get(bug, 2) * alpha * p["W"]
    return {"W": w, "enc": dz.sum(0), "dec": d.sum() + 0 * p["dec"] if bug == "dec-total" else d.sum(0)}


def cases(seed: int) -> list[Case]:
    """All four models."""
    rng = np.random.default_rng(seed + 300)
    path, act, bias = "missing-path", "activation-derivative", "bias-reduction"

    def tower(sizes: list[int]) -> Tower:
        return [
            {"W": rng.normal(size=(a, b)) * 0.7, "b": rng.normal(size=b) * 0.3} for a, b in itertools.pairwise(sizes)
        ]

    p: dict[str, Any] = {"user": tower([3, 5, 5, 4]), "item": tower([6, 5, 5, 4]), "log_t": np.array(0.7)}
    xu, xi = rng.normal(size=(7, 3)), rng.normal(size=(7, 6))
    out = build(
        "two-towers",
        towers_cost,
        towers_grads,
        p,
        {
            "symmetric-loss": ("other-loss unexplained", ""),
            "temperature-lost": ("configuration factor parametrisation", path),
            "item-untransposed": ("transposed", ""),
            "item-detached": ("zero", path),
            "user-no-projection": (path, ""),
            "item-no-projection": (path, ""),
            "user-no-norm": ("unexplained", act),
            "item-no-tanh-1": (act, ""),
            "user-no-tanh-0": (act, ""),
            "user-half-1": ("factor", ""),
            "item-half-0": ("factor", ""),
            "item-b-mean-2": (bias, "factor"),
            "user-b-mean-0": (bias, "factor"),
            "natural-t": ("parametrisation", "factor unexplained"),
            "t-sign": ("sign", ""),
            "first-W-swapped": ("swapped", ""),
            "towers-swapped": ("swapped contract", ""),
        },
        data=(xu, xi),
        axis=0,
        rate=0.3,
    )
    n = 8
    adj = (rng.random((n, n)) < 0.4) + np.eye(n)
    adj = adj / adj.sum(1, keepdims=True)
    g = Graph(rng.normal(size=(4, 5)), rng.normal(size=5), rng.normal(size=(5, 3)), rng.normal(size=3))
    known = (np.arange(n) % 3 != 1).astype(float)
    out += build(
        "graph",
        gcn_cost,
        gcn_grads,
        g,
        {
            "all-unmasked": ("region other-loss unexplained", ""),
            "mean-all-nodes": ("factor", "other-loss"),
            "mask-lost": ("region other-loss unexplained", ""),
            "no-propagation-W2": ("wrong-cache", ""),
            "no-propagation-W1": ("wrong-cache", ""),
            "propagated-bias": ("unexplained", bias),
            "adjacency-untransposed": ("transposed", ""),
            "adjacency-lost": (path + " unexplained", ""),
            "tanh-lost": (act, ""),
        },
        data=(adj, rng.normal(size=(n, 4)), rng.integers(0, 3, n), known),
        axis=0,
        post={
            "second-permuted": (lambda q: q._replace(second=q.second[:, [2, 0, 1]]), "permuted", ""),
            "biases-doubled": (
                lambda q: q._replace(first_bias=2 * q.first_bias, second_bias=2 * q.second_bias),
                "factor",
                "",
            ),
            "tuple-instead": (lambda q: tuple(q), "", ""),
        },
    )
    c = Conv(
        rng.normal(size=(3, 2, 3)) * 0.7,
        rng.normal(size=3),
        rng.normal(size=(4, 3, 3)) * 0.6,
        rng.normal(size=4) * 0.5,
        rng.normal(size=4),
    )
    out += build(
        "conv",
        conv_cost,
        conv_grads,
        c,
        {
            "head-max": ("wrong-cache", ""),
            "pool-mean-lost": ("factor", ""),
            "last-step-lost": ("region", path),
            "deep-flipped": ("permuted", ""),
            "deep-offset-mean": (bias, "factor"),
            "deep-offset-batch": (bias, "factor"),
            "kernel-flipped": ("permuted transposed", ""),
            "windows-assigned": ("overwritten", path),
            "swish-as-sigmoid": (act, ""),
            "swish-half": (act, path),
            "swish-lost": (act, ""),
            "stride-lost": ("configuration wrong-cache", ""),
            "kernel-tile": ("region", ""),
            "kernel-axes": ("transposed permuted", ""),
        },
        data=(rng.normal(size=(5, 2, 13)), rng.normal(size=5)),
        axis=0,
    )
    p = {"W": rng.normal(size=(6, 3)) * 0.8, "enc": rng.normal(size=3), "dec": rng.normal(size=6)}
    out += build(
        "tied",
        tied_cost,
        tied_grads,
        p,
        {
            "mean-over-all": ("factor", "other-loss"),
            "slope-of-h": (act, ""),
            "slope-lost": (act, ""),
            "slope-tanh": (act, ""),
            "dec-uses-x": ("wrong-cache unexplained", ""),
            "encoder-lost": (path, ""),
            "decoder-lost": (path, ""),
            "encoder-twice": ("accumulated missing-path", ""),
            "difference": ("sign", path),
            "decay-half": ("regulariser", ""),
            "decay-lost": ("regulariser", path),
            "decay-twice": ("regulariser", ""),
            "dec-total": (bias, ""),
        },
        data=(rng.normal(size=(8, 6)),),
        axis=0,
        options={"alpha": 0.15},
        terms={"fit": tied_fit, "decay": tied_decay},
        post={
            "enc-sign": (on("enc", lambda a: -a), "sign", ""),
            "dec-one": (on("dec", lambda a: a * [1, 1, 3, 1, 1, 1]), "region", ""),
        },
    )
    for case in out:
        if case.name == "tuple-instead":
            case.expect = frozenset()
    return out
