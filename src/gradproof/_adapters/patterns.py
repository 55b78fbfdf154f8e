"""Name patterns of the user, held against the names that there are.

The decision behind it: a pattern that matches nothing is a slip of the pen, and a check that ignores it would leave
the user believing that a tensor was left out, or judged by another tolerance, which it was not.
"""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from gradproof._errors import InputError


def nearest(pattern: str, names: Sequence[str]) -> str:
    """The name that looks most like a pattern, capitals aside."""
    bare = pattern.strip("*?").lower()
    return max(names, key=lambda name: difflib.SequenceMatcher(None, bare, name.lower()).ratio())


def demand_matches(argument: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    """Refuses patterns that match no name.

    Args:
        argument: the user's name of the argument that they come from.
        patterns: as passed.
        names: of all tensors.

    Raises:
        InputError: a pattern matches nothing; the message names the nearest tensor.
    """
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in names):
            continue
        near = nearest(pattern, names)
        listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        raise InputError.of(
            "choosing what to check", f"the pattern {pattern!r} in `{argument}`", f"the name of a tensor ({listed})",
            "none that it matches", f"Pass {near!r}, the nearest, or leave it out.",
        )  # fmt: skip
