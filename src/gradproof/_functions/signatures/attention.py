"""``other-loss`` and ``missing-path`` in attention: the derivative of the softmax inside, taken for another.

What a function computes is not asked: softmax(c Q K^T) V of three of its arrays is tried on the output, and believed
where its derivative is the measured one as well. The softmax lies between two products, so that no entry of the
Jacobian shows its derivative alone; gradients with the usual slips in it are held against the claim.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from gradproof._adapters.blocks import Block
from gradproof._functions.signatures.said import Array, Said, Scene, alike


@dataclass(frozen=True, eq=False)
class _Attention:
    """Three arrays that make the output.

    Attributes:
        places: which inputs Q, K and V are.
        q: (..., queries, features).
        k: (..., keys, features).
        v: (..., keys, values).
        p: the weights, (..., queries, keys).
        scale: c.
    """

    places: tuple[int, int, int]
    q: Array
    k: Array
    v: Array
    p: Array
    scale: float

    def gradient(self, slip: str, place: int, u: Array, shape: tuple[int, ...]) -> Array | None:
        """The gradient in one input for a cotangent, with a slip in the derivative of the softmax; None for V."""
        dp = u @ _flipped(self.v)
        s = self.p * dp
        ds = {
            "": s - self.p * s.sum(axis=-1, keepdims=True),
            "sigmoid": s * (1.0 - self.p),
            "sum": s,
            "axis": s - self.p * s.sum(axis=-2, keepdims=True),
        }[slip]
        if place == self.places[0]:
            return _summed(self.scale * ds @ self.k, shape)
        return _summed(self.scale * _flipped(ds) @ self.q, shape) if place == self.places[1] else None


def explain(scene: Scene) -> Said | None:
    """Whether the output is that of attention, and the softmax inside has another derivative."""
    if len(scene.blocks) != 1 or not scene.wrong:
        return None
    block, bench = scene.blocks[0], scene.bench
    k, shape = block.input, bench.values[block.input].shape
    rng = np.random.default_rng(53)
    us = [rng.standard_normal(bench.here[0].shape) for _ in range(2)]
    for model in _models(scene):
        if not _agrees(model.gradient("", k, us[0], shape), _back(block, us[0], shape)):
            continue
        claims = [bench.pulled(k, [u]) for u in us]
        for slip in ("sigmoid", "sum", "axis"):
            if all(_agrees(model.gradient(slip, k, u, shape), c) for u, c in zip(us, claims, strict=True)):
                return _said(slip)
    return None


def _said(slip: str) -> Said:
    fix = "Come back through the softmax with dS = P * (dP - sum of P * dP along the keys)."
    cause, detail, words, also = {
        "sigmoid": (
            "other-loss", "of a sigmoid in place of the softmax",
            "is that of attention whose weights are sigmoids of their own, dS = P (1 - P) dP",
            ("missing-path", "activation-derivative"),
        ),
        "sum": (
            "missing-path", "through the sum of the softmax",
            "lacks what goes through the sum that the softmax divides by: dS is P dP alone", ("other-loss",),
        ),
        "axis": (
            "other-loss", "of a softmax along another axis",
            "is that of a softmax along the queries: the sum of P dP is taken along the wrong axis", ("missing-path",),
        ),
    }[slip]  # fmt: skip
    return Said(cause, detail, f"The gradient of {{name}} {words}.", fix, also)


def _models(scene: Scene) -> Iterator[_Attention]:
    """Attention of three of the inputs that gives the output."""
    y = scene.bench.here[0]
    for places in permutations(range(len(scene.bench.values)), 3):
        q, k, v = (scene.bench.values[i] for i in places)
        if min(q.ndim, k.ndim, v.ndim) < 2 or k.ndim != v.ndim or not 0 <= q.ndim - k.ndim <= 1:
            continue
        if q.ndim > k.ndim:  # heads that share keys and values
            k, v = np.expand_dims(k, -3), np.expand_dims(v, -3)
        if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2] or y.shape != (*q.shape[:-1], v.shape[-1]):
            continue
        for scale in (q.shape[-1] ** -0.5, 1.0):
            for causal in (False, True):
                try:
                    p = _weights(scale * q @ _flipped(k), causal=causal)
                    fits = alike(p @ v, y)
                except ValueError:  # shapes that cannot be broadcast
                    continue
                if fits:
                    yield _Attention(places, q, k, v, p, scale)


def _weights(scores: Array, *, causal: bool) -> Array:
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], dtype=bool)), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _flipped(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array | None:
    """Summed over heads that share an array."""
    if gradient.ndim > len(shape):
        gradient = gradient.sum(axis=-3)
    return gradient if gradient.shape == shape else None


def _agrees(one: Array | None, other: Array) -> bool:
    return one is not None and alike(one, other)


def _back(block: Block, u: Array, shape: tuple[int, ...]) -> Array:
    """A cotangent times the measured Jacobian, as the input lies."""
    outputs = (*(b for _, b in block.lead), *block.rows)
    inputs = (*(a for a, _ in block.lead), *block.columns)
    first = len(block.lead)
    turned = np.transpose(u, outputs)
    flat = turned.reshape(int(np.prod(turned.shape[:first])), -1)
    found = np.einsum("lrc,lr->lc", block.stacked(block.measured), flat)
    return np.transpose(found.reshape([shape[a] for a in inputs]), np.argsort(inputs))
