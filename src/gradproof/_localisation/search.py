"""Which elements of a wrong tensor are wrong, at the price of a few probes.

The decision behind it: the ways of searching are tried from the cheapest on, each narrows the place the others left,
and none is believed before what lies outside was measured clean along another direction. Where kinks or noise forbid
that, the place gets larger and is called inexact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradproof._localisation.hulls import hull
from gradproof._localisation.lines import Search, gathered
from gradproof._localisation.patterns import narrowed, stepped
from gradproof._localisation.probes import AIM, LimitReachedError, Probes, Reading, Sight, volume
from gradproof._localisation.samples import Sampled, all_wrong, share, spread
from gradproof._localisation.syndromes import fixed, indices
from gradproof._localisation.wording import described
from gradproof._records import Box, Direction, Estimate, Pattern, Region
from gradproof._reference import Reference

#: Tensors of up to this many elements are measured one by one.
FEW = 16
#: Elements measured before a place is called wrong all over: in a plane or more, on a line, in a pattern.
IN_PLANE, ON_LINE, IN_PATTERN = 12, 8, 8
#: Elements measured to tell the share of a scattered place.
SCATTERED = 24
#: Streams of random numbers that check what lies outside.
OUTSIDE = (1, 2)


@dataclass(frozen=True)
class Whereabouts:
    """Which elements of a tensor are wrong.

    Attributes:
        mask: the elements, of the tensor's own shape.
        kind: what they are: element, elements, row, rows, column, columns, block, stride, diagonal, off-diagonal,
            upper triangle, lower triangle, checkerboard, slice, all, or scattered.
        text: the place as people write it.
        exact: whether every True was seen or follows from measured structure, and everything outside was measured
            clean; else the mask holds more than what is wrong. The inside of a large place rests on ``sampled``: a few
            right elements without a pattern, one row of an otherwise wrong matrix, can escape it.
        share: for scattered, an interval for the share of the mask that is wrong; else None.
        sampled: how many elements were seen wrong one by one, and how many were measured.
        verified: the elements that were seen wrong one by one.
        evaluations: cost evaluations used.
    """

    mask: NDArray[np.bool_]
    kind: str
    text: str
    exact: bool
    share: tuple[float, float] | None
    sampled: tuple[int, int]
    verified: NDArray[np.bool_]
    evaluations: int


@dataclass(frozen=True)
class Trail:
    """What a search knows at any time, so that one that is cut short still says something true.

    Attributes:
        sampled: elements measured one by one.
        boxes: places that hold everything wrong, the latest last.
    """

    sampled: Sampled
    boxes: list[Box]


def find(
    reference: Reference, tensor: int, scale: float, claim: float, seed: int, limit: int = 1000,
    known: Sequence[tuple[Direction, Estimate]] = (),
) -> Whereabouts:  # fmt: skip
    """Finds the wrong elements of a tensor that was proven wrong.

    Args:
        reference: where slopes come from.
        tensor: the tensor's place in the problem.
        scale: step scale.
        claim: norm of its claimed gradient.
        seed: of the directions.
        limit: evaluations to use at most.
        known: directions through this tensor alone, moved as a whole by its scale, with what was measured along them.
    """
    bins = reference.evaluator.problem.stats(tensor).bins
    sizes = tuple((label, (rms if len(bins) > 1 else 0.0) or scale) for label, rms, count in bins if count)
    sight = Sight(0.0, AIM * scale * claim)
    probes = Probes(
        reference, tensor, scale, claim, seed * 1_000_003 + 64 * tensor, limit, reference.spent, sight, sizes
    )
    trail = Trail(Sampled(), [probes.whole])
    try:
        return _every_element(probes, trail) if probes.size <= FEW else _searched(probes, trail, known)
    except LimitReachedError:
        return _scattered(probes, trail)


def _searched(probes: Probes, trail: Trail, known: Sequence[tuple[Direction, Estimate]]) -> Whereabouts:
    """One line, then a hull, then patterns in it, then lines and elements, else scattered."""
    start = fixed(probes, [(d.seeds[0], found) for d, found in known if len(d.seeds) == 1])
    if start is None:
        return _unknown(probes, trail)
    probes, whole = start
    rng = np.random.default_rng([probes.seed, 5])
    box = _single_lines(probes, whole)
    trail.boxes.append(box)
    if volume(box) == 1:
        trail.sampled.wrong.add(int(np.ravel_multi_index([a for a, _, _ in box], probes.shape)))
        return _found(probes, trail, Region((box,)), checked=True)
    checked = box != probes.whole
    tight = hull(probes, box, whole)
    checked = checked and tight == box
    trail.boxes.append(tight)
    region = narrowed(probes, tight, whole)
    evenly = spread(region, probes.shape, _enough(region), rng)
    if all_wrong(probes, trail.sampled, evenly):
        return _found(probes, trail, region, checked=checked and region == Region((box,)))
    spaced = stepped(probes, region.boxes[0], whole)
    if spaced is not None:
        region = Region((spaced,))
        if all_wrong(probes, trail.sampled, spread(region, probes.shape, IN_PATTERN, rng)):
            return _found(probes, trail, region)
    search = Search.of(probes, trail.sampled, rng, region)
    gathering, solid = gathered(search, region.boxes[0], whole)
    if solid:
        return _found(probes, trail, gathering)
    place = gathering if region.pattern is Pattern.FULL else region
    return _scattered(probes, trail, place, _more(probes, place, evenly, rng))


def _single_lines(probes: Probes, whole: Reading) -> Box:
    """The whole tensor, or its only wrong line along each axis that has one; what is outside is checked twice."""
    places = indices(probes, [(probes.whole, whole)])[0]
    box = tuple(axis if k is None else (k, k + 1, 1) for k, axis in zip(places, probes.whole, strict=True))
    if box == probes.whole or not _outside_clean(probes, Region((box,)), OUTSIDE):
        return probes.whole
    return box


def _outside_clean(probes: Probes, region: Region, streams: Sequence[int]) -> bool:
    """Whether everything outside of a region is clean along fresh directions; nothing outside is."""
    if region.mask(probes.shape).all():
        return True
    outside = replace(region, outside=True)
    return all(probes.regions([outside], stream)[0].clean for stream in streams)


def _enough(region: Region) -> int:
    if region.pattern is not Pattern.FULL:
        return IN_PATTERN
    return IN_PLANE if sum(len(range(*axis)) > 1 for axis in region.boxes[0]) > 1 else ON_LINE


def _found(probes: Probes, trail: Trail, region: Region, *, checked: bool = False) -> Whereabouts:
    """A place all of which is wrong, once what is outside is known to be clean."""
    if not checked and not _outside_clean(probes, region, OUTSIDE[:1]):
        return _unknown(probes, trail)
    mask = region.mask(probes.shape)
    doubtful = trail.sampled.idle | trail.sampled.unclear
    kind, text = described(mask, probes.record.name)
    return _whereabouts(probes, trail, mask, (kind, text, not doubtful & set(np.flatnonzero(mask).tolist())))


def _every_element(probes: Probes, trail: Trail) -> Whereabouts:
    """Each element by its own ladder; those whose bars are too wide to tell count as wrong."""
    trail.sampled.measure(probes, range(probes.size))
    unclear = trail.sampled.unclear | set()
    mask = _mask(probes, trail.sampled.wrong | unclear)
    if not mask.any():
        return _unknown(probes, trail)
    return _whereabouts(probes, trail, mask, (*described(mask, probes.record.name), not unclear))


def _unknown(probes: Probes, trail: Trail) -> Whereabouts:
    """Nothing can be told apart: all of it may be wrong."""
    mask = np.ones(probes.shape, dtype=bool)
    return _whereabouts(probes, trail, mask, (*described(mask, probes.record.name), False))


def _more(probes: Probes, region: Region, evenly: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Elements that were picked by chance alone, and as many more of a region as its share asks for.

    Those that a search picked because something was wrong around them would make the share too large.
    """
    inside = np.flatnonzero(region.mask(probes.shape))
    kept = sorted(set(evenly) & set(inside.tolist()))
    fresh = [int(element) for element in rng.permutation(inside) if element not in kept]
    return kept + fresh[: max(0, SCATTERED - len(kept))]


