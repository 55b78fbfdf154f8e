"""``wrong-cache``, ``missing-path``, ``transposed``: where the Jacobian has one array as a factor, the claim another.

Entry by entry, claimed / measured is A / B for two arrays at hand, inputs or outputs, each laid along axes of the
Jacobian: the backward pass multiplies by A where it should by B. A of ones says that B was left out; A and B the same
array with its axes the other way round, that it was transposed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from gradproof._adapters.blocks import SAME, Block
from gradproof._functions.signatures.said import Array, Said, Scene

#: Entries that are looked at first, and least of them that have to agree.
FIRST, LEAST = 48, 6
#: Of the wrong entries so many, as a share, must not be next to zero.
SURE = 0.5
#: What is smaller is zero.
FLAT = 1e-12
#: Ways to lay one array along the axes of a Jacobian that are tried.
WAYS = 24
#: Arrays laid along axes that are tried in all.
MOST = 160


@dataclass(frozen=True, eq=False)
class _Laid:
    """An array laid along axes of a Jacobian.

    Attributes:
        name: the array's name; "" for ones.
        axes: for each of its axes that of the Jacobian.
        shift: how far it is moved along its last such axis, in words; "" for not at all.
        values: it, along all entries; NaN where there is none.
    """

    name: str
    axes: tuple[int, ...]
    shift: str
    values: Array


def explain(scene: Scene) -> Said | None:
    """Whether another array was used."""
    found: list[tuple[_Laid, _Laid]] = []
    mended = []
    for block in scene.wrong:
        pair = _pair(scene, block)
        if pair is None:
            return None
        found.append(pair)
        used, right = pair
        with np.errstate(all="ignore"):
            better = np.where(block.off, block.claimed * right.values / used.values, block.claimed)
        mended.append(better)
    if not found or len({(a.name, a.shift, b.name, b.shift) for a, b in found}) != 1:
        return None
    known = all(np.all(np.isfinite(part)) for part in mended)
    return _said(*found[0], tuple(mended) if known else ())


def _said(used: _Laid, right: _Laid, mended: tuple[Array, ...]) -> Said:
    if not used.name:
        return Said(
            "missing-path", f"{right.name} left out",
            f"The gradient of {{name}} is not multiplied by {right.name}.", f"Multiply it by {right.name}.",
            ("wrong-cache", "activation-derivative", "parametrisation"), mended,
        )  # fmt: skip
    if used.name == right.name and set(used.axes) == set(right.axes) and not used.shift + right.shift:
        return Said(
            "transposed", f"{used.name}", f"The gradient of {{name}} is computed with the transpose of {used.name}.",
            f"Use {used.name} the other way round.", ("wrong-cache",), mended,
        )  # fmt: skip
    taken = f"{used.name}{used.shift}"
    belongs = f"{right.name}{right.shift}"
    if taken == belongs:
        taken += " of another place"
    return Said(
        "wrong-cache", f"{taken} for {belongs}",
        f"The gradient of {{name}} is computed with {taken} where {belongs} belongs.", f"Use {belongs}.", (), mended,
    )  # fmt: skip


def _pair(scene: Scene, block: Block) -> tuple[_Laid, _Laid] | None:
    """(used, right) that make all wrong entries what they are."""
    off = np.flatnonzero(block.off & (np.abs(block.measured) > SAME * block.size))
    if len(off) < LEAST or len(off) < SURE * int(block.off.sum()):
        return None
    ratio = block.claimed.reshape(-1)[off] / block.measured.reshape(-1)[off]
    if np.ptp(ratio) <= SAME * float(np.max(np.abs(ratio))):
        return None
    laid = _candidates(scene, block)
    some = np.random.default_rng(41).choice(len(off), min(FIRST, len(off)), replace=False)
    few = np.stack([array.values.reshape(-1)[off[some]] for array in laid])
    order = sorted(
        ((i, j) for i in range(len(laid)) for j in range(len(laid)) if i != j),
        key=lambda pair: (bool(laid[pair[0]].name), bool(laid[pair[0]].shift) + bool(laid[pair[1]].shift)),
    )
    with np.errstate(all="ignore"):
        needed = few * ratio[some]  # by row: what A must be where B is this array
        for j in range(len(laid)):
            near = np.abs(few - needed[j]) <= 10.0 * SAME * (np.abs(few) + np.abs(needed[j]))
            known = np.isfinite(few) & np.isfinite(needed[j])
            fits = np.all(near | ~known, axis=1) & (known.sum(axis=1) >= max(LEAST, len(some) // 2))
            few_fit = set(np.flatnonzero(fits).tolist())
            order = [pair for pair in order if pair[1] != j or pair[0] in few_fit]
        for i, j in order:
            used, right = laid[i], laid[j]
            if not right.name:
                continue  # a factor too many may come from anywhere
            if _everywhere(used, right, block):
                return used, right
    return None


def _everywhere(used: _Laid, right: _Laid, block: Block) -> bool:
    """Whether claimed x B is measured x A in all wrong entries."""
    a, b = used.values[block.off], right.values[block.off]
    known = np.isfinite(a) & np.isfinite(b) & ((np.abs(a) > FLAT) | (np.abs(b) > FLAT))
    one, other = block.claimed[block.off] * b, block.measured[block.off] * a
    near = np.abs(one - other) <= SAME * block.size * (np.abs(a) + np.abs(b))
    if not np.all(near | ~known) or known.sum() < max(LEAST, len(a) // 2):
        return False
    return all(_varies(used, right, axis) for axis in {*used.axes, *right.axes})


def _varies(used: _Laid, right: _Laid, axis: int) -> bool:
    """Whether the ratio of two arrays changes along an axis; where not, another array stands for it."""
    with np.errstate(all="ignore"):
        ratio = used.values / right.values
    known = np.isfinite(ratio)
    highest, lowest = (np.where(known, ratio, away) for away in (-np.inf, np.inf))
    spread = highest.max(axis=axis) - lowest.min(axis=axis)  # minus infinity where nothing is known
    return bool(np.any(spread > SAME * np.where(known, np.abs(ratio), 0.0).max(axis=axis)))


def _candidates(scene: Scene, block: Block) -> list[_Laid]:
    """Ones and all inputs and outputs, along all axes that fit."""
    bench, shape = scene.bench, block.measured.shape
    found = [_Laid("", (), "", np.ones(shape))]
    arrays = [*zip(scene.inputs, bench.values, strict=True), *zip(scene.outputs, bench.here, strict=True)]
    for shifted in (False, True):
        for name, array in arrays:
            for axes, values in _ways(array, shape):
                if not shifted:
                    found.append(_Laid(name, axes, "", np.broadcast_to(values, shape)))
                    continue
                for axis, size in enumerate(values.shape):
                    if size > 2:
                        for step, words in ((1, " one place before"), (-1, " one place after")):
                            moved = _moved(values, axis, step)
                            found.append(_Laid(name, axes, words, np.broadcast_to(moved, shape)))
        if len(found) > MOST:
            break
    return found[:MOST]


def _moved(values: Array, axis: int, step: int) -> Array:
    moved = np.roll(values, step, axis).astype(np.float64)
    edge = [slice(None)] * values.ndim
    edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
    moved[tuple(edge)] = np.nan
    return moved


def _ways(array: Array, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Array]]:
    """An array along axes of a Jacobian of the same lengths, ready to be broadcast."""
    sizes = [n for n in array.shape if n != 1]
    if not sizes or len(sizes) > len(shape):
        return
    plain, count = array.reshape(sizes), 0
    for axes in permutations(range(len(shape)), len(sizes)):
        if any(shape[axis] != n for axis, n in zip(axes, sizes, strict=True)):
            continue
        order = np.argsort(axes)
        target = [1] * len(shape)
        for axis, n in zip(axes, sizes, strict=True):
            target[axis] = n
        yield axes, np.transpose(plain, order).reshape(target)
        count += 1
        if count >= WAYS:
            return
