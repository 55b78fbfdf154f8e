"""``check_function``: any function with a backward pass, its outputs seen through random cotangents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradproof._check import Settings, is_made, judged, read_settings
from gradproof._errors import InputError
from gradproof._guard import planned
from gradproof._pipeline.options import read_patterns
from gradproof._records import Report

if TYPE_CHECKING:
    from gradproof._functions.judging import Chosen
    from gradproof._functions.subject import Passed, Subject

DOING = "setting up the check of a function"


def check_function(
    function: Callable[..., Any],
    *inputs: Any,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    jacobian: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    cotangent: Any = None,
    order: int = 1,
    regimes: bool = False,
    bounds: Any = None,
    domain: Any = None,
    twin: Callable[..., Any] | None = None,
    tolerance: float | Mapping[str, float] | None = None,
    method: str | None = None,
    budget: int | str | None = None,
    seed: int | None = None,
    only: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    progress: Callable[[int], object] | bool | None = None,
) -> Report:
    """Judges the backward pass of a function with any number of inputs and outputs.

    Beyond the derivative, the default method tries what every backward pass must obey: it is linear in the cotangent;
    the order of numbers in memory does not matter; a second call, a call after another forward pass, a call for one
    output or one input alone give the same; nothing is changed in place.

    Args:
        function: ``function(*inputs, **kwargs)`` returning an array or any nesting of arrays, or a
            ``torch.autograd.Function``, or its ``apply``. Outputs that are None or no floating-point numbers are left
            out.
        inputs: arrays or tensors, nestings of them, and whatever else the function takes. Differentiated are the
            tensors that require a gradient, if any does, else all of floating-point or complex numbers.
        vjp: the claim, ``vjp(inputs, cotangent) -> tuple``; None for what reverse mode computes.
        jvp: the claim forwards, for NumPy arrays: ``jvp(inputs, tangent)`` returns the change of the outputs. The
            tangent is an array where there is one input, else a tuple with zeros for what is not differentiated.
            Beside another claim both are judged, and held against one another.
        jacobian: the claim as a matrix, for NumPy arrays: an array of shape (outputs, elements of the input) or
            ``(*output shape, *input shape)``, a sparse matrix or linear operator of SciPy, or a function
            ``jacobian(*inputs, **kwargs)`` that returns one; a tuple of them for several inputs. One alone is that of
            the first array, or of what argnums names.
        kwargs: keyword arguments; tensors among them count as inputs under their own names.
        argnums: positions of the inputs to differentiate.
        cotangent: what to see the outputs through, in place of random numbers: an array of the output's shape, or a
            tuple, list or dict of them for several outputs, None for one that is left out. The laws draw their own.
        order: 2 to judge the derivative of the backward pass as well (double backward).
        regimes: whether to go through other sizes, scales, zeros and ties as well.
        twin: the same function in float64, for one that supports lower precision alone: its derivative is the
            reference for the backward pass of ``function``.
        bounds: as for ``check``, for NumPy arrays: of the input, or a mapping such as ``{"inputs[0]": (0, None)}``.
        domain: as for ``check``, for NumPy arrays.
        tolerance: as for ``check``.
        method: as for ``check``; only ``"auto"`` looks for causes and tries the laws.
        budget: as for ``check``.
        seed: as for ``check``; the cotangents are drawn from it as well.
        only: patterns of input names to check.
        exclude: patterns of input names to leave alone.
        progress: called with the number of evaluations so far; True writes it to a terminal or below a notebook's
            cell, and takes it away at the end.

    Returns:
        The report; inputs are called ``inputs[0]``, ``inputs[1]``, ...

    Raises:
        InputError: what was passed in cannot be checked. What the function raises goes through.
    """
    settings = read_settings(tolerance, method, budget, seed, 1, progress)  # tensors are not sent to workers
    function = _applied(function)
    for name, value in (("function", function), ("vjp", vjp), ("jvp", jvp), ("twin", twin)):
        if not callable(value) and (name == "function" or value is not None):
            raise InputError.of(DOING, f"`{name}`", "a function", f"a {type(value).__name__}",
                                "Pass the function itself.")  # fmt: skip
    if order not in (1, 2):
        raise InputError.of(DOING, "`order`", "1 or 2", repr(order), "Pass 2 for the double backward pass.")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    # Whoever checks costs alone does not pay for these.
    from gradproof._adapters.domains import Allowed
    from gradproof._functions.judging import Chosen, first_call, judge
    from gradproof._functions.subject import Passed

    passed = Passed(function, inputs, dict(kwargs or {}), numbers, vjp, twin, settings.options.seed, jacobian, jvp,
                    None if bounds is None and domain is None else Allowed(bounds, domain))  # fmt: skip
    chosen = Chosen(read_patterns("only", only), read_patterns("exclude", exclude))
    if jacobian is not None or jvp is not None:
        if order != 1 or regimes or cotangent is not None:
            got = f"order={order}, regimes={regimes}" + ("" if cotangent is None else ", and a cotangent")
            raise InputError.of(DOING, "`order`, `regimes` and `cotangent`", "left out beside jacobian= and jvp=", got,
                                "Leave them out, or pass vjp=.")  # fmt: skip
        return _of_arrays(passed, chosen, settings)
    if cotangent is not None and regimes:
        raise InputError.of(DOING, "`cotangent`", "left out beside regimes=True, which changes the shapes of outputs",
                            "given", "Leave one of them out.")  # fmt: skip

    def opened() -> "Subject":
        if cotangent is None:
            return passed.opened()
        from gradproof._functions.given import seen_through  # hardly anyone has one

        return seen_through(passed.opened(), cotangent)

    if not is_made():
        return judged(lambda: first_call(opened(), chosen), settings)
    subject = opened()
    report = judge(subject, chosen, settings)
    report, told = _with_names(subject, report, settings)
    if vjp is not None and any(f.cause in ("unexplained", "region") for f in report.findings):
        from gradproof._functions.arrays import with_entries

        report = with_entries(passed, chosen, settings, report, told)
    if order == 2:
        from gradproof._functions.second import with_second

        report = with_second(subject, report, chosen, settings)
    if regimes:
        from gradproof._functions.regimes import in_regimes

        report = in_regimes(passed, report, chosen, settings)
    return _finished(report, passed, settings)


def _applied(function: Any) -> Any:
    """A function as it is called: of a ``torch.autograd.Function`` its ``apply``."""
    kinds = function.__mro__ if isinstance(function, type) else ()
    ours = any((kind.__module__, kind.__name__) == ("torch.autograd.function", "Function") for kind in kinds)
    return function.apply if ours else function


def _with_names(subject: "Subject", report: Report, settings: Settings) -> tuple[Report, frozenset[str]]:
    """The report with causes that only a look at the whole Jacobian tells, and the inputs that they are of.

    Right gradients pay nothing for it.
    """
    if all(f.cause not in ("unexplained", "region", "upstream") for f in report.findings):
        return report, frozenset()
    from gradproof._functions.naming import named

    with planned():
        return named(subject, report, settings)


def _of_arrays(passed: "Passed", chosen: "Chosen", settings: Settings) -> Report:
    """The report on a function of NumPy arrays with a Jacobian or a Jacobian-vector product."""
    from gradproof._functions.arrays import first_of, judge_arrays

    if not is_made():
        return judged(lambda: first_of(passed, chosen), settings)
    return _finished(judge_arrays(passed, chosen, settings), passed, settings)


def _finished(report: Report, passed: "Passed", settings: Settings) -> Report:
    """The report with what is known at the end."""
    from gradproof._pipeline.origin import origin_of_backward  # loaded with the first check

    claim = next((c for c in (passed.vjp, passed.jacobian, passed.jvp) if callable(c)), None)
    origin = origin_of_backward(passed.function, claim)
    return replace(report, evaluations=settings.meter.count, seconds=settings.elapsed(), origin=origin)
