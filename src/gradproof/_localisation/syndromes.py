"""The index of a single wrong line, from one probe an axis.

The decision behind it: along the fixed direction with element i of n weighed by (i + 1) / n, a mismatch that lies in
one line comes back (i + 1) / n times, whatever it is. One ratio gives the index, as the syndrome of a code does. Where
its error bar leaves several lines open, as a small mismatch among very many lines does, the weights rise once more over
these alone.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from gradproof._localisation.probes import ENOUGH, FINE, Probes, Reading, Sight
from gradproof._records import Box, Estimate, Region

#: An index may be off by this much before it says nothing, and by that much without being called another one.
LOOSE, CLOSE = 0.2, 1e-4
#: A direction along which the mismatch exceeds its bar so many times is good enough to work with.
PLAIN = 1e3
#: Below this many times there is no working with it.
HOPELESS = 300.0
#: Directions tried, unless one is known along which the bar is at most so many times that aimed at.
TRIES, COARSER = 3, 4.0
#: How often the weights rise, and the share of the lines that must be all that is left for another time.
ROUNDS, NARROWER = 3, 0.5


def fixed(probes: Probes, known: Sequence[tuple[int, Estimate]] = ()) -> tuple[Probes, Reading] | None:
    """Fixes the direction of a search: the first along which the mismatch stands clear of its bar.

    Args:
        probes: the tensor.
        known: seeds of directions along which the whole tensor was measured before, with what was seen.

    Returns:
        Probes along it with what the whole tensor shows; None where kinks or noise hide the mismatch.
    """
    best = _known(probes, known)
    for attempt in range(0 if best is not None else TRIES):
        looking = replace(probes, seed=probes.seed + 16 * attempt)
        seen = looking.regions([Region((probes.whole,))])[0]
        if best is None or _clarity(seen) > _clarity(best[1]):
            best = looking, seen
        if _clarity(seen) > PLAIN:
            break
    assert best is not None
    looking, seen = best
    if _clarity(seen) < HOPELESS:
        return None
    size = abs(seen.value)
    target = max(probes.sight.target, FINE * size, min(seen.bar, ENOUGH * size))
    return replace(looking, sight=Sight(size, target)), replace(seen, sharp=looking.sharp(size))


def _known(probes: Probes, known: Sequence[tuple[int, Estimate]]) -> tuple[Probes, Reading] | None:
    """The clearest of known directions; None where a measurement of the search's own would be far better."""
    fine = [(seed, found) for seed, found in known if found.bar <= COARSER * probes.sight.target]
    seed, found = max(fine, key=lambda pair: abs(pair[1].mismatch) / (pair[1].bar or 1.0), default=(0, None))
    if found is None or not abs(found.mismatch) > PLAIN * found.bar > 0.0:
        return None
    return replace(probes, fixed=seed), probes.seen(found)


def _clarity(seen: Reading) -> float:
    return abs(seen.value) / seen.bar if seen.bar > 0.0 and seen.value == seen.value else 0.0


def indices(probes: Probes, boxes: Sequence[tuple[Box, Reading]]) -> list[list[int | None]]:
    """For each box and axis the index of the only line that is wrong, None where it is not one or cannot be told.

    Args:
        probes: the tensor.
        boxes: parts of it, each with what it shows along the fixed direction.
    """
    found: list[list[int | None]] = [[axis[0] if len(range(*axis)) == 1 else None for axis in box] for box, _ in boxes]
    open_ = {(k, i): range(*axis) for k, (box, _) in enumerate(boxes) for i, axis in enumerate(box)}
    open_ = {where: lines for where, lines in open_.items() if len(lines) > 1}
    for _ in range(ROUNDS):
        rays = [_rising(boxes[k][0], axis, lines) for (k, axis), lines in open_.items()]
        left: dict[tuple[int, int], range] = {}
        for ((k, axis), lines), ramped in zip(open_.items(), probes.regions(rays), strict=True):
            near = _near(ramped, boxes[k][1], lines)
            if len(near) == 1:
                found[k][axis] = near[0]
            elif near:
                left[k, axis] = near
        open_ = left
    return found


def _rising(box: Box, axis: int, lines: range) -> Region:
    """Some lines of a box with weights that rise from one over their number to 1."""
    part = (*box[:axis], (lines[0], lines[-1] + 1, lines.step), *box[axis + 1 :])
    return Region((part,), ramp=axis, rise=(lines[0], lines[-1] + 1 - lines[0]))


def _near(ramped: Reading, whole: Reading, lines: range) -> range:
    """The lines among which the only wrong one must be; none where it is not one or they are hardly fewer than all.

    Args:
        ramped: what these lines show with weights that rise over them.
        whole: what the box shows without.
        lines: where it may be.
    """
    nowhere = lines[:0]
    if not whole.bad or not abs(ramped.value) < math.inf:
        return nowhere
    ratio, length = ramped.value / whole.value, lines[-1] + 1 - lines[0]
    place = ratio * length - 1.0
    off = (ramped.bar + abs(ratio) * whole.bar) / abs(whole.value) * length
    if off < LOOSE:
        index = lines[0] + round(place)
        certain = abs(place - round(place)) <= max(3.0 * off, CLOSE) and index in lines
        return range(index, index + 1) if certain else nowhere
    if not off < length:
        return nowhere
    first, last = (math.floor((place + side * (off + 1.0)) / lines.step) for side in (-1.0, 1.0))
    near = lines[max(first, 0) : max(last + 1, 0)]
    return near if 1 < len(near) <= NARROWER * len(lines) else nowhere
