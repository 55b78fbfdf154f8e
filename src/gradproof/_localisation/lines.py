"""Which lines of an axis hold wrong elements, by halving with the fixed direction, and what is wrong on each.

The decision behind it: halving costs a few probes for each wrong line, so it is worth starting only where most lines
are clean. Four lines picked at random tell: if all of them are wrong, the axis is left as it is.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradproof._localisation.hulls import hull
from gradproof._localisation.probes import Probes, Reading
from gradproof._localisation.samples import Sampled, all_wrong, spread
from gradproof._localisation.syndromes import indices
from gradproof._records import Box, Region

#: Wrong lines told apart; beyond that an axis counts as wrong all over.
MOST = 16
#: Lines that are looked at first, and the length up to which each line gets a probe of its own.
FIRST, SHORT = 4, 16
#: Share of wrong elements above which every line of a short axis is looked at though the first ones are all wrong.
DENSE = 0.6
#: And the share below which even lines that are all wrong are worth going through one by one.
SPARSE = 0.15
#: Elements measured in each line, and in a product of lines.
IN_LINE, IN_PRODUCT = 6, 8
#: A product of up to this many elements is measured one by one.
ONE_BY_ONE = 24
#: Probes to spend for each halving that one element takes; a scattered place would swallow any number.
PATIENCE = 6


@dataclass(frozen=True)
class Search:
    """What a search for lines works with.

    Attributes:
        probes: the tensor.
        sampled: elements measured so far.
        rng: picks lines and elements.
        share: share of wrong elements seen so far in the box.
        until: evaluations of the whole search after which no further line is looked into.
    """

    probes: Probes
    sampled: Sampled
    rng: np.random.Generator
    share: float
    until: float

    @classmethod
    def of(cls, probes: Probes, sampled: Sampled, rng: np.random.Generator, region: Region) -> "Search":
        """A search in a region of which a sample was measured."""
        wrong, right, _ = sampled.within(np.flatnonzero(region.mask(probes.shape)).tolist())
        until = probes.spent + PATIENCE * probes.price("regions") * math.log2(probes.size)
        return cls(probes, sampled, rng, wrong / max(wrong + right, 1), until)


def gathered(search: Search, box: Box, whole: Reading) -> tuple[Region, bool]:
    """The wrong elements of a box as boxes of their own.

    Args:
        search: the tensor and what was sampled.
        box: where to look.
        whole: what it shows along the fixed direction.

    Returns:
        The region, and whether all of it is wrong; else it only holds all that is.
    """
    order = sorted((axis for axis, a in enumerate(box) if len(range(*a)) > 1), key=lambda axis: -len(range(*box[axis])))
    chosen: dict[int, list[int]] = {}
    for axis in order:
        lines = _lines(search, box, axis, whole)
        if lines is None:
            continue
        chosen[axis] = list(lines)
        pieces = [(_line(box, axis, line), seen) for line, seen in lines.items()]
        places = indices(search.probes, pieces) if len(box) > 1 else [[line] for line in lines]
        if all(None not in place for place in places):
            return Region(tuple(_element(place) for place in places)), True
        product = _boxes(box, chosen)
        if all(None in place for place in places):
            product = _product(search, box, chosen, order[order.index(axis) + 1 :], whole)
            if all_wrong(search.probes, search.sampled, spread(product, search.probes.shape, IN_PRODUCT, search.rng)):
                return product, True
        found = _one_by_one(search, product) or _line_by_line(search, pieces, places)
        return (product, False) if found is None else (Region(tuple(found)), True)
    found = _one_by_one(search, Region((box,)))
    return (Region((box,)), False) if found is None else (Region(tuple(found)), True)


def _lines(search: Search, box: Box, axis: int, whole: Reading) -> dict[int, Reading] | None:
    """The wrong lines of an axis with what each shows; None where they are too many to tell apart."""
    lines = list(range(*box[axis]))
    few = sorted(search.rng.permutation(len(lines))[:FIRST].tolist())
    seen = _measure(search, box, axis, [[lines[k]] for k in few])
    all_of_them = len(lines) > FIRST and not any(reading.clean for reading in seen)
    if all_of_them and (len(lines) > SHORT or search.share < DENSE):
        return None
    known = {lines[k]: reading for k, reading in zip(few, seen, strict=True)}
    if len(lines) <= SHORT:
        rest = [line for line in lines if line not in known]
        known |= dict(zip(rest, _measure(search, box, axis, [[line] for line in rest]), strict=True))
        wrong = {line: known[line] for line in lines if not known[line].clean}
        sparse = len(lines) <= FIRST and search.share < SPARSE
        return wrong if len(wrong) < len(lines) or sparse else None
    groups = [(lines, whole)]
    while groups and any(len(group) > 1 for group, _ in groups):
        if len(groups) > MOST:
            return None
        groups = _halved(search, box, axis, groups)
    return {group[0]: reading for group, reading in groups} or None


def _halved(
    search: Search, box: Box, axis: int, groups: Sequence[tuple[list[int], Reading]]
) -> list[tuple[list[int], Reading]]:
    """Each group of lines in two, the second half for free; without those that are clean."""
    long = [group for group in groups if len(group[0]) > 1]
    first = _measure(search, box, axis, [lines[: len(lines) // 2] for lines, _ in long])
    found = [group for group in groups if len(group[0]) == 1]
    for (lines, whole), left in zip(long, first, strict=True):
        halves = [(lines[: len(lines) // 2], left), (lines[len(lines) // 2 :], whole - left)]
        found += [(half, reading) for half, reading in halves if not reading.clean]
    return sorted(found, key=lambda group: group[0][0])


def _measure(search: Search, box: Box, axis: int, groups: Sequence[list[int]]) -> list[Reading]:
    step = box[axis][2]
    regions = [Region((_put(box, axis, (group[0], group[-1] + 1, step)),)) for group in groups]
    return search.probes.regions(regions)


def _line_by_line(
    search: Search, pieces: Sequence[tuple[Box, Reading]], places: Sequence[Sequence[int | None]]
) -> list[Box] | None:
    """What is wrong on each line, as boxes; None where they are too many on one of them."""
    found: list[Box] = []
    for (box, seen), place in zip(pieces, places, strict=True):
        if None not in place:
            found.append(_element(place))
            continue
        if search.probes.spent > search.until:
            return None
        part = hull(search.probes, box, seen)
        if all_wrong(search.probes, search.sampled, spread(Region((part,)), search.probes.shape, IN_LINE, search.rng)):
            found.append(part)
            continue
        region, solid = gathered(search, part, seen)
        if not solid:
            return None
        found += region.boxes
    return found


def _product(search: Search, box: Box, chosen: dict[int, list[int]], others: Sequence[int], whole: Reading) -> Region:
    """The wrong lines of all axes crossed with each other."""
    for axis in others:
        lines = _lines(search, box, axis, whole)
        if lines is not None:
            chosen[axis] = list(lines)
    return _boxes(box, chosen)


def _one_by_one(search: Search, product: Region) -> list[Box] | None:
    """Every element of a small product measured; None where it is large or an element stays unclear."""
    shape = search.probes.shape
    inside = np.flatnonzero(product.mask(shape)).tolist()
    if len(inside) > ONE_BY_ONE:
        return None
    search.sampled.measure(search.probes, inside)
    if search.sampled.unclear & set(inside):
        return None
    wrong = sorted(search.sampled.wrong & set(inside))
    return [_element([int(i) for i in np.unravel_index(element, shape)]) for element in wrong] or None


def _boxes(box: Box, chosen: dict[int, list[int]]) -> Region:
    """Chosen lines of some axes and all of the others, in as few boxes as runs of lines allow."""
    found = [box]
    for axis, lines in chosen.items():
        found = [_put(one, axis, run) for one in found for run in runs(lines)]
    return Region(tuple(found))


def runs(lines: Sequence[int]) -> list[tuple[int, int, int]]:
    """Sorted numbers as slices: one where they are evenly spaced, else one for each run of neighbours."""
    gaps = {b - a for a, b in itertools.pairwise(lines)}
    if len(gaps) == 1 and len(lines) > 2:
        return [(lines[0], lines[-1] + 1, gaps.pop())]
    found: list[tuple[int, int, int]] = []
    for line in lines:
        if found and found[-1][1] == line:
            found[-1] = (found[-1][0], line + 1, 1)
        else:
            found.append((line, line + 1, 1))
    return found


def _line(box: Box, axis: int, line: int) -> Box:
    return _put(box, axis, (line, line + 1, 1))


def _element(place: Sequence[int | None]) -> Box:
    return tuple((i, i + 1, 1) for i in place if i is not None)


def _put(box: Box, axis: int, new: tuple[int, int, int]) -> Box:
    return (*box[:axis], new, *box[axis + 1 :])
