"""Which networks the parameters and the data may belong to: layers with norms, skips, tables, and layers used again.

The decision behind it: shapes and the order of the tensors say what a layer is made of; what they leave open (which
norm, which activation, where a skip goes) is tried, the usual first, and believed only where the gradient is the one
that was measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis import images, operations
from gradproof._diagnosis.activations import IDENTITY, PLAIN, Activation, activations
from gradproof._diagnosis.blocks import Block, inputs, read_blocks, sizes
from gradproof._diagnosis.case import Case
from gradproof._diagnosis.dense import labels
from gradproof._diagnosis.graph import Graph, Making, Node
from gradproof._diagnosis.images import Pool
from gradproof._diagnosis.operations import Norm

Array = NDArray[Any]
#: What is added to a variance, where the options say nothing.
EPSILONS = (1e-5, 1e-8, 1e-6, 1e-3, 1e-12, 0.0)
#: Networks that are tried, and multiplications that one may take.
TRIES, WORK = 4_000, 5e6
#: Multiplications that all of them may take.
ALL = 1_000_000_000
#: Windows that are tried after a convolution.
POOLS = (Pool("max", 2, 2), Pool("max", 2, 1), Pool("mean", 2, 2), Pool("max", 3, 2), Pool("mean", 2, 1))
#: Uses of one square layer that are tried.
USES = (2, 3)


@dataclass(frozen=True)
class Plan:
    """A network.

    Attributes:
        blocks: its layers from input to output.
        acts: the activations of the hidden ones, in that order, tables and gains of inputs left out.
        norms: how each block with a gain is normalised, by place.
        skips: places of blocks whose input is added to their output.
        uses: how often each block is applied, where that is more than once, by place.
        over: what is done with the rows of a table: "mean", "sum" or "beside".
        images: the rim of zeros and the windows of each block with kernels, in that order.
    """

    blocks: tuple[Block, ...]
    acts: tuple[Activation, ...]
    norms: tuple[tuple[int, Norm], ...] = ()
    skips: frozenset[int] = frozenset()
    uses: tuple[tuple[int, int], ...] = ()
    over: str = "mean"
    images: tuple[tuple[int, Pool | None], ...] = ()


def graphs(case: Case) -> Iterator[Graph]:
    """Graphs of the whole batch, the usual ones first."""
    m = case.lab.examples
    for blocks in read_blocks(case):
        last, first = blocks[-1], blocks[0]
        outputs = sizes(case, last)[1]
        for k, X in inputs(case, first):
            known = list(labels(case, range(m), outputs, k))
            work = m * sum(case.tensors[b.weight].size for b in blocks if b.weight >= 0) * int(np.prod(X.shape[2:]))
            if not known or work > WORK:
                continue
            for plan in islice(_plans(case, blocks, X.shape[2:]), min(TRIES, ALL // work)):
                made = _made(case, plan, X)
                if made is not None:
                    yield from (made.done(Y.T) for Y in known)


def _plans(case: Case, blocks: tuple[Block, ...], image: tuple[int, int]) -> Iterator[Plan]:
    """What shapes and order leave open, the usual first."""
    hidden = [k for k, block in enumerate(blocks[:-1]) if block.weight >= 0 and not block.table]
    normed = [k for k, block in enumerate(blocks) if block.weight >= 0 and block.gamma >= 0]
    every = activations(case.lab.options)
    square = [k for k in hidden if len(set(sizes(case, blocks[k]))) == 1 and not blocks[k].image]
    again = [k for k in square if blocks[k].gamma < 0 and len(hidden) <= 2]
    overs = ("mean", "sum", "beside") if blocks[0].table else ("",)
    uses: list[tuple[tuple[int, int], ...]] = [(), *(((k, n),) for k in again for n in USES)]
    skips = list(dict.fromkeys([frozenset[int](), frozenset(square), *(frozenset({k}) for k in square)]))
    special = blocks[0].table or blocks[0].weight < 0 or blocks[0].image
    ways = list(_of_images(case, blocks, image)) if blocks[0].image else [()]
    for use, eps, act, kinds, skip, over, how in product(
        uses, _epsilons(case) if normed else (0.0,), every, product((0, 1), repeat=len(normed)), skips, overs, ways
    ):
        if not (use and skip) and (use or normed or special):
            norms = tuple((k, Norm(axis, eps)) for k, axis in zip(normed, kinds, strict=True))
            yield Plan(blocks, (act,) * len(hidden), norms, skip, use, over, how)
    if len(hidden) in (2, 3) and not normed and special:
        for acts in product(PLAIN[:4], repeat=len(hidden)):
            if len(set(acts)) > 1:
                yield from (Plan(blocks, acts, over=over, images=how) for over in overs for how in ways)


def _of_images(
    case: Case, blocks: Sequence[Block], image: tuple[int, int]
) -> Iterator[tuple[tuple[int, Pool | None], ...]]:
    """Rims and windows with which the images come out in the size that the layer after them takes."""
    kernels = [case.tensors[block.weight].shape for block in blocks if block.image]
    wanted = sizes(case, blocks[len(kernels)])[0]
    each = [
        list(product(dict.fromkeys((0, shape[2] // 2, shape[2] - 1)), (None, *POOLS))) for shape in kernels
    ]  # fmt: skip
    for chosen in product(*each):
        height, width = image
        for (pad, pool), shape in zip(chosen, kernels, strict=True):
            height, width = height + 2 * pad - shape[2] + 1, width + 2 * pad - shape[3] + 1
            if pool is not None:
                height, width = ((n - pool.size) // pool.stride + 1 for n in (height, width))
            if min(height, width) < 1:
                break
        else:
            if kernels[-1][0] * height * width == wanted:
                yield chosen


def _epsilons(case: Case) -> tuple[float, ...]:
    own = [
        float(value)
        for value in case.lab.options.values()
        if isinstance(value, float | np.floating) and 0.0 < value < 0.5
    ]
    return tuple(dict.fromkeys((*sorted(own), *EPSILONS)))


def _made(case: Case, plan: Plan, X: Array) -> Making | None:
    """The forward pass of a plan; None where the sizes do not fit or it overflows."""
    making = Making()
    at, acts = -1, iter(plan.acts)
    norms, uses = dict(plan.norms), dict(plan.uses)
    first = plan.blocks[0]
    if not first.table:
        at = making.add(Node("data", "X", 0, X))
    with np.errstate(all="ignore"):
        for k, block in enumerate(plan.blocks):
            tensors = _parameters(case, making, block)
            if block.table:
                at = operations.rows(making, tensors["weight"], X, block.number, over=plan.over)
                continue
            if block.weight < 0:
                at = operations.gain(making, at, tensors["gamma"], 0, "the scaled X")
                continue
            if making.value(at).ndim > 2 and not block.image:
                at = images.flat(making, at, block.number)
            if making.value(at).shape[1] != sizes(case, block)[0]:
                return None
            act = next(acts) if k + 1 < len(plan.blocks) else IDENTITY
            for use in range(uses.get(k, 1)):
                entry = at
                named = f"{block.number}" + (f" of use {use + 1}" if uses.get(k, 1) > 1 else "")
                pad, pool = plan.images[k] if block.image else (0, None)
                at = _block(making, block, tensors, norms.get(k), (at, named, pad))
                if k + 1 < len(plan.blocks):
                    at = operations.activation(making, at, act, block.number, f"A{named}")
                    if pool is not None:
                        at = images.pooled(making, at, pool, block.number)
                    if k in plan.skips:
                        at = operations.total(making, at, entry, block.number, f"A{named} with its skip")
    return making if np.all(np.abs(making.value(at)) < 1e30) else None


def _parameters(case: Case, making: Making, block: Block) -> dict[str, int]:
    """The nodes of a block's parameters."""
    found = {}
    for role in ("weight", "bias", "gamma", "beta"):
        i: int = getattr(block, role)
        if i >= 0:
            value = case.thetas[i] if role == "weight" else np.ravel(case.thetas[i])
            found[role] = operations.parameter(making, i, case.tensors[i].name, block.number, value)
    return found


def _block(making: Making, block: Block, tensors: dict[str, int], how: Norm | None, start: tuple[int, str, int]) -> int:
    """A layer up to its activation."""
    at, named, pad = start
    name = f"Z{named}"
    if block.image:
        at = images.convolution(making, at, tensors["weight"], pad, block.number)
    else:
        at = operations.product(making, at, tensors["weight"], block.turned, block.number)
    if "bias" in tensors:
        at = operations.shift(making, at, tensors["bias"], block.number, name)
    if how is not None:
        at = operations.norm(making, at, how, block.number, f"the normalised {name}")
        at = operations.gain(making, at, tensors["gamma"], block.number, f"gamma times the normalised {name}")
        at = operations.shift(making, at, tensors["beta"], block.number, f"{name} after its norm")
    return at
