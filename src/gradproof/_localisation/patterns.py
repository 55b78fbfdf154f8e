"""Regular patterns in a box: every n-th line, checkerboards, diagonals, triangles and what is left without them.

The decision behind it: a pattern is what remains when its opposite is measured clean along the fixed direction, so each
costs one probe and its opposite none. They are asked before a box is called wrong all over, as a few elements picked
at random would hardly hit a clean diagonal.
"""

from gradproof._localisation.probes import Probes, Reading
from gradproof._records import Box, Pattern, Region

#: Steps tried beyond 2 where a box is not wrong all over.
STEPS = (3, 4, 5, 6, 8, 10, 12, 16)

#: Which of the diagonal, the part above and the part below are wrong -> the pattern.
TRIANGLES = {
    (True, False, False): Pattern.DIAGONAL,
    (False, True, True): Pattern.OFF_DIAGONAL,
    (False, True, False): Pattern.STRICTLY_UPPER,
    (False, False, True): Pattern.STRICTLY_LOWER,
    (True, True, False): Pattern.UPPER,
    (True, False, True): Pattern.LOWER,
}


def narrowed(probes: Probes, box: Box, whole: Reading) -> Region:
    """A box without the regular parts of it that are clean.

    Args:
        probes: the tensor.
        box: a hull, so that its outermost lines are wrong.
        whole: what it shows along the fixed direction.
    """
    # With both outermost lines wrong only a box of an odd number of lines can have every second one clean.
    axes = [axis for axis, (a, b, _) in enumerate(box) if b - a >= 3 and (b - a) % 2]
    odd = probes.regions([Region((_stepped(box, axis, box[axis][0] + 1, 2),)) for axis in axes])
    steps = [axis for axis, seen in zip(axes, odd, strict=True) if seen.clean]
    if steps:
        for axis in steps:
            box = _stepped(box, axis, box[axis][0], 2)
        return Region((box,))
    return Region((box,), _pattern(probes, box, whole))


def _pattern(probes: Probes, box: Box, whole: Reading) -> Pattern:
    lengths = [b - a for a, b, _ in box]
    asked = []
    if sum(length > 1 for length in lengths) >= 2:
        asked.append(Pattern.EVEN)
    if len(box) == 2 and min(lengths) >= 2:
        asked += [Pattern.DIAGONAL, Pattern.STRICTLY_UPPER]
    asked = [pattern for pattern in asked if Region((box,), pattern).mask(probes.shape).any()]
    seen = dict(zip(asked, probes.regions([Region((box,), pattern) for pattern in asked]), strict=True))
    triangle = _triangle(seen, whole)
    if triangle is Pattern.DIAGONAL:  # which is on the checkerboard as well
        return triangle
    even = seen.get(Pattern.EVEN)
    if even is not None and even.clean:
        return Pattern.ODD
    if even is not None and (whole - even).clean:
        return Pattern.EVEN
    return triangle


def _triangle(seen: dict[Pattern, Reading], whole: Reading) -> Pattern:
    if not seen.keys() & {Pattern.DIAGONAL, Pattern.STRICTLY_UPPER}:
        return Pattern.FULL
    nothing = Reading(0.0, 0.0, whole.sharp)
    diagonal, upper = seen.get(Pattern.DIAGONAL, nothing), seen.get(Pattern.STRICTLY_UPPER, nothing)
    wrong = not diagonal.clean, not upper.clean, not (whole - diagonal - upper).clean
    return TRIANGLES.get(wrong, Pattern.FULL)


def stepped(probes: Probes, box: Box, whole: Reading) -> Box | None:
    """A box with a step of three or more along an axis where everything between is clean; None where there is none."""
    asked = [(axis, step) for axis, (a, b, _) in enumerate(box) for step in STEPS if b - a > step + 1]
    asked = [(axis, step) for axis, step in asked if (box[axis][1] - 1 - box[axis][0]) % step == 0]
    found = None
    for axis, step in asked:
        candidate = _stepped(box, axis, box[axis][0], step)
        if (whole - probes.regions([Region((candidate,))])[0]).clean:
            found = candidate
    return found


def _stepped(box: Box, axis: int, start: int, step: int) -> Box:
    return (*box[:axis], (start, box[axis][1], step), *box[axis + 1 :])
