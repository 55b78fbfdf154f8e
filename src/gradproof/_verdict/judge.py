"""From probes to a verdict: intervals, tensors judged together, and what must hold before "wrong" is said.

The decision behind it: tensors are judged together, each weighted by one over the norm of its claimed gradient, so that
every tensor counts by its relative mismatch and one probe serves them all; only a group in which something is wrong or
undecided is opened. Whatever explains a mismatch other than a wrong claim (a kink, a jump, a step that is too large for
one coordinate, rounding) must be excluded by a measurement before a tensor is called wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gradproof._numerics.chi_square import ALPHA, LAST_LOOK, MAX_PROBES, least_norm, norm_bound, norm_interval
from gradproof._numerics.ladder import NOISE_FACTOR, RATIO
from gradproof._records import Direction, Estimate, Noise, Part, Stats, Weighting
from gradproof._records.work import record
from gradproof._reference import Reference, next_step
from gradproof._verdict.staircase import MOVES, steps_close, steps_far

#: Sensitivities (scale x norm of the claim) that may share a step: the least sensitive tensor sets the bar for all.
SHARED = 100.0
#: Tensors that move by no more than this share of themselves at the step that rounding asks for may always share it.
EASY = 3e-3
#: Share of the aim that a single bar may take up; the bound on a norm is some 40 bars after 5 probes.
BAR_SHARE = 20.0
#: Probes before a mismatch may count: two, or four where kinks were seen.
FEWEST, FEWEST_KINKED = 2, 4
#: Probes after which a block that its bars keep undecided is given up.
PATIENCE = 6
#: Share of the bars so far that the next ones may shrink to.
SMALLER = 0.5
#: A mismatch must exceed the bars this many times where kinks are about.
KINK_MARGIN = 30.0
#: Slope changes count this many times against a mismatch; those that noise may hide, this many times.
KINK_PENALTY, HIDDEN_PENALTY = 5.0, 3.0
#: Bars up to this share of the mismatches do not keep a block undecided: a mismatch up to one over this times the
#: tolerance lies too close to it for so many probes.
CLOSE = 0.1
#: The root mean square of six probes is half of the norm or less in one of 25 draws, and a quarter in one of 1000.
CHANCE = 2.0
#: The root mean square of the first probes may be larger than that of more by this factor, or smaller.
ROOM = 1.2
#: Bars up to this share of a mismatch are short enough where something is claimed to be zero and is not.
SHOWN = 1e-3
#: Bars that are larger than this share of the slope changes around the point leave a slope of that size unseen.
BURIED = 0.1
#: Rounding of a claim in units of its precision, relative to the largest scale x gradient about: below it, a claim is
#: noise of the user's own arithmetic.
ROUNDING = 16.0
#: A gradient is computed from numbers that change, as the parameters do, by as much as the curvature says; where these
#: cancel, what is left of their rounding is this many units of it. The dot products in them add up over their terms.
CANCELLED = 64.0
#: Parameters moved by more than their own size may prove a claim right, as what is smooth from there is; that it is
#: wrong, or that it cannot be told, is for closer steps to say. A bounded cost is flat out there.
OWN_SIZE = 1.0
#: Why nothing may be decided of a cost that rounds inside, unless it is looked at from further off.
STEPPED = ("kink", "noise", "jump", "staircase", "scale")
#: Less than this of a cost that is zero itself is no noise.
LEAST = 1e-280
#: Relative spacing of values up to which float64 sums that cancel leave it; above, lower precision does, and is seen.
CANCELLATION = 2.0**-36
#: Unit roundoff of float64.
UNIT_ROUNDOFF = 2.0**-53
#: The first step of a later group may be this many times the usual one.
FARTHEST_START = 64.0
#: Groups up to this size are opened tensor by tensor.
FEW = 4


@record(frozen=True, slots=True)
class Block:
    """A tensor, or a magnitude bin of it, as a probe moves it.

    Attributes:
        tensor: the tensor's place in the problem.
        bin: its magnitude bin, -1 for all.
        scale: root mean square of its parameters.
        weight: what a probe weighs it with: one over the norm of the tensor's claim, or its scale where that is zero.
    """

    tensor: int
    bin: int
    scale: float
    weight: float

    @property
    def sensitivity(self) -> float:
        """How far it may be weighed up before it moves by its own size."""
        return self.scale / self.weight


@record(frozen=True, slots=True)
class Aim:
    """What a verdict is held against.

    Attributes:
        tolerance: the relative difference that must never pass.
        wrong: the relative difference above which a proven mismatch is wrong.
        aim: the relative difference to push the high end below where the cost is smooth enough.
        alpha: chance of a wrong bound.
        floor: rounding of the claim; only for claims that are zero or next to it, in units of the cost.
        zero: whether the claim is zero or next to it.
        seen: rounding of the cost; a mismatch of such a claim above it is no longer one of zeros.
        size: the cost, or the largest scale x gradient about where that is more: what is nothing beside it is zero.
    """

    tolerance: float
    wrong: float
    aim: float
    alpha: float = ALPHA
    floor: float = 0.0
    zero: bool = False
    seen: float = math.inf
    size: float = math.inf


@record(frozen=True, slots=True)
class Outcome:
    """What probes say of a block or group, in units of the claims' norms.

    Attributes:
        status: ``"correct"``, ``"wrong"`` or ``"undecided"``.
        low: bound below on the mismatch.
        high: bound above.
        estimate: its most likely size.
        reference: most likely norm of the reference.
        reason: one word where undecided: kink, noise, jump, scale, rounding, domain.
        seeds: of the directions that were probed.
        absolute: whether the numbers are in units of the gradient instead, as for claims next to zero.
        tensors: the tensors that were probed together.
        floor: what rounding may make of such a claim, per relative step, where that is why nothing is decided.
        noise: what the cost's last digits are worth, where it was judged across steps of rounding inside it.
    """

    status: str
    low: float
    high: float
    estimate: float
    reference: float
    reason: str = ""
    probes: tuple[Estimate, ...] = ()
    seeds: tuple[int, ...] = ()
    absolute: bool = False
    tensors: tuple[int, ...] = ()
    floor: float = 0.0
    noise: Noise | None = None


@dataclass
class Seeds:
    """Seeds of directions, each used once by tensors judged together."""

    base: int
    used: int = 0

    def take(self, count: int) -> list[int]:
        """The next few."""
        self.used += count
        return [self.base * 1_000_003 + self.used - count + i for i in range(count)]

    def first(self, count: int) -> list[int]:
        """The first few once more, for directions of another weighting."""
        return [self.base * 1_000_003 + i for i in range(count)]


@dataclass(frozen=True)
class Judge:
    """Judges blocks of one problem.

    Attributes:
        reference: where slopes come from.
        seeds: where directions come from.
        weighting: how elements weigh within their tensor.
        smooth: one entry for each group that was settled without a kink in sight; shared by all of one check.
    """

    reference: Reference
    seeds: Seeds
    weighting: Weighting = Weighting.PLAIN
    smooth: list[bool] = field(default_factory=list)

    def direction(self, blocks: Sequence[Block], seeds: Sequence[int]) -> Direction:
        """The Gaussian direction on some blocks whose step is relative to the most sensitive."""
        unit = span(blocks)
        parts = (Part(b.tensor, b.weight * unit, self.weighting, b.bin) for b in blocks)
        return Direction(tuple(seeds), tuple(parts))

    def judge(self, blocks: tuple[Block, ...], aim: Aim, start: float | None = None) -> Outcome:
        """Probes some blocks until they are proven right or wrong or cannot be.

        For several tensors at once "wrong" means that the group as a whole is, and says nothing of any one of them.
        """
        unit = span(blocks)
        step = start or self._start(aim, unit)
        pattern = self.direction(blocks, ())
        members = tuple(sorted({b.tensor for b in blocks}))
        probes: list[Estimate] = []
        seeds: list[int] = []
        outcome = Outcome("undecided", 0.0, math.inf, math.nan, math.nan, "noise")
        target = 0.0 if aim.zero else aim.aim / BAR_SHARE * unit
        while len(probes) < MAX_PROBES:
            fresh = self.seeds.take(_needed(probes, aim))
            rays = [Direction((seed,), pattern.parts) for seed in fresh]
            found = self.reference.measure(rays, target, step)
            if not probes and found[0].measured and not self.reference.noise.constant:
                found = [self.reference.closer(rays[0], found[0], target)]
            probes += [scaled(estimate, unit) for estimate in found]
            seeds += fresh
            if target == 0.0 and _rms([p.mismatch for p in probes]) > KINK_MARGIN * _rms([p.bar for p in probes]):
                # Steps grew for the shortest bar until curvature looked like kinks; what is there needs none so short.
                target, step = SHOWN * _rms([p.mismatch for p in probes]) * unit, start
                found = self.reference.measure([self.direction(blocks, [seed]) for seed in seeds], target, step)
                probes = [scaled(estimate, unit) for estimate in found]
            step = next_step(found[-1]) or step
            outcome = _weigh(probes, aim, self.reference.noise.sigma)
            if outcome.status != "open":
                break
        if outcome.status == "open" and len(members) == 1:
            fresh = self.seeds.take(_last(probes, aim) - len(probes))
            rays = [Direction((seed,), pattern.parts) for seed in fresh]
            found = self.reference.measure(rays, target, step) if rays else []
            probes += [scaled(estimate, unit) for estimate in found]
            seeds += fresh
            outcome = _weigh(probes, _at_last(aim), self.reference.noise.sigma) if rays else outcome
        if (
            outcome.status != "correct"
            and any(p.step * RATIO**2 > OWN_SIZE for p in probes)
            and self._may_come_closer()
        ):
            noise = replace(self.reference.noise, ceiling=OWN_SIZE)
            return replace(self, reference=replace(self.reference, noise=noise), smooth=[]).judge(blocks, aim)
        if outcome.status == "correct" and not any(p.kink for p in probes):
            self.smooth.append(True)
        if (
            outcome.status != "wrong"
            and outcome.reason == "kink"
            and (self.reference.noise.quantised or self.reference.noise.rounded)
        ):
            outcome = replace(outcome, reason="noise")  # each rounding looks like a kink
        unproven = outcome.status not in ("wrong", "correct")
        if unproven and outcome.reason == "noise" and self.reference.noise.steps_only and not aim.zero:
            outcome = replace(outcome, reason="staircase")
        status = "undecided" if outcome.status == "open" else outcome.status
        outcome = replace(outcome, status=status, probes=tuple(probes), seeds=tuple(seeds), tensors=members)
        if status == "wrong" and len(members) == 1:
            outcome = self._confirm(blocks, aim, outcome, step)
        return _named(self._across(blocks, aim, outcome), aim)

    def _may_come_closer(self) -> bool:
        """Whether noise has led to steps that are farther from the point than it makes sense to go."""
        noise = self.reference.noise
        return noise.ceiling > OWN_SIZE and not noise.constant

    def _across(self, blocks: tuple[Block, ...], aim: Aim, outcome: Outcome) -> Outcome:
        """The outcome across the steps of a cost that rounds inside; as it is where the cost does not.

        Between two steps such a cost has another slope, which proves nothing against a claim of what is rounded.
        """
        noise = self.reference.noise
        doubted = outcome.status == "undecided" and outcome.reason in STEPPED
        doubted = doubted or (outcome.status == "wrong" and len(outcome.tensors) == 1)
        if not doubted or not may_hide_rounding(noise):
            return outcome
        # Along the direction that is off most, what is rounded moves most.
        off = [abs(p.mismatch) + p.bar if p.measured else 0.0 for p in outcome.probes]
        rounded = self.reference.rounded_along(self.direction(blocks, [outcome.seeds[off.index(max(off))]]))
        if rounded is None:
            return outcome
        across = replace(self, reference=replace(self.reference, noise=rounded), smooth=[])
        found = across.judge(blocks, aim)
        if found.status == "undecided" and found.reason in ("kink", "noise", "scale"):
            found = replace(found, reason="rounded")
        return replace(found, low=min(found.low, outcome.low), noise=rounded)

    def _start(self, aim: Aim, unit: float) -> float | None:
        """The step at which rounding alone would meet the target, once the cost is known to be smooth."""
        if aim.zero:
            return None
        return self.start(aim.aim / BAR_SHARE * unit)

    def start(self, target: float) -> float | None:
        """The step at which rounding is half of a target, once the cost is known to be smooth; None before."""
        noise = self.reference.noise
        if not self.smooth or noise.quantised:
            return None
        return noise.step * min(max(1.0, 2.0 * rounding_step(noise.sigma, target) / noise.step), FARTHEST_START)

    def easy(self, aim: Aim) -> float:
        """The sensitivity from which on a tensor hardly moves at the step that rounding asks for.

        The bar of a group, in units of the claims' norms, is its noise over (step x least sensitivity): whoever shares
        that product has the same bar. Sensitivities keep tensors apart only where one of them would have to move by as
        much as itself to get there.
        """
        return rounding_step(self.reference.noise.sigma, aim.aim / BAR_SHARE) / EASY

    def _confirm(self, blocks: tuple[Block, ...], aim: Aim, outcome: Outcome, step: float | None) -> Outcome:
        """Excludes what else could look like a mismatch: kinks, jumps and steps too large for some coordinate."""
        unit, probes = span(blocks), outcome.probes
        size = math.sqrt(sum(p.mismatch**2 for p in probes) / len(probes))
        floor = CANCELLED * UNIT_ROUNDOFF * max(p.curvature for p in probes)
        if size * unit <= floor:
            return replace(outcome, status="undecided", reason="rounding", floor=floor)
        bars = sum(p.bar for p in probes) / math.sqrt(len(probes))
        target = (aim.aim / BAR_SHARE if not aim.zero else 1e-3 * size) * unit
        joint = self.reference.measure([self.direction(blocks, outcome.seeds)], target, step)[0]
        joint = scaled(joint, unit)
        off = abs(joint.mismatch - sum(p.mismatch for p in probes) / math.sqrt(len(probes)))
        if not joint.measured or (off > 2.0 * (joint.bar + bars) and off > 0.05 * size):
            return replace(outcome, status="undecided", reason="kink")
        if not self._holds_closer(blocks, outcome):
            return replace(outcome, status="undecided", reason="jump")
        if self._in_steps(blocks, outcome):
            return replace(outcome, status="undecided", reason="staircase")
        relative, clear = replace(self, weighting=Weighting.RELATIVE), False
        for seed in self.seeds.take(3):
            parts = tuple(Part(b.tensor, 1.0, Weighting.RELATIVE, b.bin) for b in blocks)
            for fine in (max(1e-3 * target, 1e-2 * size * unit), 1e-3 * target):
                seen = relative.reference.measure([Direction((seed,), parts)], fine)[0]
                if seen.measured and abs(seen.mismatch) > 3.0 * seen.bar:
                    return outcome
            clear = clear or (seen.measured and 3.0 * seen.bar < 0.3 * size * unit)
        return replace(outcome, status="undecided", reason="scale" if clear else "noise")

    def _in_steps(self, blocks: tuple[Block, ...], outcome: Outcome) -> bool:
        """Whether the cost is made of steps, so that the mismatch depends on how closely one looks."""
        unit = span(blocks)
        probes = [(self.direction(blocks, [seed]), probe, unit) for probe, seed in _clearest(outcome)]
        return steps_close(self.reference, probes) or steps_far(self.reference, probes)

    def _holds_closer(self, blocks: tuple[Block, ...], outcome: Outcome) -> bool:
        """Whether the mismatch stays at the smallest step at which rounding would still let it be seen."""
        unit, sigma = span(blocks), self.reference.noise.sigma
        for probe, seed in _clearest(outcome):
            size = abs(probe.mismatch) * unit
            smallest = max(MOVES, 8.0 * NOISE_FACTOR * sigma / (math.sqrt(2.0) * size))
            if smallest >= probe.step / 2.0:
                continue
            steps = {smallest, math.sqrt(smallest * probe.step)}
            for step in sorted(steps):
                pair = self.reference.pair(self.direction(blocks, [seed]), step)
                if pair.finite and abs(-pair.odd - probe.mismatch * unit) > 0.25 * size + probe.bar * unit:
                    return False
        return True


def _clearest(outcome: Outcome) -> list[tuple[Estimate, int]]:
    """The two probes that show the most of a mismatch, with their seeds; one where the others show none."""
    ranked = sorted(zip(outcome.probes, outcome.seeds, strict=True), key=lambda pair: -abs(pair[0].mismatch))
    return [pair for pair in ranked[:2] if pair[0].mismatch]


def may_hide_rounding(noise: Noise) -> bool:
    """Whether a cost may round inside by more than its noise says: that was measured close to the point."""
    grid = noise.quantised and noise.epsilon > CANCELLATION
    return not (noise.rounded or grid or noise.steps_only or noise.constant)


def _named(outcome: Outcome, aim: Aim) -> Outcome:
    """The outcome, with another reason where the bars are short and only the number of probes keeps it undecided."""
    if outcome.status != "undecided" or outcome.reason != "noise" or aim.zero or not outcome.low:
        return outcome
    size, bar = _rms([p.mismatch for p in outcome.probes]), _rms([p.bar for p in outcome.probes])
    about = relative_low(size) <= aim.wrong / CLOSE and not any(p.kink for p in outcome.probes)
    return replace(outcome, reason="close") if about and bar < CLOSE * size else outcome


def span(blocks: Sequence[Block]) -> float:
    """How far a direction may be weighed up before a relative step of 1 moves some block by its own size."""
    return min(b.sensitivity for b in blocks)


def scaled(estimate: Estimate, unit: float) -> Estimate:
    """An estimate in units of the claims' norms."""
    return Estimate(
        estimate.mismatch / unit, estimate.bar / unit, estimate.slope / unit, estimate.step, estimate.noise / unit,
        estimate.truncation / unit, estimate.kink / unit, estimate.kink_here / unit, estimate.hidden / unit,
        estimate.jump, estimate.evaluations, estimate.curvature,
    )  # fmt: skip


