"""``parametrisation``: the derivative by another variable than the parameter, its logarithm say.

By the chain rule the claim is then the derivative times a known function of the parameter, element by element.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof._diagnosis.case import Case, Explanation

#: Variable the claim belongs to, in words -> d parameter / d variable as a function of the parameter.
VARIABLES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "its logarithm": lambda x: x,
    "its logit": lambda x: x * (1.0 - x),
    "its inverse hyperbolic tangent": lambda x: 1.0 - x * x,
    "its inverse softplus": lambda x: -np.expm1(-x),
    "its reciprocal": lambda x: -x * x,
    "its square": lambda x: 0.5 / x,
    "its square root": lambda x: 2.0 * np.sqrt(x),
    "its exponential": lambda x: np.exp(-x),
    "log base 2 of it": lambda x: x * np.log(2.0),
    "log base 10 of it": lambda x: x * np.log(10.0),
}


def explain(case: Case) -> Sequence[Explanation]:
    """Explanations by the derivative of the parameter by another variable."""
    found = []
    for s in case.open:
        if s.tensor.complex or not s.clear:
            continue
        claim, theta = s.sample(s.claim), s.sample(s.theta)
        for words, derivative in VARIABLES.items():
            with np.errstate(all="ignore"):
                if s.beyond(claim - claim / derivative(theta)):
                    continue
                inner = derivative(s.theta)
                repaired = s.claim / inner
            if not s.leaves_nothing(repaired) or not np.all(np.isfinite(inner)):
                continue
            constant = s.tensor.size == 1 or np.ptp(inner) <= 1e-6 * np.max(np.abs(inner), initial=0.0)
            if not constant:
                found.append(
                    Explanation(
                        "parametrisation", (s.index,),
                        f"The gradient of {s.name} is the derivative by {words}, not by {s.name} itself.",
                        f"Differentiate by {s.name} itself, or hand the cost {words} as the parameter.",
                        {s.index: repaired}, f"by {words}", 1.3,
                    )
                )  # fmt: skip
                break
    return found
