"""Numbers in sentences that can be read aloud."""

import math


def times(value: float, error: float) -> str:
    """``2.000000 (± 3e-9)``: as many digits as are known, at most eight."""
    shown = f"{value:.7g}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:.6f}"
    return f"{shown} (± {_bar(error)})"


def _bar(error: float) -> str:
    """One digit, rounded up so that it still is a bound."""
    if not 0.0 < error < math.inf:
        return f"{error:.0e}"
    power = math.floor(math.log10(error))
    digit = math.ceil(error / 10.0**power - 1e-9)
    return f"{digit}e{power:+03d}" if digit < 10 else f"1e{power + 1:+03d}"


def verb(count: int, singular: str = "is", plural: str = "are") -> str:
    """The verb that goes with so many subjects."""
    return singular if count == 1 else plural


def gradient_of(names: str, count: int) -> str:
    """``The gradient of W2 is`` or ``The gradients of W1 and b1 are``."""
    return f"The gradient of {names} is" if count == 1 else f"The gradients of {names} are"
