"""Fitted numbers recognised as what the user would call them: 2, 1/m, lambd/m.

The decision behind it: fitted numbers carry errors of about 1e-9, so a match with one of a few dozen values is no
accident. A match is only looked for where the error is small enough for that to hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: A number is recognised within this many of its errors, or this relative distance if that is more.
ERRORS, RELATIVE = 5.0, 1e-7
#: A fitted number less sharp than this stands for nothing.
SHARPEST = 1e-3
#: Factors that are what they look like, whatever else they may be.
COMMON = (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)
#: Whole numbers up to this are recognised without knowing where they come from.
WHOLE = 100_000


@dataclass(frozen=True, slots=True)
class Nice:
    """A value that a fitted number stands for, and how to say it.

    Attributes:
        value: the exact value.
        text: as the user would write it, ``2``, ``1/m (m = 64 examples)``.
        role: ``"simple"``, ``"examples"``, ``"option"`` or ``"whole"``.
        option: the option's name, where it comes from one.
    """

    value: float
    text: str
    role: str
    option: str = ""


def nice(
    value: float,
    error: float,
    examples: int = 0,
    options: Mapping[str, Any] | None = None,
    *,
    options_first: bool = False,
) -> Nice | None:
    """What a fitted number stands for; None where it stands for nothing known.

    Args:
        value: the number.
        error: how far it may be off.
        examples: number of examples, 0 where unknown.
        options: the user's options, whose numbers are recognised.
        options_first: whether a number that fits both is an option's rather than one of the examples.
    """
    if not error <= SHARPEST * abs(value):
        return None
    near = max(ERRORS * error, RELATIVE * abs(value))
    own = [[*_of_examples(examples)], [*_of_options(options or {}, examples)]]
    simple = list(_simple())
    common = [] if options_first else [known for known in simple if abs(known.value) in COMMON]
    for known in (*common, *own[int(options_first)], *own[int(not options_first)], *simple):
        if abs(known.value - value) <= near:
            return known
    for sign in (1.0, -1.0):
        for power, shape in ((1.0, "{}"), (-1.0, "1/{}")):
            whole = round((sign * value) ** power) if sign * value > 0.0 else 0
            if 1 < whole <= WHOLE and abs(sign * whole**power - value) <= near < 0.05 * whole**power / whole:
                return Nice(sign * whole**power, ("-" if sign < 0 else "") + shape.format(whole), "whole")
    return None


def _simple() -> Iterator[Nice]:
    for bottom in (1, 2, 3, 4):
        for top in range(1, 11):
            if all(top % n or bottom % n for n in (2, 3)) or bottom == 1:
                text = str(top) if bottom == 1 else f"{top}/{bottom}"
                yield Nice(top / bottom, text, "simple")
                yield Nice(-top / bottom, f"-{text}", "simple")
    yield Nice(0.1, "1/10", "simple")


def _of_examples(m: int) -> Iterator[Nice]:
    if m < 2:
        return
    said = f"(m = {m} examples)"
    for sign, minus in ((1.0, ""), (-1.0, "-")):
        yield Nice(sign * m, f"{minus}m {said}", "examples")
        yield Nice(sign / m, f"{minus}1/m {said}", "examples")
        yield Nice(sign * 2 * m, f"{minus}2m {said}", "examples")
        yield Nice(sign * m / 2, f"{minus}m/2 {said}", "examples")
        yield Nice(sign * 2 / m, f"{minus}2/m {said}", "examples")
        yield Nice(sign / 2 / m, f"{minus}1/(2m) {said}", "examples")
        yield Nice(sign / m**2, f"{minus}1/m^2 {said}", "examples")
    yield Nice(m / (m - 1), f"m/(m-1) {said}", "examples")
    yield Nice((m - 1) / m, f"(m-1)/m {said}", "examples")


def _of_options(options: Mapping[str, Any], m: int) -> Iterator[Nice]:
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value in (0, 1):
            continue
        if not 1e-90 < abs(value) < 1e90:
            continue  # nobody multiplies by it, and its powers leave the range of numbers
        number = float(value)
        for power in (1, 2, 3):
            raised = "" if power == 1 else f"^{power}"
            yield Nice(number**power, f"{name}{raised} ({name} = {value:g})", "option", name)
            yield Nice(number**-power, f"1/{name}{raised} ({name} = {value:g})", "option", name)
        yield Nice(-number, f"-{name} ({name} = {value:g})", "option", name)
        yield Nice(2 * number, f"2 {name} ({name} = {value:g})", "option", name)
        yield Nice(number / 2, f"{name}/2 ({name} = {value:g})", "option", name)
        if m > 1:
            yield Nice(number / m, f"{name}/m ({name} = {value:g}, m = {m})", "option", name)
