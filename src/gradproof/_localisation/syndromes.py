"""The index of a single wrong line, from one probe an axis.

The decision behind it: along the fixed direction with element i of n weighed by (i + 1) / n, a mismatch that lies in
one line comes back (i + 1) / n times, whatever it is. One ratio gives the index, as the syndrome of a code does.
"""

from collections.abc import Sequence
from dataclasses import replace

from gradproof._localisation.probes import ENOUGH, FINE, Probes, Reading, Sight
from gradproof._records import Box, Region

#: An index may be off by this much before it says nothing, and by that much without being called another one.
LOOSE, CLOSE = 0.2, 1e-4
#: A direction along which the mismatch exceeds its bar so many times is good enough to work with.
PLAIN = 1e3
#: Below this many times there is no working with it.
HOPELESS = 300.0
#: Directions tried.
TRIES = 3


def fixed(probes: Probes) -> tuple[Probes, Reading] | None:
    """Fixes the direction of a search: the first along which the mismatch stands clear of its bar.

    Returns:
        Probes along it with what the whole tensor shows; None where kinks or noise hide the mismatch.
    """
    best: tuple[Probes, Reading] | None = None
    for attempt in range(TRIES):
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


def _clarity(seen: Reading) -> float:
    return abs(seen.value) / seen.bar if seen.bar > 0.0 and seen.value == seen.value else 0.0


def indices(probes: Probes, boxes: Sequence[tuple[Box, Reading]]) -> list[list[int | None]]:
    """For each box and axis the index of the only line that is wrong, None where it is not one or cannot be told.

    Args:
        probes: the tensor.
        boxes: parts of it, each with what it shows along the fixed direction.
    """
    asked = [(k, axis) for k, (box, _) in enumerate(boxes) for axis in range(len(box)) if len(range(*box[axis])) > 1]
    rays = [Region((boxes[k][0],), ramp=axis) for k, axis in asked]
    found: list[list[int | None]] = [[axis[0] if len(range(*axis)) == 1 else None for axis in box] for box, _ in boxes]
    for (k, axis), ramped in zip(asked, probes.regions(rays), strict=True):
        place = _index(ramped, boxes[k][1], probes.shape[axis])
        found[k][axis] = place if place is not None and place in range(*boxes[k][0][axis]) else None
    return found


def _index(ramped: Reading, whole: Reading, length: int) -> int | None:
    if not whole.bad or not abs(ramped.value) < float("inf"):
        return None
    ratio = ramped.value / whole.value
    place = ratio * length - 1.0
    off = (ramped.bar + abs(ratio) * whole.bar) / abs(whole.value) * length
    if off < LOOSE and abs(place - round(place)) <= max(3.0 * off, CLOSE):
        return round(place)
    return None
