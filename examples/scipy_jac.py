"""The ``jac=`` of ``scipy.optimize.minimize``: checked where the search starts and where it ended.

Run it with ``python examples/scipy_jac.py``. What SciPy takes (``fun``, ``jac``, ``args``) is what ``gp.check`` takes.
"""

import numpy as np
from scipy.optimize import minimize

import gradproof as gp


def fun(x, scale):
    return np.sum(scale * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def jac(x, scale):
    gradient = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    gradient[:-1] -= 4.0 * scale * x[:-1] * inner + 2.0 * (1.0 - x[:-1])
    gradient[1:] += 2.0 * scale * inner
    return gradient


def both(x, scale):
    return fun(x, scale), jac(x, scale)


if __name__ == "__main__":
    start = np.array([-1.2, 1.0, 0.7, -0.4])
    assert gp.check(fun, start, jac, args=(100.0,))
    result = minimize(both, start, args=(100.0,), jac=True, method="L-BFGS-B")
    report = gp.check(both, result.x + 0.01, True, args=(100.0,))  # jac=True: fun returns both
    print(report)
