"""Gaussian numbers by position, the same however they are asked for.

The decision behind it: number i of a stream depends on (seed, i) alone, so that a piece of a direction can be made
wherever its parameters live. Blocks of fixed length, each with a generator of its own, give that at the price of
drawing at most one block too much at either end. SFC64 is NumPy's fastest source of normals (8 ns each against 12 for
Philox, measured) and single precision buys nothing on top of it; Box and Muller's transform of single precision takes
0.6 times as long for 10,000 numbers and twice as long for 300. The draw is an exact Gaussian, not a sum of uniforms:
the chi-square bound stands on its extreme lower tail.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Numbers per generator: starting one takes as long as 1,000 numbers, so 16,384 make that cost 6%.
BLOCK = 16384
#: Checks of one seed start with the same numbers, and suites and training loops make many of them: so many blocks are
#: remembered (8 MB at most), of those that come first in their streams.
REMEMBERED, FIRST = 64, 8


def normals(seeds: Sequence[int], start: int, stop: int) -> NDArray[np.float64]:
    """Standard normal numbers ``start`` to ``stop`` of a stream.

    Args:
        seeds: one seed for a stream, several for the sum of their streams divided by the root of their number.
        start: first position, at least 0.
        stop: end position.

    Returns:
        Array of ``stop - start`` numbers, not to be written to.
    """
    if len(seeds) == 1 and stop <= start - start % BLOCK + BLOCK:
        return _block(seeds[0], start // BLOCK, stop - start + start % BLOCK)[start % BLOCK :]
    out = np.empty(stop - start)
    for order, seed in enumerate(seeds):
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first = block * BLOCK
            low, high = max(start, first), min(stop, first + BLOCK)
            drawn = _block(seed, block, high - first)[low - first :]
            if order == 0:
                out[low - start : high - start] = drawn
            else:
                out[low - start : high - start] += drawn
    if len(seeds) > 1:
        out /= np.sqrt(len(seeds))
    return out


#: Numbers by seed and block, for the next checks.
_drawn: dict[tuple[int, int], NDArray[np.float64]] = {}


def _block(seed: int, block: int, count: int) -> NDArray[np.float64]:
    """The first numbers of a block, read-only; those of the first blocks are kept."""
    known = _drawn.get((seed, block))
    if known is not None and len(known) >= count:
        return known[:count]
    found = np.random.Generator(np.random.SFC64([seed, block])).standard_normal(count)
    found.flags.writeable = False
    if block < FIRST:
        if len(_drawn) >= REMEMBERED:
            _drawn.clear()
        _drawn[seed, block] = found
    return found
