"""gradproof: whether, where and why a gradient is wrong, with an honest error bar."""

import typing as _typing

from gradproof._cases import case
from gradproof._check import check
from gradproof._errors import CheckCostWarning, CheckDuringTraining, GradientError, InputError, UndecidedWarning
from gradproof._functions import check_function, check_hessian, check_module
from gradproof._guard import training
from gradproof._plan import plan
from gradproof._records import (
    ChecklistItem,
    Component,
    Components,
    Difference,
    Expense,
    Finding,
    Place,
    Plan,
    Regime,
    Report,
    StageFinding,
    StagesReport,
    TensorReport,
    Verdict,
)
from gradproof._stages import Stages
from gradproof._tree import from_vector, locate, to_vector

if _typing.TYPE_CHECKING:
    from gradproof import callbacks, network

__version__ = "0.1.0"

__all__ = [
    "CheckCostWarning",
    "CheckDuringTraining",
    "ChecklistItem",
    "Component",
    "Components",
    "Difference",
    "Expense",
    "Finding",
    "GradientError",
    "InputError",
    "Place",
    "Plan",
    "Regime",
    "Report",
    "StageFinding",
    "Stages",
    "StagesReport",
    "TensorReport",
    "UndecidedWarning",
    "Verdict",
    "callbacks",
    "case",
    "check",
    "check_function",
    "check_hessian",
    "check_module",
    "from_vector",
    "locate",
    "network",
    "plan",
    "to_vector",
    "training",
]


def __getattr__(name: str) -> _typing.Any:
    """The rooms that a check does not need, loaded when they are first asked for."""
    if name == "network":
        import gradproof.network as found
    elif name == "callbacks":
        import gradproof.callbacks as found  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


for _name in __all__:
    _thing = globals().get(_name)
    if hasattr(_thing, "__qualname__"):  # shown where users find it, whichever room it lives in
        _thing.__module__ = "gradproof"
del _name, _thing
