"""The course notes' checklist, answered from what this check has measured.

The decision behind it: a tick that nobody earned is worse than none. Each answer rests on evaluations that were made;
where none was, the answer is "not checked" and says what would check it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._adapters.numpy import Session
from gradproof._evaluation import BudgetExhaustedError, Meter
from gradproof._pipeline.options import AIM, VARIED, Options
from gradproof._pipeline.reporting import Found
from gradproof._records import ChecklistItem, Verdict

#: Options that weigh a regulariser, and those that set which share of units is kept or dropped.
WEIGHTS, KEPT, DROPPED = ("lambd", "lambda_", "weight_decay", "l2"), ("keep_prob",), ("p", "dropout", "drop_prob")
#: Steps along a line, relative to the parameters, for the slope of what the weight adds: an L2 term is a parabola, for
#: which any step is exact, and the smaller one is for everything else.
STEPS = (1e-1, 1e-3)
#: Slopes agree within this share, beside the cost's rounding in units of its last place.
AGREE, ROUNDING = 1e-5, 32.0 * float(np.finfo(np.float64).eps)
#: Directions along which slopes are compared.
DIRECTIONS = 2
#: A cost with fewer digits than this was rounded inside.
DIGITS = 13.0
NOT_CHECKED = "not checked"

REGULARISER = "regulariser in both"
DROPOUT = "dropout off or frozen"
STAGES = "at more than one stage"
PRECISION = "precision"
COMPONENTS = "components examined"
DIFFERENCE = "difference below 1e-7"
QUESTIONS = (REGULARISER, DROPOUT, STAGES, PRECISION, COMPONENTS, DIFFERENCE)


def unanswered() -> tuple[ChecklistItem, ...]:
    """The checklist of a check that was not made."""
    return tuple(ChecklistItem(question, NOT_CHECKED, "nothing was evaluated") for question in QUESTIONS)


def checklist(found: Found, options: Options, meter: Meter) -> tuple[ChecklistItem, ...]:
    """Answers the checklist; the first answer may take a few evaluations."""
    return (
        ChecklistItem(REGULARISER, *_regulariser(found, options, meter)),
        ChecklistItem(DROPOUT, *_dropout(found)),
        ChecklistItem(STAGES, NOT_CHECKED, "this is one point; gradproof.Stages checks at several"),
        ChecklistItem(PRECISION, *_precision(found)),
        ChecklistItem(COMPONENTS, *_components(found, options)),
        ChecklistItem(DIFFERENCE, *_difference(found, options)),
    )


def _regulariser(found: Found, options: Options, meter: Meter) -> tuple[str, str]:
    session = found.session
    given = dict(session.call.options or {}) if session is not None else {}
    names = [name for name in WEIGHTS if _is_number(given.get(name))]
    if found.drawn is None:
        return NOT_CHECKED, "nothing was evaluated"
    if options.method in ("probe", "classic"):
        return NOT_CHECKED, f"method {options.method} does not ask"
    if session is None:
        return NOT_CHECKED, "not asked of tensors that stay where they are"
    if not names:
        return NOT_CHECKED, "no weight of a regulariser among the options, such as lambd"
    if not session.callable_grads or session.caller.live or session.rows:
        return NOT_CHECKED, "needs functions of the parameters and one cost at a time"
    if names[0] not in (session.call.vary or VARIED):
        return NOT_CHECKED, f"{names[0]} is not among the options that may be varied"
    try:
        with np.errstate(all="ignore"):
            status, said = _slopes_agree(session, names[0], float(given[names[0]]), options.seed, meter)
            causes = _mended_otherwise(found) if status == "NO" else ""
            return ("open", f"{said}, as the gradients do: {causes}") if causes else (status, said)
    except BudgetExhaustedError:
        return NOT_CHECKED, "the budget ran out"
    except Exception as error:  # the functions need not work with another weight
        return NOT_CHECKED, f"{type(error).__name__} with another {names[0]}"


def _mended_otherwise(found: Found) -> str:
    """The causes that mend every wrong tensor where none is the regulariser's; "" where that was not proven."""
    wrong = {t.name for t in found.tensors if t.verdict is Verdict.WRONG}
    proven = [f for f in found.findings if f.severity == "error" and f.repaired is not None]
    mended = {name for f in proven for name in f.tensors}
    if not wrong or not wrong <= mended or any(f.cause == "regulariser" for f in proven):
        return ""
    return _listed(sorted({f.cause for f in proven}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _slopes_agree(session: Session, name: str, value: float, seed: int, meter: Meter) -> tuple[str, str]:
    """Whether what a change of the weight adds to the gradient is the slope of what it adds to the cost."""
    caller = session.caller
    changed = replace(caller, options={**(caller.options or {}), name: 2.0 * value if value else 1.0})
    other = replace(session, caller=changed)
    theta = session.theta
    meter.afford(2 + 2 * len(STEPS) * 2 * DIRECTIONS)
    added = other.claims(theta).vector(session.tensors) - session.claims(theta).vector(session.tensors)
    meter.spend(2)

    def both(point: NDArray[Any]) -> tuple[float, float]:
        meter.spend(2)
        return float(session.evaluate(point)), float(other.evaluate(point))

    rng = np.random.default_rng([seed, 17])
    worst, reacts = 0.0, False
    for _ in range(DIRECTIONS):
        direction = rng.standard_normal(theta.size) * (np.sqrt(np.mean(theta**2)) or 1.0)
        claimed = float(added @ direction)
        off = math.inf
        for step in STEPS:
            slope, noise = _slope(both, theta, direction, step)
            size = abs(slope) + abs(claimed)
            if not math.isfinite(size):
                continue
            reacts |= size > noise
            off = min(off, max(0.0, abs(slope - claimed) - noise) / size if size > noise else 0.0)
            if off <= AGREE:
                break
        worst = max(worst, off)
    if not math.isfinite(worst):
        return NOT_CHECKED, f"the cost is not finite with another {name}"
    if not reacts:
        return NOT_CHECKED, f"neither cost nor gradient changes with {name} here"
    if worst <= AGREE:
        return "yes", f"slopes in {name} agree"
    return "NO", f"slopes in {name} differ by {worst:.1e}"


def _slope(
    both: Callable[[NDArray[Any]], tuple[float, float]], theta: NDArray[Any], direction: NDArray[Any], step: float
) -> tuple[float, float]:
    """The slope of the difference of two costs along a direction, and what their rounding makes of it."""
    up, down = both(theta + step * direction), both(theta - step * direction)
    slope = ((up[1] - up[0]) - (down[1] - down[0])) / (2.0 * step)
    return slope, ROUNDING * max(map(abs, (*up, *down))) / step


def _dropout(found: Found) -> tuple[str, str]:
    if found.drawn is None:
        return NOT_CHECKED, "nothing was evaluated"
    if found.drawn:
        return "yes", f"frozen: one pattern of {_listed(found.drawn)}"
    options = dict(found.session.call.options or {}) if found.session is not None else {}
    for name in (*KEPT, *DROPPED):
        value = options.get(name)
        if _is_number(value):
            off = value == (1 if name in KEPT else 0)
            return "yes", f"{'off' if off else 'fixed'} ({name} = {value}): evaluations agree"
    return "yes", "none found: evaluations agree"


def _precision(found: Found) -> tuple[str, str]:
    if found.digits is None:
        return NOT_CHECKED, "no noise of the cost was measured"
    said = f"{found.precision}, {found.digits:.1f} digits of the cost are good"
    return ("yes" if found.digits >= DIGITS else "NO"), said


def _components(found: Found, options: Options) -> tuple[str, str]:
    total = sum(t.size for t in found.tensors)
    seen = found.components.measured
    if options.method in ("exhaustive", "classic"):
        return ("yes" if seen >= total else "NO"), f"{seen:,} of {total:,} one by one"
    judged = [t for t in found.tensors if t.verdict is not Verdict.UNDECIDED]
    if not judged:
        return NOT_CHECKED, "no tensor was judged"
    all_of_them = sum(t.size for t in judged)
    alone = f"{seen:,} one by one" if seen else "none one by one"
    return ("yes" if all_of_them == total else "NO"), f"{all_of_them:,} of {total:,} along random lines, {alone}"


def _difference(found: Found, options: Options) -> tuple[str, str]:
    known = [t for t in found.tensors if math.isfinite(t.difference.estimate)]
    wrong = any(t.verdict is Verdict.WRONG for t in found.tensors)
    if not known:
        return ("NO", "what is claimed is no gradient") if wrong else (NOT_CHECKED, "no difference was measured")
    bounds = {t.name: t.difference.high if math.isfinite(t.difference.high) else t.difference.estimate for t in known}
    # Where both gradients are zero the difference is 0/0, and a bound of 1 on a correct tensor says nothing.
    empty = {t.name for t in known if t.verdict is Verdict.CORRECT and bounds[t.name] >= 1.0}
    rows = {name: bound for name, bound in bounds.items() if name not in empty} or bounds
    worst = max(rows, key=lambda name: rows[name])
    lowest = max(t.difference.low if math.isfinite(t.difference.low) else t.difference.estimate for t in known)
    most = f"{'at most ' if lowest < rows[worst] / 2 else ''}{_above(rows[worst])} ({worst})"
    settled = options.method == "classic" or all(t.verdict is Verdict.CORRECT for t in found.tensors)
    if rows[worst] < AIM and settled and len(known) == len(found.tensors):
        return "yes", most
    # A bound above 1e-7 from a cost whose rounding hides the rest is no proof that the difference is.
    return ("NO" if wrong or lowest >= AIM else "open"), most


def _above(number: float) -> str:
    """Two digits, rounded up, so that a bound stays one."""
    text = f"{number:.1e}"
    if float(text) >= number or not number:
        return text
    return f"{number + 0.1 * 10.0 ** math.floor(math.log10(number)):.1e}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