def rounding_step(sigma: float, target: float) -> float:
    """The step at which the noise of a central difference alone is the target."""
    return NOISE_FACTOR * sigma / (math.sqrt(2.0) * target)


def _needed(probes: Sequence[Estimate], aim: Aim) -> int:
    """How many probes to add in one round: as many as a right claim still needs if all that is seen of it is bars.

    The next bars may well be smaller, as they start from a better step; none is asked for that these could spare.
    """
    k = len(probes)
    least = 2 if k == 1 else 1
    if not k or aim.zero or any(p.kink or not abs(p.mismatch) <= p.bar < math.inf for p in probes):
        return least
    bar = SMALLER * _rms([p.bar for p in probes])
    for total in range(k + least, PATIENCE):
        if relative_high(norm_bound(bar, total, aim.alpha)) <= aim.aim:
            return total - k
    return least


def _at_last(aim: Aim) -> Aim:
    """What a verdict is held against in the last look."""
    return replace(aim, alpha=aim.alpha / len(LAST_LOOK))


def _last(probes: Sequence[Estimate], aim: Aim) -> int:
    """How many probes decide in one last look what the first have left open; as many as there are where none would.

    A mismatch of twice or half of what is allowed lies within the bounds of a few probes, however short their bars.
    """
    aim, k, sizes, bars = _at_last(aim), len(probes), _rms([p.mismatch for p in probes]), _rms([p.bar for p in probes])
    if aim.zero or any(p.kink or not p.measured for p in probes) or not bars < CLOSE * sizes:
        return k
    for total in LAST_LOOK:
        above = relative_low(least_norm((sizes - bars) / ROOM, total, aim.alpha)) > aim.wrong
        below = relative_high(norm_bound((sizes + bars) * ROOM, total, aim.alpha)) <= aim.tolerance
        if total > k and (above or below):
            return total
    may = relative_low(least_norm((sizes - bars) * ROOM, LAST_LOOK[-1], aim.alpha)) > aim.wrong
    return LAST_LOOK[-1] if may else k


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


