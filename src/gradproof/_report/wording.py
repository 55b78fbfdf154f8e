"""How single numbers and names are written.

The decision behind it: a printed number never says more than is known. Bounds are rounded outwards, so that what is
printed is still a bound, and digits stop where the error bar begins. A name is the user's, so whatever it contains
(line breaks, terminal codes, marks that turn the writing direction) is made visible instead of obeyed.
"""

import math
import unicodedata
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from gradproof._records import Difference

#: Stands for a space at which a line is not to be broken; the genuine one is escaped in what users write.
TIE = "\u00a0"

#: The most characters of one name inside a sentence, and of one name in a table. More says no more to a reader.
IN_SENTENCES = 60
IN_TABLES = 20_000

_SPACES = {" "}
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
#: Shares of 1 below this are bounds, the rest is "at most 1": nothing is known.
_UNKNOWN = 1.0
_DIGITS = 9


def visible(text: str) -> str:
    """The text with every control, format and exotic space character written as its escape, so that it is one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _SPACES or unicodedata.category(character) not in _HIDDEN
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def elided(text: str, most: int) -> str:
    """The text with its middle left out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = (most - 3) * 2 // 3
    tail = most - 3 - head
    return text[:head] + "..." + text[len(text) - tail :]


def name(text: str, most: int = IN_SENTENCES) -> str:
    """A tensor's name as it stands in a sentence: one unbreakable word of at most ``most`` characters."""
    return elided(visible(text), most).replace(" ", TIE) or "''"


def names(tensors: Sequence[str], most: int = 3) -> str:
    """Several names in words, the later ones counted."""
    shown = [name(tensor) for tensor in tensors[:most]]
    rest = len(tensors) - len(shown)
    if rest:
        return ", ".join(shown) + f" and {rest:,} {'other' if rest == 1 else 'others'}"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def counted(number: int, thing: str) -> str:
    """A number with its noun: ``1 tensor``, ``2 tensors``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def sentence(text: str) -> str:
    """The text as a sentence: without line breaks, with a full stop."""
    text = visible(" ".join(text.split()) if "\n" in text else text.strip())
    return text if not text or text[-1] in ".!?" else text + "."


def above(number: float) -> str:
    """Two digits of a number, rounded up, so that it still is a bound above."""
    return _rounded(number, 1, ROUND_CEILING)


def below(number: float) -> str:
    """Two digits of a number, rounded down, so that it still is a bound below."""
    return _rounded(number, 1, ROUND_FLOOR)


def _rounded(number: float, digits: int, rounding: str) -> str:
    if not math.isfinite(number) or number == 0.0:
        return f"{number:.0g}"
    exact = Decimal(number)
    return f"{exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits), rounding):.{digits}e}".replace(
        "e-", "e-"
    )


def difference(interval: Difference) -> str:
    """A relative difference in words: a bound, a number with its error bar, or a range, as its width demands."""
    estimate, low, high = interval.estimate, interval.low, interval.high
    if math.isnan(low) or math.isnan(high):
        return "unknown" if math.isnan(estimate) else f"{estimate:.2e}"
    if high == 0.0:
        return "0"
    if low <= 0.0:
        return "at most 1" if high >= _UNKNOWN else f"below {above(high)}"
    half = max(high - estimate, estimate - low)
    if not 0.0 <= half <= estimate / 5.0:
        return f"{below(low)} to {above(high)}"
    return f"{measured(estimate, half, scientific=True)}{TIE}±{TIE}{error_bar(half)}" if half else f"{estimate:.8e}"


def error_bar(size: float) -> str:
    """One digit of an error bar, rounded up."""
    return _rounded(size, 0, ROUND_CEILING)


def measured(number: float, error: float, *, digits: int = _DIGITS, scientific: bool = False) -> str:
    """A number with as many digits as its error leaves it, at most ``digits``."""
    if not math.isfinite(number) or number == 0.0:
        return f"{number:g}"
    known = digits
    if error > 0.0 and math.isfinite(error):
        known = math.floor(math.log10(abs(number))) - math.floor(math.log10(error)) + 1
    known = min(max(known, 1), digits)
    if scientific or not 1e-4 <= abs(number) < 1e6:
        return f"{number:.{known - 1}e}"
    return f"{number:.{max(known - 1 - math.floor(math.log10(abs(number))), 0)}f}"


def with_bar(number: complex, error: float) -> str:
    """A measured derivative, real or complex, with its error bar where one is known."""
    bar = f"{TIE}±{TIE}{error_bar(error)}" if error > 0.0 and math.isfinite(error) else ""
    if isinstance(number, complex):
        text = measured(number.real, error)
        imaginary = measured(number.imag, error)
        return f"{text}{'' if imaginary.startswith('-') else '+'}{imaginary}j{bar}"
    return measured(float(number), error) + bar


def fitted(factor: tuple[float, float], *, bar: bool = True) -> str:
    """A fitted factor: seven digits at most, since more would be read as noise."""
    number, error = factor
    text = measured(number, error, digits=7)
    return f"{text}{TIE}±{TIE}{error_bar(error)}" if bar and error > 0.0 and math.isfinite(error) else text


def duration(seconds: float) -> str:
    """A time in the unit that suits it; "" where it is unknown."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 1.0:
        return f"{max(seconds * 1e3, 0.0):.2g} ms" if seconds < 0.01 else f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60.0 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def shape(sizes: Sequence[int]) -> str:
    """A shape as people say it: ``9 x 7``."""
    return " x ".join(f"{size}" for size in sizes) if sizes else "scalar"
