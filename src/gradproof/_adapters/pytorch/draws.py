"""Gaussian numbers on a tensor's own device, the same whatever else is asked for together with them.

The decision behind it: a chunk of a direction depends on the seeds, the tensor and the chunk alone, so that no
direction is ever stored as a whole and a shard draws what it holds and nothing else. They are the same for one kind of
device and version of PyTorch; from one kind to another they are other numbers, and directions just as good.
"""

from collections.abc import Sequence

import torch

#: Coordinates handled at a time: on a processor arrays of half a megabyte, which stay in its cache; enough elsewhere to
#: keep a GPU busy.
CHUNK, FAR_CHUNK = 1 << 16, 1 << 20
#: From so many numbers on they are drawn in single precision, at a fifth of the time (3.5 ns each against 17,
#: measured). The bounds lean on |z| down to some 1e-3, and single precision resolves it to 4e-7.
MANY = 4096
#: Increment and multipliers of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
STEP, FIRST, SECOND, WORD = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, (1 << 64) - 1


def seed_of(numbers: Sequence[int]) -> int:
    """One seed of 63 bits for several numbers; no two short lists that a check uses are known to share one."""
    state = 0
    for number in numbers:
        state = (state ^ (number & WORD)) + STEP & WORD
        mixed = (state ^ state >> 30) * FIRST & WORD
        mixed = (mixed ^ mixed >> 27) * SECOND & WORD
        state = mixed ^ mixed >> 31
    return state >> 1


def normals(seeds: Sequence[int], where: Sequence[int], count: int, device: torch.device) -> torch.Tensor:
    """Standard normal numbers of one chunk.

    Args:
        seeds: one seed for a stream, several for the sum of their streams divided by the root of their number.
        where: the tensor and the chunk.
        count: how many there are in the whole chunk; fewer would be other numbers.
        device: where they are drawn.

    Returns:
        A float64 tensor of ``count`` numbers.
    """
    generator = torch.Generator(device)
    total: torch.Tensor | None = None
    for seed in seeds:
        generator.manual_seed(seed_of((seed, *where)))
        kind = torch.float32 if count >= MANY else torch.float64
        drawn = torch.randn(count, generator=generator, dtype=kind, device=device).to(torch.float64)
        total = drawn if total is None else total.add_(drawn)
    assert total is not None
    return total if len(seeds) == 1 else total.div_(len(seeds) ** 0.5)
