"""How single numbers and names are written.

The decision behind it: a printed number never says more than is known. Bounds are rounded outwards, so that what is
printed is still a bound, and digits stop where the error bar begins. A name is the user's, so whatever it contains
(line breaks, terminal codes, marks that turn the writing direction) is made visible instead of obeyed.
"""

import math
import unicodedata
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from gradproof._records import Difference

#: Stands for a space at which a line must not be broken, until ``spaced`` turns it into one. A private-use character,
#: because rich breaks lines at every kind of space; one in what users write is escaped, so the two cannot be mixed up.
TIE = "\ue000"

#: The most characters of one name in a sentence, of one in a table, and of one sentence. Names that occur in practice
#: stay whole in tables, so that they can be searched for; ``to_dict`` holds all of the others.
IN_NAMES = 60
IN_TABLES = 200
IN_SENTENCES = 600

#: The course notes' scale: below the first good, above the second a bug, between suspicious.
GOOD, BUG = 1e-7, 1e-3

_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_DIGITS = 8
#: Ends of intervals carry the rounding of a subtraction; one digit of an error bar must not double because of it.
_SLACK = 1.0 - 1e-6


def visible(text: str) -> str:
    """The text with every control, format and exotic space character written as its escape, so that it is one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character == " " or unicodedata.category(character) not in _HIDDEN
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


def plain(text: str) -> str:
    """The text in one line of bounded length, as it stands in a cell."""
    return elided(visible(" ".join(text.split())), IN_SENTENCES)


def spaced(text: str) -> str:
    """The text with its unbreakable spaces as plain ones; the last step before it is shown."""
    return text.replace(TIE, " ")


def name(text: str, most: int = IN_NAMES) -> str:
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
    text = elided(visible(" ".join(text.split())), IN_SENTENCES)
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
    # From the shortest text that stands for the number: 1e-9 as stored lies a little above 1e-9.
    exact = Decimal(repr(float(number)))
    return f"{float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits), rounding)):.{digits}e}"


def difference(interval: Difference) -> str:
    """A relative difference in words: a bound, a number with its error bar, or a range, as its width demands."""
    estimate, low, high = float(interval.estimate), float(interval.low), float(interval.high)
    if math.isnan(low) or math.isnan(high):
        return "unknown" if math.isnan(estimate) else f"{estimate:.2e}"
    if high <= 0.0:
        return "0"
    if low <= 0.0:
        return "unknown" if high >= 1.0 else f"below {above(high)}"
    half = max(high - estimate, estimate - low)
    if not 0.0 <= half <= estimate / 10.0:
        return f"between {below(low)} and {above(min(high, 1.0))}"
    return f"{measured(estimate, half, scientific=True)}{TIE}±{TIE}{error_bar(half)}" if half else f"{estimate:.7e}"


def band(interval: Difference) -> str:
    """Where a relative difference lies on the course notes' scale; two words where the interval spans a limit."""
    if math.isnan(interval.estimate):
        return "unknown"
    if math.isnan(interval.low) or math.isnan(interval.high):
        return _band(interval.estimate)
    least, most = _band(interval.low), _band(interval.high)
    return least if least == most else f"between {least} and {most}"


def _band(number: float) -> str:
    return "good" if number < GOOD else "a bug" if number > BUG else "suspicious"


def error_bar(size: float) -> str:
    """One digit of an error bar, rounded up."""
    return _rounded(size * _SLACK, 0, ROUND_CEILING)


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
    text = measured(number.real, error)
    if np.iscomplexobj(number):
        imaginary = measured(number.imag, error)
        return f"{text}{'' if imaginary.startswith('-') else '+'}{imaginary}j{bar}"
    return text + bar


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
    if seconds < 3600.0:
        return f"{seconds:.1f} s" if seconds < 60.0 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600):,} h {int(seconds % 3600 // 60)} min"


def memory(size: float) -> str:
    """A number of bytes in the unit that suits it, two digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000.0:
            return f"{size:.2g} {unit}" if size < 100.0 else f"{size:.0f} {unit}"
        size /= 1000.0
    return f"{size:,.1f} TB"


def shape(sizes: Sequence[int]) -> str:
    """A shape as people say it: ``9 x 7``."""
    return " x ".join(f"{size}" for size in sizes) if sizes else "scalar"