def _scattered(
    probes: Probes, trail: Trail, region: Region | None = None, chosen: Sequence[int] | None = None
) -> Whereabouts:
    """A place that is wrong in parts, with its share as a sample of it tells."""
    region = region or Region((trail.boxes[-1],))
    mask = region.mask(probes.shape)
    if chosen is None:
        chosen = sorted(trail.sampled.done)
    else:
        try:
            trail.sampled.measure(probes, chosen)
            if not _outside_clean(probes, region, OUTSIDE[:1]):
                return _unknown(probes, trail)
        except LimitReachedError:
            chosen = sorted(set(chosen) & trail.sampled.done)
    wrong, right, neither = trail.sampled.within(chosen)
    measured = wrong + right + neither
    if not measured:
        return _unknown(probes, trail)
    place = described(mask, probes.record.name)[1].removeprefix("all of ")
    text = f"about {wrong / measured:.0%} of {place} (scattered)"
    return _whereabouts(probes, trail, mask, ("scattered", text, False), share(wrong, measured))


def _mask(probes: Probes, elements: set[int]) -> NDArray[np.bool_]:
    found = np.zeros(probes.size, dtype=bool)
    found[sorted(elements)] = True
    return found.reshape(probes.shape)


def _whereabouts(
    probes: Probes,
    trail: Trail,
    mask: NDArray[np.bool_],
    words: tuple[str, str, bool],
    part: tuple[float, float] | None = None,
) -> Whereabouts:
    sampled = len(trail.sampled.wrong), len(trail.sampled.done)
    verified = _mask(probes, trail.sampled.wrong)
    return Whereabouts(mask, words[0], words[1], words[2], part, sampled, verified, probes.spent)
