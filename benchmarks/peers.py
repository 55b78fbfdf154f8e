"""The checkers that gradproof is compared with, each as a function of the same cost, point and claimed gradient.

The decision it rests on: every peer is used the way its documentation says, on the flat vector of the parameters, and
where it returns only a number the reading of that number is written here, once.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from problems import Array

Value = Callable[[Array], float]
Slope = Callable[[Array], Array]

COURSE_STEP = 1e-7
COURSE_GOOD = 1e-7
COURSE_BUG = 1e-3
# scipy.optimize.check_grad returns a norm and leaves its meaning open; its example shows 3e-8 for a right gradient.
SCIPY_READING = 1e-6


@dataclass(frozen=True)
class Answer:
    """What a checker says.

    Attributes:
        verdict: "correct", "wrong" or "undecided".
        shown: the number that it goes by, None where it has none.
        says: the cause that it names, "" where it names none.
    """

    verdict: str
    shown: float | None = None
    says: str = ""


def course_quotients(value: Value, x: Array, indices: range) -> Array:
    """The two-sided quotients of the course notes for some components."""
    out = np.zeros(len(indices))
    for place, index in enumerate(indices):
        plus, minus = x.copy(), x.copy()
        plus[index] += COURSE_STEP
        minus[index] -= COURSE_STEP
        out[place] = (value(plus) - value(minus)) / (2 * COURSE_STEP)
    return out


def course_loop(value: Value, x: Array, slope: Slope, seed: int = 0) -> Answer:
    """The course notes' loop: below 1e-7 correct, above 1e-3 a bug, between suspicious."""
    claimed, measured = slope(x), course_quotients(value, x, range(x.size))
    scale = np.linalg.norm(measured) + np.linalg.norm(claimed)
    difference = float(np.linalg.norm(measured - claimed) / scale) if scale > 0 else 0.0
    verdict = "correct" if difference < COURSE_GOOD else "wrong" if difference > COURSE_BUG else "undecided"
    return Answer(verdict, difference)


def scipy_check_grad(value: Value, x: Array, slope: Slope, seed: int = 0) -> Answer:
    """``scipy.optimize.check_grad``, every component, read at 1e-6."""
    from scipy.optimize import check_grad

    norm = float(check_grad(value, slope, x))
    return Answer("correct" if norm <= SCIPY_READING else "wrong", norm)


def autograd_check_grads(value: Value, x: Array, slope: Slope, seed: int = 0) -> Answer:
    """``autograd.test_util.check_grads`` in reverse mode, first order, on a primitive with this gradient."""
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    cost = primitive(lambda at: float(value(at)))
    defvjp(cost, lambda answer, at: lambda cotangent: cotangent * slope(at))
    # It draws its direction from NumPy's global state.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        check_grads(cost, modes=["rev"], order=1)(x)
    except AssertionError:
        return Answer("wrong")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return Answer("correct")


def gradproof_check(value: Value, x: Array, slope: Slope, seed: int = 0) -> Answer:
    """``gradproof.check`` with its defaults."""
    import gradproof as gp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = gp.check(value, x, slope, seed=seed)
    causes = list(dict.fromkeys(finding.cause for finding in report.findings if finding.severity == "error"))
    return Answer(str(report.verdict), float(report.difference), ", ".join(causes[:2]))


PEERS: dict[str, Callable[[Value, Array, Slope, int], Answer]] = {
    "gradproof": gradproof_check,
    "scipy check_grad": scipy_check_grad,
    "autograd check_grads": autograd_check_grads,
    "course loop": course_loop,
}
