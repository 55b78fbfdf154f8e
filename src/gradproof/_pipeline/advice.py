"""What would decide a tensor that is undecided, in a note to the reader.

The decision behind it: whoever reads "cannot be judged" asks what to do next. The answer follows from the reason alone,
and from whether the claim can be computed anew elsewhere. Reasons that say themselves what helps get no note.
"""

from collections.abc import Mapping, Sequence

from gradproof._pipeline.tensors import REASONS
from gradproof._records import TensorReport, Verdict

#: By reason, what helps where the claim was passed in as numbers.
HELP: Mapping[str, str] = {
    "kink": "pass the gradient as a function: it is then judged a little beside this point; or take other parameters",
    "noise": "evaluate the cost in float64, tighten what is solved or added up inside it, take fewer examples; or "
    "widen tolerance= to what the cost can show",
    "jump": "take another point, or leave the tensor out with exclude=",
    "scale": "take another point: here the cost bends too much within a step",
    "domain": "take a point further inside the cost's domain",
    "budget": "allow a larger budget=",
    "rounded": "take the rounding out, or compute that part in float64; or widen tolerance= if that precision is meant",
    "inside": "widen tolerance= to what that precision is worth, or check the same code in float32",
    "staircase": "take the rounding, counting or comparing out of the cost for the check",
}
#: The same where the claim can be computed anew beside the point.
WITH_FUNCTIONS: Mapping[str, str] = {
    "kink": "take other parameters, or fewer examples: each brings kinks of its own",
}
#: How reasons begin that say of the cost what REASONS says in other words.
OTHER_WORDS: Mapping[str, str] = {
    "the cost is rounded inside": "rounded",
    "the cost changes by no more than its last bits": "noise",
    "the cost jumps exactly at": "jump",
    "in its own precision the claim differs by": "inside",
}
#: Names in one note.
SHOWN = 3


def what_helps(tensors: Sequence[TensorReport], *, computed: bool) -> list[str]:
    """A note for each reason why tensors are undecided.

    Args:
        tensors: all of the check.
        computed: whether the claim can be computed anew elsewhere.
    """
    stuck: dict[str, list[str]] = {}
    for tensor in tensors:
        key = _key(tensor.reason)
        if tensor.verdict is Verdict.UNDECIDED and key:
            stuck.setdefault(key, []).append(tensor.name)
    helping = {**HELP, **WITH_FUNCTIONS} if computed else HELP
    return [f"To decide {_named(names)}: {helping[key]}." for key, names in stuck.items()]


def _key(reason: str) -> str:
    known = (key for key in HELP if reason.startswith(REASONS[key]))
    return next(known, "") or next((key for words, key in OTHER_WORDS.items() if reason.startswith(words)), "")


def _named(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown
