import pytest
from fading import checked
from rebuilt import named, nothing


@pytest.mark.parametrize("steps", [2, 3])
def test_fires(steps: int) -> None:
    report = checked(chunk=steps)
    named(report, "truncated", "Wx", "Wh", detail=f"after {steps} steps", proven=False)


def test_a_missing_step_back_is_not_named() -> None:
    assert {f.cause for f in checked("nothing back").findings} <= {"upstream", "unexplained"}


def test_right() -> None:
    nothing(checked())
