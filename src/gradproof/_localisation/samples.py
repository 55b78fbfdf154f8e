"""Single elements measured as a sample of a region, and what that says about the rest.

The decision behind it: points are spread as a Latin hypercube, so that no two share a line while there are lines
enough; what a sample of a scattered place says is an interval and never a number.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradproof._localisation.probes import Probes
from gradproof._records import Pattern, Region

#: Chance that the interval for a share does not hold it.
OUTSIDE = 0.05


@dataclass
class Sampled:
    """Elements measured one by one so far, by flat index.

    Attributes:
        wrong: those that are wrong.
        right: those that are right.
        unclear: those whose bar is too wide to tell.
        idle: those that are right because both claim and reference are zero there.
    """

    wrong: set[int] = field(default_factory=set)
    right: set[int] = field(default_factory=set)
    unclear: set[int] = field(default_factory=set)
    idle: set[int] = field(default_factory=set)

    @property
    def done(self) -> set[int]:
        """All that were measured."""
        return self.wrong | self.right | self.unclear | self.idle

    def measure(self, probes: Probes, elements: Sequence[int]) -> None:
        """Measures elements that were not measured yet."""
        done = self.done
        fresh = [element for element in dict.fromkeys(elements) if element not in done]
        for element, (seen, still) in zip(fresh, probes.elements(fresh), strict=True):
            if seen.bad:
                self.wrong.add(element)
            elif not seen.clean:
                self.unclear.add(element)
            else:
                (self.idle if still else self.right).add(element)

    def within(self, elements: Sequence[int]) -> tuple[int, int, int]:
        """(wrong, right, neither) among some elements."""
        chosen = set(elements)
        return len(self.wrong & chosen), len(self.right & chosen), len((self.unclear | self.idle) & chosen)


def all_wrong(probes: Probes, sampled: Sampled, elements: Sequence[int]) -> bool:
    """Measures some elements; whether none of them is right and most are wrong."""
    sampled.measure(probes, elements)
    wrong, right, neither = sampled.within(elements)
    return right == 0 and wrong > neither


def spread(region: Region, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> list[int]:
    """Flat indices of some elements of a region, spread over it; all of them where there are no more."""
    mask = region.mask(shape)
    inside = np.flatnonzero(mask)
    if inside.size <= count:
        return [int(element) for element in inside]
    if len(region.boxes) == 1 and region.pattern is Pattern.FULL:
        columns = [_strata(len(range(*axis)), count, rng) for axis in region.boxes[0]]
        index = [np.array(range(*axis))[column] for axis, column in zip(region.boxes[0], columns, strict=True)]
        found = np.ravel_multi_index(index, shape)
    else:
        found = inside[np.sort(_strata(inside.size, count, rng))]
    return [int(element) for element in dict.fromkeys(found.tolist())]


def _strata(length: int, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """One position out of each of so many equal pieces of an axis, in random order."""
    places = ((np.arange(count) + rng.random(count)) * (length / count)).astype(np.intp)
    return rng.permutation(np.minimum(places, length - 1))


def share(wrong: int, measured: int) -> tuple[float, float]:
    """The interval for a share of which so many of so many were seen (C. Clopper and E. Pearson, 1934)."""
    low = 0.0 if wrong == 0 else _solved(lambda p: 1.0 - _at_most(wrong - 1, measured, p) - OUTSIDE / 2.0)
    high = 1.0 if wrong == measured else _solved(lambda p: OUTSIDE / 2.0 - _at_most(wrong, measured, p))
    return low, high


def _at_most(count: int, trials: int, p: float) -> float:
    return math.fsum(math.comb(trials, k) * p**k * (1.0 - p) ** (trials - k) for k in range(count + 1))


def _solved(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0
