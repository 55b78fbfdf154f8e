"""Dropout masks as the usual code draws them from a seed among the options.

The decision behind it: a guess costs nothing here, as a network is believed only where its gradient is the one
measured.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Draw = Callable[[tuple[int, ...]], Array]
#: Options that hold a seed, and the probability of keeping a unit or of dropping it.
SEEDS = ("seed", "rng", "random_state", "dropout_seed", "mask_seed", "key")
KEEPING = ("keep_prob", "keep", "kp", "keep_probability")
DROPPING = ("p", "dropout", "drop_prob", "drop", "rate", "dropout_rate")


def guesses(options: Mapping[str, Any], sizes: Sequence[int], m: int, turned: bool) -> Iterator[dict[int, Array]]:
    """What dropout multiplies hidden layers by, by layer, for each way of drawing.

    Args:
        options: the user's.
        sizes: units of the hidden layers.
        m: number of examples.
        turned: whether examples are rows in the user's code.
    """
    keeps = [float(options[n]) for n in KEEPING if _number(options.get(n))]
    keeps += [1.0 - float(options[n]) for n in DROPPING if _number(options.get(n))]
    seeds = [int(options[n]) for n in SEEDS if isinstance(options.get(n), int | np.integer)]
    for keep in dict.fromkeys(k for k in keeps if 0.0 < k < 1.0):
        for seed in dict.fromkeys(seeds or [0, 1]):
            for draws in _ways(seed, len(sizes)):
                masks = {}
                for k, (n, draw) in enumerate(zip(sizes, draws, strict=True), 1):
                    uniform = draw((m, n)).T if turned else draw((n, m))
                    masks[k] = np.where(uniform < keep, 1.0 / keep, 0.0)
                yield masks
                yield {1: masks[1]}


def _number(value: Any) -> bool:
    return isinstance(value, float | np.floating)


def _ways(seed: int, count: int) -> Iterator[list[Draw]]:
    one, old = np.random.default_rng(seed), np.random.RandomState(seed)
    yield [one.random] * count
    yield [lambda shape: np.asarray(old.rand(*shape))] * count
    yield [lambda shape: np.random.default_rng(seed).random(shape)] * count
    yield [lambda shape: np.asarray(np.random.RandomState(seed).rand(*shape))] * count
    yield [_fresh(seed + k) for k in range(1, count + 1)]


def _fresh(seed: int) -> Draw:
    return lambda shape: np.random.default_rng(seed).random(shape)
