"""Files of cases for tests of the command line and of pytest: with reports made by hand, so that they cost nothing."""

from pathlib import Path

HEAD = """
import math
from gradproof._cases import case
from gradproof._errors import GradientError
from gradproof._records import Components, Difference, Report, TensorReport, Verdict

def report(verdict):
    d = Difference(1e-9, 0.0, 6e-8)
    t = TensorReport("W1", (2, 2), Verdict(verdict), d, "", 1e-5, 4)
    return Report(Verdict(verdict), d, {"W1": t}, (), Components(), 5, 0.1, (), "auto", 0, "float64", 8)
"""
BODIES = {
    "right": "return report('correct')",
    "wrong": "return report('wrong')",
    "undecided": "return report('undecided')",
    "broken": "raise KeyError('W9')",
    "raising": "raise GradientError('gradproof: WRONG. All of it.')",
    "nothing": "pass",
    "leaving": "raise SystemExit(0)",
    "interrupted": "raise KeyboardInterrupt",
}

#: Real checks: a right gradient, one with a factor of 2 in W, one at a jump, where nothing can be decided.
CHECKS = """
import numpy as np
import gradproof as gp

POINT = {"W": np.arange(6.0).reshape(2, 3) / 3 + 0.1, "b": np.ones(3)}


def cost(p):
    return float(np.sum(np.sin(p["W"])) + np.sum(p["b"] ** 3))


def right(p):
    return {"W": np.cos(p["W"]), "b": 3 * p["b"] ** 2}


def doubled(p):
    derivative = np.cos(p["W"])
    return {"W": 2 * derivative, "b": 3 * p["b"] ** 2}


@gp.case
def good():
    return gp.check(cost, POINT, right)


@gp.case
def bad():
    return gp.check(cost, POINT, doubled)


@gp.case
def jump():
    return gp.check(lambda p: float(np.sum(p["x"] > 0)), {"x": np.zeros(3)}, {"x": np.ones(3)})
"""


def file(folder: Path, *names: str) -> str:
    """Writes a file with the cases of these names and returns its path."""
    path = folder / f"{'_'.join(names) or 'none'}.py"
    path.write_text(HEAD + "".join(f"@case\ndef {name}():\n    {BODIES[name]}\n" for name in names), encoding="utf-8")
    return str(path)
