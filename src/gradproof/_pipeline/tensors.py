"""One tensor's report from what its probes say: its verdict, its difference, and the reason in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradproof._records import Difference, Finding, Noise, Tensor, TensorReport, Verdict
from gradproof._records.work import record
from gradproof._verdict.judge import ROUNDING, UNIT_ROUNDOFF, Outcome, relative_high, relative_low
from gradproof._verdict.settle import Claimed

#: What is said of a tensor whose claim and reference are next to zero, and which rounding is meant as a rule.
ZERO, ROUNDED = "claim and reference are both zero to the", "cost's own rounding"
#: What is said of a claim that is wrong in the user's own precision alone.
RIGHT_IN_FLOAT64 = "from its float64 version, which is right"
#: Parameters rounded to numbers further apart than this cannot be moved by little enough to tell a kink.
COARSE = 1e-4
TOO_COARSE = (
    "the numbers of its own format lie too far apart to tell; give a float64 reference (twin=) where there is one"
)

REASONS = {
    "kink": "kinks of the cost lie too close to this point",
    "noise": "the cost's rounding hides the rest",
    "jump": "the cost jumps at or next to this point",
    "scale": "the mismatch depends on the step's scale",
    "rounding": "claim and reference differ by no more than the rounding of such a claim",
    "domain": "the cost cannot be evaluated on both sides of this point",
    "budget": "the budget ran out",
    "rounded": "numbers are rounded to a lower precision inside the cost, and that hides the rest",
    "close": 'the difference lies about the tolerance, and random lines bound it no closer: method="exhaustive" tells',
    "inside": "the cost computes in lower precision inside, and its gradient is off by no more than that rounds",
    "staircase": "the cost is a staircase here: flat or rising, as its steps are looked at closely or from afar",
}

#: Reasons that take back a mismatch that was seen: nothing is left of what it would be at least.
TAKEN_BACK = ("kink", "noise", "jump", "scale", "staircase", "rounded")


@dataclass(frozen=True)
class Own:
    """A claim in the user's own precision beside the one in float64.

    Attributes:
        off: how far apart they are, relative.
        tolerance: how far they may be.
        rounded: whether the difference is another one at neighbouring points.
        lost: what is not finite in the user's own precision, where it is in float64: the ``claim`` alone, the ``cost``
            as well, or numbers that the ``format`` does not hold; "" where everything is.
        finding: what is said of a claim that is lost alone.
    """

    off: float
    tolerance: float
    rounded: bool = False
    lost: str = ""
    finding: Finding | None = None


@record(frozen=True, slots=True)
class Seen:
    """What a check has seen of one tensor.

    Attributes:
        claimed: its norms and what it is held against.
        noise: what the cost's last digits are worth.
        outcome: what probes say; None where nothing usable is claimed.
        remark: what a reader should know of how it was judged.
        grain: how far apart the numbers lie that its parameters are rounded to, relative.
    """

    claimed: Claimed
    noise: Noise
    outcome: Outcome | None
    remark: str = ""
    grain: float = 0.0


def tensor_report(tensor: Tensor, seen: Seen, findings: Sequence[Finding], native: Own | None = None) -> TensorReport:
    """The report on one tensor.

    Args:
        tensor: the tensor.
        seen: what was seen of it.
        findings: what is wrong with the form of the claims.
        native: the claim in the user's own precision beside the one that was judged.
    """
    claimed, noise, outcome, remark = seen.claimed, seen.noise, seen.outcome, seen.remark
    broken = [f for f in findings if tensor.name in f.tensors and f.severity == "error"]
    tolerance, elements = claimed.aim.tolerance, elements_of(tensor)
    if outcome is None or broken:
        reason = _reason(broken[0]) if broken else "nothing is claimed for it"
        known = Difference(1.0, 0.0, 1.0) if outcome is None else _difference(claimed, outcome)
        return TensorReport(tensor.name, tensor.shape, Verdict.WRONG, known, reason, tolerance, elements)
    verdict = Verdict(outcome.status)
    difference = _difference(claimed, outcome)
    reason = remark
    if verdict is Verdict.UNDECIDED and not reason:
        reach = f"; errors above {difference.high:.1e} would have been seen" if difference.high < 1.0 else ""
        coarse = outcome.reason == "kink" and seen.grain > COARSE
        reason = (TOO_COARSE if coarse else REASONS.get(outcome.reason, outcome.reason)) + reach
        if outcome.reason == "rounded" and outcome.noise is not None and float(noise.cost):
            reason = f"{rounded_to(outcome.noise)}{reach}"
        if outcome.absolute and outcome.reason == "noise":
            reason = f"the cost changes by no more than its last bits when {tensor.name} does{_reach(claimed, outcome)}"
    # Of what is next to zero a relative difference says nothing, and a bound of 1 on it nothing either.
    zero = verdict is Verdict.CORRECT and bool(claimed.stats.moving) and _is_zero(claimed, outcome)
    if zero and not reason:
        own = ROUNDING * UNIT_ROUNDOFF * abs(float(noise.cost))
        sensed = claimed.stats.scale * claimed.stats.claim > own
        reason = f"{ZERO} {'rounding of such claims' if sensed else ROUNDED}{_reach(claimed, outcome)}"
        if noise.constant and math.isfinite(noise.ceiling):
            reason += "; further off the cost jumps"
    if native is not None and verdict is not Verdict.WRONG:
        off, allowed = native.off, native.tolerance
        if native.lost == "claim":
            verdict, difference = Verdict.WRONG, Difference(1.0, max(0.0, 1.0 - difference.high), 1.0)
            reason = "in its own precision the claim is not finite; the cost is, and so is the claim in float64"
        elif native.lost:
            verdict = Verdict.UNDECIDED
            what = "the cost is not finite" if native.lost == "cost" else "the claim is too large for its format"
            reason = f"in its own precision {what}"
        elif native.rounded and off > allowed:
            reason = f"in its own precision the claim differs by {off:.1e}, another amount at each point: rounding"
            verdict = Verdict.UNDECIDED
        elif off - difference.high > allowed:
            verdict = Verdict.WRONG
            reason = f"in its own precision the claim differs by {off:.1e} {RIGHT_IN_FLOAT64}"
            difference = Difference(off, off - difference.high, min(1.0, off + difference.high))
        elif off + (0.0 if zero else difference.high) > allowed and verdict is Verdict.CORRECT:
            verdict, reason = Verdict.UNDECIDED, f"in its own precision the claim differs by {off:.1e}"
    return TensorReport(tensor.name, tensor.shape, verdict, difference, reason, tolerance, elements)


def rounded_to(noise: Noise) -> str:
    """What is said of a tensor that rounding inside the cost keeps undecided."""
    share = noise.sigma / abs(float(noise.cost))
    return f"the cost is rounded inside, to about {share:.0e} of itself, and that hides the rest"


def _reason(finding: Finding) -> str:
    """The finding in few words; those about the form of a claim are about one tensor and short."""
    if finding.cause == "contract":
        return finding.message
    return f"{finding.cause}: {finding.detail}" if finding.detail else finding.cause


def _reach(claimed: Claimed, outcome: Outcome) -> str:
    """What norm of a gradient next to zero may have gone unseen."""
    size = outcome.high + claimed.stats.claim
    return f"; a gradient with a norm below {size:.1e} would not be seen" if math.isfinite(size) and size else ""


def _is_zero(claimed: Claimed, outcome: Outcome) -> bool:
    return claimed.stats.claim == 0.0 or outcome.absolute


def _difference(claimed: Claimed, outcome: Outcome) -> Difference:
    """Outcomes are in units of the claim's norm; where that is next to zero, only zero itself is known."""
    if outcome.status == "correct" and outcome.estimate == 0.0 and outcome.high == 0.0:
        return Difference(0.0, 0.0, 0.0)
    if claimed.stats.claim == 0.0 and outcome.absolute:
        if outcome.status == "correct" and outcome.estimate == 0.0:  # not one evaluation differed by a single bit
            return Difference(0.0, 0.0, 0.0)
        wrong = outcome.status == "wrong"
        return Difference(1.0 if wrong else 0.0, 1.0 if wrong else 0.0, 1.0)
    claim = claimed.stats.claim if outcome.absolute else 1.0
    low, high = relative_low(proven(outcome), claim), relative_high(outcome.high, claim)
    estimate = outcome.estimate / (claim + outcome.reference) if math.isfinite(outcome.estimate) else high
    return Difference(min(max(estimate, low), high), low, high)


def absolute(claimed: Claimed, outcome: Outcome | None, size: float | None) -> tuple[float, float, float, float, float]:
    """Bounds on a mismatch and the norms beside it, in units of the gradient.

    Args:
        claimed: norms of the tensor.
        outcome: what its probes say.
        size: norm of the whole claim where some coordinates were held still.
    """
    norm = claimed.stats.claim if size is None else size
    if outcome is None:
        return 0.0, math.inf, math.nan, norm, norm
    unit = 1.0 if outcome.absolute or not norm else norm
    estimate = outcome.estimate * unit
    return proven(outcome) * unit, outcome.high * unit, estimate, norm, outcome.reference * unit


def proven(outcome: Outcome) -> float:
    """What a mismatch is at least, in the outcome's units."""
    return 0.0 if outcome.status == "undecided" and outcome.reason in TAKEN_BACK else outcome.low


def elements_of(tensor: Tensor) -> int:
    """The number of elements of a tensor."""
    return tensor.size // 2 if tensor.complex else tensor.size
