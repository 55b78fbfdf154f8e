"""What the user chose, read and refused before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradproof._errors import InputError
from gradproof._records import spacing

#: The course notes' good number: what a smooth float64 cost is pushed below.
AIM = 1e-7
#: Default tolerance by the precision of the claim: what its own rounding reaches in a deep or trained network.
TOLERANCES = ((1e-15, 1e-5), (1e-6, 1e-3), (2e-3, 2e-2), (1.0, 1e-1))
#: Share of the tolerance above which a proven mismatch of a float64 claim is wrong; lower precision gets all of it.
WRONG_SHARE = 0.1
#: Options that may be varied where the user names none.
VARIED = ("lambd", "lambda_", "alpha", "weight_decay", "l2", "keep_prob", "p")

#: What may be done about random numbers.
DROPOUT = ("freeze", "off", "refuse")


@dataclass(frozen=True)
class Options:
    """The choices of one check."""

    method: str
    tolerance: float | Mapping[str, float] | None
    seed: int
    vectorized: bool
    dropout: str = "freeze"

    def tolerance_of(self, name: str, claimed: str = "float64") -> float:
        """The relative difference of a tensor, claimed in a format of this name, that must never pass."""
        given = self.tolerance
        if isinstance(given, Mapping):
            from gradproof._adapters.patterns import matches  # hardly any check has patterns

            given = next((value for pattern, value in given.items() if matches(name, pattern)), None)
        if given is not None:
            return float(given)
        epsilon = spacing(claimed)
        return next(tolerance for limit, tolerance in TOLERANCES if epsilon < limit)


def read_tolerance(tolerance: Any) -> float | Mapping[str, float] | None:
    """The tolerance, refused before any work where it cannot be one."""
    named = list(tolerance.items()) if isinstance(tolerance, Mapping) else [("", tolerance)]
    for name, value in named:
        usable = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
        if tolerance is not None and not (isinstance(name, str) and usable and 0.0 < float(value) < 1.0):
            raise InputError.of(
                "setting up the check", "`tolerance`",
                "a number between 0 and 1, or a mapping of name patterns to such", repr(tolerance),
                "Leave it out for the default, 1e-5 for float64 claims.",
            )  # fmt: skip
    return tolerance  # type: ignore[no-any-return]


def read_dropout(dropout: Any) -> str:
    """The way that was chosen, refused before any work where it is none."""
    way = "freeze" if dropout is None else dropout
    if not isinstance(way, str) or way not in DROPOUT:
        raise InputError.of(
            "setting up the check", "`dropout`", 'one of "off", "freeze", "refuse"', repr(dropout),
            'Leave it out to freeze one pattern, or pass "off" to check with keep_prob = 1.',
        )  # fmt: skip
    return str(way)


def read_seed(seed: Any) -> int:
    """The seed of the random directions."""
    if seed is None:
        return 0
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0:
        return int(seed)
    raise InputError.of("setting up the check", "`seed`", "an integer of at least 0", repr(seed), "Pass seed=0.")


def read_budget(budget: Any) -> tuple[int | None, float | None]:
    """Most evaluations and most seconds."""
    if budget is None:
        return None, None
    if isinstance(budget, int | np.integer) and not isinstance(budget, bool) and budget > 0:
        return int(budget), None
    if isinstance(budget, str) and budget.endswith("s"):
        try:
            seconds = float(budget[:-1])
        except ValueError:
            seconds = -1.0
        if seconds > 0.0:
            return None, seconds
    raise InputError.of(
        "setting up the check", "`budget`", 'a positive number of evaluations or seconds as "30s"', repr(budget),
        "Pass for example budget=500.",
    )  # fmt: skip


def read_patterns(name: str, patterns: str | Sequence[str] | None) -> tuple[str, ...]:
    """Name patterns as a tuple."""
    if patterns is None:
        return ()
    given: tuple[Any, ...] = tuple(patterns) if isinstance(patterns, list | tuple | set | frozenset) else (patterns,)
    for pattern in given:
        if not isinstance(pattern, str):
            raise InputError.of(
                "setting up the check",
                f"`{name}`",
                "a name pattern or several",
                repr(pattern),
                'Pass for example "W*".',
            )
    return given


def read_options(options: Any) -> Mapping[str, Any] | None:
    """Keyword arguments for the user's functions."""
    if options is None or (isinstance(options, Mapping) and all(isinstance(name, str) for name in options)):
        return options
    raise InputError.of(
        "setting up the check", "`options`", "a mapping of keyword arguments", repr(options)[:60],
        'Pass for example options={"lambd": 0.7}.',
    )  # fmt: skip


def read_vary(vary: Any, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of options that may be varied."""
    if vary is None:
        return ()
    names = (vary,) if isinstance(vary, str) else tuple(vary)
    for name in names:
        value = options.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InputError.of(
                "setting up the check", f"`vary` entry {name!r}", "the name of a number among the options",
                "no option" if name not in options else f"a {type(value).__name__}",
                "Pass the number in options= and its name in vary=.",
            )  # fmt: skip
    return names


def read_terms(terms: Any) -> Mapping[str, Any] | None:
    """Terms of the cost by name."""
    if terms is None:
        return None
    if not isinstance(terms, Mapping) or not terms or not all(isinstance(name, str) for name in terms):
        raise InputError.of(
            "setting up the check", "`terms`", "a mapping from names to functions", repr(terms)[:60],
            'Pass for example terms={"data": data_cost, "l2": l2_cost}.',
        )  # fmt: skip
    for name, term in terms.items():
        if not callable(term):
            raise InputError.of(
                "setting up the check", f"terms[{name!r}]", "a function with the signature of the cost",
                f"a {type(term).__name__}", "Pass the function itself.",
            )  # fmt: skip
    return terms
