"""What gradproof raises and warns with.

The decision behind it: a caller who already catches the standard exceptions needs to learn nothing. A wrong gradient
is a failed assertion, bad input is a bad value, a check in the wrong place is a programming error::

    AssertionError
    └── GradientError          a gradient was proven wrong
    ValueError
    └── InputError             what was passed in cannot be checked
    RuntimeError
    └── CheckDuringTraining    a check was run inside a training loop
    UserWarning
    ├── UndecidedWarning       neither right nor wrong could be proven
    └── CheckCostWarning       a check is about to cost a lot
"""


class GradientError(AssertionError):
    """A gradient was proven wrong; the message is the text report."""


class InputError(ValueError):
    """What was passed in cannot be checked.

    The message has four parts: what was being done, to which object by the user's name for it, what was demanded and
    what was got, and what to do.
    """

    @classmethod
    def of(cls, doing: str, what: str, demanded: str, got: str, todo: str) -> "InputError":
        """Builds the message from its parts, so that none can be forgotten."""
        return cls(f"While {doing}: {what} should be {demanded}, but is {got}. {todo}")


class CheckDuringTraining(RuntimeError):  # noqa: N818  (the public name; it is an event, not an error of the user's code)
    """A check was run inside a training loop, where it would be paid for at every step."""


class UndecidedWarning(UserWarning):
    """Neither right nor wrong could be proven; the message says why and what to do."""


class CheckCostWarning(UserWarning):
    """A check is about to cost far more than the question is worth."""