def relative_high(mismatch: float, claim: float = 1.0) -> float:
    """The largest relative difference that a mismatch of this norm can make beside a claim of that norm.

    norm(reference) is at least claim - mismatch, so the course notes' number is at most
    mismatch / (2 claim - mismatch), capped at 1; 0/0 is 0.
    """
    if mismatch == 0.0:
        return 0.0
    rest = 2.0 * claim - mismatch
    return min(1.0, mismatch / rest) if rest > 0.0 and math.isfinite(mismatch) else 1.0


def relative_low(mismatch: float, claim: float = 1.0) -> float:
    """The smallest relative difference that a mismatch of this norm can make beside a claim of that norm."""
    return mismatch / (2.0 * claim + mismatch) if mismatch > 0.0 else 0.0


def hides(noise: float, probes: Sequence[Estimate], aim: Aim) -> bool:
    """Whether a cost is so noisy that a gradient that was forgotten looks like one that is zero."""
    if not any(p.mismatch or p.curvature for p in probes):
        return False  # it did not change by one bit, whatever its values look rounded to
    size = max(aim.size, *(p.curvature for p in probes))
    return noise > max(aim.tolerance * size, aim.seen + aim.floor, LEAST)


def _weigh(probes: Sequence[Estimate], aim: Aim, sigma: float = 0.0) -> Outcome:
    """One look at the probes so far; status ``"open"`` asks for more.

    Args:
        probes: what was measured.
        aim: what it is held against.
        sigma: noise of one evaluation.
    """
    k = len(probes)
    if not all(p.measured for p in probes):
        return Outcome("undecided", 0.0, math.inf, math.nan, math.nan, "domain")
    sizes, bars = [abs(p.mismatch) for p in probes], [p.bar for p in probes]
    low, high = norm_interval(sizes, bars, aim.alpha)
    kinked = any(p.kink > 0.0 for p in probes)
    penalty = KINK_PENALTY * _rms([p.kink_here for p in probes])
    penalty += HIDDEN_PENALTY * _rms([p.hidden for p in probes]) if kinked else 0.0
    sure = norm_interval(sizes, [bar + penalty for bar in bars], aim.alpha)[0] if penalty else low
    if kinked and _rms(sizes) < KINK_MARGIN * _rms(bars):
        sure = 0.0
    reference = _rms([p.slope - p.mismatch for p in probes])
    result = Outcome("open", low, high, _rms(sizes), reference, "kink" if kinked else "noise")
    if sum(p.jump > 0.0 for p in probes) * 2 > k:
        return replace(result, status="undecided", reason="jump")
    enough = k >= (FEWEST_KINKED if kinked else FEWEST)
    if aim.zero:
        if enough and sure > 4.0 * aim.floor:
            return replace(result, status="wrong", low=sure)
        if k >= 3 and all(size <= bar + 2.0 * aim.floor for size, bar in zip(sizes, bars, strict=True)):
            nothing = all(abs(p.slope - p.mismatch) <= p.bar + aim.seen for p in probes)  # is measured, only claimed
            if not nothing and any(size > bar + 2.0 * aim.seen for size, bar in zip(sizes, bars, strict=True)):
                return replace(result, status="undecided", reason="rounding")
            # A central difference of |x| is 0 at 0 at every step, and says nothing of what the claim should be: steps
            # were made smaller until noise hid the kink, and with it any slope of its size.
            bar = sorted(bars)[k // 2]  # the first probe starts from a step that suits other tensors
            buried = bar > BURIED * _rms([p.kink for p in probes]) > 0.0 and bar > aim.seen + aim.floor
            return replace(result, status="undecided" if buried or hides(max(bar, sigma), probes, aim) else "correct")
        return result
    if enough and relative_low(sure) > aim.wrong:
        return replace(result, status="wrong", low=sure)
    about = _rms(sizes) * (CHANCE if k < MAX_PROBES else 1.0)  # few probes may all be small
    if k >= PATIENCE and relative_low(sure) > aim.tolerance and relative_low(about) <= aim.wrong:
        return replace(result, status="undecided", reason="inside")  # between what is right and what no rounding does
    if k >= PATIENCE and relative_low(low) > aim.wrong:
        return replace(result, status="undecided", reason="kink")
    if k >= 3 and relative_high(high) <= aim.aim:
        return replace(result, status="correct")
    hopeless = 5.0 * _rms([size + bar for size, bar in zip(sizes, bars, strict=True)]) > 2.0 * aim.aim
    if k >= 3 and hopeless and relative_high(high) <= aim.tolerance:
        return replace(result, status="correct")
    if k >= PATIENCE and _rms(bars) > 6.0 * aim.tolerance:
        return replace(result, status="undecided")
    return result


def blocks_of(tensor: int, stats: Stats, scale: float, *, zero: bool) -> list[Block]:
    """The magnitude bins of one tensor as blocks.

    Args:
        tensor: its place in the problem.
        stats: its norms.
        scale: what to take for the scale of parameters that are all zero.
        zero: whether its claim is next to zero, so that it is weighed by its scale instead.
    """
    found = []
    for label, rms, count in stats.bins:
        if count:
            size = rms or scale
            found.append(Block(tensor, label, size, size if zero else 1.0 / stats.claim))
    return found


def grouped(blocks: Sequence[Block], ratio: float = SHARED, easy: float = math.inf) -> list[tuple[Block, ...]]:
    """Blocks whose sensitivities lie within a factor, most sensitive first.

    Args:
        blocks: what to group.
        ratio: the factor.
        easy: neighbouring groups become one where all their sensitivities are at least this.
    """
    groups: list[list[Block]] = []
    for block in sorted(blocks, key=lambda b: -b.sensitivity):
        if groups and groups[-1][0].sensitivity <= ratio * block.sensitivity:
            groups[-1].append(block)
        else:
            groups.append([block])
    first = [block for group in groups if group[-1].sensitivity >= easy for block in group]
    rest = [tuple(group) for group in groups if group[-1].sensitivity < easy]
    return [tuple(first), *rest] if first else rest


def default_scales(stats: Sequence[Stats]) -> list[float]:
    """Scales of tensors; where all parameters are zero, that of the others or 1, whichever is smaller."""
    positive = sorted(s.scale for s in stats if s.scale > 0.0)
    middle = len(positive) // 2
    fallback = min(1.0, 0.5 * (positive[middle] + positive[~middle])) if positive else 1.0
    return [s.scale or fallback for s in stats]
