"""Name patterns of the user, held against the names that there are.

The decision behind it: a pattern that matches nothing is a slip of the pen, and a check that ignores it would leave
the user believing that a tensor was left out, or judged by another tolerance, which it was not.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from gradproof._errors import InputError

#: A key that is quoted in a name, as it holds a dot or a bracket: ``['layers.0.weight']``.
_QUOTED = re.compile(r"""\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern means a tensor.

    Brackets are both what they are in names, so that ``inputs[0]`` means itself, and sets of characters. A quoted key
    may be written as the user's dictionary has it.

    Args:
        name: of the tensor.
        pattern: the user's, with ``*`` and ``?``.
    """
    literal = pattern.replace("[", "[[]")
    return any(fnmatchcase(one, form) for one in (name, _unquoted(name)) for form in (pattern, literal))


def _unquoted(name: str) -> str:
    return (
        _QUOTED.sub(lambda key: ("." if key.start() else "") + (key[1] or key[2] or ""), name) if "[" in name else name
    )


def nearest(pattern: str, names: Sequence[str]) -> str:
    """The name that looks most like a pattern, capitals aside."""
    import difflib  # only a slip of the pen pays for it

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
        if any(matches(name, pattern) for name in names):
            continue
        near = nearest(pattern, names)
        listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        raise InputError.of(
            "choosing what to check", f"the pattern {pattern!r} in `{argument}`", f"the name of a tensor ({listed})",
            "none that it matches", f"Pass {near!r}, the nearest, or leave it out.",
        )  # fmt: skip
