import pytest
from fading import checked
from rebuilt import named, nothing


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_the_last_step(decay: float) -> None:
    report = checked("last step", decay=decay)
    named(report, "region", "Wx", "Wh", "v", detail="the last step left out")


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_the_first_step(decay: float) -> None:
    report = checked("first step", decay=decay)
    # The state before it is zero, so that the weights it goes through lose nothing.
    named(report, "region", "Wx", "v", detail="the first step left out", proven=False)


def test_two_steps_are_not_called_one() -> None:
    assert {f.cause for f in checked("two steps").findings} <= {"upstream", "unexplained"}


def test_right() -> None:
    nothing(checked(decay=0.2))
