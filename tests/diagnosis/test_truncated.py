from functools import cache

import pytest
from rebuilt import named, nothing

import gradproof as gp
from planted import Planted
from planted.recurrent import planted


@cache
def faults() -> dict[str, Planted]:
    return {fault.recipe: fault for fault in planted(6, "tanh", 0)}


def checked(recipe: str) -> gp.Report:
    given = faults()[recipe].arguments()
    return gp.check(given.pop("cost"), given.pop("params"), given.pop("grads"), **given)


@pytest.mark.parametrize("steps", [2, 3])
def test_fires(steps: int) -> None:
    report = checked(f"carried back within chunks of {steps} steps")
    named(report, "truncated", "Wx", "Wh", "b", detail=f"after {steps} steps", proven=False)


def test_a_missing_step_back_is_not_named() -> None:
    assert {f.cause for f in checked("nothing carried back").findings} <= {"upstream", "unexplained"}


def test_right() -> None:
    nothing(checked("right"))
