"""The smallest box around all wrong elements, by bisection of prefixes along each axis.

The decision behind it: what a prefix shows along the fixed direction is nothing until the first wrong line and the
whole from the last one on, so each prefix serves both ends. The outermost lines are looked at first: most boxes touch
an edge.
"""

from gradproof._localisation.probes import Probes, Reading
from gradproof._records import Box, Region


def hull(probes: Probes, box: Box, whole: Reading) -> Box:
    """The box around what is wrong in a box, both ends of each axis as tight as the bars allow.

    Args:
        probes: the tensor.
        box: where to look, with steps of 1.
        whole: what the box shows along the fixed direction.
    """
    edges = [(axis, k) for axis, (a, b, _) in enumerate(box) if b - a > 1 for k in sorted({a + 1, b - 1})]
    seen = probes.regions([Region((_prefix(box, axis, k),)) for axis, k in edges])
    for axis in range(len(box)):
        known = {k: reading for (at, k), reading in zip(edges, seen, strict=True) if at == axis}
        start, stop = _ends(probes, box, axis, whole, known)
        box = _with(box, axis, (start, stop, 1))
    return box


def _ends(probes: Probes, box: Box, axis: int, whole: Reading, known: dict[int, Reading]) -> tuple[int, int]:
    """First and last wrong line; ``known`` holds what some prefixes show and gets more."""
    first, last, _ = box[axis]
    if last - first == 1:
        return first, last

    def prefix(stop: int) -> Reading:
        if stop not in known:
            known[stop] = probes.regions([Region((_prefix(box, axis, stop),))])[0]
        return known[stop]

    low = max((k for k in known if known[k].clean), default=first)
    high = min((k for k in known if k > low and not known[k].clean), default=last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if prefix(middle).clean else (low, middle)
    start = low
    high = min((k for k in known if k > start and (whole - known[k]).clean), default=last)
    low = max((k for k in known if k < high and not (whole - known[k]).clean), default=start)
    low = max(low, start)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if (whole - prefix(middle)).clean else (middle, high)
    return start, high


def _prefix(box: Box, axis: int, stop: int) -> Box:
    return _with(box, axis, (box[axis][0], stop, 1))


def _with(box: Box, axis: int, new: tuple[int, int, int]) -> Box:
    return (*box[:axis], new, *box[axis + 1 :])
