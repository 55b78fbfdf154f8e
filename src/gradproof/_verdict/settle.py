"""Verdicts on all tensors of a problem, from as few groups as possible.

The decision behind it: a group that passes settles all its tensors at the price of one. A group that does not is asked
first whether a single tensor spoils it (one more probe tells which), and only then taken apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gradproof._records import Part, Stats, Weighting
from gradproof._records.work import record
from gradproof._reference import next_step
from gradproof._verdict.judge import (
    FEW,
    ROUNDING,
    UNIT_ROUNDOFF,
    Aim,
    Block,
    Judge,
    Outcome,
    blocks_of,
    default_scales,
    grouped,
    relative_high,
    scaled,
    span,
)

#: Sensitivities that may share a step where elements are equalised: the bars may be far wider there, as
#: they are held against the tolerance and not against the course notes' 1e-7.
SHARED_EQUALISED = 1e6
#: How well the place of a single wrong tensor among the others is measured, in places.
SURE = 1e-3


@record(frozen=True, slots=True)
class Claimed:
    """What the verdicts need to know of one tensor besides the probes.

    Attributes:
        stats: its norms.
        aim: what its verdict is held against.
        roundoff: unit roundoff of its claim's precision.
    """

    stats: Stats
    aim: Aim
    roundoff: float


@dataclass
class Settlement:
    """Outcomes by tensor as they come in, so that a check that is cut short reports what it has."""

    outcomes: dict[int, list[Outcome]]
    finer: Callable[[], Judge | None]
    finest_used: set[int]

    def record(self, blocks: Sequence[Block], outcome: Outcome, *, finer: bool, zero: bool = False) -> None:
        """Files an outcome with each tensor of a group.

        The bound above holds for each of them; the bound below only for the group, unless it is a single tensor.
        """
        tensors = {b.tensor for b in blocks}
        if len(tensors) > 1:
            outcome = replace(outcome, low=0.0)
        for tensor in tensors:
            filed = _in_gradient_units(outcome, [b.scale for b in blocks if b.tensor == tensor]) if zero else outcome
            self.outcomes.setdefault(tensor, []).append(filed)
            if finer:
                self.finest_used.add(tensor)

    def buried_below(self, tensor: int, floor: float) -> float:
        """What rounding may make of a claim whose mismatch is no more than that; 0 where it is more.

        Args:
            tensor: which.
            floor: the least that rounding makes of a gradient in these units.
        """
        found = combined(self.outcomes[tensor])
        return max(floor, found.floor) if found.reason == "rounding" else 0.0

    def forget(self, tensor: int) -> None:
        """Takes back what was filed of a tensor."""
        del self.outcomes[tensor]
        self.finest_used.discard(tensor)


def settle(judge: Judge, claimed: Sequence[Claimed], tensors: Sequence[int], settlement: Settlement) -> None:
    """Judges tensors, those of similar sensitivity together, and files what is found.

    Args:
        judge: measures in the first precision.
        claimed: what is known of every tensor of the problem.
        tensors: the ones to judge.
        settlement: where outcomes go; its ``finer`` gives a judge in extended precision, or None.
    """
    scales = default_scales([c.stats for c in claimed])
    strongest = max((s * c.stats.claim for s, c in zip(scales, claimed, strict=True)), default=0.0)
    cost = abs(float(judge.reference.noise.cost))
    for tensor in tensors:
        if not claimed[tensor].stats.moving:
            settlement.record([Block(tensor, -1, 1.0, 1.0)], Outcome("correct", 0.0, 0.0, 0.0, 0.0), finer=False)
    floors = {
        i: ROUNDING * (claimed[i].roundoff * strongest + UNIT_ROUNDOFF * cost)
        for i in tensors
        if claimed[i].stats.moving
    }
    for aim in dict.fromkeys(claimed[i].aim for i in tensors):
        ordinary: list[Block] = []
        zero: dict[float, list[Block]] = {}
        for i in (i for i in tensors if claimed[i].aim == aim and claimed[i].stats.moving):
            floor, known = floors[i], claimed[i].stats
            tiny = scales[i] * known.claim <= floor
            blocks = blocks_of(i, known, scales[i], zero=tiny)
            if tiny:
                zero.setdefault(floor if known.claim else 0.0, []).extend(blocks)
            else:
                ordinary += blocks
        bins = max((len(claimed[i].stats.bins) for i in tensors), default=1)
        shared = replace(aim, alpha=aim.alpha / bins)
        for group in grouped(ordinary, easy=judge.easy(shared)):
            _settle_group(judge, group, shared, settlement, finer=False)
        for i in dict.fromkeys(block.tensor for block in ordinary):
            floor = settlement.buried_below(i, floors[i])
            if floor:
                settlement.forget(i)
                zero.setdefault(floor, []).extend(blocks_of(i, claimed[i].stats, scales[i], zero=True))
        for floor, blocks in zero.items():
            nothing = of_zero(replace(shared, floor=floor), claimed, cost)
            _settle_group(judge, tuple(blocks), nothing, settlement, finer=False)


def of_zero(aim: Aim, claimed: Sequence[Claimed], cost: float) -> Aim:
    """What a claim of zero is held against.

    Args:
        aim: what any other would be.
        claimed: what is known of every tensor of the problem.
        cost: size of the cost.
    """
    scales = default_scales([c.stats for c in claimed])
    strongest = max((s * c.stats.claim for s, c in zip(scales, claimed, strict=True)), default=0.0)
    return replace(aim, zero=True, seen=ROUNDING * UNIT_ROUNDOFF * cost, size=max(strongest, cost))


def _settle_group(
    judge: Judge, group: tuple[Block, ...], aim: Aim, settlement: Settlement, *, finer: bool, start: float | None = None
) -> None:
    outcome = judge.judge(group, aim, start)
    if outcome.status == "undecided" and outcome.reason in ("kink", "noise") and not finer and not aim.zero:
        extended = settlement.finer()
        if extended is not None:
            again = extended.judge(group, aim)
            judge, outcome, finer = extended, again, True
    members = sorted({b.tensor for b in group})
    apart = grouped(group)
    short = not aim.zero and len(apart) > 1 and relative_high(outcome.high) > aim.aim
    if (outcome.status == "correct" and not short) or len(members) == 1:
        settlement.record(group, outcome, finer=finer, zero=aim.zero)
        return
    if len(apart) > 1 and outcome.status != "wrong":
        for part in apart:  # they were put together to save work, and that did not work out
            _settle_group(judge, part, aim, settlement, finer=finer)
        return
    if len(members) > FEW:
        guilty = _single(judge, group, outcome) if outcome.status == "wrong" else None
        if guilty is not None:
            parts = [tuple(b for b in group if b.tensor != guilty), tuple(b for b in group if b.tensor == guilty)]
        else:
            half = set(members[: len(members) // 2])
            parts = [tuple(b for b in group if b.tensor in half), tuple(b for b in group if b.tensor not in half)]
    else:
        parts = [tuple(b for b in group if b.tensor == tensor) for tensor in members]
    for part in parts:
        for piece in grouped(part, easy=judge.easy(aim)):
            _settle_group(judge, piece, aim, settlement, finer=finer)


def _in_gradient_units(outcome: Outcome, scales: Sequence[float]) -> Outcome:
    """An outcome of probes that moved a tensor relative to its scale, per unit of its parameters."""
    return replace(
        outcome,
        low=outcome.low / max(scales),
        high=outcome.high / min(scales),
        estimate=outcome.estimate / max(scales),
        reference=outcome.reference / max(scales),
        absolute=True,
    )


def _single(judge: Judge, group: tuple[Block, ...], outcome: Outcome) -> int | None:
    """The one tensor that holds all of a mismatch, if there is one.

    The same random numbers with tensor i weighted by (i + 1) / n give (i + 1) / n times the mismatch, where i is it.
    """
    members = sorted({b.tensor for b in group})
    n, unit = len(members), span(group)
    rank = {tensor: i for i, tensor in enumerate(members)}
    best = max(range(len(outcome.probes)), key=lambda i: abs(outcome.probes[i].mismatch))
    probe, seed = outcome.probes[best], outcome.seeds[best]
    direction = judge.direction(group, [seed])
    parts = tuple(replace(p, weight=p.weight * (rank[p.tensor] + 1) / n) for p in direction.parts)
    target = max(0.1 * probe.bar, SURE * abs(probe.mismatch) / n) * unit
    ray = replace(direction, parts=parts)
    second = scaled(judge.reference.measure([ray], target, next_step(probe))[0], unit)
    if not second.measured or probe.mismatch == 0.0:
        return None
    place = second.mismatch / probe.mismatch * n - 1.0
    off = (second.bar + abs(second.mismatch / probe.mismatch) * probe.bar) / abs(probe.mismatch) * n
    nearest = round(place)
    if off < 0.2 and abs(place - nearest) <= max(3.0 * off, 1e-4) and 0 <= nearest < n:
        return members[nearest]
    return None


def equalised(judge: Judge, claimed: Sequence[Claimed], tensors: Sequence[int]) -> dict[int, Outcome]:
    """Looks for mismatches of elements that are too small for the norm of their tensor to show.

    Every element weighs by one over its claimed size (or a thousandth of the tensor's root mean square, if that is
    more). Three probes over all tensors; those of a suspicious group are judged one by one.

    Returns:
        Tensors whose elements are proven off by more than the tolerance, in the root mean square of their relative
        mismatch, with the outcome.
    """
    scales = default_scales([c.stats for c in claimed])
    even = replace(judge, weighting=Weighting.EQUALISED)
    blocks: dict[Aim, list[Block]] = {}  # tensors that are held against different tolerances share no group
    for i in tensors:
        stats = claimed[i].stats
        if stats.claim and stats.moving and len(stats.bins) == 1:
            # weight / max(|claimed|, floor) is at most weight x 1000 / rms; its rms over the tensor sets the step.
            block = Block(i, -1, scales[i] * stats.claim_rms, 1.0 / math.sqrt(stats.moving))
            blocks.setdefault(claimed[i].aim, []).append(block)
    found: dict[int, Outcome] = {}
    groups = [(aim, group) for aim, alike in blocks.items() for group in grouped(alike, SHARED_EQUALISED)]
    for aim, group in groups:
        look = replace(aim, wrong=aim.tolerance, aim=aim.tolerance)
        unit = span(group)
        if not unit * look.aim > 0.0:  # scale times gradient lies below the smallest float
            continue
        seeds = even.seeds.first(3)  # numbers that are drawn already: each bound holds by itself
        target = look.aim / 5.0 * unit
        pattern = even.direction(group, ())
        rays = [replace(pattern, seeds=(seed,)) for seed in seeds]
        probes = [scaled(p, unit) for p in even.reference.measure(rays, target, even.start(target))]
        suspicious = any(p.measured and abs(p.mismatch) - p.bar > look.tolerance / 3.0 for p in probes)
        if suspicious:
            for block in group:
                outcome = even.judge((block,), look)
                if outcome.status == "wrong":
                    found[block.tensor] = outcome
    return found


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for a tensor from those of its magnitude bins."""
    if len(outcomes) == 1:
        return outcomes[0]
    worst = next((o for o in outcomes if o.status == "wrong"), None)
    worst = worst or next((o for o in outcomes if o.status == "undecided"), outcomes[0])
    high = math.sqrt(sum(o.high**2 for o in outcomes))
    estimate = math.sqrt(sum(o.estimate**2 for o in outcomes))
    return replace(worst, low=max(o.low for o in outcomes), high=high, estimate=estimate)


def part_of_pilot(claimed: Sequence[Claimed]) -> list[Part]:
    """All tensors, each moved relative to its scale: the line along which noise is measured."""
    scales = default_scales([c.stats for c in claimed])
    return [
        Part(i, rms or scales[i], bin=label)
        for i, c in enumerate(claimed)
        for label, rms, count in c.stats.bins
        if count
    ]
